package hybrid

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"neutrino/dataplane/nft"
)

// The two tables that are ours: what a frame claims to be is judged in the bridge's own, what the tracker knows in the
// one of IP.
var (
	frames  = nft.Table{Family: "bridge", Name: "neutrino"}
	packets = nft.Table{Family: "inet", Name: "neutrino"}
	tables  = []nft.Table{frames, packets}
)

// name is a chain's or a set's: unique in its table.
type name struct {
	table nft.Table
	name  string
}

func (n name) String() string { return n.table.String() + " " + n.name }

// chain is a chain's hook ("" for one that others jump to) and its rules, in order.
type chain struct {
	hook  string
	rules []string
}

// set is a set, or a map when its elements have values.
type set struct {
	isMap    bool
	kind     string            // as between its braces: "type ipv4_addr; flags interval"
	elements map[string]string // element → value; "" in a set
}

// ruleset is what is, or should be, in our tables.
type ruleset struct {
	chains map[name]chain
	sets   map[name]set
}

func newRuleset() ruleset { return ruleset{map[name]chain{}, map[name]set{}} }

// chain adds a chain.
func (r ruleset) chain(t nft.Table, id, hook string, rules ...string) {
	r.chains[name{t, id}] = chain{hook, rules}
}

// set adds a set without elements.
func (r ruleset) set(t nft.Table, id, kind string) {
	r.sets[name{t, id}] = set{false, kind, map[string]string{}}
}

// mapping adds a map without elements.
func (r ruleset) mapping(t nft.Table, id, kind string) {
	r.sets[name{t, id}] = set{true, kind, map[string]string{}}
}

// merge adds what is in o; the elements of a set that both have are those of both.
func (r ruleset) merge(o ruleset) {
	maps.Copy(r.chains, o.chains)
	for id, s := range o.sets {
		if have, there := r.sets[id]; there {
			maps.Copy(have.elements, s.elements)
			continue
		}
		s.elements = maps.Clone(s.elements)
		r.sets[id] = s
	}
}

// with is a copy in which some pieces are as they should be, and all else as it is.
func (r ruleset) with(some ...piece) ruleset {
	next := ruleset{maps.Clone(r.chains), maps.Clone(r.sets)}
	own := map[name]bool{} // sets whose elements are next's alone
	for _, p := range some {
		maps.Copy(next.chains, p.rules.chains)
		for id, s := range p.rules.sets {
			have, there := next.sets[id]
			switch {
			case there && s.kind == "": // its part of what all share
				if !own[id] {
					have.elements = maps.Clone(have.elements)
					own[id] = true
				}
				maps.Copy(have.elements, s.elements)
				next.sets[id] = have
			case !there || p.key != keyBase:
				s.elements, own[id] = maps.Clone(s.elements), true
				next.sets[id] = s
			}
		}
	}
	return next
}

// difference is what nft is to be told so that have becomes want: one transaction, in an order in which nothing is
// named before it is there or removed while it is named. "" is nothing.
func difference(have, want ruleset) string {
	if len(have.chains)+len(have.sets) > 0 && !have.grows(want) {
		have = newRuleset()
		var b strings.Builder
		for _, t := range tables {
			fmt.Fprintf(&b, "add table %s\ndelete table %s\n", t, t)
		}
		return b.String() + difference(have, want)
	}
	var b, elements strings.Builder
	for _, id := range differing(want.sets, have.sets, set.equal) {
		s, old := want.sets[id], have.sets[id]
		if _, there := have.sets[id]; !there {
			fmt.Fprintf(&b, "add %s %s { %s; }\n", word(s.isMap), id, s.kind)
		}
		s.changes(&elements, id, old.elements)
	}
	changed := differing(want.chains, have.chains, chain.equal)
	for _, id := range changed {
		if _, there := have.chains[id]; !there {
			fmt.Fprintf(&b, "add chain %s%s\n", id, braced(want.chains[id].hook))
		}
	}
	for _, id := range changed {
		if len(have.chains[id].rules) > 0 {
			fmt.Fprintf(&b, "flush chain %s\n", id)
		}
		for _, rule := range want.chains[id].rules {
			fmt.Fprintf(&b, "add rule %s %s\n", id, rule)
		}
	}
	b.WriteString(elements.String())
	gone := differing(have.chains, want.chains, always[chain])
	for _, id := range gone {
		fmt.Fprintf(&b, "flush chain %s\n", id)
	}
	for _, id := range gone {
		fmt.Fprintf(&b, "delete chain %s\n", id)
	}
	for _, id := range differing(have.sets, want.sets, always[set]) {
		fmt.Fprintf(&b, "delete %s %s\n", word(have.sets[id].isMap), id)
	}
	if b.Len() == 0 {
		return ""
	}
	var head strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&head, "add table %s\n", t)
	}
	return head.String() + b.String()
}

