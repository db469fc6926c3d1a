package stray

import (
	"errors"
	"testing"
	"time"
)

func TestGrace(t *testing.T) {
	clock := time.Unix(1000, 0)
	l := New(time.Minute)
	l.now = func() time.Time { return clock }
	a := Thing{Kind: Namespace, Name: "qrouter-a", Why: "first"}
	again := Thing{Kind: Namespace, Name: "qrouter-a", Why: "second"}
	b := Thing{Kind: Port, Name: "tapb", On: "br-int"}
	elsewhere := Thing{Kind: Port, Name: "tapb", On: "br-ex"}

	steps := []struct {
		what  string
		after time.Duration
		found []Thing
		due   []Thing
		known int
	}{
		{"a comes", 0, []Thing{a}, nil, 1},
		{"b comes later; a is still the same for another reason", 30 * time.Second, []Thing{again, b}, nil, 2},
		{"a's time is over", 30 * time.Second, []Thing{again, b}, []Thing{again}, 2},
		{"a is wanted again", time.Second, []Thing{b}, nil, 1},
		{"a is a stray anew; b's time is over", time.Minute, []Thing{a, b}, []Thing{b}, 2},
		{"the same name on another bridge is another", 0, []Thing{elsewhere}, nil, 1},
		{"nothing is left", 0, nil, nil, 0},
	}
	for _, s := range steps {
		clock = clock.Add(s.after)
		due := l.Found("m", s.found)
		if len(due) != len(s.due) || len(due) == 1 && due[0] != s.due[0] {
			t.Errorf("%s: due are %v", s.what, due)
		}
		if known := l.All(); len(known) != s.known {
			t.Errorf("%s: known are %v", s.what, known)
		}
	}
}

func TestRemoval(t *testing.T) {
	l := New(time.Hour)
	a, b := Thing{Kind: Namespace, Name: "a"}, Thing{Kind: Namespace, Name: "b"}
	l.Found("l3", []Thing{a})
	l.Found("dhcp", []Thing{b}) // another owner's strays stay known
	l.Expire()
	if due := l.Found("l3", []Thing{a}); len(due) != 1 {
		t.Fatalf("due are %v", due)
	}
	l.Removed("l3", a, errors.New("busy"))
	l.Removed("l3", b, nil) // not its own
	if all := l.All(); len(all) != 2 || all[0].Error+all[1].Error != "busy" {
		t.Errorf("after a failure: %+v", all)
	}
	l.Removed("l3", a, nil)
	if all := l.All(); len(all) != 1 || all[0].Thing != b || all[0].Owner != "dhcp" {
		t.Errorf("after the removal: %+v", all)
	}
	var none *List
	none.Expire()
	none.Removed("l3", a, nil)
	if due := none.Found("l3", []Thing{a}); len(due) != 1 || none.All() != nil {
		t.Errorf("without a list %v are due", due)
	}
}
