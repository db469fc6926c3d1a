package openflow

import (
	"net/netip"
	"strings"
	"testing"

	"neutrino/address"
)

var (
	host4  = netip.MustParsePrefix("10.0.0.5/32")
	net4   = netip.MustParsePrefix("10.0.0.0/24")
	host6  = netip.MustParsePrefix("fd00::5/128")
	net6   = netip.MustParsePrefix("fd00::/64")
	anyMAC = address.MustParseMAC("fa:16:3e:00:00:01")
)

// matches has every condition, with what it needs given or added.
func matches() []Match {
	return []Match{
		{},
		{InPort(5)},
		{InPort(1), VLAN(7)},
		{InPort(2), Untagged()},
		{InPort(2), Tagged()},
		{Src(anyMAC)},
		{Dst(anyMAC)},
		{Multicast()},
		{Unicast()},
		{EthType(0x88cc)},
		{From(host4)},
		{From(net4), To(host4)},
		{From(netip.MustParsePrefix("0.0.0.0/0")), InPort(9)},
		{From(net6), To(host6)},
		{EthType(TypeIPv4), Proto(112)},
		{From(net4), Transport(ProtoTCP, DestinationPort, 80, 0xffff)},
		{From(net6), Transport(ProtoTCP, SourcePort, 0x1f90, 0xfff0)},
		{EthType(TypeIPv4), Transport(ProtoUDP, DestinationPort, 53, 0xffff)},
		{EthType(TypeIPv6), Transport(ProtoUDP, SourcePort, 546, 0xffff)},
		{EthType(TypeIPv4), Transport(ProtoSCTP, DestinationPort, 2905, 0xffff)},
		{EthType(TypeIPv4), Transport(ProtoSCTP, SourcePort, 2904, 0xfffc)},
		{ICMPType(false, 8)},
		{ICMPType(false, 3), ICMPCode(false, 4)},
		{ICMPType(true, 128), ICMPCode(true, 0)},
		{ARPOperation(1), ARPSender(net4), ARPTarget(host4)},
		{ARPSenderMAC(anyMAC)},
		{ICMPType(true, 135), NDTarget(host6), NDSourceMAC(anyMAC)},
		{ICMPType(true, 136), NDTarget(net6), NDTargetMAC(anyMAC)},
		{NDSourceMAC(anyMAC)},
		{NDTargetMAC(anyMAC)},
		{InReg(0, 1), InReg(7, 0xffffffff), InReg(15, 0)},
		{InRegBits(6, 0x30, 0xf0)},
		{InMetadata(0xfedcba9876543210)},
		{InTunnel(77)},
		{InTunnel(0xffffff), FromTunnel(netip.MustParseAddr("172.29.0.2"))},
		{FromTunnel(netip.MustParseAddr("fd00::2"))},
		{EthType(TypeIPv4), CTState(CTTracked|CTNew, CTInvalid)},
		{EthType(TypeIPv6), CTState(0, CTTracked)},
		{EthType(TypeIPv4), InZone(7), Marked(1)},
		{EthType(TypeIPv4), Conjunction(12)},
		{EthType(TypeIPv4), LaterFragment()},
		{EthType(TypeIPv6), NotLaterFragment()},
	}
}

