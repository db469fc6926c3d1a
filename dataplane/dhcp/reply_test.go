package dhcp

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"neutrino/address"
)

var (
	guestMAC  = address.MustParseMAC("fa:16:3e:00:00:05")
	serverMAC = address.MustParseMAC("fa:16:3e:00:00:02")
	any4      = netip.IPv4Unspecified()
	all4      = netip.MustParseAddr("255.255.255.255")
)

func table(t testing.TB) *Table {
	t.Helper()
	boot, err := ParseOption(4, "bootfile-name", "pxe.0")
	if err != nil {
		t.Fatal(err)
	}
	return &Table{DUID: DUID("net"), Clients: map[address.MAC]*Client{guestMAC: {
		V4: &Lease4{
			Address: netip.MustParsePrefix("10.0.0.5/24"), Server: netip.MustParseAddr("10.0.0.2"),
			Router: netip.MustParseAddr("10.0.0.1"), DNS: []netip.Addr{netip.MustParseAddr("10.0.0.2")},
			Domain: "openstacklocal", Search: []string{"openstacklocal"}, Hostname: "host-10-0-0-5", MTU: 1450,
			Routes:   []Route{{netip.MustParsePrefix("169.254.169.254/32"), netip.MustParseAddr("10.0.0.2")}, {netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.0.0.1")}},
			Duration: 86400 * time.Second, Extra: []Option{boot},
		},
		V6: &Lease6{Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::5")}, DNS: []netip.Addr{netip.MustParseAddr("2001:db8::2")}, Search: []string{"openstacklocal"}, Duration: time.Hour},
	}}}
}

func frame4(m *dhcpv4.DHCPv4, from address.MAC, src, dst netip.Addr) []byte {
	return datagram{SrcMAC: from, DstMAC: broadcastMAC, Src: netip.AddrPortFrom(src, 68), Dst: netip.AddrPortFrom(dst, 67), Payload: m.ToBytes()}.frame()
}

func message(kind dhcpv4.MessageType, mac address.MAC, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(net.HardwareAddr(mac[:])), dhcpv4.WithMessageType(kind)}, mods...)...)
	if err != nil {
		panic(err)
	}
	return m
}

func TestAnswer4(t *testing.T) {
	ip := func(code uint8, s string) dhcpv4.Modifier {
		return dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(code), net.ParseIP(s).To4())
	}
	ci := func(s string) dhcpv4.Modifier {
		return func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = net.ParseIP(s).To4() }
	}
	broadcast := dhcpv4.WithBroadcast(true)
	for _, c := range []struct {
		name   string
		in     *dhcpv4.DHCPv4
		from   address.MAC
		dst    netip.Addr
		want   dhcpv4.MessageType // none: silence
		to     string
		toEver bool // to the broadcast MAC
	}{
		{"discover", message(1, guestMAC), guestMAC, all4, 2, "10.0.0.5", false},
		{"discover with broadcast flag", message(1, guestMAC, broadcast), guestMAC, all4, 2, "255.255.255.255", true},
		{"discover of a stranger", message(1, serverMAC), address.MAC{2, 0, 0, 0, 0, 9}, all4, 0, "", false},
		{"forged hardware address", message(1, guestMAC), address.MAC{2, 0, 0, 0, 0, 9}, all4, 0, "", false},
		{"select", message(3, guestMAC, ip(54, "10.0.0.2"), ip(50, "10.0.0.5")), guestMAC, all4, 5, "10.0.0.5", false},
		{"select another server", message(3, guestMAC, ip(54, "10.0.0.3"), ip(50, "10.0.0.5")), guestMAC, all4, 0, "", false},
		{"reboot with a wrong address", message(3, guestMAC, ip(50, "10.0.0.77")), guestMAC, all4, 6, "255.255.255.255", true},
		{"renew by unicast", message(3, guestMAC, ci("10.0.0.5")), guestMAC, netip.MustParseAddr("10.0.0.2"), 5, "10.0.0.5", false},
		{"rebind with a wrong address", message(3, guestMAC, ci("10.0.0.9")), guestMAC, all4, 6, "255.255.255.255", true},
		{"request for nothing", message(3, guestMAC), guestMAC, all4, 0, "", false},
		{"inform", message(8, guestMAC, ci("10.0.0.5")), guestMAC, all4, 5, "10.0.0.5", false},
		{"decline", message(4, guestMAC, ip(50, "10.0.0.5")), guestMAC, all4, 0, "", false},
		{"release", message(7, guestMAC, ci("10.0.0.5")), guestMAC, netip.MustParseAddr("10.0.0.2"), 0, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply, reason := table(t).Answer(frame4(c.in, c.from, any4, c.dst), serverMAC, serverMAC.LinkLocal())
			if c.want == 0 {
				if reply != nil || reason == "" {
					t.Fatalf("answered %x, reason %q", reply, reason)
				}
				return
			}
			d, ok := parseFrame(reply)
			if !ok {
				t.Fatalf("no reply: %s", reason)
			}
			out, err := dhcpv4.FromBytes(d.Payload)
			if err != nil {
				t.Fatal(err)
			}
			if out.MessageType() != c.want || d.Dst.Addr().String() != c.to || (d.DstMAC == broadcastMAC) != c.toEver {
				t.Errorf("got %s to %s at %s", out.MessageType(), d.Dst, d.DstMAC)
			}
			if c.want == dhcpv4.MessageTypeNak {
				if !out.YourIPAddr.IsUnspecified() || out.Options.Has(dhcpv4.OptionIPAddressLeaseTime) {
					t.Error("a refusal gives an address")
				}
				return
			}
			if inform := c.in.MessageType() == dhcpv4.MessageTypeInform; inform != out.YourIPAddr.IsUnspecified() || inform == out.Options.Has(dhcpv4.OptionIPAddressLeaseTime) {
				t.Errorf("address %s, lease %v", out.YourIPAddr, out.IPAddressLeaseTime(0))
			}
		})
	}
}

