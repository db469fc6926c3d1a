// Package hybrid keeps ports to their rules before br-int, on the bridge that a compute service puts between an
// instance and br-int when a port is bound with ovs_hybrid_plug:
//
//	instance - tap, in qbr, with qvb - qvo, on br-int
//
// The rules are two nftables tables of ours, computed purely (base.go, port.go, group.go) and written by one
// transaction a change. The frames of these bridges reach the connection tracker by the kernel's br_netfilter.
package hybrid

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"neutrino/agent"
	"neutrino/agent/firewall"
	"neutrino/agent/l2"
	"neutrino/dataplane/link"
	"neutrino/dataplane/nft"
	"neutrino/desired"
)

// Filter keeps the rules of all ports that are plugged so. It is l2's: not safe for concurrent use.
type Filter struct {
	log  *slog.Logger
	load func(ctx context.Context, script string) error // has nft do it, in one transaction

	pieces  map[string]piece       // as made last, by key
	bad     map[string]error       // keys of pieces that nft refuses, as they are now
	again   bool                   // what was refused may be taken now
	written ruleset                // what is in the tables
	known   bool                   // written is true
	asked   ruleset                // whose listing plain is
	plain   ruleset                // asked as nft lists it
	bridged map[string]l2.Filtered // ports whose bridges give their packets to the tables
	unfit   atomic.Pointer[error]  // why the host can't filter any port; nil: it can
}

// piece is a part of the rules that is made of some items. Items are never changed, so it holds while they are the
// same ones.
type piece struct {
	key   string
	from  []any
	rules ruleset
}

// keyBase is the piece that all others need; keys of others are port/ID, group/ID, and members/SET.
const keyBase = "base"

// New makes the filter; it does nothing before Apply.
func New(log *slog.Logger) *Filter {
	return &Filter{
		log: log, load: func(ctx context.Context, script string) error { return nft.Load(ctx, "", script) }, pieces: map[string]piece{}, bad: map[string]error{}, bridged: map[string]l2.Filtered{},
		written: newRuleset(), asked: newRuleset(), plain: newRuleset(),
	}
}

// Before implements l2.Filter.
func (f *Filter) Before(device string) bool { return Before(device) }

// Unfit says why no port of the host can be filtered; "" when they can. It may be asked at any time.
func (f *Filter) Unfit() string {
	if err := f.unfit.Load(); err != nil {
		return (*err).Error()
	}
	return ""
}

// fit finds out whether the kernel shows the packets of bridges to the tables of IP, and has it load what that needs
// whenever all is looked at.
func (f *Filter) fit(ctx context.Context, all bool) {
	_, err := link.BridgeSettings()
	if err != nil && all {
		err = link.LoadBridgeFilter(ctx)
	}
	before := f.Unfit()
	switch {
	case err == nil:
		f.unfit.Store(nil)
		if before != "" {
			f.log.Info("the host can filter ports")
		}
	case all || before == "":
		f.unfit.Store(&err)
		if before != err.Error() {
			f.log.Error("the host can't filter ports: they are not wired", "error", err)
		}
	}
}

// Apply implements l2.Filter.
func (f *Filter) Apply(ctx context.Context, state *desired.State, ports map[string]l2.Filtered, change agent.Change) (map[string]error, error) {
	f.fit(ctx, change.Full)
	list, refused := f.compute(state, ports, change)
	if change.Full || !f.known {
		if err := f.adopt(ctx, list); err != nil {
			return nil, err
		}
		f.again = true
	}
	if err := f.write(ctx, list); err != nil {
		f.known = false
		return nil, err
	}
	for id := range ports {
		if err := f.bad["port/"+id]; err != nil {
			refused[id] = err
		}
	}
	if err := f.bridge(ports, change.Full, refused); err != nil {
		return nil, err
	}
	return refused, nil
}

