package plug

import (
	"os/exec"
	"strings"
	"testing"

	"neutrino/address"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/nft"
	"neutrino/dataplane/ovsdb"
	"neutrino/dataplane/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

var good = Device{
	Prefix: "ns-", PortID: "d0000000-0000-4000-8000-00000000000d", Namespace: "n",
	MAC: address.MustParseMAC("fa:16:3e:00:00:02"), MTU: 1450,
}

func TestCheck(t *testing.T) {
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Device){
		"short id":      func(d *Device) { d.PortID = "d0000000" },
		"quote in id":   func(d *Device) { d.PortID = `d0000000"-0` },
		"slash in id":   func(d *Device) { d.PortID = "d0000000/../x" },
		"no namespace":  func(d *Device) { d.Namespace = "" },
		"no MAC":        func(d *Device) { d.MAC = address.MAC{} },
		"multicast MAC": func(d *Device) { d.MAC[0] |= 1 },
		"MTU 0":         func(d *Device) { d.MTU = 0 },
		"MTU too large": func(d *Device) { d.MTU = 1 << 17 },
	} {
		d := good
		spoil(&d)
		if d.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := good.Name() + good.Outer(); n != "ns-d0000000-00tapd0000000-00" {
		t.Error(n)
	}
}

func TestPlug(t *testing.T) {
	ovs := sandbox.StartOVS(t)
	switchd := ovsdb.New(ovs.Endpoint)
	defer switchd.Close()
	p := New(switchd, "br-int", "l3")
	if _, err := p.Look(t.Context()); err == nil {
		t.Error("a bridge that is not there was looked at")
	}
	must(t, "ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
	if err := netns.Create("n", "test"); err != nil {
		t.Fatal(err)
	}
	defer netns.Delete("n")
	look := func() *View {
		t.Helper()
		v, err := p.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	plugIt := func(fresh bool) {
		t.Helper()
		got, err := p.Plug(t.Context(), look(), good)
		if err != nil || got != fresh {
			t.Fatalf("fresh %v, want %v; %v", got, fresh, err)
		}
		v := look()
		port := v.ports["tapd0000000-00"]
		if port.ExternalIDs["iface-id"] != good.PortID || port.ExternalIDs["attached-mac"] != good.MAC.String() || !hides(v.hidden[hiding("tapd0000000-00").Name], "tapd0000000-00") {
			t.Fatalf("port %+v, tables %v", port, v.hidden)
		}
	}
	plugIt(true)
	plugIt(false)
	if err := nft.Delete(t.Context(), "", hiding("tapd0000000-00")); err != nil {
		t.Fatal(err)
	}
	plugIt(false) // the rule is back
	must(t, "ip", "link", "delete", "tapd0000000-00")
	plugIt(true) // the pair is back
	must(t, "ovs-vsctl", "remove", "interface", "tapd0000000-00", "external_ids", "iface-id", "--", "set", "interface", "tapd0000000-00", "external_ids:iface-id=another")
	if _, err := p.Plug(t.Context(), look(), good); err == nil {
		t.Error("another's port was taken over")
	}
	must(t, "ovs-vsctl", "set", "interface", "tapd0000000-00", "external_ids:iface-id="+good.PortID)

	// Others' ports are not listed as ours, and unplugging leaves nothing.
	if list := New(switchd, "br-int", "dhcp").Plugged(look()); len(list) != 0 {
		t.Errorf("dhcp has plugged %v", list)
	}
	list := p.Plugged(look())
	if len(list) != 1 || list[0] != (Plugged{PortID: good.PortID, Namespace: "n", Outer: "tapd0000000-00"}) {
		t.Fatalf("plugged: %v", list)
	}
	for range 2 {
		if err := p.Unplug(t.Context(), look(), list[0]); err != nil {
			t.Fatal(err)
		}
	}
	if left := must(t, "ovs-vsctl", "list-ports", "br-int") + must(t, "ip", "link") + must(t, "nft", "list", "tables"); strings.Contains(left, "d0000000") {
		t.Errorf("left over:\n%s", left)
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
