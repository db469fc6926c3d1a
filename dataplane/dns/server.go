package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

const (
	clientRate  = 50  // questions a second of one client
	clientBurst = 200 // at once
	maxClients  = 4096
	maxTCP      = 64 // connections of one network
)

// Server answers the clients of one network. Its zone may be exchanged at any time.
type Server struct {
	Counts struct{ Own, Forwarded, Failed, Refused, Dropped atomic.Uint64 }

	zone    atomic.Pointer[Zone]
	forward *Forwarder
	share   chan struct{} // questions that others are asked
	log     *slog.Logger
	logs    *rate.Limiter
	servers []*dns.Server
	running sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	clients map[netip.Addr]*rate.Limiter
}

// Listen opens UDP and TCP sockets on these addresses (IPv6 link-local with a zone) in the calling
// thread's network namespace, where they stay, and starts to answer. The addresses need not be there
// yet. Close ends it.
func Listen(addrs []netip.AddrPort, zone *Zone, forward *Forwarder, log *slog.Logger) (*Server, error) {
	s := &Server{forward: forward, share: make(chan struct{}, networksShare), log: log, logs: rate.NewLimiter(1, 20), clients: map[netip.Addr]*rate.Limiter{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.zone.Store(zone)
	lc := net.ListenConfig{Control: freebind}
	for _, a := range addrs {
		udp, err := lc.ListenPacket(s.ctx, "udp", a.String())
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("bind UDP %s: %w", a, err)
		}
		s.start(&dns.Server{PacketConn: udp})
		tcp, err := lc.Listen(s.ctx, "tcp", a.String())
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("bind TCP %s: %w", a, err)
		}
		s.start(&dns.Server{Listener: &limited{Listener: tcp, slots: make(chan struct{}, maxTCP)}, MaxTCPQueries: 100})
	}
	return s, nil
}

func (s *Server) start(server *dns.Server) {
	server.Handler = dns.HandlerFunc(s.handle)
	server.ReadTimeout, server.WriteTimeout = 5*time.Second, 5*time.Second
	server.IdleTimeout = func() time.Duration { return 10 * time.Second }
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	s.servers = append(s.servers, server)
	failed := make(chan struct{})
	s.running.Go(func() {
		defer close(failed)
		if err := server.ActivateAndServe(); err != nil && s.ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
			s.log.Error("DNS ends", "error", err)
		}
	})
	select {
	case <-started:
	case <-failed:
	}
}

// SetZone exchanges the zone.
func (s *Server) SetZone(z *Zone) { s.zone.Store(z) }

// Close ends the service.
func (s *Server) Close() {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, server := range s.servers {
		if err := server.ShutdownContext(ctx); err != nil {
			s.log.Debug("DNS shutdown", "error", err)
		}
	}
	s.running.Wait()
}

func (s *Server) handle(w dns.ResponseWriter, q *dns.Msg) {
	from, err := netip.ParseAddrPort(w.RemoteAddr().String())
	zone := s.zone.Load()
	if err != nil || !zone.Allows(from.Addr()) || !s.allow(from.Addr()) {
		s.Counts.Dropped.Add(1) // not a word to strangers, nor to who asks too much
		return
	}
	reply := s.answer(zone, q)
	if w.RemoteAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = min(max(int(opt.UDPSize()), dns.MinMsgSize), 1232)
		}
		reply.Truncate(size)
	}
	if err := w.WriteMsg(reply); err != nil && s.logs.Allow() {
		s.log.Debug("DNS reply not sent", "client", from.Addr(), "error", err)
	}
}

// answer finds the reply to a message, whatever it holds.
func (s *Server) answer(zone *Zone, q *dns.Msg) *dns.Msg {
	fail := func(rcode int) *dns.Msg {
		m := new(dns.Msg)
		m.SetRcode(q, rcode)
		m.RecursionAvailable = true
		return m
	}
	switch {
	case q.Opcode != dns.OpcodeQuery:
		s.Counts.Refused.Add(1)
		return fail(dns.RcodeNotImplemented)
	case len(q.Question) != 1:
		s.Counts.Refused.Add(1)
		return fail(dns.RcodeFormatError)
	case q.Question[0].Qclass != dns.ClassINET, q.Question[0].Qtype == dns.TypeAXFR, q.Question[0].Qtype == dns.TypeIXFR:
		s.Counts.Refused.Add(1)
		return fail(dns.RcodeRefused)
	}
	if reply, ours := zone.Answer(q); ours {
		s.Counts.Own.Add(1)
		return reply
	}
	if !q.RecursionDesired {
		s.Counts.Refused.Add(1)
		return fail(dns.RcodeRefused)
	}
	reply, err := s.forward.Ask(s.ctx, q, s.share)
	if err == nil {
		s.Counts.Forwarded.Add(1)
		reply.RecursionAvailable = true
		return reply
	}
	if s.logs.Allow() {
		s.log.Warn("DNS question not answered", "name", q.Question[0].Name, "error", err)
	}
	if errors.Is(err, ErrNoForwarder) {
		s.Counts.Refused.Add(1)
		return fail(dns.RcodeRefused)
	}
	s.Counts.Failed.Add(1)
	return fail(dns.RcodeServerFailure)
}

// allow bounds the rate of one client.
func (s *Server) allow(client netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.clients[client]
	if l == nil {
		if len(s.clients) >= maxClients {
			clear(s.clients) // forged sources: start afresh rather than grow
		}
		l = rate.NewLimiter(clientRate, clientBurst)
		s.clients[client] = l
	}
	return l.Allow()
}

// freebind lets a socket be bound before its address is on the interface.
func freebind(network, _ string, raw syscall.RawConn) error {
	var result error
	err := raw.Control(func(fd uintptr) {
		if network == "udp6" || network == "tcp6" {
			result = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
		} else {
			result = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
		}
	})
	return errors.Join(err, result)
}

// limited is a listener with a bound on open connections: one too many is closed at once.
type limited struct {
	net.Listener
	slots chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &slotted{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			c.Close()
		}
	}
}

type slotted struct {
	net.Conn
	release func()
}

func (c *slotted) Close() error {
	defer c.release()
	return c.Conn.Close()
}