// compute makes the pieces of what there should be, in an order in which each needs only those before it. refused are
// ports that no rules can be made for.
func (f *Filter) compute(state *desired.State, ports map[string]l2.Filtered, change agent.Change) (list []piece, refused map[string]error) {
	refused = map[string]error{}
	used := map[string]*desired.SecurityGroup{}
	holder := map[string]string{} // devices are named by a part of the port's id
	var filtered []string
	for _, id := range slices.Sorted(maps.Keys(ports)) {
		err := checkID("port", id)
		if err == nil && holder[device("", id)] != "" {
			err = fmt.Errorf("port %s has devices of the same names", holder[device("", id)])
		}
		for _, group := range state.Ports[id].SecurityGroups {
			if err == nil {
				err = checkID("security group", group)
			}
		}
		if err != nil {
			refused[id] = err
			continue
		}
		holder[device("", id)] = id
		filtered = append(filtered, id)
		for _, group := range state.Ports[id].SecurityGroups {
			if g := state.SecurityGroups[group]; g != nil {
				used[group] = g
			}
		}
	}
	stale := map[string]bool{} // groups whose members differ
	for key := range change.Keys {
		if key.Kind == desired.KindMember {
			group, _, _ := strings.Cut(key.ID, "/")
			stale[group] = true
		}
	}
	old := f.pieces
	f.pieces = make(map[string]piece, len(old))
	add := func(key string, same bool, from []any, build func() ruleset) {
		p, there := old[key]
		if !there || !same || !slices.Equal(p.from, from) {
			p = piece{key, from, build()}
			if f.bad[key] != nil {
				delete(f.bad, key)
				f.again = true
			}
		}
		f.pieces[key] = p
		list = append(list, p)
	}
	add(keyBase, true, nil, base)
	sets := map[string]firewall.Use{} // both directions share the set
	for u := range firewall.Uses(used) {
		if checkID("security group", u.Group) == nil {
			sets[membersSet(u.Group, u.IPv6)] = u
		}
	}
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		u := sets[set]
		add("members/"+set, !change.Full && !stale[u.Group], nil, func() ruleset { return memberRules(u.Group, u.IPv6, state.MembersOf[u.Group]) })
	}
	for _, id := range slices.Sorted(maps.Keys(used)) {
		g := used[id]
		add("group/"+id, true, []any{g}, func() ruleset {
			r, reasons := groupRules(g)
			if len(reasons) > 0 {
				f.log.Warn("rules that can't be applied let nothing pass", "security_group", id, "reasons", reasons)
			}
			return r
		})
	}
	for _, id := range filtered {
		p := state.Ports[id]
		from := []any{p, ports[id].Zone}
		var groups []*desired.SecurityGroup
		if p.PortSecurity {
			for _, group := range p.SecurityGroups {
				if g := state.SecurityGroups[group]; g != nil {
					groups, from = append(groups, g), append(from, g.Stateful)
				}
			}
		}
		add("port/"+id, true, from, func() ruleset { return portRules(p, groups, ports[id].Zone) })
	}
	for key := range f.bad {
		if _, stays := f.pieces[key]; !stays {
			delete(f.bad, key)
		}
	}
	return list, refused
}

// together are all pieces but those that nft refuses.
func (f *Filter) together(list []piece) ruleset {
	r := newRuleset()
	for _, p := range list {
		if f.bad[p.key] == nil {
			r.merge(p.rules)
		}
	}
	return r
}

// adopt finds out what is in our tables, so that what is right is left alone, and all else is mended or removed. nft
// prints rules in a form of its own: what is wanted is loaded where nobody is, and listed there too.
func (f *Filter) adopt(ctx context.Context, list []piece) error {
	f.known = false
	have, err := f.listing(ctx)
	if err != nil {
		return err
	}
	want := f.together(list)
	if difference(f.asked, want) != "" || len(f.asked.chains) == 0 {
		plain, err := f.preview(ctx, list)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.asked, f.plain = want, plain
		if err != nil { // a piece is refused: write finds out which
			f.asked = newRuleset()
			f.log.Warn("rules are refused", "error", err)
		}
	}
	translate(have.chains, f.plain.chains, want.chains, chain.translated)
	translate(have.sets, f.plain.sets, want.sets, set.translated)
	f.written, f.known = have, true
	return nil
}

// preview is what nft lists of the pieces' rules when they are loaded where nobody is.
func (f *Filter) preview(ctx context.Context, list []piece) (ruleset, error) {
	listings, err := nft.Preview(ctx, []string{difference(newRuleset(), f.together(list))}, tables...)
	if err != nil && ctx.Err() == nil { // it may have been too much at once
		listings, err = nft.Preview(ctx, f.steps(list), tables...)
	}
	r := newRuleset()
	for i, listing := range listings {
		r.merge(parse(tables[i], listing))
	}
	return r, err
}

