package network

import (
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
)

// AddressScope is a space in which addresses are unique: its pools do not overlap, and routers need not
// translate between its networks.
type AddressScope struct {
	ID, ProjectID, Name string
	IPVersion           int
	Shared              bool
}

func (s *Service) declareAddressScopes() {
	s.AddressScopes = &engine.Resource[AddressScope]{
		Name: "address_scope", Plural: "address_scopes", Extension: "address-scope", Sharable: "address_scope",
		NotFound: func(id string) error {
			return fault.NotFound("AddressScopeNotFound", "Address scope %s could not be found.", id)
		},
		Attributes: slices.Concat(
			[]*resource.Attribute[AddressScope]{
				resource.ID(func(a *AddressScope) *string { return &a.ID }),
				resource.Name(func(a *AddressScope) *string { return &a.Name }).Post().Put().Sort(),
				ipVersion(func(a *AddressScope) *int { return &a.IPVersion }).Required(),
				resource.Bool("shared", "", func(a *AddressScope) *bool { return &a.Shared }).Post().Put().Policed(),
			},
			resource.Project(func(a *AddressScope) *string { return &a.ProjectID })),
		Loaders: []engine.Loader[AddressScope]{
			engine.SharingLoader("address_scope", sharedAccess, func(a *AddressScope) string { return a.ID }, func(a *AddressScope, on bool) { a.Shared = on }),
		},
		OnCreated: func(c *engine.Call, a *AddressScope) error {
			if !a.Shared {
				return nil
			}
			return engine.ShareWithAll(c, "address_scope", a.ID, a.ProjectID, sharedAccess, true)
		},
		OnUpdate: func(c *engine.Call, old, a *AddressScope, given resource.Given) error {
			if given.Has("shared") && old.Shared && !a.Shared {
				return fault.BadRequest("AddressScopeUpdateError", "Unable to update address scope %s : Shared address scope can't be unshared.", a.ID)
			}
			return nil
		},
		OnUpdated: func(c *engine.Call, _, a *AddressScope, given resource.Given) error {
			if !given.Has("shared") || !a.Shared {
				return nil
			}
			return engine.ShareWithAll(c, "address_scope", a.ID, a.ProjectID, sharedAccess, true)
		},
		OnDelete: func(c *engine.Call, a *AddressScope) error {
			n, err := c.Tx.Count("SELECT COUNT(*) FROM subnetpools WHERE address_scope_id = ?", a.ID)
			if err == nil && n > 0 {
				err = fault.Conflict("AddressScopeInUse", "Unable to complete operation on address scope %s. There are one or more subnet pools in use on the address scope.", a.ID)
			}
			return err
		},
	}
}

// ipVersion declares ip_version: 4 or 6.
func ipVersion[T any](field func(t *T) *int) *resource.Attribute[T] {
	return resource.Int("ip_version", "ip_version", 4, 6, field).Sort().Decoded(func(t *T, v any) error {
		n, err := resource.IntValue(v)
		if err == nil && n != 4 && n != 6 {
			err = fault.Invalid("Invalid input for ip_version. Reason: '%d' is not in [4, 6].", n)
		}
		*field(t) = n
		return err
	})
}
