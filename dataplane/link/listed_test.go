package link

import (
	"errors"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

// A list that has changed while it was read is read again, and not for ever; no other failure is.
func TestListed(t *testing.T) {
	other := errors.New("no")
	for _, c := range []struct {
		name      string
		disturbed int // how often
		failure   error
		want      []int
		err       error
		calls     int
	}{
		{"at rest", 0, nil, []int{3}, nil, 1},
		{"disturbed", 3, nil, []int{3}, nil, 4},
		{"always disturbed", 1 << 30, nil, []int{1}, netlink.ErrDumpInterrupted, mostListings},
		{"refused", 1, other, nil, other, 2},
	} {
		calls := 0
		got, err := listed(func() ([]int, error) {
			if calls++; calls <= c.disturbed {
				return []int{1}, netlink.ErrDumpInterrupted
			}
			if c.failure != nil {
				return nil, c.failure
			}
			return []int{3}, nil
		})
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) || calls != c.calls {
			t.Errorf("%s: %v, %v after %d calls, want %v, %v after %d", c.name, got, err, calls, c.want, c.err, c.calls)
		}
	}
}
