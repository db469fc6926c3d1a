package scenario

import (
	"testing"
	"time"
)

func TestLost(t *testing.T) {
	const output = "PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.\n" +
		"[100.000000] 64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=1.58 ms\n" +
		"[100.100000] 64 bytes from 10.0.0.2: icmp_seq=2 ttl=64 time=1.58 ms\n" +
		"[100.150000] From 10.0.0.1 icmp_seq=3 Destination Host Unreachable\n" +
		"[100.400000] 64 bytes from 10.0.0.2: icmp_seq=5 ttl=64 time=1.58 ms\n"
	for _, c := range []struct {
		name           string
		output         string
		end            time.Time
		answered, lost int
	}{
		{"gap", output, time.UnixMilli(100_450), 3, 2},
		{"gap and silence", output, time.UnixMilli(101_450), 3, 12},
		{"never an answer", "PING\n", time.UnixMilli(100_000), 0, 0},
	} {
		answered, lost := lost(c.output, c.end)
		if answered != c.answered || lost != c.lost {
			t.Errorf("%s: %d answered, %d lost; want %d, %d", c.name, answered, lost, c.answered, c.lost)
		}
	}
}
