package desired

import (
	"math"
	"testing"
)

func TestBurst(t *testing.T) {
	for _, c := range []struct {
		rate, said int
		scale      uint64
		want       uint32
	}{
		{10, 40, 1, 40},
		{10, 0, 1, 8},
		{1, 0, 1, 1}, // not nothing
		{1, 0, 1000, 800},
		{5_000_000, 0, 1000, 4_000_000_000},
		{1, 1<<31 - 1, 1000, math.MaxUint32},
		{1<<31 - 1, 0, 1000, math.MaxUint32},
	} {
		if got := Burst(c.rate, c.said, c.scale); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
