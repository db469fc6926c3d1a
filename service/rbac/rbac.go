// Package rbac has the policies by which objects are shared with projects that don't own them.
package rbac

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// Policy lets a project, or all, use an object of another.
type Policy struct {
	ID, ProjectID, ObjectType, ObjectID, Action string
	Target                                      string // project id; "*" is everybody
}

// Access words.
const (
	Shared   = "access_as_shared"
	External = "access_as_external"
)

// Type is a kind of object that can be shared.
type Type struct {
	Kind    string   // of the object in the journal; "" is the type's own name
	Actions []string // ways to share it
	// Owner gives the project that owns an object, or the object's not-found error.
	Owner func(c *engine.Call, id string) (project string, err error)
	// Users lists the projects other than the owner that use the object by an action.
	Users func(c *engine.Call, id, action string) (map[string]bool, error)
	// Strict makes a change of target count as a deletion whoever the new target is, as the original has
	// it for some types.
	Strict bool
	// Allowed refuses targets that could not use the object; nil allows all.
	Allowed func(c *engine.Call, id, target string) error
	// Keep refuses to take a policy away for a reason of the object's own; nil never does.
	Keep func(c *engine.Call, p *Policy) error
	// Touch makes the object's revision grow; nil only tells those who follow it.
	Touch func(c *engine.Call, id string) error
}

// Service has the resource.
type Service struct {
	Policies *engine.Resource[Policy]
	Types    map[string]Type // by object_type; filled in a wire file before Install
}

// New declares the resource.
func New() *Service {
	s := &Service{Types: map[string]Type{}}
	s.Policies = &engine.Resource[Policy]{
		Name: "rbac_policy", Plural: "rbac_policies", Extension: "rbac-policies", Table: "rbac_entries", Counted: true,
		NotFound: func(id string) error {
			return fault.NotFound("RbacPolicyNotFound", "RBAC policy of type None with ID %s not found", id)
		},
		Attributes: slices.Concat(
			[]*resource.Attribute[Policy]{
				resource.ID(func(p *Policy) *string { return &p.ID }),
				resource.Text("object_type", "object_type", 64, func(p *Policy) *string { return &p.ObjectType }).Required().Sort().Policed().
					Decoded(s.decodeType),
				resource.UUID("object_id", "object_id", func(p *Policy) *string { return &p.ObjectID }).Required().Sort().Policed(),
				resource.Text("action", "action", 64, func(p *Policy) *string { return &p.Action }).Required().Sort().Policed(),
				resource.Text("target_tenant", "target_project", 255, func(p *Policy) *string { return &p.Target }).Required().Put().Sort().Policed().
					Decoded(decodeTarget),
			},
			resource.Project(func(p *Policy) *string { return &p.ProjectID })),
		OnCreate:  s.create,
		OnCreated: s.changed,
		OnUpdate:  s.update,
		OnUpdated: func(c *engine.Call, _, p *Policy, _ resource.Given) error { return s.changed(c, p) },
		OnDelete:  func(c *engine.Call, p *Policy) error { return s.unused(c, p, "") },
		OnDeleted: s.changed,
	}
	return s
}

// Install binds the resource to the engine.
func (s *Service) Install(e *engine.Engine) { s.Policies.Install(e) }

func (s *Service) decodeType(p *Policy, v any) error {
	text, _ := v.(string)
	if _, known := s.Types[text]; !known {
		return fault.InvalidInput("Object type '%v' is not valid: RBAC policies can be made for %s", v,
			strings.Join(slices.Sorted(maps.Keys(s.Types)), ", "))
	}
	p.ObjectType = text
	return nil
}

// decodeTarget takes "*" or a project id, which looks like a UUID, with hyphens or without.
func decodeTarget(p *Policy, v any) error {
	text, err := resource.StringValue("target_tenant", v, 255)
	if err != nil {
		return err
	}
	if text != "*" {
		if _, err := resource.UUIDValue("target_tenant", text); err != nil {
			return err
		}
	}
	p.Target = text
	return nil
}

func (s *Service) create(c *engine.Call, p *Policy, _ resource.Given) error {
	kind := s.Types[p.ObjectType]
	if !slices.Contains(kind.Actions, p.Action) {
		return fault.BadRequest("InvalidActionForType", "Invalid action '%s' for object type '%s'. Valid actions: %s",
			p.Action, p.ObjectType, strings.Join(kind.Actions, ","))
	}
	owner, err := kind.Owner(c, p.ObjectID)
	if err != nil || !c.Admin() && owner != c.Caller.ProjectID {
		if e, known := fault.As(err); err != nil && (!known || e.Status != 404) {
			return err
		}
		return fault.InvalidInput("The %s %s could not be found among the project's own", p.ObjectType, p.ObjectID)
	}
	if kind.Allowed != nil {
		if err := kind.Allowed(c, p.ObjectID, p.Target); err != nil {
			return err
		}
	}
	return s.unique(c, p)
}

func (s *Service) unique(c *engine.Call, p *Policy) error {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM rbac_entries WHERE object_type = ? AND object_id = ? AND action = ? AND target_project = ? AND id <> ?",
		p.ObjectType, p.ObjectID, p.Action, p.Target, p.ID)
	if err == nil && n > 0 {
		err = fault.Conflict("DuplicateRbacPolicy", "An RBAC policy already exists with those values.")
	}
	return err
}

func (s *Service) update(c *engine.Call, old, p *Policy, _ resource.Given) error {
	if old.Target == p.Target {
		return nil
	}
	kind := s.Types[p.ObjectType]
	if kind.Allowed != nil {
		if err := kind.Allowed(c, p.ObjectID, p.Target); err != nil {
			return err
		}
	}
	if err := s.unique(c, p); err != nil {
		return err
	}
	if kind.Strict {
		return s.unused(c, old, "")
	}
	return s.unused(c, old, p.Target)
}

// unused refuses to take a policy away while projects use the object that no other policy, nor the new
// target (for a change), lets in.
func (s *Service) unused(c *engine.Call, p *Policy, next string) error {
	kind, known := s.Types[p.ObjectType]
	if !known {
		return nil
	}
	if kind.Keep != nil {
		if err := kind.Keep(c, p); err != nil {
			return err
		}
	}
	users, err := kind.Users(c, p.ObjectID, p.Action)
	if err != nil {
		return err
	}
	owner, err := kind.Owner(c, p.ObjectID)
	if err != nil {
		return err
	}
	others, err := s.Policies.Rows(c, store.Where("t.object_type = ? AND t.object_id = ? AND t.action = ? AND t.id <> ?", p.ObjectType, p.ObjectID, p.Action, p.ID))
	if err != nil {
		return err
	}
	let := map[string]bool{"": true, owner: true, next: next != ""}
	for _, other := range others {
		let[other.Target] = true
	}
	var left []string
	for project := range users {
		if !let["*"] && !let[project] && (p.Target == "*" || p.Target == project) {
			left = append(left, project)
		}
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	return fault.Conflict("RbacPolicyInUse", "RBAC policy on object %s cannot be removed because other objects depend on it.\nDetails: it is used by projects %s",
		p.ObjectID, strings.Join(left, ", "))
}

// changed tells those who follow the object that who may use it has changed.
func (s *Service) changed(c *engine.Call, p *Policy) error {
	kind := s.Types[p.ObjectType]
	if kind.Touch != nil {
		return kind.Touch(c, p.ObjectID)
	}
	c.Tx.Change(cmp.Or(kind.Kind, p.ObjectType), p.ObjectID)
	return nil
}
