package l2

import (
	"context"
	"slices"
	"strings"
	"testing"

	"neutrino/agent"
	"neutrino/agent/stray"
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// What we made for a mapping that is no more goes when its time is over; what others made stays.
func TestStrays(t *testing.T) {
	b := newBench(t)
	b.external()
	b.apply(&desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true, MTU: 1500}, port("p1", "flat", 1, "g"), group("g"))
	b.plug("p1")
	b.settled()
	b.vsctl("--", "add-port", "br-int", "int-other", "--", "set", "interface", "int-other", "type=patch", "options:peer=phy-other",
		"--", "add-port", "br-ex", "phy-other", "--", "set", "interface", "phy-other", "type=patch", "options:peer=int-other")
	b.run("ovs-ofctl", "-O", "OpenFlow14", "add-flow", "unix:"+b.path("br-ex.mgmt"), "cookie=0x77,table=9,priority=7,actions=drop")
	b.manager.Close()

	strays := stray.New(stray.Grace)
	b.manager = New(Options{Host: hostA, TunnelIP: b.manager.options.TunnelIP, Datapath: "dummy", RunDir: b.dir, Strays: strays}, quiet)
	b.applyChange(agent.Change{Full: true})
	names := func() (out []string) {
		for _, s := range strays.All() {
			out = append(out, string(s.Kind)+" "+s.On+" "+s.Name)
		}
		slices.Sort(out)
		return out
	}
	want := []string{"flows br-ex br-ex", "port br-ex phy-br-ex", "port br-int int-br-ex"}
	if got := names(); !slices.Equal(got, want) {
		t.Fatalf("strays are %q, want %q", got, want)
	}
	if !strings.Contains(b.vsctl("list-ports", "br-int"), "int-br-ex") || !strings.Contains(b.flows("br-ex"), "_vlan,NORMAL") {
		t.Error("within the time of grace something was removed")
	}
	strays.Expire()
	b.applyChange(agent.Change{Full: true})
	left := b.vsctl("list-ports", "br-int") + b.vsctl("list-ports", "br-ex")
	if strings.Contains(left, "-br-ex") || !strings.Contains(left, "int-other") || !strings.Contains(left, "phy-other") || !strings.Contains(left, "patch-tun") {
		t.Errorf("left are the ports\n%s", left)
	}
	conn, err := openflow.Dial(context.Background(), "unix", b.path("br-ex.mgmt"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	entries, err := conn.Dump(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(entries, openflow.Entry.Ours) || !slices.ContainsFunc(entries, func(e openflow.Entry) bool { return e.Cookie == 0x77 }) {
		t.Errorf("left are the flows\n%s", b.flows("br-ex"))
	}
	if got := names(); len(got) != 0 {
		t.Errorf("strays are still %q", got)
	}
}

// A port between bridges that somebody removes comes back at once, not with the next look at everything.
func TestJointComesBack(t *testing.T) {
	b := newBench(t)
	b.external()
	b.apply(&desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true, MTU: 1500}, port("p1", "flat", 1, "g"), group("g"))
	b.plug("p1")
	b.settled()
	before := b.flows("br-ex")
	b.vsctl("del-port", "br-int", "int-br-ex")
	b.until("the patch port is back", func() bool {
		b.applyChange(agent.Change{})
		return strings.Contains(b.vsctl("list-ports", "br-int"), "int-br-ex")
	})
	b.settled()
	if after := b.flows("br-ex"); strings.Count(after, "\n") != strings.Count(before, "\n") {
		t.Errorf("flows were\n%s\nand are\n%s", before, after)
	}
}
