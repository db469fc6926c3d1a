package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Option is an extra DHCP option, encoded and ready to be sent.
type Option struct {
	Code  int    // option number; ServerAddress for the header field
	Value []byte // as it stands in the packet
	When  Tag    // only to these clients
}

// ServerAddress is the pseudo code of the "next server" field in the DHCPv4 header; it is no option.
const ServerAddress = 255

// Tag limits an option to some clients, as dnsmasq's tags do.
type Tag int

// The tags that are known.
const (
	Always Tag = iota
	OnlyIPXE
	NotIPXE
)

// maxOption bounds the encoded size of one extra option, bytes.
const maxOption = 1024

// kind says how the text of an option is encoded.
type kind int

const (
	guess kind = iota
	text
	addr
	addrs
	addrPairs
	byte8
	word16
	word32
	names
	routes
	octets
	refused // part of the protocol itself, not to be set from outside
)

type spec struct {
	code int
	kind kind
}

var names4 = map[string]spec{
	"netmask": {1, addr}, "time-offset": {2, word32}, "router": {3, addrs}, "dns-server": {6, addrs},
	"log-server": {7, addrs}, "lpr-server": {9, addrs}, "hostname": {12, text}, "boot-file-size": {13, word16},
	"domain-name": {15, text}, "swap-server": {16, addr}, "root-path": {17, text}, "extension-path": {18, text},
	"ip-forward-enable": {19, byte8}, "non-local-source-routing": {20, byte8}, "policy-filter": {21, addrPairs},
	"max-datagram-reassembly": {22, word16}, "default-ttl": {23, byte8}, "mtu": {26, word16},
	"all-subnets-local": {27, byte8}, "broadcast": {28, addr}, "router-discovery": {31, byte8},
	"router-solicitation": {32, addr}, "static-route": {33, addrPairs}, "trailer-encapsulation": {34, byte8},
	"arp-timeout": {35, word32}, "ethernet-encap": {36, byte8}, "tcp-ttl": {37, byte8}, "tcp-keepalive": {38, word32},
	"nis-domain": {40, text}, "nis-server": {41, addrs}, "ntp-server": {42, addrs}, "vendor-encap": {43, octets},
	"netbios-ns": {44, addrs}, "netbios-dd": {45, addrs}, "netbios-nodetype": {46, byte8}, "netbios-scope": {47, text},
	"x-windows-fs": {48, addrs}, "x-windows-dm": {49, addrs}, "requested-address": {50, refused},
	"lease-time": {51, word32}, "option-overload": {52, refused}, "message-type": {53, refused},
	"server-identifier": {54, refused}, "parameter-request": {55, refused}, "message": {56, refused},
	"max-message-size": {57, refused}, "t1": {58, word32}, "t2": {59, word32}, "vendor-class": {60, text},
	"client-id": {61, refused}, "nis+-domain": {64, text}, "nis+-server": {65, addrs}, "tftp-server": {66, text},
	"tftp-server-name": {66, text}, "bootfile-name": {67, text}, "mobile-ip-home": {68, addrs},
	"smtp-server": {69, addrs}, "pop3-server": {70, addrs}, "nntp-server": {71, addrs}, "irc-server": {74, addrs},
	"user-class": {77, text}, "rapid-commit": {80, refused}, "fqdn": {81, refused}, "agent-id": {82, refused},
	"client-arch": {93, word16}, "posix-timezone": {100, text}, "tzdb-timezone": {101, text}, "ipv6-only": {108, word32},
	"domain-search": {119, names}, "classless-static-route": {121, routes}, "vendor-id-encap": {125, octets},
	"tftp-server-address": {150, addrs}, "server-ip-address": {ServerAddress, addr},
}

