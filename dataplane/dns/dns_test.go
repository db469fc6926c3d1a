package dns

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func zone(clients ...string) *Zone {
	z := &Zone{
		Domain: "openstacklocal",
		Hosts:  map[string][]netip.Addr{"vm": {netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5")}},
		Names:  map[netip.Addr]string{netip.MustParseAddr("10.0.0.5"): "vm", netip.MustParseAddr("2001:db8::5"): "vm"},
	}
	for _, c := range append(clients, "10.0.0.0/24", "2001:db8::/64") {
		z.Clients = append(z.Clients, netip.MustParsePrefix(c))
	}
	return z
}

func TestZone(t *testing.T) {
	ptr6, err := dns.ReverseAddr("2001:db8::5")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		kind  uint16
		ours  bool
		rcode int
		want  string // last field of the answers
	}{
		{"vm.openstacklocal.", dns.TypeA, true, 0, "10.0.0.5"},
		{"VM.OpenStackLocal.", dns.TypeAAAA, true, 0, "2001:db8::5"},
		{"vm.", dns.TypeA, true, 0, "10.0.0.5"},
		{"vm.openstacklocal.", dns.TypeMX, true, 0, ""},
		{"no.openstacklocal.", dns.TypeA, true, dns.RcodeNameError, ""},
		{"openstacklocal.", dns.TypeA, true, 0, ""},
		{"5.0.0.10.in-addr.arpa.", dns.TypePTR, true, 0, "vm.openstacklocal."},
		{ptr6, dns.TypePTR, true, 0, "vm.openstacklocal."},
		{"6.0.0.10.in-addr.arpa.", dns.TypePTR, true, dns.RcodeNameError, ""},
		{"8.8.8.8.in-addr.arpa.", dns.TypePTR, false, 0, ""},
		{"example.org.", dns.TypeA, false, 0, ""},
		{"org.", dns.TypeNS, false, 0, ""},
		{".", dns.TypeNS, false, 0, ""},
		{"xopenstacklocal.", dns.TypeA, false, 0, ""},
	} {
		q := new(dns.Msg)
		q.SetQuestion(c.name, c.kind)
		reply, ours := zone().Answer(q)
		if ours != c.ours {
			t.Errorf("%s: ours is %v", c.name, ours)
			continue
		}
		if !ours {
			continue
		}
		var got []string
		for _, rr := range reply.Answer {
			f := strings.Fields(rr.String())
			got = append(got, f[len(f)-1])
		}
		if reply.Rcode != c.rcode || strings.Join(got, " ") != c.want {
			t.Errorf("%s %s: %s %v", c.name, dns.TypeToString[c.kind], dns.RcodeToString[reply.Rcode], got)
		}
	}
}

// upstream is a resolver that knows one name and counts the questions.
func upstream(t *testing.T) (netip.AddrPort, *atomic.Int32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Int32)
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		asked.Add(1)
		m := new(dns.Msg)
		m.SetReply(q)
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 100}, A: net.IPv4(192, 0, 2, 1)})
		_ = w.WriteMsg(m)
	})}
	started := make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	go func() { _ = s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = s.Shutdown() })
	return netip.MustParseAddrPort(conn.LocalAddr().String()), asked
}

