package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"neutrino/lab"
	"neutrino/lab/client"
)

// BenchmarkDataPath measures TCP on four ways through one lab, three times in turn: with security groups, without
// port security, and with flows written by hand that do nothing but forward. Only the ratios say something of us:
// the switch and the machine are the same. Throughput depends on what else the machine does; the processor time of
// the switches for a gigabyte hardly does.
func BenchmarkDataPath(b *testing.B) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		b.Skipf("iperf3 is needed (scripts/install bench): %v", err)
	}
	p := newPaths(b)
	for b.Loop() {
		for range 3 {
			for _, way := range p.ways() {
				p.measure(way)
			}
		}
	}
	for _, way := range p.ways() {
		for _, kind := range []string{"by hand", "open", "grouped"} {
			rates, costs := p.rates[way.name+" "+kind], p.costs[way.name+" "+kind]
			b.Logf("%-12s %-8s %5.0f Mbit/s %3.0f %%   %5.1f s of processor time per GB %3.0f %%", way.name, kind,
				median(rates), 100*median(rates)/median(p.rates[way.name+" by hand"]),
				median(costs), 100*median(costs)/median(p.costs[way.name+" by hand"]))
		}
		name := strings.ReplaceAll(way.name, " ", "-")
		b.ReportMetric(100*median(p.costs[way.name+" open"])/median(p.costs[way.name+" by hand"]), name+"-open-cost-%")
		b.ReportMetric(100*median(p.costs[way.name+" grouped"])/median(p.costs[way.name+" by hand"]), name+"-grouped-cost-%")
	}
}

// paths is a lab with a self-service network, its router, and three instances: two on the router's host, one on
// the other.
type paths struct {
	b           *testing.B
	lab         *lab.Lab
	demo, admin *client.Client
	near, far   string            // the router's host, and the other one
	ports       map[string]string // instance → port id
	ip          map[string]string // instance → address
	floating    string            // of instance a
	vni         string
	rates       map[string][]float64 // way and kind → Mbit/s
	costs       map[string][]float64 // way and kind → seconds of the switches' processor time per GB
}

// way is one way through the lab.
type way struct {
	name, from, to string
	address        string
	byHand         func() // flows by hand, on switches that have none
}

