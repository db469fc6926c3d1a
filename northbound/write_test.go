package northbound_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
	"neutrino/northbound"
)

var update = flag.Bool("update", false, "write the goldens anew")

// A cloud's rows are those that an operator sees by OVN's own tools, and ovn-northd takes them without a complaint.
func TestCloud(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, true)
	for i, h := range chassis {
		c.SB(t, "chassis-add", h.Name, "geneve", fmt.Sprintf("192.0.2.%d", i+1), "--", "set", "chassis", h.Name, "hostname="+h.Hostname)
	}
	w := cloud()
	start(t, w, c)
	settle(t, w, c)
	golden(t, "cloud.txt", dump(t, c))
	c.NB(t, "--wait=sb", "sync")
	if log := c.NorthdLog(t); log != "" {
		t.Errorf("ovn-northd complains:\n%s", log)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("rows differ from %s:\n%s", file, diff)
	}
}

// What others lose, add or change in our rows is mended; what is not ours stays.
func TestDrift(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	w := cloud()
	start(t, w, c)
	settle(t, w, c)
	want := dump(t, c)
	ls, lr := "neutron-"+inner, "neutron-"+router
	for _, cmd := range [][]string{
		{"lsp-del", vm1},
		{"ls-del", ls},
		{"lr-del", lr},
		{"lrp-del", "lrp-" + gw},
		{"pg-del", "neutron_pg_drop"},
		{"lsp-set-addresses", vm1, "unknown"},
		{"lsp-set-type", vm2, "localport"},
		{"lr-nat-del", lr},
		{"lr-route-del", lr},
		{"lr-lb-del", lr},
		{"acl-del", "pg_" + strings.ReplaceAll(web, "-", "_")},
		{"qos-del", ls},
		{"clear", "Logical_Switch_Port", vm1, "dhcpv4_options"},
		{"--all", "destroy", "DNS"},
		{"--all", "destroy", "DHCP_Options"},
		{"set", "Logical_Switch_Port", vm1, `external_ids:"neutron:revision_number"=99`, "enabled=false", "tag_request=5"},
		{"remove", "Port_Group", "neutron_pg_drop", "ports", vm1},
		{"ls-add", "neutron-" + id(1, 99)},
		{"lr-add", "neutron-" + id(5, 99)},
		{"set", "Logical_Switch", ls, "name=renamed"},
		{"set", "Logical_Router", lr, "name=renamed"},
		{"set", "HA_Chassis_Group", lr, "name=renamed"},
		{"set", "Logical_Router", lr, "name=renamed", "--", "set", "HA_Chassis_Group", lr, "name=renamed", "--", "set", "Logical_Switch", ls, "name=renamed"},
		{"lsp-add", ls, id(6, 99), "--", "set", "Logical_Switch_Port", id(6, 99), `external_ids:"neutron:port_name"=stray`},
	} {
		c.NB(t, cmd...)
		settle(t, w, c)
		if diff := cmp.Diff(want, dump(t, c)); diff != "" {
			t.Errorf("after %v:\n%s", cmd, diff)
		}
	}
	c.NB(t, "lb-add", "mine", "192.0.2.1:80", "192.0.2.2:80", "--", "ls-add", "lab", "--", "lsp-add", ls, "guest", "--", "lr-lb-add", lr, "mine",
		"--", "set", "Logical_Switch_Port", vm1, "options:mine=1", "external_ids:mine=1", "enabled=false")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c.NB(t, "get", "Logical_Switch_Port", vm1, "enabled") == "true\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the port stays disabled")
		}
	}
	for _, q := range []struct{ get, want string }{
		{c.NB(t, "get", "Logical_Switch_Port", vm1, "options:mine"), `"1"`}, {c.NB(t, "get", "Logical_Switch_Port", vm1, "external_ids:mine"), `"1"`},
		{c.NB(t, "lsp-list", ls), "guest"}, {c.NB(t, "lr-lb-list", lr), "mine"}, {c.NB(t, "ls-list"), "lab"},
	} {
		if !strings.Contains(q.get, q.want) {
			t.Errorf("%q went: %s", q.want, q.get)
		}
	}
	if list := check(t, w, c); len(list) != 1 || list[0].Action != "keep" || list[0].Name != "guest" {
		t.Errorf("reported are %+v", list)
	}
}

