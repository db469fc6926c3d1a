package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/hub"
	"neutrino/keystone/keystonetest"
	"neutrino/nova"
	"neutrino/service/compute"
	"neutrino/store"
)

// compute is services with a Nova to tell, and a port of an instance on h1.
type computeWorld struct {
	*Services
	nova         *fakeNova
	options      nova.Options
	kept         map[string]string
	port, server string
}

// newComputeWorld has its Nova in a region of its own of the Keystone.
func newComputeWorld(t *testing.T, k *keystonetest.Keystone) *computeWorld {
	t.Helper()
	region := "r" + uuid.NewString()
	fake := &fakeNova{keystone: k, demands: "/v2.1", codes: map[string]int{}}
	at := httptest.NewServer(fake)
	t.Cleanup(at.Close)
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	k.Do(t, "PUT", "/regions/"+region, `{"region": {}}`, 201)
	id := k.Do(t, "GET", "/services?type=compute", "", 200)["services"].([]any)[0].(map[string]any)["id"].(string)
	for _, e := range []struct{ face, region, url string }{{"public", region, elsewhere.URL}, {"internal", "RegionOne", elsewhere.URL}, {"internal", region, at.URL + "/v2.1/"}} {
		k.Do(t, "POST", "/endpoints", fmt.Sprintf(`{"endpoint": {"service_id": %q, "interface": %q, "region_id": %q, "url": %q}}`, id, e.face, e.region, e.url), 201)
	}
	w := &computeWorld{nova: fake, options: nova.Defaults(), kept: map[string]string{}}
	w.options.AuthURL, w.options.Username, w.options.Password, w.options.ProjectName = k.URL, "neutron", "neutron", "service"
	w.options.UserDomainID, w.options.ProjectDomainID = "default", "default"
	w.options.Region, w.options.Interface, w.options.Interval = region, "internal", 0
	w.Services = openWith(t, func(o *ServiceOptions) {
		o.Compute = compute.Options{StatusChanges: true, DataChanges: true}
	})
	hosts(t, w.Services, "h1", "h2")
	w.server = uuid.NewString()
	w.kept["server"] = w.server
	w.tell(t,
		step{do: "POST /networks", body: `{"network": {"name": "n"}}`, status: 201, keep: "net"},
		step{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201, keep: "sub"},
		step{do: "POST /ports", body: `{"port": {"network_id": "$net", "device_id": "$server", "device_owner": "compute:nova", "binding:host_id": "h1"}}`, status: 201, keep: "port"},
	)
	w.port = w.kept["port"]
	return w
}

func (w *computeWorld) tell(t *testing.T, steps ...step) {
	t.Helper()
	tellOn(t, w.Services, w.kept, steps)
}

// is has the port's host say that the port is wired, or not.
func (w *computeWorld) is(t *testing.T, port, status string) {
	t.Helper()
	change := hub.StatusChange{Thing: hub.Thing{Kind: desired.KindPort, ID: port}, Status: hub.Status{Status: status}, Request: "req-of-the-port"}
	if err := newSource(w.Services).SetStatus(t.Context(), []hub.StatusChange{change}, nil); err != nil {
		t.Fatal(err)
	}
}

