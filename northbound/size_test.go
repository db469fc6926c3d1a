package northbound_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
	"neutrino/northbound"
)

// crowd is a network with n ports in one security group with a rule for the group itself.
func crowd(n int) *world {
	w := newWorld()
	w.put(ovn.KindNetwork, inner, &ovn.Network{
		ID: inner, AdminStateUp: true, MTU: 1442, DNSDomain: "example.org", Segments: []ovn.Segment{{ID: id(9, 1), Type: "geneve"}},
		Subnets: []ovn.Subnet{{ID: subnet4, CIDR: prefix("10.0.0.0/8"), Gateway: addr("10.0.0.1"), EnableDHCP: true}},
	})
	w.put(ovn.KindGroup, web, &ovn.Group{ID: web, Stateful: true, Rules: []ovn.Rule{{ID: id(10, 1), Ingress: true, Protocol: -1, PortMin: -1, PortMax: -1, RemoteGroup: web}}})
	for i := range n {
		w.put(ovn.KindPort, id(6, i), one(i))
	}
	return w
}

// one is the i-th port of a crowd.
func one(i int) *ovn.Port {
	ip := netip.AddrFrom4([4]byte{10, 1 + byte(i>>16), byte(i >> 8), byte(i)})
	return &ovn.Port{
		ID: id(6, i), NetworkID: inner, AdminStateUp: true, MAC: mac(i), DeviceID: id(11, i), DeviceOwner: "compute:nova", PortSecurity: true, Groups: []string{web},
		FixedIPs: []ovn.FixedIP{{SubnetID: subnet4, IP: ip}}, Hostname: fmt.Sprint("vm", i), VNICType: "normal", Host: "h1", Bound: true,
	}
}

// written waits until a writer has nothing more to do, and says how many rows it has added, changed or removed.
func written(t testing.TB, writer *northbound.Writer, done func() bool) int {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the rows do not come")
		}
	}
	return writer.Stats().Written
}

// A port's coming and going touches the same few rows, however many ports there are.
func TestConstantRows(t *testing.T) {
	t.Parallel()
	rows := map[int]int{}
	for _, n := range []int{10, 1000} {
		c := ovntest.Start(t, false)
		w := crowd(n)
		writer := start(t, w, c)
		settle(t, w, c)
		before := written(t, writer, func() bool { return !writer.Stats().Checked.IsZero() }) // counted after it is there
		w.put(ovn.KindPort, id(6, n), one(n))
		rows[n] = written(t, writer, func() bool { return writer.Stats().Written > before }) - before
		settle(t, w, c)
	}
	if rows[10] != rows[1000] || rows[10] > 5 { // the port, its switch, two groups, the names
		t.Errorf("rows that one port touches: %v", rows)
	}
}

// BenchmarkPort is a port's coming, from the journal to the end of the transaction.
func BenchmarkPort(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := ovntest.Start(b, false)
			w := crowd(n)
			writer := start(b, w, c)
			settle(b, w, c)
			next, rows := n, 0
			for b.Loop() {
				before := writer.Stats().Written
				w.put(ovn.KindPort, id(6, next), one(next))
				next++
				rows += written(b, writer, func() bool { return writer.Stats().Written > before }) - before
			}
			b.ReportMetric(float64(rows)/float64(b.N), "rows/op")
		})
	}
}

// estate is a cloud of n ports: ten to a network, each network behind a router of its own with a gateway, and a security
// group of twenty rules to ten ports.
func estate(n int) *world {
	w := newWorld()
	w.put(ovn.KindNetwork, outer, &ovn.Network{
		ID: outer, AdminStateUp: true, MTU: 1500, External: true, Segments: []ovn.Segment{{ID: id(9, 2), Type: "flat", Physical: "physnet1"}},
		Subnets: []ovn.Subnet{{ID: outside, CIDR: prefix("172.16.0.0/12"), Gateway: addr("172.16.0.1")}},
	})
	for i := range n / 10 {
		network, subnet, group, router := id(21, i), id(22, i), id(23, i), id(24, i)
		w.put(ovn.KindNetwork, network, &ovn.Network{
			ID: network, AdminStateUp: true, MTU: 1442, DNSDomain: "example.org", Segments: []ovn.Segment{{ID: id(9, 10+i), Type: "geneve"}},
			Subnets: []ovn.Subnet{{ID: subnet, CIDR: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.1"), EnableDHCP: true}},
		})
		g := &ovn.Group{ID: group, Stateful: true}
		for r := range 20 {
			rule := ovn.Rule{ID: id(25, 20*i+r), Ingress: true, Protocol: 6, PortMin: 8000 + r, PortMax: 8000 + r}
			if r%2 == 0 {
				rule.RemoteGroup = group
			}
			g.Rules = append(g.Rules, rule)
		}
		w.put(ovn.KindGroup, group, g)
		w.put(ovn.KindRouter, router, &ovn.Router{ID: router, AdminStateUp: true, EnableSNAT: true})
		for k, owner := range []string{"network:router_interface", "network:router_gateway"} {
			p := &ovn.Port{ID: id(26+k, i), NetworkID: network, AdminStateUp: true, MAC: mac(20000 + 2*i + k), DeviceOwner: owner, DeviceID: router, VNICType: "normal",
				FixedIPs: []ovn.FixedIP{{SubnetID: subnet, IP: addr("10.0.0.1")}}}
			if k == 1 {
				p.NetworkID, p.FixedIPs = outer, []ovn.FixedIP{{SubnetID: outside, IP: netip.AddrFrom4([4]byte{172, 16, 1 + byte(i>>8), byte(i)})}}
			}
			w.put(ovn.KindPort, p.ID, p)
		}
		for k := range 10 {
			p := one(10*i + k)
			p.NetworkID, p.Groups, p.FixedIPs = network, []string{group}, []ovn.FixedIP{{SubnetID: subnet, IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + k)})}}
			w.put(ovn.KindPort, p.ID, p)
		}
	}
	return w
}

// BenchmarkRebuild fills an empty database: of one network and group with 10,000 ports; and of 10,000 ports, 1,000 routers
// and 20,000 rules. Besides the time until all is there it says how much of it our own process and the database's server
// have worked.
func BenchmarkRebuild(b *testing.B) {
	for name, build := range map[string]func(int) *world{"crowd": crowd, "estate": estate} {
		b.Run(name, func(b *testing.B) {
			w := build(10000)
			var ours, theirs time.Duration
			for b.Loop() {
				b.StopTimer()
				c := ovntest.Start(b, false)
				runtime.GC()
				before := processorTime(b)
				b.StartTimer()
				writer := start(b, w, c)
				written(b, writer, func() bool { return !writer.Stats().Checked.IsZero() })
				b.StopTimer()
				ours, theirs = ours+processorTime(b)-before, theirs+c.NorthCPU(b)
				settle(b, w, c)
				b.StartTimer()
			}
			b.ReportMetric(ours.Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(theirs.Seconds()/float64(b.N), "ovsdb-cpu-s/op")
		})
	}
}

// processorTime is what this process has taken so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
