package network

import (
	"encoding/json"
	"net/netip"
	"slices"

	"neutrino/address"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network/ipam"
	"neutrino/store"
)

// SubnetPool is a store of prefixes that subnets are taken from.
type SubnetPool struct {
	resource.Standard
	IPVersion                     int
	Prefixes                      []netip.Prefix // merged
	DefaultBits, MinBits, MaxBits int            // prefix lengths; noLength in a request that does not say
	Quota                         int            // addresses (IPv4) or /64s (IPv6) a project may take; noQuota: any
	IsDefault, Shared             bool
	ScopeID                       string // "": none
}

const (
	noLength = -1
	noQuota  = -1
)

func (s *Service) declareSubnetPools() {
	std := func(p *SubnetPool) *resource.Standard { return &p.Standard }
	// Prefix lengths are read as numbers and shown as texts, as the original does.
	length := func(name string, field func(p *SubnetPool) *int) *resource.Attribute[SubnetPool] {
		return resource.OptionalInt(name, name, 0, 128, noLength, field).Post().Put().Sort().
			Described(resource.Schema{Type: "string", MaxLength: 3}).
			Encoded(func(b []byte, p *SubnetPool) []byte {
				return append(resource.AppendInt(append(b, '"'), int64(*field(p))), '"')
			})
	}
	s.SubnetPools = &engine.Resource[SubnetPool]{
		Name: "subnetpool", Plural: "subnetpools", Standard: std, Taggable: true, Counted: true, Sharable: "subnetpool",
		NotFound: func(id string) error {
			return fault.NotFound("SubnetPoolNotFound", "Subnet pool %s could not be found.", id)
		},
		Attributes: append(resource.Replace(resource.Standards(std), poolName()),
			resource.JSON("prefixes", "prefixes", func(p *SubnetPool) *[]netip.Prefix { return &p.Prefixes }, parsePrefixes).Required().Put(),
			ipVersion(func(p *SubnetPool) *int { return &p.IPVersion }),
			length("default_prefixlen", func(p *SubnetPool) *int { return &p.DefaultBits }),
			length("min_prefixlen", func(p *SubnetPool) *int { return &p.MinBits }),
			length("max_prefixlen", func(p *SubnetPool) *int { return &p.MaxBits }),
			resource.OptionalInt("default_quota", "default_quota", 0, 1<<31-1, noQuota, func(p *SubnetPool) *int { return &p.Quota }).Post().Put().Sort(),
			resource.Bool("is_default", "is_default", func(p *SubnetPool) *bool { return &p.IsDefault }).Post().Put().Sort().Policed(),
			resource.Bool("shared", "", func(p *SubnetPool) *bool { return &p.Shared }).Post().Policed(),
			resource.OptionalUUID("address_scope_id", "address_scope_id", func(p *SubnetPool) *string { return &p.ScopeID }).Post().Put().Sort(),
		),
		Loaders: []engine.Loader[SubnetPool]{
			engine.SharingLoader("subnetpool", sharedAccess, func(p *SubnetPool) string { return p.ID }, func(p *SubnetPool, on bool) { p.Shared = on }),
		},
		OnCreate: s.createPool,
		OnCreated: func(c *engine.Call, p *SubnetPool) error {
			if !p.Shared {
				return nil
			}
			return engine.ShareWithAll(c, "subnetpool", p.ID, p.ProjectID, sharedAccess, true)
		},
		OnUpdate: s.updatePool,
		OnDelete: func(c *engine.Call, p *SubnetPool) error {
			n, err := c.Tx.Count("SELECT COUNT(*) FROM subnets WHERE subnetpool_id = ?", p.ID)
			if err == nil && n > 0 {
				err = fault.BadRequest("SubnetPoolDeleteError", "Unable to delete subnet pool: Subnet pool has existing allocations.")
			}
			return err
		},
		Actions: map[string]engine.Action[SubnetPool]{
			"add_prefixes":            {Run: s.addPrefixes},
			"remove_prefixes":         {Run: s.removePrefixes},
			"onboard_network_subnets": {Run: s.onboard},
		},
	}
}