// actions has every action with the match that it needs.
func actions() []Flow {
	mark := uint32(1)
	ip4, ip6 := Match{EthType(TypeIPv4)}, Match{EthType(TypeIPv6)}
	return []Flow{
		{},
		{Actions: Actions{Output(3)}},
		{Actions: Actions{OutputInPort(), Normal(), OutputReg(7)}},
		{Actions: append(PushVLAN(9), Output(3))},
		{Match: Match{VLAN(4)}, Actions: Actions{SetVLAN(5), PopVLAN(), Output(1)}},
		{Match: Match{Tagged()}, Actions: Actions{MoveBits(VLANID, Reg(6), 12), PopVLAN(), Output(1)}},
		{Actions: Actions{SetReg(5, 7), SetReg(15, 0xffffffff), SetReg(0, 0)}},
		{Actions: Actions{Load(Reg(5), 0, 16, 0x7), Load(Reg(5), 16, 16, 0xffff), Load(metadata, 8, 56, 1)}},
		{Actions: Actions{SetMAC(EthSrc, anyMAC), SetMAC(EthDst, anyMAC), Move(EthSrc, EthDst)}},
		{Match: ip4, Actions: Actions{SetIP(IPv4Src, host4.Addr()), SetIP(IPv4Dst, host4.Addr()), SetNumber(IPTTL, 64), DecTTL()}},
		{Match: ip6, Actions: Actions{SetIP(IPv6Src, host6.Addr()), SetIP(IPv6Dst, host6.Addr())}},
		{Match: Match{ARPOperation(1), ARPTarget(host4), Untagged()}, Actions: Actions{ // an ARP responder
			Move(EthSrc, EthDst), SetMAC(EthSrc, anyMAC), SetNumber(ARPOp, 2), Move(ARPSHA, ARPTHA), Move(ARPSPA, ARPTPA),
			SetMAC(ARPSHA, anyMAC), SetIP(ARPSPA, host4.Addr()), OutputInPort()}},
		{Match: Match{ICMPType(true, 135), NDSourceMAC(anyMAC)}, Actions: Actions{
			SetMAC(NDSLL, anyMAC), SetIP(NDTargetAddress, host6.Addr())}},
		{Actions: Actions{SetTunnel(9), SetIP(TunDst, netip.MustParseAddr("172.29.0.3")), Output(2)}},
		{Actions: Actions{SetIP(TunDst6, host6.Addr()), Output(2)}},
		{Actions: Actions{Resubmit(60), Resubmit(70)}},
		{Actions: Actions{SetReg(1, 1), GotoTable(200)}},
		{Match: ip4, Actions: Actions{CT(CTOptions{Zone: 5, Table: 12})}},
		{Match: ip4, Actions: Actions{CT(CTOptions{Reg: Reg(6), Table: 12})}},
		{Match: ip4, Actions: Actions{CT(CTOptions{Commit: true, Zone: 5, Table: 255})}},
		{Match: ip4, Actions: Actions{CT(CTOptions{Commit: true, Force: true, Reg: Reg(6), Table: 255, Mark: &mark}), Normal()}},
		{Match: ip4, Actions: Actions{CTClear(), Resubmit(1)}},
		{Match: ip4, Actions: Actions{Conjoin(12, 1, 2), Conjoin(13, 3, 3)}},
	}
}

// everything is a flow for each condition and each action, no two in the same place.
func everything() []Flow {
	var flows []Flow
	for i, m := range matches() {
		flows = append(flows, Flow{Table: 100, Priority: uint16(i), Match: m, Actions: Actions{Resubmit(101)}})
	}
	for i, f := range actions() {
		f.Table, f.Priority = 101, uint16(i)
		flows = append(flows, f)
	}
	return flows
}

