package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// Wire is the end of an instance's cable: frames are put on it as they are, and those that come are kept.
type Wire struct {
	in    *os.File // frames to send, for the command
	stop  context.CancelFunc
	ended chan struct{} // closed when the command ended; the rest may be read then
	err   error

	mu   sync.Mutex
	seen [][]byte
}

// OpenWire takes hold of the NIC eth0 of an instance until Close. Frames that have mark in them are kept.
func (l *Lab) OpenWire(where, mark string) (*Wire, error) {
	r, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, w := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	wire := &Wire{in: in, stop: stop, ended: make(chan struct{})}
	working := make(chan bool, 1)
	var read sync.WaitGroup
	read.Go(func() {
		lines := bufio.NewScanner(out)
		working <- lines.Scan() && lines.Text() == "wired"
		for lines.Scan() {
			if frame, err := hex.DecodeString(lines.Text()); err == nil {
				wire.mu.Lock()
				wire.seen = append(wire.seen, frame)
				wire.mu.Unlock()
			}
		}
		io.Copy(io.Discard, out) // until w is closed
	})
	go func() {
		var complaint bytes.Buffer
		exit, err := l.RunContext(ctx, Command{Where: where, Argv: probeLine("wire", "--mark", mark), Stdin: r, Out: w, Err: &complaint})
		r.Close()
		w.Close()
		read.Wait()
		if err == nil && exit != 0 {
			err = fmt.Errorf("exit status %d: %s", exit, strings.TrimSpace(complaint.String()))
		}
		wire.err = err
		close(wire.ended)
	}()
	if <-working {
		return wire, nil
	}
	wire.Close()
	return nil, fmt.Errorf("take hold of the NIC of %s: %w", where, wire.err)
}

// Send puts a frame on the wire.
func (w *Wire) Send(frame []byte) error {
	select {
	case <-w.ended:
		return fmt.Errorf("the wire is no more: %w", w.err)
	default:
	}
	_, err := fmt.Fprintf(w.in, "%x\n", frame)
	return err
}

// Seen are the marked frames that came since it was last asked.
func (w *Wire) Seen() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// Close lets go of the NIC.
func (w *Wire) Close() {
	w.stop()
	w.in.Close()
	<-w.ended
}
