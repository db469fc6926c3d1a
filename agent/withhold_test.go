package agent

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"neutrino/desired"
)

// wholeHost is what a host with a router, DHCP and an instance has.
func wholeHost() map[desired.Key]desired.Item {
	out := map[desired.Key]desired.Item{}
	for _, item := range []desired.Item{
		&desired.Network{ID: "n"},
		&desired.Port{ID: "vm", NetworkID: "n", Host: "h1", DeviceOwner: "compute:nova"},
		&desired.Port{ID: "dhcp", NetworkID: "n", Host: "h1", DeviceOwner: "network:dhcp"},
		&desired.Port{ID: "other", NetworkID: "n", Host: "h2", DeviceOwner: "network:dhcp"},
		&desired.Port{ID: "gw", NetworkID: "n", Host: "h1", DeviceOwner: "network:router_interface"},
		&desired.Router{ID: "r", Host: "h1"},
	} {
		out[item.Key()] = item
	}
	return out
}

// given collects what a manager has been given.
func given(f *follower, state *desired.State) []string {
	f.agent.boxes[0].take(state, &Change{Keys: map[desired.Key]struct{}{}})
	var ids []string
	for _, key := range state.Keys() {
		ids = append(ids, key.ID)
	}
	slices.Sort(ids)
	return ids
}

var (
	everything = []string{"dhcp", "gw", "n", "other", "r", "vm"}
	withoutIt  = []string{"n", "other", "vm"}
)

// keptState is a follower that has found a kept state of a boot.
func keptState(t *testing.T, written, now string) *follower {
	t.Helper()
	a := New(Options{Host: "h1"}, quiet(), nil)
	f := newFollower(a)
	file := filepath.Join(t.TempDir(), "kept")
	old := cache{file: file, host: "h1", boot: written, log: quiet()}
	if err := old.write(known{"e", 5, wholeHost()}); err != nil {
		t.Fatal(err)
	}
	f.cache = &cache{file: file, host: "h1", boot: now, log: quiet()}
	f.restore()
	return f
}

// TestKeptStateAfterBoot: what may be elsewhere by now waits for a server when the host was down, and only then.
func TestKeptStateAfterBoot(t *testing.T) {
	for _, c := range []struct {
		name, written, now string
		want               []string
	}{
		{"the agent alone was down", "b1", "b1", everything},
		{"the host was down", "b1", "b2", withoutIt},
		{"written by a release that did not say", "", "b2", everything},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := keptState(t, c.written, c.now)
			ctx, state := t.Context(), desired.NewState()
			f.fallBack(ctx)
			if got := given(f, state); !slices.Equal(got, c.want) {
				t.Fatalf("without a server: %v", got)
			}
			if err := f.synced(batch{epoch: "e", revision: 6, items: map[desired.Key]desired.Item{{Kind: desired.KindPort, ID: "vm"}: nil}}); err != nil {
				t.Fatal(err)
			}
			want := slices.DeleteFunc(slices.Clone(everything), func(id string) bool { return id == "vm" })
			if got := given(f, state); !slices.Equal(got, want) {
				t.Errorf("with one: %v", got)
			}
		})
	}
}

// TestMovedMeanwhile: a host that was down never has what the first server that answers does not give it.
func TestMovedMeanwhile(t *testing.T) {
	f := keptState(t, "b1", "b2")
	items := wholeHost()
	delete(items, desired.Key{Kind: desired.KindRouter, ID: "r"})
	if err := f.synced(batch{epoch: "e2", revision: 1, snapshot: true, items: items}); err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(slices.Clone(everything), func(id string) bool { return id == "r" })
	if got := given(f, desired.NewState()); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// TestStandDown: without any server for long, and if its operator wants it so, a host gives up what may be elsewhere,
// and takes it again from the next server.
func TestStandDown(t *testing.T) {
	a := New(Options{Host: "h1"}, quiet(), nil)
	f, state := a.follower, desired.NewState()
	shown := func() int {
		items, _, withheld := a.Desired()
		if withheld != (len(items) < len(everything)) {
			t.Errorf("of %d items withheld is %v", len(items), withheld)
		}
		return len(items)
	}
	if err := f.synced(batch{epoch: "e", revision: 5, snapshot: true, items: wholeHost()}); err != nil {
		t.Fatal(err)
	}
	f.hear()
	f.giveUp(time.Minute)
	if got := given(f, state); !slices.Equal(got, everything) {
		t.Fatalf("while a server is followed: %v", got)
	}
	f.heard = f.heard.Add(-2 * time.Minute)
	f.giveUp(time.Minute)
	if got := given(f, state); !slices.Equal(got, withoutIt) {
		t.Fatalf("for long without: %v", got)
	}
	if n := shown(); n != len(withoutIt) {
		t.Errorf("shown are %d items of what is done", n)
	}
	kept := maps.Clone(f.have.items)
	if len(kept) != len(everything) {
		t.Errorf("what is known is not what is done: %d items", len(kept))
	}
	if err := f.synced(batch{epoch: "e", revision: 5, items: map[desired.Key]desired.Item{}}); err != nil {
		t.Fatal(err)
	}
	if got := given(f, state); !slices.Equal(got, everything) || shown() != len(everything) {
		t.Errorf("with one again: %v", got)
	}
}

func TestThisBoot(t *testing.T) {
	if a, b := thisBoot(), thisBoot(); a == "" || a != b {
		t.Errorf("%q, %q", a, b)
	}
}
