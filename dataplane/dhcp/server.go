package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"neutrino/address"
)

// Server answers the clients on one interface. Its table may be exchanged at any time.
type Server struct {
	Answered atomic.Uint64 // replies sent
	Silent   atomic.Uint64 // requests that got none

	table atomic.Pointer[Table]
	conn  *packet.Conn
	quiet []net.PacketConn // hold the ports, so that the kernel does not send "port unreachable"
	ifi   *net.Interface
	mac   address.MAC
	log   *slog.Logger
	limit *rate.Limiter // of log lines
	ended atomic.Bool   // by Close
	done  chan struct{}
}

// Listen opens the sockets on an interface of the calling thread's network namespace and starts to
// answer. The sockets stay in that namespace. mac is the interface's, and its link-local address
// must be the one by EUI-64 (the kernel's default). Close ends it.
func Listen(name string, table *Table, log *slog.Logger) (*Server, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	}
	if len(ifi.HardwareAddr) != 6 {
		return nil, fmt.Errorf("interface %s has no Ethernet address", name)
	}
	filter, err := bpf.Assemble(requests)
	if err != nil {
		return nil, fmt.Errorf("assemble the packet filter: %w", err)
	}
	s := &Server{
		ifi: ifi, mac: address.MAC(ifi.HardwareAddr), log: log.With("interface", name),
		limit: rate.NewLimiter(1, 20), done: make(chan struct{}),
	}
	s.table.Store(table)
	if s.conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter}); err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", name, err)
	}
	if err := s.holdPorts(); err != nil {
		s.closeSockets()
		return nil, err
	}
	go s.serve()
	return s, nil
}

// holdPorts binds the UDP ports and joins the group of all DHCPv6 servers. What arrives there is
// read from the packet socket; the small buffers of these sockets just fill up.
func (s *Server) holdPorts() error {
	var lc net.ListenConfig
	v4, err := lc.ListenPacket(context.Background(), "udp4", "0.0.0.0:67")
	if err != nil {
		return fmt.Errorf("bind UDP port 67: %w", err)
	}
	s.quiet = append(s.quiet, v4)
	v6, err := lc.ListenPacket(context.Background(), "udp6", "[::]:547")
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil // a host without IPv6
	}
	if err != nil {
		return fmt.Errorf("bind UDP port 547: %w", err)
	}
	s.quiet = append(s.quiet, v6)
	if err := ipv6.NewPacketConn(v6).JoinGroup(s.ifi, &net.UDPAddr{IP: allServers.AsSlice()}); err != nil {
		return fmt.Errorf("join %s on %s: %w", allServers, s.ifi.Name, err)
	}
	for _, c := range s.quiet {
		if u, ok := c.(*net.UDPConn); ok {
			_ = u.SetReadBuffer(2048) // best effort: only memory is at stake
		}
	}
	return nil
}

// SetTable exchanges the table.
func (s *Server) SetTable(t *Table) { s.table.Store(t) }

// Close ends the service and waits until the last reply is out.
func (s *Server) Close() {
	s.ended.Store(true)
	s.closeSockets()
	<-s.done
}

// Done is closed when the server has ended, by Close or because its socket failed. That its interface is gone it does not
// notice: nothing comes any more.
func (s *Server) Done() <-chan struct{} { return s.done }

func (s *Server) closeSockets() {
	s.conn.Close()
	for _, c := range s.quiet {
		c.Close()
	}
}

func (s *Server) serve() {
	defer close(s.done)
	linkLocal := netip.Addr{}
	if len(s.quiet) > 1 {
		linkLocal = s.mac.LinkLocal()
	}
	buffer := make([]byte, 65536)
	for {
		n, _, err := s.conn.ReadFrom(buffer)
		if errors.Is(err, unix.ENETDOWN) {
			continue // the interface is down for a while
		}
		if err != nil {
			if !s.ended.Load() {
				s.log.Error("DHCP ends", "error", err)
			}
			return
		}
		s.one(buffer[:n], linkLocal)
	}
}

// one answers one frame. A frame that brings us down takes only itself along.
func (s *Server) one(frame []byte, linkLocal netip.Addr) {
	defer func() {
		if r := recover(); r != nil {
			s.Silent.Add(1)
			s.log.Error("DHCP request could not be read", "panic", fmt.Sprint(r))
		}
	}()
	reply, reason := s.table.Load().Answer(frame, s.mac, linkLocal)
	if reply == nil {
		s.Silent.Add(1)
		if s.limit.Allow() {
			s.log.Debug("DHCP request without reply", "client", address.MAC(frame[6:12]), "reason", reason)
		}
		return
	}
	if _, err := s.conn.WriteTo(reply, &packet.Addr{HardwareAddr: net.HardwareAddr(reply[:6])}); err != nil {
		if s.limit.Allow() {
			s.log.Warn("DHCP reply not sent", "client", address.MAC(frame[6:12]), "error", err)
		}
		return
	}
	s.Answered.Add(1)
}

// requests lets through unfragmented UDP to port 67 in IPv4 and to port 547 in IPv6.
var requests = []bpf.Instruction{
	/*  0 */ bpf.LoadAbsolute{Off: 12, Size: 2},
	/*  1 */ bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherIPv6, SkipTrue: 8},
	/*  2 */ bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherIPv4, SkipTrue: 12},
	/*  3 */ bpf.LoadAbsolute{Off: 23, Size: 1},
	/*  4 */ bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoUDP, SkipTrue: 10},
	/*  5 */ bpf.LoadAbsolute{Off: 20, Size: 2},
	/*  6 */ bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x3fff, SkipTrue: 8},
	/*  7 */ bpf.LoadMemShift{Off: 14},
	/*  8 */ bpf.LoadIndirect{Off: 16, Size: 2},
	/*  9 */ bpf.JumpIf{Cond: bpf.JumpEqual, Val: 67, SkipTrue: 4, SkipFalse: 5},
	/* 10 */ bpf.LoadAbsolute{Off: 20, Size: 1},
	/* 11 */ bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoUDP, SkipTrue: 3},
	/* 12 */ bpf.LoadAbsolute{Off: 56, Size: 2},
	/* 13 */ bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 547, SkipTrue: 1},
	/* 14 */ bpf.RetConstant{Val: 65535},
	/* 15 */ bpf.RetConstant{Val: 0},
}
