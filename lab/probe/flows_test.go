package probe

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// TestFlows tells what is lost from what is not.
func TestFlows(t *testing.T) {
	l, udp := both(t)
	defer func() { _ = udp.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	deaf := make(chan struct{})
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			select {
			case <-deaf:
			default:
				_, _ = udp.WriteTo(buf[:n], from)
			}
		}
	}()
	run := func(w io.Writer) FlowTally {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		flowing := onWrite(func() { time.AfterFunc(300*time.Millisecond, cancel) })
		tally, err := Flows{Address: l.Addr().String(), Every: 20 * time.Millisecond, Late: 2 * time.Second}.Run(ctx, io.MultiWriter(w, flowing))
		if err != nil {
			t.Fatal(err)
		}
		return tally
	}
	if tally := run(io.Discard); tally.Any() {
		t.Errorf("%+v", tally)
	}
	tally := run(onWrite(func() { close(deaf) }))
	if tally.NewTCP.Lost+tally.KeptTCP.Lost > 0 || tally.NewUDP.Lost != tally.NewUDP.Asked || tally.KeptUDP.Lost != tally.KeptUDP.Asked || !tally.Any() {
		t.Errorf("%+v", tally)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := (Flows{Address: l.Addr().String(), Every: time.Second, Late: time.Second}).Run(ctx, io.Discard); err == nil {
		t.Error("nobody listens, and nobody minds")
	}
}

// both listens over TCP and UDP at one port: some ports are free over one of them only.
func both(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	var err error
	for range 50 {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			break
		}
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			return l, udp
		}
		_ = l.Close()
	}
	t.Fatal(err)
	return nil, nil
}

// onWrite is called when something is written.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}
