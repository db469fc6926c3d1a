package scenario

import (
	"path/filepath"
	"strings"
	"testing"

	"neutrino/lab"
)

// openvswitch is the driver of Neutrino's own agents; lab.OVN is the other one.
const openvswitch = "openvswitch"

// only is why a story is told on one driver only.
type only struct{ driver, reason string }

// ofOneDriver are the stories that are not told on both drivers; all others are. Within a story the conditions
// [openvswitch] and [ovn] stand before lines that look at a driver's own parts; what is judged by packets has none.
var ofOneDriver = map[string]only{
	"bfd":        {lab.OVN, "the other driver has no BFD, and says so"},
	"chassis":    {lab.OVN, "what failover is to agents: OVN's hosts give the gateway to one another"},
	"check":      {openvswitch, "neutrino check and show-host look at the agent and its flows"},
	"cutoff":     {openvswitch, "a router without a gateway is on all hosts with OVN: none takes it over"},
	"drain":      {openvswitch, "routers and DHCP are moved from agent to agent"},
	"failover":   {openvswitch, "routers and DHCP are moved from agent to agent; with OVN chassis do it, and the story is chassis"},
	"forced":     {openvswitch, "the DHCP agent's options; OVN's DHCP leads to metadata always"},
	"guide":      {openvswitch, "the guide is about the configuration files of the Open vSwitch agent"},
	"install":    {openvswitch, "docs/install.md installs agents"},
	"openstack":  {openvswitch, "the client speaks to the API only, and takes its time"},
	"raft":       {lab.OVN, "OVN's databases are clusters"},
	"responders": {openvswitch, "with OVN every host answers DHCP for its own ports"},
	"tags":       {lab.OVN, "the other driver carries no tags of instances, and says so"},
	"tunnels":    {openvswitch, "OVN has one type of tunnel between all hosts"},
	"tunnels6":   {openvswitch, "OVN has one type of tunnel between all hosts"},
	"upgrade":    {openvswitch, "the agent's binary is exchanged; what wires OVN's hosts is OVN's own"},
}

// notFiltered is why stories of the Open vSwitch driver are not told again on hosts with firewall_driver iptables_hybrid;
// all others are.
var notFiltered = map[string]string{
	"badinput":   "what is refused comes to no host",
	"cutoff":     "routers and DHCP go from host to host; what is before br-int stays with its instance",
	"drain":      "as cutoff",
	"failover":   "as cutoff",
	"forced":     "the story's own files say how its hosts are; it is about DHCP",
	"guide":      "the guide's files name the other firewall driver",
	"install":    "the document's files name the other firewall driver",
	"limits":     "what has an address outside is limited in the router",
	"openstack":  "the client speaks to the API only, and takes its time",
	"responders": "the story's own files say how its hosts are; it is about DHCP",
	"trunk":      "a port that is plugged by way of a bridge carries no subports; hybrid/subport tells",
}

// filteredStories are the scripts to be told on hosts with iptables_hybrid.
func filteredStories() ([]string, error) {
	own, err := filepath.Glob("testdata/hybrid/*.txtar")
	if err != nil {
		return nil, err
	}
	all, err := storiesFor(openvswitch)
	for _, file := range all {
		if notFiltered[storyName(file)] == "" {
			own = append(own, file)
		}
	}
	return own, err
}

// storiesFor are the scripts to be told on a driver.
func storiesFor(driver string) ([]string, error) {
	all, err := filepath.Glob("testdata/*.txtar")
	var files []string
	for _, file := range all {
		if o, found := ofOneDriver[storyName(file)]; !found || o.driver == driver {
			files = append(files, file)
		}
	}
	return files, err
}

func storyName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".txtar") }

// TestDrivers: what is said of stories is said of stories that there are.
func TestDrivers(t *testing.T) {
	all, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range all {
		names[storyName(file)] = true
	}
	for name, o := range ofOneDriver {
		if !names[name] || o.reason == "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	for name, reason := range notFiltered {
		if !names[name] || reason == "" || ofOneDriver[name].driver == lab.OVN {
			t.Errorf("%s: %q", name, reason)
		}
	}
}
