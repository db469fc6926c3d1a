package l2

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"neutrino/address"
	"neutrino/desired"
)

// A list that one flow has no room for reaches everybody by several.
func TestFloodsInPieces(t *testing.T) {
	whole := perFlow
	perFlow = 3
	defer func() { perFlow = whole }()
	b := newBench(t)
	b.external()
	shared := macOf(0x5000)
	items := []desired.Item{vxlan("net", 100), group("g")}
	var secure, open []string
	for i := range 8 {
		p := port(fmt.Sprintf("p%d", i), "net", 10+i, "g")
		p.AddressPairs = []desired.AddressPair{{MAC: shared, IP: netip.MustParsePrefix("10.1.0.0/16")}}
		if p.PortSecurity = i%2 == 0; p.PortSecurity {
			secure = append(secure, p.ID)
		} else {
			open = append(open, p.ID)
		}
		items = append(items, p)
	}
	for i := range 7 {
		host := fmt.Sprintf("far-%d", i)
		far := port("on-"+host, "net", 100+i)
		far.Host = host
		items = append(items, far, &desired.Host{Name: host, TunnelIP: netip.AddrFrom4([4]byte{172, 29, 1, byte(1 + i)})})
	}
	b.apply(items...)
	for _, id := range append(secure, open...) {
		b.plug(id)
	}
	b.settled()
	others := append(secure[1:], open...)
	b.reaches("a broadcast", "p0", arp(1, macOf(10), macOf(10), ip4(10), broadcast, ip4(200)), others...)
	b.reaches("an address that all may use", "p0", arp(2, macOf(10), macOf(10), ip4(10), shared, ip4(200)), others...)
	b.reaches("an unknown address", "p0", arp(2, macOf(10), macOf(10), ip4(10), macOf(0x7777), ip4(200)), open...)
	trace := b.run("ovs-appctl", "-t", b.path("vs.ctl"), "ofproto/trace", "br-int",
		fmt.Sprintf("in_port=%d,arp,dl_src=%s,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_sha=%[2]s,arp_spa=10.0.0.10,arp_tpa=10.0.0.200",
			b.manager.facts.ports["p0"].OFPort, macOf(10)))
	for i := range 7 {
		if want := fmt.Sprintf("set_field:172.29.1.%d->tun_dst", 1+i); strings.Count(trace, want) != 1 {
			t.Errorf("a broadcast does not go to host %d once:\n%s", i, trace)
		}
	}
}

func TestEveryPieceFitsAFlow(t *testing.T) {
	n := vxlan("net", 100)
	var locals []localPort
	var hosts []netip.Addr
	for i := range 5000 {
		p := port(fmt.Sprintf("p%d", i), "net", i)
		p.AddressPairs = []desired.AddressPair{{MAC: address.MAC{2, 0, 0, 0, 0, 1}, IP: netip.MustParsePrefix("10.1.0.0/16")}}
		locals = append(locals, localPort{p, place{ofport: uint32(i + 1)}, true})
		hosts = append(hosts, netip.AddrFrom16([16]byte{0xfd, 14: byte(i >> 8), 15: byte(i)}))
	}
	flows := append(networkFlows(n, way{vlan: 7, out: 9}, locals), tunnelFlows(n, 7, hosts, 3, 4)...)
	if len(flows) < 15 {
		t.Errorf("only %d flows", len(flows))
	}
	for _, f := range flows {
		if err := f.Check(); err != nil {
			t.Errorf("table %d, priority %d: %v", f.Table, f.Priority, err)
		}
	}
}
