package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Flows are connections to a listener that answers with one's own words over TCP and UDP at one port (Listen).
type Flows struct {
	Address string        // HOST:PORT
	Every   time.Duration // how often a new one of each kind begins, and the old ones say something
	Late    time.Duration // how long an answer may take; what comes after that is lost
}

// FlowTally is what became of flows: begun anew, and kept from the beginning. A question is a connection that is made, says
// something and hears it, or one message of those that are kept.
type FlowTally struct {
	NewTCP  Answers `json:"new_tcp"`
	NewUDP  Answers `json:"new_udp"`
	KeptTCP Answers `json:"kept_tcp"`
	KeptUDP Answers `json:"kept_udp"`
}

// Answers count questions.
type Answers struct {
	Asked int      `json:"asked"`
	Lost  int      `json:"lost"`
	Why   []string `json:"why,omitempty"` // of the first that were lost
}

// Any says whether anything was lost, or nothing was asked.
func (t FlowTally) Any() bool {
	for _, a := range []Answers{t.NewTCP, t.NewUDP, t.KeptTCP, t.KeptUDP} {
		if a.Lost > 0 || a.Asked == 0 {
			return true
		}
	}
	return false
}

// flowing is a run of Flows.
type flowing struct {
	Flows
	began time.Time
	mu    sync.Mutex
	tally FlowTally
	wait  sync.WaitGroup
}

// listening is how long the listener may take to be there.
const listening = 10 * time.Second

// Run begins flows until ctx ends, and gives the tally when all is answered or lost. It writes "flowing" once the kept ones
// are there; that they are not within ten seconds is an error.
func (f Flows) Run(ctx context.Context, w io.Writer) (FlowTally, error) {
	r := &flowing{Flows: f}
	tcp, err := r.first(ctx, "tcp")
	if err != nil {
		return r.tally, err
	}
	defer func() { _ = tcp.Close() }()
	udp, err := r.first(ctx, "udp")
	if err != nil {
		return r.tally, err
	}
	defer func() { _ = udp.Close() }()
	r.began = time.Now()
	fmt.Fprintln(w, "flowing")
	r.repeat(ctx, true, func(n int) error { return r.over(tcp, n) }, &r.tally.KeptTCP)
	r.repeat(ctx, true, func(n int) error { return r.over(udp, n) }, &r.tally.KeptUDP)
	r.repeat(ctx, false, r.newTCP, &r.tally.NewTCP)
	r.repeat(ctx, false, r.newUDP, &r.tally.NewUDP)
	r.wait.Wait()
	return r.tally, nil
}

// first is a connection that has been answered: nothing that comes later is lost because the listener was not there yet.
func (r *flowing) first(ctx context.Context, network string) (net.Conn, error) {
	deadline := time.Now().Add(listening)
	for {
		c, err := net.DialTimeout(network, r.Address, r.Late)
		if err == nil {
			if err = r.over(c, -1); err == nil {
				return c, nil
			}
			_ = c.Close()
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return nil, fmt.Errorf("nobody answers: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// repeat asks again and again, one question after the other or not.
func (r *flowing) repeat(ctx context.Context, inTurn bool, ask func(n int) error, into *Answers) {
	one := func(n int) {
		at := time.Since(r.began)
		err := ask(n)
		r.mu.Lock()
		defer r.mu.Unlock()
		into.Asked++
		if err != nil {
			if into.Lost++; into.Lost <= 5 {
				into.Why = append(into.Why, fmt.Sprintf("after %s: %v", at.Round(time.Millisecond), err))
			}
		}
	}
	r.wait.Go(func() {
		tick := time.NewTicker(r.Every)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			if inTurn {
				one(n)
			} else {
				r.wait.Go(func() { one(n) })
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
}

// over says something over a connection and hears it. Answers to older questions are passed over.
func (r *flowing) over(c net.Conn, n int) error {
	text := fmt.Sprintf("neutrino %012d\n", n)
	if err := c.SetDeadline(time.Now().Add(r.Late)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	buf := make([]byte, len(text))
	for {
		if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
		if string(buf) == text {
			return nil
		}
	}
}

// newTCP makes a connection. One whose first packet had to be sent again counts as lost.
func (r *flowing) newTCP(n int) error {
	c, err := net.DialTimeout("tcp", r.Address, r.Late)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var info *unix.TCPInfo
	var infoErr error
	if err := raw.Control(func(fd uintptr) { info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); err != nil || infoErr != nil {
		return errors.Join(err, infoErr)
	}
	if info.Total_retrans > 0 {
		return fmt.Errorf("the first packet was sent %d times more", info.Total_retrans)
	}
	return r.over(c, n)
}

// newUDP asks once from a port of its own.
func (r *flowing) newUDP(n int) error {
	c, err := net.Dial("udp", r.Address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return r.over(c, n)
}

// PrintFlows runs flows and writes the tally as JSON; it fails when anything was lost.
func PrintFlows(ctx context.Context, w io.Writer, f Flows) error {
	t, err := f.Run(ctx, w)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(w).Encode(t); err != nil {
		return err
	}
	if t.Any() {
		return errors.New("flows were lost")
	}
	return nil
}
