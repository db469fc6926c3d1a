package openflow

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"neutrino/dataplane/ovsdb/ovstest"
)

var cookie = regexp.MustCompile(`cookie=0x[0-9a-f]+, `)

// shown is what ovs-ofctl says of a bridge's flows, without cookies.
func shown(t *testing.T, s *ovstest.Switch, bridge string) []string {
	t.Helper()
	flows := s.Flows(t, bridge)
	for i := range flows {
		flows[i] = cookie.ReplaceAllString(flows[i], "")
	}
	slices.Sort(flows)
	return flows
}

func flush(t *testing.T, b *Bridge) map[string]error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	refused, err := b.Flush(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return refused
}

// open makes a bridge on a switch, and the keeper of its flows.
func open(t *testing.T, s *ovstest.Switch, name string) *Bridge {
	t.Helper()
	s.AddBridge(t, name)
	b := NewBridge("unix", s.Management(name))
	t.Cleanup(b.Close)
	return b
}

// Two bridges get the same flows, one from our encoder, the other from ovs-ofctl reading our text:
// they must look the same.
func TestSwitchUnderstandsEverything(t *testing.T) {
	s := ovstest.Start(t)
	b := open(t, s, "ours")
	s.AddBridge(t, "theirs")
	var text strings.Builder
	for i, f := range everything() {
		b.Set(fmt.Sprint(i), []Flow{f})
		fmt.Fprintln(&text, f)
	}
	if refused := flush(t, b); len(refused) != 0 {
		t.Errorf("refused: %v", refused)
	}
	s.AddFlows(t, "theirs", text.String())
	ours, theirs := shown(t, s, "ours"), shown(t, s, "theirs")
	if len(theirs) != len(everything()) {
		t.Errorf("ovs-ofctl made %d flows of %d", len(theirs), len(everything()))
	}
	for _, line := range ours {
		if !slices.Contains(theirs, line) {
			t.Errorf("only ours:   %s", line)
		}
	}
	for _, line := range theirs {
		if !slices.Contains(ours, line) {
			t.Errorf("only theirs: %s", line)
		}
	}
}

func TestBridgeKeepsSets(t *testing.T) {
	s := ovstest.Start(t)
	b := open(t, s, "br0")
	one := Flow{Table: 1, Priority: 1, Match: Match{InPort(1)}, Actions: Actions{Output(2)}}
	two := Flow{Table: 1, Priority: 1, Match: Match{InPort(2)}, Actions: Actions{Output(1)}}
	other := one
	other.Actions = Actions{Output(3)}
	want := func(step string, flows ...string) {
		t.Helper()
		if got := shown(t, s, "br0"); !slices.Equal(got, flows) {
			t.Errorf("%s: the switch has %q, want %q", step, got, flows)
		}
	}
	const (
		shownOne   = "table=1, priority=1,in_port=1 actions=output:2"
		shownTwo   = "table=1, priority=1,in_port=2 actions=output:1"
		shownOther = "table=1, priority=1,in_port=1 actions=output:3"
		shownAlien = "table=9, priority=9 actions=drop"
	)

	s.AddFlows(t, "br0", "table=9,priority=9 actions=drop")
	b.Set("a", []Flow{one})
	b.Set("b", []Flow{two})
	flush(t, b)
	want("set", shownOne, shownTwo, shownAlien)
	if len(b.Foreign()) != 1 || b.Foreign()[0].Table != 9 {
		t.Errorf("foreign flows: %v", b.Foreign())
	}

	b.Set("a", []Flow{other})
	flush(t, b)
	want("other actions", shownOther, shownTwo, shownAlien)

	b.Set("0", []Flow{one}) // sorts before "a"
	flush(t, b)
	want("conflict", shownOne, shownTwo, shownAlien)
	b.Set("0", nil)
	flush(t, b)
	want("conflict over", shownOther, shownTwo, shownAlien)

	b.Set("b", nil)
	flush(t, b)
	want("removed", shownOther, shownAlien)

	// A new process finds what is there: what it wants stays, what it does not goes.
	again := NewBridge("unix", s.Management("br0"))
	defer again.Close()
	again.Set("b", []Flow{two})
	flush(t, again)
	want("adopted", shownTwo, shownAlien)

	// The same place with other actions is overwritten, not deleted after it was added.
	again = NewBridge("unix", s.Management("br0"))
	defer again.Close()
	changed := two
	changed.Actions = Actions{Output(7)}
	again.Set("b", []Flow{changed})
	flush(t, again)
	want("adopted and changed", "table=1, priority=1,in_port=2 actions=output:7", shownAlien)
}

