package server

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/hub"
	"neutrino/service/agent"
	"neutrino/service/facts"
	"neutrino/store"
)

// seen is a hub that sees of hosts what a test says.
type seen struct {
	hosts map[string]hub.Presence
	awoke int
}

func (s *seen) Presences() (list []hub.Presence, ready bool) {
	for _, p := range s.hosts {
		list = append(list, p)
	}
	return list, true
}

func (s *seen) Awoke() { s.awoke++ }

func (s *seen) here(hosts ...string) {
	for _, name := range hosts {
		s.hosts[name] = hub.Presence{Host: name, Stream: 1, Here: true}
	}
}

func (s *seen) quiet(host string, d time.Duration, left bool) {
	s.hosts[host] = hub.Presence{Host: host, Stream: 1, Here: !left, Left: left, Quiet: d}
}

func watching(t *testing.T, s *Services, hosts ...string) (*watch, *seen) {
	t.Helper()
	eyes := &seen{hosts: map[string]hub.Presence{}}
	eyes.here(hosts...)
	w := newWatch(s, nil, DefaultFailover(), 75*time.Second, slog.New(slog.DiscardHandler))
	w.hub = eyes
	lookAt(t, w, time.Now())
	return w, eyes
}

// lookAt looks, with all patience between two tries over.
func lookAt(t *testing.T, w *watch, now time.Time) {
	t.Helper()
	w.tried = time.Time{}
	if err := w.look(context.Background(), now); err != nil {
		t.Fatal(err)
	}
}

// small is a network with DHCP, a router on it with a gateway, and a port.
var small = []step{
	{do: "POST /networks", body: `{"network": {"name": "ext", "router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 201, keep: "ext"},
	{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`, status: 201},
	{do: "POST /networks", as: "demo", body: `{"network": {"name": "blue"}}`, status: 201, keep: "net"},
	{do: "POST /subnets", as: "demo", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201, keep: "sub"},
	{do: "POST /routers", as: "demo", body: `{"router": {"name": "way", "external_gateway_info": {"network_id": "$ext"}}}`, status: 201, keep: "router"},
	{do: "PUT /routers/$router/add_router_interface", as: "demo", body: `{"subnet_id": "$sub"}`, status: 200},
	{do: "GET /networks/$net/dhcp-agents", status: 200, keep: "dhcp=agents.0.host"},
	{do: "GET /routers/$router/l3-agents", status: 200, keep: "on=agents.0.host"},
	{do: "GET /ports?network_id=$net&device_owner=network:dhcp", status: 200, keep: "dhcpport=ports.0.id"},
	{do: "GET /ports/$dhcpport", status: 200, keep: "dhcpip=port.fixed_ips.0.ip_address"},
}

// newest is the newest revision.
func newest(t *testing.T, s *Services) int64 {
	t.Helper()
	revision, err := s.Engine.DB.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// TestLostHost: a host that falls silent loses its routers and DHCP to others, once; when it comes back it takes new
// work only.
func TestLostHost(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2", "h3")
	kept := map[string]string{}
	tellOn(t, s, kept, small)
	if kept["on"] != "h1" || kept["dhcp"] != "h1" {
		t.Fatalf("the router is on %s, DHCP on %s", kept["on"], kept["dhcp"])
	}
	w, eyes := watching(t, s, "h1", "h2", "h3")
	now := time.Now()

	eyes.quiet("h1", 7*time.Second, false)
	before := newest(t, s)
	lookAt(t, w, now)
	if newest(t, s) != before {
		t.Error("something changed though the host was silent for a moment only")
	}
	eyes.quiet("h1", 9*time.Second, false)
	lookAt(t, w, now)
	tellOn(t, s, kept, []step{
		{do: "GET /agents?host=h1", status: 200, want: []string{`"alive": false`}, not: []string{`"alive": true`}},
		{do: "GET /agents?alive=false", status: 200, want: []string{`"h1"`}, not: []string{`"h2"`}},
		{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"host": "h2"`}, not: []string{`"h1"`}},
		{do: "GET /ports?device_id=$router", status: 200, want: []string{`"binding:host_id": "h2"`, `"binding:vif_type": "ovs"`}, not: []string{`"h1"`}},
		{do: "GET /networks/$net/dhcp-agents", status: 200, want: []string{`"host": "h2"`}, not: []string{`"h1"`}},
		{do: "GET /ports?network_id=$net&device_owner=network:dhcp", status: 200, want: []string{`"$dhcpport"`, `"$dhcpip"`, `"binding:host_id": "h2"`}, not: []string{`"h1"`}},
		{do: "GET /routers/$router/explain", status: 200, want: []string{`"hosts":["h2"]`, `it is lost: nothing was heard of it for 9s`}},
	})
	before = newest(t, s)
	lookAt(t, w, now)
	if newest(t, s) != before {
		t.Error("it goes on moving")
	}
	hosts(t, s, "h1")
	eyes.here("h1")
	lookAt(t, w, now)
	tellOn(t, s, kept, []step{
		{do: "GET /agents?host=h1", status: 200, want: []string{`"alive": true`}, not: []string{`"alive": false`}},
		{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"host": "h2"`}, not: []string{`"h1"`}},
		{do: "POST /routers", body: `{"router": {}}`, status: 201, keep: "another"},
		{do: "GET /routers/$another/l3-agents", status: 200, want: []string{`"host": "h1"`}},
	})
}

