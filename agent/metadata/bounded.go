package metadata

import (
	"net"
	"net/netip"
	"sync"
)

// perAddress is how many connections one guest may hold open.
const perAddress = 32

// bounded is a listener that closes connections beyond its bounds at once, in all and for one
// address, so that slow guests can't keep others out.
type bounded struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[netip.Addr]int
	all  int
}

func newBounded(l net.Listener, most int) *bounded {
	return &bounded{Listener: l, most: most, open: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil || !b.take(from.Addr()) {
			c.Close()
			continue
		}
		return &counted{c, sync.OnceFunc(func() { b.release(from.Addr()) })}, nil
	}
}

func (b *bounded) take(from netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= b.most || b.open[from] >= perAddress {
		return false
	}
	b.all++
	b.open[from]++
	return true
}

func (b *bounded) release(from netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all--
	if b.open[from]--; b.open[from] <= 0 {
		delete(b.open, from)
	}
}

type counted struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}
