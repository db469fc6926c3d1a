package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"neutrino/desired"
	"neutrino/hub"
	"neutrino/hub/hubtest"
)

func TestReportsAreDecodedStrictly(t *testing.T) {
	url := serve(t, hubtest.New())
	l := listen(t, url, "h1")
	defer l.hangUp()
	for _, c := range []struct {
		name, body string
		want       int
	}{
		{"a heartbeat", `{"host":"h1","epoch":"` + l.epoch + `","agents":[{"agent_type":"L3 agent"}]}`, http.StatusNoContent},
		{"a report", `{"host":"h1","epoch":"` + l.epoch + `","reports":[{"kind":"port","id":"p","layer":"l2","up":true}]}`, http.StatusNoContent},
		{"of another epoch", `{"host":"h1","epoch":"e"}`, http.StatusConflict},
		{"of a host that never came", `{"host":"h2","epoch":"` + l.epoch + `"}`, http.StatusConflict},
		{"no JSON", `reports`, http.StatusBadRequest},
		{"no host", `{"epoch":"` + l.epoch + `"}`, http.StatusBadRequest},
		{"two objects", `{"host":"h1","epoch":"` + l.epoch + `"}{}`, http.StatusBadRequest},
		{"a report of nothing", `{"host":"h1","epoch":"` + l.epoch + `","reports":[{}]}`, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code := post(t, url, c.body); code != c.want {
				t.Errorf("%d, want %d", code, c.want)
			}
		})
	}
}

func post(t testing.TB, url, body string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/agent/v1/reports", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// speaker is a host that reports.
type speaker struct {
	*listener
}

func (s speaker) say(complete bool, layer string, reports ...desired.Report) {
	s.t.Helper()
	r := desired.Reports{Host: s.name, Epoch: s.epoch, Reports: reports}
	if complete {
		r.Complete = []string{layer}
	}
	b, err := json.Marshal(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if code := post(s.t, s.url, string(b)); code != http.StatusNoContent {
		s.t.Fatalf("reports are answered %d", code)
	}
}

func up(id, layer string) desired.Report {
	return desired.Report{Kind: desired.KindPort, ID: id, Layer: layer, Up: true}
}

func downFor(id, layer, why string) desired.Report {
	return desired.Report{Kind: desired.KindPort, ID: id, Layer: layer, Reason: why}
}

// A tool may say a lot of why it does not do something. Databases take no text without an end.
func TestReasonsAreBounded(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "n1", "h1"))
	h1 := speaker{listen(t, serve(t, cloud), "h1")}
	defer h1.hangUp()
	h1.say(true, desired.LayerL2, downFor("p1", desired.LayerL2, "refused: "+strings.Repeat("ü", 1<<16)))
	eventually(t, "the reason", func() bool {
		return strings.HasPrefix(cloud.Status(desired.KindPort, "p1").Reason, "host h1: refused: ü")
	})
	if reason := cloud.Status(desired.KindPort, "p1").Reason; len(reason) > 1100 || !utf8.ValidString(reason) || !strings.HasSuffix(reason, "ü …") {
		t.Errorf("a reason of %d bytes is kept", len(reason))
	}
}

