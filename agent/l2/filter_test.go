package l2

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"neutrino/agent"
	"neutrino/desired"
)

// sieve is a filter before br-int for some ports; it notes what it was asked for, and what the switch had then.
type sieve struct {
	before  []string
	refused map[string]error
	failed  error
	asked   map[string]Filtered
}

func (s *sieve) Before(device string) bool { return slices.Contains(s.before, device) }

func (s *sieve) Apply(_ context.Context, _ *desired.State, ports map[string]Filtered, _ agent.Change) (map[string]error, error) {
	s.asked = ports
	return maps.Clone(s.refused), s.failed
}

// Where a filter is before br-int for a port, br-int has none of its rules, and only forwards; but only once the filter
// has taken the port.
func TestFilterBeforeBrInt(t *testing.T) {
	b := newBench(t)
	b.external()
	s := &sieve{before: []string{"b"}, refused: map[string]error{"b": errors.New("no bridge")}}
	b.manager.options.Filter = s
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), port("b", "net", 2, "g"), group("g"))
	b.plug("a")
	b.plug("b")
	b.until("the interfaces", func() bool {
		b.apply()
		return b.manager.facts.ports["a"].OFPort != 0 && b.manager.facts.ports["b"].OFPort != 0
	})
	if r := b.applyChange(fullChange)["b"]; r.Up || !strings.Contains(r.Reason, "no bridge") {
		t.Errorf("a port that is not filtered is reported %+v", r)
	}
	b.reaches("to the port that is not filtered", "a", arp(1, macA, macA, ip4(1), broadcast, ip4(2)))

	s.refused = nil
	if r := b.apply()["b"]; !r.Up {
		t.Errorf("the filtered port is reported %+v", r)
	}
	want := map[string]Filtered{"b": {b.manager.vlans["net"], b.manager.facts.ports["b"].OFPort}}
	if !maps.Equal(s.asked, want) || want["b"].Zone == 0 {
		t.Errorf("the filter was asked for %v, want %v", s.asked, want)
	}
	b.reaches("to the port without rules here", "a", udp(macA, macB, ip4(1), ip4(2), 1000, 2000), "b")
	b.reaches("to the port with rules", "b", udp(macB, macA, ip4(2), ip4(1), 1000, 2001))
	b.reaches("a strange source that the filter let pass", "b", arp(1, macC, macC, ip4(3), broadcast, ip4(1)), "a")

	// A filter that fails as a whole: what is wired stays.
	s.failed = errors.New("no nft")
	if _, err := b.manager.Apply(t.Context(), b.state, fullChange); err == nil || !strings.Contains(err.Error(), "no nft") {
		t.Errorf("the filter's failure is %v", err)
	}
	b.reaches("while the filter can't be reached", "a", udp(macA, macB, ip4(1), ip4(2), 1000, 2002), "b")
}

// Without any filter everything passes.
func TestNoFilter(t *testing.T) {
	b := newBench(t)
	b.external()
	calls := 0
	b.manager.options.NoFilter, b.manager.options.Alone = true, func(context.Context) error { calls++; return nil }
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), port("b", "net", 2, "g"), group("g"))
	b.plug("a")
	b.plug("b")
	b.settled()
	b.applyChange(fullChange)
	b.reaches("what no rule allows", "a", udp(macA, macB, ip4(1), ip4(2), 1000, 2000), "b")
	b.reaches("another's address", "a", udp(macA, macB, ip4(3), ip4(2), 1000, 2000), "b")
	if calls != 1 {
		t.Errorf("Alone was called %d times", calls)
	}
}
