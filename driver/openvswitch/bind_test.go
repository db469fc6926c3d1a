package openvswitch

import "testing"

// An instance is plugged as its host's firewall needs it.
func TestHybridPlug(t *testing.T) {
	for _, hybrid := range []bool{false, true} {
		b, err := Bind("normal", false, Segment{Type: "local"}, &Host{Name: "h", Alive: true, HybridPlug: hybrid})
		if err != nil || b.Details["ovs_hybrid_plug"] != hybrid || b.Details["port_filter"] != true || b.VIFType != "ovs" {
			t.Errorf("bound %+v, %v", b, err)
		}
	}
}

// What the NIC does for the switch is on the switch; what it does alone is not.
func TestOffload(t *testing.T) {
	for _, c := range []struct {
		vnic                     string
		switchdev, hybrid, bound bool
	}{
		{vnic: "direct", switchdev: true, bound: true},
		{vnic: "direct"},
		{vnic: "direct", switchdev: true, hybrid: true},
		{vnic: "macvtap", switchdev: true},
		{vnic: "baremetal"},
	} {
		b, err := Bind(c.vnic, c.switchdev, Segment{Type: "local"}, &Host{Name: "h", Alive: true, HybridPlug: c.hybrid})
		if c.bound != (err == nil) || c.bound && b.VIFType != "ovs" {
			t.Errorf("%+v: %+v, %v", c, b, err)
		}
	}
}
