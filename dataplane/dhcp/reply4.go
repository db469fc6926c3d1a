package dhcp

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"neutrino/address"
)

// answer4 is what to say to a DHCPv4 client. The second result says in a word why nothing is said.
func (t *Table) answer4(in datagram) (datagram, string) {
	m, err := dhcpv4.FromBytes(in.Payload)
	if err != nil {
		return datagram{}, "malformed"
	}
	switch {
	case m.OpCode != dhcpv4.OpcodeBootRequest:
		return datagram{}, "not a request"
	case m.HWType != 1 || len(m.ClientHWAddr) != 6 || address.MAC(m.ClientHWAddr) != in.SrcMAC:
		return datagram{}, "hardware address is not the sender's"
	case m.GatewayIPAddr != nil && !m.GatewayIPAddr.IsUnspecified():
		return datagram{}, "relayed"
	}
	client := t.Clients[in.SrcMAC]
	if client == nil || client.V4 == nil {
		return datagram{}, "unknown client"
	}
	lease := client.V4
	if dst := in.Dst.Addr(); dst != netip.AddrFrom4([4]byte{255, 255, 255, 255}) && dst != lease.Server {
		return datagram{}, "for another server"
	}
	server := option4(m, dhcpv4.OptionServerIdentifier)
	wanted := option4(m, dhcpv4.OptionRequestedIPAddress)
	current, _ := netip.AddrFromSlice(m.ClientIPAddr.To4())

	kind, reason := dhcpv4.MessageTypeNone, ""
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		kind = dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest:
		kind, reason = judge(lease, server, wanted, current)
	case dhcpv4.MessageTypeInform:
		kind = dhcpv4.MessageTypeAck
	case dhcpv4.MessageTypeDecline:
		reason = "declined: the address is in use by another"
	case dhcpv4.MessageTypeRelease:
		reason = "released"
	default:
		reason = "no such message"
	}
	if reason != "" {
		return datagram{}, reason
	}
	return compose4(m, lease, kind, in.SrcMAC, current), ""
}

// judge decides upon a REQUEST in its four forms (RFC 2131, section 4.3.2): selecting with a server
// id, rebooting with a requested address, renewing and rebinding with the current address.
func judge(lease *Lease4, server, wanted, current netip.Addr) (dhcpv4.MessageType, string) {
	if server.IsValid() && server != lease.Server {
		return 0, "for another server"
	}
	if !wanted.IsValid() {
		wanted = current
	}
	switch {
	case !wanted.IsValid() || wanted.IsUnspecified():
		return 0, "request for no address"
	case wanted != lease.Address.Addr():
		return dhcpv4.MessageTypeNak, ""
	}
	return dhcpv4.MessageTypeAck, ""
}

// compose4 makes the reply and addresses it: to the client's address when it has one, else to its
// MAC, or to all when it asked for that or is told no.
func compose4(m *dhcpv4.DHCPv4, lease *Lease4, kind dhcpv4.MessageType, mac address.MAC, current netip.Addr) datagram {
	inform := m.MessageType() == dhcpv4.MessageTypeInform
	out := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: m.HWType, TransactionID: m.TransactionID, Flags: m.Flags,
		ClientHWAddr: m.ClientHWAddr, Options: dhcpv4.Options{},
	}
	to, toMAC := lease.Address.Addr(), mac
	everyone := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	hasAddress := current.IsValid() && !current.IsUnspecified()
	switch {
	case kind == dhcpv4.MessageTypeNak:
		out.SetBroadcast()
		to, toMAC = everyone, broadcastMAC
	case hasAddress:
		to = current
	case m.IsBroadcast():
		to, toMAC = everyone, broadcastMAC
	}
	out.Options[53] = []byte{byte(kind)}
	out.Options[54] = lease.Server.AsSlice()
	if id := m.Options.Get(dhcpv4.OptionClientIdentifier); id != nil {
		out.Options[61] = id // RFC 6842
	}
	if kind != dhcpv4.MessageTypeNak {
		if hasAddress {
			out.ClientIPAddr = m.ClientIPAddr
		}
		if !inform {
			out.YourIPAddr = lease.Address.Addr().AsSlice()
		}
		fill4(out, m, lease, inform)
	}
	return datagram{
		DstMAC: toMAC, Src: netip.AddrPortFrom(lease.Server, 67), Dst: netip.AddrPortFrom(to, 68),
		Payload: out.ToBytes(),
	}
}