// sends starts a server's sender; the function ends it as a stopped server does.
func (w *computeWorld) sends(t *testing.T, queue func(novaQueue) nova.Queue, log *slog.Logger) (stop func()) {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	watch, _ := watching(t, w.Services, "h1", "h2")
	turn := watch.turn("nova")
	turn.counted(time.Now().Add(time.Hour))
	var q nova.Queue = novaQueue{w.Services, turn}
	if queue != nil {
		q = queue(q.(novaQueue))
	}
	sender, err := nova.New(w.options, q, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := tellNova(ctx, sender, turn); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func (w *computeWorld) event(name, port, status string) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", name, w.server, port, status))
}

// TestNova tells something that speaks as Nova, found and entered by a real Keystone.
func TestNova(t *testing.T) {
	t.Parallel()
	k := keystonetest.Start(t, "")
	k.User(t, "neutron", k.Project(t, "service"), "admin", "service")
	k.Do(t, "POST", "/services", `{"service": {"type": "compute", "name": "nova"}}`, 201)
	for name, run := range map[string]func(*testing.T, *keystonetest.Keystone){"told": novaIsTold, "refuses": novaRefuses, "survives": novaEventsSurvive} {
		t.Run(name, func(t *testing.T) { run(t, k) })
	}
}

// novaIsTold follows a port's life at a Keystone and something that speaks as Nova.
func novaIsTold(t *testing.T, k *keystonetest.Keystone) {
	w := newComputeWorld(t, k)
	var lines lockedBuffer
	w.sends(t, nil, slog.New(slog.NewJSONHandler(&lines, nil)))

	w.is(t, w.port, "ACTIVE")
	w.nova.take(t, w.event("network-vif-plugged", w.port, "completed"))
	w.settle(t)
	for range 500 {
		if strings.Contains(lines.String(), "req-of-the-port") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if text := lines.String(); !strings.Contains(text, `"request_id":"req-of-the-port"`) || !strings.Contains(text, w.port) {
		t.Errorf("the log does not say which request it was: %s", text)
	}
	w.is(t, w.port, "ACTIVE") // nothing new
	w.is(t, w.port, "DOWN")
	w.nova.take(t, w.event("network-vif-unplugged", w.port, "completed"))

	w.tell(t, step{do: "PUT /ports/$port", body: `{"port": {"name": "x"}}`, status: 200})
	w.nova.take(t, w.event("network-changed", w.port, ""))

	// A floating IP that comes, moves to another instance's port, and goes.
	w.kept["second"] = uuid.NewString()
	w.tell(t,
		step{do: "POST /ports", body: `{"port": {"network_id": "$net", "device_id": "$second", "device_owner": "compute:az"}}`, status: 201, keep: "other_port"},
		step{do: "POST /networks", body: `{"network": {"router:external": true}}`, status: 201, keep: "ext"},
		step{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "ip_version": 4, "cidr": "192.0.2.0/24"}}`, status: 201},
		step{do: "POST /routers", body: `{"router": {"external_gateway_info": {"network_id": "$ext"}}}`, status: 201, keep: "router"},
		step{do: "PUT /routers/$router/add_router_interface", body: `{"subnet_id": "$sub"}`, status: 200},
		step{do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "port_id": "$port"}}`, status: 201, keep: "fip"},
	)
	w.nova.take(t, w.event("network-changed", w.port, ""))
	w.tell(t, step{do: "PUT /floatingips/$fip", body: `{"floatingip": {"port_id": "$other_port"}}`, status: 200})
	w.nova.take(t, w.event("network-changed", w.port, ""), "network-changed "+w.kept["second"]+" "+w.kept["other_port"])
	w.tell(t, step{do: "DELETE /floatingips/$fip", status: 204})
	w.nova.take(t, "network-changed "+w.kept["second"]+" "+w.kept["other_port"])

	// Nobody's, a router's and an odd device's ports are none of Nova's business.
	w.tell(t,
		step{do: "POST /ports", body: `{"port": {"network_id": "$net", "device_id": "not-a-uuid", "device_owner": "compute:nova"}}`, status: 201, keep: "odd"},
		step{do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "nobodys"},
		step{do: "PUT /ports/$odd", body: `{"port": {"name": "x"}}`, status: 200},
		step{do: "DELETE /ports/$odd", status: 204},
		step{do: "DELETE /ports/$nobodys", status: 204},
		step{do: "PUT /ports/$port", body: `{"port": {"name": "y"}}`, status: 200},
		step{do: "DELETE /ports/$port", status: 204},
		step{do: "DELETE /ports/$other_port", status: 204},
	)
	w.settle(t) // whether the change was told before the end came is a matter of time
	w.nova.set(func() {
		w.nova.events = slices.DeleteFunc(w.nova.events, func(e string) bool { return e == w.event("network-changed", w.port, "") })
	})
	w.nova.take(t, w.event("network-vif-deleted", w.port, ""), "network-vif-deleted "+w.kept["second"]+" "+w.kept["other_port"])
}