func TestBridgeMends(t *testing.T) {
	s := ovstest.Start(t)
	b := open(t, s, "br0")
	f := Flow{Table: 1, Match: Match{InPort(1)}}
	b.Set("a", []Flow{f})
	flush(t, b)

	empty := NewBridge("unix", s.Management("br0")) // somebody deletes it behind our back
	defer empty.Close()
	flush(t, empty)
	if got := s.Flows(t, "br0"); len(got) != 0 {
		t.Fatalf("flows %q were not deleted", got)
	}
	b.Resync()
	flush(t, b)
	if got := s.Flows(t, "br0"); len(got) != 1 {
		t.Errorf("after Resync the switch has %q", got)
	}

	lost := b.Lost()
	s.StopSwitch()
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Fatal("the lost connection was not told")
	}
	if _, err := b.Flush(context.Background()); err == nil {
		t.Error("Flush found nothing wrong with a switch that is not there")
	}
	b.Set("b", []Flow{{Table: 2}})
	s.StartSwitch(t)
	s.Vsctl(t, "show") // waits for the bridges to be there
	s.Vsctl(t, "set", "bridge", "br0", "external_ids:x=y")
	flush(t, b)
	if got := s.Flows(t, "br0"); len(got) != 2 {
		t.Errorf("after the restart the switch has %q", got)
	}
}

func TestBridgeIsolatesRefusedSets(t *testing.T) {
	s := ovstest.Start(t)
	b := open(t, s, "br0")
	b.Set("unchecked", []Flow{{Table: 1}, {Table: 1, Match: Match{Proto(6)}}})                              // Check sees it
	b.Set("unreadable", []Flow{{Table: 2}, {Table: 2, Priority: 1, Actions: Actions{{data: nx(999, 16)}}}}) // the switch can't read it
	b.Set("impossible", []Flow{{Table: 3}, {Table: 3, Priority: 1, Actions: Actions{Meter(5)}}})            // there is no such meter
	b.Set("backwards", []Flow{{Table: 4}, {Table: 4, Priority: 1, Actions: Actions{GotoTable(1)}}})         // the switch refuses it
	b.Set("good", []Flow{{Table: 5}})
	refused := flush(t, b)
	for _, key := range []string{"unchecked", "unreadable", "impossible", "backwards"} {
		if refused[key] == nil {
			t.Errorf("set %s was not refused", key)
		}
	}
	if len(refused) != 4 {
		t.Errorf("refused: %v", refused)
	}
	if got := shown(t, s, "br0"); !slices.Equal(got, []string{"table=5, priority=0 actions=drop"}) {
		t.Errorf("the switch has %q", got)
	}
	b.Set("backwards", []Flow{{Table: 4}})
	if refused := flush(t, b); len(refused) != 3 || len(shown(t, s, "br0")) != 2 {
		t.Errorf("a mended set: refused %v, the switch has %q", refused, shown(t, s, "br0"))
	}
}

func TestOldSwitchIsNamed(t *testing.T) {
	s := ovstest.Start(t)
	b := open(t, s, "br0")
	s.Vsctl(t, "set", "bridge", "br0", "protocols=OpenFlow10,OpenFlow13")
	_, err := b.Flush(context.Background())
	if err == nil || !strings.Contains(err.Error(), "OpenFlow 1.4") {
		t.Errorf("got error %v, want one that names the protocol", err)
	}
}

func BenchmarkBundle(b *testing.B) {
	s := ovstest.Start(b)
	s.AddBridge(b, "br0")
	flows := make([]Flow, 10_000)
	for i := range flows {
		flows[i] = Flow{Table: 1, Match: Match{InReg(1, uint32(i)), EthType(TypeIPv4)}, Actions: Actions{Resubmit(2)}}
	}
	for b.Loop() {
		keeper := NewBridge("unix", s.Management("br0"))
		keeper.Set("all", flows)
		if refused, err := keeper.Flush(context.Background()); err != nil || len(refused) > 0 {
			b.Fatal(err, refused)
		}
		keeper.Set("all", nil)
		if _, err := keeper.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
		keeper.Close()
	}
}
