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
	said := map[uint32]Term{}
	for _, t := range m.complete() {
		if err := t.check(); err != nil {
			return err
		}
		if _, twice := said[t.Field.header()]; twice {
			return fmt.Errorf("the match says two things of %s", t.Field.name)
		}
		said[t.Field.header()] = t
	}
	for _, t := range said {
		for _, need := range t.Field.needs {
			if have := said[need.Field.header()]; have.Mask != nil || !bytes.Equal(have.Value, need.Value) {
				return fmt.Errorf("%s is matched in packets that do not have it", t.Field.name)
			}
		}
	}
	_, proto := said[ipProto.header()]
	_, frag := said[ipFrag.header()]
	kind := said[isIPv4.Field.header()].Value
	if (proto || frag) && !bytes.Equal(kind, isIPv4.Value) && !bytes.Equal(kind, isIPv6.Value) {
		return errors.New("the match says something of IP without dl_type")
	}
	if _, target := said[NDTargetAddress.header()]; target {
		if v := said[ICMPv6Type.header()].Value; !bytes.Equal(v, isSolicitation.Value) && !bytes.Equal(v, isAdvertisement.Value) {
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
