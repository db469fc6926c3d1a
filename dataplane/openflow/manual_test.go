package openflow

import (
	"context"
	"net/netip"
	"os"
	"testing"

	"neutrino/address"
)

func TestManual(t *testing.T) {
	sock := os.Getenv("OFSOCK")
	if sock == "" {
		t.Skip()
	}
	b := NewBridge("unix", sock)
	m := address.MustParseMAC("fa:16:3e:00:00:01")
	mark := uint32(1)
	b.Set("a", []Flow{
		{Table: 0, Priority: 100, Match: Match{InPort(5), VLAN(7)}, Actions: Actions{SetReg(5, 7), PopVLAN(), Resubmit(10)}},
		{Table: 0, Priority: 0},
		{Table: 10, Priority: 5, Match: Match{From(netip.MustParsePrefix("10.0.0.0/24")), Proto(6), Transport(6, DestinationPort, 80, 0xfff0), Src(m)}, Actions: append(PushVLAN(9), Output(3))},
		{Table: 10, Priority: 6, Match: Match{ARPOperation(1), ARPTarget(netip.MustParsePrefix("10.0.0.5/32")), Untagged()}, Actions: Actions{Move(EthSrc, EthDst), SetMAC(EthSrc, m), SetNumber(ARPOp, 2), Move(ARPSHA, ARPTHA), Move(ARPSPA, ARPTPA), SetMAC(ARPSHA, m), SetIP(ARPSPA, netip.MustParseAddr("10.0.0.5")), OutputInPort()}},
		{Table: 11, Priority: 7, Match: Match{EthType(TypeIPv4), CTState(CTTracked|CTNew, CTInvalid), InReg(6, 3)}, Actions: Actions{CT(CTOptions{Commit: true, Reg: Reg(6), Table: 12}), CT(CTOptions{Commit: true, Zone: 5, Table: 255, Mark: &mark})}},
		{Table: 12, Priority: 8, Match: Match{EthType(TypeIPv6), Conjunction(12), Proto(58), ICMPType(true, 135), NDTarget(netip.MustParsePrefix("fe80::1/128"))}, Actions: Actions{CTClear(), OutputReg(7), Normal()}},
		{Table: 12, Priority: 9, Match: Match{To(netip.MustParsePrefix("fd00::/64"))}, Actions: Actions{Conjoin(12, 1, 2)}},
		{Table: 13, Priority: 9, Match: Match{InTunnel(77), FromTunnel(netip.MustParseAddr("172.29.0.2"))}, Actions: Actions{SetTunnel(9), SetIP(TunDst, netip.MustParseAddr("172.29.0.3")), Output(2)}},
		{Table: 14, Priority: 9, Match: Match{Multicast(), Marked(1), VLAN(4)}, Actions: Actions{SetVLAN(5)}},
	})
	refused, err := b.Flush(context.Background())
	t.Log(refused, err)
	e, err := b.conn.Dump(context.Background())
	t.Log(len(e), err)
	b.Set("bad", []Flow{{Table: 1, Match: Match{Proto(6)}}})
	b.Set("c", []Flow{{Table: 2}})
	refused, err = b.Flush(context.Background())
	t.Log(refused, err)
	b.Set("c", nil)
	b.Resync()
	refused, err = b.Flush(context.Background())
	t.Log(refused, err)
	e, err = b.conn.Dump(context.Background())
	t.Log(len(e), err)
}
