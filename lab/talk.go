package lab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
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
	complaint bytes.Buffer
}

// begin starts a command and waits until it writes the line that says that it is at work.
func (l *Lab) begin(where, line string, argv ...string) (*background, error) {
	ctx, stop := context.WithCancel(context.Background())
	b := &background{stop: stop, ended: make(chan struct{})}
	r, w := io.Pipe()
	go func() {
		b.exit, b.err = l.RunContext(ctx, Command{Where: where, Argv: argv, Out: w, Err: &b.complaint})
		w.Close()
		close(b.ended)
	}()
	out := bufio.NewScanner(r)
	for out.Scan() {
		if out.Text() == line {
			go io.Copy(io.Discard, r) // what else it says is of no interest, and must not stop it
			return b, nil
		}
	}
	stop()
	<-b.ended
	return nil, fmt.Errorf("%s on %s ended before it was at work: %s %w", strings.Join(argv, " "), where, strings.TrimSpace(b.complaint.String()), b.err)
}

// Listen answers all who come to a port ("tcp" or "udp") of a node or an instance, until stop is called.
func (l *Lab) Listen(where, protocol, port string) (stop func(), err error) {
	b, err := l.begin(where, "listening", probeLine("listen", protocol, port)...)
	if err != nil {
		return nil, err
	}
	return func() {
		b.stop()
		<-b.ended
	}, nil
}

// Seen sends a frame from one instance and says whether another sees it within two seconds. frame is
// in the words of `neutrino lab probe send`: --src-mac, --src-ip, --dst-mac, --dst-ip, --arp.
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
