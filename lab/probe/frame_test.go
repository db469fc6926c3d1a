package probe

import (
	"net/netip"
	"testing"

	"neutrino/address"
)

var (
	macA = address.MAC{0xfa, 0x16, 0x3e, 0, 0, 1}
	macB = address.MAC{0xfa, 0x16, 0x3e, 0, 0, 2}
)

// TestFrames: what is sent is what a watcher with the same words sees, and a watcher with others does not.
func TestFrames(t *testing.T) {
	four := Frame{SrcMAC: macA, DstMAC: macB, SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: netip.MustParseAddr("10.0.0.2")}
	arp := four
	arp.ARP = true
	six := Frame{SrcMAC: macA, DstMAC: macB, SrcIP: netip.MustParseAddr("fd00::1"), DstIP: netip.MustParseAddr("fd00::2")}
	tagged, stacked := four, six
	tagged.Tags, stacked.Tags = Tags{{VLAN: 42}}, Tags{{VLAN: 161, Service: true}, {VLAN: 42}}
	for name, f := range map[string]Frame{"IPv4": four, "ARP": arp, "IPv6": six, "tagged": tagged, "stacked": stacked} {
		data, err := f.encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen, ok := decode(data)
		if !ok || seen != f {
			t.Errorf("%s: sent %+v, seen %+v, %v", name, f, seen, ok)
		}
		if !f.matches(seen) {
			t.Errorf("%s: does not match itself", name)
		}
		for what, change := range map[string]func(*Frame){
			"source MAC": func(f *Frame) { f.SrcMAC = macB }, "destination MAC": func(f *Frame) { f.DstMAC = macA },
			"source": func(f *Frame) { f.SrcIP = f.DstIP }, "destination": func(f *Frame) { f.DstIP = f.SrcIP },
			"kind": func(f *Frame) { f.ARP = !f.ARP }, "tag": func(f *Frame) { f.Tags[0].VLAN++ }, "kind of tag": func(f *Frame) { f.Tags[0].Service = !f.Tags[0].Service },
			"tag behind": func(f *Frame) { f.Tags[1].VLAN++ },
		} {
			other := f
			change(&other)
			if other.matches(seen) {
				t.Errorf("%s: another %s matches", name, what)
			}
		}
	}
}

func TestChecksums(t *testing.T) {
	f := Frame{SrcMAC: macA, DstMAC: macB, SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: netip.MustParseAddr("10.0.0.2")}
	data, err := f.encode()
	if err != nil {
		t.Fatal(err)
	}
	if sum := checksum(data[14:34]); sum != 0 {
		t.Errorf("IPv4 header sums up to %#x", sum)
	}
	if sum := checksum(data[34:]); sum != 0 {
		t.Errorf("ICMP sums up to %#x", sum)
	}
}

func TestFramesThatCannotBe(t *testing.T) {
	ip4, ip6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	for name, f := range map[string]Frame{
		"no addresses": {DstMAC: macB}, "two families": {DstMAC: macB, SrcIP: ip4, DstIP: ip6},
		"ARP of IPv6": {ARP: true, SrcIP: ip6, DstIP: ip6}, "ping to no MAC": {SrcIP: ip4, DstIP: ip4},
	} {
		if _, err := f.encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	var f Frame
	if f.Parse("x", "", "", "") == nil || f.Parse("", "", "x", "") == nil {
		t.Error("what is no address was read")
	}
}

func FuzzDecode(f *testing.F) {
	frame := Frame{SrcMAC: macA, DstMAC: macB, SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: netip.MustParseAddr("10.0.0.2")}
	data, err := frame.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if seen, ok := decode(data); ok && (!seen.SrcIP.IsValid() || !seen.DstIP.IsValid()) {
			t.Errorf("%x: %+v", data, seen)
		}
	})
}
