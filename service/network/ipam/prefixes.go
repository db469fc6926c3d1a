package ipam

import (
	"net/netip"
	"slices"

	"neutrino/address"
)

// Merge gives the same addresses as list by the fewest prefixes, sorted: 10.0.0.0/9 and 10.128.0.0/9
// are 10.0.0.0/8.
func Merge(list []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(list))
	for _, p := range list {
		sorted = append(sorted, p.Masked())
	}
	slices.SortFunc(sorted, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, p := range sorted {
		if len(out) > 0 && covers(out[len(out)-1], p) {
			continue
		}
		out = append(out, p)
		for len(out) > 1 { // the last two may be halves of one
			a, b := out[len(out)-2], out[len(out)-1]
			if a.Bits() != b.Bits() || a.Bits() == 0 {
				break
			}
			whole := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
			if a == b || !covers(whole, b) || whole.Addr() != a.Addr() {
				break
			}
			out = append(out[:len(out)-2], whole)
		}
	}
	return out
}

// covers says whether all of b is in a.
func covers(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }

// Within says whether all of p is in one of the merged prefixes.
func Within(p netip.Prefix, merged []netip.Prefix) bool {
	return slices.ContainsFunc(merged, func(whole netip.Prefix) bool { return covers(whole, p) })
}

// Meet says whether two merged lists have an address in common.
func Meet(a, b []netip.Prefix) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Overlaps(b[0]):
			return true
		case a[0].Addr().Less(b[0].Addr()): // and ends before the other begins
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// FreePrefix finds the first prefix of a length inside the merged prefixes that overlaps none of used.
func FreePrefix(merged, used []netip.Prefix, bits int) (netip.Prefix, bool) {
	used = slices.Clone(used)
	slices.SortFunc(used, netip.Prefix.Compare)
	for _, whole := range merged {
		if bits < whole.Bits() || bits > whole.Addr().BitLen() {
			continue
		}
		at := netip.PrefixFrom(whole.Addr(), bits)
		for covers(whole, at) {
			i := slices.IndexFunc(used, at.Overlaps)
			if i < 0 {
				return at, true
			}
			end := address.Last(at)
			if last := address.Last(used[i]); end.Less(last) {
				end = last
			}
			next := end.Next()
			if !next.IsValid() {
				break // the last address there is
			}
			at = netip.PrefixFrom(next, bits).Masked()
			if at.Addr().Less(next) { // inside of what is used: begin behind it
				if next = address.Last(at).Next(); !next.IsValid() {
					break
				}
				at = netip.PrefixFrom(next, bits)
			}
		}
	}
	return netip.Prefix{}, false
}
