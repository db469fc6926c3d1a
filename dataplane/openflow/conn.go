package openflow

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// OpenFlow 1.4 message types that we use.
const (
	version = 5

	typeHello          = 0
	typeError          = 1
	typeEchoRequest    = 2
	typeEchoReply      = 3
	typeFlowMod        = 14
	typeMultipart      = 18
	typeMultipartReply = 19
	typeBarrier        = 20
	typeBarrierReply   = 21
	typeBundleControl  = 33
	typeBundleAdd      = 34

	bundleOpen    = 0
	bundleCommit  = 4
	bundleDiscard = 6
	bundleFlags   = 3 // atomic and ordered

	multipartFlow = 1
	moreReplies   = 1
)

// Conn is an OpenFlow connection to one bridge. It is safe for concurrent use; requests are sent
// one at a time.
type Conn struct {
	conn net.Conn
	send sync.Mutex // one request with its replies at a time

	mu      sync.Mutex
	xid     uint32
	replies []message     // not looked at yet: the reader never waits for us
	arrived chan struct{} // there may be replies
	closed  chan struct{}
	err     error
}

// message is one OpenFlow message without its header.
type message struct {
	version uint8
	kind    uint8
	xid     uint32
	body    []byte
}

// Dial connects to a bridge, for instance at unix:/run/openvswitch/br-int.mgmt.
func Dial(ctx context.Context, network, addr string) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the switch at %s: %w", addr, err)
	}
	c := &Conn{conn: nc, arrived: make(chan struct{}, 1), closed: make(chan struct{})}
	if err := c.write(typeHello, 0, nil); err != nil {
		_ = nc.Close()
		return nil, err
	}
	go c.read()
	return c, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Closed is closed when the connection has ended.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

func (c *Conn) write(kind uint8, xid uint32, body []byte) error {
	return c.flush(frame(nil, kind, xid, body))
}

// flush sends messages. After a failure half a message may be out, so the connection ends.
func (c *Conn) flush(b []byte) error {
	err := c.conn.SetWriteDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = c.conn.Write(b)
	}
	if err != nil {
		_ = c.conn.Close()
	}
	return err
}

// cause is what the reader found, when a request failed because the connection had ended: it knows
// better why. It is not for the reader itself.
func (c *Conn) cause(err error) error {
	if !errors.Is(err, net.ErrClosed) {
		return err
	}
	<-c.closed
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
}

// frame appends a message with its header.
func frame(b []byte, kind uint8, xid uint32, body []byte) []byte {
	b = append(b, version, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(body)))
	b = binary.BigEndian.AppendUint32(b, xid)
	return append(b, body...)
}

// read takes messages as they come. What it does not know it passes over.
func (c *Conn) read() {
	defer close(c.closed)
	buffered := bufio.NewReaderSize(c.conn, 1<<16)
	for {
		m, err := readMessage(buffered)
		if err == nil {
			err = m.fatal()
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			_ = c.conn.Close()
			return
		}
		switch m.kind {
		case typeEchoRequest:
			if err := c.write(typeEchoReply, m.xid, m.body); err != nil {
				_ = c.conn.Close()
			}
		case typeError, typeMultipartReply, typeBundleControl, typeBarrierReply:
			c.mu.Lock()
			c.replies = append(c.replies, m)
			c.mu.Unlock()
			select {
			case c.arrived <- struct{}{}:
			default:
			}
		}
	}
}

func readMessage(r io.Reader) (message, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	length := int(binary.BigEndian.Uint16(head[2:]))
	if length < 8 {
		return message{}, fmt.Errorf("the switch sent a message of length %d", length)
	}
	m := message{version: head[0], kind: head[1], xid: binary.BigEndian.Uint32(head[4:]), body: make([]byte, length-8)}
	if _, err := io.ReadFull(r, m.body); err != nil {
		return message{}, err
	}
	return m, nil
}

// fatal says why the switch and we have no OpenFlow version in common, if that is what it says.
func (m message) fatal() error {
	switch {
	case m.kind == typeHello && !speaks(m.version, m.body):
		return errors.New("the switch does not speak OpenFlow 1.4 (see the bridge's protocols)")
	case m.kind == typeError && len(m.body) >= 2 && binary.BigEndian.Uint16(m.body) == 0: // OFPET_HELLO_FAILED
		return errors.New("the switch does not want OpenFlow 1.4 (see the bridge's protocols)")
	}
	return nil
}

