package hybrid

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"neutrino/agent"
	"neutrino/agent/firewall/firewalltest"
	"neutrino/agent/l2"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/sandbox"
	"neutrino/desired"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var fullChange = agent.Change{Full: true}

// zone is the local VLAN of the bench's network.
const zone = 7

// bench is a host with instances behind bridges as a compute service makes them; in the place of br-int is a bridge
// that knows where addresses are.
type bench struct {
	t       *testing.T
	filter  *Filter
	state   *desired.State
	plugged map[string]int // port → socket inside of its instance
	markers int
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, filter: New(quiet), state: desired.NewState(), plugged: map[string]int{}}
	b.ip("link", "add", "br-int", "type", "bridge", "ageing_time", "0", "mcast_snooping", "0")
	b.ip("link", "set", "br-int", "up")
	t.Cleanup(func() {
		for id, fd := range b.plugged {
			_ = unix.Close(fd)
			b.unplug(id)
		}
		b.ip("link", "delete", "br-int")
		if err := Retire(context.Background()); err != nil {
			t.Error(err)
		}
		if left := b.run("nft", "list", "ruleset"); strings.TrimSpace(left) != "" {
			t.Errorf("left over:\n%s", left)
		}
	})
	return b
}

func (b *bench) run(name string, args ...string) string {
	b.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (b *bench) ip(args ...string) { b.t.Helper(); b.run("ip", args...) }

// wire makes the devices of a port.
func (b *bench) wire(id string) {
	b.t.Helper()
	p := b.state.Ports[id]
	qbr, qvb, qvo, tap := device(bridgePrefix, id), device(insidePrefix, id), device(brIntPrefix, id), device(tapPrefix, id)
	if err := netns.Create("vm-"+id, "test"); err != nil {
		b.t.Fatal(err)
	}
	b.ip("link", "add", qbr, "type", "bridge", "ageing_time", "0", "mcast_snooping", "0")
	b.ip("link", "add", tap, "type", "veth", "peer", "name", "eth0", "netns", "vm-"+id)
	b.ip("link", "add", qvb, "type", "veth", "peer", "name", qvo)
	for device, master := range map[string]string{tap: qbr, qvb: qbr, qvo: "br-int"} {
		b.ip("link", "set", device, "master", master, "up")
	}
	b.ip("link", "set", qbr, "up")
	b.ip("-n", "vm-"+id, "link", "set", "eth0", "address", p.MAC.String(), "arp", "off", "up")
	b.run("bridge", "fdb", "replace", p.MAC.String(), "dev", qvo, "master", "static")
	b.run("bridge", "link", "set", "dev", qvo, "learning", "off")
	if err := netns.Do("vm-"+id, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		b.plugged[id] = fd
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300 /* ETH_P_ALL, as on the wire */, Ifindex: b.eth0()}))
	}); err != nil {
		b.t.Fatal(err)
	}
}

// eth0 is the index of the calling thread's eth0.
func (b *bench) eth0() int {
	b.t.Helper()
	ifreq, err := unix.NewIfreq("eth0")
	if err != nil {
		b.t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifreq); err != nil {
		b.t.Fatal(err)
	}
	return int(ifreq.Uint32())
}

func (b *bench) unplug(id string) {
	b.t.Helper()
	b.ip("link", "delete", device(brIntPrefix, id))
	b.ip("link", "delete", device(bridgePrefix, id))
	if err := netns.Delete("vm-" + id); err != nil {
		b.t.Error(err)
	}
	exec.Command("ip", "link", "delete", device(tapPrefix, id)).Run() // it may be gone with its namespace
}

// ports are those that are plugged, as l2 names them.
func (b *bench) ports() map[string]l2.Filtered {
	out := map[string]l2.Filtered{}
	for id := range b.plugged {
		if b.state.Ports[id] != nil {
			out[id] = l2.Filtered{Zone: zone, OFPort: 1}
		}
	}
	return out
}

func (b *bench) apply(change agent.Change) {
	b.t.Helper()
	refused, err := b.filter.Apply(b.t.Context(), b.state, b.ports(), change)
	if err != nil || len(refused) > 0 {
		b.t.Fatalf("refused %v, error %v", refused, err)
	}
}

func (b *bench) Apply(items ...desired.Item) {
	b.t.Helper()
	change := agent.Change{Keys: map[desired.Key]struct{}{}}
	for _, it := range items {
		b.state.Put(it)
		change.Keys[it.Key()] = struct{}{}
	}
	b.apply(change)
}

func (b *bench) Remove(keys ...desired.Key) {
	b.t.Helper()
	change := agent.Change{Keys: map[desired.Key]struct{}{}}
	for _, k := range keys {
		b.state.Delete(k)
		change.Keys[k] = struct{}{}
	}
	b.apply(change)
}

func (b *bench) Plug(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		b.wire(id)
	}
	for deadline := time.Now().Add(10 * time.Second); strings.Contains(b.run("bridge", "link", "show"), "state disabled"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatal("bridges do not forward")
		}
	}
	b.apply(agent.Change{})
}

// Reaches sends the frame, and then one that everybody gets: who has that one had his chance. Who should get the first
// is waited for all the same: two processors may have carried them.
func (b *bench) Reaches(what, from string, frame []byte, want ...string) {
	b.t.Helper()
	p := b.state.Ports[from]
	b.markers++
	marker := firewalltest.ARP(1, p.MAC, p.MAC, netip.IPv4Unspecified(), firewalltest.Broadcast, firewalltest.IP4(0x4000+b.markers))
	for _, f := range [][]byte{frame, marker} {
		if _, err := unix.Write(b.plugged[from], f); err != nil {
			b.t.Fatal(err)
		}
	}
	var got []string
	for id, fd := range b.plugged {
		if id == from {
			continue
		}
		seen, done := false, false
		buffer := make([]byte, 2048)
		for deadline := time.Now().Add(10 * time.Second); !done || !seen && slices.Contains(want, id); {
			n, err := unix.Read(fd, buffer)
			if err != nil {
				if time.Now().After(deadline) {
					if done {
						break
					}
					b.t.Fatalf("%s: %s hears nothing more: %v\n%s", what, id, err, b.run("nft", "list", "ruleset"))
				}
				time.Sleep(time.Millisecond)
				continue
			}
			done = done || bytes.Equal(buffer[:n], marker)
			seen = seen || n >= 34 && bytes.HasPrefix(frame, buffer[:n]) // the filler at the end may be gone
		}
		if seen {
			got = append(got, id)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: reached %v, want %v", what, got, want)
	}
}

func TestFirewall(t *testing.T) {
	firewalltest.Run(t, func(t *testing.T) firewalltest.Host { return newBench(t) })
}
