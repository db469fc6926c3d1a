package network

import (
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"neutrino/address"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/service/network/ipam"
	"neutrino/store"
)

// allocate gives a new port its addresses: those asked for, or one of each family and one from
// every automatic subnet.
func (s *Service) allocate(c *engine.Call, p *Port, n *NetworkRow) error {
	subnets, err := s.subnetsOf(c, n.ID)
	if err != nil {
		return err
	}
	p.IPAllocation = "immediate"
	a := allocation{s: s, c: c, p: p, n: n, subnets: subnets}
	if a.reached, a.routed, err = s.reached(c, n, subnets, p.Host); err != nil {
		return err
	}
	switch {
	case a.routed && p.Host != "" && len(a.reached) == 0:
		return fault.Conflict("HostNotConnectedToAnySegment", "Host %s is not connected to any segments on routed provider network '%s'.  It should be connected to one.", p.Host, n.ID)
	case p.wanted == nil && a.routed && p.Host == "" && !slices.ContainsFunc(a.reached, a.fits):
		p.IPAllocation = ipDeferred // the host decides
		return nil
	case p.wanted == nil:
		err = a.byDefault()
	default:
		if len(p.wanted) == 0 {
			p.IPAllocation = "none"
		}
		err = a.asWanted(p.wanted)
	}
	p.FixedIPs = a.ips
	return err
}

// ipDeferred is the ip_allocation of a port that gets its addresses when its host is known.
const ipDeferred = "deferred"

// reallocate changes a port's addresses: those that stay keep their place, automatic ones follow
// the MAC.
func (s *Service) reallocate(c *engine.Call, old, p *Port, n *NetworkRow, asked bool) error {
	subnets, err := s.subnetsOf(c, n.ID)
	if err != nil {
		return err
	}
	a := allocation{s: s, c: c, p: p, n: n, subnets: subnets}
	if !asked { // only the MAC has changed
		for _, f := range old.FixedIPs {
			if subnet := a.subnet(f.SubnetID); subnet != nil && subnet.Automatic() && f.IP == old.MAC.EUI64(subnet.CIDR) {
				f.IP = p.MAC.EUI64(subnet.CIDR)
			}
			a.ips = append(a.ips, f)
		}
		p.FixedIPs = a.ips
		return nil
	}
	a.own = old.FixedIPs
	if a.reached, a.routed, err = s.reached(c, n, subnets, p.Host); err != nil {
		return err
	}
	err = a.asWanted(p.wanted)
	p.FixedIPs = a.ips
	if err == nil && isRouterOwner(p.DeviceOwner) && !c.Internal() && !slices.Equal(p.FixedIPs, old.FixedIPs) {
		err = fault.BadRequest("IPAddressChangeNotAllowed", "IP updates for port %s are not allowed", p.ID)
	}
	return err
}

// allocation is the work of giving one port its addresses.
type allocation struct {
	s       *Service
	c       *engine.Call
	p       *Port
	n       *NetworkRow
	subnets []*Subnet
	reached []*Subnet // those of them that the port's host may use
	routed  bool
	own     []FixedIP // what the port has already
	ips     []FixedIP
}

