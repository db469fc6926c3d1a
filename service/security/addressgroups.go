package security

import (
	"database/sql"
	"net/netip"
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// AddressGroup is a named set of prefixes that rules may name as their remote.
type AddressGroup struct {
	resource.Standard
	Shared    bool
	Addresses []netip.Prefix // sorted, without host bits
}

func (s *Service) declareAddressGroups() {
	std := func(g *AddressGroup) *resource.Standard { return &g.Standard }
	s.AddressGroups = &engine.Resource[AddressGroup]{
		Name: "address_group", Plural: "address_groups", Extension: "address-group",
		Standard: std, Sharable: "address_group", Discreet: true,
		NotFound: func(id string) error {
			return fault.NotFound("AddressGroupNotFound", "Address group %s could not be found.", id)
		},
		Attributes: append(resource.Replace(resource.Standards(std),
			resource.Text("description", "description", 1024, func(g *AddressGroup) *string { return &g.Description }).Post().Put().Filter().Sort()),
			resource.Computed("addresses", appendAddresses, nil).Post().Decoded(func(g *AddressGroup, v any) (err error) {
				g.Addresses, err = prefixes(v, false)
				return err
			}),
			resource.Computed("shared", func(b []byte, g *AddressGroup) []byte { return resource.AppendBool(b, g.Shared) },
				func(g *AddressGroup) any { return g.Shared }).Hidden(),
		),
		Loaders: []engine.Loader[AddressGroup]{
			engine.SharingLoader("address_group", "access_as_shared",
				func(g *AddressGroup) string { return g.ID }, func(g *AddressGroup, on bool) { g.Shared = on }),
			loadAddresses,
		},
		OnCreated: func(c *engine.Call, g *AddressGroup) error { return insertAddresses(c, g.ID, g.Addresses) },
		OnDelete:  s.deleteAddressGroup,
		Actions: map[string]engine.Action[AddressGroup]{
			"add_addresses":    {Run: s.addAddresses},
			"remove_addresses": {Run: s.removeAddresses},
		},
	}
}

func appendAddresses(b []byte, g *AddressGroup) []byte {
	texts := make([]string, len(g.Addresses))
	for i, p := range g.Addresses {
		texts[i] = p.String()
	}
	return resource.AppendStrings(b, texts)
}

func loadAddresses(c *engine.Call, page engine.Page) (func(g *AddressGroup), error) {
	addresses := map[string][]netip.Prefix{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return err
		}
		p, err := netip.ParsePrefix(text)
		addresses[id] = append(addresses[id], p)
		return err
	}, "SELECT a.address_group_id, a.address FROM address_group_addresses a"+page.Join("a.address_group_id"), page.Args...)
	return func(g *AddressGroup) {
		g.Addresses = addresses[g.ID]
		slices.SortFunc(g.Addresses, netip.Prefix.Compare)
	}, err
}

// prefixes reads a list of CIDRs; bare says that an address without a length is taken as one of a host.
func prefixes(v any, bare bool) ([]netip.Prefix, error) {
	if v == nil {
		return nil, nil
	}
	list, err := resource.ListValue("addresses", v)
	if err != nil {
		return nil, err
	}
	out := make([]netip.Prefix, 0, len(list))
	seen := map[netip.Prefix]bool{}
	for _, item := range list {
		text, _ := item.(string)
		var p netip.Prefix
		if ip, err := netip.ParseAddr(text); bare && err == nil && ip.Zone() == "" && !ip.Is4In6() {
			p = netip.PrefixFrom(ip, ip.BitLen())
		} else if p, err = resource.PrefixValue("addresses", item); err != nil {
			return nil, err
		}
		p = p.Masked()
		switch {
		case !seen[p]:
			seen[p] = true
			out = append(out, p)
		case !bare:
			return nil, fault.Invalid("Invalid input for addresses. Reason: Duplicate items in the list: '%s'.", p)
		}
	}
	return out, nil
}

func insertAddresses(c *engine.Call, id string, list []netip.Prefix) error {
	for _, p := range list {
		if _, err := c.Tx.Exec("INSERT INTO address_group_addresses (address_group_id, address) VALUES (?, ?)", id, p.String()); err != nil {
			return err
		}
	}
	return nil
}