// speaks says whether a hello allows our version: by its bitmap of versions, or else by the highest.
func speaks(highest uint8, elements []byte) bool {
	for len(elements) >= 4 {
		kind, length := binary.BigEndian.Uint16(elements), int(binary.BigEndian.Uint16(elements[2:]))
		if length < 4 || length > len(elements) {
			break
		}
		if kind == 1 && length >= 8 { // OFPHET_VERSIONBITMAP
			return binary.BigEndian.Uint32(elements[4:])&(1<<version) != 0
		}
		elements = elements[min((length+7)/8*8, len(elements)):]
	}
	return highest >= version
}

// timeout is how long the switch may take for one reply.
const timeout = 30 * time.Second

// receive waits for the next reply.
func (c *Conn) receive(ctx context.Context) (message, error) {
	t := time.NewTimer(timeout)
	defer t.Stop()
	for {
		c.mu.Lock()
		if len(c.replies) > 0 {
			m := c.replies[0]
			c.replies = c.replies[1:]
			c.mu.Unlock()
			return m, nil
		}
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return message{}, fmt.Errorf("connection to the switch lost: %w", err)
		}
		select {
		case <-c.arrived:
		case <-c.closed:
		case <-t.C:
			_ = c.conn.Close()
			return message{}, errors.New("the switch does not answer")
		case <-ctx.Done():
			_ = c.conn.Close() // a late reply must not be taken for the next request's
			return message{}, ctx.Err()
		}
	}
}

func (c *Conn) next() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.xid++
	return c.xid
}

// Refused is a message of a bundle that the switch did not take; the bundle as a whole was not done.
type Refused struct {
	Index      int // of the message in the bundle
	Type, Code uint16
}

func (e *Refused) Error() string {
	return fmt.Sprintf("the switch refused message %d of the bundle: %s", e.Index, reason(e.Type, e.Code))
}

// reason names an OpenFlow error (specification 7.5.4).
func reason(class, code uint16) string {
	names := map[uint16]string{
		1: "bad request", 2: "bad action", 3: "bad instruction", 4: "bad match", 5: "flow refused",
		12: "meter refused", 17: "bundle failed", 0xffff: "Open vSwitch error",
	}
	name := names[class]
	if name == "" {
		name = "error"
	}
	return fmt.Sprintf("%s (type %d, code %d)", name, class, code)
}

// bundle has all the flow messages done at once, or none of them.
func (c *Conn) bundle(ctx context.Context, mods [][]byte) error {
	c.send.Lock()
	defer c.send.Unlock()
	id := c.next()
	control := func(kind uint16) error {
		b := binary.BigEndian.AppendUint32(nil, id)
		b = binary.BigEndian.AppendUint16(b, kind)
		return c.write(typeBundleControl, id, binary.BigEndian.AppendUint16(b, bundleFlags))
	}
	if err := control(bundleOpen); err != nil {
		return fmt.Errorf("open a bundle: %w", c.cause(err))
	}
	if err := c.expect(ctx, id, typeBundleControl, nil); err != nil {
		return fmt.Errorf("open a bundle: %w", c.cause(err))
	}
	index := make(map[uint32]int, len(mods))
	var out []byte
	for i, mod := range mods {
		xid := c.next()
		index[xid] = i
		b := binary.BigEndian.AppendUint32(make([]byte, 0, 16+len(mod)), id)
		b = append(b, 0, 0, 0, bundleFlags)
		b = append(b, version, typeFlowMod)
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(mod)))
		b = binary.BigEndian.AppendUint32(b, xid) // the inner message has the outer one's xid
		out = frame(out, typeBundleAdd, xid, append(b, mod...))
		if len(out) < 1<<16 && i < len(mods)-1 {
			continue
		}
		if err := c.flush(out); err != nil {
			return fmt.Errorf("fill a bundle: %w", c.cause(err))
		}
		out = out[:0]
	}
	// A message that the switch can't read is left out of the bundle, and the rest could still be
	// committed: so see first that all were taken.
	barrier := c.next()
	if err := c.write(typeBarrier, barrier, nil); err != nil {
		return fmt.Errorf("check a bundle: %w", c.cause(err))
	}
	if err := c.expect(ctx, barrier, typeBarrierReply, index); err != nil {
		if err := control(bundleDiscard); err != nil {
			return fmt.Errorf("discard a bundle: %w", c.cause(err))
		}
		if err := c.expect(ctx, id, typeBundleControl, nil); err != nil {
			return fmt.Errorf("discard a bundle: %w", c.cause(err))
		}
		return err
	}
	if err := control(bundleCommit); err != nil {
		return fmt.Errorf("commit a bundle: %w", c.cause(err))
	}
	return c.expect(ctx, id, typeBundleControl, index)
}

