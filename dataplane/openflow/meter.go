package openflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// MeterSpec is a meter of a bridge: it drops what exceeds a rate. It is known by its id, 1 to 65535.
type MeterSpec struct {
	ID      uint32
	Packets bool   // rate and burst are in packets a second and packets; otherwise in kilobits a second and kilobits
	Rate    uint32 // 1 or more
	Burst   uint32 // what may pass at once
}

// Limit is Meter, with the meter that the flow needs: the bridge makes it before the flow, and takes it away after the
// last flow that names it. All flows of a bridge that name the same id must mean the same meter.
func Limit(m MeterSpec) Action {
	a := Meter(m.ID)
	a.meter = &m
	if m.ID == 0 || m.ID > 0xffff || m.Rate == 0 {
		a.invalid = fmt.Errorf("there is no meter %d of rate %d", m.ID, m.Rate)
	}
	return a
}

const (
	typeMeterMod         = 29
	multipartMeterConfig = 10

	meterAdd    = 0
	meterModify = 1
	meterDelete = 2

	meterKbps    = 1
	meterPackets = 2
	meterBurst   = 4

	bandDrop  = 1
	allMeters = 0xffffffff
)

func (m MeterSpec) flags() uint16 {
	if m.Packets {
		return meterPackets | meterBurst
	}
	return meterKbps | meterBurst
}

// mod is the message body that adds, modifies or deletes the meter.
func (m MeterSpec) mod(command uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, command)
	b = binary.BigEndian.AppendUint16(b, m.flags())
	b = binary.BigEndian.AppendUint32(b, m.ID)
	if command == meterDelete {
		return b
	}
	b = append(b, 0, bandDrop, 0, 16)
	b = binary.BigEndian.AppendUint32(b, m.Rate)
	b = binary.BigEndian.AppendUint32(b, m.Burst)
	return append(b, 0, 0, 0, 0)
}

// Meters reads the meters of the bridge. One that is not as we make them has a rate of 0.
func (c *Conn) Meters(ctx context.Context) ([]MeterSpec, error) {
	c.send.Lock()
	defer c.send.Unlock()
	xid := c.next()
	b := []byte{0, multipartMeterConfig, 0, 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, allMeters)
	if err := c.write(typeMultipart, xid, append(b, 0, 0, 0, 0)); err != nil {
		return nil, fmt.Errorf("ask for the meters: %w", c.cause(err))
	}
	var meters []MeterSpec
	for {
		m, err := c.receive(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the meters: %w", err)
		}
		if m.xid != xid {
			continue
		}
		if m.kind == typeError { // a switch without meters has none
			return nil, nil
		}
		if m.kind != typeMultipartReply {
			continue
		}
		more, err := parseMeters(m.body, &meters)
		if err != nil || !more {
			return meters, err
		}
	}
}

// parseMeters reads the body of a meter configuration reply.
func parseMeters(b []byte, meters *[]MeterSpec) (more bool, err error) {
	if len(b) < 8 || binary.BigEndian.Uint16(b) != multipartMeterConfig {
		return false, errors.New("the switch's answer is no list of meters")
	}
	more = binary.BigEndian.Uint16(b[2:])&moreReplies != 0
	for b = b[8:]; len(b) > 0; {
		if len(b) < 8 {
			return false, errors.New("the list of meters is cut short")
		}
		length := int(binary.BigEndian.Uint16(b))
		if length < 8 || length > len(b) {
			return false, fmt.Errorf("a meter of length %d makes no sense", length)
		}
		m := MeterSpec{ID: binary.BigEndian.Uint32(b[4:])}
		m.Packets = binary.BigEndian.Uint16(b[2:])&meterPackets != 0
		const stats = 8 // a flag that a switch may add
		if flags := binary.BigEndian.Uint16(b[2:]) &^ stats; flags == m.flags() && length == 24 && binary.BigEndian.Uint16(b[8:]) == bandDrop {
			m.Rate, m.Burst = binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[16:])
		}
		*meters = append(*meters, m)
		b = b[length:]
	}
	return more, nil
}