func free(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestServer(t *testing.T) {
	up, asked := upstream(t)
	var at netip.AddrPort
	var s *Server
	var err error
	for range 50 { // some ports are free over one of TCP and UDP only
		at = free(t)
		if s, err = Listen([]netip.AddrPort{at}, zone("127.0.0.0/8"), NewForwarder([]netip.AddrPort{up}), slog.New(slog.DiscardHandler)); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	patience := 20 * time.Second
	ask := func(transport, name string) *dns.Msg {
		q := new(dns.Msg)
		q.SetQuestion(name, dns.TypeA)
		c := dns.Client{Net: transport, Timeout: patience}
		reply, _, err := c.Exchange(q, at.String())
		if err != nil {
			return nil
		}
		return reply
	}
	for _, transport := range []string{"udp", "tcp"} {
		if r := ask(transport, "vm.openstacklocal."); r == nil || len(r.Answer) != 1 {
			t.Errorf("own name by %s: %v", transport, r)
		}
		if r := ask(transport, "example.org."); r == nil || len(r.Answer) != 1 {
			t.Errorf("other name by %s: %v", transport, r)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the resolver was asked %d times: nothing is remembered", asked.Load())
	}
	s.SetZone(zone()) // 127.0.0.1 is a stranger now
	patience = time.Second
	if r := ask("udp", "vm.openstacklocal."); r != nil {
		t.Errorf("a stranger got %v", r)
	}
}

// A network whose guests ask for names that nobody answers for keeps no other one from its answers.
func TestNetworksShareTheForwarder(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const guests = 20
	waiting := make(chan struct{}, guests*clientBurst)
	go func() { // a resolver that knows one name, and is silent about others
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			q, m := new(dns.Msg), new(dns.Msg)
			if q.Unpack(buffer[:n]) != nil {
				continue
			}
			if q.Question[0].Name != "good." {
				waiting <- struct{}{}
				continue
			}
			m.SetReply(q)
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: "good.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 100}, A: net.IPv4(192, 0, 2, 1)})
			if b, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(b, from)
			}
		}
	}()
	f := NewForwarder([]netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())})
	network := func() (netip.AddrPort, *Server) {
		at := free(t)
		s, err := Listen([]netip.AddrPort{at}, zone("127.0.0.0/8"), f, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return at, s
	}
	busy, server := network()
	calm, _ := network()
	for guest := range guests {
		from := &net.UDPAddr{IP: net.IPv4(127, 0, 1, byte(guest))}
		c, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(busy))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		q := new(dns.Msg)
		q.SetQuestion("bad.", dns.TypeA)
		b, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	for server.Counts.Failed.Load() == 0 { // one too many
		time.Sleep(time.Millisecond)
	}
	q := new(dns.Msg)
	q.SetQuestion("good.", dns.TypeA)
	c := dns.Client{Timeout: 2 * time.Second}
	reply, _, err := c.Exchange(q, calm.String())
	if err != nil || reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 1 {
		t.Errorf("another network is told %v (%v) while %d questions are under way", reply, err, len(waiting))
	}
}

func TestForwarderFails(t *testing.T) {
	q := new(dns.Msg)
	q.SetQuestion("example.org.", dns.TypeA)
	if _, err := NewForwarder(nil).Ask(t.Context(), q, make(chan struct{}, 1)); !errors.Is(err, ErrNoForwarder) {
		t.Error(err)
	}
	up, _ := upstream(t)
	f := NewForwarder([]netip.AddrPort{free(t), up}) // the first one is dead
	if r, err := f.Ask(t.Context(), q, make(chan struct{}, 1)); err != nil || r.Id != q.Id {
		t.Error(r, err)
	}
	f.remember("k", reply(100), time.Unix(0, 0))
	if r := f.remembered("k", time.Unix(60, 0)); r == nil || r.Answer[0].Header().Ttl != 40 {
		t.Errorf("after a minute: %v", r)
	}
	if r := f.remembered("k", time.Unix(101, 0)); r != nil {
		t.Errorf("after its life: %v", r)
	}
}

func reply(ttl uint32) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion("x.", dns.TypeA)
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "x.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: net.IPv4(1, 2, 3, 4)}}
	return m
}

func FuzzAnswer(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion("5.0.0.10.in-addr.arpa.", dns.TypePTR)
	seed, err := q.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := new(dns.Msg)
		if m.Unpack(packet) != nil || len(m.Question) != 1 {
			return
		}
		if r, ours := zone().Answer(m); ours && r.Id != m.Id {
			t.Error("reply to another question")
		}
	})
}