var names6 = map[string]spec{
	"client-id": {1, refused}, "server-id": {2, refused}, "ia-na": {3, refused}, "ia-ta": {4, refused},
	"iaaddr": {5, refused}, "oro": {6, refused}, "preference": {7, byte8}, "unicast": {12, refused},
	"status": {13, refused}, "rapid-commit": {14, refused}, "user-class": {15, octets}, "vendor-class": {16, octets},
	"vendor-opts": {17, octets}, "sip-server-domain": {21, names}, "sip-server": {22, addrs}, "dns-server": {23, addrs},
	"domain-search": {24, names}, "ia-pd": {25, refused}, "nis-server": {27, addrs}, "nis+-server": {28, addrs},
	"nis-domain": {29, names}, "nis+-domain": {30, names}, "sntp-server": {31, addrs},
	"information-refresh-time": {32, word32}, "fqdn": {39, refused}, "ntp-server": {56, octets},
	"bootfile-url": {59, text}, "bootfile-param": {60, octets},
}

// unnamed4 are numbers without a dnsmasq name whose encoding is known all the same.
var unnamed4 = map[int]spec{249: {249, routes}, 0: {0, refused}, 118: {118, refused}}

// protocol6 are further DHCPv6 numbers that belong to the protocol.
var protocol6 = map[int]bool{0: true, 8: true, 9: true, 11: true, 18: true, 19: true, 20: true, 26: true}

// ParseOption encodes an extra option for DHCP of the given IP version, 4 or 6. The name is dnsmasq's
// name of the option or its number, with "option:", "option6:" or "tag:ipxe," (or "tag:!ipxe,") before
// it. The error says what of it can't be sent.
func ParseOption(version int, name, value string) (Option, error) {
	o, err := parseOption(version, name, value)
	if err != nil {
		return Option{}, fmt.Errorf("DHCPv%d option %q: %w", version, name, err)
	}
	return o, nil
}

func parseOption(version int, name, value string) (Option, error) {
	if version != 4 && version != 6 {
		return Option{}, fmt.Errorf("IP version %d is neither 4 nor 6", version)
	}
	var o Option
	name = strings.ToLower(strings.TrimSpace(name))
	for strings.HasPrefix(name, "tag:") {
		tag, rest, found := strings.Cut(name[len("tag:"):], ",")
		if !found {
			return o, fmt.Errorf("no option after the tag")
		}
		switch tag {
		case "ipxe", "ipxe6":
			o.When = OnlyIPXE
		case "!ipxe", "!ipxe6":
			o.When = NotIPXE
		default:
			return o, fmt.Errorf("unknown tag %q", tag)
		}
		name = rest
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "option:"), "option6:")
	s, err := find(version, name)
	if err != nil {
		return o, err
	}
	if s.kind == refused {
		return o, fmt.Errorf("belongs to the protocol and can't be set")
	}
	o.Code = s.code
	if o.Value, err = encode(version, s.kind, unquote(strings.TrimSpace(value))); err != nil {
		return o, err
	}
	if len(o.Value) > maxOption {
		return o, fmt.Errorf("longer than %d bytes", maxOption)
	}
	return o, nil
}

func find(version int, name string) (spec, error) {
	known := names4
	if version == 6 {
		known = names6
	}
	if s, ok := known[name]; ok {
		return s, nil
	}
	n, err := strconv.ParseUint(name, 10, 16)
	if err != nil {
		return spec{}, fmt.Errorf("unknown name")
	}
	code := int(n)
	if version == 4 && code > 254 {
		return spec{}, fmt.Errorf("the highest number is 254")
	}
	for _, s := range known {
		if s.code == code {
			return s, nil
		}
	}
	if s, ok := unnamed4[code]; ok && version == 4 {
		return s, nil
	}
	if version == 6 && protocol6[code] {
		return spec{code, refused}, nil
	}
	return spec{code, guess}, nil
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

func encode(version int, k kind, value string) ([]byte, error) {
	switch k {
	case text:
		if value == "" || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("the text is empty or has a NUL")
		}
		return []byte(value), nil
	case addr, addrs, addrPairs:
		return encodeAddrs(version, k, value)
	case byte8:
		return encodeNumber(value, 8)
	case word16:
		return encodeNumber(value, 16)
	case word32:
		return encodeNumber(value, 32)
	case names:
		return EncodeNames(fields(value))
	case routes:
		return encodeRouteText(value)
	case octets:
		if b, ok := parseHex(value); ok {
			return b, nil
		}
		return nil, fmt.Errorf("%q is not bytes in hex", value)
	default:
		return encodeGuess(version, value)
	}
}