// TestStoppedAgent: a host whose agent was stopped, its machine living on, is let alone for agent_down_time.
func TestStoppedAgent(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2")
	kept := map[string]string{}
	tellOn(t, s, kept, small)
	w, eyes := watching(t, s, "h1", "h2")
	eyes.quiet("h1", 70*time.Second, true)
	lookAt(t, w, time.Now())
	still := step{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"host": "h1"`}}
	tellOn(t, s, kept, []step{still})
	eyes.quiet("h1", 76*time.Second, true)
	lookAt(t, w, time.Now())
	still.want = []string{`"host": "h2"`}
	tellOn(t, s, kept, []step{still})

	// A machine that shuts down says so, and nobody waits.
	hosts(t, s, "h1")
	eyes.here("h1")
	lookAt(t, w, time.Now())
	eyes.hosts["h2"] = hub.Presence{Host: "h2", Stream: 1, Left: true, Gone: true}
	lookAt(t, w, time.Now())
	still.want = []string{`"host": "h1"`}
	tellOn(t, s, kept, []step{still, {do: "GET /routers/$router/explain", status: 200, want: []string{"it is lost: its machine is shutting down"}}})
}

// TestTwoServersOneMove: servers that find the same host lost at the same time move its work once.
func TestTwoServersOneMove(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2", "h3")
	kept := map[string]string{}
	tellOn(t, s, kept, small)
	w, eyes := watching(t, s, "h1", "h2", "h3")
	other, _ := watching(t, s)
	eyes.quiet("h1", 9*time.Second, false)
	lookAt(t, w, time.Now())
	hosts(t, s, "h1") // and all its work goes back to it
	err := s.Engine.Update(context.Background(), nil, func(c *engine.Call) error {
		r, err := s.Router.Get(c, kept["router"])
		if err != nil {
			return err
		}
		if err := s.Router.Place(c, r, "h1"); err != nil {
			return err
		}
		_, err = s.Agents.Lose(c, "h1", w.id, "a test has it lost")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := revisionOf(t, s, kept["router"])
	var both sync.WaitGroup
	for _, x := range []*watch{w, other} {
		both.Go(func() {
			if err := x.rehouse(context.Background(), time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if after := revisionOf(t, s, kept["router"]); after != before+1 {
		t.Errorf("the router's revision went from %d to %d", before, after)
	}
	tellOn(t, s, kept, []step{{do: "GET /routers/$router/l3-agents", status: 200, not: []string{`"h1"`}}})
}

func revisionOf(t *testing.T, s *Services, router string) (n int64) {
	t.Helper()
	err := s.Engine.View(context.Background(), nil, func(c *engine.Call) error {
		r, err := s.Router.Routers.Get(c, router)
		n = r.Revision
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestServerGone: the hosts of a server that is gone have time to come to another; one that does not come is lost.
func TestServerGone(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2", "h3")
	kept := map[string]string{}
	tellOn(t, s, kept, small)
	gone, _ := watching(t, s, "h1", "h2", "h3")
	w, eyes := watching(t, s)
	now := time.Now()
	on := func(host string) {
		t.Helper()
		tellOn(t, s, kept, []step{{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"host": "` + host + `"`}}})
	}
	for range 12 { // it lives
		now = now.Add(5 * time.Second)
		lookAt(t, gone, now)
		lookAt(t, w, now)
	}
	on("h1")
	lookAt(t, w, now.Add(11*time.Second)) // its hosts are without one from here on
	eyes.here("h2", "h3")
	lookAt(t, w, now.Add(13*time.Second))
	lookAt(t, w, now.Add(40*time.Second))
	on("h1")
	lookAt(t, w, now.Add(42*time.Second))
	on("h2")
}

