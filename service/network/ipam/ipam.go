// Package ipam is the arithmetic of addresses in subnets: default pools, pool validation, and the
// choice of the next free address. Pure; who has which address is told to it.
package ipam

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"neutrino/address"
)

// Hosts is the range of a prefix's usable host addresses: without the IPv4 network and broadcast
// address (but all of a /31 and /32), and without the IPv6 subnet-router anycast address.
func Hosts(p netip.Prefix) address.Range {
	p = p.Masked()
	first, last := p.Addr(), address.Last(p)
	if p.Bits() >= p.Addr().BitLen()-1 {
		return address.Range{First: first, Last: last}
	}
	first = first.Next()
	if p.Addr().Is4() {
		last = last.Prev()
	}
	return address.Range{First: first, Last: last}
}

// DefaultGateway is the gateway of a subnet that doesn't name one: the first address of an IPv4
// subnet; of an IPv6 subnet the address of the prefix itself.
func DefaultGateway(p netip.Prefix) netip.Addr {
	p = p.Masked()
	if p.Addr().Is6() {
		return p.Addr()
	}
	return Hosts(p).First
}

// DefaultPools is all hosts but the gateway: two pools when the gateway is inside.
func DefaultPools(p netip.Prefix, gateway netip.Addr) []address.Range {
	all := Hosts(p)
	if !gateway.IsValid() || !all.Contains(gateway) {
		return []address.Range{all}
	}
	var pools []address.Range
	if gateway != all.First {
		pools = append(pools, address.Range{First: all.First, Last: gateway.Prev()})
	}
	if gateway != all.Last {
		pools = append(pools, address.Range{First: gateway.Next(), Last: all.Last})
	}
	return pools
}

// Overlap finds two of the pools that share an address.
func Overlap(pools []address.Range) (a, b address.Range, found bool) {
	sorted := slices.SortedFunc(slices.Values(pools), func(x, y address.Range) int { return x.First.Compare(y.First) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1].Overlaps(sorted[i]) {
			return sorted[i-1], sorted[i], true
		}
	}
	return a, b, false
}

// Candidates gives up to n addresses of the pools in a row, beginning with the one after last (or
// the first pool's first when last is zero or outside), wrapping round at the end.
func Candidates(pools []address.Range, last netip.Addr, n int) []netip.Addr {
	if len(pools) == 0 || n <= 0 {
		return nil
	}
	at := 0
	next := pools[0].First
	for i, p := range pools {
		if last.IsValid() && p.Contains(last) {
			at, next = i, last.Next()
			if last == p.Last {
				at = (i + 1) % len(pools)
				next = pools[at].First
			}
		}
	}
	start := next
	out := make([]netip.Addr, 0, n)
	for len(out) < n {
		out = append(out, next)
		if next == pools[at].Last {
			at = (at + 1) % len(pools)
			next = pools[at].First
		} else {
			next = next.Next()
		}
		if next == start {
			break
		}
	}
	return out
}

// FirstFree is the lowest address of the pools that is not taken.
func FirstFree(pools []address.Range, taken map[netip.Addr]bool) (netip.Addr, bool) {
	for _, p := range pools {
		for a := p.First; ; a = a.Next() {
			if !taken[a] {
				return a, true
			}
			if a == p.Last {
				break
			}
		}
	}
	return netip.Addr{}, false
}

// RandomMAC gives an address with the base's first three bytes (four when the fourth is not zero)
// and the rest by chance.
func RandomMAC(base address.MAC) address.MAC {
	m := base
	keep := 3
	if base[3] != 0 {
		keep = 4
	}
	n := rand.Uint32()
	for i := keep; i < 6; i++ {
		m[i] = byte(n >> (8 * (5 - i)))
	}
	return m
}
