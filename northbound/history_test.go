package northbound_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
)

// Whatever the history, the rows are those that a server writes that knows the end only: row by row, in a database
// that was empty.
func TestHistories(t *testing.T) {
	t.Parallel()
	histories, steps := 6, 150
	if testing.Short() {
		histories = 2
	}
	for seed := range histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := ovntest.Start(t, false)
			w := cloud()
			start(t, w, c)
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			for i := range steps {
				randomStep(r, w)
				if i%50 == 49 {
					settle(t, w, c)
				}
			}
			settle(t, w, c)
			got := dump(t, c)
			fresh := ovntest.Start(t, false)
			start(t, w, fresh)
			settle(t, w, fresh)
			if diff := cmp.Diff(dump(t, fresh), got); diff != "" {
				t.Errorf("rebuilt (-) and grown (+) differ:\n%s", diff)
			}
		})
	}
}

// The same of the model alone, which takes many more steps: what it has is what a new one computes of the same facts.
func TestModels(t *testing.T) {
	t.Parallel()
	histories, steps := 20, 600
	if testing.Short() {
		histories = 4
	}
	for seed := range histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := cloud()
			hosts := slices.Clone(chassis)
			m := modelOn(w, hosts, ovn.DefaultOptions())
			r := rand.New(rand.NewPCG(uint64(seed), 3))
			for i := range steps {
				before := len(w.entries)
				if r.IntN(10) == 0 {
					randomHost(r, hosts, m)
				} else {
					randomStep(r, w)
				}
				w.follow(m, before)
				if r.IntN(3) > 0 {
					continue // several changes are settled at once
				}
				m.Settle()
				if diff := cmp.Diff(contents(modelOn(w, hosts, ovn.DefaultOptions())), contents(m)); diff != "" {
					t.Fatalf("step %d, the last of %v: new (-) and grown (+) differ:\n%s", i, w.entries[before:], diff)
				}
			}
		})
	}
}

// randomHost changes a host: what it is marked for, what it reaches.
func randomHost(r *rand.Rand, hosts []*ovn.Chassis, m *ovn.Model) {
	at, coin := r.IntN(len(hosts)), func() bool { return r.IntN(2) == 0 }
	h := *hosts[at]
	h.Gateway, h.External, h.Zones, h.BridgeMappings = coin(), coin(), nil, map[string]string{}
	if coin() {
		h.Zones = []string{"west"}
	}
	if r.IntN(4) > 0 {
		h.BridgeMappings["physnet1"] = "br-ex"
	}
	hosts[at] = &h
	m.Put(&h)
}

// follow tells a model what is in the journal from an entry on.
func (w *world) follow(m *ovn.Model, from int) {
	for _, e := range w.entries[from:] {
		if fact := w.facts[ovn.Kind(e.Kind)][e.ID]; fact != nil {
			m.Put(fact)
		} else {
			m.Delete(ovn.Kind(e.Kind), e.ID)
		}
	}
}

// modelOf is a model of what is there now.
func modelOf(w *world) *ovn.Model { return modelWith(w, ovn.DefaultOptions()) }

func modelWith(w *world, o ovn.Options) *ovn.Model { return modelOn(w, chassis, o) }

func modelOn(w *world, hosts []*ovn.Chassis, o ovn.Options) *ovn.Model {
	m := ovn.NewModel(o)
	for _, facts := range w.facts {
		for _, fact := range facts {
			m.Put(fact)
		}
	}
	for _, h := range hosts {
		m.Put(h)
	}
	m.Settle()
	return m
}

// contents are a model's rows, with what is in their sets, and its notes.
func contents(m *ovn.Model) map[string]any {
	all := map[string]any{"notes": m.Notes()}
	for _, key := range m.Keys() {
		all[key.String()] = m.Row(key)
		for _, column := range ovn.Sets[key.Table] {
			entries := map[string]string{}
			for _, e := range m.Entries(key, column) {
				entries[e.Ref.String()+e.Text], _ = m.Value(ovn.Slot{Row: key, Column: column, Entry: e})
			}
			all[key.String()+" "+column] = entries
		}
	}
	return all
}

