package link

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// mostListings is how often a listing is begun anew that something disturbs.
const mostListings = 100

// listed lists something of the kernel's, again when it says that the list has changed while it was read: on a host whose
// instances come and go that is no failure, and half a list is none.
func listed[T any](list func() ([]T, error)) (out []T, err error) {
	for range mostListings {
		if out, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return out, err
}
