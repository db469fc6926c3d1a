package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"neutrino/address"
	"neutrino/lab"
	"neutrino/lab/client"
	"neutrino/scenario/reach"
)

// How much TestDifferential does. NEUTRINO_TOPOLOGIES asks for more, NEUTRINO_SEED for another history; with 0 chance
// draws one.
const (
	differentialHosts      = 3
	differentialPorts      = 10
	differentialPackets    = 50 // of each topology
	differentialTopologies = 200
)

// TestDifferential has a model, Open vSwitch and OVN judge the same packets in the same clouds, and fails when they
// are not of one opinion. The clouds are random, and change step by step; why it is done with packets is in
// docs/decisions/0014-differential.md.
func TestDifferential(t *testing.T) {
	if testing.Short() {
		t.Skip("two clouds are asked for minutes")
	}
	topologies, seed := number(t, "NEUTRINO_TOPOLOGIES", differentialTopologies), uint64(number(t, "NEUTRINO_SEED", 1))
	if seed == 0 {
		seed = 1 + rand.Uint64N(1<<31)
	}
	d := newDuel(t)
	g := reach.NewGenerator(seed, differentialHosts)
	packets := 0
	defer func() { t.Logf("%d packets in %d topologies; seed %d", packets, topologies, seed) }()
	for i := range topologies {
		var actions []reach.Action
		if i == 0 {
			actions = g.Begin(differentialPorts)
		} else {
			actions = g.Step()
		}
		d.do(g.Cloud, actions)
		list := g.Packets(differentialPackets)
		packets += len(list)
		if quarrel := d.judge(g.Cloud, list); quarrel != "" {
			t.Fatalf("NEUTRINO_SEED=%d, topology %d, after %v:\n%s\nthe history:\n%s", seed, i, actions, quarrel, d.history())
		}
	}
}

// number is an environment variable's, or what is usual.
func number(t *testing.T, name string, usual int) int {
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s: %q is no number", name, text)
	}
	return n
}

// duel is two labs that are told the same.
type duel struct {
	t     *testing.T
	sides []*side
	past  []reach.Action
	sent  int // numbers frames
}

// side is one of them.
type side struct {
	driver  string
	lab     *lab.Lab
	client  *client.Client
	ids     map[string]string // by name
	wires   map[string]*lab.Wire
	macs    map[string]address.MAC // of gateways, by name
	arrived map[int][]arrival      // by a frame's number
}

// arrival is a frame that came to a port.
type arrival struct {
	port  string
	frame []byte
}

