package openflow

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
)

// Flow is a rule of a switch's table.
type Flow struct {
	Table    uint8
	Priority uint16
	Match    Match
	Actions  Actions
}

// Mark is the first byte of the cookies of all our flows.
const Mark = 0x4e

const markMask = uint64(0xff) << 56

// Cookie is the mark and a hash of all that the flow is: two flows with the same cookie are the same.
func (f Flow) Cookie() uint64 {
	body, _ := f.flowMod(nil)
	return binary.BigEndian.Uint64(body)
}

// String writes the flow as ovs-ofctl does, without its cookie.
func (f Flow) String() string {
	text := fmt.Sprintf("table=%d,priority=%d", f.Table, f.Priority)
	if len(f.Match) > 0 {
		text += "," + f.Match.String()
	}
	return text + " actions=" + f.Actions.String()
}

const (
	commandAdd          = 0
	commandDeleteStrict = 4
	anyPort             = 0xffffffff
)

// flowMod appends the OpenFlow message body that adds a flow, and says where its match ends.
func (f Flow) flowMod(b []byte) (body []byte, match int) {
	b = modHead(b, 0, 0, f.Table, commandAdd, f.Priority)
	b = f.Match.append(b)
	match = len(b)
	h := fnv.New64a()
	_, _ = h.Write(b[tableAt : tableAt+1])
	_, _ = h.Write(b[priorityAt : priorityAt+2])
	_, _ = h.Write(b[headLength:])
	apply := -1 // where the list of actions begins
	for _, a := range f.Actions {
		if !a.instruction && apply < 0 {
			apply = len(b)
			b = append(b, 0, instructionApply, 0, 0, 0, 0, 0, 0)
		}
		b = append(b, a.data...)
		_, _ = h.Write(a.data)
		if !a.instruction {
			binary.BigEndian.PutUint16(b[apply+2:], uint16(len(b)-apply))
		}
	}
	binary.BigEndian.PutUint64(b, uint64(Mark)<<56|h.Sum64()&^markMask)
	return b, match
}

// deletion is the message body that deletes the flow, if it still has that cookie. match is as the
// switch sent it, or as we did.
func deletion(table uint8, priority uint16, cookie uint64, match []byte) []byte {
	return append(modHead(nil, cookie, ^uint64(0), table, commandDeleteStrict, priority), match...)
}

// Where things are in such a body.
const (
	tableAt    = 16
	priorityAt = 22
	headLength = 40 // the match comes next
)

func modHead(b []byte, cookie, mask uint64, table, command uint8, priority uint16) []byte {
	b = binary.BigEndian.AppendUint64(b, cookie)
	b = binary.BigEndian.AppendUint64(b, mask)
	b = append(b, table, command, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, priority)
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // no buffer
	b = binary.BigEndian.AppendUint32(b, anyPort)
	b = binary.BigEndian.AppendUint32(b, anyPort) // any group
	return append(b, 0, 0, 0, 0)                  // flags, importance
}
