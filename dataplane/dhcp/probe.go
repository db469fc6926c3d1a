package dhcp

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"neutrino/address"
)

// A Server can be asked by its own machine whether it answers, without another client on the network: the request has
// the server's own MAC as its source and its target, so that it comes to the server by the switch as every client's
// does, and the reply ends at the switch, which sends no frame back where it came from. The server's table must have
// its own MAC as a client ([SelfLease]).

// SelfLease is what a server with an address offers itself: that address.
func SelfLease(own netip.Prefix) *Client {
	return &Client{V4: &Lease4{Address: own, Server: own.Addr(), Duration: 1}}
}

// SelfDiscover is the frame of such a request.
func SelfDiscover(mac address.MAC, own netip.Addr, xid [4]byte) ([]byte, error) {
	m, err := dhcpv4.NewDiscovery(net.HardwareAddr(mac[:]))
	if err != nil {
		return nil, fmt.Errorf("make a DHCP request: %w", err)
	}
	m.TransactionID = xid
	return datagram{
		SrcMAC: mac, DstMAC: mac, Src: netip.AddrPortFrom(netip.IPv4Unspecified(), 68), Dst: netip.AddrPortFrom(own, 67), Payload: m.ToBytes(),
	}.frame(), nil
}

// IsOffer says whether a frame offers an address in reply to the request with that id.
func IsOffer(frame []byte, xid [4]byte) bool {
	d, ok := parseFrame(frame)
	if !ok || d.Src.Port() != 67 {
		return false
	}
	m, err := dhcpv4.FromBytes(d.Payload)
	return err == nil && m.TransactionID == xid && m.MessageType() == dhcpv4.MessageTypeOffer
}
