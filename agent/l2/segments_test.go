package l2

import (
	"log/slog"
	"net/netip"
	"testing"

	"neutrino/desired"
)

// TestHere holds which of a network's segments a host is on.
func TestHere(t *testing.T) {
	vlan1 := desired.Segment{Type: "vlan", Physical: "physnet1", SegmentationID: 11}
	vlan2 := desired.Segment{Type: "vlan", Physical: "physnet2", SegmentationID: 22}
	vxlan := desired.Segment{Type: "vxlan", SegmentationID: 33}
	for _, c := range []struct {
		name     string
		options  Options
		segments []desired.Segment
		want     desired.Segment
	}{
		{"the first", Options{Mappings: map[string]string{"physnet1": "br-1", "physnet2": "br-2"}}, []desired.Segment{vlan1, vlan2}, vlan1},
		{"the only one that reaches it", Options{Mappings: map[string]string{"physnet2": "br-2"}}, []desired.Segment{vlan1, vlan2}, vlan2},
		{"a tunnel", Options{TunnelIP: netip.MustParseAddr("192.0.2.1")}, []desired.Segment{vlan1, vxlan}, vxlan},
		{"no tunnels", Options{Mappings: map[string]string{"physnet1": "br-1"}}, []desired.Segment{vxlan, vlan1}, vlan1},
		{"none", Options{}, []desired.Segment{vlan2, vxlan}, vlan2},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := desired.NewState()
			given := &desired.Network{ID: "n", Type: c.segments[0].Type, Physical: c.segments[0].Physical, SegmentationID: c.segments[0].SegmentationID, Segments: c.segments}
			state.Put(given)
			state.Put(&desired.Network{ID: "plain", Type: "flat", Physical: "p"})
			seen := New(c.options, slog.New(slog.DiscardHandler)).here(state)
			n := seen.Networks["n"]
			if got := (desired.Segment{Type: n.Type, Physical: n.Physical, SegmentationID: n.SegmentationID}); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if state.Networks["n"] != given || seen.Networks["plain"] != state.Networks["plain"] {
				t.Error("the items were changed, or others copied")
			}
		})
	}
}