// expect waits for the reply of a kind to request id. Errors of messages in the bundle come before it.
func (c *Conn) expect(ctx context.Context, id uint32, kind uint8, index map[uint32]int) error {
	var refused error
	for {
		m, err := c.receive(ctx)
		if err != nil {
			return err
		}
		if m.kind == typeError && len(m.body) >= 4 {
			class, code := binary.BigEndian.Uint16(m.body), binary.BigEndian.Uint16(m.body[2:])
			if i, ours := index[m.xid]; ours {
				if refused == nil {
					refused = &Refused{Index: i, Type: class, Code: code}
				}
				continue // the commit's own failure follows
			}
			if m.xid == id {
				if refused == nil {
					refused = fmt.Errorf("the switch refused the bundle: %s", reason(class, code))
				}
				return refused
			}
			continue
		}
		if m.kind == kind && m.xid == id {
			return refused
		}
	}
}

// Entry is a flow as the switch has it.
type Entry struct {
	Table    uint8
	Priority uint16
	Cookie   uint64
	match    []byte // as the switch wrote it, padded
}

// Ours says whether the flow bears our mark.
func (e Entry) Ours() bool { return e.Cookie&markMask == uint64(Mark)<<56 }

// Dump reads all flows of the bridge.
func (c *Conn) Dump(ctx context.Context) ([]Entry, error) {
	c.send.Lock()
	defer c.send.Unlock()
	xid := c.next()
	b := []byte{0, multipartFlow, 0, 0, 0, 0, 0, 0}
	b = append(b, 0xff, 0, 0, 0) // all tables
	b = binary.BigEndian.AppendUint32(b, anyPort)
	b = binary.BigEndian.AppendUint32(b, anyPort)
	b = append(b, make([]byte, 4+8+8)...) // no cookie asked for
	b = Match{}.append(b)
	if err := c.write(typeMultipart, xid, b); err != nil {
		return nil, fmt.Errorf("ask for the flows: %w", c.cause(err))
	}
	var entries []Entry
	for {
		m, err := c.receive(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the flows: %w", err)
		}
		if m.xid != xid {
			continue
		}
		if m.kind == typeError {
			return nil, errors.New("the switch does not tell its flows")
		}
		if m.kind != typeMultipartReply {
			continue
		}
		more, err := parseFlows(m.body, &entries)
		if err != nil || !more {
			return entries, err
		}
	}
}

// parseFlows reads the body of a flow statistics reply.
func parseFlows(b []byte, entries *[]Entry) (more bool, err error) {
	if len(b) < 8 || binary.BigEndian.Uint16(b) != multipartFlow {
		return false, errors.New("the switch's answer is no flow statistics")
	}
	more = binary.BigEndian.Uint16(b[2:])&moreReplies != 0
	for b = b[8:]; len(b) > 0; {
		if len(b) < 56 {
			return false, errors.New("flow statistics are cut short")
		}
		length := int(binary.BigEndian.Uint16(b))
		matched := int(binary.BigEndian.Uint16(b[50:]))
		padded := (matched + 7) / 8 * 8
		if length < 56 || length > len(b) || matched < 4 || 48+padded > length {
			return false, fmt.Errorf("flow statistics with lengths %d and %d make no sense", length, matched)
		}
		*entries = append(*entries, Entry{
			Table:    b[2],
			Priority: binary.BigEndian.Uint16(b[12:]),
			Cookie:   binary.BigEndian.Uint64(b[24:]),
			match:    append([]byte(nil), b[48:48+padded]...),
		})
		b = b[length:]
	}
	return more, nil
}