func newPaths(b *testing.B) *paths {
	dir, err := os.MkdirTemp("", "nb") // short: paths of sockets have a limit
	must(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, demo, admin := raise(b, dir, "--hosts", "2")
	p := &paths{b: b, lab: l, demo: demo, admin: admin, ports: map[string]string{}, ip: map[string]string{}, rates: map[string][]float64{}, costs: map[string][]float64{}}
	ctx := context.Background()

	outside := p.create(p.admin, "networks", "network", client.Object{"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"})
	p.create(p.admin, "subnets", "subnet", client.Object{"network_id": outside["id"], "ip_version": 4, "cidr": lab.OutsideSubnet,
		"gateway_ip": lab.OutsideGateway, "enable_dhcp": false})
	network := p.create(p.demo, "networks", "network", client.Object{})
	subnet := p.create(p.demo, "subnets", "subnet", client.Object{"network_id": network["id"], "ip_version": 4, "cidr": "10.10.0.0/24"})
	router := p.create(p.demo, "routers", "router", client.Object{"external_gateway_info": client.Object{"network_id": outside["id"]}})
	_, err = p.demo.Do(ctx, "PUT", fmt.Sprintf("/routers/%s/add_router_interface", router["id"]), client.Object{"subnet_id": subnet["id"]})
	must(b, err)
	shown, err := p.admin.Show(ctx, "networks", "network", network["id"].(string))
	must(b, err)
	p.vni = fmt.Sprint(shown["provider:segmentation_id"])
	group := p.create(p.demo, "security-groups", "security_group", client.Object{"name": "all"})
	p.create(p.demo, "security-group-rules", "security_group_rule", client.Object{"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4"})

	p.near, p.far = "h1", "h2"
	if !p.eventually(func() bool {
		for _, h := range []string{"h1", "h2"} {
			if out, err := l.Output(h, "ip", "netns", "list"); err == nil && strings.Contains(out, "qrouter-") {
				p.near = h
				return true
			}
		}
		return false
	}) {
		b.Fatal("no host has the router")
	}
	if p.near == "h2" {
		p.far = "h1"
	}
	for name, host := range map[string]string{"a": p.near, "b": p.near, "c": p.far} {
		port := p.create(p.demo, "ports", "port", client.Object{"network_id": network["id"], "security_groups": []any{group["id"]}})
		p.ports[name] = port["id"].(string)
		p.ip[name] = port["fixed_ips"].([]any)[0].(client.Object)["ip_address"].(string)
		_, err := l.Boot(ctx, lab.BootRequest{Host: host, Name: name, Port: p.ports[name], Compute: p.admin})
		must(b, err)
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		_, err = l.WaitLease(wait, name)
		cancel()
		must(b, err)
	}
	fip := p.create(p.demo, "floatingips", "floatingip", client.Object{"floating_network_id": outside["id"], "port_id": p.ports["a"]})
	p.floating = fip["floating_ip_address"].(string)
	return p
}

func (p *paths) create(c *client.Client, plural, singular string, o client.Object) client.Object {
	p.b.Helper()
	made, err := c.Create(context.Background(), plural, singular, o)
	must(p.b, err)
	return made
}

func (p *paths) eventually(ok func() bool) bool {
	return until(time.Minute, func() error {
		if ok() {
			return nil
		}
		return fmt.Errorf("not yet")
	}) == nil
}

func (p *paths) output(where string, argv ...string) string {
	p.b.Helper()
	out, err := p.lab.Output(where, argv...)
	if err != nil {
		p.b.Fatalf("%s on %s: %v\n%s", strings.Join(argv, " "), where, err, out)
	}
	return strings.TrimSpace(out)
}

func (p *paths) ways() []way {
	return []way{
		{"L2", "a", "b", p.ip["b"], func() { p.join(p.near, "br-int", "tapa", "tapb") }},
		{"VXLAN", "a", "c", p.ip["c"], func() { p.tunnel(p.near, p.far, "tapa"); p.tunnel(p.far, p.near, "tapc") }},
		{"SNAT", "b", lab.Outside, lab.OutsideGateway, func() { p.routed("tapb") }},
		{"floating IP", lab.Outside, "a", p.floating, func() { p.routed("tapa") }},
	}
}

// join forwards between two ports of a bridge.
func (p *paths) join(host, bridge, one, other string) {
	p.flow(host, bridge, fmt.Sprintf("in_port=%s,actions=output:%s", one, other))
	p.flow(host, bridge, fmt.Sprintf("in_port=%s,actions=output:%s", other, one))
}

func (p *paths) flow(host, bridge, flow string) {
	p.output(host, "ovs-ofctl", "-O", "OpenFlow14", "--names", "add-flow", bridge, flow)
}

func (p *paths) tunnel(host, other, tap string) {
	number := strings.TrimPrefix(other, "h")
	p.join(host, "br-int", tap, "patch-tun")
	p.flow(host, "br-tun", fmt.Sprintf("in_port=patch-int,actions=set_field:172.29.0.%s->tun_dst,set_field:%s->tun_id,output:vxlan-sys", number, p.vni))
	p.flow(host, "br-tun", "in_port=vxlan-sys,actions=output:patch-int")
}

// routed forwards between an instance and the router, and between the router and the physical network.
func (p *paths) routed(tap string) {
	ports := map[string]string{} // prefix of the inner device → outer device
	for _, iface := range strings.Fields(p.output(p.near, "ovs-vsctl", "list-ports", "br-int")) {
		id := strings.Trim(p.output(p.near, "ovs-vsctl", "--if-exists", "get", "interface", iface, "external_ids:neutrino-namespace"), `"`)
		if !strings.HasPrefix(id, "qrouter-") {
			continue
		}
		for _, prefix := range []string{"qr-", "qg-"} {
			if _, err := p.lab.Output(p.near, "ip", "netns", "exec", id, "ip", "link", "show", prefix+strings.TrimPrefix(iface, "tap")); err == nil {
				ports[prefix] = iface
			}
		}
	}
	p.join(p.near, "br-int", tap, ports["qr-"])
	p.join(p.near, "br-int", ports["qg-"], "int-br-ex")
	p.join(p.near, "br-ex", "phy-br-ex", "eth2")
}

// measure takes the three kinds of a way one after another.
func (p *paths) measure(w way) {
	p.b.Helper()
	ctx := context.Background()
	note := func(kind string) {
		rate, cost := p.rate(w)
		p.rates[w.name+" "+kind] = append(p.rates[w.name+" "+kind], rate)
		p.costs[w.name+" "+kind] = append(p.costs[w.name+" "+kind], cost)
	}
	note("grouped")
	groups := map[string]any{}
	for _, instance := range []string{"a", "b", "c"} {
		port, err := p.demo.Show(ctx, "ports", "port", p.ports[instance])
		must(p.b, err)
		groups[instance] = port["security_groups"]
		_, err = p.admin.Update(ctx, "ports", "port", p.ports[instance], client.Object{"port_security_enabled": false, "security_groups": []any{}})
		must(p.b, err)
	}
	time.Sleep(time.Second) // the change has reached the hosts
	note("open")
	for _, host := range []string{p.near, p.far} {
		must(p.b, p.lab.KillAgent(host))
		for _, bridge := range []string{"br-int", "br-tun", "br-ex"} {
			p.output(host, "ovs-ofctl", "del-flows", bridge)
		}
	}
	w.byHand()
	note("by hand")
	for _, host := range []string{p.near, p.far} {
		for _, bridge := range []string{"br-int", "br-tun", "br-ex"} {
			p.output(host, "ovs-ofctl", "del-flows", bridge)
		}
		must(p.b, p.lab.StartAgent(host))
	}
	for instance, list := range groups {
		_, err := p.admin.Update(ctx, "ports", "port", p.ports[instance], client.Object{"port_security_enabled": true, "security_groups": list})
		must(p.b, err)
	}
	for _, to := range []string{p.ip["b"], p.ip["c"], lab.OutsideGateway} {
		if !p.eventually(func() bool { _, err := p.lab.Output("a", "ping", "-n", "-c1", "-W1", to); return err == nil }) {
			p.b.Fatalf("%s does not answer after the agents' return", to)
		}
	}
	time.Sleep(time.Second)
}

// rate is the throughput of a way, in Mbit/s, and what the switches need for it: seconds of processor time per GB.
func (p *paths) rate(w way) (rate, cost float64) {
	p.b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_, _ = p.lab.RunContext(ctx, lab.Command{Where: w.to, Argv: []string{"iperf3", "-s"}, Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
	}()
	defer func() { stop(); <-served }()
	var result struct {
		End struct {
			Received struct {
				Bytes float64 `json:"bytes"`
				Rate  float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	err := until(time.Minute, func() error {
		before := p.spent()
		out, err := p.lab.Output(w.from, "iperf3", "-J", "-t", "4", "--connect-timeout", "2000", "-c", w.address)
		cost = p.spent() - before
		if err == nil {
			err = json.Unmarshal([]byte(out), &result)
		}
		if err == nil && result.End.Received.Rate == 0 {
			err = fmt.Errorf("nothing was received: %s", out)
		}
		return err
	})
	if err != nil {
		p.b.Fatalf("%s: %v", w.name, err)
	}
	return result.End.Received.Rate / 1e6, cost / (result.End.Received.Bytes / 1e9)
}

// spent is the processor time of both hosts' switches so far, in seconds.
func (p *paths) spent() float64 {
	p.b.Helper()
	total := 0
	for _, host := range []string{p.near, p.far} {
		running, err := p.lab.Services(host)
		must(p.b, err)
		_, after, _ := strings.Cut(p.output(host, "cat", fmt.Sprintf("/proc/%d/stat", running["vswitchd"])), ") ")
		for _, ticks := range strings.Fields(after)[11:13] {
			n, err := strconv.Atoi(ticks)
			must(p.b, err)
			total += n
		}
	}
	return float64(total) / 100
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
