// Package baremetal is the mechanism driver for machines that are instances as a whole (Ironic's nodes): their switches
// are configured by others. It decides whether a port can be bound (docs/decisions/0018-baremetal.md). Pure.
package baremetal

import "fmt"

// VNICTypes are those that the driver binds.
var VNICTypes = []string{"baremetal"}

// Binding is how a machine is plugged: by others.
type Binding struct {
	VIFType string
	Details map[string]any // binding:vif_details
}

// Bind binds a port of vnicType on a segment of a type. The error says why it can't be bound.
func Bind(vnicType, segment string) (Binding, error) {
	switch {
	case vnicType != "baremetal":
		return Binding{}, fmt.Errorf("vnic_type %q is not that of a machine as a whole", vnicType)
	case segment != "flat" && segment != "vlan":
		return Binding{}, fmt.Errorf("machines are on flat and VLAN networks, and not on one of type %s", segment)
	}
	return Binding{VIFType: "other", Details: map[string]any{"connectivity": "l2", "bound_drivers": map[string]string{"0": "baremetal"}}}, nil
}
