package ovn

import (
	"maps"
	"reflect"
	"slices"
)

// Model holds facts and the rows that follow from them. Put and Delete take facts; Settle brings the rows up to date
// and says which have changed. It is not safe for concurrent use.
type Model struct {
	options Options

	networks      map[string]*Network
	ports         map[string]*Port
	groups        map[string]*Group
	addressGroups map[string]*AddressGroup
	routers       map[string]*Router
	floating      map[string]*FloatingIP
	policies      map[string]*Policy
	chassis       map[string]*Chassis

	portsOn        sets                       // network → ports
	routersOn      sets                       // network → routers
	metadataPorts  sets                       // network → metadata ports
	routerPorts    sets                       // router → ports
	externalPorts  sets                       // network → external ports
	floatingOf     sets                       // router → floating IPs
	floatingOfPort sets                       // port → floating IPs
	pairsAt        map[place]map[string]bool  // address → ports that may use it too
	portsAt        map[place]map[string]bool  // address → ports that have it
	pairsIn        sets                       // name of a pairSet → ports that add to it
	remoteOf       sets                       // group → groups whose rules name it
	users          map[string]map[object]bool // policy → who has it

	stale   map[object]bool
	outputs map[object]*output
	rows    map[Key]*Row
	owners  map[Key]object
	holds   map[Key]map[string]map[Entry]map[object][]string
	heldBy  map[Key]map[slot]bool // row → where it is named
}

// object is what rows are computed of at once.
type object struct {
	kind Kind
	id   string
}

// Touched says what may be another than before.
type Touched struct {
	Rows   map[Key]bool
	Slots  map[Slot]bool
	Things map[Thing]bool // routers and floating IPs, and others of which there is something else to note
}

// fixed is the object of rows that are always there.
var fixed = object{kind: "fixed"}

// NewModel gives a model without facts. Its only rows are those that are always there.
func NewModel(o Options) *Model {
	return &Model{
		options: o, networks: map[string]*Network{}, ports: map[string]*Port{}, groups: map[string]*Group{}, addressGroups: map[string]*AddressGroup{},
		routers: map[string]*Router{}, floating: map[string]*FloatingIP{}, policies: map[string]*Policy{}, chassis: map[string]*Chassis{},
		portsOn: sets{}, routersOn: sets{}, metadataPorts: sets{}, routerPorts: sets{}, externalPorts: sets{}, floatingOf: sets{}, floatingOfPort: sets{},
		pairsIn: sets{}, remoteOf: sets{}, pairsAt: map[place]map[string]bool{}, portsAt: map[place]map[string]bool{}, users: map[string]map[object]bool{},
		stale: map[object]bool{fixed: true}, outputs: map[object]*output{}, rows: map[Key]*Row{}, owners: map[Key]object{},
		holds: map[Key]map[string]map[Entry]map[object][]string{}, heldBy: map[Key]map[slot]bool{},
	}
}

// Put takes a fact: *Network, *Port, *Group, *AddressGroup, *Router, *FloatingIP, *Policy or *Chassis. It must not be
// changed afterwards.
func (m *Model) Put(fact any) {
	switch f := fact.(type) {
	case *Network:
		m.setNetwork(f.ID, f)
	case *Port:
		m.setPort(f.ID, f)
	case *Group:
		m.setGroup(f.ID, f)
	case *AddressGroup:
		replace(m, m.addressGroups, object{KindAddressGroup, f.ID}, f)
	case *Router:
		m.setRouter(f.ID, f)
	case *FloatingIP:
		m.setFloating(f.ID, f)
	case *Policy:
		m.setPolicy(f.ID, f)
	case *Chassis:
		m.setChassis(f.Name, f)
	}
}

// Delete takes a fact away; a chassis goes by its name.
func (m *Model) Delete(kind Kind, id string) {
	switch kind {
	case KindNetwork:
		m.setNetwork(id, nil)
	case KindPort:
		m.setPort(id, nil)
	case KindGroup:
		m.setGroup(id, nil)
	case KindAddressGroup:
		replace(m, m.addressGroups, object{kind, id}, nil)
	case KindRouter:
		m.setRouter(id, nil)
	case KindFloatingIP:
		m.setFloating(id, nil)
	case KindPolicy:
		m.setPolicy(id, nil)
	case KindChassis:
		m.setChassis(id, nil)
	}
}

// IDs lists the facts of a kind.
func (m *Model) IDs(kind Kind) []string {
	switch kind {
	case KindNetwork:
		return slices.Collect(maps.Keys(m.networks))
	case KindPort:
		return slices.Collect(maps.Keys(m.ports))
	case KindGroup:
		return slices.Collect(maps.Keys(m.groups))
	case KindAddressGroup:
		return slices.Collect(maps.Keys(m.addressGroups))
	case KindRouter:
		return slices.Collect(maps.Keys(m.routers))
	case KindFloatingIP:
		return slices.Collect(maps.Keys(m.floating))
	case KindPolicy:
		return slices.Collect(maps.Keys(m.policies))
	case KindChassis:
		return slices.Collect(maps.Keys(m.chassis))
	}
	return nil
}

// replace keeps a fact, or with nil none, and makes its object stale if it is another.
func replace[T any](m *Model, facts map[string]*T, o object, f *T) (old *T, changed bool) {
	old = facts[o.id]
	if f == nil && old == nil || f != nil && old != nil && reflect.DeepEqual(f, old) {
		return old, false
	}
	if f == nil {
		delete(facts, o.id)
	} else {
		facts[o.id] = f
	}
	m.stale[o] = true
	return old, true
}

func (m *Model) touch(kind Kind, ids map[string]bool) {
	for id := range ids {
		m.stale[object{kind, id}] = true
	}
}

func (m *Model) use(policy string, o object, on bool) {
	switch {
	case policy == "":
	case on:
		addTo(m.users, policy, o)
	default:
		dropFrom(m.users, policy, o)
	}
}

// compute gives the rows of an object; nil when it is gone.
func (m *Model) compute(o object) *output {
	switch o.kind {
	case fixed.kind:
		return m.dropRows()
	case KindNetwork:
		if n := m.networks[o.id]; n != nil {
			return m.networkRows(n)
		}
	case KindPort:
		if p := m.ports[o.id]; p != nil {
			return m.portRows(p)
		}
	case KindGroup:
		if g := m.groups[o.id]; g != nil {
			return m.groupRows(g)
		}
	case KindAddressGroup:
		if g := m.addressGroups[o.id]; g != nil {
			return m.addressGroupRows(g)
		}
	case KindRouter:
		if r := m.routers[o.id]; r != nil {
			return m.routerRows(r)
		}
	case KindFloatingIP:
		if f := m.floating[o.id]; f != nil {
			return m.floatingRows(f)
		}
	}
	return nil
}

// Settle computes what facts have changed.
func (m *Model) Settle() Touched {
	t := Touched{Rows: map[Key]bool{}, Slots: map[Slot]bool{}, Things: map[Thing]bool{}}
	for o := range m.stale {
		delete(m.stale, o)
		old, now := m.outputs[o], m.compute(o)
		if old == nil {
			old = &output{}
		}
		if now == nil {
			delete(m.outputs, o)
			now = &output{}
		} else {
			m.outputs[o] = now
		}
		if o.kind == KindRouter || o.kind == KindFloatingIP || !slices.Equal(old.notes, now.notes) {
			t.Things[Thing{o.kind, o.id}] = true
		}
		m.exchange(o, old, now, t)
	}
	return t
}
