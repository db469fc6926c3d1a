package agent

import (
	"context"
	"os"
	"strings"
	"time"

	"neutrino/desired"
)

// While no server can be asked, a host goes on as it is: a dead server must stop no traffic. But routers and DHCP may
// have moved to other hosts meanwhile, and two hosts must not answer for one address. So a host that has been down
// itself, and finds its kept state after a boot, begins with what can be nowhere else, its instances, and waits for a
// server with the rest. Whether a host that only loses all servers gives the rest up, too, after a time, is the
// operator's choice (Options.StandDown).

// movable says whether an item is of something that may be on another host by now: a router, a DHCP port.
func movable(item desired.Item, host string) bool {
	switch it := item.(type) {
	case *desired.Router:
		return true
	case *desired.Port:
		return it.Host == host && strings.HasPrefix(it.DeviceOwner, "network:")
	}
	return false
}

// hand hands changes on to the managers, while withholding without what may be elsewhere. mu is held.
func (f *follower) hand(changes map[desired.Key]desired.Item) {
	if f.withheld {
		for key, item := range changes {
			if item != nil && movable(item, f.agent.options.Host) {
				delete(changes, key)
			}
		}
	}
	f.agent.deliver(changes, nil)
}

// hear notes that a server has said something: by its stream, or by taking a beat.
func (f *follower) hear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = time.Now()
}

// standDown gives up what may be elsewhere once no server was followed for long enough.
func (f *follower) standDown(ctx context.Context) {
	after := f.agent.options.StandDown
	if after == 0 {
		return
	}
	tick := time.NewTicker(max(after/20, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.giveUp(after)
		}
	}
}

func (f *follower) giveUp(after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.withheld || f.held || time.Since(f.heard) < after {
		return
	}
	changes := map[desired.Key]desired.Item{}
	for key, item := range f.have.items {
		if movable(item, f.agent.options.Host) {
			changes[key] = nil
		}
	}
	f.agent.log.Warn("no server answers: giving up what may have moved to other hosts", "after", after.String(), "items", len(changes))
	f.withheld = true
	f.agent.deliver(changes, nil)
}

// thisBoot names the host's boot, as far as an agent can see it: the kernel's, and in a container when that began.
// "" is not known.
func thisBoot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	stat, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before may hold anything
	fields := strings.Fields(rest)
	const startTime = 19 // the 22nd field of the file
	if len(fields) <= startTime {
		return ""
	}
	return strings.TrimSpace(string(id)) + " " + fields[startTime]
}
