// Package guest is the network part of an instance's operating system: it asks for an address by
// DHCPv4, keeps it renewed, takes what router advertisements and DHCPv6 give, and notes when it got
// what. It runs inside of the instance's namespace.
package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// StatusFile is where, in the instance's directory, Status is kept as JSON.
const StatusFile = "status.json"

// Status is what the guest found out so far.
type Status struct {
	Started   time.Time      `json:"started"`              // the NIC was up and the first question about to leave
	Leased    time.Time      `json:"leased,omitzero"`      // the acknowledgement arrived
	Questions int            `json:"questions"`            // DISCOVERs sent until then
	Address   netip.Prefix   `json:"address,omitzero"`     // by DHCPv4
	Gateway   netip.Addr     `json:"gateway,omitzero"`     // default route
	Routes    []string       `json:"routes,omitempty"`     // option 121, as "destination via next hop"
	Names     []netip.Addr   `json:"names,omitempty"`      // name servers
	MTU       int            `json:"mtu,omitempty"`        // as announced
	Server    netip.Addr     `json:"server,omitzero"`      // who leased
	LeaseTime int            `json:"lease_time,omitempty"` // seconds
	Renewed   int            `json:"renewed,omitempty"`
	Address6  []netip.Prefix `json:"address6,omitempty"` // by DHCPv6
}

// machine is the guest at work.
type machine struct {
	device, dir string
	log         *slog.Logger

	mu     sync.Mutex
	status Status
}

// Run serves the device until it is told to end. dir is where it keeps StatusFile and resolv.conf.
func Run(device, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	m := &machine{device: device, dir: dir, log: slog.New(slog.NewJSONHandler(os.Stderr, nil))}
	if err := m.note(func(s *Status) { s.Started = time.Now() }); err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { m.follow6(ctx) })
	wg.Go(func() { m.follow4(ctx) })
	wg.Wait()
	return nil
}

// note changes the status and writes it where others read it.
func (m *machine) note(change func(*Status)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.status)
	data, err := json.Marshal(m.status)
	if err != nil {
		return err
	}
	path := filepath.Join(m.dir, StatusFile)
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return fmt.Errorf("keep the status: %w", err)
	}
	return os.Rename(path+".new", path)
}

// pause waits, and says whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