// randomStep changes one fact.
func randomStep(r *rand.Rand, w *world) {
	pick := func(n int) int { return r.IntN(n) }
	coin := func() bool { return pick(2) == 0 }
	networks, routers, groups := []string{inner, outer, id(1, 3), id(1, 4)}, []string{router, id(5, 2)}, []string{web, db, id(3, 3)}
	subnetOf := func(n int) string { return id(12, n) }
	if pick(4) == 0 {
		furtherStep(r, w)
		return
	}
	switch pick(9) {
	case 0:
		i := pick(4)
		n := &ovn.Network{ID: networks[i], Name: fmt.Sprint("n", pick(3)), Revision: int64(pick(9)), AdminStateUp: pick(4) > 0, MTU: 1400 + pick(3), External: i == 1 || i == 3, DNSDomain: []string{"", "a.example", "b.example"}[pick(3)], Transparent: coin(), QinQ: coin()}
		if coin() {
			n.QoSPolicyID = slow
		}
		if coin() {
			n.ZoneHints = []string{"west"}
		}
		n.Segments = []ovn.Segment{{ID: id(9, i), Type: "geneve"}}
		if n.External {
			n.Segments = []ovn.Segment{{ID: id(9, i), Type: "vlan", Physical: "physnet1", VLAN: 100*i + pick(2)}}
		}
		for s := range 2 {
			if pick(3) > 0 {
				n.Subnets = append(n.Subnets, ovn.Subnet{ID: subnetOf(2*i + s), CIDR: prefix(fmt.Sprintf("10.%d.%d.0/24", i, s)), Gateway: addr(fmt.Sprintf("10.%d.%d.1", i, s)), EnableDHCP: coin()})
			}
		}
		w.put(ovn.KindNetwork, n.ID, n)
	case 1:
		if pick(4) == 0 {
			w.delete(ovn.KindNetwork, networks[pick(4)])
		}
	case 2, 3:
		n := pick(12)
		i := pick(3)
		p := &ovn.Port{
			ID: id(13, n), Name: fmt.Sprint("p", pick(3)), NetworkID: networks[i], AdminStateUp: coin(), MAC: mac(100 + n), DeviceID: id(11, n), DeviceOwner: "compute:nova",
			PortSecurity: coin(), Hostname: fmt.Sprint("host", pick(4)), VNICType: "normal", Bound: coin(), Host: "h1",
			FixedIPs: []ovn.FixedIP{{SubnetID: subnetOf(2*i + pick(2)), IP: addr(fmt.Sprintf("10.%d.0.%d", i, 10+n))}},
		}
		for _, g := range groups {
			if coin() {
				p.Groups = append(p.Groups, g)
			}
		}
		switch pick(6) {
		case 0:
			p.DHCP = []ovn.DHCPOption{{Name: "mtu", Value: "1234", IPVersion: 4}}
		case 1:
			p.Pairs = []ovn.AddressPair{{MAC: p.MAC, IP: netip.PrefixFrom(addr(fmt.Sprintf("10.%d.0.%d", i, 10+pick(12))), 32)}}
		case 2:
			p.DeviceOwner, p.DeviceID, p.PortSecurity = "network:router_interface", routers[pick(2)], false
		case 3:
			p.DeviceOwner, p.DeviceID, p.PortSecurity = "network:distributed", "ovnmeta-"+networks[i], false
		case 4:
			p.QoSPolicyID = slow
		case 5:
			p.External, p.VNICType, p.Host = true, []string{"direct", "baremetal"}[pick(2)], []string{"h1", "h3", ""}[pick(3)]
		}
		w.put(ovn.KindPort, p.ID, p)
	case 4:
		w.delete(ovn.KindPort, []string{id(13, pick(12)), vm1, vm2, vip, metadata, rif, gw}[pick(7)])
	case 5:
		g := &ovn.Group{ID: groups[pick(3)], Stateful: coin()}
		for i := range pick(4) {
			g.Rules = append(g.Rules, ovn.Rule{ID: id(14, i*10+pick(2)) + g.ID[30:], Ingress: coin(), IPv6: coin(), Protocol: []int{-1, 6, 17, 1}[pick(4)], PortMin: -1, PortMax: -1, RemoteGroup: []string{"", web, db}[pick(3)]})
		}
		if pick(5) == 0 {
			w.delete(ovn.KindGroup, g.ID)
			return
		}
		w.put(ovn.KindGroup, g.ID, g)
	case 6:
		i := pick(2)
		if pick(4) == 0 {
			w.delete(ovn.KindRouter, routers[i])
			return
		}
		x := &ovn.Router{ID: routers[i], Name: fmt.Sprint("r", pick(3)), AdminStateUp: coin(), EnableSNAT: coin(), ECMP: coin(), BFD: coin(), Gateways: []string{id(15, i), id(15, 2+i)}}
		x.Routes = []ovn.Route{{Destination: prefix([]string{"172.16.0.0/12", "0.0.0.0/0"}[pick(2)]), NextHop: addr(fmt.Sprintf("10.0.0.%d", pick(3)+1))}}[:pick(2)]
		if coin() {
			x.QoSPolicyID = slow
		}
		if coin() {
			slices.Reverse(x.Gateways)
		}
		x.Chassis = []ovn.ChassisPriority{{Chassis: "c3", Priority: 9 + pick(2)}, {Chassis: "c1", Priority: pick(3)}}[:pick(3)]
		w.put(ovn.KindRouter, x.ID, x)
		for at, n := range []int{1, []int{3, 1}[pick(6)/5]} { // seldom both on one network
			g := id(15, 2*at+i)
			if pick(3) == 0 {
				w.delete(ovn.KindPort, g)
				continue
			}
			w.put(ovn.KindPort, g, &ovn.Port{ID: g, NetworkID: networks[n], AdminStateUp: true, MAC: mac(200 + 2*at + i), DeviceOwner: "network:router_gateway", DeviceID: routers[i],
				FixedIPs: []ovn.FixedIP{{SubnetID: subnetOf(2 * n), IP: addr(fmt.Sprintf("10.%d.0.%d", n, 200+2*at+i))}}})
		}
	case 7:
		i, n := 10+pick(3), 1+2*pick(2)
		f := &ovn.FloatingIP{ID: id(7, i), NetworkID: networks[n], RouterID: []string{"", routers[0], routers[1]}[pick(3)], MAC: mac(300), IP: addr(fmt.Sprintf("10.%d.0.%d", n, 90+i))}
		if coin() {
			p := 4 * pick(3) // few, so that several have the same
			f.PortID, f.FixedIP = id(13, p), addr(fmt.Sprintf("10.0.0.%d", 10+p))
		} else {
			f.Forwardings = []ovn.Forwarding{{Protocol: []string{"tcp", "udp"}[pick(2)], ExternalFirst: 80, ExternalLast: 80 + pick(2), InternalIP: addr("10.0.0.11"), InternalFirst: 8080, InternalLast: 8080}}
		}
		if coin() {
			f.QoSPolicyID = slow
		}
		w.put(ovn.KindFloatingIP, f.ID, f)
	case 8:
		w.put(ovn.KindPolicy, slow, &ovn.Policy{ID: slow, Rules: []ovn.QoSRule{{Type: "bandwidth_limit", Direction: []string{"egress", "ingress"}[pick(2)], Amount: 1000 + pick(2)}, {Type: "dscp_marking", Amount: 26}}[:pick(3)]})
	}
}
