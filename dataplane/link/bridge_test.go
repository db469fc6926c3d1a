package link

import (
	"encoding/hex"
	"testing"

	"github.com/vishvananda/netlink"
)

// FilterBridge sets what is missing, once, on this bridge alone.
func TestFilterBridge(t *testing.T) {
	s, err := In("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, name := range []string{"qbra", "qbrb"} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		if err := s.h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			t.Fatal(err)
		}
		defer s.Delete(name)
	}
	for range 2 {
		if err := s.FilterBridge("qbra"); err != nil {
			t.Fatal(err)
		}
	}
	if s.Writes != 1 {
		t.Errorf("%d writes", s.Writes)
	}
	for name, want := range map[string]bool{"qbra": true, "qbrb": false} {
		if got, there, err := s.BridgeFiltered(name); err != nil || !there || got != want {
			t.Errorf("%s gives its packets: %v, %v, %v", name, got, there, err)
		}
	}
	if got, there, err := s.BridgeFiltered("nowhere"); got || there || err != nil {
		t.Errorf("a bridge that is not there: %v, %v, %v", got, there, err)
	}
	for _, name := range []string{"nowhere", "lo"} {
		if s.FilterBridge(name) == nil {
			t.Errorf("%s was taken for a bridge", name)
		}
	}
}

func FuzzCallsOf(f *testing.F) {
	whole, err := hex.DecodeString("00000100020000000210000000000000" + "24001280" + "0b000100627269646765000014000280" + "0500240001000000" + "0500250001000000")
	if err != nil {
		f.Fatal(err)
	}
	if done, err := callsOf(whole); !done || err != nil {
		f.Fatal(done, err)
	}
	f.Add(whole)
	f.Add(whole[:20])
	f.Fuzz(func(_ *testing.T, message []byte) {
		_, _ = callsOf(message) // no more is asked than that it ends
	})
}