// waiting counts the events that have not been sent.
func (w *computeWorld) waiting(t *testing.T) (n int) {
	t.Helper()
	err := w.Engine.View(t.Context(), nil, func(c *engine.Call) (err error) {
		_, n, err = w.Compute.Waiting(c, 1000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// settle waits until no event waits.
func (w *computeWorld) settle(t *testing.T) {
	t.Helper()
	for range 1500 {
		if w.waiting(t) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%d events still wait", w.waiting(t))
}

// crash is a queue of a server that dies after Nova was told and before that is noted.
type crash struct {
	novaQueue
	told chan struct{}
}

func (q crash) Sent(ctx context.Context, _ []string) error {
	close(q.told)
	<-ctx.Done()
	return ctx.Err()
}

// novaEventsSurvive: neither Nova's, Keystone's nor our own absence loses an event.
func novaEventsSurvive(t *testing.T, k *keystonetest.Keystone) {
	w := newComputeWorld(t, k)

	// They are noted while nobody sends, once each: Nova learns what is so now.
	w.is(t, w.port, "ACTIVE")
	w.is(t, w.port, "DOWN")
	w.is(t, w.port, "ACTIVE")
	w.tell(t, step{do: "PUT /ports/$port", body: `{"port": {"name": "x"}}`, status: 200}, step{do: "PUT /ports/$port", body: `{"port": {"name": "y"}}`, status: 200})
	all := []string{w.event("network-vif-unplugged", w.port, "completed"), w.event("network-vif-plugged", w.port, "completed"), w.event("network-changed", w.port, "")}
	if n := w.waiting(t); n != 3 {
		t.Fatalf("%d events wait", n)
	}
	// A server dies between Nova's answer and its own note of it: the next tells it again.
	told := make(chan struct{})
	stop := w.sends(t, func(q novaQueue) nova.Queue { return crash{q, told} }, nil)
	<-told
	stop()
	w.nova.take(t, all...)
	if w.nova.posts != 1 {
		t.Errorf("%d requests for what goes with one", w.nova.posts)
	}
	stop = w.sends(t, nil, nil)
	w.nova.take(t, all...)
	w.settle(t)
	stop()
	stop = w.sends(t, nil, nil)

	// Nova is away, then Keystone.
	w.nova.set(func() { w.nova.status = http.StatusServiceUnavailable })
	w.is(t, w.port, "DOWN")
	time.Sleep(300 * time.Millisecond)
	if n := w.waiting(t); n != 1 {
		t.Errorf("%d events wait for Nova", n)
	}
	w.nova.set(func() { w.nova.status = 0 })
	w.nova.take(t, w.event("network-vif-unplugged", w.port, "completed"))
	w.settle(t)
	stop()
	w.nova.keystone.Kill(t)
	stop = w.sends(t, nil, nil)
	w.is(t, w.port, "ACTIVE") // no API call waits for it
	time.Sleep(300 * time.Millisecond)
	w.nova.keystone.Run(t)
	defer stop()
	w.nova.take(t, w.event("network-vif-plugged", w.port, "completed"))

	w.settle(t)

	// Our token is revoked: another is got.
	w.nova.keystone.Revoke(t, w.nova.token)
	w.is(t, w.port, "DOWN")
	w.nova.take(t, w.event("network-vif-unplugged", w.port, "completed"))
}

// novaRefuses: what Nova does not want is given up, and only that.
func novaRefuses(t *testing.T, k *keystonetest.Keystone) {
	w := newComputeWorld(t, k)
	w.kept["gone"], w.kept["early"] = uuid.NewString(), uuid.NewString()
	w.nova.codes[w.kept["gone"]], w.nova.codes[w.kept["early"]] = 404, 422
	w.nova.strange = "network-changed"
	w.tell(t,
		step{do: "POST /ports", body: `{"port": {"network_id": "$net", "device_id": "$gone", "device_owner": "compute:nova", "binding:host_id": "h1"}}`, status: 201, keep: "p2"},
		step{do: "POST /ports", body: `{"port": {"network_id": "$net", "device_id": "$early", "device_owner": "compute:nova", "binding:host_id": "h1"}}`, status: 201, keep: "p3"},
	)
	w.is(t, w.kept["p2"], "ACTIVE")
	w.tell(t, step{do: "PUT /ports/$port", body: `{"port": {"name": "x"}}`, status: 200}) // no Nova has this
	w.is(t, w.kept["p3"], "ACTIVE")
	w.is(t, w.port, "ACTIVE")
	w.sends(t, nil, nil)
	w.nova.take(t, w.event("network-vif-plugged", w.port, "completed"),
		"network-vif-plugged "+w.kept["gone"]+" "+w.kept["p2"]+" completed", "network-vif-plugged "+w.kept["early"]+" "+w.kept["p3"]+" completed")
	w.settle(t)
}

// TestNovaEventOfNobody: a change that is not made leaves no event.
func TestNovaEventOfNobody(t *testing.T) {
	t.Parallel()
	s := openWith(t, func(o *ServiceOptions) { o.Compute = compute.Options{StatusChanges: true, DataChanges: true} })
	hosts(t, s, "h1")
	w := &computeWorld{Services: s, kept: map[string]string{"server": uuid.NewString()}}
	w.tell(t,
		step{do: "POST /networks", body: `{"network": {"name": "n"}}`, status: 201, keep: "net"},
		step{do: "POST /ports", body: `{"port": {"network_id": "$net", "device_id": "$server", "device_owner": "compute:nova"}}`, status: 201, keep: "port"},
	)
	errUndone := errors.New("undone")
	err := s.Engine.Update(t.Context(), nil, func(c *engine.Call) error {
		p, err := s.Network.Ports.Get(c, w.kept["port"])
		if err != nil {
			return err
		}
		if err := s.Network.Ports.Remove(c, p); err != nil {
			return err
		}
		return errUndone
	})
	if !errors.Is(err, errUndone) {
		t.Fatal(err)
	}
	if n := w.waiting(t); n != 0 {
		t.Errorf("%d events of what did not happen", n)
	}
	ctx := store.WithRequest(t.Context(), "req-of-the-deletion")
	err = s.Engine.Update(ctx, nil, func(c *engine.Call) error {
		p, err := s.Network.Ports.Get(c, w.kept["port"])
		if err != nil {
			return err
		}
		return s.Network.Ports.Remove(c, p)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Engine.View(t.Context(), nil, func(c *engine.Call) error {
		list, _, err := s.Compute.Waiting(c, 10)
		if len(list) != 1 || list[0].Name != "network-vif-deleted" || list[0].Request != "req-of-the-deletion" || list[0].Server != w.kept["server"] {
			t.Errorf("%+v", list)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer takes a log that is read meanwhile.
type lockedBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