func TestReportsBecomeStatus(t *testing.T) {
	cloud := hubtest.New()
	served := &desired.Network{ID: "n1", Subnets: []desired.Subnet{{ID: "s-n1", EnableDHCP: true}}}
	dhcp := port("d1", "n1", "h2")
	dhcp.DeviceOwner = "network:dhcp"
	router := &desired.Router{ID: "r1", Host: "h1", FloatingIPs: []desired.FloatingIP{{ID: "f1"}}}
	cloud.Put(served, port("p1", "n1", "h1"), dhcp, router)
	url := serve(t, cloud)
	h1, h2 := speaker{listen(t, url, "h1")}, speaker{listen(t, url, "h2")}
	defer func() { h1.hangUp(); h2.hangUp() }()
	is := func(kind desired.Kind, id, status, reason string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s %s is %s (%s)", kind, id, status, reason), func() bool {
			return cloud.Status(kind, id) == hub.Status{Status: status, Reason: reason}
		})
	}
	h1.say(true, desired.LayerL2)
	is(desired.KindPort, "p1", "DOWN", "waiting for host h1 (l2)")
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "no interface"))
	is(desired.KindPort, "p1", "DOWN", "host h1: no interface")
	h2.say(true, desired.LayerL2, up("d1", desired.LayerL2))
	is(desired.KindPort, "d1", "ACTIVE", "") // a DHCP port waits for no DHCP
	h2.say(true, desired.LayerDHCP)
	h1.say(false, desired.LayerL2, up("p1", desired.LayerL2))
	is(desired.KindPort, "p1", "DOWN", "waiting for host h2 (dhcp)")
	h2.say(false, desired.LayerDHCP, up("p1", desired.LayerDHCP))
	is(desired.KindPort, "p1", "ACTIVE", "")

	h1.say(true, desired.LayerL3)
	is(desired.KindRouter, "r1", "ACTIVE", "waiting for host h1 (l3)")
	is(desired.KindFloatingIP, "f1", "DOWN", "waiting for host h1 (l3)")
	h1.say(false, desired.LayerL3, desired.Report{Kind: desired.KindFloatingIP, ID: "f1", Layer: desired.LayerL3, Up: true},
		desired.Report{Kind: desired.KindRouter, ID: "r1", Layer: desired.LayerL3, Up: true})
	is(desired.KindFloatingIP, "f1", "ACTIVE", "")
	is(desired.KindRouter, "r1", "ACTIVE", "")

	// A host that is away takes nothing down, nor one that has come back and not spoken yet.
	h1.hangUp()
	h2.hangUp()
	h1.dial()
	cloud.Put(port("p1", "n1", "h1"), served)
	writes := cloud.Writes()
	time.Sleep(100 * time.Millisecond)
	if cloud.Writes() != writes {
		t.Errorf("statuses were written for a host that has not spoken: %+v", cloud.Status(desired.KindPort, "p1"))
	}
	// What it does not name when it has told everything is not up.
	h1.say(true, desired.LayerL2)
	is(desired.KindPort, "p1", "DOWN", "waiting for host h1 (l2)")

	// Without DHCP nobody waits for it.
	h1.say(false, desired.LayerL2, up("p1", desired.LayerL2))
	is(desired.KindPort, "p1", "ACTIVE", "")
	h2.dial()
	h2.say(true, desired.LayerDHCP)
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	is(desired.KindPort, "p1", "DOWN", "host h1: cut")
	h1.say(false, desired.LayerL2, up("p1", desired.LayerL2))
	is(desired.KindPort, "p1", "DOWN", "waiting for host h2 (dhcp)")
	cloud.Put(&desired.Network{ID: "n1", Subnets: []desired.Subnet{{ID: "s-n1"}}})
	is(desired.KindPort, "p1", "ACTIVE", "")

	// What was refused is written later; what is the same is not written again.
	cloud.Fail(errors.New("the database is away"))
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	time.Sleep(20 * time.Millisecond)
	cloud.Fail(nil)
	is(desired.KindPort, "p1", "DOWN", "host h1: cut")
	writes = cloud.Writes()
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	time.Sleep(50 * time.Millisecond)
	if cloud.Writes() != writes {
		t.Error("a status was written that was so already")
	}
}

