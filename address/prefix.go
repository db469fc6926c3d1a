package address

import (
	"fmt"
	"math"
	"net/netip"
)

// Range is an inclusive run of addresses of one family, First <= Last.
type Range struct {
	First, Last netip.Addr
}

// Contains says whether addr lies in r.
func (r Range) Contains(addr netip.Addr) bool {
	return r.First.Compare(addr) <= 0 && addr.Compare(r.Last) <= 0
}

// Overlaps says whether r and o share an address.
func (r Range) Overlaps(o Range) bool {
	return r.First.Compare(o.Last) <= 0 && o.First.Compare(r.Last) <= 0
}

// Size is the number of addresses in r; it saturates at math.MaxUint64.
func (r Range) Size() uint64 {
	n, ok := Distance(r.First, r.Last)
	if !ok || n == math.MaxUint64 {
		return math.MaxUint64
	}
	return n + 1
}

func (r Range) String() string { return fmt.Sprintf("%s-%s", r.First, r.Last) }

// Last is the highest address of p: for IPv4 the broadcast address.
func Last(p netip.Prefix) netip.Addr {
	p = p.Masked()
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Add is addr + n. It reports false when the sum leaves the family.
func Add(addr netip.Addr, n uint64) (netip.Addr, bool) {
	b := addr.AsSlice()
	carry := n
	for i := len(b) - 1; i >= 0 && carry > 0; i-- {
		sum := uint64(b[i]) + carry&0xff
		b[i] = byte(sum)
		carry = carry>>8 + sum>>8
	}
	if carry > 0 {
		return netip.Addr{}, false
	}
	sum, _ := netip.AddrFromSlice(b)
	return sum, true
}

// Distance is to - from. It reports false when the families differ, to < from, or the difference
// does not fit 64 bits.
func Distance(from, to netip.Addr) (uint64, bool) {
	if from.BitLen() != to.BitLen() || to.Compare(from) < 0 {
		return 0, false
	}
	f, t := from.As16(), to.As16()
	var n uint64
	borrow := 0
	var diff [16]byte
	for i := 15; i >= 0; i-- {
		d := int(t[i]) - int(f[i]) - borrow
		borrow = 0
		if d < 0 {
			d += 256
			borrow = 1
		}
		diff[i] = byte(d)
	}
	for i, b := range diff {
		if i < 8 && b != 0 {
			return math.MaxUint64, false
		}
		if i >= 8 {
			n = n<<8 | uint64(b)
		}
	}
	return n, true
}
