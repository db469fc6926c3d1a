package openflow

import (
	"bytes"
	"errors"
	"fmt"
)

// maxMessage is the longest OpenFlow message; a flow travels inside a bundle's message, 24 bytes of
// headers before it.
const maxMessage = 65535

// Check says what is wrong with the flow before a switch has to: values that do not fit their field,
// conditions that contradict each other or miss what they need, actions that can't be.
func (f Flow) Check() error {
	if err := f.Match.check(); err != nil {
		return err
	}
	length := 0
	for i, a := range f.Actions {
		length += len(a.data)
		if a.invalid != nil {
			return fmt.Errorf("action %s: %w", a.text, a.invalid)
		}
		if !a.instruction {
			continue
		}
		if a.data[1] == instructionMeter && i != 0 {
			return fmt.Errorf("action %s is not the first", a.text)
		}
		if a.data[1] == instructionGoto && i != len(f.Actions)-1 {
			return fmt.Errorf("action %s is not the last", a.text)
		}
	}
	const room = maxMessage - 24 - 1024 // the match and the heads need less than the rest
	if length > room {
		return fmt.Errorf("%d actions are too many for one flow", len(f.Actions))
	}
	return nil
}

func (m Match) check() error {
	whole := m.complete()
	said := func(f *Field) (t Term, is bool) {
		for _, t := range whole {
			if t.Field.header() == f.header() {
				return t, true
			}
		}
		return Term{}, false
	}
	for i, t := range whole {
		if err := t.check(); err != nil {
			return err
		}
		if i > 0 && whole[i-1].Field.header() == t.Field.header() { // they are sorted
			return fmt.Errorf("the match says two things of %s", t.Field.name)
		}
		for _, need := range t.Field.needs {
			if have, _ := said(need.Field); have.Mask != nil || !bytes.Equal(have.Value, need.Value) {
				return fmt.Errorf("%s is matched in packets that do not have it", t.Field.name)
			}
		}
	}
	_, proto := said(ipProto)
	_, frag := said(ipFrag)
	kind, _ := said(isIPv4.Field)
	if (proto || frag) && !bytes.Equal(kind.Value, isIPv4.Value) && !bytes.Equal(kind.Value, isIPv6.Value) {
		return errors.New("the match says something of IP without dl_type")
	}
	if _, target := said(NDTargetAddress); target {
		if v, _ := said(ICMPv6Type); !bytes.Equal(v.Value, isSolicitation.Value) && !bytes.Equal(v.Value, isAdvertisement.Value) {
			return errors.New("nd_target is matched without the ICMPv6 type 135 or 136")
		}
	}
	return nil
}

func (t Term) check() error {
	if len(t.Value) != t.Field.size || t.Mask != nil && len(t.Mask) != t.Field.size {
		return fmt.Errorf("no such value fits %s", t.Field.name)
	}
	for i := range t.Mask {
		if t.Value[i]&^t.Mask[i] != 0 {
			return fmt.Errorf("the value of %s has bits outside of its mask", t.Field.name)
		}
	}
	return nil
}
