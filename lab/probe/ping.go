package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Tally is what became of a series of pings.
type Tally struct {
	Sent     int           `json:"sent"`
	Answered int           `json:"answered"`
	Lost     []int         `json:"lost,omitempty"`   // which, from 0
	Failed   int           `json:"failed,omitempty"` // could not even be sent; they count as sent and lost
	Silence  time.Duration `json:"silence"`          // longest time without an answer, in nanoseconds
}

// late is how long after the last question an answer still counts: a busy machine may take its time.
const late = 2 * time.Second

// Ping asks every so often until ctx ends, waits for what is late, and writes the Tally as JSON. It
// writes "pinging" first.
func Ping(ctx context.Context, w io.Writer, to string, every time.Duration) error {
	addr, err := netip.ParseAddr(to)
	if err != nil {
		return err
	}
	if every < time.Millisecond {
		return errors.New("ping at most once a millisecond")
	}
	s := &series{id: os.Getpid() & 0xffff, to: &net.IPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}, ask: ipv4.ICMPTypeEcho, reply: ipv4.ICMPTypeEchoReply, protocol: 1}
	network, local := "ip4:icmp", "0.0.0.0"
	if addr.Is6() {
		network, local = "ip6:ipv6-icmp", "::"
		s.ask, s.reply, s.protocol = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58
	}
	if s.conn, err = icmp.ListenPacket(network, local); err != nil {
		return fmt.Errorf("open a socket for ICMP: %w", err)
	}
	defer s.conn.Close()
	fmt.Fprintln(w, "pinging")
	s.last = time.Now()
	go s.listen()
	s.send(ctx, every)
	end := time.Now()
	for !s.whole() && time.Since(end) < late {
		time.Sleep(20 * time.Millisecond)
	}
	return json.NewEncoder(w).Encode(s.tally(end))
}

// series is a ping at work.
type series struct {
	conn       *icmp.PacketConn
	to         *net.IPAddr
	id         int
	ask, reply icmp.Type
	protocol   int

	mu       sync.Mutex
	answered []bool // by number
	failed   int
	last     time.Time // of the last answer, or the start
	silence  time.Duration
}

func (s *series) send(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.mu.Lock()
		number := len(s.answered)
		s.answered = append(s.answered, false)
		s.mu.Unlock()
		// Numbers go round after 65536; the body has the whole.
		m := icmp.Message{Type: s.ask, Body: &icmp.Echo{ID: s.id, Seq: number & 0xffff, Data: []byte(fmt.Sprintf("neutrino %d", number))}}
		data, err := m.Marshal(nil)
		if err == nil {
			_, err = s.conn.WriteTo(data, s.to)
		}
		if err != nil {
			s.mu.Lock()
			s.failed++
			s.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// listen notes answers until the socket is closed.
func (s *series) listen() {
	buf := make([]byte, 1500)
	for {
		n, _, err := s.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		m, err := icmp.ParseMessage(s.protocol, buf[:n])
		if err != nil || m.Type != s.reply {
			continue
		}
		echo, ok := m.Body.(*icmp.Echo)
		var number int
		if !ok || echo.ID != s.id {
			continue
		}
		if _, err := fmt.Sscanf(string(echo.Data), "neutrino %d", &number); err != nil {
			continue
		}
		s.mu.Lock()
		if number >= 0 && number < len(s.answered) && !s.answered[number] {
			s.answered[number] = true
			s.silence = max(s.silence, time.Since(s.last))
			s.last = time.Now()
		}
		s.mu.Unlock()
	}
}

// whole says whether all questions are answered.
func (s *series) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.Contains(s.answered, false)
}

// tally is what became of questions of which the last was asked at end.
func (s *series) tally(end time.Time) Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := Tally{Sent: len(s.answered), Failed: s.failed, Silence: max(s.silence, end.Sub(s.last))}
	for number, ok := range s.answered {
		if ok {
			t.Answered++
		} else {
			t.Lost = append(t.Lost, number)
		}
	}
	return t
}
