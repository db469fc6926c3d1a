package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	tries     = 3                      // for each size
	tryFor    = 500 * time.Millisecond // one try
	smallSize = 64
)

// reach sends each peer an echo request of the size of the largest tunnel packet that must not be fragmented, and to
// those that don't answer a small one, so that a path with too small an MTU is told from none. The errors are by host;
// nil: it answers.
func reach(ctx context.Context, from netip.Addr, peers []peer, size int) map[string]error {
	out := map[string]error{}
	if len(peers) == 0 {
		return out
	}
	e, err := openEcho(ctx, from)
	if err != nil {
		for _, p := range peers {
			out[p.host] = err
		}
		return out
	}
	defer e.close()
	silent := e.ask(ctx, peers, size, out)
	small := map[string]error{}
	deaf := e.ask(ctx, silent, smallSize, small)
	for _, p := range silent {
		if out[p.host] == nil {
			out[p.host] = fmt.Errorf("%s answers, but not to tunnel packets of %d bytes: the MTU on the way is too small", p.ip, size)
		}
	}
	for _, p := range deaf {
		out[p.host] = fmt.Errorf("%s does not answer: %w", p.ip, errSilent)
		if small[p.host] != nil {
			out[p.host] = small[p.host]
		}
	}
	return out
}

var errSilent = errors.New("no answer to echo requests")

// echo is a socket for echo requests that are never fragmented.
type echo struct {
	conn    net.PacketConn
	v6      bool
	id, seq uint16
}

func openEcho(ctx context.Context, from netip.Addr) (*echo, error) {
	e := &echo{v6: from.Is6(), id: uint16(rand.Uint32())}
	network := "ip4:icmp"
	if e.v6 {
		network = "ip6:ipv6-icmp"
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var result error
		err := raw.Control(func(fd uintptr) {
			if e.v6 {
				result = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE),
					unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1))
				return
			}
			result = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		})
		return errors.Join(err, result)
	}}
	var err error
	if e.conn, err = lc.ListenPacket(ctx, network, from.String()); err != nil {
		return nil, fmt.Errorf("open a socket for echo requests on %s: %w", from, err)
	}
	return e, nil
}

func (e *echo) close() { _ = e.conn.Close() }

// ask asks all peers and gives those that don't answer; of those that could not be asked why.
func (e *echo) ask(ctx context.Context, peers []peer, size int, failed map[string]error) (silent []peer) {
	waiting := map[uint16]peer{}
	silent = peers
	for try := 0; try < tries && len(silent) > 0 && ctx.Err() == nil; try++ {
		clear(waiting)
		for _, p := range silent {
			e.seq++
			waiting[e.seq] = p
			delete(failed, p.host)
			if err := e.send(p, size); err != nil {
				failed[p.host] = fmt.Errorf("send %d bytes to %s: %w", size, p.ip, err)
			}
		}
		e.collect(waiting)
		silent = nil
		for _, p := range waiting {
			silent = append(silent, p)
		}
	}
	for _, p := range peers {
		if _, is := failed[p.host]; !is {
			failed[p.host] = nil
		}
	}
	return silent
}

func (e *echo) send(p peer, size int) error {
	kind, header := icmp.Type(ipv4.ICMPTypeEcho), 20
	if e.v6 {
		kind, header = ipv6.ICMPTypeEchoRequest, 40
	}
	m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: int(e.id), Seq: int(e.seq), Data: make([]byte, size-header-8)}}
	b, err := m.Marshal(nil) // of ICMPv6 the kernel makes the checksum
	if err != nil {
		return err
	}
	_, err = e.conn.WriteTo(b, &net.IPAddr{IP: p.ip.AsSlice(), Zone: p.ip.Zone()})
	return err
}

// collect takes answers for one try's time, and removes who answers.
func (e *echo) collect(waiting map[uint16]peer) {
	if err := e.conn.SetReadDeadline(time.Now().Add(tryFor)); err != nil {
		return
	}
	buffer := make([]byte, 65536)
	for len(waiting) > 0 {
		n, from, err := e.conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 8 {
			continue // such as "message too long" from a router on the way
		}
		reply := buffer[0] == byte(ipv4.ICMPTypeEchoReply)
		if e.v6 {
			reply = buffer[0] == byte(ipv6.ICMPTypeEchoReply)
		}
		seq := binary.BigEndian.Uint16(buffer[6:])
		p, asked := waiting[seq]
		if !reply || !asked || binary.BigEndian.Uint16(buffer[4:]) != e.id {
			continue
		}
		if ip, ok := from.(*net.IPAddr); ok && ip.IP.Equal(p.ip.AsSlice()) {
			delete(waiting, seq)
		}
	}
}