// poolName is a name that may not be empty.
func poolName() *resource.Attribute[SubnetPool] {
	return resource.Name(func(p *SubnetPool) *string { return &p.Name }).Required().Put().Sort().
		Decoded(func(p *SubnetPool, v any) (err error) {
			if p.Name, err = resource.NameValue("name", v); err == nil && p.Name == "" {
				err = fault.Invalid("Invalid input for name. Reason: '' Blank strings are not permitted.")
			}
			return err
		})
}

func parsePrefixes(v any) ([]netip.Prefix, error) {
	list, err := resource.ListValue("prefixes", v)
	if err != nil {
		return nil, err
	}
	out := make([]netip.Prefix, len(list))
	for i, item := range list {
		if out[i], err = resource.PrefixValue("prefixes", item); err != nil {
			return nil, err
		}
	}
	if p, twice := resource.Twice(out); twice {
		return nil, fault.Invalid("Invalid input for prefixes. Reason: Duplicate items in the list: '%s'.", p)
	}
	return out, nil
}

// settlePrefixes merges the prefixes of a pool, all of one family.
func settlePrefixes(p *SubnetPool) error {
	if len(p.Prefixes) == 0 {
		return fault.BadRequest("EmptySubnetPoolPrefixList", "Empty subnet pool prefix list.")
	}
	version := 6
	if p.Prefixes[0].Addr().Is4() {
		version = 4
	}
	for _, prefix := range p.Prefixes {
		if prefix.Addr().Is4() != (version == 4) || p.IPVersion != 0 && p.IPVersion != version {
			return fault.BadRequest("PrefixVersionMismatch", "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.")
		}
	}
	p.IPVersion, p.Prefixes = version, ipam.Merge(p.Prefixes)
	return nil
}

func (s *Service) createPool(c *engine.Call, p *SubnetPool, _ resource.Given) error {
	if err := settlePrefixes(p); err != nil {
		return err
	}
	if err := settleLengths(p); err != nil {
		return err
	}
	if err := s.checkDefaultPool(c, p); err != nil {
		return err
	}
	return s.checkScope(c, p)
}

// settleLengths completes the prefix lengths and holds them against each other.
func settleLengths(p *SubnetPool) error {
	least, most := 8, 32
	if p.IPVersion == 6 {
		least, most = 64, 128
	}
	if p.MinBits == noLength {
		p.MinBits = least
	}
	if p.MaxBits == noLength {
		p.MaxBits = most
	}
	if p.DefaultBits == noLength {
		p.DefaultBits = p.MinBits
	}
	bounds := func(kind string, n int, base string, m int) error {
		return fault.BadRequest("IllegalSubnetPoolPrefixBounds", "Illegal prefix bounds: %s=%d, %s=%d.", kind, n, base, m)
	}
	switch {
	case p.MaxBits > most:
		return bounds("max_prefixlen", p.MaxBits, "ip_version_max", most)
	case p.MinBits > p.MaxBits:
		return bounds("min_prefixlen", p.MinBits, "max_prefixlen", p.MaxBits)
	case p.DefaultBits > p.MaxBits:
		return bounds("default_prefixlen", p.DefaultBits, "max_prefixlen", p.MaxBits)
	case p.DefaultBits < p.MinBits:
		return bounds("min_prefixlen", p.MinBits, "default_prefixlen", p.DefaultBits)
	}
	return nil
}

// checkDefaultPool lets only one pool of a family be the default.
func (s *Service) checkDefaultPool(c *engine.Call, p *SubnetPool) error {
	if !p.IsDefault {
		return nil
	}
	other, err := s.defaultPool(c, p.IPVersion)
	if err == nil && other != nil && other.ID != p.ID {
		err = fault.InvalidInput("A default subnetpool for this IP family has already been set. Only one default may exist per IP family")
	}
	return err
}

