package desired_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"reflect"
	"testing"

	"neutrino/address"
	"neutrino/desired"
)

var record = flag.Bool("record", false, "record the messages of this release, when no recording of its protocol is there")

// recording has one message of each kind, every field set, as the first release of the protocol's version sent them.
// It is never recorded anew: agents and servers of that release are out there.
const recording = "testdata/protocol-1.jsonl"

// full is every message with every field set.
func full() []desired.Message {
	ip, prefix := netip.MustParseAddr, netip.MustParsePrefix
	mac := address.MAC{0xfa, 0x16, 0x3e, 1, 2, 3}
	route := desired.Route{Destination: prefix("10.9.0.0/16"), NextHop: ip("10.0.0.9")}
	subnet := desired.Subnet{ID: "s1", CIDR: prefix("10.0.0.0/24"), Gateway: ip("10.0.0.1"), EnableDHCP: true, RAMode: "slaac", AddressMode: "slaac",
		DNS: []netip.Addr{ip("192.0.2.53")}, Routes: []desired.Route{route}}
	port := desired.RouterPort{PortID: "p2", NetworkID: "n1", MAC: mac, MTU: 1450, Addresses: []netip.Prefix{prefix("10.0.0.1/24")}, Subnets: []desired.Subnet{subnet}}
	return []desired.Message{
		{Type: desired.Hello, Version: desired.Protocol, Epoch: "e1"},
		{Type: desired.Snapshot},
		{Type: desired.Put, Item: &desired.Host{Name: "h1", TunnelIP: ip("192.0.2.1")}},
		{Type: desired.Put, Item: &desired.Network{ID: "n1", ProjectID: "t1", MTU: 1450, Type: "vxlan", Physical: "physnet1", SegmentationID: 7, AdminStateUp: true,
			External: true, DNSDomain: "example.org.", Subnets: []desired.Subnet{subnet}, Segments: []desired.Segment{{Type: "vlan", Physical: "physnet1", SegmentationID: 8}}}},
		{Type: desired.Put, Item: &desired.Port{
			ID: "p1", Revision: 3, NetworkID: "n1", ProjectID: "t1", Host: "h1", MAC: mac, FixedIPs: []desired.FixedIP{{SubnetID: "s1", IP: ip("10.0.0.5")}},
			DeviceID: "d1", DeviceOwner: "compute:nova", AdminStateUp: true, VNICType: "normal", Hostname: "a", DHCP: []desired.DHCPOption{{Name: "mtu", Value: "1400", IPVersion: 4}},
			Metadata:     &desired.Metadata{Name: "a", UserData: []byte{0, 255}, PublicKeys: map[string]string{"k": "v"}},
			AddressPairs: []desired.AddressPair{{MAC: mac, IP: prefix("10.9.0.0/16")}}, PortSecurity: true, SecurityGroups: []string{"g1"},
		}},
		{Type: desired.Put, Item: &desired.SecurityGroup{ID: "g1", Stateful: true, Rules: []desired.Rule{{
			ID: "r1", Ingress: true, IPv6: true, Protocol: 6, PortMin: 80, PortMax: 81, RemotePrefix: prefix("fd00::/64"), RemoteGroup: "g1"}}}},
		{Type: desired.Put, Item: &desired.Member{GroupID: "g1", PortID: "p1", Addresses: []netip.Prefix{prefix("10.0.0.5/32")}}},
		{Type: desired.Put, Item: &desired.Router{
			ID: "r1", Revision: 4, ProjectID: "t1", Host: "h1", AdminStateUp: true, Interfaces: []desired.RouterPort{port},
			Gateway: &desired.Gateway{RouterPort: port, NextHops: []netip.Addr{ip("203.0.113.1")}, EnableSNAT: true}, Routes: []desired.Route{route},
			FloatingIPs: []desired.FloatingIP{{ID: "f1", Revision: 5, Floating: ip("203.0.113.9"), Fixed: ip("10.0.0.5")}},
		}},
		{Type: desired.Delete, Key: &desired.Key{Kind: desired.KindMember, ID: "g1/p9"}},
		{Type: desired.Synced, Revision: 42},
		{Type: desired.Ping},
	}
}

func recorded(t *testing.T) [][]byte {
	t.Helper()
	if *record {
		if _, err := os.Stat(recording); errors.Is(err, os.ErrNotExist) {
			var b bytes.Buffer
			for _, m := range full() {
				if err := json.NewEncoder(&b).Encode(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(recording, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		lines = append(lines, bytes.Clone(s.Bytes()))
	}
	return lines
}

// An agent of this release understands a server of the recorded one: every word of it.
func TestMessagesOfTheReleaseBefore(t *testing.T) {
	lines := recorded(t)
	for i, want := range full() {
		var m desired.Message
		if err := json.Unmarshal(lines[i], &m); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		if diff := same(want, m); diff != "" {
			t.Errorf("%s means another thing now:\n%s", lines[i], diff)
		}
	}
	if len(lines) != len(full()) {
		t.Errorf("%d messages are recorded, %d are there", len(lines), len(full()))
	}
}

// An agent of the recorded release understands a server of this one: whatever it looks for is still said, in the same
// form. What is said beside it passes over.
func TestMessagesForTheReleaseBefore(t *testing.T) {
	for i, line := range recorded(t) {
		now, err := json.Marshal(full()[i])
		if err != nil {
			t.Fatal(err)
		}
		var old, fresh any
		if err := errors.Join(json.Unmarshal(line, &old), json.Unmarshal(now, &fresh)); err != nil {
			t.Fatal(err)
		}
		if where := lacks(fresh, old, ""); where != "" {
			t.Errorf("an agent of the release before misses %s in %s", where, now)
		}
	}
}

// lacks names the first thing in old that is not the same in fresh; "" for none.
func lacks(fresh, old any, at string) string {
	switch o := old.(type) {
	case map[string]any:
		f, ok := fresh.(map[string]any)
		if !ok {
			return at
		}
		for key, value := range o {
			inner, there := f[key]
			if !there {
				return at + "." + key
			}
			if where := lacks(inner, value, at+"."+key); where != "" {
				return where
			}
		}
		return ""
	case []any:
		f, ok := fresh.([]any)
		if !ok || len(f) != len(o) {
			return at
		}
		for i := range o {
			if where := lacks(f[i], o[i], at+"[]"); where != "" {
				return where
			}
		}
		return ""
	}
	if !reflect.DeepEqual(fresh, old) {
		return at
	}
	return ""
}

// A server of the next release says more of the same things, in every object that it sends: nothing of that is in the way.
func TestMessagesOfTheNextRelease(t *testing.T) {
	for i, want := range full() {
		var v any
		if err := json.Unmarshal(recorded(t)[i], &v); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(newer(v))
		if err != nil {
			t.Fatal(err)
		}
		var m desired.Message
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := same(want, m); diff != "" {
			t.Errorf("%s is another thing:\n%s", text, diff)
		}
	}
}

// newer puts unknown attributes into every object.
func newer(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for key, value := range x {
			x[key] = newer(value)
		}
		if _, free := x["k"]; !free { // a map of names, not an object
			x["of_the_next_release"] = map[string]any{"deep": []any{1, "two", nil}}
		}
	case []any:
		for i := range x {
			x[i] = newer(x[i])
		}
	}
	return v
}
