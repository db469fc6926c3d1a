package reach

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"

	"neutrino/address"
)

// Action is a call of the API, or something done to an instance.
type Action struct {
	// Verb is POST, PUT or DELETE; or PLUG and UNPLUG, which have the instance of the port Name come and go.
	Verb string
	Path string // collection, or collection/$NAME; below it an action
	Name string // POST: under which the answer's id is known from then on
	Body Object // attributes; text beginning with "$" is the id of what has that name
}

// Object is JSON's.
type Object = map[string]any

func (a Action) String() string {
	return fmt.Sprintf("%s %s %s %v", a.Verb, a.Path, a.Name, a.Body)
}

// Generator makes a random cloud, changes it step by step, and makes packets for it. Equal seeds give equal histories.
type Generator struct {
	Cloud *Cloud

	r     *rand.Rand
	hosts int
	made  int // counts names and addresses
	todo  []Action
}

// NewGenerator begins with nothing. hosts is how many hosts there are: h1, h2, ….
func NewGenerator(seed uint64, hosts int) *Generator {
	return &Generator{r: rand.New(rand.NewPCG(seed, 0)), hosts: hosts, Cloud: &Cloud{
		Networks: map[string]*Network{}, Routers: map[string]*Router{}, Ports: map[string]*Port{}, Groups: map[string]*Group{}, AddressGroups: map[string][]netip.Prefix{},
		FloatingIPs: map[string]*FloatingIP{},
	}}
}

func (g *Generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *Generator) do(verb, path, name string, body Object) {
	g.todo = append(g.todo, Action{Verb: verb, Path: path, Name: name, Body: body})
}

