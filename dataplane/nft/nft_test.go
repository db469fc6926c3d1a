package nft

import (
	"strings"
	"testing"

	"neutrino/dataplane/netns"
	"neutrino/dataplane/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

var table = Table{Family: "inet", Name: "neutrino_test"}

const body = `	map m {
		type ipv4_addr : ipv4_addr
		elements = { 203.0.113.9 : 10.0.0.9, 203.0.113.10 : 10.0.0.10, 203.0.113.7 : 10.0.0.7 }
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established accept
	}`

func TestReplace(t *testing.T) {
	if err := netns.Create("r", "test"); err != nil {
		t.Fatal(err)
	}
	defer netns.Delete("r")
	ctx := t.Context()
	list := func() string {
		t.Helper()
		out, err := List(ctx, "r", table)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := list(); got != "" {
		t.Fatalf("a table is there already: %s", got)
	}
	want, err := Canonical(ctx, table, body)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "" {
		t.Errorf("Canonical left a table: %s", got)
	}
	for range 2 {
		if err := Replace(ctx, "r", table, body); err != nil {
			t.Fatal(err)
		}
		if got := list(); got != want {
			t.Errorf("listing:\n%s\nwant\n%s", got, want)
		}
	}
	// A load that fails changes nothing.
	bad := strings.Replace(body, "established", "no-such-state", 1)
	if Replace(ctx, "r", table, bad) == nil {
		t.Error("bad rules were taken")
	}
	if _, err := Canonical(ctx, table, bad); err == nil {
		t.Error("bad rules have a listing")
	}
	if got := list(); got != want {
		t.Errorf("after a failure:\n%s", got)
	}
	if tables, err := Tables(ctx, "r", "inet"); err != nil || len(tables) != 1 || strings.TrimSpace(tables[table.Name]) != strings.TrimSpace(want) {
		t.Errorf("tables: %q %v", tables, err)
	}
	for range 2 {
		if err := Delete(ctx, "r", table); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(); got != "" {
		t.Errorf("deleted and there: %s", got)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("table netdev a {\n\tchain c {\n\t}\n}\ntable netdev b {\n}\n")
	f.Add("table netdev")
	f.Fuzz(func(t *testing.T, listing string) {
		n := 0
		for _, text := range split(listing, "netdev") {
			n += len(text)
		}
		if n > len(listing) {
			t.Error("more came out than went in")
		}
	})
}
