package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/agent/hybrid"
	"neutrino/agent/l2"
	"neutrino/agent/plug"
	"neutrino/agent/probe"
	"neutrino/agent/stray"
	"neutrino/desired"
)

// Host is a host as the server wants it and as it is.
type Host struct {
	Layout
	Running   bool           `json:"agent_running"`
	Following string         `json:"following,omitempty"` // the server; "" while there is none
	Withheld  bool           `json:"withheld"`            // routers and DHCP are left out until a server answers
	Revision  int64          `json:"revision"`            // of the wanted state; -1: nothing is known
	Items     map[string]int `json:"items"`               // how many are wanted, by kind
	Objects   []Object       `json:"objects"`
	Strays    []stray.Seen   `json:"strays"`
	Probes    []probe.Result `json:"probes"`
	Trouble   []string       `json:"trouble,omitempty"` // what could not be read
}

// Object is one thing of the host: a port bound here, a network that it has, the service of a network, a router.
type Object struct {
	Kind    string       `json:"kind"` // port, network, dhcp, router; firewall: the one before br-int
	ID      string       `json:"id"`
	Desired []string     `json:"desired"`
	Actual  []string     `json:"actual"`
	Differs []Difference `json:"difference,omitempty"`
}

// Difference is what is not as it should be.
type Difference struct {
	What  string    `json:"what"`
	Since time.Time `json:"since,omitzero"` // when the agent first said so; zero: only the machine says it
}

// Objects compares. It is pure.
func Objects(l Layout, state *desired.State, f *Facts, told []agent.Told) []Object {
	c := newComparer(l, state, f)
	for _, t := range told {
		key := desired.Key{Kind: t.Kind, ID: t.ID}
		c.told[key] = append(c.told[key], t)
	}
	var out []Object
	for _, n := range state.Networks {
		if c.has(n.ID) {
			out = append(out, c.network(l2.Options{Host: l.Host, TunnelIP: l.TunnelIP, Mappings: l.Mappings}.Here(n)))
		}
		if p := dhcp.ServedBy(state, n.ID, l.Host); p != nil && slices.Contains(l.Roles, "dhcp") {
			out = append(out, c.service(n, p))
		}
	}
	if f.Firewall != nil {
		out = append(out, c.firewall())
	}
	for _, p := range state.Ports {
		if p.Wired(l.Host) {
			out = append(out, c.port(p))
		}
	}
	for _, r := range state.Routers {
		if slices.Contains(l.Roles, "l3") {
			out = append(out, c.router(r))
		}
	}
	slices.SortFunc(out, func(a, b Object) int { return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID)) })
	return out
}

type comparer struct {
	layout   Layout
	state    *desired.State
	facts    *Facts
	told     map[desired.Key][]agent.Told
	filtered map[string]l2.Filtered // ports that the hybrid firewall should be before
}

func newComparer(l Layout, state *desired.State, f *Facts) comparer {
	c := comparer{layout: l, state: state, facts: f, told: map[desired.Key][]agent.Told{}}
	if f.Firewall != nil {
		c.filtered = f.filtered(l, state)
	}
	return c
}

// has says whether a port of the network is bound here.
func (c comparer) has(network string) bool {
	for _, p := range c.state.PortsOf[network] {
		if p.Wired(c.layout.Host) {
			return true
		}
	}
	return false
}

// said adds what the agent reports to be wrong with a thing.
func (c comparer) said(o *Object, kind desired.Kind, id string) {
	for _, t := range c.told[desired.Key{Kind: kind, ID: id}] {
		if !t.Up {
			o.Differs = append(o.Differs, Difference{What: t.Layer + ": " + t.Reason, Since: t.Since})
		}
	}
}

// lacks notes what is missing on the machine, if the agent has not said so already.
func (o *Object) lacks(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	o.Differs = append(o.Differs, Difference{What: what})
}

func (c comparer) network(n *desired.Network) Object {
	o := Object{Kind: "network", ID: n.ID, Desired: []string{segment(n), fmt.Sprintf("MTU %d", n.MTU)}}
	if !n.AdminStateUp {
		o.Desired = append(o.Desired, "administratively down")
	}
	if vlan := c.facts.vlan(n.ID); vlan != 0 {
		o.Actual = append(o.Actual, fmt.Sprintf("local VLAN %d", vlan))
	}
	for _, finding := range failed(c.chain(n)) {
		o.lacks("%s", finding.What)
	}
	return o
}

// segment says in words where a network lies.
func segment(n *desired.Network) string {
	switch n.Type {
	case "flat":
		return "flat on " + n.Physical
	case "vlan":
		return fmt.Sprintf("VLAN %d on %s", n.SegmentationID, n.Physical)
	case "local":
		return "local"
	}
	return fmt.Sprintf("%s %d", n.Type, n.SegmentationID)
}

