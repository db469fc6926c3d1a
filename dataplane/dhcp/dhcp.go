// Package dhcp answers DHCPv4 and DHCPv6 clients of one layer-2 network out of a table.
//
// A lease is a function of the table: nothing is remembered, so nothing is lost at a restart and two
// servers with the same table give the same answers. Replies are computed purely, frame in and frame
// out ([Table.Answer]); a [Server] does the reading and writing.
//
// A client is known by the source MAC of its frame, which the switch guarantees, not by what it says
// of itself in the packet. Clients that are not in the table get silence.
package dhcp

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"neutrino/address"
)

// Route is a classless static route for a client; next hop 0.0.0.0 means on the link.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// Client is all that one client gets. A nil half: the client is known, and gets no address of that family.
type Client struct {
	V4 *Lease4
	V6 *Lease6
}

// Lease4 is what a client gets by DHCPv4. Zero fields are not sent.
type Lease4 struct {
	Address  netip.Prefix // the client's address with its subnet's length
	Server   netip.Addr   // ours, on the same subnet
	Router   netip.Addr
	DNS      []netip.Addr
	Domain   string // without the last dot
	Search   []string
	Hostname string
	MTU      int           // bytes
	Routes   []Route       // with the default route: clients that take them ignore Router
	Duration time.Duration // of the lease; <= 0: for ever
	Extra    []Option      // of version 4; win over the above
}

// Lease6 is what a client gets by DHCPv6. Without addresses the client gets the rest only.
type Lease6 struct {
	Addresses []netip.Addr
	DNS       []netip.Addr
	Search    []string
	Duration  time.Duration // of the addresses, preferred and valid; <= 0: for ever
	Extra     []Option      // of version 6
}

// Table is what a network's clients get. It must not change once handed to a Server.
type Table struct {
	Clients map[address.MAC]*Client
	DUID    []byte // the server's identifier in DHCPv6
}

// DUID derives a server identifier from the id of a network: a DUID-UUID (RFC 6355), the same on
// every host and after every restart.
func DUID(network string) []byte {
	sum := sha256.Sum256([]byte("neutrino dhcpv6 server " + network))
	return append([]byte{0, 4}, sum[:16]...)
}

// seconds is a lease's duration on the wire, where all ones mean for ever.
func seconds(d time.Duration) uint32 {
	s := int64(d / time.Second)
	if d <= 0 || s >= 1<<32-1 {
		return 1<<32 - 1
	}
	return uint32(max(s, 1))
}

// part is numerator/denominator of a duration on the wire; for ever stays for ever.
func part(s, numerator, denominator uint32) uint32 {
	if s == 1<<32-1 {
		return s
	}
	return uint32(uint64(s) * uint64(numerator) / uint64(denominator))
}
