package dhcp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"neutrino/address"
)

// allServers is the one group that clients without a relay send to.
var allServers = netip.MustParseAddr("ff02::1:2")

// answer6 is what to say to a DHCPv6 client. The second result says in a word why nothing is said.
func (t *Table) answer6(in datagram) (datagram, string) {
	if in.Dst.Addr() != allServers || !in.Src.Addr().IsLinkLocalUnicast() {
		return datagram{}, "not multicast from the link"
	}
	m, err := dhcpv6.MessageFromBytes(in.Payload)
	if err != nil {
		return datagram{}, "malformed"
	}
	client := t.Clients[in.SrcMAC]
	if client == nil || client.V6 == nil {
		return datagram{}, "unknown client"
	}
	var clientID, serverID []byte
	if o := m.GetOneOption(dhcpv6.OptionClientID); o != nil {
		clientID = o.ToBytes()
	}
	if o := m.GetOneOption(dhcpv6.OptionServerID); o != nil {
		serverID = o.ToBytes()
	}
	if reason := t.check6(m.MessageType, clientID, serverID); reason != "" {
		return datagram{}, reason
	}
	out := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: m.TransactionID}
	add := func(code dhcpv6.OptionCode, data []byte) {
		out.AddOption(&dhcpv6.OptionGeneric{OptionCode: code, OptionData: data})
	}
	if clientID != nil {
		add(dhcpv6.OptionClientID, clientID)
	}
	add(dhcpv6.OptionServerID, t.DUID)

	lease := client.V6
	switch m.MessageType {
	case dhcpv6.MessageTypeSolicit:
		out.MessageType = dhcpv6.MessageTypeAdvertise
		if m.GetOneOption(dhcpv6.OptionRapidCommit) != nil {
			out.MessageType = dhcpv6.MessageTypeReply
			add(dhcpv6.OptionRapidCommit, nil)
		}
		associate(out, m, lease)
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind:
		associate(out, m, lease)
	case dhcpv6.MessageTypeConfirm:
		right, any := confirm(m, lease)
		if !any {
			return datagram{}, "confirm of no address"
		}
		if right {
			out.AddOption(status(iana.StatusSuccess, "all addresses are right"))
		} else {
			out.AddOption(status(iana.StatusNotOnLink, "not the addresses of this client"))
		}
	case dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		out.AddOption(status(iana.StatusSuccess, ""))
	}
	switch m.MessageType {
	case dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline, dhcpv6.MessageTypeConfirm:
	default:
		fill6(out, m, lease)
	}
	return datagram{
		DstMAC:  in.SrcMAC,
		Src:     netip.AddrPortFrom(netip.Addr{}, 547), // the server's own link-local
		Dst:     netip.AddrPortFrom(in.Src.Addr(), 546),
		Payload: out.ToBytes(),
	}, ""
}

// check6 holds a message against the rules of RFC 8415, section 16.
func (t *Table) check6(kind dhcpv6.MessageType, client, server []byte) string {
	switch kind {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRebind:
		if client == nil || server != nil {
			return "client id missing, or a server id that must not be"
		}
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		if client == nil || server == nil {
			return "client id or server id missing"
		}
		if !bytes.Equal(server, t.DUID) {
			return "for another server"
		}
	case dhcpv6.MessageTypeInformationRequest:
		if server != nil && !bytes.Equal(server, t.DUID) {
			return "for another server"
		}
	default:
		return "no such message"
	}
	return ""
}

// associate answers the client's identity associations: the first one for addresses gets all of
// them, every other one is told that there is nothing for it.
func associate(out, m *dhcpv6.Message, lease *Lease6) {
	life := seconds(lease.Duration)
	renewing := m.MessageType == dhcpv6.MessageTypeRenew || m.MessageType == dhcpv6.MessageTypeRebind
	for i, ia := range m.Options.IANA() {
		var given []netip.Addr
		if i == 0 {
			given = lease.Addresses
		}
		data := slices.Clone(ia.IaId[:])
		t1, t2 := uint32(0), uint32(0)
		if len(given) > 0 {
			t1, t2 = part(life, 1, 2), part(life, 4, 5)
		}
		data = binary.BigEndian.AppendUint32(data, t1)
		data = binary.BigEndian.AppendUint32(data, t2)
		for _, a := range given {
			data = appendAddress(data, a, life)
		}
		if renewing { // addresses that the client must let go
			for _, o := range ia.Options.Addresses() {
				if a, ok := netip.AddrFromSlice(o.IPv6Addr.To16()); ok && !slices.Contains(given, a) {
					data = appendAddress(data, a, 0)
				}
			}
		}
		if len(given) == 0 {
			data = appendOption(data, dhcpv6.OptionStatusCode, status(iana.StatusNoAddrsAvail, "no address for this client").ToBytes())
		}
		out.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionIANA, OptionData: data})
	}
	for _, ia := range m.Options.IATA() {
		data := appendOption(slices.Clone(ia.IaId[:]), dhcpv6.OptionStatusCode, status(iana.StatusNoAddrsAvail, "no temporary addresses").ToBytes())
		out.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionIATA, OptionData: data})
	}
	for _, ia := range m.Options.IAPD() {
		data := append(slices.Clone(ia.IaId[:]), make([]byte, 8)...)
		data = appendOption(data, dhcpv6.OptionStatusCode, status(iana.StatusNoPrefixAvail, "no prefixes").ToBytes())
		out.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionIAPD, OptionData: data})
	}
}