func TestOptions4(t *testing.T) {
	in := message(1, guestMAC, dhcpv4.WithRequestedOptions(dhcpv4.GenericOptionCode(121), dhcpv4.GenericOptionCode(249), dhcpv4.GenericOptionCode(12), dhcpv4.GenericOptionCode(15), dhcpv4.GenericOptionCode(28), dhcpv4.GenericOptionCode(119)))
	reply, reason := table(t).Answer(frame4(in, guestMAC, any4, all4), serverMAC, netip.Addr{})
	d, ok := parseFrame(reply)
	if !ok {
		t.Fatal(reason)
	}
	out, err := dhcpv4.FromBytes(d.Payload)
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[uint8]string{
		1: "ffffff00", 3: "0a000001", 6: "0a000002", 12: hex.EncodeToString([]byte("host-10-0-0-5")),
		15: hex.EncodeToString([]byte("openstacklocal")), 26: "05aa", 28: "0a0000ff", 51: "00015180", 54: "0a000002",
		58: "0000a8c0", 59: "00012750", 67: hex.EncodeToString([]byte("pxe.0")),
		121: "20a9fea9fe0a000002" + "000a000001", 249: "20a9fea9fe0a000002" + "000a000001",
		119: "0e" + hex.EncodeToString([]byte("openstacklocal")) + "00",
	} {
		if got := hex.EncodeToString(out.Options[code]); got != want {
			t.Errorf("option %d is %s, want %s", code, got, want)
		}
	}
	if out.BootFileName != "pxe.0" {
		t.Errorf("boot file is %q", out.BootFileName)
	}
	// Checksums as a receiver would compute them.
	ip := reply[14:34]
	if fold(sumOf(ip, 0)) != 0xffff {
		t.Error("IPv4 header checksum is wrong")
	}
	if fold(sumOf(reply[34:], sumOf(ip[12:20], 0)+protoUDP+uint32(len(reply)-34))) != 0xffff {
		t.Error("UDP checksum is wrong")
	}
}