// listing is what is in our tables, as nft lists it.
func (f *Filter) listing(ctx context.Context) (ruleset, error) {
	r := newRuleset()
	for _, t := range tables {
		listing, err := nft.List(ctx, "", t)
		if err != nil {
			return r, err
		}
		r.merge(parse(t, listing))
	}
	return r, nil
}

// few are as many pieces as a transaction has when all at once are refused: what the kernel takes at once from whoever
// is not the machine's root is limited (net.core.wmem_max).
const few = 20

// steps are the scripts that make the tables out of nothing, a few pieces at a time.
func (f *Filter) steps(list []piece) []string {
	var out []string
	now := newRuleset()
	for part := range slices.Chunk(list, few) {
		next := now.with(slices.DeleteFunc(slices.Clone(part), func(p piece) bool { return f.bad[p.key] != nil })...)
		out = append(out, difference(now, next))
		now = next
	}
	return out
}

// write brings the tables there by one transaction. When that is refused, it is tried with a few pieces at a time, and
// of those with each, so that one that can't be written costs only itself.
func (f *Filter) write(ctx context.Context, list []piece) error {
	want := f.together(list)
	failed := f.load(ctx, difference(f.written, want))
	if failed == nil {
		f.written = want
	}
	if ctx.Err() != nil {
		return failed
	}
	again := f.again
	f.again = false
	if failed == nil && (!again || len(f.bad) == 0) {
		return nil
	}
	todo := list
	if failed == nil {
		todo = slices.DeleteFunc(slices.Clone(list), func(p piece) bool { return f.bad[p.key] == nil })
	}
	for part := range slices.Chunk(todo, few) {
		if f.put(ctx, part...) == nil {
			continue
		}
		for _, p := range part {
			err := f.put(ctx, p)
			if err != nil && (p.key == keyBase || ctx.Err() != nil) {
				return err
			}
			if err != nil && f.bad[p.key] == nil {
				f.log.Error("rules are refused", "of", p.key, "error", err)
			}
			if err != nil {
				f.bad[p.key] = fmt.Errorf("its rules are refused: %w", err)
			}
		}
	}
	want = f.together(list)
	if err := f.load(ctx, difference(f.written, want)); err != nil {
		return err
	}
	f.written = want
	return nil
}

// put writes some pieces, and leaves all else as it is.
func (f *Filter) put(ctx context.Context, some ...piece) error {
	next := f.written.with(some...)
	if err := f.load(ctx, difference(f.written, next)); err != nil {
		return err
	}
	f.written = next
	for _, p := range some {
		delete(f.bad, p.key)
	}
	return nil
}

// bridge has the bridges of ports give their packets to the tables of IP. Until then what must be tracked does not pass,
// and on a host that can't do so no port is taken for filtered.
func (f *Filter) bridge(ports map[string]l2.Filtered, all bool, refused map[string]error) error {
	for id := range f.bridged {
		if _, stays := ports[id]; !stays {
			delete(f.bridged, id)
		}
	}
	if err := f.unfit.Load(); err != nil {
		clear(f.bridged)
		for id := range ports {
			if refused[id] == nil {
				refused[id] = *err
			}
		}
		return nil
	}
	space, err := link.In("")
	if err != nil {
		return err
	}
	defer space.Close()
	for id, port := range ports {
		if have, done := f.bridged[id]; refused[id] != nil || done && have == port && !all {
			continue
		}
		delete(f.bridged, id)
		if err := space.FilterBridge(device(bridgePrefix, id)); err != nil {
			refused[id] = err
			continue
		}
		f.bridged[id] = port
	}
	return nil
}

// Retire removes our tables from a host that has another firewall driver now. Where nft is not installed it has never
// run.
func Retire(ctx context.Context) error {
	if !nft.Installed() {
		return nil
	}
	for _, t := range tables {
		have, err := nft.List(ctx, "", t)
		if err == nil && have != "" {
			err = nft.Delete(ctx, "", t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
