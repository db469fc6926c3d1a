package plug

import (
	"strings"
	"testing"

	"neutrino/agent/stray"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/ovsdb"
	"neutrino/dataplane/sandbox"
)

// What nobody wants and bears our mark is found; what is another's is not, whatever its name.
func TestStrays(t *testing.T) {
	ovs := sandbox.StartOVS(t)
	switchd := ovsdb.New(ovs.Endpoint)
	defer switchd.Close()
	p := New(switchd, "br-int", "l3")
	must(t, "ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
	for _, name := range []string{"qrouter-wanted", "qrouter-ours"} {
		if err := netns.Create(name, stray.Mark); err != nil {
			t.Fatal(err)
		}
	}
	if err := netns.Create("qrouter-marked-by-others", "someone"); err != nil {
		t.Fatal(err)
	}
	must(t, "ip", "netns", "add", "qrouter-foreign")
	must(t, "ip", "netns", "add", "qrouter-unmarked")
	defer func() {
		names, _ := netns.List("")
		for _, name := range names {
			_ = netns.Delete(name)
		}
	}()
	port := func(name, owner, namespace string) {
		t.Helper()
		args := []string{"add-port", "br-int", name, "--", "set", "interface", name, "type=internal", "external_ids:iface-id=" + name}
		if owner != "" {
			args = append(args, "external_ids:neutrino-owner="+owner, "external_ids:neutrino-namespace="+namespace)
		}
		must(t, "ovs-vsctl", args...)
	}
	port("tap-wanted", "l3", "qrouter-wanted")
	port("tap-lost", "l3", "qrouter-lost")
	port("tap-inside", "l3", "qrouter-unmarked") // which makes that namespace ours
	port("tap-dhcp", "dhcp", "qdhcp-lost")
	port("tap-foreign", "", "")

	view, err := p.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Strays(view, "qrouter-", func(namespace string) bool { return namespace == "qrouter-wanted" })
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, f := range found {
		words = append(words, string(f.Kind)+" "+f.Name)
	}
	if got, want := strings.Join(words, ", "), "namespace qrouter-ours, namespace qrouter-unmarked, port tap-lost"; got != want {
		t.Errorf("strays are %s; want %s", got, want)
	}

	if err := p.RemovePort(t.Context(), view, stray.Thing{Kind: stray.Port, Name: "tap-lost", On: "br-int"}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"tap-foreign", "tap-dhcp"} {
		if err := p.RemovePort(t.Context(), view, stray.Thing{Kind: stray.Port, Name: name, On: "br-int"}); err == nil {
			t.Errorf("%s was removed, though another made it", name)
		}
	}
	left := strings.Fields(must(t, "ovs-vsctl", "list-ports", "br-int"))
	if got, want := strings.Join(left, " "), "tap-dhcp tap-foreign tap-inside tap-wanted"; got != want {
		t.Errorf("ports are %s; want %s", got, want)
	}
}
