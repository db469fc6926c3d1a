package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"neutrino/agent/hybrid"
	"neutrino/agent/l2"
	"neutrino/desired"
)

// hybridFirewall is the firewall_driver whose rules are before br-int.
const hybridFirewall = "iptables_hybrid"

// lookHybrid reads what there is of the hybrid firewall, on a host that has it.
func (f *Facts) lookHybrid(ctx context.Context, l Layout, state *desired.State) error {
	if l.Firewall != hybridFirewall || !slices.Contains(l.Roles, "l2") || f.database != nil {
		return nil
	}
	found, err := hybrid.Look(ctx, state, f.filtered(l, state))
	f.Firewall = found
	if err != nil {
		return fmt.Errorf("read the rules before br-int: %w", err)
	}
	return nil
}

// filtered are the ports that the hybrid firewall should be before: those of the host that are plugged for it, and that
// nothing else keeps from being wired.
func (f *Facts) filtered(l Layout, state *desired.State) map[string]l2.Filtered {
	out := map[string]l2.Filtered{}
	for _, iface := range f.Bridges["br-int"].Ports {
		id := iface.ExternalIDs["iface-id"]
		p := state.Ports[id]
		if p == nil || p.Host != l.Host || !p.AdminStateUp || !hybrid.Before(iface.Name) {
			continue
		}
		n := state.Networks[p.NetworkID]
		if n == nil || !n.AdminStateUp {
			continue
		}
		if iface.Error != "" || iface.OFPort == 0 || iface.Tag == 0 || iface.OtherConfig["net_uuid"] != p.NetworkID {
			continue
		}
		n = l2.Options{Host: l.Host, TunnelIP: l.TunnelIP, Mappings: l.Mappings}.Here(n)
		if _, there := f.Bridges[l.Mappings[n.Physical]]; !there && (n.Type == "flat" || n.Type == "vlan") {
			continue
		}
		if p.PortSecurity && slices.ContainsFunc(p.SecurityGroups, func(group string) bool { return state.SecurityGroups[group] == nil }) {
			continue
		}
		out[id] = l2.Filtered{Zone: uint16(iface.Tag), OFPort: iface.OFPort}
	}
	return out
}

// maxNamed is how many rules are named of those that are not as they should be.
const maxNamed = 5

// brief are the first of what is said, and how many more there are.
func brief(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(list[:maxNamed], "; "), len(list)-maxNamed)
}

// The mends of the hybrid firewall.
const (
	loadModule = "modprobe br_netfilter && echo br_netfilter > /etc/modules-load.d/neutrino.conf"
	plugAnew   = "openstack server reboot --hard INSTANCE (the compute service makes it)"
	rulesAnew  = "journalctl -u neutrino-agent; " + restartAgent
)

// shared looks at what all ports that the hybrid firewall is before need.
func (c comparer) shared(f *findings) {
	found := c.facts.Firewall
	if found == nil {
		return
	}
	f.expect(found.Settings != nil, "the kernel module br_netfilter is loaded", "the kernel module br_netfilter is not loaded", loadModule)
	f.expect(len(found.Wrong) == 0, "the rules that ports share are in nftables", "the rules that ports share are not as they should be: "+brief(found.Wrong), rulesAnew)
}

// before looks for what is broken between an instance's port and br-int.
func (c comparer) before(f *findings, id string) {
	tap, bridge, inside, err := hybrid.Devices(id)
	if err != nil {
		f.expect(false, "", err.Error(), "openstack port delete "+id)
		return
	}
	broken := func(mend, format string, args ...any) {
		f.expect(false, "", "port "+id+": "+fmt.Sprintf(format, args...), mend)
	}
	b, there := c.facts.Devices[bridge]
	switch {
	case !there:
		broken(plugAnew, "there is no bridge %s", bridge)
		return
	case !b.Up:
		broken("ip link set "+bridge+" up", "bridge %s is down", bridge)
	}
	for _, name := range []string{tap, inside} {
		switch d, there := c.facts.Devices[name]; {
		case !there:
			broken(plugAnew, "there is no device %s", name)
		case d.Master != b.Index:
			broken("ip link set "+name+" master "+bridge, "%s is not in bridge %s", name, bridge)
		case !d.Up:
			broken("ip link set "+name+" up", "%s is down", name)
		}
	}
	if filtered, known := c.facts.Firewall.Filtered[bridge]; known && !filtered {
		broken("ip link set "+bridge+" type bridge nf_call_iptables 1 nf_call_ip6tables 1", "bridge %s does not show its packets to the tables of IPv4 and IPv6", bridge)
	}
	if wrong := c.facts.Firewall.WrongOf[id]; len(wrong) > 0 {
		broken(rulesAnew, "its rules are not as they should be: %s", brief(wrong))
	}
}

// bridges looks at what is before br-int for the ports of a network.
func (c comparer) bridges(n *desired.Network) []Finding {
	f := &findings{subject: "network " + n.ID}
	whole := 0
	for _, id := range slices.Sorted(maps.Keys(c.filtered)) {
		if c.state.Ports[id].NetworkID != n.ID {
			continue
		}
		said := len(f.all)
		if c.before(f, id); len(f.all) == said {
			whole++
		}
	}
	if whole > 0 {
		f.expect(true, fmt.Sprintf("the ports that are plugged by a bridge have it, and their rules (%d)", whole), "", "")
	}
	return f.all
}

// firewall is the hybrid firewall as a thing of the host.
func (c comparer) firewall() Object {
	found := c.facts.Firewall
	o := Object{Kind: "firewall", ID: hybridFirewall, Desired: []string{"br_netfilter loaded", fmt.Sprintf("rules of %d ports", len(c.filtered))}}
	if found.Settings != nil {
		o.Actual = append(o.Actual, "br_netfilter loaded")
	}
	for _, name := range slices.Sorted(maps.Keys(found.Settings)) {
		o.Actual = append(o.Actual, "net.bridge."+name+"="+found.Settings[name])
	}
	for _, table := range slices.Sorted(maps.Keys(found.Tables)) {
		size := found.Tables[table]
		o.Actual = append(o.Actual, fmt.Sprintf("table %s: %d chains, %d sets", table, size.Chains, size.Sets))
	}
	f := &findings{}
	c.shared(f)
	for _, finding := range failed(f.all) {
		o.lacks("%s", finding.What)
	}
	return o
}

// bridged compares what is between a port's instance and br-int.
func (c comparer) bridged(o *Object, id string) {
	tap, bridge, inside, err := hybrid.Devices(id)
	if err != nil {
		return // the agent has said so
	}
	o.Desired = append(o.Desired, fmt.Sprintf("bridge %s with %s and %s", bridge, tap, inside))
	if b, there := c.facts.Devices[bridge]; there {
		o.Actual = append(o.Actual, "bridge "+bridge)
		for _, name := range []string{tap, inside} {
			if c.facts.Devices[name].Master == b.Index {
				o.Actual = append(o.Actual, name+" in it")
			}
		}
	}
	if _, filtered := c.filtered[id]; !filtered || len(o.Differs) > 0 {
		return
	}
	f := &findings{}
	c.before(f, id)
	for _, finding := range f.all {
		o.lacks("%s", strings.TrimPrefix(finding.What, "port "+id+": "))
	}
}
