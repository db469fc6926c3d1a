package hub

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"neutrino/desired"
)

func readyHub() *Hub {
	h := New(nil, nil, nil, "secret", slog.New(slog.DiscardHandler))
	h.put(&Facts{}, touched{})
	h.loaded = true
	return h
}

func presenceOf(t *testing.T, h *Hub, name string) Presence {
	t.Helper()
	list, ready := h.Presences()
	if !ready {
		t.Fatal("the hub is not ready")
	}
	for _, p := range list {
		if p.Host == name {
			return p
		}
	}
	t.Fatalf("nothing is known of %s", name)
	return Presence{}
}

// age has everything that the hub heard of a host be older.
func age(h *Hub, name string, d time.Duration) {
	x := h.hosts[name]
	x.heard, x.left = x.heard.Add(-d), x.left.Add(-d)
}

// TestPresence tells a host without power from one whose agent was stopped.
func TestPresence(t *testing.T) {
	h := readyHub()
	s := h.subscribe("h1", "", -1)
	if p := presenceOf(t, h, "h1"); !p.Here || p.Left || p.Quiet > time.Second {
		t.Errorf("just come: %+v", p)
	}
	if !h.beat(desired.Beat{Host: "h1", Epoch: h.epoch, Every: 2}) || h.beat(desired.Beat{Host: "h1", Epoch: "another", Every: 2}) || h.beat(desired.Beat{Host: "h9", Epoch: h.epoch, Every: 2}) {
		t.Error("beats of strangers are taken, or those of h1 are not")
	}
	age(h, "h1", 9*time.Second)
	if p := presenceOf(t, h, "h1"); !p.Here || p.Left || p.Quiet < 9*time.Second {
		t.Errorf("silent with an open stream: %+v", p)
	}
	h.unsubscribe(s) // by a time-out, long after
	if p := presenceOf(t, h, "h1"); p.Here || p.Left || p.Quiet < 9*time.Second {
		t.Errorf("silent, and then the stream was cut: %+v", p)
	}

	s = h.subscribe("h1", "", -1)
	h.beat(desired.Beat{Host: "h1", Epoch: h.epoch, Every: 2})
	h.unsubscribe(s)
	if p := presenceOf(t, h, "h1"); p.Here || !p.Left || p.Quiet > time.Second {
		t.Errorf("its agent was stopped: %+v", p)
	}
	age(h, "h1", time.Minute)
	if p := presenceOf(t, h, "h1"); !p.Left || p.Quiet < time.Minute {
		t.Errorf("its agent was stopped a minute ago: %+v", p)
	}
	if !h.beat(desired.Beat{Host: "h1", Epoch: h.epoch, Every: 2, Leaving: true}) {
		t.Error("that the machine shuts down is not taken after its stream has ended")
	}
	if p := presenceOf(t, h, "h1"); !p.Gone {
		t.Errorf("shutting down: %+v", p)
	}
	h.Awoke()
	if p := presenceOf(t, h, "h1"); p.Quiet > time.Second {
		t.Errorf("after the server has slept: %+v", p)
	}
	first := presenceOf(t, h, "h1").Stream
	h.subscribe("h1", "", -1)
	if p := presenceOf(t, h, "h1"); p.Left || p.Gone || p.Stream == first {
		t.Errorf("back again: %+v", p)
	}
}

// TestPresenceWithoutBeats: an agent of a release without beats is heard by its heartbeats, and given their time.
func TestPresenceWithoutBeats(t *testing.T) {
	h := readyHub()
	s := h.subscribe("h1", "", -1)
	age(h, "h1", 25*time.Second)
	if p := presenceOf(t, h, "h1"); p.Quiet > 0 {
		t.Errorf("between heartbeats: %+v", p)
	}
	if !h.report(desired.Reports{Host: "h1", Epoch: h.epoch}) {
		t.Fatal("its report is not taken")
	}
	age(h, "h1", 40*time.Second)
	if p := presenceOf(t, h, "h1"); p.Quiet < 9*time.Second || p.Quiet > 12*time.Second {
		t.Errorf("four heartbeats are missing: %+v", p)
	}
	h.report(desired.Reports{Host: "h1", Epoch: h.epoch})
	h.unsubscribe(s)
	if p := presenceOf(t, h, "h1"); !p.Left {
		t.Errorf("stopped: %+v", p)
	}
}

// Whatever comes as a beat, it is a host's that says when to expect the next, or refused.
func FuzzBeat(f *testing.F) {
	f.Add([]byte(`{"host":"h1","epoch":"e","every":2}`))
	f.Add([]byte(`{"host":"h1","every":-1}`))
	f.Add([]byte(`{"host":"h 1","every":1e300}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		beat, err := decodeBeat(bytes.NewReader(b))
		if err == nil && (!goodHost(beat.Host) || !(beat.Every > 0) || beat.Every > 60) {
			t.Errorf("%q is taken as %+v", b, beat)
		}
	})
}
