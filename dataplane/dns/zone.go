// Package dns answers the instances of one network: the names and addresses of that network by
// itself ([Zone]), everything else by asking other resolvers ([Forwarder]).
//
// It is never an open resolver: a [Server] answers only clients on its network, at a bounded rate.
package dns

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// ttl of our own answers, seconds: short, for instances come and go.
const ttl = 60

// Zone is what is known of one network. It must not change once handed to a Server.
type Zone struct {
	Domain  string                  // the network's domain, any case, with or without the last dot
	Hosts   map[string][]netip.Addr // lower-case name without a domain → its addresses
	Names   map[netip.Addr]string   // address → name without a domain
	Clients []netip.Prefix          // who may ask; link-local IPv6 always may
}

// Answer is the reply of the zone itself. It reports false when the question is not of the zone and
// somebody else must be asked.
func (z *Zone) Answer(q *dns.Msg) (*dns.Msg, bool) {
	question := q.Question[0]
	name := strings.ToLower(question.Name)
	reply := new(dns.Msg)
	reply.SetReply(q)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if addr, ok := reverse(name); ok {
		host, known := z.Names[addr]
		if !known {
			if z.own(addr) {
				reply.Rcode = dns.RcodeNameError
				return reply, true
			}
			return nil, false
		}
		if question.Qtype == dns.TypePTR || question.Qtype == dns.TypeANY {
			reply.Answer = append(reply.Answer, &dns.PTR{Hdr: header(question.Name, dns.TypePTR), Ptr: z.full(host)})
		}
		return reply, true
	}
	host, inZone := z.host(name)
	if !inZone {
		return nil, false
	}
	addrs, known := z.Hosts[host]
	if !known {
		if host == "" {
			return reply, true // the domain itself: it is, and has nothing
		}
		reply.Rcode = dns.RcodeNameError
		return reply, true
	}
	for _, a := range addrs {
		if a.Is4() && (question.Qtype == dns.TypeA || question.Qtype == dns.TypeANY) {
			reply.Answer = append(reply.Answer, &dns.A{Hdr: header(question.Name, dns.TypeA), A: a.AsSlice()})
		}
		if a.Is6() && (question.Qtype == dns.TypeAAAA || question.Qtype == dns.TypeANY) {
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: header(question.Name, dns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
	return reply, true
}

// host splits the network's domain off. A name of one label is the network's, too: no resolver
// outside could answer it.
func (z *Zone) host(name string) (string, bool) {
	domain := dns.Fqdn(strings.ToLower(z.Domain))
	switch {
	case name == ".":
		return "", false
	case domain != "." && name == domain:
		return "", true
	case domain != "." && strings.HasSuffix(name, "."+domain):
		return strings.TrimSuffix(name, "."+domain), true
	case strings.Count(name, ".") == 1:
		label := strings.TrimSuffix(name, ".")
		_, known := z.Hosts[label]
		return label, known // a top-level domain is asked for elsewhere
	}
	return "", false
}

func (z *Zone) full(host string) string {
	if d := strings.Trim(z.Domain, "."); d != "" {
		return host + "." + d + "."
	}
	return host + "."
}

// own says whether addr is on the network: then nobody else knows its name either.
func (z *Zone) own(addr netip.Addr) bool {
	for _, p := range z.Clients {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Allows says whether a client may ask.
func (z *Zone) Allows(client netip.Addr) bool {
	client = client.Unmap().WithZone("")
	return client.Is6() && client.IsLinkLocalUnicast() || z.own(client)
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

// reverse reads an address out of a name under in-addr.arpa or ip6.arpa.
func reverse(name string) (netip.Addr, bool) {
	if labels, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(labels, ".")
		if len(parts) != 4 {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
		return a, err == nil
	}
	labels, ok := strings.CutSuffix(name, ".ip6.arpa.")
	if !ok || len(labels) != 63 {
		return netip.Addr{}, false
	}
	var b [16]byte
	for i := range 32 {
		c := labels[62-2*i]
		if i > 0 && labels[63-2*i] != '.' {
			return netip.Addr{}, false
		}
		v := strings.IndexByte("0123456789abcdef", c)
		if v < 0 {
			return netip.Addr{}, false
		}
		b[i/2] |= byte(v) << (4 * (1 - i%2))
	}
	return netip.AddrFrom16(b), true
}
