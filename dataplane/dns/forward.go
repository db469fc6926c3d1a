package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// ErrNoForwarder says that there is nobody to ask.
var ErrNoForwarder = errors.New("no resolver to forward to")

// ErrBusy says that too many questions are under way.
var ErrBusy = errors.New("too many questions under way")

const (
	forwardTimeout = 3 * time.Second
	cacheSize      = 4096
	cacheLongest   = 5 * time.Minute
)

// How many questions may be under way at once: of all networks, and of one, so that names which nobody answers for use up the
// share of those who ask for them only.
const (
	maxQuestions  = 2000
	networksShare = 100
)

// Forwarder asks other resolvers, out of the namespace of the process. One serves all networks. It is
// safe for concurrent use.
type Forwarder struct {
	servers []netip.AddrPort
	slots   chan struct{}

	mu    sync.Mutex
	cache map[string]cached
}

type cached struct {
	reply *dns.Msg
	born  time.Time
	until time.Time
}

// NewForwarder asks these resolvers in this order; with none every question is refused.
func NewForwarder(servers []netip.AddrPort) *Forwarder {
	return &Forwarder{servers: servers, slots: make(chan struct{}, maxQuestions), cache: map[string]cached{}}
}

// SystemServers reads the resolvers of a resolv.conf file.
func SystemServers(path string) ([]netip.AddrPort, error) {
	config, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var servers []netip.AddrPort
	for _, s := range config.Servers {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("read %s: nameserver %q: %w", path, s, err)
		}
		servers = append(servers, netip.AddrPortFrom(a, 53))
	}
	return servers, nil
}

// Ask gets an answer to the one question of q. It fails with ErrNoForwarder, ErrBusy, or the last
// resolver's failure. share has room for as many questions as may be under way for who asks.
func (f *Forwarder) Ask(ctx context.Context, q *dns.Msg, share chan struct{}) (*dns.Msg, error) {
	if len(f.servers) == 0 {
		return nil, ErrNoForwarder
	}
	key := cacheKey(q)
	if reply := f.remembered(key, time.Now()); reply != nil {
		reply.Id, reply.Question = q.Id, q.Question
		return reply, nil
	}
	for _, slots := range []chan struct{}{share, f.slots} {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			return nil, ErrBusy
		}
	}
	ask := new(dns.Msg)
	ask.SetQuestion(q.Question[0].Name, q.Question[0].Qtype)
	ask.Question[0].Qclass = q.Question[0].Qclass
	ask.CheckingDisabled = q.CheckingDisabled
	if opt := q.IsEdns0(); opt != nil {
		ask.SetEdns0(1232, opt.Do())
	}
	var last error
	for _, server := range f.servers {
		reply, err := exchange(ctx, ask, server)
		if err != nil {
			last = fmt.Errorf("ask %s: %w", server, err)
			continue
		}
		if reply.Rcode == dns.RcodeServerFailure || reply.Rcode == dns.RcodeRefused {
			last = fmt.Errorf("ask %s: %s", server, dns.RcodeToString[reply.Rcode])
			continue
		}
		f.remember(key, reply, time.Now())
		reply = reply.Copy()
		reply.Id, reply.Question = q.Id, q.Question
		return reply, nil
	}
	return nil, last
}

// exchange asks by UDP, and by TCP when the reply did not fit.
func exchange(ctx context.Context, ask *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	udp := dns.Client{Net: "udp", Timeout: forwardTimeout, UDPSize: 1232}
	reply, _, err := udp.ExchangeContext(ctx, ask, server.String())
	if err == nil && reply.Truncated {
		tcp := dns.Client{Net: "tcp", Timeout: forwardTimeout}
		reply, _, err = tcp.ExchangeContext(ctx, ask, server.String())
	}
	if err != nil {
		return nil, err
	}
	q := ask.Question[0]
	if len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, q.Name) || reply.Question[0].Qtype != q.Qtype {
		return nil, errors.New("the reply is to another question")
	}
	return reply, nil
}

func cacheKey(q *dns.Msg) string {
	opt := q.IsEdns0()
	return fmt.Sprint(strings.ToLower(q.Question[0].Name), " ", q.Question[0].Qtype, " ", q.Question[0].Qclass,
		" ", opt != nil, opt != nil && opt.Do(), q.CheckingDisabled)
}

// remembered gives a copy of a reply with what is left of its times to live; nil when there is none.
func (f *Forwarder) remembered(key string, now time.Time) *dns.Msg {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.cache[key]
	if !ok {
		return nil
	}
	if !now.Before(c.until) {
		delete(f.cache, key)
		return nil
	}
	reply, age := c.reply.Copy(), uint32(now.Sub(c.born)/time.Second)
	each(reply, func(h *dns.RR_Header) { h.Ttl -= min(age, h.Ttl) })
	return reply
}

func (f *Forwarder) remember(key string, reply *dns.Msg, now time.Time) {
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError || reply.Truncated {
		return
	}
	life := cacheLongest
	records := 0
	each(reply, func(h *dns.RR_Header) {
		life = min(life, time.Duration(h.Ttl)*time.Second)
		records++
	})
	if records == 0 || life <= 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for old := range f.cache { // any one: the cache is small and its entries are short-lived
		if len(f.cache) < cacheSize {
			break
		}
		delete(f.cache, old)
	}
	f.cache[key] = cached{reply.Copy(), now, now.Add(life)}
}

func each(m *dns.Msg, f func(*dns.RR_Header)) {
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype != dns.TypeOPT {
				f(rr.Header())
			}
		}
	}
}
