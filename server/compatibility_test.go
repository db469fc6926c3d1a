package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"neutrino/api"
	"neutrino/driver/openvswitch"
	"neutrino/driver/ovn"
)

// notPlanned says of aliases that no work is meant for why.
var notPlanned = map[string]string{
	"neutron-lib only": "a definition that no service of the original loads",
}

// later says which service an extension waits for.
var later = map[string]string{
	"neutron-vpnaas": "VPN service, not built yet", "neutron-fwaas": "firewall service, not built yet",
	"neutron-dynamic-routing": "BGP service, not built yet", "networking-bgpvpn": "BGP VPN service, not built yet",
	"networking-sfc": "service chaining, not built yet", "tap-as-a-service": "tap service, not built yet",
}

// drivers are the mechanism drivers that there are, with the aliases that they bring of those that only some have.
var drivers = map[string][]string{"Open vSwitch": openvswitch.Extensions, "OVN": slices.Concat(ovn.Extensions, ovn.TagExtensions)}

// bringing names the drivers that bring an extension.
func bringing(alias string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(drivers)) {
		if slices.Contains(drivers[name], alias) {
			names = append(names, name)
		}
	}
	return names
}

// notHere says why extensions that the original's Open vSwitch deployment shows are not here.
var notHere = map[string]string{
	"quota-check-limit-default": "a limit below what is in use is refused when the request says check_limit: clients of Debian 12 count on it",
}

// TestCompatibility keeps the page's table of all extensions true. The facts of the original are read
// from the specification beside the project; without it the test is skipped.
func TestCompatibility(t *testing.T) {
	data, err := os.ReadFile("../../shared/spec/networking/extensions.json")
	if err != nil {
		t.Skip("the specification is not beside the project")
	}
	var spec struct {
		Extensions map[string]struct {
			Name    string
			Project string
			Full    bool `json:"ovs_full"`
			OVN     bool `json:"ovn_minimal"`
		}
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	have := append(api.Extensions(nil), api.DriverExtensions()...)
	for _, alias := range have {
		if _, known := spec.Extensions[alias]; !known {
			t.Errorf("the original has no extension %s", alias)
		}
	}
	var b strings.Builder
	counts := map[string]int{}
	for _, alias := range slices.Sorted(maps.Keys(spec.Extensions)) {
		e := spec.Extensions[alias]
		state, why := "no", "not there yet"
		switch {
		case slices.Contains(api.DriverExtensions(), alias) && len(bringing(alias)) == 0:
			why = "for drivers that bring it; none does yet"
		case slices.Contains(have, alias):
			state, why = "yes", ""
			if with := bringing(alias); len(with) > 0 && len(with) < len(drivers) {
				why = "with the driver " + strings.Join(with, ", ")
				if slices.Contains(ovn.TagExtensions, alias) {
					why += " alone, when the operator wants it"
				}
			}
		case notPlanned[e.Project] != "":
			state, why = "not planned", notPlanned[e.Project]
		case later[e.Project] != "":
			why = later[e.Project]
		case notHere[alias] != "":
			why = notHere[alias]
		case !e.Full && e.OVN:
			why = "shown by the original with its OVN driver only; comes with ours"
		case !e.Full:
			why = "not shown by the original's Open vSwitch deployment either"
		}
		counts[state]++
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", alias, e.Name, state, why)
	}
	const path = "../docs/compatibility.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(text), "-update -->\n")
	if !found {
		t.Fatalf("%s has no place for the table", path)
	}
	want := head + "-update -->\n" + fmt.Sprintf("\n%d aliases: %d yes, %d no, %d not planned.\n\n| alias | name | here | why not |\n|---|---|---|---|\n",
		len(spec.Extensions), counts["yes"], counts["no"], counts["not planned"]) + b.String()
	page(t, path, []byte(want))
}
