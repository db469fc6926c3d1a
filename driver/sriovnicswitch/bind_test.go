package sriovnicswitch

import (
	"strings"
	"testing"
)

// Which ports are bound, how they are plugged, and what is said of the others.
func TestBind(t *testing.T) {
	t.Parallel()
	vlan, flat := Segment{Type: "vlan", Physical: "physnet1", VLAN: 101}, Segment{Type: "flat", Physical: "physnet1"}
	host := func(change func(h *Host)) *Host {
		h := &Host{Name: "h1", Alive: true, DeviceMappings: map[string][]string{"physnet1": {"ens1f0", "ens1f1"}}}
		if change != nil {
			change(h)
		}
		return h
	}
	for _, c := range []struct {
		name, vnic string
		switchdev  bool
		segment    Segment
		host       *Host
		vif, vlan  string
		refusal    string
	}{
		{name: "VLAN", vnic: "direct", segment: vlan, host: host(nil), vif: "hw_veb", vlan: "101"},
		{name: "flat", vnic: "direct", segment: flat, host: host(nil), vif: "hw_veb", vlan: "0"},
		{name: "macvtap", vnic: "macvtap", segment: vlan, host: host(nil), vif: "hw_veb", vlan: "101"},
		{name: "macvtap is never offloaded", vnic: "macvtap", switchdev: true, segment: vlan, host: host(nil), vif: "hw_veb", vlan: "101"},
		{name: "physical function", vnic: "direct-physical", segment: vlan, host: host(nil), vif: "hostdev_physical", vlan: "101"},
		{name: "physical function without an agent", vnic: "direct-physical", segment: flat, vif: "hostdev_physical", vlan: "0"},
		{name: "normal", vnic: "normal", segment: vlan, host: host(nil), refusal: `vnic_type "normal"`},
		{name: "baremetal", vnic: "baremetal", segment: vlan, host: host(nil), refusal: `vnic_type "baremetal"`},
		{name: "offloaded", vnic: "direct", switchdev: true, segment: vlan, host: host(nil), refusal: "switchdev"},
		{name: "tunnel", vnic: "direct", segment: Segment{Type: "geneve"}, host: host(nil), refusal: "type geneve"},
		{name: "physical function on a tunnel", vnic: "direct-physical", segment: Segment{Type: "vxlan"}, host: host(nil), refusal: "type vxlan"},
		{name: "no agent", vnic: "direct", segment: vlan, refusal: "no NIC Switch agent"},
		{name: "dead agent", vnic: "macvtap", segment: vlan, host: host(func(h *Host) { h.Alive = false }), refusal: "on h1 is not alive"},
		{name: "another physical network", vnic: "direct", segment: Segment{Type: "vlan", Physical: "physnet2", VLAN: 5}, host: host(nil), refusal: `"physnet2" is not in the device mappings of host h1`},
	} {
		b, err := Bind(c.vnic, c.switchdev, c.segment, c.host)
		if c.refusal != "" {
			if err == nil || !strings.Contains(err.Error(), c.refusal) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || b.VIFType != c.vif || b.Details["vlan"] != c.vlan || b.Details["port_filter"] != false || b.Details["connectivity"] != "l2" {
			t.Errorf("%s: %+v, %v", c.name, b, err)
		}
	}
}