func (c comparer) port(p *desired.Port) Object {
	o := Object{Kind: "port", ID: p.ID, Desired: []string{p.MAC.String()}}
	for _, f := range p.FixedIPs {
		o.Desired = append(o.Desired, f.IP.String())
	}
	o.Desired = append(o.Desired, "on network "+p.NetworkID, "for "+cmp.Or(p.DeviceOwner, "nobody")+" "+p.DeviceID)
	if !p.AdminStateUp {
		o.Desired = append(o.Desired, "administratively down")
	}
	c.said(&o, desired.KindPort, p.ID)
	id := p.ID
	if p.SubPort != nil {
		id = p.SubPort.Parent
		o.Desired = append(o.Desired, fmt.Sprintf("on VLAN %d of the trunk's parent port %s", p.SubPort.VLAN, id))
	}
	iface, plugged := c.facts.plugged(id)
	if !plugged {
		o.Actual = []string{"no interface on br-int"}
		if len(o.Differs) == 0 {
			o.lacks("no interface with external_ids:iface-id=%s is on br-int", id)
		}
		return o
	}
	o.Actual = append(o.Actual, "interface "+iface.Name, fmt.Sprintf("OpenFlow port %d", iface.OFPort))
	if iface.Tag > 0 && p.SubPort == nil {
		o.Actual = append(o.Actual, fmt.Sprintf("local VLAN %d", iface.Tag))
	}
	if c.facts.Firewall != nil && hybrid.Before(iface.Name) {
		c.bridged(&o, p.ID)
	}
	if len(o.Differs) > 0 {
		return o
	}
	if iface.Error != "" {
		o.lacks("interface %s does not work: %s", iface.Name, iface.Error)
	}
	if n := c.state.Networks[p.NetworkID]; n != nil && n.AdminStateUp && p.AdminStateUp && p.SubPort == nil && iface.OtherConfig["net_uuid"] != p.NetworkID {
		o.lacks("interface %s is not on the network's local VLAN", iface.Name)
	}
	return o
}

func (c comparer) service(n *desired.Network, p *desired.Port) Object {
	place := dhcp.PlaceOf(c.state, n, p, c.layout.Metadata)
	o := Object{Kind: "dhcp", ID: n.ID, Desired: []string{"namespace " + place.Namespace}}
	c.inside(&o, place.Namespace, []placed{{place.Device, place.Addresses}})
	return o
}

// placed is a device that a namespace should have.
type placed struct {
	name      string
	addresses []netip.Prefix
}

// inside compares a namespace with the devices that it should have.
func (c comparer) inside(o *Object, namespace string, want []placed) {
	space, there := c.facts.Spaces[namespace]
	for _, w := range want {
		o.Desired = append(o.Desired, words(w.name, w.addresses))
	}
	if !there {
		o.Actual = append(o.Actual, "no namespace "+namespace)
		o.lacks("the namespace %s is not there", namespace)
		return
	}
	o.Actual = append(o.Actual, "namespace "+namespace)
	for _, w := range want {
		have, there := space.Devices[w.name]
		if !there {
			o.lacks("there is no device %s in %s", w.name, namespace)
			continue
		}
		o.Actual = append(o.Actual, words(w.name, have.Addresses))
		if !have.Up {
			o.lacks("%s in %s is down", w.name, namespace)
		}
		for _, a := range w.addresses {
			if !slices.Contains(have.Addresses, a) {
				o.lacks("%s in %s has no address %s", w.name, namespace, a)
			}
		}
	}
}

func words(name string, addresses []netip.Prefix) string {
	for _, a := range addresses {
		name += " " + a.String()
	}
	return name
}

func (c comparer) router(r *desired.Router) Object {
	namespace := "qrouter-" + r.ID
	o := Object{Kind: "router", ID: r.ID, Desired: []string{"namespace " + namespace}}
	if !r.AdminStateUp {
		o.Desired = append(o.Desired, "administratively down")
	}
	c.said(&o, desired.KindRouter, r.ID)
	for _, f := range r.FloatingIPs {
		c.said(&o, desired.KindFloatingIP, f.ID)
	}
	c.inside(&o, namespace, routerDevices(r))
	return o
}

// routerDevices are the devices of a router, with the addresses of its ports.
func routerDevices(r *desired.Router) (want []placed) {
	for _, p := range r.Interfaces {
		want = append(want, placed{plug.Device{Prefix: "qr-", PortID: p.PortID}.Name(), p.Addresses})
	}
	for _, g := range r.Gateways() {
		want = append(want, placed{plug.Device{Prefix: "qg-", PortID: g.PortID}.Name(), g.Addresses})
	}
	return want
}
