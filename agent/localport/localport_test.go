package localport

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/agent/stray"
	"neutrino/desired"
)

// machine remembers what it is told to do: real namespaces are made in the tests of agent/plug/site, and by stories.
type machine struct {
	dhcp.Machine
	places map[string]dhcp.Place
	told   []address.MAC
}

func (m *machine) Ensure(_ context.Context, p dhcp.Place) error {
	m.places[p.Namespace] = p
	return nil
}
func (m *machine) Remove(_ context.Context, name string) error { delete(m.places, name); return nil }
func (m *machine) Tell(_ dhcp.Place, list []address.MAC)       { m.told = append(m.told, list...) }

// A host that answers for a port beside OVN has its network's metadata, knows the port, and tells it once; another host
// has nothing of it.
func TestAnswering(t *testing.T) {
	state := desired.NewState()
	state.Put(&desired.Network{ID: "n1", MTU: 1500, Subnets: []desired.Subnet{{ID: "s1", CIDR: netip.MustParsePrefix("10.0.0.0/24"), EnableDHCP: true}}})
	state.Put(&desired.Port{ID: "0123456789abcdef", NetworkID: "n1", DeviceOwner: "network:distributed", DeviceID: "ovnmeta-n1", MAC: address.MAC{2, 0, 0, 0, 0, 1},
		FixedIPs: []desired.FixedIP{{SubnetID: "s1", IP: netip.MustParseAddr("10.0.0.2")}}})
	port := func(answeredBy string) {
		state.Put(&desired.Port{ID: "p1", NetworkID: "n1", Host: "node", WiredBy: "baremetal", AnsweredBy: answeredBy, MAC: address.MAC{2, 0, 0, 0, 0, 5},
			FixedIPs: []desired.FixedIP{{SubnetID: "s1", IP: netip.MustParseAddr("10.0.0.5")}}})
	}
	fake := &machine{places: map[string]dhcp.Place{}}
	m := New("h1", fake, stray.New(0), slog.New(slog.DiscardHandler))
	defer m.Close()
	apply := func() {
		t.Helper()
		if _, err := m.Apply(t.Context(), state, agent.Change{}); err != nil {
			t.Fatal(err)
		}
	}
	mac := address.MAC{2, 0, 0, 0, 0, 5}
	for turn, by := range []string{"h1", "h2", "h1"} {
		port(by)
		apply()
		apply()
		place, made := fake.places["ovnmeta-n1"]
		if made != (by == "h1") || made && (place.Neighbours[netip.MustParseAddr("10.0.0.5")] != mac || place.Neighbours[mac.LinkLocal()] != mac || len(place.Neighbours) != 2) {
			t.Errorf("answered by %s: %v %+v", by, made, place)
		}
		if want := slices.Repeat([]address.MAC{mac}, turn/2+1); !slices.Equal(fake.told, want) {
			t.Errorf("answered by %s: told %v, want %v", by, fake.told, want)
		}
	}
}
