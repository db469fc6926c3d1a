package desired_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neutrino/address"
	"neutrino/desired"
)

func everyMessage() []desired.Message {
	subnet := desired.Subnet{ID: "s1", CIDR: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"), EnableDHCP: true}
	mac := address.MAC{0xfa, 0x16, 0x3e, 1, 2, 3}
	return []desired.Message{
		{Type: desired.Hello, Version: desired.Protocol, Epoch: "e1"},
		{Type: desired.Snapshot},
		{Type: desired.Put, Item: &desired.Host{Name: "h1", TunnelIP: netip.MustParseAddr("192.0.2.1")}},
		{Type: desired.Put, Item: &desired.Network{ID: "n1", MTU: 1450, Type: "vxlan", SegmentationID: 7, Subnets: []desired.Subnet{subnet}}},
		{Type: desired.Put, Item: &desired.Port{
			ID: "p1", Revision: 3, NetworkID: "n1", Host: "h1", MAC: mac, FixedIPs: []desired.FixedIP{{SubnetID: "s1", IP: netip.MustParseAddr("10.0.0.5")}},
			SubPort: &desired.SubPort{Parent: "p9", VLAN: 100}, SecurityGroups: []string{"g1"}, Metadata: &desired.Metadata{Name: "a", UserData: []byte{0, 255}, PublicKeys: map[string]string{"k": "v"}},
			AddressPairs: []desired.AddressPair{{MAC: mac, IP: netip.MustParsePrefix("10.9.0.0/16")}},
		}},
		{Type: desired.Put, Item: &desired.SecurityGroup{ID: "g1", Stateful: true, Rules: []desired.Rule{{ID: "r1", Protocol: -1, PortMin: -1, PortMax: -1, RemoteGroup: "g1"}}}},
		{Type: desired.Put, Item: &desired.Member{GroupID: "g1", PortID: "p1", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}}},
		{Type: desired.Put, Item: &desired.Router{
			ID: "r1", Host: "h1", Gateway: &desired.Gateway{RouterPort: desired.RouterPort{PortID: "p2", MAC: mac}, NextHops: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, EnableSNAT: true},
			Further: []desired.Gateway{{RouterPort: desired.RouterPort{PortID: "p3", MAC: mac}}}, ECMP: true,
			FloatingIPs: []desired.FloatingIP{{ID: "f1", Floating: netip.MustParseAddr("203.0.113.9"), Fixed: netip.MustParseAddr("10.0.0.5"), Gateway: "p3"}, {
				ID: "f2", Floating: netip.MustParseAddr("203.0.113.10"),
				Forwards: []desired.Forward{{ID: "w1", Protocol: "tcp", First: 80, Last: 81, To: netip.MustParseAddr("10.0.0.5"), ToFirst: 8080, ToLast: 8081}},
			}},
		}},
		{Type: desired.Delete, Key: &desired.Key{Kind: desired.KindMember, ID: "g1/p9"}},
		{Type: desired.Synced, Revision: 42},
		{Type: desired.Ping},
	}
}

func same(a, b desired.Message) string {
	return cmp.Diff(a, b, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}))
}

func TestMessagesSurviveTheWire(t *testing.T) {
	for _, m := range everyMessage() {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("%s: %v", m.Type, err)
		}
		var back desired.Message
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if diff := same(m, back); diff != "" {
			t.Errorf("%s came back as another:\n%s", b, diff)
		}
	}
}

func TestBadMessagesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, line string
		unknown    bool // only passed over
	}{
		{"no JSON", `hello`, false},
		{"no object", `[]`, false},
		{"no type", `{}`, false},
		{"hello of nobody", `{"type":"hello"}`, false},
		{"put of nothing", `{"type":"put","kind":"port"}`, false},
		{"put of null", `{"type":"put","kind":"port","item":null}`, false},
		{"put without an id", `{"type":"put","kind":"port","item":{"network_id":"n1"}}`, false},
		{"put of a bad address", `{"type":"put","kind":"port","item":{"id":"p","mac":"fa:16"}}`, false},
		{"put of a bad prefix", `{"type":"put","kind":"member","item":{"group_id":"g","port_id":"p","addresses":["10.0.0.0/33"]}}`, false},
		{"member of no group", `{"type":"put","kind":"member","item":{"port_id":"p"}}`, false},
		{"member of a strange group", `{"type":"put","kind":"member","item":{"group_id":"a/b","port_id":"p"}}`, false},
		{"delete of nothing", `{"type":"delete"}`, false},
		{"delete without an id", `{"type":"delete","key":{"kind":"port","id":""}}`, false},
		{"negative revision", `{"type":"synced","revision":-1}`, false},
		{"kind of a newer server", `{"type":"put","kind":"balancer","item":{"id":"b"}}`, true},
		{"delete of a newer server", `{"type":"delete","key":{"kind":"balancer","id":"b"}}`, true},
		{"message of a newer server", `{"type":"advice"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m desired.Message
			err := json.Unmarshal([]byte(c.line), &m)
			if err == nil {
				t.Fatalf("taken as %+v", m)
			}
			if errors.Is(err, desired.ErrUnknownKind) != c.unknown {
				t.Fatalf("wrong error: %v", err)
			}
		})
	}
}

// Whatever is taken can be said again, and means the same.
func FuzzMessage(f *testing.F) {
	for _, m := range everyMessage() {
		b, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"type":"put","kind":"host","item":{"name":"h","tunnel_ip":""}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m desired.Message
		if json.Unmarshal(b, &m) != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("%q was taken but can't be said: %v", b, err)
		}
		var back desired.Message
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatalf("%q, from %q, is refused: %v", again, b, err)
		}
		third, err := json.Marshal(back)
		if err != nil || string(third) != string(again) {
			t.Fatalf("%q became %q (%v)", again, third, err)
		}
		if m.Type == desired.Put {
			state := desired.NewState()
			state.Put(m.Item)
			if state.Get(m.Item.Key()) == nil {
				t.Fatalf("%s is not found under its key", m.Item.Key())
			}
			state.Delete(m.Item.Key())
			if len(state.Keys()) != 0 {
				t.Fatalf("%s can't be deleted", m.Item.Key())
			}
		}
	})
}