func confirm(m *dhcpv6.Message, lease *Lease6) (right, any bool) {
	right = true
	for _, ia := range m.Options.IANA() {
		for _, o := range ia.Options.Addresses() {
			a, _ := netip.AddrFromSlice(o.IPv6Addr.To16())
			right, any = right && slices.Contains(lease.Addresses, a), true
		}
	}
	return right, any
}

// fill6 adds DNS servers and search domains when asked for, and the extra options always.
func fill6(out, m *dhcpv6.Message, lease *Lease6) {
	ipxe := slices.ContainsFunc(m.Options.UserClasses(), func(class []byte) bool { return string(class) == "iPXE" })
	extra := map[int]bool{}
	for _, o := range lease.Extra {
		if o.When == OnlyIPXE && !ipxe || o.When == NotIPXE && ipxe {
			continue
		}
		out.UpdateOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionCode(o.Code), OptionData: o.Value})
		extra[o.Code] = true
	}
	all := m.GetOneOption(dhcpv6.OptionORO) == nil
	if (all || m.IsOptionRequested(dhcpv6.OptionDNSRecursiveNameServer)) && len(lease.DNS) > 0 && !extra[23] {
		var servers []byte
		for _, a := range lease.DNS {
			servers = append(servers, a.AsSlice()...)
		}
		out.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionDNSRecursiveNameServer, OptionData: servers})
	}
	if (all || m.IsOptionRequested(dhcpv6.OptionDomainSearchList)) && !extra[24] {
		if names, err := EncodeNames(lease.Search); err == nil {
			out.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionDomainSearchList, OptionData: names})
		}
	}
}

func appendOption(data []byte, code dhcpv6.OptionCode, value []byte) []byte {
	data = binary.BigEndian.AppendUint16(data, uint16(code))
	data = binary.BigEndian.AppendUint16(data, uint16(len(value)))
	return append(data, value...)
}

func appendAddress(data []byte, a netip.Addr, life uint32) []byte {
	value := a.AsSlice()
	value = binary.BigEndian.AppendUint32(value, life)
	value = binary.BigEndian.AppendUint32(value, life)
	return appendOption(data, dhcpv6.OptionIAAddr, value)
}

func status(code iana.StatusCode, message string) *dhcpv6.OptStatusCode {
	return &dhcpv6.OptStatusCode{StatusCode: code, StatusMessage: message}
}

// Answer is the frame to send back for a frame that came in, or nil with the reason why nothing is
// said. mac and linkLocal are the server's own.
func (t *Table) Answer(frame []byte, mac address.MAC, linkLocal netip.Addr) (reply []byte, reason string) {
	in, ok := parseFrame(frame)
	if !ok {
		return nil, "not a whole UDP datagram"
	}
	var out datagram
	switch {
	case in.SrcMAC.IsMulticast() || in.SrcMAC == mac && in.DstMAC != mac: // but see SelfDiscover
		return nil, "impossible sender"
	case in.DstMAC != mac && !in.DstMAC.IsMulticast():
		return nil, "for another machine"
	case in.Dst.Addr().Is4() && in.Dst.Port() == 67:
		out, reason = t.answer4(in)
	case in.Dst.Addr().Is6() && in.Dst.Port() == 547:
		if !linkLocal.IsValid() {
			return nil, "no link-local address yet"
		}
		out, reason = t.answer6(in)
		out.Src = netip.AddrPortFrom(linkLocal.WithZone(""), 547)
	default:
		return nil, "another port"
	}
	if reason != "" {
		return nil, reason
	}
	out.SrcMAC = mac
	return out.frame(), ""
}
