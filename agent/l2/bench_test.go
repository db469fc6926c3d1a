package l2

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"neutrino/agent"
	"neutrino/desired"
)

// The host that "how good" speaks of: 1,000 ports on ten networks, 20 security groups of 20 rules, each rule
// with a remote group.
const (
	fullPorts  = 1000
	fullGroups = 20
	fullRules  = 20
)

func fullHost() (items []desired.Item, ports []string) {
	for g := range fullGroups {
		var rules []desired.Rule
		for r := range fullRules {
			rule := tcpIn(1000+100*r, 1000+100*r)
			rule.RemoteGroup = fmt.Sprintf("g%d", (g+r)%fullGroups)
			rules = append(rules, rule)
		}
		items = append(items, group(fmt.Sprintf("g%d", g), rules...))
	}
	for n := range 10 {
		items = append(items, vxlan(fmt.Sprintf("n%d", n), 100+n))
	}
	for i := range fullPorts {
		g := fmt.Sprintf("g%d", i%fullGroups)
		p := port(fmt.Sprintf("p%d", i), fmt.Sprintf("n%d", i%10), 10+i, g)
		p.FixedIPs = p.FixedIPs[:1]
		items, ports = append(items, p, member(g, p)), append(ports, p.ID)
	}
	return items, ports
}

// plugMany makes interfaces without captures.
func (b *bench) plugMany(ids ...string) {
	b.t.Helper()
	for part := range slices.Chunk(ids, 100) {
		var args []string
		for _, id := range part {
			args = append(args, "--", "add-port", "br-int", id, "--", "set", "interface", id, "type=dummy", "external_ids:iface-id="+id)
		}
		b.vsctl(args...)
	}
}

// full is a switch with all the ports of fullHost, and a state with its items.
func full(tb testing.TB) *bench {
	b := newBench(tb)
	b.external()
	b.apply() // makes br-int
	items, ports := fullHost()
	b.plugMany(ports...)
	for _, it := range items {
		b.state.Put(it)
	}
	return b
}

// whole applies everything, and fails unless every port of the host is wired then.
func (b *bench) whole(m *Manager) {
	b.t.Helper()
	reports, err := m.Apply(context.Background(), b.state, fullChange)
	if err != nil {
		b.t.Fatal(err)
	}
	up := 0
	for _, r := range reports {
		if r.Up {
			up++
		}
	}
	if up != len(b.state.Ports) {
		b.t.Fatalf("%d of %d ports are wired", up, len(b.state.Ports))
	}
}

// resident is what this process has in memory, in MB.
func resident(tb testing.TB) float64 {
	runtime.GC()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(status))[1])
	if err != nil {
		tb.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

// spent is the processor time that the manager and the switch have used together, in seconds: what the
// benchmarks would take on a machine with nothing else to do, at most.
func (b *bench) spent() float64 {
	b.t.Helper()
	total := 0
	for _, pid := range []int{os.Getpid(), b.switchPID} {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(stat), ") ") // the name may have blanks
		for _, ticks := range strings.Fields(after)[11:13] {
			n, err := strconv.Atoi(ticks)
			if err != nil {
				b.t.Fatal(err)
			}
			total += n
		}
	}
	return float64(total) / 100 // the kernel's unit is a hundredth
}

// timed runs a step as the benchmark's loop counts it, and adds up its processor time.
func (b *bench) timed(tb *testing.B, cpu *float64, step func()) {
	before := b.spent()
	tb.StartTimer()
	step()
	tb.StopTimer()
	*cpu += b.spent() - before
}

// BenchmarkBlankSwitch: the ports are there, and not one flow.
func BenchmarkBlankSwitch(b *testing.B) {
	s := full(b)
	flows, cpu := 0, 0.0
	for b.Loop() {
		b.StopTimer()
		for _, bridge := range []string{brInt, brTun} {
			if s.manager.bridges[bridge] != nil {
				s.run("ovs-ofctl", "del-flows", s.path(bridge+".mgmt"))
			}
		}
		m := s.newManager()
		s.timed(b, &cpu, func() { s.whole(m) })
		flows = strings.Count(s.flows(brInt), "\n")
		m.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(flows), "flows")
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
	b.ReportMetric(resident(b), "MB-resident")
}

// BenchmarkRestart: another agent finds everything as it should be.
func BenchmarkRestart(b *testing.B) {
	s := full(b)
	s.whole(s.manager)
	s.manager.Close()
	cpu := 0.0
	for b.Loop() {
		b.StopTimer()
		s.manager = s.newManager()
		s.timed(b, &cpu, func() { s.whole(s.manager) })
		s.manager.Close()
		b.StartTimer()
	}
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
	b.ReportMetric(resident(b), "MB-resident")
}

// BenchmarkOneMorePort: from the interface's appearance to its flows.
func BenchmarkOneMorePort(b *testing.B) {
	s := full(b)
	s.whole(s.manager)
	more := port("more", "n1", 5000, "g1")
	more.FixedIPs = more.FixedIPs[:1]
	keys := map[desired.Key]struct{}{more.Key(): {}, desired.MemberKey("g1", "more"): {}}
	cpu := 0.0
	for b.Loop() {
		b.StopTimer()
		s.plugMany("more")
		s.state.Put(more)
		s.state.Put(member("g1", more))
		s.timed(b, &cpu, func() { s.wired(keys, "more") })
		s.vsctl("del-port", "more")
		s.remove(more.Key(), desired.MemberKey("g1", "more"))
		b.StartTimer()
	}
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
}

// wired applies a change and fails unless the port is wired then.
func (b *bench) wired(keys map[desired.Key]struct{}, id string) {
	b.t.Helper()
	reports, err := b.manager.Apply(context.Background(), b.state, agent.Change{Keys: keys})
	if err != nil {
		b.t.Fatal(err)
	}
	if !slices.ContainsFunc(reports, func(r desired.Report) bool { return r.ID == id && r.Up }) {
		b.t.Fatalf("port %s is not wired: %+v", id, reports)
	}
}

// BenchmarkMemberLeaves: one of 2,000 leaves a remote group that the rules of all ports name.
func BenchmarkMemberLeaves(b *testing.B) {
	s := full(b)
	for i := range 2000 {
		far := port(fmt.Sprintf("far%d", i), "elsewhere", 10000+i)
		far.FixedIPs = far.FixedIPs[:1]
		s.state.Put(member("g1", far))
	}
	s.whole(s.manager)
	leaver := s.state.MembersOf["g1"]["far77"]
	key := map[desired.Key]struct{}{leaver.Key(): {}}
	step := func() {
		if _, err := s.manager.Apply(context.Background(), s.state, agent.Change{Keys: key}); err != nil {
			b.Fatal(err)
		}
	}
	cpu := 0.0
	for b.Loop() {
		b.StopTimer()
		s.state.Delete(leaver.Key())
		s.timed(b, &cpu, step)
		s.state.Put(leaver)
		step()
		b.StartTimer()
	}
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
}