// TestTooManyLost: when more hosts are lost than live, nothing moves.
func TestTooManyLost(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2", "h3", "h4")
	kept := map[string]string{}
	tellOn(t, s, kept, small)
	for range 3 {
		tellOn(t, s, kept, []step{{do: "POST /routers", body: `{"router": {}}`, status: 201}})
	}
	w, eyes := watching(t, s, "h1", "h2", "h3", "h4")
	for _, host := range []string{"h1", "h2", "h3"} {
		eyes.quiet(host, 9*time.Second, false)
	}
	lookAt(t, w, time.Now())
	tellOn(t, s, kept, []step{
		{do: "GET /agents?host=h2", status: 200, want: []string{`"alive": false`}},
		{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"host": "h1"`}},
	})
	hosts(t, s, "h3")
	eyes.here("h3")
	lookAt(t, w, time.Now())
	tellOn(t, s, kept, []step{{do: "GET /routers/$router/l3-agents", status: 200, not: []string{`"h1"`, `"h2"`}}})
}

// TestServerSlept: a server that did not run for a while asks its hub to begin anew.
func TestServerSlept(t *testing.T) {
	s := open(t)
	w, eyes := watching(t, s)
	w.ended = time.Now()
	lookAt(t, w, w.ended.Add(time.Second))
	if eyes.awoke != 0 {
		t.Error("it slept for a second?")
	}
	lookAt(t, w, w.ended.Add(10*time.Second))
	if eyes.awoke != 1 {
		t.Error("ten seconds went unnoticed")
	}
}

// TestDrain: routers leave a host when their next hosts have made them ready, DHCP at once; what no host takes is said.
func TestDrain(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2")
	kept := map[string]string{}
	tellOn(t, s, kept, small)
	w, _ := watching(t, s, "h1", "h2")
	tellOn(t, s, kept, []step{
		{do: "GET /agents?host=h1&agent_type=L3%20agent", status: 200, keep: "l3=agents.0.id"},
		{do: "GET /agents?host=h1&agent_type=DHCP%20agent", status: 200, keep: "d=agents.0.id"},
		{do: "PUT /agents/$l3/drain", as: "demo", status: 403},
		{do: "PUT /agents/$l3", body: `{"agent": {"admin_state_up": false}}`, status: 200},
		{do: "PUT /agents/$d", body: `{"agent": {"admin_state_up": false}}`, status: 200},
		{do: "PUT /agents/$d/drain", status: 200, want: []string{`"moved":[{"resource":"network","id":"$net","name":"blue","from":"h1","to":"h2"}]`}},
		{do: "PUT /agents/$d/drain", status: 200, want: []string{`"moved":[]`}},
		{do: "PUT /agents/$l3/drain", status: 200, want: []string{`"moving":[{"resource":"router","id":"$router","name":"way","from":"h1","to":"h2"}]`}},
		{do: "PUT /agents/$l3/drain", status: 200, want: []string{`"moving":[{"resource":"router"`}},
		{do: "GET /routers/$router/explain", status: 200, want: []string{`"hosts":["h1"]`, `"next_host":"h2"`}},
	})
	lookAt(t, w, time.Now())
	on := step{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"host": "h1"`}}
	tellOn(t, s, kept, []step{on})
	ready := []facts.StatusChange{{Kind: desired.KindRouterMove, ID: kept["router"], Status: "ACTIVE"}}
	if err := newSource(s).reader.SetStatus(context.Background(), ready, nil); err != nil {
		t.Fatal(err)
	}
	lookAt(t, w, time.Now())
	on.want = []string{`"host": "h2"`}
	tellOn(t, s, kept, []step{
		on,
		{do: "PUT /agents/$l3/drain", status: 200, want: []string{`"moving":[]`, `"stuck":[]`}},
		{do: "GET /ports?device_id=$router", status: 200, want: []string{`"h2"`}, not: []string{`"h1"`}},
		// There is nowhere to go from h2.
		{do: "GET /agents?host=h2&agent_type=L3%20agent", status: 200, keep: "l3b=agents.0.id"},
		{do: "PUT /agents/$l3b/drain", status: 200, want: []string{`"stuck":[{"resource":"router","id":"$router","name":"way","from":"h2","reason":"no host with an alive L3 agent takes routers"}]`}},
	})

	// A next host that does not get ready keeps nothing from working.
	tellOn(t, s, kept, []step{
		{do: "PUT /agents/$l3", body: `{"agent": {"admin_state_up": true}}`, status: 200},
		{do: "PUT /agents/$l3b/drain", status: 200, want: []string{`"moving":[{"resource":"router"`}},
	})
	lookAt(t, w, time.Now())
	lookAt(t, w, time.Now().Add(readyIn+time.Second))
	tellOn(t, s, kept, []step{on, {do: "GET /routers/$router/explain", status: 200, not: []string{`"next_host"`}}})
}

// TestCapability: routers and DHCP go where their networks reach, and move there when they get such a network.
func TestCapability(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2")
	err := s.Agents.Heartbeat(context.Background(), s.Engine, "h3", []agent.State{
		{Type: agent.OpenVSwitch, Started: time.Now(), Configurations: map[string]any{"tunnel_types": []any{"vxlan"}, "bridge_mappings": map[string]any{"physnet2": "br-2"}}},
		{Type: agent.DHCP, Started: time.Now()}, {Type: agent.L3, Started: time.Now()},
	})
	if err != nil {
		t.Fatal(err)
	}
	tellOn(t, s, map[string]string{}, []step{
		{do: "POST /networks", body: `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet2"}}`, status: 201, keep: "ext"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "ip_version": 4, "cidr": "203.0.113.0/24"}}`, status: 201},
		{do: "GET /networks/$ext/dhcp-agents", status: 200, want: []string{`"host": "h3"`}, not: []string{`"h1"`, `"h2"`}},
		{do: "POST /routers", body: `{"router": {"external_gateway_info": {"network_id": "$ext"}}}`, status: 201, keep: "r"},
		{do: "GET /routers/$r/l3-agents", status: 200, want: []string{`"host": "h3"`}},
		{do: "POST /routers", body: `{"router": {}}`, status: 201, keep: "later"},
		{do: "GET /routers/$later/l3-agents", status: 200, want: []string{`"host": "h1"`}},
		{do: "PUT /routers/$later", body: `{"router": {"external_gateway_info": {"network_id": "$ext"}}}`, status: 200},
		{do: "GET /routers/$later/l3-agents", status: 200, want: []string{`"host": "h3"`}},
		{do: "GET /ports?device_id=$later", status: 200, want: []string{`"binding:host_id": "h3"`, `"binding:vif_type": "ovs"`}},
		{do: "GET /routers/$r/explain", status: 200, want: []string{`"hosts":["h3"]`, `"excluded":"physical network \"physnet2\" is not in the bridge mappings of host h1"`}},
		{do: "GET /routers/$r/explain", as: "demo", status: 403},
		{do: "GET /networks/$ext/explain", status: 200, want: []string{`"hosts":["h3"]`}},

		// What no host can take is bound nowhere, and says so.
		{do: "POST /ports", body: `{"port": {"network_id": "$ext", "binding:host_id": "h1"}}`, status: 201, keep: "p", want: []string{`"binding:vif_type": "binding_failed"`}},
		{do: "GET /ports/$p", status: 200, want: []string{`physical network \"physnet2\" is not in the bridge mappings of host h1`}},
		{do: "GET /ports/$p/explain", status: 200, want: []string{`"host h1 could not take it (binding_failed)"`, `physnet2`}},
	})
}

// TestSecondDHCPServer: with two servers for a network a host that is lost gives its part to a third; without a third it
// keeps it, and the other serves on.
func TestSecondDHCPServer(t *testing.T) {
	s := openWith(t, func(o *ServiceOptions) { o.Network.DHCPPerNetwork = 2 })
	hosts(t, s, "h1", "h2")
	kept := map[string]string{}
	tellOn(t, s, kept, small)
	w, eyes := watching(t, s, "h1", "h2")
	eyes.quiet("h1", 9*time.Second, false)
	lookAt(t, w, time.Now())
	tellOn(t, s, kept, []step{{do: "GET /networks/$net/dhcp-agents", status: 200, want: []string{`"host": "h1"`, `"host": "h2"`}}})
	hosts(t, s, "h3")
	lookAt(t, w, time.Now())
	tellOn(t, s, kept, []step{{do: "GET /networks/$net/dhcp-agents", status: 200, want: []string{`"host": "h2"`, `"host": "h3"`}, not: []string{`"h1"`}}})
	ports := 0
	err := s.Engine.View(context.Background(), nil, func(c *engine.Call) error {
		list, err := s.Network.Ports.Find(c, store.Where("t.network_id = ? AND t.device_owner = 'network:dhcp'", kept["net"]))
		for _, p := range list {
			ports++
			if !strings.HasSuffix(p.DeviceID, "-"+kept["net"]) {
				t.Errorf("device_id %s", p.DeviceID)
			}
		}
		return err
	})
	if err != nil || ports != 2 {
		t.Errorf("%d DHCP ports, %v", ports, err)
	}
}
