package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Listen answers every message on a port with its own words, over "tcp" or "udp", until ctx ends.
func Listen(ctx context.Context, w io.Writer, protocol, port string) error {
	switch protocol {
	case "tcp":
		ln, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { ln.Close() })
		fmt.Fprintln(w, "listening")
		for {
			conn, err := ln.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn) // until the other end has said all
			}()
		}
	case "udp":
		conn, err := net.ListenPacket("udp", ":"+port)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		fmt.Fprintln(w, "listening")
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return err
			}
			if _, err := conn.WriteTo(buf[:n], from); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	return fmt.Errorf("protocol %q: give tcp or udp", protocol)
}

// Connect sends a message to a listener, again every 200 ms, until its own words come back.
func Connect(ctx context.Context, protocol, host, port string, patience time.Duration) error {
	if protocol != "tcp" && protocol != "udp" {
		return fmt.Errorf("protocol %q: give tcp or udp", protocol)
	}
	deadline := time.Now().Add(patience)
	for {
		err := exchange(ctx, protocol, net.JoinHostPort(host, port), deadline)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer of %s %s port %s within %v: %w", protocol, host, port, patience, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func exchange(ctx context.Context, protocol, to string, deadline time.Time) error {
	d := net.Dialer{Deadline: deadline}
	conn, err := d.DialContext(ctx, protocol, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	until := time.Now().Add(200 * time.Millisecond)
	if protocol == "tcp" {
		until = deadline
	}
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	if _, err := conn.Write(payload); err != nil {
		return err
	}
	back := make([]byte, len(payload))
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if string(back) != string(payload) {
		return errors.New("other words came back")
	}
	return nil
}

// Get fetches a page and writes it. A status other than 200 is an error.
func Get(ctx context.Context, w io.Writer, url string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	plain := &http.Client{Transport: &http.Transport{}} // no proxy: an instance has none
	resp, err := plain.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
