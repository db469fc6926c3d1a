package openflow

import (
	"context"
	"slices"
	"strings"
	"testing"

	"neutrino/dataplane/ovsdb/ovstest"
)

func TestMeterMod(t *testing.T) {
	m := MeterSpec{ID: 0x102, Rate: 1000, Burst: 800}
	want := []byte{0, 0, 0, 5, 0, 0, 1, 2, 0, 1, 0, 16, 0, 0, 3, 0xe8, 0, 0, 3, 0x20, 0, 0, 0, 0}
	if got := m.mod(meterAdd); !slices.Equal(got, want) {
		t.Errorf("add: %x, want %x", got, want)
	}
	m.Packets = true
	if got, want := m.mod(meterDelete), []byte{0, 2, 0, 6, 0, 0, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("delete: %x, want %x", got, want)
	}
}

// meterReply is a reply with one meter of kilobits.
func meterReply() []byte {
	b := []byte{0, multipartMeterConfig, 0, 0, 0, 0, 0, 0, 0, 24, 0, 5, 0, 0, 0, 7}
	return append(b, 0, bandDrop, 0, 16, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 0)
}

func TestParseMeters(t *testing.T) {
	var list []MeterSpec
	if more, err := parseMeters(meterReply(), &list); err != nil || more || !slices.Equal(list, []MeterSpec{{ID: 7, Rate: 9, Burst: 8}}) {
		t.Errorf("got %+v, more %v, error %v", list, more, err)
	}
	for cut := range meterReply() {
		if _, err := parseMeters(meterReply()[:cut], &list); err == nil && cut != 8 {
			t.Errorf("a reply cut to %d bytes was accepted", cut)
		}
	}
	list = nil
	foreign := meterReply()
	foreign[11] = 9 // without a burst
	if _, err := parseMeters(foreign, &list); err != nil || list[0].Rate != 0 {
		t.Errorf("a meter that we would not make: %+v, %v", list, err)
	}
}

func FuzzParseMeters(f *testing.F) {
	f.Add(meterReply())
	f.Fuzz(func(t *testing.T, b []byte) {
		var list []MeterSpec
		if _, err := parseMeters(b, &list); err == nil && len(list)*8+8 > len(b) {
			t.Errorf("%d meters in %d bytes", len(list), len(b))
		}
	})
}

// Meters come before the flows that name them, and go after them; what the switch has is adopted; where it refuses a
// meter, the flows that need it are not there.
func TestBridgeKeepsMeters(t *testing.T) {
	s := ovstest.Start(t)
	b := open(t, s, "metered")
	b.KeepMeters()
	has := func(what string, want ...MeterSpec) {
		t.Helper()
		got, err := b.conn.Meters(context.Background())
		slices.SortFunc(got, func(a, b MeterSpec) int { return int(a.ID) - int(b.ID) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	first, second := MeterSpec{ID: 4, Rate: 1000, Burst: 800}, MeterSpec{ID: 5, Packets: true, Rate: 3000, Burst: 10}
	b.Set("a", []Flow{{Table: 1, Actions: Actions{Limit(first), Resubmit(2)}}, {Table: 2, Actions: Actions{Limit(second), Output(1)}}})
	if refused := flush(t, b); len(refused) != 0 {
		t.Fatalf("refused: %v", refused)
	}
	has("made", first, second)
	if flows := shown(t, s, "metered"); len(flows) != 2 || !strings.Contains(flows[0], "meter:4") {
		t.Errorf("flows: %v", flows)
	}
	b.Close()
	b = NewBridge("unix", s.Management("metered"))
	t.Cleanup(b.Close)
	b.KeepMeters()
	first.Rate = 2000
	b.Set("a", []Flow{{Table: 1, Actions: Actions{Limit(first), Resubmit(2)}}})
	flush(t, b)
	has("one changed, one gone", first)

	beyond := MeterSpec{ID: 6, Rate: 5, Burst: 1}
	b.Set("b", []Flow{{Table: 3, Actions: Actions{Limit(beyond)}}})
	b.Set("bad", []Flow{{Table: 4, Actions: Actions{Limit(MeterSpec{ID: 7})}}})
	if refused := flush(t, b); len(refused) != 1 || refused["bad"] == nil {
		t.Errorf("refused: %v", refused)
	}
	has("and another", first, beyond)
	b.Set("a", nil)
	b.Set("b", nil)
	flush(t, b)
	has("none")

	// A meter that is there behind our back is refused, and with it the flow; compared anew, it is ours.
	other, err := Dial(context.Background(), "unix", s.Management("metered"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if bad, err := other.changeMeters(context.Background(), [][]byte{MeterSpec{ID: 8, Rate: 1, Burst: 1}.mod(meterAdd)}); err != nil || len(bad) != 0 {
		t.Fatal(bad, err)
	}
	taken := []Flow{{Table: 5, Actions: Actions{Limit(MeterSpec{ID: 8, Rate: 7, Burst: 7})}}}
	b.Set("c", taken)
	if refused := flush(t, b); refused["c"] == nil || !strings.Contains(refused["c"].Error(), "can't limit rates") || len(shown(t, s, "metered")) != 0 {
		t.Errorf("refused: %v, flows %v", refused, shown(t, s, "metered"))
	}
	b.Resync()
	b.Set("c", taken)
	if refused := flush(t, b); refused["c"] != nil {
		t.Errorf("refused again: %v", refused)
	}
	has("taken over", MeterSpec{ID: 8, Rate: 7, Burst: 7})
}
