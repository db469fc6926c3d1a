package probe

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// Tag is a VLAN tag of a frame; VLAN 0: there is none.
type Tag struct {
	VLAN    int
	Service bool // of IEEE 802.1ad, not 802.1Q
}

// Tags are those of a frame, the outer one first.
type Tags [2]Tag

// Ethernet types of tags.
const (
	typeTag     = 0x8100
	typeService = 0x88a8
)

func (t Tag) kind() uint16 {
	if t.Service {
		return typeService
	}
	return typeTag
}

// Parse takes tags as text: "42", "161ad,42".
func (t *Tags) Parse(text string) error {
	if text == "" {
		return nil
	}
	words := strings.Split(text, ",")
	if len(words) > len(t) {
		return fmt.Errorf("%q: a frame has two tags at most", text)
	}
	for i, word := range words {
		number, service := strings.CutSuffix(word, "ad")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 4094 {
			return fmt.Errorf("%q is no VLAN: give 1 to 4094, and ad after it for an IEEE 802.1ad tag", word)
		}
		t[i] = Tag{n, service}
	}
	return nil
}

func (t Tags) encode(b []byte) []byte {
	for _, tag := range t {
		if tag.VLAN != 0 {
			b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, tag.kind()), uint16(tag.VLAN))
		}
	}
	return b
}

// decode reads tags, from a frame's type on, and gives the type behind them and what follows.
func (t *Tags) decode(b []byte) (kind uint16, rest []byte) {
	for i := 0; ; i++ {
		kind = binary.BigEndian.Uint16(b)
		if i == len(t) || kind != typeTag && kind != typeService || len(b) < 6 {
			return kind, b[2:]
		}
		t[i] = Tag{int(binary.BigEndian.Uint16(b[2:])) & 0xfff, kind == typeService}
		b = b[4:]
	}
}

// filter lets frames pass that have the outer tag: the kernel takes it off what it gives to those who watch. nil, without
// tags, lets all pass.
func (t Tags) filter() ([]bpf.RawInstruction, error) {
	if t[0].VLAN == 0 {
		return nil, nil
	}
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 6},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfff},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(t[0].VLAN), SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtVLANProto},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(t[0].kind()), SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
}
