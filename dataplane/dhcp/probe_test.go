package dhcp

import (
	"net/netip"
	"testing"

	"neutrino/address"
)

func TestSelfDiscover(t *testing.T) {
	mac, own := address.MAC{0xfa, 0x16, 0x3e, 0, 0, 2}, netip.MustParsePrefix("10.0.0.2/24")
	table := &Table{Clients: map[address.MAC]*Client{mac: SelfLease(own)}}
	xid := [4]byte{1, 2, 3, 4}
	frame, err := SelfDiscover(mac, own.Addr(), xid)
	if err != nil {
		t.Fatal(err)
	}
	reply, reason := table.Answer(frame, mac, netip.Addr{})
	if !IsOffer(reply, xid) {
		t.Fatalf("the answer is %x (%s)", reply, reason)
	}
	if d, ok := parseFrame(reply); !ok || d.SrcMAC != mac || d.DstMAC != mac {
		t.Errorf("the answer leaves the machine: %+v", d)
	}
	if IsOffer(reply, [4]byte{1, 2, 3, 5}) || IsOffer(frame, xid) || IsOffer(nil, xid) {
		t.Error("something else is taken for the answer")
	}

	// A broadcast in the server's name is none of ours.
	copy(frame, broadcastMAC[:])
	if reply, _ := table.Answer(frame, mac, netip.Addr{}); reply != nil {
		t.Errorf("a forged request is answered: %x", reply)
	}
}

// Nothing that is on a wire brings the reader of offers down.
func FuzzIsOffer(f *testing.F) {
	mac, own := address.MAC{2, 0, 0, 0, 0, 1}, netip.MustParsePrefix("10.0.0.2/24")
	frame, err := SelfDiscover(mac, own.Addr(), [4]byte{1, 2, 3, 4})
	if err != nil {
		f.Fatal(err)
	}
	reply, _ := (&Table{Clients: map[address.MAC]*Client{mac: SelfLease(own)}}).Answer(frame, mac, netip.Addr{})
	f.Add(frame)
	f.Add(reply)
	f.Fuzz(func(t *testing.T, b []byte) {
		if IsOffer(b, [4]byte{1, 2, 3, 4}) && len(b) < 14+20+8+240 {
			t.Fatalf("%x is no whole offer", b)
		}
	})
}