// encodeGuess encodes the value of an option whose type nobody told, by the look of the value:
// addresses, a number in as few bytes as hold it, bytes in hex with colons, or text.
func encodeGuess(version int, value string) ([]byte, error) {
	if b, err := encodeAddrs(version, addrs, value); err == nil {
		return b, nil
	}
	for _, bits := range []int{8, 16, 32} {
		if n, err := encodeNumber(value, bits); err == nil {
			return n, nil
		}
	}
	if strings.Contains(value, ":") {
		if b, ok := parseHex(value); ok {
			return b, nil
		}
	}
	return encode(version, text, value)
}

func encodeAddrs(version int, k kind, value string) ([]byte, error) {
	var b []byte
	list := fields(value)
	for _, f := range list {
		a, err := netip.ParseAddr(strings.Trim(f, "[]"))
		if err != nil || a.Is4() != (version == 4) || a.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IPv%d address", f, version)
		}
		b = append(b, a.AsSlice()...)
	}
	switch {
	case len(list) == 0:
		return nil, fmt.Errorf("no address")
	case k == addr && len(list) != 1:
		return nil, fmt.Errorf("takes one address")
	case k == addrPairs && len(list)%2 != 0:
		return nil, fmt.Errorf("takes pairs of addresses")
	}
	return b, nil
}

func encodeNumber(value string, bits int) ([]byte, error) {
	n, err := strconv.ParseUint(value, 0, bits)
	if err != nil {
		signed, err := strconv.ParseInt(value, 10, bits)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number of %d bits", value, bits)
		}
		n = uint64(signed)
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return b[8-bits/8:], nil
}

// encodeRouteText reads "10.0.0.0/8,192.0.2.1,…", dnsmasq's form of classless static routes.
func encodeRouteText(value string) ([]byte, error) {
	list := fields(value)
	if len(list) == 0 || len(list)%2 != 0 {
		return nil, fmt.Errorf("takes pairs of destination and next hop")
	}
	var rs []Route
	for i := 0; i < len(list); i += 2 {
		text := list[i]
		if !strings.Contains(text, "/") {
			text += "/32"
		}
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is4() {
			return nil, fmt.Errorf("%q is not an IPv4 prefix", list[i])
		}
		hop, err := netip.ParseAddr(list[i+1])
		if err != nil || !hop.Is4() {
			return nil, fmt.Errorf("%q is not an IPv4 address", list[i+1])
		}
		rs = append(rs, Route{p, hop})
	}
	return encodeRoutes(rs), nil
}

// encodeRoutes is RFC 3442: prefix length, the significant bytes of the destination, the next hop.
func encodeRoutes(rs []Route) []byte {
	var b []byte
	for _, r := range rs {
		d := r.Destination.Masked().Addr().As4()
		b = append(b, byte(r.Destination.Bits()))
		b = append(b, d[:(r.Destination.Bits()+7)/8]...)
		b = append(b, r.NextHop.AsSlice()...)
	}
	return b
}

// EncodeNames writes domain names as DNS labels without compression, as options 119 and 24 want them.
func EncodeNames(domains []string) ([]byte, error) {
	var b []byte
	if len(domains) == 0 {
		return nil, fmt.Errorf("no domain name")
	}
	for _, d := range domains {
		d = strings.TrimSuffix(d, ".")
		if d == "" || len(d) > 253 {
			return nil, fmt.Errorf("%q is not a domain name", d)
		}
		for label := range strings.SplitSeq(d, ".") {
			if label == "" || len(label) > 63 {
				return nil, fmt.Errorf("%q is not a domain name", d)
			}
			b = append(b, byte(len(label)))
			b = append(b, label...)
		}
		b = append(b, 0)
	}
	return b, nil
}

func parseHex(value string) ([]byte, bool) {
	if !strings.Contains(value, ":") {
		b, err := hex.DecodeString(strings.TrimPrefix(value, "0x"))
		return b, err == nil && len(b) > 0
	}
	var b []byte
	for group := range strings.SplitSeq(value, ":") {
		n, err := strconv.ParseUint(group, 16, 8)
		if err != nil {
			return nil, false
		}
		b = append(b, byte(n))
	}
	return b, true
}

func fields(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}
