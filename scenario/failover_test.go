package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"neutrino/lab"
	"neutrino/lab/client"
)

// BenchmarkGatewayFailover is how long an instance hears nothing of the outside, and the outside nothing of another one's
// floating IP, when the host of their router's gateway loses its power, with OVN: with BFD between hosts as OVN has it, and
// tuned as docs/ovn.md says. What comes from outside waits until a gateway that has moved announces its addresses, which
// OVN does a second after it moved; what leaves does not.
func BenchmarkGatewayFailover(b *testing.B) {
	dir, err := os.MkdirTemp("", "nb")
	must(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, _, admin := raise(b, dir, "--driver", lab.OVN, "--hosts", "3")
	ctx := context.Background()
	create := func(plural, singular string, o client.Object) client.Object {
		b.Helper()
		made, err := admin.Create(ctx, plural, singular, o)
		must(b, err)
		return made
	}
	outside := create("networks", "network", client.Object{"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"})
	create("subnets", "subnet", client.Object{"network_id": outside["id"], "ip_version": 4, "cidr": lab.OutsideSubnet, "gateway_ip": lab.OutsideGateway, "enable_dhcp": false})
	network := create("networks", "network", client.Object{})
	subnet := create("subnets", "subnet", client.Object{"network_id": network["id"], "ip_version": 4, "cidr": "10.10.0.0/24"})
	router := create("routers", "router", client.Object{"external_gateway_info": client.Object{"network_id": outside["id"]}})
	_, err = admin.Do(ctx, "PUT", fmt.Sprintf("/routers/%s/add_router_interface", router["id"]), client.Object{"subnet_id": subnet["id"]})
	must(b, err)
	group := create("security-groups", "security_group", client.Object{"name": "pings"})
	create("security-group-rules", "security_group_rule", client.Object{"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"})

	gateway := func() (host string) {
		b.Helper()
		must(b, until(time.Minute, func() error {
			list, err := admin.List(ctx, "ports", "device_owner=network:router_gateway")
			if err != nil {
				return err
			}
			if host, _ = list[0]["binding:host_id"].(string); host == "" {
				return fmt.Errorf("the gateway is on no host")
			}
			return nil
		}))
		return host
	}
	// The instance is on a host that is not the gateway's first.
	home := "h1"
	if gateway() == home {
		home = "h2"
	}
	ports := map[string]any{}
	for _, name := range []string{"va", "vb"} {
		port := create("ports", "port", client.Object{"network_id": network["id"], "security_groups": []any{group["id"]}})
		ports[name] = port["id"]
		_, err = l.Boot(ctx, lab.BootRequest{Host: home, Name: name, Port: port["id"].(string), Compute: admin})
		must(b, err)
	}
	fip := create("floatingips", "floatingip", client.Object{"floating_network_id": outside["id"], "port_id": ports["va"]})["floating_ip_address"].(string)
	answers := func() error {
		if _, err := l.Output("vb", "ping", "-n", "-c1", "-W1", lab.OutsideFar); err != nil {
			return err
		}
		_, err := l.Output(lab.Outside, "ping", "-n", "-c1", "-W1", fip)
		return err
	}
	must(b, until(time.Minute, answers))

	for b.Loop() {
		for _, kind := range []string{"default", "tuned"} {
			if kind == "tuned" {
				nbctl(b, l, "set", "NB_Global", ".", "options:bfd-min-tx=100", "options:bfd-min-rx=100", "options:bfd-mult=3")
			}
			var inward, outward []float64
			for len(inward) < 3 {
				time.Sleep(10 * time.Second) // the chassis know one another, and the first of them has taken the gateway back
				host := gateway()
				if host == home {
					b.Fatalf("the gateway is where the instance is, on %s, which is to keep its power", home)
				}
				in, err := l.StartPing(lab.Outside, fip)
				must(b, err)
				out, err := l.StartPing("vb", lab.OutsideFar)
				must(b, err)
				must(b, l.PowerOff(host))
				must(b, until(time.Minute, answers))
				for pings, list := range map[*lab.Pinging]*[]float64{in: &inward, out: &outward} {
					tally, err := pings.Stop()
					must(b, err)
					*list = append(*list, tally.Silence.Seconds())
				}
				must(b, l.PowerOn(ctx, host))
				must(b, until(time.Minute, answers))
			}
			b.Logf("the gateway's host loses its power, BFD %s: an instance hears nothing for %.2f s %.2f, the outside for %.2f s %.2f",
				kind, median(outward), outward, median(inward), inward)
			b.ReportMetric(median(outward), kind+"-out-s")
			b.ReportMetric(median(inward), kind+"-in-s")
		}
	}
}

// nbctl changes a lab's northbound database by hand.
func nbctl(b *testing.B, l *lab.Lab, argv ...string) {
	b.Helper()
	_, err := l.Output(lab.Center, append([]string{"ovn-nbctl", "--db=unix:" + filepath.Join(l.Dir, "ovn", "nb.sock")}, argv...)...)
	must(b, err)
}
