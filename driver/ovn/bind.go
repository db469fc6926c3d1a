package ovn

import (
	"fmt"
	"slices"
)

// VNICTypes are those that the driver binds; all but normal when the switch's work is offloaded to the NIC (capability
// switchdev): the port's representor is on the switch then. Without it such ports are external to OVN's hosts, and another
// driver binds them.
var VNICTypes = append([]string{"normal"}, externalTypes...)

// externalTypes are plugged by no switch of OVN's.
var externalTypes = []string{"direct", "direct-physical", "macvtap", "baremetal"}

// External says whether OVN has a port of vnicType as an external one: a gateway answers for it, on the physical network.
// switchdev is a capability in its binding:profile.
func External(vnicType string, switchdev bool) bool {
	return !switchdev && slices.Contains(externalTypes, vnicType)
}

// Host is what decides whether a port can be bound to a host.
type Host struct {
	Chassis
	Alive        bool
	AdminStateUp bool
}

// Binding is how an instance is plugged.
type Binding struct {
	VIFType string
	Details map[string]any // binding:vif_details
}

// Bind binds a port of vnicType on a segment to a host. The error says why it can't be.
func Bind(vnicType string, switchdev bool, segment Segment, host *Host) (Binding, error) {
	switch {
	case !slices.Contains(VNICTypes, vnicType):
		return Binding{}, fmt.Errorf("vnic_type %q is not supported with OVN", vnicType)
	case External(vnicType, switchdev):
		return Binding{}, fmt.Errorf("vnic_type %q is plugged by none of OVN's switches without the capability switchdev", vnicType)
	case host == nil:
		return Binding{}, fmt.Errorf("no OVN controller is known on the host")
	case !host.Alive:
		return Binding{}, fmt.Errorf("the OVN controller on %s is not alive", host.Hostname)
	}
	if err := Reach(segment, host); err != nil {
		return Binding{}, err
	}
	return Binding{
		VIFType: "ovs",
		Details: map[string]any{
			"port_filter":     true,
			"connectivity":    "l2",
			"ovs_hybrid_plug": false,
			"datapath_type":   host.Datapath,
			"bridge_name":     host.Bridge,
			"bound_drivers":   map[string]string{"0": "ovn"},
		},
	}, nil
}

// Reach says why a segment does not reach a host; nil is that it does. Networks in tunnels reach every host that
// OVN runs on, whatever the tunnels are.
func Reach(segment Segment, host *Host) error {
	switch segment.Type {
	case "flat", "vlan":
		if host.BridgeMappings[segment.Physical] == "" {
			return fmt.Errorf("physical network %q is not in the bridge mappings of host %s", segment.Physical, host.Hostname)
		}
	case "geneve", "vxlan", "local":
	default:
		return fmt.Errorf("OVN has no networks of type %s", segment.Type)
	}
	return nil
}