// A database with another Neutron's rows is not emptied by a server that knows nothing of them, until an operator
// says so; rows that it does know are taken over.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	c.NB(t, "ls-add", "neutron-"+inner, "--", "lsp-add", "neutron-"+inner, vm1, "--", "set", "Logical_Switch_Port", vm1, `external_ids:"neutron:port_name"=old`,
		"--", "ls-add", "neutron-"+id(1, 50), "--", "lr-add", "neutron-"+router, "--", "lr-nat-add", "neutron-"+router, "snat", "203.0.113.5", "10.0.0.0/24",
		"--", "lrp-add", "neutron-"+router, "lrp-"+gw, "fa:16:3e:00:00:07", "203.0.113.5/24", "--", "lrp-set-gateway-chassis", "lrp-"+gw, "c3", "5",
		"--", "--id=@r", "create", "Logical_Router_Static_Route", "ip_prefix=0.0.0.0/0", "nexthop=203.0.113.1", `external_ids:"neutron:is_ext_gw"=true`,
		`external_ids:"neutron:subnet_id"=`+outside, "--", "add", "Logical_Router", "neutron-"+router, "static_routes", "@r")
	was := c.NB(t, "get", "Logical_Switch_Port", vm1, "_uuid") + c.NB(t, "get", "Logical_Router", "neutron-"+router, "nat")
	route := c.NB(t, "--bare", "--columns=_uuid", "find", "Logical_Router_Static_Route", "ip_prefix=0.0.0.0/0")
	c.NB(t, "ha-chassis-group-add", "neutron-"+outer, "--", "ha-chassis-group-add-chassis", "neutron-"+outer, "c2", "32767", "--", "ha-chassis-group-add-chassis", "neutron-"+outer, "gone", "32766",
		"--", "set", "HA_Chassis_Group", "neutron-"+outer, `external_ids:"neutron:availability_zone_hints"=""`)
	group := c.NB(t, "get", "HA_Chassis_Group", "neutron-"+outer, "_uuid")
	w := cloud()
	start(t, w, c)
	var list []northbound.Difference
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		kept := []string{"neutron-" + outer + "/gone", "neutron-" + id(1, 50)}
		if list = check(t, w, c); len(list) == 2 && !slices.ContainsFunc(list, func(d northbound.Difference) bool { return d.Action != "keep" || !slices.Contains(kept, d.Name) }) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("differences: %+v", list)
		}
	}
	is := c.NB(t, "get", "Logical_Switch_Port", vm1, "_uuid") + c.NB(t, "get", "Logical_Router", "neutron-"+router, "nat")
	if lines := strings.Split(was, "\n"); !strings.HasPrefix(is, lines[0]) || !strings.Contains(is, strings.Trim(lines[1], "[]")) {
		t.Errorf("rows were made anew: %s, then %s", was, is)
	}
	if now := c.NB(t, "--bare", "--columns=_uuid,output_port", "find", "Logical_Router_Static_Route", "ip_prefix=0.0.0.0/0"); now != strings.TrimSpace(route)+"\nlrp-"+gw+"\n" {
		t.Errorf("the default route %s became %s", route, now)
	}
	if left := c.NB(t, "list", "Gateway_Chassis"); left != "" {
		t.Errorf("the original's way to place a gateway is there beside ours: %s", left)
	}
	if now := c.NB(t, "get", "Logical_Switch_Port", vf, "ha_chassis_group"); now != group {
		t.Errorf("the group of external ports was made anew: %s, then %s", group, now)
	}
	if _, err := northbound.Check(t.Context(), options(w, c), chassis, northbound.CheckOptions{Repair: true, TakeOver: true}); err != nil {
		t.Fatal(err)
	}
	settle(t, w, c)
	if out := c.NB(t, "ls-list"); strings.Contains(out, id(1, 50)) {
		t.Errorf("the switch stays: %s", out)
	}
	if out := c.NB(t, "ha-chassis-group-list"); strings.Contains(out, "gone") {
		t.Errorf("a host that is none stays: %s", out)
	}
}

// A database that was away, or comes back empty, gets all rows again; of two writers one writes.
func TestRestart(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	w := cloud()
	start(t, w, c)
	settle(t, w, c)
	want := dump(t, c)
	c.StopNorth()
	w.delete(ovn.KindPort, vm1)
	fact := cloud().facts[ovn.KindPort][vm1]
	c.StartNorth(t)
	settle(t, w, c)
	start(t, w, c) // a second server
	w.put(ovn.KindPort, vm1, fact)
	settle(t, w, c)
	if diff := cmp.Diff(want, dump(t, c)); diff != "" {
		t.Errorf("after a restart:\n%s", diff)
	}
	c.StopNorth()
	c.EmptyNorth(t)
	c.StartNorth(t)
	settle(t, w, c)
	if diff := cmp.Diff(want, dump(t, c)); diff != "" {
		t.Errorf("rebuilt from an empty database:\n%s", diff)
	}
}