func TestMessageSizeIsKept(t *testing.T) {
	tb := table(t)
	l := tb.Clients[guestMAC].V4
	for i := range 200 {
		l.Routes = append(l.Routes, Route{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i), 0}), 24), l.Router})
	}
	reply, _ := tb.Answer(frame4(message(1, guestMAC), guestMAC, any4, all4), serverMAC, netip.Addr{})
	if len(reply) == 0 || len(reply)-14 > 576 {
		t.Errorf("reply of %d bytes to a client that takes 576", len(reply)-14)
	}
}

func TestAnswer6(t *testing.T) {
	type opt = dhcpv6.Option
	client := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: []byte{0, 3, 0, 1, 2, 2, 2, 2, 2, 2}} // forged on purpose
	server := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: DUID("net")}
	other := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: DUID("other")}
	ia := func(addrs ...string) opt {
		o := &dhcpv6.OptIANA{IaId: [4]byte{1, 2, 3, 4}}
		for _, a := range addrs {
			o.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(a)})
		}
		return o
	}
	rapid := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit}
	for _, c := range []struct {
		name string
		kind dhcpv6.MessageType
		opts []opt
		want dhcpv6.MessageType // none: silence
		addr string             // lifetime in seconds after each address
		code iana.StatusCode
	}{
		{"solicit", dhcpv6.MessageTypeSolicit, []opt{client, ia()}, dhcpv6.MessageTypeAdvertise, "2001:db8::5 3600 ", 0},
		{"solicit with rapid commit", dhcpv6.MessageTypeSolicit, []opt{client, rapid, ia()}, dhcpv6.MessageTypeReply, "2001:db8::5 3600 ", 0},
		{"solicit without client id", dhcpv6.MessageTypeSolicit, []opt{ia()}, 0, "", 0},
		{"request", dhcpv6.MessageTypeRequest, []opt{client, server, ia()}, dhcpv6.MessageTypeReply, "2001:db8::5 3600 ", 0},
		{"request to another", dhcpv6.MessageTypeRequest, []opt{client, other, ia()}, 0, "", 0},
		{"renew of a wrong address", dhcpv6.MessageTypeRenew, []opt{client, server, ia("2001:db8::66")}, dhcpv6.MessageTypeReply, "2001:db8::5 3600 2001:db8::66 0 ", 0},
		{"rebind", dhcpv6.MessageTypeRebind, []opt{client, ia("2001:db8::5")}, dhcpv6.MessageTypeReply, "2001:db8::5 3600 ", 0},
		{"confirm", dhcpv6.MessageTypeConfirm, []opt{client, ia("2001:db8::5")}, dhcpv6.MessageTypeReply, "", iana.StatusSuccess},
		{"confirm of a wrong address", dhcpv6.MessageTypeConfirm, []opt{client, ia("2001:db8::6")}, dhcpv6.MessageTypeReply, "", iana.StatusNotOnLink},
		{"release", dhcpv6.MessageTypeRelease, []opt{client, server, ia("2001:db8::5")}, dhcpv6.MessageTypeReply, "", iana.StatusSuccess},
		{"information", dhcpv6.MessageTypeInformationRequest, nil, dhcpv6.MessageTypeReply, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &dhcpv6.Message{MessageType: c.kind}
			for _, o := range c.opts {
				m.AddOption(o)
			}
			frame := datagram{SrcMAC: guestMAC, DstMAC: address.MAC{0x33, 0x33, 0, 1, 0, 2}, Src: netip.AddrPortFrom(guestMAC.LinkLocal(), 546), Dst: netip.AddrPortFrom(allServers, 547), Payload: m.ToBytes()}.frame()
			reply, reason := table(t).Answer(frame, serverMAC, serverMAC.LinkLocal())
			if c.want == 0 {
				if reply != nil || reason == "" {
					t.Fatal("answered")
				}
				return
			}
			d, ok := parseFrame(reply)
			if !ok {
				t.Fatalf("no reply: %s", reason)
			}
			out, err := dhcpv6.MessageFromBytes(d.Payload)
			if err != nil {
				t.Fatal(err)
			}
			if out.MessageType != c.want || d.DstMAC != guestMAC || d.Src.Addr() != serverMAC.LinkLocal() {
				t.Errorf("got %s to %s from %s", out.MessageType, d.DstMAC, d.Src)
			}
			var got bytes.Buffer
			for _, ia := range out.Options.IANA() {
				for _, a := range ia.Options.Addresses() {
					got.WriteString(a.IPv6Addr.String() + " ")
					got.WriteString(itoa(a.ValidLifetime) + " ")
				}
			}
			if got.String() != c.addr {
				t.Errorf("addresses %q, want %q", got.String(), c.addr)
			}
			if s := out.Options.Status(); s != nil && s.StatusCode != c.code {
				t.Errorf("status %s", s.StatusCode)
			}
			if c.name == "information" && len(out.Options.DNS()) != 1 {
				t.Error("no DNS server")
			}
		})
	}
}

