package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"neutrino/address"
)

// Action is one step that a flow does with a packet.
type Action struct {
	text        string
	data        []byte
	instruction bool  // OpenFlow has it beside the list of actions, not in it
	invalid     error // what Check says of the flow

	meter *MeterSpec // that the switch must have
}

func (a Action) String() string { return a.text }

// Actions are done in order. None means drop.
type Actions []Action

func (a Actions) String() string {
	if len(a) == 0 {
		return "drop"
	}
	parts := make([]string, len(a))
	for i, x := range a {
		parts[i] = x.text
	}
	return strings.Join(parts, ",")
}

const (
	instructionGoto  = 1
	instructionApply = 4
	instructionMeter = 6

	portInPort = 0xfffffff8
	portNormal = 0xfffffffa
	vendor     = 0x00002320 // Nicira
)

func output(text string, port uint32) Action {
	b := []byte{0, 0, 0, 16}
	b = binary.BigEndian.AppendUint32(b, port)
	return Action{text: text, data: append(b, 0xff, 0xff, 0, 0, 0, 0, 0, 0)}
}

// Output sends the packet out of a port (never back where it came from).
func Output(port uint32) Action { return output(fmt.Sprintf("output:%d", port), port) }

// OutputInPort sends the packet back where it came from.
func OutputInPort() Action { return output("IN_PORT", portInPort) }

// Normal lets the switch forward the packet as an ordinary learning switch.
func Normal() Action { return output("NORMAL", portNormal) }

// OutputReg sends the packet out of the port whose number is in a register.
func OutputReg(n int) Action {
	b := nx(15, 24)
	b = binary.BigEndian.AppendUint16(b, 31) // offset 0, 32 bits
	b = binary.BigEndian.AppendUint32(b, Reg(n).header())
	return Action{text: fmt.Sprintf("output:NXM_NX_REG%d[]", n), data: append(b, 0xff, 0xff, 0, 0, 0, 0, 0, 0)}
}

// nx begins a Nicira action of a whole length.
func nx(subtype, length uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0xffff)
	b = binary.BigEndian.AppendUint16(b, length)
	b = binary.BigEndian.AppendUint32(b, vendor)
	return binary.BigEndian.AppendUint16(b, subtype)
}

// PushVLAN adds an 802.1Q tag with the VLAN id.
func PushVLAN(id uint16) Actions {
	return Actions{
		{text: "push_vlan:0x8100", data: []byte{0, 17, 0, 8, 0x81, 0x00, 0, 0}},
		SetVLAN(id),
	}
}

// SetVLAN changes the VLAN id of a tagged packet.
func SetVLAN(id uint16) Action {
	a := set(VLANID, VLANID.bytes(uint64(id)|0x1000))
	if id > 0xfff {
		a.invalid = fmt.Errorf("there is no VLAN %d", id)
	}
	a.text = fmt.Sprintf("set_field:%d->vlan_vid", id|0x1000)
	return a
}

// PopVLAN takes the tag away.
func PopVLAN() Action { return Action{text: "strip_vlan", data: []byte{0, 18, 0, 8, 0, 0, 0, 0}} }

// set writes a whole field.
func set(f *Field, value []byte) Action {
	if len(value) != f.size {
		return Action{text: "set_field:invalid->" + f.name, invalid: fmt.Errorf("no such value fits %s", f.name)}
	}
	b := []byte{0, 25, 0, 0}
	b = Term{Field: f, Value: value}.append(b)
	b = pad(b, 0)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return Action{text: fmt.Sprintf("set_field:%s->%s", f.show(value), f.name), data: b}
}

// SetReg writes a register.
func SetReg(n int, value uint32) Action { return set(Reg(n), Reg(n).bytes(uint64(value))) }

// SetMAC writes an Ethernet address field.
func SetMAC(f *Field, m address.MAC) Action { return set(f, macBytes(m)) }

// SetIP writes an IP address field.
func SetIP(f *Field, a netip.Addr) Action { return set(f, addrBytes(a)) }

// SetTunnel writes the tunnel's key.
func SetTunnel(id uint64) Action { return set(TunnelID, TunnelID.bytes(id)) }

// SetNumber writes a numeric field.
func SetNumber(f *Field, n uint64) Action { return set(f, f.bytes(n)) }

// Move copies a whole field to another of the same size.
func Move(from, to *Field) Action {
	a := MoveBits(from, to, from.size*8)
	a.text = fmt.Sprintf("move:%s[]->%s[]", from.name, to.name)
	if from.size != to.size {
		a.invalid = fmt.Errorf("%s and %s differ in size", from.name, to.name)
	}
	return a
}

