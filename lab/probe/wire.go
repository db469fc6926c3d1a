package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Wire sends on a device the frames that come on r, one a line in hexadecimal, and writes to w those that come in
// and have mark in them, in the same form, until ctx or r ends. It writes "wired" first, when frames are no longer missed.
func Wire(ctx context.Context, r io.Reader, w io.Writer, device, mark string) error {
	f := Frame{Device: device}
	conn, _, err := f.open()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := ignoreOutgoing(conn); err != nil {
		return fmt.Errorf("watch only what comes in on %s: %w", device, err)
	}
	sender, _, err := f.open()
	if err != nil {
		return err
	}
	defer sender.Close()
	fmt.Fprintln(w, "wired")
	heard := make(chan error, 1)
	go func() { heard <- hear(conn, w, []byte(mark)) }()
	said := make(chan error, 1)
	go func() { said <- say(sender, r) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-said:
		return err
	case err := <-heard:
		return err
	}
}

// ignoreOutgoing keeps what the device sends from the socket (packet(7)).
func ignoreOutgoing(conn *packet.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}); err != nil {
		return err
	}
	return failed
}

func hear(conn *packet.Conn, w io.Writer, mark []byte) error {
	buf := make([]byte, 9216)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		if bytes.Contains(buf[:n], mark) {
			if _, err := fmt.Fprintf(w, "%x\n", buf[:n]); err != nil {
				return err
			}
		}
	}
}

func say(conn *packet.Conn, r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		frame, err := hex.DecodeString(lines.Text())
		if err != nil || len(frame) < 14 {
			return fmt.Errorf("%q is no frame in hexadecimal: %w", lines.Text(), err)
		}
		if _, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[0:6]}); err != nil {
			return fmt.Errorf("send a frame: %w", err)
		}
		time.Sleep(time.Millisecond) // a switch in user space has short queues
	}
	return lines.Err()
}