// defaultPool is the default pool of a family, or nil.
func (s *Service) defaultPool(c *engine.Call, version int) (*SubnetPool, error) {
	found, err := s.SubnetPools.Find(c, store.Where("t.is_default = ? AND t.ip_version = ?", true, version))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// checkScope holds a pool against its address scope.
func (s *Service) checkScope(c *engine.Call, p *SubnetPool) error {
	if p.ScopeID == "" {
		return nil
	}
	scope, err := s.AddressScopes.GetVisible(c, p.ScopeID)
	if err != nil {
		return err
	}
	if p.Shared && !scope.Shared {
		return illegalScope(p)
	}
	if scope.IPVersion != p.IPVersion {
		return fault.BadRequest("IllegalSubnetPoolIpVersionAssociationToAddressScope",
			"Illegal subnetpool association: subnetpool %s cannot associate with address scope %s because subnetpool ip_version is not %d.", p.ID, scope.ID, scope.IPVersion)
	}
	others, err := s.SubnetPools.Rows(c, store.Where("t.address_scope_id = ? AND t.id <> ?", scope.ID, p.ID))
	if err != nil {
		return err
	}
	for _, other := range others {
		if ipam.Meet(p.Prefixes, other.Prefixes) {
			return fault.Conflict("AddressScopePrefixConflict", "Failed to associate address scope: subnetpools within an address scope must have unique prefixes.")
		}
	}
	return nil
}

func illegalScope(p *SubnetPool) error {
	return fault.BadRequest("IllegalSubnetPoolAssociationToAddressScope",
		"Illegal subnetpool association: subnetpool %s cannot be associated with address scope %s.", p.ID, p.ScopeID)
}

// ownScope refuses to change what somebody else's address scope holds.
func (s *Service) ownScope(c *engine.Call, p *SubnetPool) error {
	if p.ScopeID == "" || c.Admin() {
		return nil
	}
	scope, err := s.AddressScopes.GetVisible(c, p.ScopeID)
	if err == nil && scope.ProjectID != c.Caller.ProjectID {
		err = illegalScope(p)
	}
	return err
}

// PoolSharable refuses to share a pool with a project that can't see the pool's address scope.
func (s *Service) PoolSharable(c *engine.Call, id, target string) error {
	p, err := s.SubnetPools.Row(c, id)
	if err != nil || p.ScopeID == "" {
		return err
	}
	n, err := c.Tx.Count(`SELECT (SELECT COUNT(*) FROM address_scopes WHERE id = ? AND project_id = ?) +
		(SELECT COUNT(*) FROM rbac_entries WHERE object_type = 'address_scope' AND object_id = ? AND target_project IN ('*', ?))`,
		p.ScopeID, target, p.ScopeID, target)
	if err == nil && n == 0 {
		err = illegalScope(p)
	}
	return err
}

func (s *Service) updatePool(c *engine.Call, old, p *SubnetPool, given resource.Given) error {
	if given.Has("prefixes") {
		if err := s.ownScope(c, p); err != nil {
			return err
		}
		if err := settlePrefixes(p); err != nil {
			return err
		}
		for _, prefix := range old.Prefixes {
			if !ipam.Within(prefix, p.Prefixes) {
				return fault.BadRequest("IllegalSubnetPoolPrefixUpdate", "Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes.")
			}
		}
	}
	if err := settleLengths(p); err != nil {
		return err
	}
	if given.Has("is_default") {
		if err := s.checkDefaultPool(c, p); err != nil {
			return err
		}
	}
	if given.Any("prefixes", "address_scope_id") {
		return s.checkScope(c, p)
	}
	return nil
}

// appendPrefixList answers prefix actions: {"prefixes": […]}.
func appendPrefixList(b []byte, list []netip.Prefix) []byte {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return append(resource.AppendStrings(append(b, `{"prefixes": `...), texts), '}')
}

// prefixesIn reads an action's prefixes, of the pool's family.
func prefixesIn(p *SubnetPool, in engine.Input) ([]netip.Prefix, error) {
	m, err := resource.MapValue("subnetpool", any(in.Body), "prefixes")
	if err != nil {
		return nil, err
	}
	if m["prefixes"] == nil {
		return nil, fault.Invalid("Invalid input for prefixes. Reason: give a list of prefixes.")
	}
	list, err := parsePrefixes(m["prefixes"])
	if err != nil {
		return nil, err
	}
	change := *p
	change.Prefixes = list
	return list, settlePrefixes(&change)
}

func (s *Service) addPrefixes(c *engine.Call, old *SubnetPool, in engine.Input, b []byte) ([]byte, error) {
	list, err := prefixesIn(old, in)
	if err != nil {
		return nil, err
	}
	p := *old
	p.Prefixes = append(slices.Clone(old.Prefixes), list...)
	if err := s.SubnetPools.Save(c, old, &p, resource.Given{"prefixes": nil}); err != nil {
		return nil, err
	}
	return appendPrefixList(b, p.Prefixes), nil
}

func (s *Service) removePrefixes(c *engine.Call, old *SubnetPool, in engine.Input, b []byte) ([]byte, error) {
	list, err := prefixesIn(old, in)
	if err != nil {
		return nil, err
	}
	p := *old
	p.Prefixes = slices.Clone(old.Prefixes)
	for _, gone := range list {
		if p.Prefixes = without(p.Prefixes, gone.Masked()); len(p.Prefixes) > resource.MaxItems {
			return nil, fault.Invalid("Invalid input for prefixes. Reason: more than %d prefixes would be left.", resource.MaxItems)
		}
	}
	p.Prefixes = ipam.Merge(p.Prefixes)
	used, err := s.poolSubnets(c, p.ID)
	if err != nil {
		return nil, err
	}
	for _, n := range used {
		if !ipam.Within(n.CIDR, p.Prefixes) {
			return nil, fault.BadRequest("IllegalSubnetPoolPrefixUpdate", "Illegal update to prefixes: One or more prefixes to be removed is in use by a subnet.")
		}
	}
	if p.Prefixes == nil {
		p.Prefixes = []netip.Prefix{}
	}
	if err := s.SubnetPools.Save(c, old, &p, resource.Given{}); err != nil {
		return nil, err
	}
	return appendPrefixList(b, p.Prefixes), nil
}

// without takes the addresses of gone out of the list.
func without(list []netip.Prefix, gone netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if !p.Overlaps(gone) {
			out = append(out, p)
			continue
		}
		for gone.Bits() > p.Bits() { // keep the half that gone is not in, look into the other
			a := netip.PrefixFrom(p.Addr(), p.Bits()+1)
			b := netip.PrefixFrom(address.Last(a).Next(), p.Bits()+1)
			if a.Overlaps(gone) {
				out, p = append(out, b), a
			} else {
				out, p = append(out, a), b
			}
		}
	}
	return out
}

