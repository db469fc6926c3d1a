package server

import (
	"testing"
	"time"
)

// TestTurns: one server has a turn, keeps it while it lives, and another has it after that.
func TestTurns(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := t.Context()
	a, _ := watching(t, s)
	b, _ := watching(t, s)
	now := time.Now()
	clock := func() time.Time { return now }
	ta, tb := a.turn("x"), b.turn("x")
	ta.now, tb.now = clock, clock
	has := func(x *turn, want bool) {
		t.Helper()
		if mine, err := x.mine(ctx); err != nil || mine != want {
			t.Fatalf("after %s: %t %v, want %t", now, mine, err, want)
		}
	}
	has(ta, false) // it has not counted yet
	alive := func(w *watch) { lookAt(t, w, now) }
	pass := func(d time.Duration, living ...*watch) {
		for end := now.Add(d); now.Before(end); now = now.Add(watchEvery) {
			for _, w := range living {
				alive(w)
			}
		}
	}
	pass(3*watchEvery, a, b)
	has(ta, true)
	has(tb, false)
	for range 20 {
		pass(2*watchEvery, a, b)
		has(tb, false)
		has(ta, true)
	}
	// a can't count on: it gives up before b takes over.
	gaveUp := false
	for range 30 {
		pass(watchEvery, b)
		mineA, errA := ta.mine(ctx)
		mineB, errB := tb.mine(ctx)
		if errA != nil || errB != nil || mineA && mineB {
			t.Fatalf("both have it, or %v %v", errA, errB)
		}
		gaveUp = gaveUp || !mineA
		if mineB {
			if !gaveUp {
				t.Error("b was first")
			}
			break
		}
	}
	has(tb, true)
	pass(4*watchEvery, a, b)
	has(ta, false)
	// Who leaves lets the next begin at once.
	if err := tb.leave(ctx); err != nil {
		t.Fatal(err)
	}
	has(ta, true)
	has(tb, false)
}
