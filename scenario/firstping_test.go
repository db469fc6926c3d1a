package scenario

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"neutrino/lab"
	"neutrino/lab/client"
)

// BenchmarkFirstPing is what Neutrino adds to OVN: how long a new port on a host with 100 others takes from the call
// that asks for it to its first ping, by our API and by ovn-nbctl alone, in turn, in one lab. Interfaces are made in
// the same way for both; the port that we make has a security group, too, and ovn-nbctl's has none.
func BenchmarkFirstPing(b *testing.B) {
	dir, err := os.MkdirTemp("", "nb")
	must(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, _, admin := raise(b, dir, "--driver", lab.OVN, "--hosts", "2")

	ways := []*firstPing{{lab: l, name: "ovn-nbctl"}, {lab: l, name: "neutrino"}}
	ways[0].port = func(n int, host string) (id, mac string) {
		id, mac = fmt.Sprintf("bare-%d", n), fmt.Sprintf("fa:16:3f:00:%02x:%02x", n>>8, n&255)
		nbctl(b, l, "lsp-add", "bare", id, "--", "lsp-set-addresses", id, mac+" "+firstAddress(n), "--", "lsp-set-port-security", id, mac+" "+firstAddress(n))
		return id, mac
	}
	nbctl(b, l, "ls-add", "bare")
	ctx := context.Background()
	network, err := admin.Create(ctx, "networks", "network", client.Object{})
	must(b, err)
	subnet, err := admin.Create(ctx, "subnets", "subnet", client.Object{"network_id": network["id"], "ip_version": 4, "cidr": "10.20.0.0/16"})
	must(b, err)
	ways[1].port = func(n int, host string) (id, mac string) {
		p, err := admin.Create(ctx, "ports", "port", client.Object{"network_id": network["id"], "binding:host_id": host, "device_owner": "compute:nova",
			"device_id": "first-" + strconv.Itoa(n), "fixed_ips": []any{client.Object{"subnet_id": subnet["id"], "ip_address": firstAddress(n)}}})
		must(b, err)
		return p["id"].(string), p["mac_address"].(string)
	}
	const others, rounds = 100, 15
	for _, w := range ways {
		must(b, w.plug(0, "h2"))
		for n := 1; n <= others; n++ {
			id, _ := w.port(n, "h1")
			_, err := l.Output("h1", append([]string{"ovs-vsctl", "--timeout=60"}, ofPort(w.device(n), id)...)...)
			must(b, err)
		}
		must(b, w.plug(others+1, "h1")) // all of what was before is in place when this one gets its answer
		must(b, w.ping(others+1))
	}
	next := others + 2
	for b.Loop() {
		took := map[string][]float64{}
		for range rounds {
			for _, w := range ways {
				began := time.Now()
				must(b, w.plug(next, "h1"))
				must(b, w.ping(next))
				took[w.name] = append(took[w.name], time.Since(began).Seconds())
			}
			next++
		}
		bare, ours := median(took["ovn-nbctl"]), median(took["neutrino"])
		b.Logf("to the first ping with %d other ports: %.0f ms by ovn-nbctl, %.0f ms by the API", others, 1000*bare, 1000*ours)
		b.ReportMetric(1000*bare, "ovn-nbctl-ms")
		b.ReportMetric(1000*ours, "neutrino-ms")
		b.ReportMetric(ours/bare, "ratio")
	}
}

// firstPing is one way to make a port.
type firstPing struct {
	lab  *lab.Lab
	name string
	port func(n int, host string) (id, mac string)
}

func firstAddress(n int) string { return fmt.Sprintf("10.20.%d.%d", 1+n>>8, n&255) }

// device is the interface of port n, and its namespace.
func (w *firstPing) device(n int) string { return fmt.Sprintf("%.3s%d", w.name, n) }

// plug makes port n, and an interface in a namespace of its own. Its neighbours are asked for every 10 ms: every second would
// be the measure otherwise.
func (w *firstPing) plug(n int, host string) error {
	id, mac := w.port(n, host)
	_, err := w.lab.Output(host, "sh", "-ec", `
		ovs-vsctl --timeout=60 add-port br-int $0 -- set interface $0 type=internal mac=\"$2\" external_ids:iface-id=$1
		ip netns add $0
		ip link set $0 netns $0
		ip -n $0 addr add $3/16 dev $0
		ip netns exec $0 sh -c 'echo 10 >/proc/sys/net/ipv4/neigh/$0/retrans_time_ms' $0
		ip -n $0 link set $0 up`, w.device(n), id, mac, firstAddress(n))
	return err
}

// ping asks from port n on h1 for the first port until it answers.
func (w *firstPing) ping(n int) error {
	out, err := w.lab.Output("h1", "sh", "-c", `for i in $(seq 600); do ip netns exec $0 ping -n -c1 -W0.05 $1 >/dev/null && exit; done; echo no answer; exit 1`,
		w.device(n), firstAddress(0))
	if err != nil {
		return fmt.Errorf("%s: %w: %s", w.name, err, strings.TrimSpace(out))
	}
	return nil
}