// onboard takes the subnets of a network into the pool.
func (s *Service) onboard(c *engine.Call, old *SubnetPool, in engine.Input, b []byte) ([]byte, error) {
	m, err := resource.MapValue("subnetpool", any(in.Body), "network_id")
	if err != nil {
		return nil, err
	}
	id, err := resource.UUIDValue("network_id", m["network_id"])
	if err != nil {
		return nil, err
	}
	network, err := s.Networks.GetVisible(c, id)
	if err != nil {
		return nil, err
	}
	if !c.Admin() && network.ProjectID != c.Caller.ProjectID {
		return nil, s.Networks.NotFound(id)
	}
	subnets, err := s.subnetsOf(c, id)
	if err != nil {
		return nil, err
	}
	p := *old
	p.Prefixes = slices.Clone(old.Prefixes)
	type onboarded struct {
		ID   string `json:"id"`
		CIDR string `json:"cidr"`
	}
	taken := []onboarded{}
	for _, n := range subnets {
		if n.IPVersion != p.IPVersion {
			continue
		}
		if n.PoolID != "" {
			return nil, fault.BadRequest("IllegalSubnetPoolUpdate", "Illegal subnetpool update : subnet %s is already allocated from subnetpool %s.", n.ID, n.PoolID)
		}
		for _, prefix := range old.Prefixes {
			if prefix.Overlaps(n.CIDR) {
				return nil, fault.BadRequest("IllegalSubnetPoolUpdate", "Illegal subnetpool update : subnetpool %s prefix %s overlaps with subnet %s.", p.ID, prefix, n.ID)
			}
		}
		p.Prefixes = append(p.Prefixes, n.CIDR)
		taken = append(taken, onboarded{n.ID, n.CIDR.String()})
	}
	if len(taken) > 0 {
		if err := s.SubnetPools.Save(c, old, &p, resource.Given{"prefixes": nil}); err != nil {
			return nil, err
		}
		for _, was := range subnets {
			if was.IPVersion != p.IPVersion {
				continue
			}
			n := *was
			n.PoolID = p.ID
			if err := s.Subnets.Save(c, was, &n, resource.Given{}); err != nil {
				return nil, err
			}
		}
	}
	text, err := json.Marshal(taken)
	return append(b, text...), err
}

// poolSubnets are the subnets taken from a pool.
func (s *Service) poolSubnets(c *engine.Call, pool string) ([]*Subnet, error) {
	return s.Subnets.Rows(c, store.Where("t.subnetpool_id = ?", pool))
}
