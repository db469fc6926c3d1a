package server

import (
	"context"
	"fmt"
	"io"
	"testing"

	"neutrino/engine"
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

func BenchmarkListPorts(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, network := benchNetwork(b)
			for range n / 50 {
				body := `{"ports": [`
				for i := range 50 {
					if i > 0 {
						body += ", "
					}
					body += `{"network_id": "` + network + `"}`
				}
				if _, err := s.Network.Ports.Create(context.Background(), demo, parse(b, body+`]}`)); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if err := s.Network.Ports.List(context.Background(), demo, engine.Query{}, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
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