func itoa(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return map[bool]string{true: "3600", false: d.String()}[d == time.Hour]
}

func TestParseOption(t *testing.T) {
	for _, c := range []struct {
		version     int
		name, value string
		code        int
		hex         string // "": refused
	}{
		{4, "mtu", "1400", 26, "0578"}, {4, "26", "1400", 26, "0578"}, {4, "option:ntp-server", "10.0.0.1,10.0.0.2", 42, "0a0000010a000002"},
		{4, "server-ip-address", "10.0.0.9", ServerAddress, "0a000009"}, {4, "tag:ipxe,67", "boot.ipxe", 67, hex.EncodeToString([]byte("boot.ipxe"))},
		{4, "classless-static-route", "10.1.0.0/16,10.0.0.1", 121, "100a010a000001"}, {4, "domain-search", "a.b", 119, "0161016200"},
		{4, "224", "de:ad", 224, "dead"}, {4, "225", "7", 225, "07"}, {4, "226", "10.0.0.1", 226, "0a000001"},
		{6, "dns-server", "2001:db8::1", 23, "20010db8000000000000000000000001"}, {6, "59", "http://x/", 59, hex.EncodeToString([]byte("http://x/"))},
		{4, "no-such-option", "1", 0, ""}, {4, "message-type", "1", 0, ""}, {4, "54", "10.0.0.1", 0, ""}, {4, "mtu", "many", 0, ""},
		{4, "router", "2001:db8::1", 0, ""}, {6, "dns-server", "10.0.0.1", 0, ""}, {4, "tag:blue,67", "x", 0, ""}, {4, "300", "x", 0, ""}, {6, "1", "x", 0, ""},
	} {
		o, err := ParseOption(c.version, c.name, c.value)
		if c.hex == "" {
			if err == nil {
				t.Errorf("%s=%s is taken as %x", c.name, c.value, o.Value)
			}
			continue
		}
		if err != nil || o.Code != c.code || hex.EncodeToString(o.Value) != c.hex {
			t.Errorf("%s=%s gives %d %x, %v", c.name, c.value, o.Code, o.Value, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(frame4(message(1, guestMAC), guestMAC, any4, all4))
	m := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeInformationRequest}
	f.Add(datagram{SrcMAC: guestMAC, DstMAC: address.MAC{0x33, 0x33, 0, 1, 0, 2}, Src: netip.AddrPortFrom(guestMAC.LinkLocal(), 546), Dst: netip.AddrPortFrom(allServers, 547), Payload: m.ToBytes()}.frame())
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) >= 12 {
			copy(frame[6:], guestMAC[:])
			copy(frame, broadcastMAC[:])
		}
		reply, reason := table(t).Answer(frame, serverMAC, serverMAC.LinkLocal())
		if (reply == nil) == (reason == "") {
			t.Fatalf("reply %x with reason %q", reply, reason)
		}
		if reply != nil {
			if _, ok := parseFrame(reply); !ok || len(reply) > 2048 {
				t.Fatalf("a reply that is no datagram: %x", reply)
			}
		}
	})
}

func FuzzParseOption(f *testing.F) {
	f.Add(4, "mtu", "1400")
	f.Add(6, "24", "a.b")
	f.Fuzz(func(t *testing.T, version int, name, value string) {
		if o, err := ParseOption(version, name, value); err == nil && (len(o.Value) > maxOption || o.Code < 1) {
			t.Fatalf("option %d of %d bytes", o.Code, len(o.Value))
		}
	})
}
