package site

import (
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"neutrino/address"
	"neutrino/agent/dhcp"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/ovsdb"
	"neutrino/dataplane/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func TestPlace(t *testing.T) {
	ovs := sandbox.StartOVS(t)
	switchd := ovsdb.New(ovs.Endpoint)
	defer switchd.Close()
	must(t, "ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
	m := New(switchd, "br-int", slog.Default())
	defer m.Close()
	place := dhcp.Place{
		Namespace: "qdhcp-n1", PortID: "d0000000-0000-4000-8000-00000000000d", Device: "ns-d0000000-00",
		MAC: address.MustParseMAC("fa:16:3e:00:00:02"), MTU: 1450,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("169.254.169.254/32"), netip.MustParsePrefix("fe80::a9fe:a9fe/64")},
		Gateways:  []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")},
	}
	for range 2 {
		if err := m.Ensure(t.Context(), place); err != nil {
			t.Fatal(err)
		}
	}
	first, err := m.Identity(place.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	got := must(t, "ip", "-n", place.Namespace, "addr") + must(t, "ip", "-n", place.Namespace, "route") + must(t, "ovs-vsctl", "get", "interface", "tapd0000000-00", "external_ids")
	for _, want := range []string{
		"ns-d0000000-00", "fa:16:3e:00:00:02", "mtu 1450", "10.0.0.2/24", "169.254.169.254/32", "fe80::a9fe:a9fe/64", "fe80::f816:3eff:fe00:2/64",
		"default via 10.0.0.1", "iface-id=\"" + place.PortID,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}

	// Another port takes the place over: the old one is gone from everywhere.
	place.PortID, place.Device, place.Gateways = "e0000000-0000-4000-8000-00000000000e", "ns-e0000000-00", nil
	if err := m.Ensure(t.Context(), place); err != nil {
		t.Fatal(err)
	}
	if again, err := m.Identity(place.Namespace); err != nil || again != first {
		t.Errorf("the namespace was made anew: %v", err)
	}
	got = must(t, "ip", "-n", place.Namespace, "link") + must(t, "ip", "link") + must(t, "ovs-vsctl", "show")
	if strings.Contains(got, "d0000000-00") || !strings.Contains(got, "ns-e0000000-00") || strings.Contains(must(t, "ip", "-n", place.Namespace, "route"), "default") {
		t.Errorf("after another port:\n%s", got)
	}

	for range 2 {
		if err := m.Remove(t.Context(), place.Namespace); err != nil {
			t.Fatal(err)
		}
	}
	names, err := netns.List("qdhcp-")
	if err != nil || len(names) != 0 {
		t.Errorf("namespaces: %v %v", names, err)
	}
	if got := must(t, "ip", "link") + must(t, "ovs-vsctl", "show") + must(t, "nft", "list", "tables"); strings.Contains(got, "e0000000") {
		t.Errorf("left over:\n%s", got)
	}
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