// A rebuild goes in parts: others get their turns, and no port is there before the groups that guard it.
func TestRebuildInParts(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	parts, ports := 0, 0
	var wrong []string
	ready := make(chan struct{})
	client := ovndb.New(ovndb.Options{
		State: func(on bool) {
			if on {
				close(ready)
			}
		},
		Endpoints: []string{c.North()}, Database: "OVN_Northbound", Log: slog.New(slog.DiscardHandler),
		Tables: map[string][]string{"Logical_Switch_Port": {"name"}, "Logical_Switch": {"ports"}, "Port_Group": {"name", "ports", "acls"}},
		Changed: func(db *ovndb.View, changes []ovndb.Change) {
			guarded, on := map[string]int{}, map[string]bool{}
			for _, g := range db.Table("Port_Group") {
				for id := range g.Many["ports"] {
					guarded[id]++
				}
				if len(g.Many["acls"]) == 0 {
					wrong = append(wrong, g.One["name"]+" has no rules")
				}
			}
			for _, s := range db.Table("Logical_Switch") {
				for id := range s.Many["ports"] {
					on[id] = true
				}
			}
			for id, p := range db.Table("Logical_Switch_Port") {
				if guarded[id] != 2 || !on[id] {
					wrong = append(wrong, p.One["name"]+" is not guarded")
				}
			}
			if n := len(db.Table("Logical_Switch_Port")); n != ports {
				parts, ports = parts+1, n
			}
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = client.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		t.Fatal("the northbound database does not answer")
	}
	w := crowd(2100)
	start(t, w, c)
	settle(t, w, c)
	want := dump(t, c)
	cancel()
	<-done
	if parts < 4 || ports != 2100 || len(wrong) > 0 {
		t.Errorf("%d ports in %d parts: %v", ports, parts, wrong[:min(len(wrong), 10)])
	}
	fresh := ovntest.Start(t, false)
	if _, err := northbound.Check(t.Context(), options(w, fresh), chassis, northbound.CheckOptions{Repair: true}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, dump(t, fresh)); diff != "" {
		t.Errorf("what a server (-) and neutrino ovn repair (+) write differs:\n%.2000s", diff)
	}
}

// The whole database is compared again and again; what is mended and what stays is counted.
func TestStats(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	w := cloud()
	o := options(w, c)
	o.Check = 10 * time.Millisecond
	writer := northbound.New(o)
	writer.SetHosts(chassis)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = writer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	settle(t, w, c)
	await := func(what string, ok func(s northbound.Stats) bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(writer.Stats()); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v", what, writer.Stats())
			}
		}
	}
	await("compared", func(s northbound.Stats) bool { return s.Writing && !s.Checked.IsZero() && s.Written > 0 })
	if s := writer.Stats(); s.MendedMissing+s.MendedExtra+s.MendedDifferent+s.Foreign > 0 {
		t.Errorf("nobody else has written, and yet: %+v", s)
	}
	c.NB(t, "lsp-set-addresses", vm1, "unknown")
	await("a row that differs", func(s northbound.Stats) bool { return s.MendedDifferent == 1 })
	c.NB(t, "ls-add", "neutron-"+id(1, 99))
	await("a row too many", func(s northbound.Stats) bool { return s.MendedExtra == 1 })
	c.NB(t, "qos-del", "neutron-"+inner)
	await("rows too few", func(s northbound.Stats) bool { return s.MendedMissing == 2 })
	last := writer.Stats().Checked
	c.NB(t, "lsp-add", "neutron-"+inner, "guest")
	await("a foreign row", func(s northbound.Stats) bool {
		return s.Foreign == 1 && s.Checked.After(last) && s.Missing+s.Extra+s.Different == 0
	})
	registry := prometheus.NewPedanticRegistry()
	for _, m := range writer.Collectors() {
		registry.MustRegister(m)
	}
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		"neutrino_ovn_writing 1", `neutrino_ovn_check_rows{difference="foreign"} 1`, `neutrino_ovn_check_rows{difference="missing"} 0`,
		`neutrino_ovn_rows_mended_total{difference="extra"} 1`, "neutrino_ovn_check_timestamp_seconds 1", "neutrino_ovn_transaction_seconds_count", "neutrino_ovn_commit_seconds_count",
	} {
		if !strings.Contains(rec.Body.String(), "\n"+line) {
			t.Errorf("no %s in\n%s", line, rec.Body)
		}
	}
}
