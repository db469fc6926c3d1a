package openflow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
)

// identity stands for what a switch tells flows apart by: table, priority and match.
type identity [16]byte

// record is a flow as its bridge keeps it: the bytes that go to the switch, and nothing else, for a host has
// tens of thousands.
type record struct {
	identity identity
	cookie   uint64
	match    int    // where the match ends in body
	body     []byte // of the message that adds the flow
}

func newRecord(f Flow) *record {
	var room [512]byte
	body, match := f.flowMod(room[:0])
	r := &record{cookie: binary.BigEndian.Uint64(body), match: match, body: slices.Clone(body)}
	h := sha256.New() // tenants choose what is matched: two flows must not be taken for one
	_, _ = h.Write(body[tableAt : tableAt+1])
	_, _ = h.Write(body[priorityAt : priorityAt+2])
	_, _ = h.Write(body[headLength:match])
	copy(r.identity[:], h.Sum(room[:0:32]))
	return r
}

func (r *record) table() uint8     { return r.body[tableAt] }
func (r *record) priority() uint16 { return binary.BigEndian.Uint16(r.body[priorityAt:]) }

// deletion is the message body that deletes the flow.
func (r *record) deletion() []byte {
	return deletion(r.table(), r.priority(), r.cookie, r.body[headLength:r.match])
}

// String says which flow it is, as far as the bytes tell: table, priority and match as ovs-ofctl writes them,
// the instructions in hexadecimal digits.
func (r *record) String() string {
	text := fmt.Sprintf("table=%d,priority=%d", r.table(), r.priority())
	if match := parseMatch(r.body[headLength:r.match]).String(); match != "" {
		text += "," + match
	}
	if r.match == len(r.body) {
		return text + " actions=drop"
	}
	return text + " instructions=" + hex.EncodeToString(r.body[r.match:])
}

// fields are all that a match of ours can have, by their headers.
var fields = func() map[uint32]*Field {
	all := []*Field{
		inPort, metadata, EthDst, EthSrc, ethType, VLANID, ipProto, IPv4Src, IPv4Dst, IPv6Src, IPv6Dst, IPTTL, tcpSrc, tcpDst, udpSrc, udpDst,
		sctpSrc, sctpDst, icmpType, icmpCode, ARPOp, ARPSPA, ARPTPA, ARPSHA, ARPTHA, ICMPv6Type, icmpv6Code, NDTargetAddress, NDSLL, NDTLL,
		TunnelID, TunSrc, TunDst, TunSrc6, TunDst6, ipFrag, conjID, ctState, CTZone, CTMark,
	}
	out := map[uint32]*Field{}
	for _, f := range append(all, registers[:]...) {
		out[f.header()] = f
	}
	return out
}()

// parseMatch reads a match that Match.append has written. What it does not know ends it.
func parseMatch(b []byte) Match {
	var m Match
	for b = b[4:min(len(b), int(binary.BigEndian.Uint16(b[2:])))]; len(b) >= 4; {
		header, masked := binary.BigEndian.Uint32(b), b[2]&1 == 1
		if masked {
			header = header&^0x1ff | header&0xff/2
		}
		f := fields[header]
		if f == nil || len(b) < 4+int(b[3]) {
			break
		}
		t := Term{Field: f, Value: b[4 : 4+f.size]}
		if masked {
			t.Mask = b[4+f.size : 4+2*f.size]
		}
		m, b = append(m, t), b[4+int(b[3]):]
	}
	return m
}
