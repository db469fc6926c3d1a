// Package sriovnicswitch is the mechanism driver for functions of SR-IOV NICs that instances have to themselves: no
// switch of a host has such a port, the NIC's own does. It decides whether a port can be bound there. Pure.
package sriovnicswitch

import (
	"fmt"
	"slices"
	"strconv"
)

// VNICTypes are those that the driver binds: a virtual function (direct), the same behind a macvtap device, and a whole
// physical function.
var VNICTypes = []string{"direct", "macvtap", PhysicalFunction}

// PhysicalFunction is the vnic_type of a port that has the whole NIC. No agent looks after it.
const PhysicalFunction = "direct-physical"

// QoSRules are the types of QoS rules that the driver's hosts keep, each with its directions. Minimum bandwidth is a
// promise that placement keeps.
var QoSRules = map[string][]string{"minimum_bandwidth": {"egress", "ingress"}}

// Host is what the driver knows of a host from its agent.
type Host struct {
	Name           string
	Alive          bool
	DeviceMappings map[string][]string // physical network → physical functions
}

// Segment is where the port's network lies.
type Segment struct {
	Type     string
	Physical string
	VLAN     int // of vlan
}

// Binding is how an instance is plugged.
type Binding struct {
	VIFType string
	Details map[string]any // binding:vif_details
}

// Bind binds a port of vnicType on a segment to a host; nil is a host whose agent never reported. switchdev says that the
// port is to be offloaded from a switch (capabilities of its binding:profile): that is the switch's driver's. The error says
// why it can't be bound.
func Bind(vnicType string, switchdev bool, segment Segment, host *Host) (Binding, error) {
	switch {
	case !slices.Contains(VNICTypes, vnicType):
		return Binding{}, fmt.Errorf("vnic_type %q is not one of an SR-IOV NIC", vnicType)
	case vnicType == "direct" && switchdev:
		return Binding{}, fmt.Errorf("a port with the capability switchdev is for the driver of a switch")
	case segment.Type != "flat" && segment.Type != "vlan":
		return Binding{}, fmt.Errorf("SR-IOV NICs are on flat and VLAN networks, and not on one of type %s", segment.Type)
	}
	vif := "hw_veb"
	if vnicType == PhysicalFunction {
		vif = "hostdev_physical"
	} else if err := Reach(segment, host); err != nil {
		return Binding{}, err
	}
	return Binding{VIFType: vif, Details: map[string]any{
		"port_filter": false, "connectivity": "l2", "vlan": strconv.Itoa(segment.VLAN), "bound_drivers": map[string]string{"0": "sriovnicswitch"},
	}}, nil
}

// Reach says why a segment does not reach a host's NICs; nil is that it does.
func Reach(segment Segment, host *Host) error {
	switch {
	case host == nil:
		return fmt.Errorf("no NIC Switch agent has reported from the host")
	case !host.Alive:
		return fmt.Errorf("the NIC Switch agent on %s is not alive", host.Name)
	case len(host.DeviceMappings[segment.Physical]) == 0:
		return fmt.Errorf("physical network %q is not in the device mappings of host %s", segment.Physical, host.Name)
	}
	return nil
}
