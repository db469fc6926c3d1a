package network

import (
	"neutrino/driver/baremetal"
	"neutrino/driver/openvswitch"
	"neutrino/driver/ovn"
	"neutrino/driver/sriovnicswitch"
	"neutrino/engine"
)

// The mechanism drivers, by their names in mechanism_drivers.
const (
	Openvswitch    = "openvswitch"
	OVN            = "ovn"
	SRIOVNICSwitch = "sriovnicswitch"
	Baremetal      = "baremetal"
)

// Mechanism is a mechanism driver: it says whether, and how, a port is plugged on a host.
type Mechanism struct {
	Name       string
	VNICTypes  []string            // what it binds
	Extensions []string            // aliases that it brings of those extensions that only some drivers have
	QoSRules   map[string][]string // types of QoS rules that its hosts keep → directions; none where a type has none

	// bind says how a port is plugged on a segment and a host; refusal is why it can't be.
	bind func(c *engine.Call, hosts Hosts, w wish, g *Segment, host string) (b plugged, refusal, err error)
	// reaches says whether a segment reaches a host of the driver's; nil: it has none.
	reaches func(c *engine.Call, hosts Hosts, g *Segment, host string) (bool, error)
	// unwatched says of which ports no host tells whether they are wired; nil: of none.
	unwatched func(vnic string) bool
}

// Mechanisms are all that there are. Which are used, and in which order they are asked, Config says.
var Mechanisms = []*Mechanism{
	{Name: Openvswitch, VNICTypes: openvswitch.VNICTypes, Extensions: openvswitch.Extensions, QoSRules: openvswitch.QoSRules, bind: bindSwitch, reaches: switchReached},
	{Name: OVN, VNICTypes: ovn.VNICTypes, Extensions: ovn.Extensions, QoSRules: ovn.QoSRules, bind: bindOVN, reaches: chassisReached},
	{Name: SRIOVNICSwitch, VNICTypes: sriovnicswitch.VNICTypes, QoSRules: sriovnicswitch.QoSRules, bind: bindSRIOV, reaches: nicReached,
		unwatched: func(vnic string) bool { return vnic == sriovnicswitch.PhysicalFunction }},
	{Name: Baremetal, VNICTypes: baremetal.VNICTypes, bind: bindBaremetal, unwatched: func(string) bool { return true }},
}

// mechanismOf finds a driver; nil when there is none of the name.
func mechanismOf(name string) *Mechanism {
	for _, m := range Mechanisms {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Hosts tells the service about hosts and their agents; the agent service is it.
type Hosts interface {
	// SwitchOn gives what the Open vSwitch driver needs of a host; nil when its agent never reported.
	SwitchOn(c *engine.Call, host string) (*openvswitch.Host, error)
	// ChassisOn gives what the OVN driver needs of a host; nil when no controller of OVN's is known there.
	ChassisOn(c *engine.Call, host string) (*ovn.Host, error)
	// NICsOn gives what the SR-IOV driver needs of a host; nil when its agent never reported.
	NICsOn(c *engine.Call, host string) (*sriovnicswitch.Host, error)
	// DHCPHosts lists hosts with an alive DHCP agent in one of the zones (none: anywhere) that takes work
	// and does not serve the network yet, the best first.
	DHCPHosts(c *engine.Call, zones, serving []string) ([]string, error)
	// CheckDHCPZones refuses zones that no DHCP agent is in.
	CheckDHCPZones(c *engine.Call, zones []string) error
}

func bindSwitch(c *engine.Call, hosts Hosts, w wish, g *Segment, name string) (plugged, error, error) {
	host, err := hosts.SwitchOn(c, name)
	if err != nil {
		return plugged{}, nil, err
	}
	b, refusal := openvswitch.Bind(w.vnic, w.switchdev, openvswitch.Segment{Type: g.Type, Physical: g.Physical}, host)
	return plugged(b), refusal, nil
}

func switchReached(c *engine.Call, hosts Hosts, g *Segment, name string) (bool, error) {
	host, err := hosts.SwitchOn(c, name)
	return err == nil && host != nil && openvswitch.Reach(openvswitch.Segment{Type: g.Type, Physical: g.Physical}, host) == nil, err
}

func bindOVN(c *engine.Call, hosts Hosts, w wish, g *Segment, name string) (plugged, error, error) {
	host, err := hosts.ChassisOn(c, name)
	if err != nil {
		return plugged{}, nil, err
	}
	b, refusal := ovn.Bind(w.vnic, w.switchdev, ovn.Segment{Type: g.Type, Physical: g.Physical}, host)
	return plugged(b), refusal, nil
}

func chassisReached(c *engine.Call, hosts Hosts, g *Segment, name string) (bool, error) {
	host, err := hosts.ChassisOn(c, name)
	return err == nil && host != nil && ovn.Reach(ovn.Segment{Type: g.Type, Physical: g.Physical}, host) == nil, err
}

func bindSRIOV(c *engine.Call, hosts Hosts, w wish, g *Segment, name string) (plugged, error, error) {
	host, err := hosts.NICsOn(c, name)
	if err != nil {
		return plugged{}, nil, err
	}
	b, refusal := sriovnicswitch.Bind(w.vnic, w.switchdev, nicSegment(g), host)
	return plugged(b), refusal, nil
}

func nicReached(c *engine.Call, hosts Hosts, g *Segment, name string) (bool, error) {
	host, err := hosts.NICsOn(c, name)
	return err == nil && (g.Type == "flat" || g.Type == "vlan") && sriovnicswitch.Reach(nicSegment(g), host) == nil, err
}

func nicSegment(g *Segment) sriovnicswitch.Segment {
	s := sriovnicswitch.Segment{Type: g.Type, Physical: g.Physical}
	if g.Type == "vlan" {
		s.VLAN = g.SegmentID
	}
	return s
}

func bindBaremetal(_ *engine.Call, _ Hosts, w wish, g *Segment, _ string) (plugged, error, error) {
	b, refusal := baremetal.Bind(w.vnic, g.Type)
	return plugged(b), refusal, nil
}