func (g *Generator) done() []Action {
	todo := g.todo
	g.todo = nil
	return todo
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// names are a map's keys in order, so that equal seeds pick equal ones.
func names[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// Begin makes networks of several kinds, routers, groups, and so many ports.
func (g *Generator) Begin(ports int) []Action {
	for i, families := range [][]int{{4, 6}, {4}, {4, 6}, {6, 4, 4}} {
		g.network(i, families)
	}
	for i, networks := range [][]string{{"n0", "n1"}, {"n2", "n3"}, {"n0", "n3"}} {
		name := fmt.Sprintf("r%d", i)
		g.Cloud.Routers[name] = &Router{}
		g.do("POST", "routers", name, Object{"name": name})
		for _, n := range networks {
			for _, s := range g.Cloud.Networks[n].Subnets {
				if i < 2 || g.chance(50) {
					g.join(name, n, s)
				}
			}
		}
	}
	for i := range 2 {
		g.addressGroup(fmt.Sprintf("ag%d", i))
	}
	for i := range 6 {
		g.group(fmt.Sprintf("g%d", i), i >= 4)
	}
	for _, name := range names(g.Cloud.Groups) {
		for range 1 + g.r.IntN(5) {
			g.addRule(name)
		}
	}
	for range ports {
		g.addPort()
	}
	for i, families := range [][]int{{4, 6}, {6, 4}, {4}} {
		g.external(i, families)
	}
	for _, way := range [][2]string{{"r0", "e0"}, {"r0", "e1"}, {"r1", "e1"}, {"r1", "e2"}, {"r2", "e2"}} {
		g.addGateway(way[0], way[1])
	}
	for range 2 * len(g.Cloud.Routers) {
		g.addFloatingIP(pick(g.r, names(g.Cloud.Routers)))
	}
	return g.done()
}

// network makes one with subnets of the families named; the third is a VLAN.
func (g *Generator) network(i int, families []int) {
	name := fmt.Sprintf("n%d", i)
	body := Object{"name": name}
	if i == 2 {
		body["provider:network_type"], body["provider:physical_network"], body["provider:segmentation_id"] = "vlan", "physnet1", 150
	}
	g.do("POST", "networks", name, body)
	n := &Network{}
	g.Cloud.Networks[name] = n
	for j, family := range families {
		cidr := netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", 10+i, j))
		if family == 6 {
			cidr = netip.MustParsePrefix(fmt.Sprintf("fd00:%d:%d::/64", 10+i, j))
		}
		s := &Subnet{Name: fmt.Sprintf("%s-s%d", name, j), CIDR: cidr}
		n.Subnets = append(n.Subnets, s)
		g.do("POST", "subnets", s.Name, Object{"name": s.Name, "network_id": "$" + name, "ip_version": family, "cidr": cidr.String(), "enable_dhcp": false})
	}
}

// at is the nth address of a subnet.
func at(s *Subnet, n int) netip.Addr {
	b := s.CIDR.Addr().AsSlice()
	b[len(b)-1] = byte(n)
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (g *Generator) mac() address.MAC {
	g.made++
	return address.MAC{0xfa, 0x16, 0x3e, 0x01, byte(g.made >> 8), byte(g.made)}
}

// join gives a router an interface on a subnet that has none of its own: the first by the gateway's address.
func (g *Generator) join(router, network string, s *Subnet) {
	r := g.Cloud.Routers[router]
	last := 1
	for other, x := range g.Cloud.Routers {
		for _, in := range x.Interfaces {
			if in.Subnet != s {
				continue
			}
			if other == router {
				return
			}
			last = 2 + int(router[1]-'0')
		}
	}
	mac := g.mac()
	in := &Interface{Name: fmt.Sprintf("i%d", g.made), Network: network, Subnet: s, MAC: mac, IP: at(s, last)}
	r.Interfaces = append(r.Interfaces, in)
	g.do("POST", "ports", in.Name, Object{"name": in.Name, "network_id": "$" + network, "mac_address": in.MAC.String(),
		"fixed_ips": []any{Object{"subnet_id": "$" + s.Name, "ip_address": in.IP.String()}}})
	g.do("PUT", "routers/$"+router+"/add_router_interface", "", Object{"port_id": "$" + in.Name})
}

func (g *Generator) leave(router string, in *Interface) {
	r := g.Cloud.Routers[router]
	r.Interfaces = slices.DeleteFunc(r.Interfaces, func(x *Interface) bool { return x == in })
	g.do("PUT", "routers/$"+router+"/remove_router_interface", "", Object{"port_id": "$" + in.Name})
}

func (g *Generator) addressGroup(name string) {
	var list []netip.Prefix
	for range 1 + g.r.IntN(2) {
		if p := g.prefix(g.chance(40)).Masked(); !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	if _, there := g.Cloud.AddressGroups[name]; there {
		g.do("PUT", "address-groups/$"+name+"/remove_addresses", "", Object{"addresses": texts(g.Cloud.AddressGroups[name])})
		g.do("PUT", "address-groups/$"+name+"/add_addresses", "", Object{"addresses": texts(list)})
	} else {
		g.do("POST", "address-groups", name, Object{"name": name, "addresses": texts(list)})
	}
	g.Cloud.AddressGroups[name] = list
}

func texts[T fmt.Stringer](list []T) []any {
	out := []any{}
	for _, x := range list {
		out = append(out, x.String())
	}
	return out
}

// prefix is one that has some ports' addresses in it, or what is far; it may have host bits.
func (g *Generator) prefix(ipv6 bool) netip.Prefix {
	if g.chance(20) {
		for _, a := range far {
			if a.Is6() == ipv6 {
				return netip.PrefixFrom(a, a.BitLen()-8)
			}
		}
	}
	var list []*Subnet
	for _, n := range g.networks(false) {
		for _, s := range g.Cloud.Networks[n].Subnets {
			if s.CIDR.Addr().Is6() == ipv6 {
				list = append(list, s)
			}
		}
	}
	s := pick(g.r, list)
	a := at(s, 10+g.r.IntN(12))
	return netip.PrefixFrom(a, a.BitLen()-pick(g.r, []int{0, 2, 3, 8}))
}

// group makes a group, which has the two rules that the API gives a new one.
func (g *Generator) group(name string, stateless bool) {
	g.do("POST", "security-groups", name, Object{"name": name, "stateful": !stateless})
	g.Cloud.Groups[name] = &Group{Stateless: stateless, Rules: []*Rule{
		{Name: name + "-IPv4", Protocol: Any, Min: Any, Max: Any}, {Name: name + "-IPv6", IPv6: true, Protocol: Any, Min: Any, Max: Any},
	}}
	if g.chance(40) {
		g.removeRule(name, 0)
	}
}

func (g *Generator) removeRule(group string, i int) {
	x := g.Cloud.Groups[group]
	g.do("DELETE", "security-group-rules/$"+x.Rules[i].Name, "", nil)
	x.Rules = slices.Delete(x.Rules, i, i+1)
}

// ranges are the ports that rules name, and around which packets go.
var ranges = [][2]int{{80, 80}, {80, 90}, {1, 65535}, {1024, 2047}, {Any, Any}}

func (g *Generator) addRule(group string) {
	x := g.Cloud.Groups[group]
	r := &Rule{Ingress: g.chance(70), IPv6: g.chance(35), Min: Any, Max: Any}
	icmp, icmpNames, echo := ICMP, []any{"icmp", 1, "1"}, 8
	if r.IPv6 {
		icmp, icmpNames, echo = ICMPv6, []any{"ipv6-icmp", "icmpv6", "icmp", 58}, 128
	}
	r.Protocol = pick(g.r, []int{Any, icmp, icmp, TCP, TCP, UDP, UDP, SCTP, 112})
	body := Object{"security_group_id": "$" + group, "direction": "egress", "ethertype": "IPv4"}
	if r.Ingress {
		body["direction"] = "ingress"
	}
	if r.IPv6 {
		body["ethertype"] = "IPv6"
	}
	switch r.Protocol {
	case Any:
	case icmp:
		body["protocol"] = pick(g.r, icmpNames)
		if g.chance(40) {
			r.Min = echo
			body["port_range_min"] = r.Min
			if g.chance(50) {
				r.Max = 0
				body["port_range_max"] = 0
			}
		}
	case 112:
		body["protocol"] = pick(g.r, []any{"vrrp", 112})
	default:
		body["protocol"] = map[int]any{TCP: pick(g.r, []any{"tcp", 6}), UDP: "udp", SCTP: "sctp"}[r.Protocol]
		ports := pick(g.r, ranges)
		if r.Min, r.Max = ports[0], ports[1]; r.Min != Any {
			body["port_range_min"], body["port_range_max"] = r.Min, r.Max
		}
	}
	switch g.r.IntN(5) {
	case 0:
		r.Prefix = g.prefix(r.IPv6)
		body["remote_ip_prefix"] = r.Prefix.String()
	case 1, 2:
		r.Group = pick(g.r, names(g.Cloud.Groups))
		body["remote_group_id"] = "$" + r.Group
	case 3:
		r.AddressGroup = pick(g.r, names(g.Cloud.AddressGroups))
		body["remote_address_group_id"] = "$" + r.AddressGroup
	}
	if slices.ContainsFunc(x.Rules, func(o *Rule) bool { return r.same(o) }) {
		return // the API refuses the second of two equal rules
	}
	g.made++
	r.Name = fmt.Sprintf("rule%d", g.made)
	x.Rules = append(x.Rules, r)
	g.do("POST", "security-group-rules", r.Name, body)
}

func (r *Rule) same(o *Rule) bool {
	a, b := *r, *o
	a.Name, b.Name = "", ""
	a.Prefix, b.Prefix = a.Prefix.Masked(), b.Prefix.Masked()
	return a == b
}

// addPort makes a port on some host, and its instance.
func (g *Generator) addPort() {
	network := pick(g.r, g.networks(false))
	n := g.Cloud.Networks[network]
	mac := g.mac()
	p := &Port{Name: fmt.Sprintf("p%d", g.made), Network: network, Host: fmt.Sprintf("h%d", 1+g.r.IntN(g.hosts)), MAC: mac}
	last := 10 + g.made%90
	for slices.ContainsFunc(names(g.Cloud.Ports), func(other string) bool {
		o := g.Cloud.Ports[other]
		return o.Network == network && slices.Contains(o.Extra, at(n.Subnets[0], last+100))
	}) {
		last = 10 + (last-9)%90
	}
	fixed, bare := []any{}, g.chance(12) // may send as its allowed address pairs only
	for i, s := range n.Subnets {
		if bare || i > 0 && g.chance(30) {
			continue
		}
		p.IPs = append(p.IPs, at(s, last))
		fixed = append(fixed, Object{"subnet_id": "$" + s.Name, "ip_address": at(s, last).String()})
	}
	for _, s := range n.Subnets {
		p.Extra = append(p.Extra, at(s, last+100))
	}
	g.Cloud.Ports[p.Name] = p
	body := Object{"name": p.Name, "network_id": "$" + network, "mac_address": mac.String(), "fixed_ips": fixed}
	maps.Copy(body, g.security(p))
	g.do("POST", "ports", p.Name, body)
	g.do("PLUG", "", p.Name, nil)
}

// security draws what guards a port, and gives it as the API's attributes.
func (g *Generator) security(p *Port) Object {
	p.Groups, p.Pairs, p.Insecure = nil, nil, g.chance(15)
	if !p.Insecure {
		stateless := g.chance(30)
		for _, name := range names(g.Cloud.Groups) {
			if g.Cloud.Groups[name].Stateless == stateless && g.chance(50) {
				p.Groups = append(p.Groups, name)
			}
		}
		for range g.r.IntN(3) {
			if pair := g.pair(p); !slices.Contains(p.Pairs, pair) {
				p.Pairs = append(p.Pairs, pair)
			}
		}
	}
	groups, pairs := []any{}, []any{}
	for _, name := range p.Groups {
		groups = append(groups, "$"+name)
	}
	for _, pair := range p.Pairs {
		o := Object{"ip_address": pair.IP.String()}
		if pair.IP.IsSingleIP() {
			o["ip_address"] = pair.IP.Addr().String()
		}
		if pair.MAC != p.MAC {
			o["mac_address"] = pair.MAC.String()
		}
		pairs = append(pairs, o)
	}
	return Object{"security_groups": groups, "allowed_address_pairs": pairs, "port_security_enabled": !p.Insecure}
}

// pair is an allowed address pair: the port's extra address, or a block about it; with its own MAC or another.
func (g *Generator) pair(p *Port) Pair {
	a := pick(g.r, p.Extra)
	pair := Pair{MAC: p.MAC, IP: netip.PrefixFrom(a, a.BitLen())}
	if g.chance(30) {
		pair.IP = netip.PrefixFrom(a, a.BitLen()-2).Masked()
	}
	if g.chance(25) {
		pair.MAC = address.MAC{0xfa, 0x16, 0x3e, 0x02, 0, p.MAC[5]}
	}
	return pair
}

// Step changes a few things.
func (g *Generator) Step() []Action {
	for range 1 + g.r.IntN(3) {
		if g.chance(35) {
			g.outside()
		} else {
			g.change()
		}
	}
	return g.done()
}

func (g *Generator) change() {
	c := g.Cloud
	switch n := g.r.IntN(100); {
	case n < 30:
		p := c.Ports[pick(g.r, g.instances())]
		g.do("PUT", "ports/$"+p.Name, "", g.security(p))
	case n < 50:
		g.addRule(pick(g.r, names(c.Groups)))
	case n < 65:
		name := pick(g.r, names(c.Groups))
		if rules := c.Groups[name].Rules; len(rules) > 0 {
			g.removeRule(name, g.r.IntN(len(rules)))
		}
	case n < 72:
		g.addressGroup(pick(g.r, names(c.AddressGroups)))
	case n < 80:
		p := c.Ports[pick(g.r, g.instances())]
		g.dropFloatingIPs(p.Name)
		g.do("UNPLUG", "", p.Name, nil)
		g.do("DELETE", "ports/$"+p.Name, "", nil)
		delete(c.Ports, p.Name)
		g.addPort()
	case n < 86:
		p := c.Ports[pick(g.r, g.instances())]
		p.Down = !p.Down
		g.do("PUT", "ports/$"+p.Name, "", Object{"admin_state_up": !p.Down})
	case n < 89:
		name := pick(g.r, names(c.Routers))
		c.Routers[name].Down = !c.Routers[name].Down
		g.do("PUT", "routers/$"+name, "", Object{"admin_state_up": !c.Routers[name].Down})
	case n < 92:
		name := pick(g.r, g.networks(false))
		c.Networks[name].Down = !c.Networks[name].Down
		g.do("PUT", "networks/$"+name, "", Object{"admin_state_up": !c.Networks[name].Down})
	default:
		name := pick(g.r, names(c.Routers))
		if r := c.Routers[name]; len(r.Interfaces) > 0 && g.chance(50) {
			if in := pick(g.r, r.Interfaces); !g.needed(name, in) {
				g.leave(name, in)
			}
		} else {
			network := pick(g.r, g.networks(false))
			g.join(name, network, pick(g.r, c.Networks[network].Subnets))
		}
	}
}

// Packets are at most so many packets for the cloud as it is, about half of them such as arrive, and of those a third
// each such as come in by gateways, leave by them, and stay inside, if there are so many.
func (g *Generator) Packets(most int) []Packet {
	var arrive [3][]Packet
	var stay, out []Packet
	for range 20 * most {
		p, ok := g.packet()
		if !ok {
			continue
		}
		switch v := g.Cloud.Judge(p); {
		case v.To == "":
			stay = append(stay, p)
		case p.Via != "":
			arrive[0] = append(arrive[0], p)
		case g.Cloud.Ports[v.To].Uplink:
			arrive[1] = append(arrive[1], p)
		default:
			arrive[2] = append(arrive[2], p)
		}
	}
	left := most / 2
	for i := range arrive {
		n := min(len(arrive[i]), left/(len(arrive)-i))
		out, arrive[i], left = append(out, arrive[i][:n]...), arrive[i][n:], left-n
	}
	out = append(out, arrive[1][:min(len(arrive[1]), left)]...)
	return append(out, stay[:min(len(stay), most-len(out))]...)
}

// packet draws one; false when nothing sensible came of it.
func (g *Generator) packet() (Packet, bool) {
	c := g.Cloud
	if g.chance(40) {
		return g.crossing()
	}
	ports := g.instances()
	from, to := c.Ports[pick(g.r, ports)], c.Ports[pick(g.r, ports)]
	if from == to {
		return Packet{}, false
	}
	p := Packet{From: from.Name, SrcMAC: from.MAC, Src: pick(g.r, append(slices.Clone(from.IPs), from.Extra...)[:max(1, len(from.IPs))])}
	switch n := g.r.IntN(100); {
	case n < 10:
		p.Src = pick(g.r, from.Extra)
	case n < 20 && len(from.Pairs) > 0:
		pair := pick(g.r, from.Pairs)
		p.SrcMAC, p.Src = pair.MAC, pair.IP.Addr()
	case n < 25 && len(to.IPs) > 0:
		p.Src = pick(g.r, to.IPs) // somebody else's
	case n < 30:
		p.SrcMAC = address.MAC{0xfa, 0x16, 0x3e, 0x03, 0, 0}
		binary.BigEndian.PutUint16(p.SrcMAC[4:], uint16(g.r.IntN(1<<16))) // nobody's
	}
	p.Dst = pick(g.r, append(slices.Clone(to.IPs), to.Extra...))
	if !to.answersTo(p.Dst) || p.Dst.Is4() != p.Src.Is4() || p.Dst == p.Src {
		// A frame to the port's MAC with an address that is not its own: the API does not say what becomes of it.
		return Packet{}, false
	}
	if p.DstMAC = g.nextHop(from, to, p); p.DstMAC.IsZero() {
		return Packet{}, false
	}
	g.load(&p, to)
	return p, true
}

// nextHop is the MAC that a frame goes to: the port's, or that of a router's interface on the sender's subnet.
func (g *Generator) nextHop(from, to *Port, p Packet) address.MAC {
	if from.Network == to.Network {
		return to.MAC
	}
	var list []address.MAC
	for _, name := range names(g.Cloud.Routers) {
		for _, in := range g.Cloud.Routers[name].Interfaces {
			if in.Network == from.Network && in.Subnet.CIDR.Contains(p.Src) {
				list = append(list, in.MAC)
			}
		}
	}
	if len(list) == 0 {
		return address.MAC{}
	}
	return pick(g.r, list)
}

// load draws what a packet carries: often what some rule of the receiver is about. There are rules of other protocols
// too, but packets have those only that switches in user space track by more than their addresses.
func (g *Generator) load(p *Packet, to *Port) {
	p.SrcPort = 20000 + g.r.IntN(40000)
	icmp, types := ICMP, []int{8, 8, 13}
	if p.Src.Is6() {
		icmp, types = ICMPv6, []int{128}
	}
	p.Protocol = pick(g.r, []int{icmp, TCP, UDP})
	if len(to.Groups) > 0 && g.chance(60) {
		if rules := g.Cloud.Groups[pick(g.r, to.Groups)].Rules; len(rules) > 0 {
			r := pick(g.r, rules)
			if slices.Contains([]int{icmp, TCP, UDP}, r.Protocol) && r.IPv6 == p.Src.Is6() {
				p.Protocol = r.Protocol
			}
		}
	}
	switch p.Protocol {
	case icmp:
		p.DstPort = pick(g.r, types)
	default:
		p.DstPort = pick(g.r, []int{79, 80, 80, 85, 90, 91, 1023, 1024, 2047, 2048, 65535})
	}
}
