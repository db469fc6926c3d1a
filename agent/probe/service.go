package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"neutrino/agent/firewall"
	dataplane "neutrino/dataplane/dhcp"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/openflow"
	"neutrino/dataplane/ovsdb"
)

const bridge = "br-int"

// way is how requests come into br-int, for one round.
type way struct {
	conn  *openflow.Conn
	ports map[string]ovsdb.Port // of br-int, by port id
}

func (m *Manager) openWay(ctx context.Context) (*way, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ports, err := m.switchd.Ports(ctx, bridge)
	if err != nil {
		return nil, err
	}
	w := &way{ports: map[string]ovsdb.Port{}}
	for _, p := range ports {
		if id := p.ExternalIDs["iface-id"]; id != "" {
			w.ports[id] = p
		}
	}
	w.conn, err = openflow.Dial(ctx, "unix", m.options.RunDir+"/"+bridge+".mgmt")
	return w, err
}

func (w *way) close() { _ = w.conn.Close() }

// discover asks for an address on a network as a client would: a frame goes through br-int's tables to the DHCP port,
// and the offer must come out of that port's device. See dataplane/dhcp's SelfDiscover for why nobody else hears it.
func (w *way) discover(ctx context.Context, s server) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, plugged := w.ports[s.port]
	switch {
	case !plugged:
		return fmt.Errorf("the DHCP port %s is not plugged into %s", s.port, bridge)
	case p.Tag == 0:
		return fmt.Errorf("the DHCP port's interface %s has no local VLAN", p.Name)
	}
	frames, err := netns.ListenFrames(s.namespace, s.device, unix.ETH_P_ALL, nil)
	if err != nil {
		return err
	}
	defer func() { _ = frames.Close() }()
	var xid [4]byte
	if _, err := rand.Read(xid[:]); err != nil {
		return err
	}
	frame, err := dataplane.SelfDiscover(s.mac, s.own, xid)
	if err != nil {
		return err
	}
	err = w.conn.Inject(ctx, frame, openflow.Actions{openflow.SetReg(firewall.RegNetwork, uint32(p.Tag)), openflow.Resubmit(firewall.TableForward)})
	if err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	if err := frames.SetReadDeadline(deadline); err != nil {
		return err
	}
	buffer, came := make([]byte, 65536), false
	for {
		n, _, err := frames.ReadFrom(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && came:
			return errors.New("the request came to the DHCP port, and was not answered")
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errors.New("the request did not come through br-int to the DHCP port")
		case err != nil:
			return fmt.Errorf("listen for the answer: %w", err)
		case dataplane.IsOffer(buffer[:n], xid):
			return nil
		}
		came = came || string(buffer[:n]) == string(frame)
	}
}

// ask asks the metadata service inside of a namespace for nothing in particular, as HTTP allows: the server itself
// answers, for no guest.
func ask(ctx context.Context, p place) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var conn net.Conn
	err := netns.Do(p.namespace, func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp4", "169.254.169.254:80")
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(patience)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("OPTIONS * HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fmt.Errorf("the metadata service does not answer: %w", err)
	}
	if string(answer[:9]) != "HTTP/1.1 " {
		return fmt.Errorf("the metadata service answers %q", answer)
	}
	if code := string(answer[9:]); code != "200" {
		return fmt.Errorf("the metadata service answers %s", code)
	}
	return nil
}