// fill4 adds the options that matter most first, as long as they fit the client's message size.
func fill4(out, m *dhcpv4.DHCPv4, lease *Lease4, inform bool) {
	room := 576 - 28 - 240 - 4
	if size, err := m.MaxMessageSize(); err == nil && size > 576 {
		room = min(int(size), 1500) - 28 - 240 - 4
	}
	for _, value := range out.Options {
		room -= sizeOf(value)
	}
	ipxe := m.Options.Has(dhcpv4.GenericOptionCode(175)) ||
		string(m.Options.Get(dhcpv4.OptionUserClassInformation)) == "iPXE"
	extra := map[int]bool{}
	for _, o := range lease.Extra {
		if o.When == OnlyIPXE && !ipxe || o.When == NotIPXE && ipxe || inform && (o.Code == 51 || o.Code == 58 || o.Code == 59) {
			continue
		}
		if o.Code == ServerAddress {
			out.ServerIPAddr = slices.Clone(o.Value)
			continue
		}
		if o.Code == 66 && len(o.Value) < 64 {
			out.ServerHostName = string(o.Value)
		}
		if o.Code == 67 && len(o.Value) < 128 {
			out.BootFileName = string(o.Value)
		}
		if old, twice := out.Options[uint8(o.Code)]; twice {
			room += sizeOf(old)
		}
		if n := sizeOf(o.Value); n <= room {
			out.Options[uint8(o.Code)] = o.Value
			room -= n
			extra[o.Code] = true
		}
	}
	asked := m.Options.Get(dhcpv4.OptionParameterRequestList)
	for _, o := range standard4(lease, inform) {
		wanted := o.always || len(asked) == 0 && o.code != 249 || slices.Contains(asked, o.code)
		if n := sizeOf(o.value); wanted && !extra[int(o.code)] && len(o.value) > 0 && n <= room {
			out.Options[o.code] = o.value
			room -= n
		}
	}
}

type ranked struct {
	code   uint8
	value  []byte
	always bool // asked for or not
}

// standard4 are the options of a lease, the most important first.
func standard4(lease *Lease4, inform bool) []ranked {
	var list []ranked
	if !inform {
		s := seconds(lease.Duration)
		list = append(list,
			ranked{51, binary.BigEndian.AppendUint32(nil, s), true},
			ranked{58, binary.BigEndian.AppendUint32(nil, part(s, 1, 2)), true},
			ranked{59, binary.BigEndian.AppendUint32(nil, part(s, 7, 8)), true})
	}
	mask := make([]byte, 4)
	binary.BigEndian.PutUint32(mask, uint32(uint64(1)<<32-uint64(1)<<(32-lease.Address.Bits())))
	list = append(list, ranked{1, mask, true})
	if lease.MTU > 0 {
		list = append(list, ranked{26, binary.BigEndian.AppendUint16(nil, uint16(min(lease.MTU, 65535))), true})
	}
	var router []byte
	if lease.Router.IsValid() {
		router = lease.Router.AsSlice()
	}
	var servers []byte
	for _, a := range lease.DNS {
		servers = append(servers, a.AsSlice()...)
	}
	routes := encodeRoutes(lease.Routes)
	search, _ := EncodeNames(lease.Search) // none, or one that can't be written: nothing to say
	return append(list,
		ranked{3, router, true},
		ranked{121, routes, false},
		ranked{6, servers, true},
		ranked{12, []byte(lease.Hostname), false},
		ranked{15, []byte(lease.Domain), false},
		ranked{28, address.Last(lease.Address).AsSlice(), false},
		ranked{119, search, false},
		ranked{249, routes, false})
}

// sizeOf is what an option takes on the wire; long ones are split (RFC 3396).
func sizeOf(value []byte) int {
	return len(value) + 2*max(1, (len(value)+254)/255)
}

func option4(m *dhcpv4.DHCPv4, code dhcpv4.OptionCode) netip.Addr {
	a, ok := netip.AddrFromSlice(m.Options.Get(code))
	if !ok || !a.Is4() {
		return netip.Addr{}
	}
	return a
}
