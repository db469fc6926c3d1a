package server

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"neutrino/engine"
	"neutrino/policy"
	"neutrino/store"
)

// Benchmarks of the operations that clients wait for, through the engine on SQLite with synchronous
// commits, without HTTP.

func benchNetwork(b *testing.B) (*Services, string) {
	s := open(b)
	hosts(b, s, "h1")
	s.Engine.Quotas = map[string]int{}
	n := create(b, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
	create(b, s.Network.Subnets, demo, `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/8"}}`)
	return s, n
}

func BenchmarkCreateNetwork(b *testing.B) {
	s, _ := benchNetwork(b)
	for b.Loop() {
		create(b, s.Network.Networks, demo, `{"network": {"name": "n"}}`)
	}
}

func BenchmarkCreateSubnet(b *testing.B) {
	s, _ := benchNetwork(b)
	i := 0
	for b.Loop() {
		b.StopTimer()
		n := create(b, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
		b.StartTimer()
		create(b, s.Network.Subnets, demo, fmt.Sprintf(`{"subnet": {"network_id": "%s", "ip_version": 4, "cidr": "10.%d.0.0/24"}}`, n, i%200))
		i++
	}
}

func BenchmarkCreatePort(b *testing.B) {
	s, n := benchNetwork(b)
	for b.Loop() {
		create(b, s.Network.Ports, demo, `{"port": {"network_id": "`+n+`"}}`)
	}
}

func BenchmarkCreate50Ports(b *testing.B) {
	s, n := benchNetwork(b)
	body := `{"ports": [`
	for i := range 50 {
		if i > 0 {
			body += ", "
		}
		body += `{"network_id": "` + n + `"}`
	}
	for b.Loop() {
		if _, err := s.Network.Ports.Create(context.Background(), demo, parse(b, body+`]}`)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateRule(b *testing.B) {
	s, _ := benchNetwork(b)
	g := create(b, s.Security.Groups, demo, `{"security_group": {"name": "g"}}`)["id"].(string)
	i := 0
	for b.Loop() {
		i++
		create(b, s.Security.Rules, demo, fmt.Sprintf(`{"security_group_rule": {"security_group_id": "%s", "direction": "ingress", "protocol": "tcp", "port_range_min": %d, "port_range_max": %d}}`, g, i%60000+1, i%60000+1+i/60000))
	}
}

// BenchmarkListPorts lists many ports for a member and for an administrator. It reports the middle time, the
// SQL statements of one list, and how far the heap grows while the list streams out.
func BenchmarkListPorts(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		s, network := benchNetwork(b)
		for range n / 50 {
			body := `{"ports": [` + strings.TrimSuffix(strings.Repeat(`{"network_id": "`+network+`"}, `, 50), ", ") + `]}`
			if _, err := s.Network.Ports.Create(context.Background(), demo, parse(b, body)); err != nil {
				b.Fatal(err)
			}
		}
		for _, who := range []struct {
			name string
			as   *policy.Credentials
		}{{"member", demo}, {"admin", admin}} {
			b.Run(fmt.Sprintf("%d/%s", n, who.name), func(b *testing.B) {
				list := func(ctx context.Context, out io.Writer) {
					if err := s.Network.Ports.List(ctx, who.as, engine.Query{}, out); err != nil {
						b.Fatal(err)
					}
				}
				var statements atomic.Int64
				watch := &heapWatch{}
				list(store.WithCounter(context.Background(), &statements), watch)
				var took []time.Duration
				for b.Loop() {
					began := time.Now()
					list(context.Background(), io.Discard)
					took = append(took, time.Since(began))
				}
				percentiles(b, took)
				b.ReportMetric(float64(statements.Load()), "statements")
				b.ReportMetric(float64(watch.most-watch.least)/(1<<20), "MB-growth")
			})
		}
	}
}

// heapWatch is a writer that sees how much of the heap lives while it is written to.
type heapWatch struct{ writes, least, most uint64 }

func (w *heapWatch) Write(p []byte) (int, error) {
	if w.writes%16 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if w.least == 0 || m.HeapAlloc < w.least {
			w.least = m.HeapAlloc
		}
		w.most = max(w.most, m.HeapAlloc)
	}
	w.writes++
	return len(p), nil
}

// BenchmarkShowGroup shows a security group with a thousand rules.
func BenchmarkShowGroup(b *testing.B) {
	s, _ := benchNetwork(b)
	g := create(b, s.Security.Groups, demo, `{"security_group": {}}`)["id"].(string)
	for i := range 1000 {
		create(b, s.Security.Rules, demo, fmt.Sprintf(`{"security_group_rule": {"security_group_id": "%s", "direction": "ingress", "protocol": "tcp", "port_range_min": %d, "port_range_max": %[2]d}}`, g, i+1))
	}
	for b.Loop() {
		if _, err := s.Security.Groups.Show(context.Background(), demo, g, engine.Query{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkShowPort(b *testing.B) {
	s, n := benchNetwork(b)
	p := create(b, s.Network.Ports, demo, `{"port": {"network_id": "`+n+`"}}`)["id"].(string)
	for b.Loop() {
		if _, err := s.Network.Ports.Show(context.Background(), demo, p, engine.Query{}); err != nil {
			b.Fatal(err)
		}
	}
}
