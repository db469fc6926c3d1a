package engine

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"neutrino/fault"
	"neutrino/resource"
)

// decodeCreate turns a client's object into a T with defaults.
func (r *ResourceOf[P]) decodeCreate(c *Call, body map[string]any) (P, resource.Given, error) {
	t := resource.New[P]()
	if err := r.decodeProject(c, t, body); err != nil {
		return resource.None[P](), nil, err
	}
	if err := r.refuseUnknown(body); err != nil {
		return resource.None[P](), nil, err
	}
	for _, a := range r.Attributes {
		_, sent := body[a.Name]
		switch {
		case sent && !a.CanPost():
			return resource.None[P](), nil, fault.Invalid("Attribute '%s' not allowed in POST", a.Name)
		case !sent && a.IsRequired():
			return resource.None[P](), nil, fault.Invalid("Failed to parse request. Required attribute '%s' not specified", a.Name)
		}
	}
	for _, a := range r.Attributes {
		a.SetDefault(t)
	}
	given := resource.Given{}
	for _, a := range r.Attributes {
		value, sent := body[a.Name]
		if !sent || a.Name == "tenant_id" || a.Name == "project_id" {
			continue
		}
		given.Note(a.Name, value)
		if err := a.Decode(t, value); err != nil {
			return resource.None[P](), nil, err
		}
	}
	return t, given, nil
}

// refuseFixed refuses attributes that an update may not give.
func (r *ResourceOf[P]) refuseFixed(body map[string]any) error {
	if err := r.refuseUnknown(body); err != nil {
		return err
	}
	for _, a := range r.Attributes {
		if _, sent := body[a.Name]; sent && !a.CanPut() {
			return fault.Invalid("Cannot update read-only attribute %s", a.Name)
		}
	}
	return nil
}

// decodeUpdate puts a client's changes on top of t.
func (r *ResourceOf[P]) decodeUpdate(t P, body map[string]any) (resource.Given, error) {
	given := resource.Given{}
	for _, a := range r.Attributes {
		value, sent := body[a.Name]
		if !sent {
			continue
		}
		given.Note(a.Name, value)
		if err := a.Decode(t, value); err != nil {
			return nil, err
		}
	}
	return given, nil
}

func (r *ResourceOf[P]) refuseUnknown(body map[string]any) error {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if r.byName[name] == nil {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return fault.Invalid("Unrecognized attribute(s) '%s'", strings.Join(unknown, ", "))
	}
	return nil
}

// decodeProject settles whose the new object is: the caller's project, unless an administrator or
// a service names another.
func (r *ResourceOf[P]) decodeProject(c *Call, t P, body map[string]any) error {
	a := r.byName["project_id"]
	if a == nil {
		return nil
	}
	project := c.Caller.ProjectID
	tenantID, hasTenant := body["tenant_id"]
	projectID, hasProject := body["project_id"]
	if hasTenant && hasProject && !reflect.DeepEqual(tenantID, projectID) { // both may be objects, which != can't compare
		return fault.Invalid("'project_id' and 'tenant_id' do not match")
	}
	if hasTenant {
		projectID, hasProject = tenantID, true
	}
	if hasProject {
		if projectID != project && !c.global {
			return fault.Invalid("Specifying 'project_id' or 'tenant_id' other than the authenticated project in request is not allowed for the current user.")
		}
		return a.Decode(t, projectID)
	}
	if err := a.Decode(t, project); err != nil {
		return fmt.Errorf("the token's project: %w", err)
	}
	return nil
}

// object takes the envelope off a body: {"port": {…}}.
func (r *ResourceOf[P]) object(body any) (map[string]any, error) {
	m, ok := body.(map[string]any)
	if !ok {
		return nil, fault.Invalid("Body contains invalid data")
	}
	inner, ok := m[r.Name]
	if !ok || len(m) != 1 {
		if !ok {
			return nil, fault.Invalid("Unable to find '%s' in request body", r.Name)
		}
		return nil, fault.Invalid("Body contains invalid data: only '%s' is expected", r.Name)
	}
	object, ok := inner.(map[string]any)
	if !ok {
		return nil, fault.Invalid("Object '%s' contains invalid data", r.Name)
	}
	return object, nil
}

// objects takes the envelope off a create's body; bulk says that it was a list.
func (r *ResourceOf[P]) objects(body any) (list []map[string]any, bulk bool, err error) {
	m, ok := body.(map[string]any)
	if !ok {
		return nil, false, fault.Invalid("Body contains invalid data")
	}
	inner, bulk := m[r.Plural]
	if !bulk || !r.regular() {
		object, err := r.object(body)
		return []map[string]any{object}, false, err
	}
	if r.NoBulk {
		return nil, true, fault.Invalid("Bulk operation not supported")
	}
	items, ok := inner.([]any)
	if !ok {
		return nil, true, fault.Invalid("Object '%s' contains invalid data", r.Plural)
	}
	if len(items) == 0 {
		return nil, true, fault.Invalid("Resources required")
	}
	for _, item := range items {
		object, ok := item.(map[string]any)
		if ok && len(object) == 1 {
			if wrapped, is := object[r.Name].(map[string]any); is {
				object = wrapped
			}
		}
		if !ok {
			return nil, true, fault.Invalid("Object '%s' contains invalid data", r.Name)
		}
		list = append(list, object)
	}
	return list, true, nil
}

// regular says whether the plural is the name with an s: only such resources can be made in bulk, as
// with the original, which looks for that key.
func (r *ResourceOf[P]) regular() bool { return r.Plural == r.Name+"s" }
