package metadata

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"neutrino/address"
	"neutrino/desired"
)

// Source says where a request came in: in the namespace of a router, or on one network.
type Source struct {
	Router  string // router id; or
	Network string // network id
}

// errUnknownGuest and errManyGuests are why a guest is not told anything.
var (
	errUnknownGuest = errors.New("no port has this address")
	errManyGuests   = errors.New("several ports have this address")
)

// directory finds who a guest is. It is safe for concurrent use; a change costs the changed item.
type directory struct {
	mu       sync.RWMutex
	ports    map[string]*desired.Port
	networks map[string]*desired.Network
	routers  map[string]*desired.Router
	byIP     map[place[netip.Addr]][]*desired.Port
	byMAC    map[place[address.MAC]][]*desired.Port
	byDevice map[string][]*desired.Port
}

// place is an address on a network.
type place[A comparable] struct {
	network string
	addr    A
}

func newDirectory() *directory {
	d := &directory{}
	d.reset()
	return d
}

func (d *directory) reset() {
	d.ports = map[string]*desired.Port{}
	d.networks = map[string]*desired.Network{}
	d.routers = map[string]*desired.Router{}
	d.byIP = map[place[netip.Addr]][]*desired.Port{}
	d.byMAC = map[place[address.MAC]][]*desired.Port{}
	d.byDevice = map[string][]*desired.Port{}
}

// load takes over a whole state.
func (d *directory) load(state *desired.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reset()
	for _, p := range state.Ports {
		d.put(p)
	}
	for _, n := range state.Networks {
		d.networks[n.ID] = n
	}
	for _, r := range state.Routers {
		d.routers[r.ID] = r
	}
}

// update takes over what has changed.
func (d *directory) update(state *desired.State, keys map[desired.Key]struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range keys {
		switch key.Kind {
		case desired.KindPort:
			d.drop(key.ID)
			if p := state.Ports[key.ID]; p != nil {
				d.put(p)
			}
		case desired.KindNetwork:
			delete(d.networks, key.ID)
			if n := state.Networks[key.ID]; n != nil {
				d.networks[key.ID] = n
			}
		case desired.KindRouter:
			delete(d.routers, key.ID)
			if r := state.Routers[key.ID]; r != nil {
				d.routers[key.ID] = r
			}
		}
	}
}

// put adds a port, if it can be a guest's: the network's own ports ask for nothing.
func (d *directory) put(p *desired.Port) {
	if p.DeviceID == "" || strings.HasPrefix(p.DeviceOwner, "network:") {
		return
	}
	d.ports[p.ID] = p
	for _, f := range p.FixedIPs {
		at := place[netip.Addr]{p.NetworkID, f.IP}
		d.byIP[at] = append(d.byIP[at], p)
	}
	at := place[address.MAC]{p.NetworkID, p.MAC}
	d.byMAC[at] = append(d.byMAC[at], p)
	d.byDevice[p.DeviceID] = append(d.byDevice[p.DeviceID], p)
}

func (d *directory) drop(id string) {
	p := d.ports[id]
	if p == nil {
		return
	}
	delete(d.ports, id)
	for _, f := range p.FixedIPs {
		without(d.byIP, place[netip.Addr]{p.NetworkID, f.IP}, p)
	}
	without(d.byMAC, place[address.MAC]{p.NetworkID, p.MAC}, p)
	without(d.byDevice, p.DeviceID, p)
}

func without[K comparable](index map[K][]*desired.Port, key K, p *desired.Port) {
	rest := slices.DeleteFunc(slices.Clone(index[key]), func(o *desired.Port) bool { return o == p })
	if len(rest) == 0 {
		delete(index, key)
		return
	}
	index[key] = rest
}

// guest is all that is known of who asks.
type guest struct {
	port  *desired.Port
	all   []*desired.Port             // of the same instance, sorted by id
	nets  map[string]*desired.Network // of these ports
	float netip.Addr                  // floating IP of the instance; zero: not known here
}

// find tells who asks from an address. IPv6 link-local guests are known by the MAC in their address.
func (d *directory) find(source Source, from netip.Addr) (guest, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	from = from.Unmap().WithZone("")
	var networks []string
	if source.Network != "" {
		networks = []string{source.Network}
	} else if r := d.routers[source.Router]; r != nil {
		for _, i := range r.Interfaces {
			if !slices.Contains(networks, i.NetworkID) {
				networks = append(networks, i.NetworkID)
			}
		}
	}
	var found []*desired.Port
	for _, n := range networks {
		if from.Is6() && from.IsLinkLocalUnicast() {
			if mac, ok := macOf(from); ok {
				found = append(found, d.byMAC[place[address.MAC]{n, mac}]...)
			}
			continue
		}
		found = append(found, d.byIP[place[netip.Addr]{n, from}]...)
	}
	switch len(found) {
	case 0:
		return guest{}, errUnknownGuest
	case 1:
	default:
		return guest{}, errManyGuests
	}
	g := guest{port: found[0], all: slices.Clone(d.byDevice[found[0].DeviceID]), nets: map[string]*desired.Network{}}
	// A device id is text that tenants may set: only ports of the same project count.
	g.all = slices.DeleteFunc(g.all, func(p *desired.Port) bool { return p.ProjectID != g.port.ProjectID })
	slices.SortFunc(g.all, func(a, b *desired.Port) int { return cmp.Compare(a.ID, b.ID) })
	for _, p := range g.all {
		if n := d.networks[p.NetworkID]; n != nil {
			g.nets[n.ID] = n
		}
	}
	g.float = d.floating(g.port)
	return g, nil
}

// floating finds the floating IP of a port among the routers of this host.
func (d *directory) floating(p *desired.Port) netip.Addr {
	for _, r := range d.routers {
		attached := slices.ContainsFunc(r.Interfaces, func(i desired.RouterPort) bool { return i.NetworkID == p.NetworkID })
		for _, f := range r.FloatingIPs {
			if attached && slices.ContainsFunc(p.FixedIPs, func(x desired.FixedIP) bool { return x.IP == f.Fixed }) {
				return f.Floating
			}
		}
	}
	return netip.Addr{}
}

// macOf undoes the modified EUI-64 form.
func macOf(a netip.Addr) (address.MAC, bool) {
	b := a.As16()
	if b[11] != 0xff || b[12] != 0xfe {
		return address.MAC{}, false
	}
	return address.MAC{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}, true
}
