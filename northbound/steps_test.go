package northbound_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutrino/driver/ovn"
)

// furtherStep changes one fact of those that randomStep has none of: address groups and rules that name them, ports with
// addresses of both families, pairs of both, live migrations, and subports of trunks.
func furtherStep(r *rand.Rand, w *world) {
	pick := func(n int) int { return r.IntN(n) }
	coin := func() bool { return pick(2) == 0 }
	switch pick(6) {
	case 0:
		w.put(ovn.KindAddressGroup, trusted, &ovn.AddressGroup{ID: trusted, Addresses: []netip.Prefix{prefix("192.0.2.0/24"), prefix("2001:db8:9::/48")}[pick(2):][:pick(2)]})
	case 1:
		if pick(3) == 0 {
			w.delete(ovn.KindAddressGroup, trusted)
		}
	case 2:
		g := &ovn.Group{ID: id(3, 3), Stateful: coin()}
		for i := range pick(4) {
			g.Rules = append(g.Rules, ovn.Rule{ID: id(17, i), Ingress: coin(), IPv6: coin(), Protocol: -1, PortMin: -1, PortMax: -1, RemoteAddresses: []string{"", trusted, id(4, 9)}[pick(3)]})
		}
		w.put(ovn.KindGroup, g.ID, g)
	case 3:
		w.put(ovn.KindNetwork, inner, cloud().facts[ovn.KindNetwork][inner]) // with its subnets of both families
	default:
		n := pick(12)
		p := &ovn.Port{
			ID: id(13, n), NetworkID: inner, AdminStateUp: true, MAC: mac(100 + n), DeviceID: id(11, n), DeviceOwner: "compute:nova", PortSecurity: coin(), VNICType: "normal",
			Groups: []string{web, db, id(3, 3)}[pick(3):], Host: "h1", Bound: coin(),
			FixedIPs: []ovn.FixedIP{{SubnetID: subnet4, IP: addr(fmt.Sprintf("10.0.0.%d", 10+n))}, {SubnetID: subnet6, IP: addr(fmt.Sprintf("2001:db8::%d", 10+n))}}[pick(2):][:pick(2)],
			Pairs: []ovn.AddressPair{
				{MAC: mac(5), IP: prefix("10.0.0.100/32")}, {MAC: mac(100 + n), IP: prefix("2001:db8::/64")}, {MAC: mac(100 + n), IP: prefix(fmt.Sprintf("2001:db8::%d/128", 10+pick(12)))},
				{MAC: mac(100 + n), IP: prefix("10.0.0.11/32")},
			}[pick(5):],
		}
		if coin() {
			p.MigratingTo = []string{"h2", "h3"}[pick(2)]
		}
		if pick(3) == 0 {
			p.Parent, p.Tag = id(13, (n+1+pick(11))%12), 7+pick(2)
		}
		w.put(ovn.KindPort, p.ID, p)
	}
}

// What a model has is what a new one computes also when chassis come, change and go, and floating IPs are where their ports are.
func TestModelsOnHosts(t *testing.T) {
	t.Parallel()
	histories, steps := 12, 500
	if testing.Short() {
		histories = 3
	}
	for seed := range histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w, hosts := cloud(), map[string]*ovn.Chassis{}
			fresh := func() *ovn.Model {
				o := ovn.DefaultOptions()
				o.DistributedFloating = true
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
			m := fresh()
			r := rand.New(rand.NewPCG(uint64(seed), 4))
			for i := range steps {
				before := len(w.entries)
				name := fmt.Sprint("c", r.IntN(8))
				switch r.IntN(8) {
				case 0:
					delete(hosts, name)
					m.Delete(ovn.KindChassis, name)
				case 1, 2:
					hosts[name] = randomChassis(r, name)
					m.Put(hosts[name])
				default:
					randomStep(r, w)
				}
				w.follow(m, before)
				if r.IntN(3) > 0 {
					continue // several changes are settled at once
				}
				m.Settle()
				if diff := cmp.Diff(contents(fresh()), contents(m)); diff != "" {
					t.Fatalf("step %d, the last of %v, or chassis %s: new (-) and grown (+) differ:\n%s", i, w.entries[before:], name, diff)
				}
			}
		})
	}
}

// randomChassis is a chassis with that name.
func randomChassis(r *rand.Rand, name string) *ovn.Chassis {
	h := &ovn.Chassis{Name: name, Hostname: "h" + name[1:], Gateway: r.IntN(2) == 0, Zones: []string{fmt.Sprint("z", r.IntN(2))}}
	if r.IntN(3) > 0 {
		h.BridgeMappings = map[string]string{"physnet1": "br-ex"}
	}
	return h
}
