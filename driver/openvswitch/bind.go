// Package openvswitch is the mechanism driver for hosts with an Open vSwitch agent: it decides
// whether a port can be bound there, and how the instance is to be plugged. Pure.
package openvswitch

import (
	"fmt"
	"slices"
)

// Host is what the driver knows of a host from its agent.
type Host struct {
	Name           string
	Alive          bool
	AdminStateUp   bool
	BridgeMappings map[string]string // physical network → bridge
	TunnelTypes    []string
	Bridge         string // integration bridge
	DatapathType   string // system or netdev
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

// Bind binds a port of vnicType on a segment to a host. The error says why it can't be.
func Bind(vnicType string, segment Segment, host *Host) (Binding, error) {
	switch {
	case host == nil:
		return Binding{}, fmt.Errorf("no Open vSwitch agent has reported from the host")
	case vnicType != "normal":
		return Binding{}, fmt.Errorf("vnic_type %q is not supported by the Open vSwitch agent", vnicType)
	case !host.Alive:
		return Binding{}, fmt.Errorf("the Open vSwitch agent on %s is not alive", host.Name)
	}
	switch segment.Type {
	case "local":
	case "flat", "vlan":
		if host.BridgeMappings[segment.Physical] == "" {
			return Binding{}, fmt.Errorf("physical network %q is not in the bridge mappings of host %s", segment.Physical, host.Name)
		}
	default:
		if !slices.Contains(host.TunnelTypes, segment.Type) {
			return Binding{}, fmt.Errorf("host %s has no tunnels of type %s", host.Name, segment.Type)
		}
	}
	return Binding{
		VIFType: "ovs",
		Details: map[string]any{
			"port_filter":     true,
			"connectivity":    "l2",
			"ovs_hybrid_plug": false,
			"datapath_type":   host.DatapathType,
			"bridge_name":     host.Bridge,
			"bound_drivers":   map[string]string{"0": "openvswitch"},
		},
	}, nil
}
