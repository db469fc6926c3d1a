package identity

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// object is something of the directory as the API shows it, without links.
type object map[string]any

// describe gives all objects by the plural of their kind, in the order of their names.
func describe(d *directory) map[string][]object {
	all := map[string][]object{}
	for _, v := range sorted(d.domains, domainName) {
		all["domains"] = append(all["domains"], object{
			"id": v.ID, "name": v.Name, "description": v.Description, "enabled": !v.Disabled, "tags": []string{}, "options": object{},
		})
	}
	for _, v := range sorted(d.projects, projectName) {
		parent := v.Parent
		if parent == "" {
			parent = v.Domain
		}
		all["projects"] = append(all["projects"], object{
			"id": v.ID, "name": v.Name, "description": v.Description, "enabled": !v.Disabled,
			"domain_id": v.Domain, "parent_id": parent, "is_domain": false, "tags": []string{}, "options": object{},
		})
	}
	for _, v := range sorted(d.users, userName) {
		o := object{
			"id": v.ID, "name": v.Name, "domain_id": v.Domain, "enabled": !v.Disabled, "password_expires_at": nil, "options": object{},
		}
		optional(o, "description", v.Description)
		optional(o, "email", v.Email)
		optional(o, "default_project_id", v.DefaultProject)
		all["users"] = append(all["users"], o)
	}
	for _, v := range sorted(d.groups, groupName) {
		all["groups"] = append(all["groups"], object{"id": v.ID, "name": v.Name, "domain_id": v.Domain, "description": v.Description})
	}
	for _, v := range sorted(d.roles, roleName) {
		o := object{"id": v.ID, "name": v.Name, "domain_id": nil, "description": nil, "options": object{}}
		optional(o, "description", v.Description)
		all["roles"] = append(all["roles"], o)
	}
	for _, v := range d.services {
		all["services"] = append(all["services"], object{
			"id": v.ID, "type": v.Type, "name": v.Name, "description": v.Description, "enabled": !v.Disabled,
		})
	}
	regions := map[string]bool{}
	for _, v := range d.endpoints {
		all["endpoints"] = append(all["endpoints"], object{
			"id": v.ID, "service_id": v.Service, "interface": v.Interface, "region": v.Region, "region_id": v.Region,
			"url": strings.ReplaceAll(v.URL, "{project_id}", "$(project_id)s"), "enabled": !v.Disabled,
		})
		regions[v.Region] = true
	}
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		all["regions"] = append(all["regions"], object{"id": name, "description": "", "parent_region_id": nil})
	}
	return all
}

// interfaces of endpoints.
var interfaces = []string{"public", "internal", "admin"}

func optional(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}

func sorted[T any](byID map[string]*T, name func(*T) string) []*T {
	return slices.SortedFunc(maps.Values(byID), func(a, b *T) int { return cmp.Compare(name(a), name(b)) })
}

// catalog is the service catalog of a token of the project, which may be none: endpoints whose URL
// needs a project are left out then.
func (d *directory) catalog(projectID string) []object {
	endpoints := map[string][]object{}
	for _, v := range d.endpoints {
		if v.Disabled || projectID == "" && strings.Contains(v.URL, "{project_id}") {
			continue
		}
		endpoints[v.Service] = append(endpoints[v.Service], object{
			"id": v.ID, "interface": v.Interface, "region": v.Region, "region_id": v.Region,
			"url": strings.ReplaceAll(v.URL, "{project_id}", projectID),
		})
	}
	list := make([]object, 0, len(d.services))
	for _, s := range d.services {
		if !s.Disabled && endpoints[s.ID] != nil {
			list = append(list, object{"id": s.ID, "type": s.Type, "name": s.Name, "endpoints": endpoints[s.ID]})
		}
	}
	return list
}

// credentialObject shows an application credential, without its secret.
func (d *directory) credentialObject(c *credential) object {
	roles := make([]object, 0, len(c.Roles))
	for _, id := range c.Roles {
		roles = append(roles, object{"id": id, "name": d.roles[id].Name, "domain_id": nil})
	}
	o := object{
		"id": c.ID, "name": c.Name, "description": nil, "user_id": c.User, "project_id": c.Project, "roles": roles,
		"expires_at": nil, "unrestricted": c.Unrestricted,
	}
	optional(o, "description", c.Description)
	if !c.Expires.IsZero() {
		o["expires_at"] = c.Expires.UTC().Format("2006-01-02T15:04:05.000000")
	}
	return o
}