func newDuel(t *testing.T) *duel {
	dir, err := os.MkdirTemp("", "nd") // the paths of sockets are short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	build(t, filepath.Join(dir, "neutrino"))
	d := &duel{t: t}
	var group errgroup.Group
	for _, driver := range []string{openvswitch, lab.OVN} {
		s := &side{driver: driver, ids: map[string]string{}, wires: map[string]*lab.Wire{}, macs: map[string]address.MAC{}, arrived: map[int][]arrival{}}
		d.sides = append(d.sides, s)
		group.Go(func() (err error) {
			if s.lab, err = raiseNamed(t, dir, driver, "--driver", driver, "--hosts", strconv.Itoa(differentialHosts)); err != nil {
				return err
			}
			s.client, err = client.Login(t.Context(), s.lab.CloudsFile(), "neutrino-admin")
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range d.sides {
			if t.Failed() {
				t.Log(lastWords(s.lab))
			}
		}
	})
	return d
}

// do has both sides do the same.
func (d *duel) do(c *reach.Cloud, actions []reach.Action) {
	d.t.Helper()
	d.past = append(d.past, actions...)
	var group errgroup.Group
	for _, s := range d.sides {
		group.Go(func() error {
			for _, a := range actions {
				if err := s.do(d.t.Context(), c, a); err != nil {
					return fmt.Errorf("%s: %v: %w", s.driver, a, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		d.t.Fatalf("%v\nthe history:\n%s", err, d.history())
	}
}

func (d *duel) history() string {
	var lines []string
	for _, a := range d.past {
		lines = append(lines, a.String())
	}
	return strings.Join(lines, "\n")
}

func (s *side) do(ctx context.Context, c *reach.Cloud, a reach.Action) error {
	switch a.Verb {
	case "PLUG":
		return s.plug(ctx, c, a.Name)
	case "UNPLUG":
		if w := s.wires[a.Name]; w != nil {
			w.Close()
			delete(s.wires, a.Name)
			return s.lab.Delete(a.Name)
		}
		return nil
	}
	way, err := s.known(a.Path)
	if err != nil {
		return err
	}
	value, err := s.fill(a.Body)
	if err != nil {
		return err
	}
	body, _ := value.(client.Object)
	var request any
	switch parts := strings.Split(a.Path, "/"); {
	case a.Verb == "DELETE":
	case len(parts) == 3: // an action
		request = body
	default:
		request = client.Object{singular(parts[0]): body}
	}
	answer, err := s.client.Do(ctx, a.Verb, "/"+way.(string), request)
	if err != nil || a.Verb != "POST" {
		return err
	}
	o, _ := answer[singular(path.Base(a.Path))].(client.Object)
	s.ids[a.Name], _ = o["id"].(string)
	rules, _ := o["security_group_rules"].([]any)
	for _, r := range rules { // those that a group has from the start
		rule, _ := r.(client.Object)
		s.ids[fmt.Sprintf("%s-%v", a.Name, rule["ethertype"])], _ = rule["id"].(string)
	}
	return nil
}

// known puts ids in the place of names in a text: all of it, or parts of a path.
func (s *side) known(text string) (any, error) {
	parts := strings.Split(text, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, "$"); ok {
			if parts[i] = s.ids[name]; parts[i] == "" {
				return nil, fmt.Errorf("nothing has the name %s", name)
			}
		}
	}
	return strings.Join(parts, "/"), nil
}

// fill is known for JSON.
func (s *side) fill(v any) (any, error) {
	var all error
	switch x := v.(type) {
	case string:
		return s.known(x)
	case client.Object:
		o := client.Object{}
		for key, value := range x {
			var err error
			o[key], err = s.fill(value)
			all = errors.Join(all, err)
		}
		return o, all
	case []any:
		list := make([]any, len(x))
		for i, value := range x {
			var err error
			list[i], err = s.fill(value)
			all = errors.Join(all, err)
		}
		return list, all
	}
	return v, nil
}

// plug gives a port its instance, with all its addresses; of what comes its kernel answers questions for addresses only.
func (s *side) plug(ctx context.Context, c *reach.Cloud, name string) error {
	p := c.Ports[name]
	if p == nil {
		return nil // it has gone meanwhile
	}
	if _, err := s.client.Update(ctx, "ports", "port", s.ids[name], client.Object{
		"binding:host_id": p.Host, "device_id": "lab-" + name, "device_owner": "compute:nova"}); err != nil {
		return err
	}
	i := lab.Instance{Name: name, Host: p.Host, Port: s.ids[name], MAC: p.MAC, MTU: 1400}
	for _, a := range slices.Concat(p.IPs, p.Extra) {
		bits := 24
		if a.Is6() {
			bits = 64
		}
		i.Address = append(i.Address, netip.PrefixFrom(a, bits).String())
	}
	if err := s.lab.Plug(i); err != nil {
		return err
	}
	if _, err := s.lab.Output(name, "nft", "add table inet quiet; add chain inet quiet in { type filter hook input priority 0; policy drop; };"+
		"add rule inet quiet in icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"); err != nil {
		return err
	}
	w, err := s.lab.OpenWire(name, reach.Mark)
	if err != nil {
		return err
	}
	s.wires[name] = w
	return nil
}

// convergence is how long the sides have until they agree: the machine may be busy. After stubborn, switches have to
// forget what they have cached, and when they have done so patient times OVN's hosts begin anew.
const convergence, stubborn, patient = 90 * time.Second, 10 * time.Second, 3

// judge sends packets on both sides, again and again until all are of one opinion in one round, and tells what they
// differ in if that does not come to be.
func (d *duel) judge(c *reach.Cloud, packets []reach.Packet) string {
	forget, forgot := time.Now().Add(stubborn), 0
	for deadline := time.Now().Add(convergence); ; time.Sleep(200 * time.Millisecond) {
		quarrels := d.round(c, packets)
		if len(quarrels) == 0 {
			return ""
		}
		if time.Now().After(forget) {
			d.t.Logf("all switches forget what they have cached: %s", quarrels[0])
			d.forget()
			if forgot++; forgot >= patient {
				d.t.Log("OVN's hosts begin anew")
				d.beginAnew()
			}
			forget = time.Now().Add(stubborn)
		}
		if time.Now().After(deadline) {
			return strings.Join(quarrels, "\n")
		}
	}
}

// forget empties the caches of the switches: of flows, and of where MAC addresses are. Open vSwitch 3.1.0's datapath in user space may keep a cached flow by which
// packets go on as its OpenFlow tables no longer have it (docs/decisions/0014-differential.md); a driver's mistake is in those.
func (d *duel) forget() {
	for _, s := range d.sides {
		hosts, err := s.lab.Hosts()
		must(d.t, err)
		for _, h := range hosts {
			for _, cache := range []string{"revalidator/purge", "fdb/flush"} {
				_, err := s.lab.Output(h, "ovs-appctl", cache)
				must(d.t, err)
			}
		}
		for _, bridge := range []string{"phys", "phys2"} {
			_, err := s.lab.Output(lab.Center, "ip", "link", "set", bridge, "type", "bridge", "fdb_flush")
			must(d.t, err)
		}
	}
}

// beginAnew has OVN's hosts compute all flows from the southbound database, where otherwise they compute what a change
// changes, and forget all connections, of which no packet that follows needs one. Both should make no difference: where they
// do it is OVN's or the switch's doing, and no driver's.
func (d *duel) beginAnew() {
	for _, s := range d.sides {
		if s.driver != lab.OVN {
			continue
		}
		hosts, err := s.lab.Hosts()
		must(d.t, err)
		for _, h := range hosts {
			_, err := s.lab.Output(h, "sh", "-c", "ovn-appctl -t /run/ovn/ovn-controller.*.ctl inc-engine/recompute && ovs-appctl dpctl/flush-conntrack")
			must(d.t, err)
		}
	}
}

// round sends each packet once on both sides, and an answer for each that arrived.
func (d *duel) round(c *reach.Cloud, packets []reach.Packet) []string {
	first := d.sent
	d.sent += 2 * len(packets)
	verdicts, answers := make([]reach.Verdict, len(packets)), make([]reach.Verdict, len(packets))
	wanted := map[int]reach.Verdict{}
	for i, p := range packets {
		p.SrcPort = 20000 + (first+i)%40000 // no packet had it for long: no connection is known of it
		packets[i] = p
		verdicts[i] = c.Judge(p)
		wanted[first+i] = verdicts[i]
		for _, s := range d.sides {
			s.send(d.t, c, p, first+i, false)
		}
	}
	d.listen(wanted)
	wanted = map[int]reach.Verdict{}
	asked := map[int]bool{}
	for i, p := range packets {
		n := first + len(packets) + i
		if verdicts[i].To == "" || !answerable(c, p) {
			continue
		}
		answers[i], asked[i] = c.Answer(p), true
		wanted[n] = answers[i]
		for _, s := range d.sides {
			if a := s.landed(first+i, verdicts[i]); a != nil {
				arrived := p.Arrived(a.frame)
				back := arrived.Reversed(a.port)
				back.SrcMAC, back.DstMAC = c.Ports[a.port].MAC, arrived.SrcMAC // where it came from: the sender, or a router
				s.send(d.t, c, back, n, true)
			}
		}
	}
	d.listen(wanted)
	var quarrels []string
	for i, p := range packets {
		quarrels = append(quarrels, d.compare(c, p, verdicts[i], first+i, p.From)...)
		if asked[i] {
			quarrels = append(quarrels, d.compare(c, p, answers[i], first+len(packets)+i, verdicts[i].To)...)
		}
	}
	return quarrels
}

// answerable says whether who gets a packet can answer it: the sender has the address that it sent from, and the way of
// the answer is known.
func answerable(c *reach.Cloud, p reach.Packet) bool {
	from := c.Ports[p.From]
	return !c.Open(p) && p.SrcMAC == from.MAC && (slices.Contains(from.IPs, p.Src) || slices.Contains(from.Extra, p.Src))
}

// compare tells how the sides' opinions of a frame differ from the model's. Ports without port security may see what
// a switch floods; uplinks see what the model says.
func (d *duel) compare(c *reach.Cloud, p reach.Packet, want reach.Verdict, n int, from string) []string {
	said := make([]string, len(d.sides))
	agreed := true
	for i, s := range d.sides {
		var at []string
		for _, a := range s.arrived[n] {
			if port := c.Ports[a.port]; port == nil || port.Uplink || !port.Insecure || slices.ContainsFunc(want.Any(), func(v reach.Verdict) bool { return v.To == a.port }) {
				q := p.Arrived(a.frame)
				at = append(at, end(a.port, q.Src, q.Dst))
			}
		}
		said[i] = strings.Join(slices.Compact(at), ", ")
		agreed = agreed && slices.ContainsFunc(want.Any(), func(v reach.Verdict) bool { return said[i] == end(v.To, v.Src, v.Dst) })
	}
	if agreed {
		return nil
	}
	what := "a packet"
	if from != p.From {
		what = "the answer to a packet"
	}
	text := fmt.Sprintf("%s from %s: %+v", what, p.From, p)
	for _, v := range want.Any() {
		text += fmt.Sprintf("\n  the model: arrives at %q: %s", end(v.To, v.Src, v.Dst), v.Why)
	}
	for i, s := range d.sides {
		text += fmt.Sprintf("\n  %s: arrives at %q", s.driver, said[i])
	}
	for _, name := range []string{p.From, want.To} {
		if port := c.Ports[name]; port != nil {
			text += fmt.Sprintf("\n  %+v", *port)
		}
	}
	return []string{text}
}

// end is where a frame arrived, as people read it.
func end(port string, src, dst netip.Addr) string {
	if port == "" {
		return ""
	}
	return fmt.Sprintf("%s as %v to %v", port, src, dst)
}

func (s *side) send(t *testing.T, c *reach.Cloud, p reach.Packet, n int, answer bool) {
	t.Helper()
	w := s.wires[p.From]
	if w == nil {
		t.Fatalf("%s has no instance", p.From)
	}
	if p.Via != "" {
		var err error
		p.DstMAC, err = s.gatewayMAC(t.Context(), c, p.Via)
		must(t, err)
	}
	if err := w.Send(p.Frame(n, answer)); err != nil {
		t.Fatal(err)
	}
}

// gatewayMAC asks for the address of a router's gateway, which the server has chosen.
func (s *side) gatewayMAC(ctx context.Context, c *reach.Cloud, gateway string) (address.MAC, error) {
	if mac, known := s.macs[gateway]; known {
		return mac, nil
	}
	for router, r := range c.Routers {
		for _, g := range r.Gateways {
			if g.Name != gateway {
				continue
			}
			list, err := s.client.List(ctx, "ports", "device_id="+s.ids[router]+"&network_id="+s.ids[g.Network]+"&device_owner=network:router_gateway")
			if err != nil || len(list) != 1 {
				return address.MAC{}, fmt.Errorf("%s: %d ports: %w", gateway, len(list), err)
			}
			text, _ := list[0]["mac_address"].(string)
			s.macs[gateway], err = address.ParseMAC(text)
			return s.macs[gateway], err
		}
	}
	return address.MAC{}, fmt.Errorf("no router has %s", gateway)
}

// landed is where a frame arrived of where it may; nil: at none of those.
func (s *side) landed(n int, want reach.Verdict) *arrival {
	for _, v := range want.Any() {
		for i, a := range s.arrived[n] {
			if a.port == v.To {
				return &s.arrived[n][i]
			}
		}
	}
	return nil
}

// listen waits until all that should arrive has arrived on both sides, and then for what should not.
func (d *duel) listen(wanted map[int]reach.Verdict) {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		missing := false
		for _, s := range d.sides {
			s.collect()
			for n, want := range wanted {
				missing = missing || want.To != "" && s.landed(n, want) == nil
			}
		}
		if !missing {
			break
		}
	}
	time.Sleep(150 * time.Millisecond)
	for _, s := range d.sides {
		s.collect()
	}
}

func (s *side) collect() {
	for _, name := range slices.Sorted(maps.Keys(s.wires)) {
		for _, frame := range s.wires[name].Seen() {
			n := reach.Number(frame)
			s.arrived[n] = append(s.arrived[n], arrival{name, frame})
		}
	}
}
