package openflow

import (
	"context"
	"encoding/binary"
	"fmt"
)

const (
	typePacketOut  = 13
	noBuffer       = 0xffffffff
	portController = 0xfffffffd
)

// Inject has the switch do actions with a frame, as if it had come from the controller's port, and returns when the
// switch has read it. What it refuses is an error.
func (c *Conn) Inject(ctx context.Context, packet []byte, actions Actions) error {
	var list []byte
	for _, a := range actions {
		if a.instruction {
			return fmt.Errorf("%s is no action for a single packet", a.text)
		}
		list = append(list, a.data...)
	}
	b := binary.BigEndian.AppendUint32(nil, noBuffer)
	b = binary.BigEndian.AppendUint32(b, portController)
	b = binary.BigEndian.AppendUint16(b, uint16(len(list)))
	b = append(b, 0, 0, 0, 0, 0, 0)
	b = append(append(b, list...), packet...)
	if len(b) > 1<<16-9 {
		return fmt.Errorf("a packet of %d bytes is too large for the switch", len(packet))
	}
	c.send.Lock()
	defer c.send.Unlock()
	id := c.next()
	if err := c.write(typePacketOut, id, b); err != nil {
		return fmt.Errorf("hand a packet to the switch: %w", c.cause(err))
	}
	barrier := c.next()
	if err := c.write(typeBarrier, barrier, nil); err != nil {
		return fmt.Errorf("hand a packet to the switch: %w", c.cause(err))
	}
	return c.expect(ctx, barrier, typeBarrierReply, map[uint32]int{id: 0})
}
