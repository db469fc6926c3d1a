package openflow

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// statistics is a flow statistics reply with one flow.
func statistics() []byte {
	b := []byte{0, multipartFlow, 0, 0, 0, 0, 0, 0, 0, 56, 7, 0}
	b = append(b, make([]byte, 8)...)
	b = append(b, 0, 100) // priority
	b = append(b, make([]byte, 10)...)
	b = binary.BigEndian.AppendUint64(b, 0x4e01)
	b = append(b, make([]byte, 16)...)
	return append(b, Match{}.append(nil)...)
}

func TestParseFlows(t *testing.T) {
	var entries []Entry
	more, err := parseFlows(statistics(), &entries)
	if err != nil || more || len(entries) != 1 {
		t.Fatalf("got %v, more %v, error %v", entries, more, err)
	}
	if e := entries[0]; e.Table != 7 || e.Priority != 100 || e.Cookie != 0x4e01 || e.Ours() {
		t.Errorf("got %+v", e)
	}
	for cut := 1; cut < len(statistics()); cut++ {
		if cut == 8 {
			continue // a reply without flows
		}
		if _, err := parseFlows(statistics()[:cut], &entries); err == nil {
			t.Errorf("statistics cut to %d bytes were accepted", cut)
		}
	}
}

func TestSpeaks(t *testing.T) {
	for _, c := range []struct {
		highest  uint8
		elements []byte
		want     bool
	}{
		{5, nil, true},
		{6, nil, true},
		{4, nil, false},
		{6, []byte{0, 1, 0, 8, 0, 0, 0, 0x72}, true},          // 1.0, 1.3, 1.4, 1.5 as bits 1, 4, 5, 6
		{6, []byte{0, 1, 0, 8, 0, 0, 0, 0x52}, false},         // without 1.4
		{4, []byte{0, 1, 0, 8, 0, 0, 0, 0x12}, false},         // 1.0 and 1.3
		{6, []byte{0, 9, 0, 5, 1, 0, 0, 0, 0, 1, 0, 8}, true}, // cut short after an unknown element
		{5, []byte{0, 1, 0, 0}, true},
	} {
		if got := speaks(c.highest, c.elements); got != c.want {
			t.Errorf("speaks(%d, %x) = %v", c.highest, c.elements, got)
		}
	}
}

func FuzzParseFlows(f *testing.F) {
	f.Add(statistics())
	f.Add([]byte{0, 1, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var entries []Entry
		if _, err := parseFlows(b, &entries); err == nil && len(entries)*56+8 > len(b) {
			t.Errorf("%d flows in %d bytes", len(entries), len(b))
		}
		for _, e := range entries {
			if len(e.match)%8 != 0 || len(e.match) < 8 {
				t.Errorf("a match of %d bytes", len(e.match))
			}
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	f.Add(frame(nil, typeHello, 1, []byte{0, 1, 0, 8, 0, 0, 0, 0x72}))
	f.Add(frame(nil, typeError, 2, []byte{0, 0, 0, 0}))
	f.Add([]byte{5, 0, 0, 7, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		_ = m.fatal()
		again := frame(nil, m.kind, m.xid, m.body)
		if !bytes.Equal(again[1:], b[1:len(again)]) {
			t.Errorf("read %x as %+v", b, m)
		}
	})
}