// A port's way to ACTIVE is the doing of the request that sent it there; what becomes of it afterwards is not.
func TestStatusSaysWhichRequest(t *testing.T) {
	cloud := hubtest.New()
	url := serve(t, cloud)
	h1 := speaker{listen(t, url, "h1")}
	defer h1.hangUp()
	h1.sync()
	cloud.As("req-1")
	cloud.Put(port("p1", "n1", "h1"))
	h1.sync()
	cloud.As("")
	becomes := func(status, request string) {
		t.Helper()
		eventually(t, "p1 is "+status+" because of "+request, func() bool {
			return cloud.Status(desired.KindPort, "p1").Status == status && cloud.Because(desired.KindPort, "p1") == request
		})
	}
	h1.say(true, desired.LayerL2, up("p1", desired.LayerL2))
	becomes("ACTIVE", "req-1")
	h1.say(true, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	becomes("DOWN", "")
}

// A new hub has heard nothing yet: what was ACTIVE stays so until the host that knows says otherwise.
func TestNewHubTakesNothingDown(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(port("p1", "n1", "h1"))
	thing := hub.Thing{Kind: desired.KindPort, ID: "p1"}
	if err := cloud.SetStatus(t.Context(), []hub.StatusChange{{Thing: thing, Status: hub.Status{Status: "ACTIVE"}}}, nil); err != nil {
		t.Fatal(err)
	}
	url := serve(t, cloud)
	h1 := speaker{listen(t, url, "h1")}
	defer h1.hangUp()
	h1.sync()
	p := *port("p1", "n1", "h1")
	p.Revision = 2
	cloud.Put(&p) // it is judged again
	h1.sync()
	h1.say(false, desired.LayerL3)
	time.Sleep(50 * time.Millisecond)
	if status := cloud.Status(desired.KindPort, "p1"); status.Status != "ACTIVE" {
		t.Fatalf("it was taken down: %+v", status)
	}
	h1.say(true, desired.LayerL2)
	eventually(t, "the port is DOWN when its host has told everything and not this", func() bool {
		return cloud.Status(desired.KindPort, "p1").Status == "DOWN"
	})
}

// TestTwoServers: a port's host and the host that serves DHCP to it follow different servers, and change them.
func TestTwoServers(t *testing.T) {
	cloud := hubtest.New()
	dhcp := port("d1", "n1", "h2")
	dhcp.DeviceOwner = "network:dhcp"
	cloud.Put(&desired.Network{ID: "n1", Subnets: []desired.Subnet{{ID: "s-n1", EnableDHCP: true}}}, port("p1", "n1", "h1"), dhcp)
	first, second := serve(t, cloud), serve(t, cloud)
	is := func(status, reason string) {
		t.Helper()
		eventually(t, "p1 is "+status+" ("+reason+")", func() bool {
			return cloud.Status(desired.KindPort, "p1") == hub.Status{Status: status, Reason: reason}
		})
	}
	h1, h2 := speaker{listen(t, first, "h1")}, speaker{listen(t, second, "h2")}
	h1.say(true, desired.LayerL2, up("p1", desired.LayerL2))
	is("DOWN", "waiting for host h2 (dhcp)")
	h2.say(true, desired.LayerDHCP, up("p1", desired.LayerDHCP))
	is("ACTIVE", "")
	h2.say(false, desired.LayerDHCP, downFor("p1", desired.LayerDHCP, "no address"))
	is("DOWN", "host h2: no address")
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	is("DOWN", "host h1: cut")
	h1.say(false, desired.LayerL2, up("p1", desired.LayerL2))
	is("DOWN", "host h2: no address")
	h2.say(false, desired.LayerDHCP, up("p1", desired.LayerDHCP))
	is("ACTIVE", "")

	// The port's host goes to the other server: that one hears both.
	h1.hangUp()
	h1 = speaker{listen(t, second, "h1")}
	h1.say(true, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	is("DOWN", "host h1: cut")
	h1.say(false, desired.LayerL2, up("p1", desired.LayerL2))
	is("ACTIVE", "")
	// What the first server heard of h1 before has no say any more.
	p := *port("p1", "n1", "h1")
	p.Revision = 2
	cloud.Put(&p)
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "cut again"))
	is("DOWN", "host h1: cut again")
	eventually(t, "the two servers agree", func() bool {
		writes := cloud.Writes()
		time.Sleep(100 * time.Millisecond)
		return cloud.Writes() == writes
	})
	is("DOWN", "host h1: cut again")
	h1.hangUp()
	h2.hangUp()
}

// An administrator sees what a host should have and what it reports; whoever lacks the secret sees nothing.
func TestHostIsShown(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Host{Name: "h1"}, &desired.Network{ID: "n1"}, &desired.Port{ID: "p1", NetworkID: "n1", Host: "h1"}, &desired.Port{ID: "p2", NetworkID: "n2", Host: "h2"})
	url := serve(t, cloud)
	if code, _ := get(t, url, "/agent/v1/hosts/h1", "a wrong secret"); code != http.StatusUnauthorized {
		t.Errorf("without the secret the status is %d", code)
	}
	if code, _ := get(t, url, "/agent/v1/hosts/nobody", secret); code != http.StatusNotFound {
		t.Errorf("of an unknown host the status is %d", code)
	}
	show := func() (v desired.HostView) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, url+"/agent/v1/hosts/h1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := show(); v.Following || len(v.Items) != 3 || len(v.Reports) != 0 {
		t.Errorf("before it comes: %+v", v)
	}
	code, body := ask(t, url, "h1", "", -1)
	if code != http.StatusOK {
		t.Fatal(code)
	}
	defer func() { _ = body.Close() }()
	var hello desired.Message
	if err := json.NewDecoder(body).Decode(&hello); err != nil {
		t.Fatal(err)
	}
	reports := desired.Reports{Host: "h1", Epoch: hello.Epoch, Complete: []string{"l2"}, Reports: []desired.Report{{Kind: desired.KindPort, ID: "p1", Layer: "l2", Reason: "no interface"}}}
	text, err := json.Marshal(reports)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url+"/agent/v1/reports", strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if v := show(); !v.Following || len(v.Complete) != 1 || len(v.Reports) != 1 || v.Reports[0].Reason != "no interface" {
		t.Errorf("after its report: %+v (%d)", v, resp.StatusCode)
	}
}
