package ra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/time/rate"

	"neutrino/address"
	"neutrino/dataplane/netns"
)

// The timing (RFC 4861, 6.2.1 and 10).
const (
	minInterval     = 30 * time.Second
	maxInterval     = 100 * time.Second
	initialInterval = 16 * time.Second
	initialCount    = 3
	multicastGap    = 3 * time.Second // between two advertisements to all
	finalCount      = 3
	finalGap        = 100 * time.Millisecond // after each of the last ones

	// Lifetime is for how long hosts keep a router that they no longer hear of.
	Lifetime = 3 * maxInterval
)

var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)

// Sender advertises on one device.
type Sender struct {
	conn  net.PacketConn
	p     *ipv6.PacketConn
	ifi   *net.Interface
	from  netip.Addr
	log   *slog.Logger
	limit *rate.Limiter // of answers to single hosts

	mu   sync.Mutex
	adv  Advertisement
	kick chan struct{} // an advertisement to all is due

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	ended  chan struct{} // closed when reading has ended
}

// Start opens a raw socket on a device inside a namespace and begins to advertise, from the
// link-local address that is made from the MAC: the one by which hosts will know the router.
func Start(namespace, device string, mac address.MAC, a Advertisement, log *slog.Logger) (*Sender, error) {
	conn, err := netns.ListenPacket(context.Background(), namespace, "ip6:ipv6-icmp", "::", netns.Socket{Device: device})
	if err != nil {
		return nil, err
	}
	s := &Sender{
		conn: conn, p: ipv6.NewPacketConn(conn), from: mac.LinkLocal(), log: log.With("namespace", namespace, "device", device),
		limit: rate.NewLimiter(100, 200), adv: a, kick: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if err := s.prepare(namespace, device); err != nil {
		conn.Close()
		return nil, fmt.Errorf("advertise on %s in %s: %w", device, namespace, err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.done.Go(s.send)
	s.done.Go(s.read)
	return s, nil
}

func (s *Sender) prepare(namespace, device string) error {
	err := netns.Do(namespace, func() (err error) {
		s.ifi, err = net.InterfaceByName(device)
		return err
	})
	if err != nil {
		return err
	}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	return errors.Join(
		s.p.SetICMPFilter(&filter),
		s.p.SetControlMessage(ipv6.FlagHopLimit, true),
		s.p.SetMulticastLoopback(false),
		s.p.JoinGroup(s.ifi, &net.UDPAddr{IP: allRouters.AsSlice()}),
	)
}

// Set changes what is advertised, and tells it to all soon when it differs.
func (s *Sender) Set(a Advertisement) {
	s.mu.Lock()
	same := reflect.DeepEqual(a, s.adv)
	s.adv = a
	s.mu.Unlock()
	if !same {
		s.poke()
	}
}

// Done is closed when the sender can't go on: its device is gone, or it was ended.
func (s *Sender) Done() <-chan struct{} { return s.ended }

// Close ends the sender without a word, so that hosts keep the router.
func (s *Sender) Close() {
	s.cancel()
	s.conn.Close()
	s.done.Wait()
}

// Retire tells all hosts that this is no router any more, and ends the sender. It says so several times and takes its
// time: who calls takes the port away next, and what a busy switch has not read by then is lost.
func (s *Sender) Retire() {
	s.mu.Lock()
	last := s.adv
	s.mu.Unlock()
	last.Lifetime, last.DNSLife = 0, 0
	for range finalCount {
		if err := s.write(&last, allNodes); err != nil {
			s.log.Debug("a last router advertisement was not sent", "error", err)
		}
		time.Sleep(finalGap)
	}
	s.Close()
}

func (s *Sender) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// send advertises to all: three times soon, then at random intervals, and when kicked; never faster
// than the gap.
func (s *Sender) send() {
	for sent := 1; ; sent++ {
		s.advertise(allNodes)
		last := time.Now()
		wait := minInterval + rand.N(maxInterval-minInterval)
		if sent < initialCount {
			wait = min(wait, initialInterval)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(wait):
		case <-s.kick:
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(time.Until(last.Add(multicastGap))):
			}
		}
	}
}

// read answers solicitations: a host that has an address by itself, others together.
func (s *Sender) read() {
	defer close(s.ended)
	buffer := make([]byte, 2048)
	for {
		n, control, peer, err := s.p.ReadFrom(buffer)
		if err != nil {
			if s.ctx.Err() == nil {
				s.log.Error("router solicitations are not read any more", "error", err)
			}
			return
		}
		ip, ok := peer.(*net.IPAddr)
		if !ok || control == nil || control.HopLimit != 255 {
			continue // not from this link
		}
		from, ok := netip.AddrFromSlice(ip.IP)
		if !ok {
			continue
		}
		if err := parseSolicitation(buffer[:n], from); err != nil {
			s.log.Debug("bad router solicitation", "from", from, "error", err)
			continue
		}
		switch {
		case from.IsUnspecified():
			s.poke()
		case s.limit.Allow():
			s.advertise(from)
		}
	}
}

func (s *Sender) advertise(to netip.Addr) {
	s.mu.Lock()
	a := s.adv
	s.mu.Unlock()
	if err := s.write(&a, to); err != nil && s.ctx.Err() == nil {
		s.log.Warn("router advertisement not sent", "to", to, "error", err)
	}
}

func (s *Sender) write(a *Advertisement, to netip.Addr) error {
	control := &ipv6.ControlMessage{HopLimit: 255, Src: s.from.AsSlice(), IfIndex: s.ifi.Index}
	_, err := s.p.WriteTo(a.Bytes(), control, &net.IPAddr{IP: to.AsSlice()})
	return err
}