// grows says whether have can become want without a table being made anew: hooks and types can't be changed.
func (r ruleset) grows(want ruleset) bool {
	for id, c := range want.chains {
		if old, there := r.chains[id]; there && old.hook != c.hook {
			return false
		}
	}
	for id, s := range want.sets {
		if old, there := r.sets[id]; there && (old.kind != s.kind || old.isMap != s.isMap) {
			return false
		}
	}
	return true
}

// changes writes which elements go and which come. They go first: an address may come out of a prefix that goes.
func (s set) changes(b *strings.Builder, id name, old map[string]string) {
	var going, coming []string
	for key, value := range old {
		if now, stays := s.elements[key]; !stays || value != now {
			going = append(going, key)
		}
	}
	for key, value := range s.elements {
		was, there := old[key]
		switch {
		case there && value == was:
		case s.isMap:
			coming = append(coming, key+" : "+value)
		default:
			coming = append(coming, key)
		}
	}
	slices.Sort(going)
	slices.Sort(coming)
	if len(going) > 0 {
		fmt.Fprintf(b, "delete element %s { %s }\n", id, strings.Join(going, ", "))
	}
	if len(coming) > 0 {
		fmt.Fprintf(b, "add element %s { %s }\n", id, strings.Join(coming, ", "))
	}
}

func word(isMap bool) string {
	if isMap {
		return "map"
	}
	return "set"
}

func braced(hook string) string {
	if hook == "" {
		return ""
	}
	return " { " + hook + " }"
}

func (c chain) equal(o chain) bool { return slices.Equal(c.rules, o.rules) }

func (s set) equal(o set) bool { return maps.Equal(s.elements, o.elements) }

// translate puts what is listed as the wanted is listed (plain) into the words in which it is wanted.
func translate[T any](listed, plain, want map[name]T, translated func(now, plain, want T) T) {
	for id, one := range want {
		as, there := plain[id]
		if now, listedToo := listed[id]; there && listedToo {
			listed[id] = translated(now, as, one)
		}
	}
}

func (c chain) translated(plain, want chain) chain {
	if c.hook != plain.hook {
		return c
	}
	if c.hook = want.hook; c.equal(plain) {
		c.rules = want.rules
	}
	return c
}

func (s set) translated(plain, want set) set {
	if s.kind != plain.kind {
		return s
	}
	if s.kind = want.kind; s.equal(plain) {
		s.elements = want.elements
	}
	return s
}

func always[T any](_, _ T) bool { return true }

// differing are the names of what b lacks or has otherwise, sorted.
func differing[T any](a, b map[name]T, equal func(T, T) bool) []name {
	var out []name
	for id, one := range a {
		if other, there := b[id]; !there || !equal(one, other) {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, name.compare)
	return out
}

func (n name) compare(o name) int {
	return cmp.Or(strings.Compare(n.table.Family, o.table.Family), strings.Compare(n.name, o.name))
}

func sortedNames[T any](m map[name]T) []name { return slices.SortedFunc(maps.Keys(m), name.compare) }
