// Package flavor has flavors, the kinds of a service that users can choose between, with the profiles
// that say how a kind is realised, and lists the providers that there are.
package flavor

import (
	"database/sql"
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
)

// Flavor is a kind of a service that users can choose.
type Flavor struct {
	ID, Name, Description string
	ServiceType           string
	Enabled               bool
	Profiles              []string // in the order of their binding: the first enabled one counts

	wanted []string // of a request; nil: not said
}

// Provider is something that realises a service.
type Provider struct {
	ServiceType string
	Name        string
	Driver      string // what service profiles call it
	Default     bool   // realises what names no flavor
}

// Service has the resources.
type Service struct {
	Flavors   *engine.Resource[Flavor]
	Profiles  *engine.Resource[Profile]
	Providers *engine.Resource[Provider]

	// InUse says of a flavor whether a service instance has it; other services add to it.
	InUse []func(c *engine.Call, id string) (bool, error)

	types     []string
	providers []Provider
}

// New declares the resources. Flavors can be made for types.
func New(types []string, providers []Provider) *Service {
	s := &Service{types: types, providers: providers}
	s.declareFlavors()
	s.declareProfiles()
	s.declareProviders()
	return s
}

// Install binds the resources to the engine.
func (s *Service) Install(e *engine.Engine) {
	s.Flavors.Install(e)
	s.Profiles.Install(e)
	s.Providers.Install(e)
}

func (s *Service) declareFlavors() {
	s.Flavors = &engine.Resource[Flavor]{
		Name: "flavor", Plural: "flavors", Extension: "flavors", NoBulk: true,
		Attributes: []*resource.Attribute[Flavor]{
			resource.ID(func(f *Flavor) *string { return &f.ID }),
			resource.Name(func(f *Flavor) *string { return &f.Name }).Post().Put().Sort(),
			description(func(f *Flavor) *string { return &f.Description }),
			resource.Text("service_type", "service_type", 36, func(f *Flavor) *string { return &f.ServiceType }).Required().Sort().Decoded(s.decodeType),
			resource.Computed("service_profiles", func(b []byte, f *Flavor) []byte { return resource.AppendStrings(b, f.Profiles) }, nil).
				Post().Put().Decoded(func(f *Flavor, v any) (err error) {
				f.wanted, err = resource.UUIDList("service_profiles", v)
				return err
			}),
			enabled(func(f *Flavor) *bool { return &f.Enabled }),
		},
		Loaders: []engine.Loader[Flavor]{loadProfiles},
		OnCreated: func(c *engine.Call, f *Flavor) error {
			return s.bindAll(c, f)
		},
		OnUpdated: func(c *engine.Call, _, f *Flavor, given resource.Given) error {
			if !given.Has("service_profiles") {
				return nil
			}
			if _, err := c.Tx.Exec("DELETE FROM flavor_service_profiles WHERE flavor_id = ?", f.ID); err != nil {
				return err
			}
			return s.bindAll(c, f)
		},
		OnDelete: s.unused,
		Actions: map[string]engine.Action[Flavor]{
			"POST service_profiles":     {Rule: "create_flavor_service_profile", Status: 201, Run: s.bind},
			"DELETE service_profiles/*": {Rule: "delete_flavor_service_profile", Status: 204, Run: s.unbind},
			"GET next_providers":        {Rule: "get_service_profile", Reads: true, Run: s.next},
		},
	}
}

// description is text of up to 1024 characters; null is empty.
func description[T any](field func(t *T) *string) *resource.Attribute[T] {
	return resource.Text("description", "description", 1024, field).Post().Put().Sort().Decoded(func(t *T, v any) (err error) {
		if v == nil {
			v = ""
		}
		*field(t), err = resource.StringValue("description", v, 1024)
		return err
	})
}

// enabled is true when not said; null says nothing.
func enabled[T any](field func(t *T) *bool) *resource.Attribute[T] {
	return resource.Bool("enabled", "enabled", field).Post().Put().Sort().Default(func(t *T) { *field(t) = true }).
		Decoded(func(t *T, v any) (err error) {
			if v != nil {
				*field(t), err = resource.BoolValue(v)
			}
			return err
		})
}

