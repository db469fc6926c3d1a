package probe

import (
	"context"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/agent/l2"
	"neutrino/agent/metadata"
	"neutrino/agent/plug/site"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/ovsdb"
	"neutrino/dataplane/sandbox"
	"neutrino/desired"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

const (
	network  = "n0000000-0000-4000-8000-000000000001"
	dhcpPort = "d0000000-0000-4000-8000-00000000000d"
)

// cloud is an isolated network that h1 serves.
func cloud() *desired.State {
	s := desired.NewState()
	s.Put(&desired.Host{Name: "h1", TunnelIP: netip.MustParseAddr("172.29.0.1")})
	s.Put(&desired.Network{ID: network, Type: "local", MTU: 1500, AdminStateUp: true, Subnets: []desired.Subnet{
		{ID: "s4", CIDR: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"), EnableDHCP: true},
	}})
	s.Put(&desired.Port{
		ID: dhcpPort, NetworkID: network, Host: "h1", DeviceOwner: "network:dhcp", AdminStateUp: true, MAC: address.MustParseMAC("fa:16:3e:00:00:02"),
		FixedIPs: []desired.FixedIP{{SubnetID: "s4", IP: netip.MustParseAddr("10.0.0.2")}},
	})
	return s
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// The probes of DHCP and metadata tell what is broken, with the real switch, responders and namespaces.
func TestServices(t *testing.T) {
	ovs := sandbox.StartOVS(t)
	log := slog.New(slog.DiscardHandler)
	switchd := ovsdb.New(ovs.Endpoint)
	t.Cleanup(switchd.Close)
	place := site.New(switchd, "br-int", log)
	t.Cleanup(place.Close)
	l2m := l2.New(l2.Options{Host: "h1", Datapath: "netdev", RunDir: ovs.RunDir}, log)
	t.Cleanup(l2m.Close)
	responder, err := dhcp.New(dhcp.Options{Host: "h1"}, place, log)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := metadata.New(metadata.Options{Host: "h1"}, place, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(meta.Close)
	t.Cleanup(func() { _ = place.Remove(context.Background(), "qdhcp-"+network) })
	m := New(Options{Host: "h1", RunDir: ovs.RunDir, Roles: []string{"dhcp", "metadata", "l3"}}, log)
	t.Cleanup(m.Close)

	state := cloud()
	bring := func(managers ...agent.Manager) {
		t.Helper()
		for _, one := range managers {
			if _, err := one.Apply(t.Context(), state, agent.Change{Full: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// says probes until the probe fails with the words, or with none succeeds.
	says := func(probe, words string) {
		t.Helper()
		got := ""
		for range 20 {
			m.Round(t.Context())
			for _, r := range m.Results() {
				if r.Probe != probe || r.Target != network {
					continue
				}
				got = r.Reason
				if r.OK != (got == "") {
					t.Fatalf("a result that contradicts itself: %+v", r)
				}
				if words == "" && r.OK || words != "" && strings.Contains(r.Reason, words) {
					return
				}
			}
			time.Sleep(50 * time.Millisecond)
			bring(l2m)
		}
		t.Fatalf("the probe of %s says %q, not %q\n%s", probe, got, words, must(t, "ovs-vsctl", "show"))
	}
	bring(m)
	says(DHCP, "is not plugged into br-int")
	bring(l2m, responder, meta, l2m)
	says(DHCP, "")
	says(Metadata, "")
	if got, want := m.Summary(DHCP), (map[string]any{"succeeding": 1, "failing": []string{}}); !cmp.Equal(got, want) {
		t.Errorf("the summary is %v", got)
	}

	meta.Close()
	says(Metadata, "connection refused")
	bring(meta)
	says(Metadata, "")

	responder.Close()
	says(DHCP, "came to the DHCP port, and was not answered")
	if got := m.Summary(DHCP)["failing"].([]string); len(got) != 1 || !strings.HasPrefix(got[0], network+": ") {
		t.Errorf("failing are %q", got)
	}
	responder, err = dhcp.New(dhcp.Options{Host: "h1"}, place, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(responder.Close)
	bring(responder)
	says(DHCP, "")

	l2m.Close() // or it would mend what follows
	must(t, "ovs-ofctl", "-O", "OpenFlow14", "del-flows", "unix:"+ovs.RunDir+"/br-int.mgmt")
	m.Round(t.Context())
	if r := m.Results()[0]; r.OK || r.Probe != DHCP || !strings.Contains(r.Reason, "did not come through br-int") {
		t.Errorf("without flows the first result is %+v", r)
	}
	state.Delete(desired.Key{Kind: desired.KindPort, ID: dhcpPort})
	bring(m)
	m.Round(t.Context())
	if left := m.Results(); len(left) != 0 {
		t.Errorf("of what is served no more there are still results: %+v", left)
	}
}

// A peer that can't be reached is told from one that is reached by small packets only.
func TestTunnels(t *testing.T) {
	for name, mtu := range map[string]string{"good": "1500", "narrow": "1400"} {
		if err := netns.Create(name, "test"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = netns.Delete(name) })
		number := map[string]string{"good": "2", "narrow": "3"}[name]
		must(t, "ip", "link", "add", "t-"+name, "type", "veth", "peer", "name", "eth0", "netns", name)
		t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "t-"+name).Run() })
		must(t, "ip", "addr", "add", "172.29."+number+".1/24", "dev", "t-"+name)
		must(t, "ip", "link", "set", "t-"+name, "up")
		must(t, "ip", "-n", name, "addr", "add", "172.29."+number+".2/24", "dev", "eth0")
		must(t, "ip", "-n", name, "link", "set", "eth0", "mtu", mtu, "up")
		must(t, "ip", "-n", name, "route", "add", "172.29.2.1/32", "via", "172.29."+number+".1", "onlink", "dev", "eth0")
	}
	m := New(Options{Host: "h1", TunnelIP: netip.MustParseAddr("172.29.2.1")}, slog.New(slog.DiscardHandler))
	t.Cleanup(m.Close)
	state := desired.NewState()
	state.Put(&desired.Network{ID: "blue", Type: "vxlan", MTU: 1450, AdminStateUp: true})
	for host, ip := range map[string]string{"h1": "172.29.2.1", "good": "172.29.2.2", "narrow": "172.29.3.2", "absent": "172.29.2.9"} {
		state.Put(&desired.Host{Name: host, TunnelIP: netip.MustParseAddr(ip)})
	}
	if _, err := m.Apply(t.Context(), state, agent.Change{Full: true}); err != nil {
		t.Fatal(err)
	}
	m.Round(t.Context())
	want := map[string]string{"good": "", "narrow": "not to tunnel packets of 1500 bytes", "absent": "does not answer"}
	results := m.Results()
	if len(results) != len(want) {
		t.Errorf("results are %+v", results)
	}
	for _, r := range results {
		if r.OK != (want[r.Target] == "") || !strings.Contains(r.Reason, want[r.Target]) {
			t.Errorf("%s: %+v, want %q", r.Target, r, want[r.Target])
		}
	}
}