func (a *allocation) subnet(id string) *Subnet {
	for _, n := range a.subnets {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// fits says whether a subnet is for ports of this owner.
func (a *allocation) fits(n *Subnet) bool {
	return len(n.ServiceTypes) == 0 ||
		slices.ContainsFunc(n.ServiceTypes, func(t string) bool { return strings.HasPrefix(a.p.DeviceOwner, t) })
}

// usable lists the subnets that ports of this owner take addresses from when they don't name one.
func (a *allocation) usable() []*Subnet {
	var fitting, plain []*Subnet
	for _, n := range a.reached {
		switch {
		case len(n.ServiceTypes) == 0:
			plain = append(plain, n)
		case a.fits(n):
			fitting = append(fitting, n)
		}
	}
	if len(fitting) > 0 {
		return fitting
	}
	return plain
}

// byDefault takes one IPv4 address, one IPv6 address from a subnet that is not automatic, and the
// automatic ones.
func (a *allocation) byDefault() error {
	subnets := a.usable()
	if len(subnets) == 0 && len(a.reached) > 0 {
		return fault.Conflict("IpAddressGenerationFailureNoMatchingSubnet", "No valid service subnet for the given device owner, network %s, service type %s.", a.n.ID, a.p.DeviceOwner)
	}
	for _, version := range []int{4, 6} {
		tried, done := false, false
		for _, n := range subnets {
			if n.IPVersion != version || n.Automatic() {
				continue
			}
			tried = true
			ip, ok, err := a.next(n)
			if err != nil {
				return err
			}
			if ok {
				a.ips = append(a.ips, FixedIP{n.ID, ip})
				done = true
				break
			}
		}
		if tried && !done {
			return fault.Conflict("IpAddressGenerationFailure", "No more IP addresses available on network %s.", a.n.ID)
		}
	}
	return a.automatic()
}

// automatic adds the addresses that instances make themselves. Routers' own ports have none.
func (a *allocation) automatic() error {
	if isRouterOwner(a.p.DeviceOwner) || a.p.DeviceOwner == ownerFloatingIP {
		return nil
	}
	for _, n := range a.usable() {
		if !n.Automatic() {
			continue
		}
		ip := a.p.MAC.EUI64(n.CIDR)
		if slices.Contains(a.ips, FixedIP{n.ID, ip}) {
			continue
		}
		if err := a.free(n, ip); err != nil {
			return err
		}
		a.ips = append(a.ips, FixedIP{n.ID, ip})
	}
	return nil
}

// asWanted gives the addresses that were asked for, the exact ones first so that no free choice
// takes them.
func (a *allocation) asWanted(wanted []addressRequest) error {
	given := make([]FixedIP, len(wanted))
	chosen := make(map[FixedIP]bool, len(wanted))
	for i, r := range wanted {
		if !r.ip.IsValid() {
			continue
		}
		n, err := a.subnetFor(r)
		if err != nil {
			return err
		}
		if err := a.checkExact(n, r.ip); err != nil {
			return err
		}
		given[i] = FixedIP{n.ID, r.ip}
		chosen[given[i]] = true
	}
	for i, r := range wanted {
		if r.ip.IsValid() {
			continue
		}
		n, err := a.subnetFor(r)
		if err != nil {
			return err
		}
		f := FixedIP{SubnetID: n.ID}
		switch {
		case n.Automatic() && !isRouterOwner(a.p.DeviceOwner):
			f.IP = a.p.MAC.EUI64(n.CIDR)
			if chosen[f] {
				continue
			}
			if err := a.free(n, f.IP); err != nil {
				return err
			}
		default:
			if kept, ok := a.keep(n.ID, chosen); ok {
				f.IP = kept
				break
			}
			ip, ok, err := a.nextBut(n, chosen)
			if err != nil {
				return err
			}
			if !ok {
				return fault.Conflict("IpAddressGenerationFailure", "No more IP addresses available for subnet %s.", n.ID)
			}
			f.IP = ip
		}
		given[i], chosen[f] = f, true
	}
	if err := a.oneSegment(given); err != nil {
		return err
	}
	for _, f := range given {
		if f.SubnetID != "" {
			a.ips = append(a.ips, f)
		}
	}
	return a.automatic()
}

// keep finds an address of the subnet that the port has already and that was not chosen yet.
func (a *allocation) keep(subnet string, chosen map[FixedIP]bool) (netip.Addr, bool) {
	for _, f := range a.own {
		if f.SubnetID == subnet && !chosen[f] {
			return f.IP, true
		}
	}
	return netip.Addr{}, false
}

// subnetFor finds the subnet of a request.
func (a *allocation) subnetFor(r addressRequest) (*Subnet, error) {
	if r.subnet == "" {
		for _, n := range a.candidates() {
			if n.CIDR.Contains(r.ip) {
				return n, nil
			}
		}
		return nil, fault.BadRequest("InvalidIpForNetwork", "IP address %s is not a valid IP for any of the subnets on the specified network.", r.ip)
	}
	n := a.subnet(r.subnet)
	if n == nil || !slices.Contains(a.candidates(), n) {
		if _, err := a.s.Subnets.GetVisible(a.c, r.subnet); err != nil {
			return nil, err
		}
		return nil, fault.InvalidInput("Failed to create port on network %s, because fixed_ips included invalid subnet %s", a.n.ID, r.subnet)
	}
	if r.ip.IsValid() && !n.CIDR.Contains(r.ip) {
		return nil, fault.BadRequest("InvalidIpForSubnet", "IP address %s is not a valid IP for the specified subnet.", r.ip)
	}
	return n, nil
}

// candidates are the subnets that a request may name: while the host is not known, all.
func (a *allocation) candidates() []*Subnet {
	if a.p.Host == "" {
		return a.subnets
	}
	return a.reached
}

// oneSegment refuses addresses of different segments: no host has both.
func (a *allocation) oneSegment(ips []FixedIP) error {
	segment := ""
	for _, f := range ips {
		n := a.subnet(f.SubnetID)
		if n == nil || n.SegmentID == "" {
			continue
		}
		if segment != "" && segment != n.SegmentID {
			return fault.BadRequest("FixedIpsSubnetsNotOnSameSegment", "Cannot allocate addresses from different segments.")
		}
		segment = n.SegmentID
	}
	return nil
}

// checkExact holds an explicitly wanted address against its subnet and the others' addresses.
func (a *allocation) checkExact(n *Subnet, ip netip.Addr) error {
	if slices.Contains(a.own, FixedIP{n.ID, ip}) {
		return nil
	}
	if n.IPVersion == 4 && n.CIDR.Bits() < 31 && (ip == n.CIDR.Addr() || ip == address.Last(n.CIDR)) {
		return fault.BadRequest("InvalidIpForSubnet", "IP address %s is not a valid IP for the specified subnet.", ip)
	}
	if n.Automatic() && !isRouterOwner(a.p.DeviceOwner) && ip != a.p.MAC.EUI64(n.CIDR) {
		return fault.BadRequest("AllocationOnAutoAddressSubnet", "IPv6 address %s cannot be directly assigned to a port on subnet %s as the subnet is configured for automatic addresses", ip, n.ID)
	}
	return a.free(n, ip)
}

// free refuses an address that another port has.
func (a *allocation) free(n *Subnet, ip netip.Addr) error {
	var port string
	taken, err := a.c.Tx.One([]any{&port}, "SELECT port_id FROM ip_allocations WHERE subnet_id = ? AND ip_address = ?", n.ID, ip.String())
	if err == nil && taken && port != a.p.ID {
		err = fault.Conflict("IpAddressAlreadyAllocated", "IP address %s already allocated in subnet %s", ip, n.ID)
	}
	return err
}

// look is how many addresses are tried at once before the whole subnet is read.
const look = 16

func (a *allocation) next(n *Subnet) (netip.Addr, bool, error) {
	chosen := make(map[FixedIP]bool, len(a.ips))
	for _, f := range a.ips {
		chosen[f] = true
	}
	return a.nextBut(n, chosen)
}

// nextBut chooses the next free address of the subnet's pools, going on where it last stopped so
// that a freed address rests a while, and leaves out those in but.
func (a *allocation) nextBut(n *Subnet, but map[FixedIP]bool) (netip.Addr, bool, error) {
	pools := n.ranges()
	a.s.mu.Lock()
	last := a.s.last[n.ID]
	a.s.mu.Unlock()
	candidates := ipam.Candidates(pools, last, look)
	if len(candidates) == 0 {
		return netip.Addr{}, false, nil
	}
	texts := make([]string, look) // always as many, so that the statement is the same
	for i := range texts {
		texts[i] = candidates[min(i, len(candidates)-1)].String()
	}
	taken, err := a.taken(n, store.In("ip_address", texts))
	if err != nil {
		return netip.Addr{}, false, err
	}
	at := slices.IndexFunc(candidates, func(ip netip.Addr) bool { return !taken[ip] && !but[FixedIP{n.ID, ip}] })
	var ip netip.Addr
	if at >= 0 {
		ip = candidates[at]
	} else {
		if taken, err = a.taken(n, store.Cond{}); err != nil {
			return netip.Addr{}, false, err
		}
		for f := range but {
			taken[f.IP] = true
		}
		var ok bool
		if ip, ok = ipam.FirstFree(pools, taken); !ok {
			return netip.Addr{}, false, nil
		}
	}
	a.s.mu.Lock()
	a.s.last[n.ID] = ip
	a.s.mu.Unlock()
	return ip, true, nil
}

// taken reads which of the subnet's addresses are in use.
func (a *allocation) taken(n *Subnet, cond store.Cond) (map[netip.Addr]bool, error) {
	taken := map[netip.Addr]bool{}
	cond = store.And(store.Where("subnet_id = ?", n.ID), cond)
	err := a.c.Tx.Each(func(rows *sql.Rows) error {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		taken[ip] = true
		return nil
	}, "SELECT ip_address FROM ip_allocations"+cond.Clause(), cond.Args...)
	return taken, err
}

// writeAllocations writes a port's addresses; position is the place of the first.
func (s *Service) writeAllocations(c *engine.Call, p *Port, ips []FixedIP, position int) error {
	for i, f := range ips {
		if _, err := c.Tx.Exec("INSERT INTO ip_allocations (subnet_id, ip_address, port_id, network_id, position) VALUES (?, ?, ?, ?, ?)",
			f.SubnetID, f.IP.String(), p.ID, p.NetworkID, position+i); err != nil {
			return fmt.Errorf("write address %s of port %s: %w", f.IP, p.ID, err)
		}
	}
	return nil
}