func (s *Service) decodeType(f *Flavor, v any) error {
	text, err := resource.StringValue("service_type", v, 0)
	if err != nil {
		return err
	}
	if !slices.Contains(s.types, text) {
		return fault.BadRequest("InvalidServiceType", "Invalid service type: %s.", text)
	}
	f.ServiceType = text
	return nil
}

// loadProfiles gives for each flavor of a page its profiles.
func loadProfiles(c *engine.Call, page engine.Page) (func(f *Flavor), error) {
	profiles := map[string][]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var flavor, profile string
		err := rows.Scan(&flavor, &profile)
		profiles[flavor] = append(profiles[flavor], profile)
		return err
	}, "SELECT b.flavor_id, b.service_profile_id FROM flavor_service_profiles b"+page.Join("b.flavor_id")+"ORDER BY b.position", page.Args...)
	return func(f *Flavor) { f.Profiles = profiles[f.ID] }, err
}

// unused refuses to delete a flavor that a service instance has.
func (s *Service) unused(c *engine.Call, f *Flavor) error {
	for _, uses := range s.InUse {
		used, err := uses(c, f.ID)
		if err != nil {
			return err
		}
		if used {
			return fault.Conflict("FlavorInUse", "Flavor %s is used by some service instance.", f.ID)
		}
	}
	return nil
}

// bindAll binds the profiles that a request lists.
func (s *Service) bindAll(c *engine.Call, f *Flavor) error {
	for i, id := range f.wanted {
		if err := s.write(c, f.ID, id, i); err != nil {
			return err
		}
	}
	return nil
}

// write binds a profile to a flavor.
func (s *Service) write(c *engine.Call, flavor, profile string, position int) error {
	if _, err := s.Profiles.Row(c, profile); err != nil {
		return err
	}
	_, err := c.Tx.Exec("INSERT INTO flavor_service_profiles (flavor_id, service_profile_id, position) VALUES (?, ?, ?)", flavor, profile, position)
	return err
}

// bind binds a profile to the flavor; the answer names the flavor, as the original's does.
func (s *Service) bind(c *engine.Call, f *Flavor, in engine.Input, b []byte) ([]byte, error) {
	m, err := resource.MapValue("service_profile", in.Body["service_profile"], "id")
	if err != nil {
		return nil, err
	}
	if m["id"] == nil {
		return nil, fault.Invalid("Failed to parse request. Required attribute 'id' not specified")
	}
	id, err := resource.UUIDValue("id", m["id"])
	if err != nil {
		return nil, err
	}
	if slices.Contains(f.Profiles, id) {
		return nil, fault.Conflict("FlavorServiceProfileBindingExists", "Service Profile %s is already associated with flavor %s.", id, f.ID)
	}
	last := -1
	if _, err := c.Tx.One([]any{&last}, "SELECT position FROM flavor_service_profiles WHERE flavor_id = ? ORDER BY position DESC LIMIT 1", f.ID); err != nil {
		return nil, err
	}
	if err := s.write(c, f.ID, id, last+1); err != nil {
		return nil, err
	}
	c.Tx.Change("flavor", f.ID)
	return append(resource.AppendString(append(b, `{"service_profile": {"id": `...), f.ID), "}}"...), nil
}

// unbind parts a profile from the flavor.
func (s *Service) unbind(c *engine.Call, f *Flavor, in engine.Input, _ []byte) ([]byte, error) {
	if !slices.Contains(f.Profiles, in.Word) {
		return nil, fault.NotFound("FlavorServiceProfileBindingNotFound", "Service Profile %s is not associated with flavor %s.", in.Word, f.ID)
	}
	c.Tx.Change("flavor", f.ID)
	_, err := c.Tx.Exec("DELETE FROM flavor_service_profiles WHERE flavor_id = ? AND service_profile_id = ?", f.ID, in.Word)
	return nil, err
}
