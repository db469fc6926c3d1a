package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"neutrino/lab"
	"neutrino/lab/client"
)

// BenchmarkFullHost is a host with 1,000 ports in 20 security groups of 20 rules with remote groups: how long a
// port takes from the API call to ACTIVE there, how long a restarted agent needs, what it has in memory, and how
// many pings are lost when the agent, and when Open vSwitch, is killed and started.
func BenchmarkFullHost(b *testing.B) {
	const ports, groups, rules = 1000, 20, 20
	dir, err := os.MkdirTemp("", "nb")
	must(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, demo, admin := raise(b, dir, "--hosts", "2")
	ctx := context.Background()
	create := func(c *client.Client, plural, singular string, o client.Object) client.Object {
		made, err := c.Create(ctx, plural, singular, o)
		must(b, err)
		return made
	}
	tenant := project(b, demo)
	_, err = admin.Do(ctx, "PUT", "/quotas/"+tenant, client.Object{"quota": client.Object{
		"port": -1, "security_group": -1, "security_group_rule": -1, "network": -1}})
	must(b, err)
	network := create(demo, "networks", "network", client.Object{})
	create(demo, "subnets", "subnet", client.Object{"network_id": network["id"], "ip_version": 4, "cidr": "10.10.0.0/16"})
	var ids []any
	for range groups {
		ids = append(ids, create(demo, "security-groups", "security_group", client.Object{"name": "g"})["id"])
	}
	for g, id := range ids {
		var list []any
		for r := range rules {
			list = append(list, client.Object{"security_group_id": id, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
				"port_range_min": 1000 + r, "port_range_max": 1000 + r, "remote_group_id": ids[(g+r)%groups]})
		}
		list = append(list, client.Object{"security_group_id": id, "direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"})
		_, err := demo.Do(ctx, "POST", "/security-group-rules", client.Object{"security_group_rules": list})
		must(b, err)
	}
	port := func(i int) client.Object {
		return client.Object{"project_id": tenant, "network_id": network["id"], "security_groups": []any{ids[i%groups]}, "binding:host_id": "h1",
			"device_owner": "compute:nova", "device_id": "full-" + strconv.Itoa(i)}
	}
	var plug [][]string // interfaces as a compute service makes them, 50 at a time
	for first := 0; first < ports; first += 50 {
		var list []any
		for i := range 50 {
			list = append(list, port(first+i))
		}
		made, err := admin.Do(ctx, "POST", "/ports", client.Object{"ports": list})
		must(b, err)
		var args []string
		for i, p := range made["ports"].([]any) {
			args = append(args, ofPort(fmt.Sprintf("full%d", first+i), p.(client.Object)["id"].(string))...)
		}
		plug = append(plug, args)
	}
	for _, args := range plug {
		_, err := l.Output("h1", append([]string{"ovs-vsctl", "--timeout=60"}, args...)...)
		must(b, err)
	}
	for name, host := range map[string]string{"va": "h1", "vb": "h2"} {
		p := create(demo, "ports", "port", client.Object{"network_id": network["id"], "security_groups": []any{ids[0]}})
		_, err := l.Boot(ctx, lab.BootRequest{Host: host, Name: name, Port: p["id"].(string), Compute: admin})
		must(b, err)
		wait, cancel := context.WithTimeout(ctx, 5*time.Minute)
		_, err = l.WaitLease(wait, name)
		cancel()
		must(b, err)
	}
	must(b, until(10*time.Minute, func() error {
		down, err := admin.List(ctx, "ports", "binding:host_id=h1&status=DOWN&limit=1&fields=id")
		if err == nil && len(down) > 0 {
			err = fmt.Errorf("port %v is DOWN", down[0]["id"])
		}
		return err
	}))
	address := guestAddress(b, l, "vb")

	for b.Loop() {
		// One more port: from the call that binds it, with its interface there, to ACTIVE.
		o := port(ports)
		delete(o, "binding:host_id")
		more := create(admin, "ports", "port", o)
		id := more["id"].(string)
		_, err := l.Output("h1", append([]string{"ovs-vsctl", "--timeout=60"}, ofPort("fullmore", id)...)...)
		must(b, err)
		time.Sleep(time.Second) // the switch has the interface
		began := time.Now()
		_, err = admin.Update(ctx, "ports", "port", id, client.Object{"binding:host_id": "h1"})
		must(b, err)
		must(b, lab.WaitActive(ctx, admin, id))
		one := time.Since(began)
		b.Logf("one more port: %v from the call that binds it to ACTIVE", one)
		b.ReportMetric(float64(one.Milliseconds()), "more-port-ms")
		_, err = l.Output("h1", "ovs-vsctl", "del-port", "fullmore")
		must(b, err)
		must(b, admin.Delete(ctx, "ports", id))

		// The agent.
		pings, err := l.StartPing("va", address)
		must(b, err)
		lives := len(convergences(b, l))
		must(b, l.KillAgent("h1"))
		must(b, l.StartAgent("h1"))
		must(b, until(2*time.Minute, func() error {
			if len(convergences(b, l)) == lives {
				return fmt.Errorf("the agent has not converged")
			}
			return nil
		}))
		took := convergences(b, l)[lives]
		tally, err := pings.Stop()
		must(b, err)
		b.Logf("the agent was killed and started: converged after %v, %d of %d pings lost, %.0f MB resident", took, len(tally.Lost), tally.Sent, agentMemory(b, l))
		b.ReportMetric(took.Seconds()*1000, "restart-ms")
		b.ReportMetric(float64(len(tally.Lost)), "agent-lost-pings")
		b.ReportMetric(agentMemory(b, l), "agent-MB")

		// The switch.
		pings, err = l.StartPing("va", address)
		must(b, err)
		must(b, l.KillOVS("h1", "vswitchd"))
		began = time.Now()
		must(b, until(2*time.Minute, func() error { return l.StartOVS(ctx, "h1") })) // a thousand devices take their time
		own := time.Since(began)
		must(b, until(2*time.Minute, func() error {
			_, err := l.Output("va", "ping", "-n", "-c1", "-W1", address)
			return err
		}))
		tally, err = pings.Stop()
		must(b, err)
		b.Logf("Open vSwitch was killed and started: it had its configuration after %v, the longest silence was %v", own, tally.Silence)
		b.ReportMetric(float64(own.Milliseconds()), "switch-start-ms") // Open vSwitch's own part
		b.ReportMetric(float64(tally.Silence.Milliseconds()), "switch-gap-ms")
	}
}

// ofPort makes an interface of a port as ovs-vsctl's words say it.
func ofPort(name, id string) []string {
	return []string{"--", "add-port", "br-int", name, "--", "set", "interface", name, "type=internal", "external_ids:iface-id=" + id}
}

// raise builds the program and raises a lab in dir, as args of lab up say.
func raise(b *testing.B, dir string, args ...string) (l *lab.Lab, demo, admin *client.Client) {
	b.Helper()
	build(b, filepath.Join(dir, "neutrino"))
	l, err := raiseNamed(b, dir, "bench", args...)
	must(b, err)
	demo, err = client.Login(context.Background(), l.CloudsFile(), "demo")
	must(b, err)
	admin, err = client.Login(context.Background(), l.CloudsFile(), "neutrino-admin")
	must(b, err)
	return l, demo, admin
}

// raiseNamed raises a lab in dir, by the program that was built there, for as long as the test runs.
func raiseNamed(tb testing.TB, dir, name string, args ...string) (*lab.Lab, error) {
	cmd := exec.Command(filepath.Join(dir, "neutrino"), append([]string{"lab", "up", "--name", name}, args...)...)
	cmd.Env = append(os.Environ(), "NEUTRINO_LAB_DIR="+filepath.Join(dir, "labs"), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("raise a lab: %w\n%s", err, out)
	}
	l, err := lab.OpenAt(filepath.Join(dir, "labs", name))
	if err == nil {
		tb.Cleanup(func() { _ = l.Down() })
	}
	return l, err
}

// build makes the program.
func build(tb testing.TB, binary string) {
	tb.Helper()
	cmd := exec.Command("go", "build", "-o", binary, "neutrino/cmd/neutrino")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build neutrino: %v\n%s", err, out)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// project is the project of a client.
func project(b *testing.B, c *client.Client) string {
	b.Helper()
	n, err := c.Create(context.Background(), "networks", "network", client.Object{})
	must(b, err)
	must(b, c.Delete(context.Background(), "networks", n["id"].(string)))
	return n["project_id"].(string)
}

func guestAddress(b *testing.B, l *lab.Lab, instance string) string {
	b.Helper()
	out, err := l.Output(instance, "ip", "-j", "-4", "addr", "show", "dev", "eth0")
	must(b, err)
	var shown []struct {
		Info []struct{ Local string } `json:"addr_info"`
	}
	must(b, json.Unmarshal([]byte(out), &shown))
	return shown[0].Info[0].Local
}

// convergences are how long the l2 manager of h1's agent took to converge, in each of its lives, as its log says.
func convergences(b *testing.B, l *lab.Lab) []time.Duration {
	b.Helper()
	log, err := os.ReadFile(l.Log("h1", "agent"))
	must(b, err)
	var list []time.Duration
	for line := range strings.Lines(string(log)) {
		var said struct{ Msg, Manager, Took string }
		if json.Unmarshal([]byte(line), &said) != nil || said.Msg != "converged" || said.Manager != "l2" {
			continue
		}
		took, err := time.ParseDuration(said.Took)
		must(b, err)
		list = append(list, took)
	}
	return list
}

// agentMemory is what h1's agent has resident, in MB.
func agentMemory(b *testing.B, l *lab.Lab) float64 {
	b.Helper()
	running, err := l.Services("h1")
	must(b, err)
	out, err := l.Output("h1", "sh", "-c", fmt.Sprintf("grep VmRSS /proc/%d/status", running["agent"]))
	must(b, err)
	kb, err := strconv.Atoi(strings.Fields(out)[1])
	must(b, err)
	return float64(kb) / 1024
}
