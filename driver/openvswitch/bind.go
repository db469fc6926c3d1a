// Package openvswitch is the mechanism driver for hosts with an Open vSwitch agent: it decides
// whether a port can be bound there, and how the instance is to be plugged. Pure.
package openvswitch

import (
	"fmt"
	"slices"
)

// Extensions are the aliases that this driver brings of those extensions that only some drivers have: what our hosts'
// agents do beside switching.
var Extensions = []string{
	"dvr", "enable-default-route-ecmp", "expose-l3-conntrack-helper", "external-gateway-multihoming", "l3-conntrack-helper", "l3-ext-ndp-proxy", "l3-ndp-proxy", "local_ip", "metering",
	"metering_source_and_destination_fields",
}

// VNICTypes are those that the driver binds; direct when the switch's work is offloaded to the NIC (capability switchdev):
// the port's representor is on the switch then.
var VNICTypes = []string{"normal", "direct"}

// Host is what the driver knows of a host from its agent.
type Host struct {
	Name           string
	Alive          bool
	AdminStateUp   bool
	BridgeMappings map[string]string // physical network → bridge
	TunnelTypes    []string
	Bridge         string // integration bridge
	DatapathType   string // system or netdev
	HybridPlug     bool   // its firewall is on a bridge between the instance and br-int
}

// Segment is where the port's network lies.
type Segment struct {
	Type     string
	Physical string
}

// Binding is how an instance is plugged.
type Binding struct {
	VIFType string
	Details map[string]any // binding:vif_details
}

// Bind binds a port of vnicType on a segment to a host. switchdev is a capability in its binding:profile. The error says
// why it can't be bound.
func Bind(vnicType string, switchdev bool, segment Segment, host *Host) (Binding, error) {
	switch {
	case !slices.Contains(VNICTypes, vnicType):
		return Binding{}, fmt.Errorf("vnic_type %q is not supported by the Open vSwitch agent", vnicType)
	case vnicType == "direct" && !switchdev:
		return Binding{}, fmt.Errorf("vnic_type %q is not supported by the Open vSwitch agent without the capability switchdev", vnicType)
	case host == nil:
		return Binding{}, fmt.Errorf("no Open vSwitch agent has reported from the host")
	case vnicType == "direct" && host.HybridPlug:
		return Binding{}, fmt.Errorf("the firewall on %s is on a bridge before the switch, where a port of vnic_type %q is not", host.Name, vnicType)
	case !host.Alive:
		return Binding{}, fmt.Errorf("the Open vSwitch agent on %s is not alive", host.Name)
	}
	if err := Reach(segment, host); err != nil {
		return Binding{}, err
	}
	return Binding{
		VIFType: "ovs",
		Details: map[string]any{
			"port_filter":     true,
			"connectivity":    "l2",
			"ovs_hybrid_plug": host.HybridPlug,
			"datapath_type":   host.DatapathType,
			"bridge_name":     host.Bridge,
			"bound_drivers":   map[string]string{"0": "openvswitch"},
		},
	}, nil
}

// Reach says why a segment does not reach a host; nil is that it does.
func Reach(segment Segment, host *Host) error {
	switch segment.Type {
	case "local":
	case "flat", "vlan":
		if host.BridgeMappings[segment.Physical] == "" {
			return fmt.Errorf("physical network %q is not in the bridge mappings of host %s", segment.Physical, host.Name)
		}
	default:
		if !slices.Contains(host.TunnelTypes, segment.Type) {
			return fmt.Errorf("host %s has no tunnels of type %s", host.Name, segment.Type)
		}
	}
	return nil
}
