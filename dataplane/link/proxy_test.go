package link

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

func TestSetProxied(t *testing.T) {
	_, inside := pair(t)
	a, b, c := netip.MustParseAddr("2001:db8::a"), netip.MustParseAddr("2001:db8::b"), netip.MustParseAddr("2001:db8::c")
	listed := func() string {
		out, err := exec.Command("ip", "-n", "testsetproxied", "-6", "neigh", "show", "proxy").CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, want := range [][]netip.Addr{{a, b}, {b, c}, {c}, nil} {
		if err := inside.SetProxied("inner", want); err != nil {
			t.Fatal(err)
		}
		text := listed()
		if strings.Count(text, "dev inner") != len(want) {
			t.Errorf("want %v:\n%s", want, text)
		}
		for _, w := range want {
			if !strings.Contains(text, w.String()+" dev inner") {
				t.Errorf("want %v:\n%s", want, text)
			}
		}
		quiet(t, inside, func() error { return inside.SetProxied("inner", want) })
	}
	if err := inside.SetProxied("lo", []netip.Addr{a}); err != nil { // another device's are left alone
		t.Fatal(err)
	}
	if err := inside.SetProxied("inner", nil); err != nil || !strings.Contains(listed(), a.String()+" dev lo") {
		t.Errorf("%v\n%s", err, listed())
	}
	if err := inside.SetProxied("nothing", nil); err == nil {
		t.Error("a device that is not there has been changed")
	}
}