func TestString(t *testing.T) {
	for _, c := range []struct {
		flow Flow
		want string
	}{
		{Flow{}, "table=0,priority=0 actions=drop"},
		{
			Flow{Table: 60, Priority: 100, Match: Match{InPort(5), From(net4)}, Actions: append(PushVLAN(9), Output(3))},
			"table=60,priority=100,in_port=5,dl_type=0x800,nw_src=10.0.0.0/255.255.255.0 actions=push_vlan:0x8100,set_field:4105->vlan_vid,output:3",
		},
		{
			Flow{Match: Match{NDSourceMAC(anyMAC)}, Actions: Actions{CT(CTOptions{Commit: true, Reg: Reg(6), Table: 2})}},
			"table=0,priority=0,dl_type=0x86dd,nw_proto=58,icmp_type=135,nd_sll=fa:16:3e:00:00:01 actions=ct(commit,zone=reg6[0..15],table=2)",
		},
	} {
		if got := c.flow.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestCookieIgnoresOrderOfConditions(t *testing.T) {
	a := Flow{Match: Match{InPort(1), From(net4)}, Actions: Actions{Output(2)}}
	b := Flow{Match: Match{EthType(TypeIPv4), From(net4), InPort(1)}, Actions: Actions{Output(2)}}
	if a.Cookie() != b.Cookie() {
		t.Error("the same flow has two cookies")
	}
	b.Actions = Actions{Output(3)}
	if a.Cookie() == b.Cookie() {
		t.Error("another action has the same cookie")
	}
	if a.Cookie()>>56 != Mark {
		t.Errorf("cookie %x does not bear the mark", a.Cookie())
	}
}

func TestCheck(t *testing.T) {
	for _, f := range everything() {
		if err := f.Check(); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	long := make(Actions, 4096)
	for i := range long {
		long[i] = Output(uint32(i))
	}
	mark := uint32(1)
	for name, f := range map[string]Flow{
		"no Ethernet type":        {Match: Match{Proto(6)}},
		"ports without a type":    {Match: Match{Transport(ProtoTCP, SourcePort, 1, 0xffff)}},
		"ports of ICMP":           {Match: Match{EthType(TypeIPv4), Transport(ProtoICMP, SourcePort, 1, 0xffff)}},
		"two addresses":           {Match: Match{From(net4), From(host4)}},
		"both families":           {Match: Match{From(net4), To(net6)}},
		"IPv4 address in ARP":     {Match: Match{EthType(TypeARP), From(net4)}},
		"IPv6 address in ARP":     {Match: Match{ARPSender(net6)}},
		"target without its type": {Match: Match{NDTarget(host6)}},
		"target of an echo":       {Match: Match{ICMPType(true, 128), NDTarget(host6)}},
		"VLAN too high":           {Match: Match{VLAN(4096)}},
		"bits outside the mask":   {Match: Match{{Field: Reg(1), Value: []byte{0, 0, 0, 2}, Mask: []byte{0, 0, 0, 1}}}},
		"set VLAN too high":       {Actions: PushVLAN(4096)},
		"IPv6 in an IPv4 field":   {Actions: Actions{SetIP(TunDst, host6.Addr())}},
		"number too large":        {Actions: Actions{SetNumber(ARPOp, 1<<16)}},
		"unequal move":            {Actions: Actions{Move(EthSrc, Reg(1))}},
		"load too large":          {Actions: Actions{Load(Reg(1), 0, 4, 16)}},
		"load past the end":       {Actions: Actions{Load(Reg(1), 30, 4, 1)}},
		"goto before the end":     {Actions: Actions{GotoTable(5), Output(1)}},
		"meter after output":      {Actions: Actions{Output(1), Meter(1)}},
		"mark without commit":     {Actions: Actions{CT(CTOptions{Mark: &mark})}},
		"dimension out of range":  {Actions: Actions{Conjoin(1, 3, 2)}},
		"too long":                {Actions: long},
	} {
		err := f.Check()
		if err == nil {
			t.Errorf("%s: accepted: %s", name, f)
		}
		if strings.Contains(f.String(), "\n") {
			t.Errorf("%s: text has a line break", name)
		}
	}
}

// What is kept of a flow says which flow it was.
func TestRecordsTellTheirMatch(t *testing.T) {
	for _, m := range matches() {
		f := Flow{Table: 7, Priority: 9, Match: m}
		if got := newRecord(f).String(); got != f.String() {
			t.Errorf("%s is told as %s", f, got)
		}
	}
	if got := newRecord(Flow{Actions: Actions{Output(3)}}).String(); !strings.HasPrefix(got, "table=0,priority=0 instructions=0004") {
		t.Errorf("told as %s", got)
	}
}