// changed are the addresses that an action's body names.
func changed(in engine.Input) ([]netip.Prefix, error) {
	m, err := resource.MapValue("address_group", any(in.Body), "addresses")
	if err != nil {
		return nil, err
	}
	list, err := prefixes(m["addresses"], true)
	if err == nil && len(list) == 0 {
		err = fault.Invalid("Invalid input for addresses. Reason: give a list of at least one address.")
	}
	return list, err
}

func (s *Service) addAddresses(c *engine.Call, g *AddressGroup, in engine.Input, b []byte) ([]byte, error) {
	list, err := changed(in)
	if err != nil {
		return nil, err
	}
	if both := common(g.Addresses, list, true); len(both) > 0 {
		return nil, fault.BadRequest("AddressesAlreadyExist", "Addresses %s already exist in the address group %s.", both, g.ID)
	}
	if len(g.Addresses)+len(list) > resource.MaxItems { // on each host a rule that names the group is one for each address
		return nil, fault.Invalid("Invalid input for addresses. Reason: %d addresses are more than the %d that a group may have.", len(g.Addresses)+len(list), resource.MaxItems)
	}
	if err := insertAddresses(c, g.ID, list); err != nil {
		return nil, err
	}
	return s.addressesChanged(c, g, b)
}

func (s *Service) removeAddresses(c *engine.Call, g *AddressGroup, in engine.Input, b []byte) ([]byte, error) {
	list, err := changed(in)
	if err != nil {
		return nil, err
	}
	if absent := common(g.Addresses, list, false); len(absent) > 0 {
		return nil, fault.NotFound("AddressesNotFound", "Addresses %s not found in the address group %s.", absent, g.ID)
	}
	for _, p := range list {
		if _, err := c.Tx.Exec("DELETE FROM address_group_addresses WHERE address_group_id = ? AND address = ?", g.ID, p.String()); err != nil {
			return nil, err
		}
	}
	return s.addressesChanged(c, g, b)
}

// common lists which of list are in have, or with in false are not.
func common(have, list []netip.Prefix, in bool) []netip.Prefix {
	held := make(map[netip.Prefix]bool, len(have))
	for _, p := range have {
		held[p] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool { return held[p] != in })
}

// addressesChanged tells the groups whose rules name the address group that their hosts must know, and
// answers with the group as it is now.
func (s *Service) addressesChanged(c *engine.Call, g *AddressGroup, b []byte) ([]byte, error) {
	if err := s.AddressGroups.Touch(c, g.ID); err != nil {
		return nil, err
	}
	users, err := engine.TextSet(c, "SELECT DISTINCT security_group_id FROM security_group_rules WHERE remote_address_group_id = ?", g.ID)
	if err != nil {
		return nil, err
	}
	for id := range users {
		c.Tx.Change(s.Groups.Name, id)
	}
	now, err := s.AddressGroups.Get(c, g.ID)
	if err != nil {
		return nil, err
	}
	b = s.AddressGroups.AppendObject(c, append(b, `{"address_group": `...), now)
	return append(b, '}'), nil
}

func (s *Service) deleteAddressGroup(c *engine.Call, g *AddressGroup) error {
	n, err := c.Tx.Count(`SELECT (SELECT COUNT(*) FROM security_group_rules WHERE remote_address_group_id = ?) +
		(SELECT COUNT(*) FROM default_security_group_rules WHERE remote_address_group_id = ?)`, g.ID, g.ID)
	if err == nil && n > 0 {
		err = fault.Conflict("AddressGroupInUse", "Address group %s is in use on one or more security group rules.", g.ID)
	}
	return err
}

// checkAddressGroup refuses a remote address group that is not there for the caller.
func (s *Service) checkAddressGroup(c *engine.Call, m *Match) error {
	_, err := s.AddressGroups.GetVisible(c, m.AddressGroupID)
	return err
}

// AddressesOf gives the prefixes of the address groups that rules name, by group: what hosts match.
func (s *Service) AddressesOf(c *engine.Call, groups []*Group) (map[string][]netip.Prefix, error) {
	var ids []string
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.AddressGroupID != "" && !slices.Contains(ids, r.AddressGroupID) {
				ids = append(ids, r.AddressGroupID)
			}
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := s.AddressGroups.Find(c, store.In("t.id", ids))
	byID := make(map[string][]netip.Prefix, len(found))
	for _, g := range found {
		byID[g.ID] = g.Addresses
	}
	return byID, err
}