// MoveBits copies the lowest bits of a field to the lowest of another.
func MoveBits(from, to *Field, bits int) Action {
	b := nx(6, 24)
	b = binary.BigEndian.AppendUint16(b, uint16(bits))
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, from.header())
	b = binary.BigEndian.AppendUint32(b, to.header())
	a := Action{text: fmt.Sprintf("move:%s[0..%d]->%s[0..%d]", from.name, bits-1, to.name, bits-1), data: b}
	if bits < 1 || bits > 8*min(from.size, to.size) {
		a.invalid = fmt.Errorf("%d bits of %s do not fit %s", bits, from.name, to.name)
	}
	return a
}

// Load writes some bits of a field: value into bits bits (at most 64) from the offset on, counted from
// the lowest.
func Load(f *Field, offset, bits int, value uint64) Action {
	b := nx(7, 24)
	b = binary.BigEndian.AppendUint16(b, uint16(offset<<6|(bits-1)))
	b = binary.BigEndian.AppendUint32(b, f.header())
	a := Action{
		text: fmt.Sprintf("load:0x%x->%s[%d..%d]", value, f.name, offset, offset+bits-1),
		data: binary.BigEndian.AppendUint64(b, value),
	}
	if offset < 0 || bits < 1 || bits > 64 || offset+bits > f.size*8 || bits < 64 && value>>bits != 0 {
		a.invalid = fmt.Errorf("%d does not fit %d bits of %s from bit %d on", value, bits, f.name, offset)
	}
	return a
}

// DecTTL counts the TTL or hop limit down; a packet that it would make 0 is dropped.
func DecTTL() Action { return Action{text: "dec_ttl", data: []byte{0, 24, 0, 8, 0, 0, 0, 0}} }

// Meter drops what exceeds the rate of a meter of the bridge. It must be the first action.
func Meter(id uint32) Action {
	b := binary.BigEndian.AppendUint32([]byte{0, instructionMeter, 0, 8}, id)
	return Action{text: fmt.Sprintf("meter:%d", id), data: b, instruction: true}
}

// GotoTable goes on in a table with a higher number and does not come back. It must be the last action.
func GotoTable(table uint8) Action {
	return Action{text: fmt.Sprintf("goto_table:%d", table), data: []byte{0, instructionGoto, 0, 8, table, 0, 0, 0}, instruction: true}
}

// Resubmit looks the packet up in another table and comes back.
func Resubmit(table uint8) Action {
	b := nx(14, 16)
	b = binary.BigEndian.AppendUint16(b, 0xfff8)
	return Action{text: fmt.Sprintf("resubmit(,%d)", table), data: append(b, table, 0, 0, 0)}
}

// CTOptions say what the connection tracker does.
type CTOptions struct {
	Commit bool
	Force  bool    // with Commit: a connection begun from the other side is begun anew
	Zone   uint16  // used when Reg is nil
	Reg    *Field  // the zone is in the low 16 bits of this register
	Table  uint8   // go on there with ct_state set; 255: go on here as if nothing had happened
	Mark   *uint32 // with Commit: the connection's mark
}

// CT sends the packet through the connection tracker.
func CT(o CTOptions) Action {
	b := nx(35, 0)
	flags, text := uint16(0), []string{}
	if o.Commit {
		flags, text = 1, append(text, "commit")
	}
	if o.Force {
		flags, text = flags|2, append(text, "force")
	}
	b = binary.BigEndian.AppendUint16(b, flags)
	if o.Reg != nil {
		b = binary.BigEndian.AppendUint32(b, o.Reg.header())
		b = binary.BigEndian.AppendUint16(b, 15) // offset 0, 16 bits
		text = append(text, "zone="+o.Reg.name+"[0..15]")
	} else {
		b = binary.BigEndian.AppendUint32(b, 0)
		b = binary.BigEndian.AppendUint16(b, o.Zone)
		text = append(text, fmt.Sprintf("zone=%d", o.Zone))
	}
	table := o.Table
	if table != 255 {
		text = append(text, fmt.Sprintf("table=%d", table))
	}
	b = append(b, table, 0, 0, 0, 0, 0)
	if o.Mark != nil {
		mark := set(CTMark, CTMark.bytes(uint64(*o.Mark)))
		b = append(b, mark.data...)
		text = append(text, "exec("+mark.text+")")
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	a := Action{text: "ct(" + strings.Join(text, ",") + ")", data: b}
	if !o.Commit && (o.Force || o.Mark != nil) {
		a.invalid = errors.New("force and mark need commit")
	}
	return a
}

// CTClear forgets what the connection tracker said of the packet.
func CTClear() Action { return Action{text: "ct_clear", data: append(nx(43, 16), 0, 0, 0, 0, 0, 0)} }

// Conjoin says that the packet meets dimension k (1 to n) of a conjunction of n.
func Conjoin(id uint32, k, n uint8) Action {
	b := append(nx(34, 16), k-1, n)
	a := Action{text: fmt.Sprintf("conjunction(%d,%d/%d)", id, k, n), data: binary.BigEndian.AppendUint32(b, id)}
	if n < 2 || n > 64 || k < 1 || k > n {
		a.invalid = fmt.Errorf("a conjunction has no dimension %d of %d", k, n)
	}
	return a
}
