package hybrid

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"neutrino/address"
	"neutrino/agent/firewall"
	"neutrino/dataplane/nft"
	"neutrino/desired"
)

// checkID refuses what is no id that names can be made of: of chains, sets, and a port's devices.
func checkID(what, id string) error {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
	if id == "" || len(id) > 64 || strings.Trim(id, letters) != "" || what == "port" && len(id) < 11 {
		return fmt.Errorf("%q is not a %s's id", id, what)
	}
	return nil
}

// device is the name of one of a port's devices.
func device(prefix, port string) string { return prefix + port[:11] }

func quoted(device string) string { return `"` + device + `"` }

// portRules are a port's own chains, and its elements of what all ports share. zone is its network's in the connection
// tracker. The groups' chains are named, so they must be there before.
func portRules(p *desired.Port, groups []*desired.SecurityGroup, zone uint16) ruleset {
	r := newRuleset()
	element := func(t nft.Table, id, key, value string) {
		n := name{t, id}
		if _, there := r.sets[n]; !there {
			r.sets[n] = set{elements: map[string]string{}}
		}
		r.sets[n].elements[quoted(key)] = value
	}
	tap, inside, bridge := device(tapPrefix, p.ID), device(insidePrefix, p.ID), device(bridgePrefix, p.ID)
	element(frames, oursSet, tap, "")
	element(frames, oursSet, inside, "")
	if !p.PortSecurity {
		element(frames, devicesMap, tap, "goto pass")
		element(frames, devicesMap, inside, "goto pass")
		return r
	}
	spoof(r, p)
	element(frames, devicesMap, tap, "goto spoof-"+p.ID)
	element(frames, devicesMap, inside, "goto enter")

	stateful := !slices.ContainsFunc(groups, func(g *desired.SecurityGroup) bool { return !g.Stateful })
	if stateful {
		element(packets, zonesMap, bridge, strconv.Itoa(int(zone)))
	} else {
		element(packets, statelessSet, bridge, "")
	}
	for _, side := range []struct{ chain, group, of string }{{"sent-", "out-", sentMap}, {"received-", "in-", receivedMap}} {
		var rules []string
		if stateful {
			rules = append(rules, "jump known")
		}
		for _, g := range groups {
			rules = append(rules, "jump "+side.group+g.ID)
		}
		r.chain(packets, side.chain+p.ID, "", append(rules, "goto refused")...)
		element(packets, side.of, bridge, "goto "+side.chain+p.ID)
	}
	return r
}

// spoof makes the chains that let a port's frames pass only under its own addresses, and let it do what an instance
// must do before it has one: the same as firewall.Port has for br-int. Rules have no sets of their own: the kernel looks
// for each among all.
func spoof(r ruleset, p *desired.Port) {
	rules := []string{"jump forbidden"}
	identities := firewall.Identities(p)
	for _, mac := range firewall.MACs(p) {
		var four, six []netip.Prefix
		for _, id := range identities {
			switch {
			case id.MAC != mac:
			case id.Prefix.Addr().Is4():
				four = append(four, id.Prefix)
			default:
				six = append(six, id.Prefix)
			}
		}
		from := "ether saddr " + mac.String() + " "
		add := func(rule string) { rules = append(rules, from+rule) }
		arp := "arp saddr ether " + mac.String() + " arp saddr ip "
		for _, own := range cover(four) {
			add(within("ip", "saddr", own) + " goto own4")
			add(arp + prefixText(own) + " goto pass")
		}
		add("ip saddr 0.0.0.0 goto unborn4")
		add(arp + "0.0.0.0 goto pass")

		discovery := "discovery-" + p.ID + "-" + hex(mac)
		r.chain(frames, discovery, "", options(mac)...)
		add("icmpv6 type 135 jump " + discovery)
		add("icmpv6 type 136 jump " + discovery)
		for _, own := range cover(six) {
			add("icmpv6 type 136" + targetIn(own) + " goto pass")
		}
		add("icmpv6 type 136 drop")
		for _, own := range cover(six) {
			add(within("ip6", "saddr", own) + " goto own6")
		}
		add("ip6 saddr :: goto unborn6")
	}
	r.chain(frames, "spoof-"+p.ID, "", append(rules, "drop")...)
}

// options are the rules for what may follow the 24 bytes of a neighbour solicitation or advertisement: each option is
// its type, its length in units of 8 bytes, and its content (RFC 4861, 4.6). A rule can look at fixed places only, so
// what may be there is listed: nothing, or the link-layer address, which must be true; and in solicitations a nonce
// (RFC 3971, 5.3.2), which duplicate address detection may bear.
func options(mac address.MAC) []string {
	own := "@th,192,64 0x0101" + hex(mac)
	return []string{
		"ip6 length 24 return",
		"icmpv6 type 135 ip6 length 32 " + own + " return",
		"icmpv6 type 135 ip6 length 32 @th,192,16 0x0e01 return",
		"icmpv6 type 135 ip6 length 40 " + own + " @th,256,16 0x0e01 return",
		"icmpv6 type 136 ip6 length 32 @th,192,64 0x0201" + hex(mac) + " return",
		"drop",
	}
}

func hex(mac address.MAC) string { return fmt.Sprintf("%x", mac[:]) }

// within matches packets of an IP version ("ip" or "ip6") whose source or destination ("saddr" or "daddr") is in p.
func within(version, end string, p netip.Prefix) string {
	if p.Bits() == 0 {
		return "ether type " + version
	}
	return version + " " + end + " " + prefixText(p)
}

// targetIn matches the target of neighbour discovery, which is at byte 8.
func targetIn(p netip.Prefix) string {
	if p.Bits() == 0 {
		return ""
	}
	raw := p.Addr().As16()
	bits := new(big.Int).Rsh(new(big.Int).SetBytes(raw[:]), uint(128-p.Bits()))
	return fmt.Sprintf(" @th,64,%d 0x%x", p.Bits(), bits)
}

// cover are the prefixes without those that lie in another, sorted: what a set of intervals takes.
func cover(list []netip.Prefix) []netip.Prefix {
	sorted := slices.Clone(list)
	for i, p := range sorted {
		sorted[i] = p.Masked()
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	var out []netip.Prefix
	for _, p := range sorted {
		if len(out) == 0 || !out[len(out)-1].Overlaps(p) {
			out = append(out, p)
		}
	}
	return out
}

// prefixText is a prefix as nft prints it: without a length when it is one address.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
