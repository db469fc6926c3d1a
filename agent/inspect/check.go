package inspect

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/agent/l2"
	"neutrino/desired"
)

// Finding is one thing that was looked at.
type Finding struct {
	Subject string `json:"subject"` // host, or network and its id
	OK      bool   `json:"ok"`
	What    string `json:"what"`
	Mend    string `json:"mend,omitempty"` // what to type, or to do
}

func failed(all []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(all), func(f Finding) bool { return f.OK })
}

// findings collects what is found of one subject.
type findings struct {
	subject string
	all     []Finding
}

// expect notes that something is as it should be, or what to do about it; it gives ok back.
func (f *findings) expect(ok bool, good, bad, mend string) bool {
	if ok {
		f.all = append(f.all, Finding{Subject: f.subject, OK: true, What: good})
	} else {
		f.all = append(f.all, Finding{Subject: f.subject, What: bad, Mend: mend})
	}
	return ok
}

// The mends that come more than once.
const (
	startOVS     = "systemctl restart openvswitch-switch"
	restartAgent = "systemctl restart neutrino-agent"
)

// Check looks for what breaks networks: the host's parts first, then the way of each network that the host has from
// the local VLAN to the cable, in the order in which packets go. network "" is all of them. It is pure but for what
// the kernel says of its modules.
func Check(l Layout, state *desired.State, f *Facts, network string) []Finding {
	c := newComparer(l, state, f)
	var out []Finding
	if network == "" || f.database != nil {
		out = append(out, c.host()...)
	}
	if f.database != nil {
		return out // of the rest nothing is known
	}
	ids := []string{network}
	if network == "" {
		ids = nil
		for id := range state.Networks {
			if c.has(id) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
	}
	for _, id := range ids {
		n := state.Networks[id]
		if n == nil {
			out = append(out, Finding{Subject: "network " + id, What: "the host does not have this network: no port of it is bound here",
				Mend: "openstack port list --network " + id + " -c ID -c binding_host_id (as administrator)"})
			continue
		}
		n = l2.Options{Host: l.Host, TunnelIP: l.TunnelIP, Mappings: l.Mappings}.Here(n)
		out = append(out, c.chain(n)...)
		out = append(out, c.bridges(n)...)
		out = append(out, c.places(n)...)
	}
	return out
}

// host looks at the parts that all networks need.
func (c comparer) host() []Finding {
	f := &findings{subject: "host"}
	if !f.expect(c.facts.database == nil, "Open vSwitch's database answers", fmt.Sprintf("Open vSwitch's database does not answer: %v", c.facts.database), startOVS) {
		return f.all
	}
	brInt, there := c.facts.Bridges["br-int"]
	if !f.expect(there, "bridge br-int is there", "there is no bridge br-int: the agent makes it when it starts", restartAgent) {
		return f.all
	}
	f.expect(brInt.failed == nil, "ovs-vswitchd runs and answers for br-int", fmt.Sprintf("ovs-vswitchd does not answer for br-int: %v", brInt.failed), startOVS)
	f.expect(brInt.FailMode == "secure", "br-int lets nothing pass without flows (fail_mode secure)", "br-int is not in fail_mode secure", "ovs-vsctl set-fail-mode br-int secure")
	c.datapath(f, brInt.DatapathType)
	c.tunnels(f)
	c.shared(f)
	return f.all
}

// datapath looks for what the switch's datapath needs of the kernel.
func (c comparer) datapath(f *findings, have string) {
	if have == "" {
		have = "system"
	}
	if want := c.layout.Datapath; want != "" {
		f.expect(have == want, "br-int has the datapath "+have, fmt.Sprintf("br-int has the datapath %s, the agent is told %s", have, want),
			"ovs-vsctl set bridge br-int datapath_type="+want)
	}
	if have == "netdev" {
		_, err := os.Stat("/dev/net/tun")
		f.expect(err == nil, "the userspace datapath has /dev/net/tun", "the userspace datapath has no /dev/net/tun", "modprobe tun")
		return
	}
	_, err := os.Stat("/sys/module/openvswitch")
	f.expect(err == nil, "the kernel module openvswitch is loaded", "the kernel module openvswitch is not loaded", "modprobe openvswitch && "+startOVS)
}

// overhead is what a tunnel adds to a packet, in bytes: its own headers, the inner Ethernet header and UDP or GRE,
// without the outer IP header.
var overhead = map[string]int{"vxlan": 30, "geneve": 30, "gre": 22}

// tunnels looks at what networks in tunnels need.
func (c comparer) tunnels(f *findings) {
	needed := 0
	kinds := map[string]bool{}
	outer := 20
	if c.layout.TunnelIP.Is6() && !c.layout.TunnelIP.Is4In6() {
		outer = 40
	}
	for _, n := range c.state.Networks {
		if more := overhead[n.Type]; more != 0 {
			needed = max(needed, n.MTU+more+outer)
			kinds[n.Type] = true
		}
	}
	if len(kinds) == 0 {
		return
	}
	ip := c.layout.TunnelIP
	if !f.expect(ip.IsValid(), "tunnels begin at "+ip.String(), "networks run in tunnels, but the host has no tunnel address",
		"set local_ip in openvswitch_agent.ini (or --tunnel-ip) and "+restartAgent) {
		return
	}
	device, found := Device{}, false
	for _, d := range c.facts.Devices {
		for _, a := range d.Addresses {
			if a.Addr() == ip {
				device, found = d, true
			}
		}
	}
	if f.expect(found, fmt.Sprintf("%s is on %s", ip, device.Name), fmt.Sprintf("no interface has the tunnel address %s", ip), fmt.Sprintf("ip addr add %s/PREFIX dev NIC", ip)) {
		f.expect(device.Up, device.Name+" is up", device.Name+" is down", "ip link set "+device.Name+" up")
		f.expect(device.MTU >= needed, fmt.Sprintf("the MTU of %s, %d, has room for tunnel packets of %d bytes", device.Name, device.MTU, needed),
			fmt.Sprintf("the MTU of %s is %d: tunnel packets of %d bytes don't pass", device.Name, device.MTU, needed),
			fmt.Sprintf("ip link set %s mtu %d (and on the switches between the hosts), or lower global_physnet_mtu and the networks' MTUs", device.Name, needed))
	}
	_, _, joined := c.facts.patches("br-int", "br-tun")
	f.expect(joined, "patch ports join br-int and br-tun", "no patch ports join br-int and br-tun", restartAgent)
	for kind := range kinds {
		i := slices.IndexFunc(c.facts.Bridges["br-tun"].Ports, func(p port) bool { return p.Type == kind })
		if f.expect(i >= 0, "br-tun has a "+kind+" port", "br-tun has no "+kind+" port", restartAgent) {
			p := c.facts.Bridges["br-tun"].Ports[i]
			f.expect(p.Error == "" && p.OFPort != 0, p.Name+" works", p.Name+" does not work: "+p.Error, "ovs-vsctl list interface "+p.Name+"; "+startOVS)
		}
	}
}

// chain follows a network from its local VLAN to the cable: the guide's troubleshooting, step by step. What comes
// after a broken link that it needs is not looked at.
func (c comparer) chain(n *desired.Network) []Finding {
	f := &findings{subject: "network " + n.ID}
	if !f.expect(n.AdminStateUp, "the network is "+segment(n), "the network is administratively down", "openstack network set --enable "+n.ID) {
		return f.all
	}
	vlan := c.facts.vlan(n.ID)
	if n.Type != "flat" && n.Type != "vlan" {
		return f.all
	}
	bridge := c.layout.Mappings[n.Physical]
	if !f.expect(bridge != "", fmt.Sprintf("bridge_mappings has %s:%s", n.Physical, bridge),
		fmt.Sprintf("the network is on physical network %q, which is not in this host's bridge_mappings (%s)", n.Physical, mappingsText(c.layout.Mappings)),
		fmt.Sprintf("add %s:BRIDGE to bridge_mappings in openvswitch_agent.ini (or --bridge-mapping) and %s", n.Physical, restartAgent)) {
		return f.all
	}
	if _, there := c.facts.Bridges[bridge]; !f.expect(there, "bridge "+bridge+" is there", "there is no bridge "+bridge, "ovs-vsctl add-br "+bridge+" && ovs-vsctl add-port "+bridge+" NIC") {
		return f.all
	}
	inside, outside, joined := c.facts.patches("br-int", bridge)
	if f.expect(joined, fmt.Sprintf("patch ports %s and %s join br-int and %s", inside.Name, outside.Name, bridge),
		fmt.Sprintf("no patch ports join br-int and %s", bridge), restartAgent+" (it makes int-"+bridge+" and phy-"+bridge+")") {
		c.crossing(f, n, bridge, vlan, inside, outside)
	}
	c.cable(f, n, bridge)
	return f.all
}

// crossing looks for the flows that change the VLAN between the bridges.
func (c comparer) crossing(f *findings, n *desired.Network, bridge string, vlan int, inside, outside port) {
	if inside.OFPort == 0 || outside.OFPort == 0 {
		f.expect(false, "", fmt.Sprintf("patch port %s or %s has no OpenFlow port: %s%s", inside.Name, outside.Name, inside.Error, outside.Error), startOVS)
		return
	}
	if vlan == 0 {
		f.expect(false, "", "the network has no local VLAN: no port of it is plugged into br-int yet", "ovs-vsctl show (is the instance's port there?); "+restartAgent)
		return
	}
	in, out := l2.Crossing(n, uint16(vlan), uint32(inside.OFPort), uint32(outside.OFPort))
	f.expect(c.facts.Bridges[bridge].has(out), fmt.Sprintf("%s changes local VLAN %d into what the cable has", bridge, vlan),
		fmt.Sprintf("%s has no flow that changes local VLAN %d into what the cable has: %s", bridge, vlan, out), "ovs-ofctl dump-flows "+bridge+"; "+restartAgent)
	f.expect(c.facts.Bridges["br-int"].has(in), fmt.Sprintf("br-int gives what comes by %s the local VLAN %d", inside.Name, vlan),
		fmt.Sprintf("br-int has no flow that gives what comes by %s the local VLAN %d: %s", inside.Name, vlan, in), "ovs-ofctl dump-flows br-int; "+restartAgent)
}

// cable looks for the interface by which a bridge reaches its physical network.
func (c comparer) cable(f *findings, n *desired.Network, bridge string) {
	var cables []port
	for _, p := range c.facts.Bridges[bridge].Ports {
		if p.Type != "internal" && p.Type != "patch" && p.Name != bridge {
			cables = append(cables, p)
		}
	}
	if len(cables) == 0 {
		f.expect(false, "", "no physical interface is in "+bridge, "ovs-vsctl add-port "+bridge+" NIC && ip link set NIC up")
		return
	}
	for _, p := range cables {
		d, there := c.facts.Devices[p.Name]
		switch {
		case p.Error != "":
			f.expect(false, "", fmt.Sprintf("interface %s in %s does not work: %s", p.Name, bridge, p.Error), "ip link show "+p.Name+"; ovs-vsctl list interface "+p.Name)
		case !there && p.Type == "":
			f.expect(false, "", fmt.Sprintf("interface %s in %s is not there", p.Name, bridge), "ip link show; ovs-vsctl del-port "+bridge+" "+p.Name)
		case !there:
			f.expect(true, fmt.Sprintf("interface %s (%s) is in %s", p.Name, p.Type, bridge), "", "")
		case !d.Up:
			f.expect(false, "", fmt.Sprintf("interface %s in %s is down", p.Name, bridge), "ip link set "+p.Name+" up")
		case d.Device.Down:
			f.expect(false, "", fmt.Sprintf("interface %s in %s has no carrier", p.Name, bridge), "look at the cable and the switch's port")
		case d.MTU < n.MTU:
			f.expect(false, "", fmt.Sprintf("interface %s has the MTU %d, the network %d", p.Name, d.MTU, n.MTU), fmt.Sprintf("ip link set %s mtu %d, or openstack network set --mtu %d %s", p.Name, n.MTU, d.MTU, n.ID))
		default:
			f.expect(true, fmt.Sprintf("interface %s is in %s and up", p.Name, bridge), "", "")
		}
	}
}

// places looks for the namespace from which a network is served, and those of routers on it.
func (c comparer) places(n *desired.Network) []Finding {
	f := &findings{subject: "network " + n.ID}
	place := func(what, namespace string) {
		_, there := c.facts.Spaces[namespace]
		f.expect(there, what+" has the namespace "+namespace, what+" has no namespace "+namespace, "journalctl -u neutrino-agent; "+restartAgent)
	}
	if slices.Contains(c.layout.Roles, "dhcp") && dhcp.ServedBy(c.state, n.ID, c.layout.Host) != nil {
		place("DHCP", "qdhcp-"+n.ID)
	}
	if slices.Contains(c.layout.Roles, "l3") {
		for _, r := range c.state.Routers {
			if slices.ContainsFunc(r.Interfaces, func(p desired.RouterPort) bool { return p.NetworkID == n.ID }) {
				place("router "+r.ID, "qrouter-"+r.ID)
			}
		}
	}
	return f.all
}

func mappingsText(mappings map[string]string) string {
	if len(mappings) == 0 {
		return "none"
	}
	var all []string
	for physical, bridge := range mappings {
		all = append(all, physical+":"+bridge)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// maxSkew is how far the clocks of a host and its server may be apart.
const maxSkew = 5 * time.Second

// CheckServers asks each server whether it is there, what time it has, and whether it takes the secret.
func CheckServers(ctx context.Context, l Layout, secret string) []Finding {
	f := &findings{subject: "host"}
	trust, err := agent.Trust(l.CAFile)
	if err != nil {
		f.expect(false, "", "no https server can be checked: "+err.Error(), "mend [neutrino] cafile and "+restartAgent)
		return f.all
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: trust, Proxy: http.ProxyFromEnvironment}}
	defer client.CloseIdleConnections()
	for _, server := range l.Servers {
		// A stream of no host is refused for that, but only to whoever shows the secret.
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/agent/v1/stream?host=", nil)
		if err != nil {
			f.expect(false, "", fmt.Sprintf("%s is no server's address: %v", server, err), "set --server and "+restartAgent)
			continue
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		asked := time.Now()
		resp, err := client.Do(req)
		if !f.expect(err == nil, "server "+server+" answers", fmt.Sprintf("server %s does not answer: %v", server, err), "curl -i "+server+"/healthcheck; on the server: systemctl restart neutrino-server") {
			continue
		}
		_ = resp.Body.Close()
		f.expect(resp.StatusCode != http.StatusUnauthorized, "the server takes our secret", "the server does not take our secret", "copy agent-secret from the server's state directory to this host and "+restartAgent)
		theirs, err := http.ParseTime(resp.Header.Get("Date"))
		if err != nil {
			continue
		}
		skew := theirs.Sub(asked).Abs()
		f.expect(skew < maxSkew, "the clocks of host and server agree", fmt.Sprintf("the clocks of host and server are %s apart", skew.Round(time.Second)), "systemctl restart chrony (or your time service) on both")
	}
	return f.all
}