// changeMeters sends changes of meters; refused has the refusals by their place in the list.
func (c *Conn) changeMeters(ctx context.Context, mods [][]byte) (refused map[int]*Refused, err error) {
	c.send.Lock()
	defer c.send.Unlock()
	index := make(map[uint32]int, len(mods))
	var out []byte
	for i, mod := range mods {
		xid := c.next()
		index[xid] = i
		out = frame(out, typeMeterMod, xid, mod)
	}
	barrier := c.next()
	if err := c.flush(frame(out, typeBarrier, barrier, nil)); err != nil {
		return nil, fmt.Errorf("change meters: %w", c.cause(err))
	}
	refused = map[int]*Refused{}
	for {
		m, err := c.receive(ctx)
		if err != nil {
			return nil, fmt.Errorf("change meters: %w", err)
		}
		switch i, ours := index[m.xid]; {
		case m.kind == typeError && len(m.body) >= 4 && ours:
			refused[i] = &Refused{Index: i, Type: binary.BigEndian.Uint16(m.body), Code: binary.BigEndian.Uint16(m.body[2:])}
		case m.kind == typeBarrierReply && m.xid == barrier:
			return refused, nil
		}
	}
}

// metersOf are the meters that flows name, each once.
func metersOf(flows []Flow) (list []MeterSpec) {
	for _, f := range flows {
		for _, a := range f.Actions {
			if a.meter != nil && !slices.Contains(list, *a.meter) {
				list = append(list, *a.meter)
			}
		}
	}
	return list
}

// KeepMeters says that all meters of the bridge are ours: those that no flow of ours names are removed. Without it
// they stay.
func (b *Bridge) KeepMeters() { b.allMeters = true }

// readMeters compares with the switch.
func (b *Bridge) readMeters(ctx context.Context) error {
	b.metered = map[uint32]MeterSpec{}
	if !b.allMeters && len(b.meters) == 0 {
		return nil
	}
	list, err := b.conn.Meters(ctx)
	for _, m := range list {
		b.metered[m.ID] = m
	}
	return err
}

// wantedMeters are the meters of keys that have not been refused, and a key that wants each.
func (b *Bridge) wantedMeters() (map[uint32]MeterSpec, map[uint32][]string) {
	wanted, by := map[uint32]MeterSpec{}, map[uint32][]string{}
	for key, list := range b.meters {
		if b.failed[key] != nil {
			continue
		}
		for _, m := range list {
			wanted[m.ID] = m
			by[m.ID] = append(by[m.ID], key)
		}
	}
	return wanted, by
}

// makeMeters makes the meters that flows are about to need. The flows of a key whose meter is refused are left out.
func (b *Bridge) makeMeters(ctx context.Context) error {
	wanted, by := b.wantedMeters()
	var mods [][]byte
	var changed []MeterSpec
	for id, m := range wanted {
		have, there := b.metered[id]
		switch {
		case !there:
			mods, changed = append(mods, m.mod(meterAdd)), append(changed, m)
		case have != m:
			mods, changed = append(mods, m.mod(meterModify)), append(changed, m)
		}
	}
	if len(mods) == 0 {
		return nil
	}
	refused, err := b.conn.changeMeters(ctx, mods)
	if err != nil {
		return err
	}
	for i, m := range changed {
		bad := refused[i]
		if bad == nil {
			b.metered[m.ID] = m
			continue
		}
		for _, key := range by[m.ID] {
			b.failed[key] = fmt.Errorf("the switch can't limit rates: it refuses a meter: %s", reason(bad.Type, bad.Code))
			for _, r := range b.sets[key] {
				b.dirty[r.identity] = struct{}{}
			}
		}
	}
	return nil
}

// dropMeters removes the meters that no flow names any more.
func (b *Bridge) dropMeters(ctx context.Context) error {
	wanted, _ := b.wantedMeters()
	var mods [][]byte
	for id, m := range b.metered {
		if _, keep := wanted[id]; !keep && b.allMeters {
			mods = append(mods, m.mod(meterDelete))
			delete(b.metered, id)
		}
	}
	if len(mods) == 0 {
		return nil
	}
	_, err := b.conn.changeMeters(ctx, mods)
	return err
}
