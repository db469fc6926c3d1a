package hybrid

import "fmt"

// The bits of a packet's mark that go with it from our table of frames to that of packets and back. Both are cleared
// when a frame enters by a device of ours and when it leaves the bridge.
const (
	markSent   = 0x10000000 // it comes from the instance, under an address of its own
	markPassed = 0x20000000 // it may pass
	marks      = markSent | markPassed
)

// markCut is the bit of a connection's mark that says that its last packet in the original direction met no rule.
const markCut = 0x1

// The prefixes of the devices between an instance and br-int, each followed by 11 characters of the port's id:
// the instance's own, the bridge that it is in, that bridge's other port, and its peer on br-int.
const (
	tapPrefix    = "tap"
	bridgePrefix = "qbr"
	insidePrefix = "qvb"
	brIntPrefix  = "qvo"
)

// Names of chains, sets and maps that all ports share.
const (
	devicesMap   = "origins"   // what is made of a frame, by the device that it comes from
	oursSet      = "ours"      // the devices of our ports
	zonesMap     = "zones"     // the tracker's zone, by bridge
	statelessSet = "stateless" // bridges of ports that are not tracked
	sentMap      = "sent"      // the rules for what an instance sends, by bridge
	receivedMap  = "received"  // the rules for what it gets
)

// base is what all ports share. A frame goes through, in this order: prerouting of the table of frames (who does it
// claim to be), prerouting of packets (which zone of the tracker), forward of packets (what do the rules say), and
// forward of frames, which drops what nobody has let pass: also when the kernel did not ask the table of packets.
func base() ruleset {
	r := newRuleset()
	clean := fmt.Sprintf("meta mark set meta mark & 0x%08x", ^uint32(marks))

	r.mapping(frames, devicesMap, "type ifname : verdict")
	r.set(frames, oursSet, "type ifname")
	r.chain(frames, "prerouting", "type filter hook prerouting priority dstnat; policy accept;",
		"iifname @ours "+clean,
		"iifname vmap @origins")
	r.chain(frames, "pass", "", set1("meta mark", markPassed)+" accept")
	r.chain(frames, "judge", "", set1("meta mark", markSent)+" accept")
	// No DHCP server, no router.
	r.chain(frames, "forbidden", "",
		"ether type != { ip, arp, ip6 } drop",
		"ether type ip udp sport 67 udp dport 68 drop",
		"ether type ip6 udp sport 547 udp dport 546 drop",
		"icmpv6 type { 134, 137 } drop")
	// What an instance sends under an address of its own, and before it has one. (The groups' rules judge the rest.)
	r.chain(frames, "own4", "", "udp sport 68 udp dport 67 goto pass", "goto judge")
	r.chain(frames, "own6", "",
		"icmpv6 type { 131, 132, 133, 135, 143 } goto pass",
		"udp sport 546 udp dport 547 goto pass",
		"goto judge")
	r.chain(frames, "unborn4", "", "udp sport 68 udp dport 67 goto pass", "drop")
	r.chain(frames, "unborn6", "", "icmpv6 type { 131, 132, 133, 135, 143 } goto pass", "drop")
	// What an instance can't live without is let in, whatever its groups say.
	r.chain(frames, "enter", "",
		"ether type arp goto pass",
		"ether type != { ip, ip6 } drop",
		"icmpv6 type { 130, 134, 135, 136 } goto pass",
		"ether type ip udp sport 67 udp dport 68 goto pass",
		"ether type ip6 udp sport 547 udp dport 546 goto pass")
	r.chain(frames, "forward", "type filter hook forward priority 300; policy accept;",
		unset("meta mark", markPassed)+` iifname "qvb*" drop`,
		unset("meta mark", markPassed)+` oifname "qvb*" drop`,
		"iifname @ours "+clean)
	// The host's own stack has no business with instances.
	r.chain(frames, "input", "type filter hook input priority 0; policy accept;", "iifname @ours drop", `iifname "qvb*" drop`)
	r.chain(frames, "output", "type filter hook output priority 0; policy accept;", "oifname @ours drop", `oifname "qvb*" drop`)

	r.mapping(packets, zonesMap, "typeof iifname : ct zone")
	r.set(packets, statelessSet, "type ifname")
	r.mapping(packets, sentMap, "type ifname : verdict")
	r.mapping(packets, receivedMap, "type ifname : verdict")
	r.chain(packets, "prerouting", "type filter hook prerouting priority raw; policy accept;",
		`iifname != "qbr*" accept`,
		isset("meta mark", markPassed)+" notrack accept",
		"iifname @stateless notrack accept",
		"ct zone set iifname map @zones")
	r.chain(packets, "forward", "type filter hook forward priority filter; policy accept;",
		`iifname != "qbr*" accept`,
		isset("meta mark", markPassed)+" accept",
		isset("meta mark", markSent)+" goto sent",
		"iifname vmap @received",
		"drop")
	// Again, for a packet that came in pieces is whole only here.
	r.chain(packets, "sent", "",
		"meta nfproto ipv4 udp sport 67 udp dport 68 drop",
		"meta nfproto ipv6 udp sport 547 udp dport 546 drop",
		"icmpv6 type { 134, 137 } drop",
		"iifname vmap @sent",
		"drop")
	// Replies, and errors about what is known, pass because their connection does; unless it was cut.
	r.chain(packets, "known", "",
		"ct state invalid drop",
		"ct state established ct direction reply "+isset("ct mark", markCut)+" drop",
		"ct state established ct direction reply goto allowed",
		"ct state related meta l4proto { 1, 58 } "+isset("ct mark", markCut)+" drop",
		"ct state related meta l4proto { 1, 58 } goto allowed")
	r.chain(packets, "agreed", "",
		isset("ct mark", markCut)+" "+fmt.Sprintf("ct mark set ct mark & 0x%08x", ^uint32(markCut)),
		"goto allowed")
	r.chain(packets, "refused", "",
		"ct state established "+set1("ct mark", markCut),
		"drop")
	r.chain(packets, "allowed", "", set1("meta mark", markPassed)+" accept")
	return r
}

// isset matches when a bit is set, unset when it is not; set1 sets it.
func isset(what string, bit uint32) string {
	return fmt.Sprintf("%s & 0x%08x == 0x%08x", what, bit, bit)
}
func unset(what string, bit uint32) string {
	return fmt.Sprintf("%s & 0x%08x == 0x00000000", what, bit)
}
func set1(what string, bit uint32) string { return fmt.Sprintf("%s set %s | 0x%08x", what, what, bit) }
