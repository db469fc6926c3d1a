package baremetal

import "testing"

// Machines are bound on physical networks, and nothing else is bound.
func TestBind(t *testing.T) {
	t.Parallel()
	for segment, bound := range map[string]bool{"flat": true, "vlan": true, "vxlan": false, "geneve": false, "gre": false, "local": false} {
		b, err := Bind("baremetal", segment)
		if bound != (err == nil) || bound && (b.VIFType != "other" || b.Details["connectivity"] != "l2") {
			t.Errorf("%s: %+v, %v", segment, b, err)
		}
		for _, vnic := range []string{"normal", "direct", "direct-physical"} {
			if b, err := Bind(vnic, segment); err == nil {
				t.Errorf("%s on %s: %+v", vnic, segment, b)
			}
		}
	}
}
