package network

import (
	"database/sql"
	"net/netip"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/service/network/ipam"
)

// fromPool gives a new subnet its block from the pool that it asks for, if it asks for one.
func (s *Service) fromPool(c *engine.Call, n *Subnet) error {
	pool, err := s.poolFor(c, n)
	if err != nil {
		return err
	}
	if pool == nil {
		if n.wantedBits != noLength {
			return fault.BadRequest("BadRequest", "Bad subnets request: prefixlen is of use with a subnet pool only.")
		}
		if !n.CIDR.IsValid() {
			return fault.BadRequest("BadRequest", "Bad subnets request: a subnetpool must be specified in the absence of a cidr.")
		}
		return nil
	}
	n.PoolID = pool.ID
	if pool.IPVersion != n.IPVersion {
		return fault.BadRequest("BadRequest", "Bad subnets request: Cannot allocate IPv%d subnet from IPv%d subnet pool.", n.IPVersion, pool.IPVersion)
	}
	if n.CIDR.IsValid() && n.wantedBits != noLength {
		return fault.BadRequest("BadRequest", "Bad subnets request: cidr and prefixlen must not be supplied together.")
	}
	bits := pool.DefaultBits
	switch {
	case n.CIDR.IsValid():
		bits = n.CIDR.Bits()
	case n.wantedBits != noLength:
		bits = n.wantedBits
	}
	if bits < pool.MinBits {
		return fault.BadRequest("MinPrefixSubnetAllocationError", "Unable to allocate subnet with prefix length %d, minimum allowed prefix is %d.", bits, pool.MinBits)
	}
	if bits > pool.MaxBits {
		return fault.BadRequest("MaxPrefixSubnetAllocationError", "Unable to allocate subnet with prefix length %d, maximum allowed prefix is %d.", bits, pool.MaxBits)
	}
	taken, err := s.poolSubnets(c, pool.ID)
	if err != nil {
		return err
	}
	if err := poolQuota(pool, taken, n.ProjectID, bits); err != nil {
		return err
	}
	used := make([]netip.Prefix, len(taken))
	for i, other := range taken {
		used[i] = other.CIDR
	}
	if !n.CIDR.IsValid() {
		free, found := ipam.FreePrefix(pool.Prefixes, used, bits)
		if !found {
			return fault.BadRequest("SubnetAllocationError", "Failed to allocate subnet: Insufficient prefix space to allocate subnet size /%d.", bits)
		}
		n.CIDR = free
		return nil
	}
	if !ipam.Within(n.CIDR, pool.Prefixes) {
		return fault.BadRequest("SubnetAllocationError", "Failed to allocate subnet: Cannot allocate requested subnet from the available set of prefixes.")
	}
	for _, other := range used {
		if other.Overlaps(n.CIDR) {
			return fault.BadRequest("SubnetAllocationError", "Failed to allocate subnet: Cannot allocate requested subnet from the available set of prefixes.")
		}
	}
	return nil
}

// poolFor is the pool that a new subnet asks for, or nil.
func (s *Service) poolFor(c *engine.Call, n *Subnet) (*SubnetPool, error) {
	if n.useDefaultPool {
		if n.PoolID != "" {
			return nil, fault.BadRequest("BadRequest", "Bad subnets request: subnetpool_id and use_default_subnetpool cannot both be specified.")
		}
		pool, err := s.defaultPool(c, n.IPVersion)
		if err == nil && pool == nil {
			err = fault.BadRequest("BadRequest", "Bad subnets request: No default subnetpool found for IPv%d.", n.IPVersion)
		}
		return pool, err
	}
	if n.PoolID == "" {
		return nil, nil
	}
	return s.SubnetPools.GetVisible(c, n.PoolID)
}

// poolQuota refuses a subnet that would pass what a project may take of a pool: addresses of IPv4, /64s of IPv6.
func poolQuota(pool *SubnetPool, taken []*Subnet, project string, bits int) error {
	if pool.Quota == noQuota {
		return nil
	}
	size := func(bits int) float64 { // 2^(unit-bits), exact for all that matters
		unit := 32
		if pool.IPVersion == 6 {
			unit = 64
		}
		n := 1.0
		for ; bits < unit; bits++ {
			n *= 2
		}
		for ; bits > unit; bits-- {
			n /= 2
		}
		return n
	}
	used := size(bits)
	for _, n := range taken {
		if n.ProjectID == project {
			used += size(n.CIDR.Bits())
		}
	}
	if used > float64(pool.Quota) {
		return fault.Conflict("SubnetPoolQuotaExceeded", "Per-project subnet pool prefix quota exceeded.")
	}
	return nil
}

// checkAffinity holds a new subnet against those of its family on its network: all are of one pool, or none is.
func checkAffinity(n *Subnet, siblings []*Subnet) error {
	for _, other := range siblings {
		if other.IPVersion == n.IPVersion && other.PoolID != n.PoolID {
			return fault.BadRequest("NetworkSubnetPoolAffinityError", "Subnets hosted on the same network must be allocated from the same subnet pool.")
		}
	}
	return nil
}

// loadScopes gives for each network of a page the address scopes of its subnets' pools.
func loadScopes(c *engine.Call, page engine.Page) (func(n *Network), error) {
	type key struct {
		network string
		version int
	}
	scopes := map[key]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var k key
		var scope string
		err := rows.Scan(&k.network, &k.version, &scope)
		scopes[k] = scope
		return err
	}, "SELECT s.network_id, s.ip_version, o.address_scope_id FROM subnets s JOIN subnetpools o ON o.id = s.subnetpool_id"+
		page.Join("s.network_id")+"WHERE o.address_scope_id <> ''", page.Args...)
	return func(n *Network) { n.Scope4, n.Scope6 = scopes[key{n.ID, 4}], scopes[key{n.ID, 6}] }, err
}
