// Package house keeps the directions in which rooms may use one another: docs/house.md in numbers.
package house

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms says for each package of ours, or family by its prefix ending in "/", which others its
// non-test files may import. The longest matching prefix counts. Who is not listed may not be.
var rooms = map[string][]string{
	"address": {},
	"fault":   {},
	"store":   {},
	"store/":  {"store"},
	"policy":  {},
	"desired": {"address"},

	"resource":  {"address", "fault", "store"},
	"engine":    {"fault", "policy", "resource", "store"},
	"identity":  {"policy"},
	"keystone":  {"identity", "keystone/", "policy"},
	"keystone/": {},
	"config":    {},
	"api":       {"engine", "fault", "identity", "policy", "resource", "store"},

	"driver/":              {"address"},
	"service/network/ipam": {"address"},
	"service/agent":        {"driver/", "engine", "fault", "policy", "resource", "store"},
	"service/network":      {"address", "driver/", "engine", "fault", "policy", "resource", "service/network/ipam", "store"},
	"service/security":     {"address", "engine", "fault", "policy", "resource", "service/network", "store"},
	"service/router":       {"address", "driver/", "engine", "fault", "policy", "resource", "service/network", "store"},

	"service/flavor":     {"engine", "fault", "resource"},
	"service/trunk":      {"engine", "fault", "resource", "service/network", "store"},
	"service/metering":   {"engine", "fault", "resource", "store"},
	"service/scheduling": {"driver/", "engine", "fault", "resource", "service/agent", "service/network", "service/router", "store"},
	"service/qos":        {"driver/", "engine", "fault", "policy", "resource", "service/network", "service/router", "store"},
	"service/rbac":       {"engine", "fault", "resource", "store"},
	"service/topology":   {"engine", "fault", "resource", "service/network", "service/router", "store"},

	"service/logging": {"engine", "fault", "resource", "service/network", "service/security", "store"},
	"service/localip": {"engine", "fault", "policy", "resource", "service/network", "store"},

	"service/compute": {"engine", "resource", "service/network", "service/router", "store"},

	"service/facts": {"desired", "driver/", "engine", "service/", "store"},

	"hub":        {"address", "desired"},
	"hub/":       {"address", "desired", "hub"},
	"northbound": {"dataplane/ovndb", "driver/ovn"},
	"southbound": {"dataplane/ovndb", "driver/ovn"},
	"nova":       {"keystone"},
	"migrations": {},
	"server":     {"address", "api", "dataplane/ovndb", "desired", "driver/", "engine", "fault", "hub", "identity", "keystone", "migrations", "northbound", "nova", "policy", "resource", "service/", "southbound", "store"},

	"agent":      {"address", "desired"},
	"agent/":     {"address", "agent", "agent/", "dataplane/", "desired"},
	"dataplane/": {"address", "dataplane/"},

	"lab":          {"address", "dataplane/", "lab/"},
	"lab/":         {"address", "dataplane/", "lab", "lab/"},
	"scenario":     {"lab", "lab/"},
	"scenario/":    {"address"},
	"house":        {},
	"packaging":    {},
	"conformance":  {"lab", "lab/"},
	"cmd/neutrino": {"address", "config", "driver/", "agent", "agent/", "dataplane/", "desired", "identity", "keystone", "keystone/", "lab", "lab/", "migrations", "northbound", "nova", "policy", "server", "service/network", "store"},
}

const module = "neutrino/"

func TestDirections(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "neutrino/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], module)
		allowed, known := rule(from)
		if !known {
			t.Errorf("%s is a room that the table does not know", from)
			continue
		}
		for _, to := range words[1:] {
			to, ours := strings.CutPrefix(to, module)
			if ours && !slices.ContainsFunc(allowed, func(a string) bool { return a == to || strings.HasSuffix(a, "/") && strings.HasPrefix(to, a) }) {
				t.Errorf("%s must not import %s", from, to)
			}
		}
	}
}

// rule finds the entry with the longest match for a package.
func rule(pkg string) (allowed []string, known bool) {
	best := ""
	for name, list := range rooms {
		if (name == pkg || strings.HasSuffix(name, "/") && strings.HasPrefix(pkg, name)) && len(name) >= len(best) {
			best, allowed, known = name, list, true
		}
	}
	return allowed, known
}

// TestSubjects holds every package that is more than tests to say what it is for.
func TestSubjects(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{if .GoFiles}}{{.ImportPath}}{{"\t"}}{{.Doc}}{{end}}`, "neutrino/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		pkg, doc, _ := strings.Cut(line, "\t")
		if doc == "" && line != "" {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}
