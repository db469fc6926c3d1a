package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"neutrino/lab/probe"
)

// Probe runs the lab's own prober (`neutrino lab probe …`) on a node or inside of an instance.
func (l *Lab) Probe(where string, args ...string) (string, error) {
	return l.Output(where, probeLine(args...)...)
}

func probeLine(args ...string) []string { return append([]string{self, "lab", "probe"}, args...) }

// background is a command that goes on until it ends or is stopped.
type background struct {
	stop      context.CancelFunc
	ended     chan struct{} // closed when it ended; the rest may be read then
	exit      int
	err       error
	said      bytes.Buffer // after the first line
	complaint bytes.Buffer
}

// begin starts a command and waits until it writes the line that says that it is at work.
func (l *Lab) begin(where, line string, argv ...string) (*background, error) {
	ctx, stop := context.WithCancel(context.Background())
	b := &background{stop: stop, ended: make(chan struct{})}
	r, w := io.Pipe()
	working := make(chan bool, 1)
	var copied sync.WaitGroup
	copied.Go(func() {
		out := bufio.NewReader(r)
		first, err := out.ReadString('\n')
		working <- err == nil && first == line+"\n"
		io.Copy(&b.said, out) // ends when w is closed
	})
	go func() {
		b.exit, b.err = l.RunContext(ctx, Command{Where: where, Argv: argv, Out: w, Err: &b.complaint})
		w.Close()
		copied.Wait()
		close(b.ended)
	}()
	if <-working {
		return b, nil
	}
	stop()
	<-b.ended
	return nil, fmt.Errorf("%s on %s did not begin: %s %w", strings.Join(argv, " "), where, strings.TrimSpace(b.complaint.String()), b.err)
}

// Pinging is a ping that goes on while things happen.
type Pinging struct{ b *background }

// StartPing pings ten times a second from a node or an instance until Stop is called.
func (l *Lab) StartPing(from, to string) (*Pinging, error) {
	b, err := l.begin(from, "pinging", probeLine("ping", to)...)
	if err != nil {
		return nil, err
	}
	return &Pinging{b}, nil
}

// Stop ends the ping and tells what became of it. Where the instance has ended before, that is an error.
func (p *Pinging) Stop() (probe.Tally, error) {
	var t probe.Tally
	select {
	case <-p.b.ended:
		return t, fmt.Errorf("the ping ended by itself: %s %w", strings.TrimSpace(p.b.complaint.String()), p.b.err)
	default:
	}
	p.b.stop()
	<-p.b.ended
	if err := json.Unmarshal(p.b.said.Bytes(), &t); err != nil {
		return t, fmt.Errorf("the ping's tally %q: %w", p.b.said.String(), err)
	}
	return t, nil
}

// Listen answers all who come to a port ("tcp" or "udp") of a node or an instance, until stop is called.
func (l *Lab) Listen(where, protocol, port string) (stop func(), err error) {
	return l.keep(where, "listening", "listen", protocol, port)
}

// VLANDevice gives an instance a device behind a VLAN of its eth0, until stop is called or the instance ends.
func (l *Lab) VLANDevice(where, id, mac, address string) (stop func(), err error) {
	return l.keep(where, "ready", "vlan", "eth0", id, mac, address)
}

// keep begins a probe that goes on until stop is called; stop waits for its end.
func (l *Lab) keep(where, line string, args ...string) (stop func(), err error) {
	b, err := l.begin(where, line, probeLine(args...)...)
	if err != nil {
		return nil, err
	}
	return func() {
		b.stop()
		<-b.ended
	}, nil
}

// Seen sends a frame from one instance and says whether another sees it within two seconds. frame is
// in the words of `neutrino lab probe send`: --src-mac, --src-ip, --dst-mac, --dst-ip, --arp, --tags.
func (l *Lab) Seen(at, from string, frame []string) (bool, error) {
	b, err := l.begin(at, "watching", probeLine(append([]string{"watch", "--wait", "2s"}, frame...)...)...)
	if err != nil {
		return false, err
	}
	defer b.stop()
	if _, err := l.Probe(from, append([]string{"send"}, frame...)...); err != nil {
		return false, err
	}
	<-b.ended
	switch complaint := b.complaint.String(); {
	case b.err != nil:
		return false, b.err
	case b.exit == 0:
		return true, nil
	case strings.Contains(complaint, "no such frame"):
		return false, nil
	default:
		return false, fmt.Errorf("watch at %s: exit status %d: %s", at, b.exit, strings.TrimSpace(complaint))
	}
}
