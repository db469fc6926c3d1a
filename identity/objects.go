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
	all := map[string][]object{"groups": {}}
	for _, v := range sorted(d.domains, domainName) {
		all["domains"] = append(all["domains"], object{
			"id": v.ID, "name": v.Name, "description": v.Description, "enabled": !v.Disabled, "tags": []string{}, "options": object{},
		})
	}
	for _, v := range sorted(d.projects, projectName) {
		all["projects"] = append(all["projects"], object{
			"id": v.ID, "name": v.Name, "description": v.Description, "enabled": !v.Disabled && !d.domains[v.Domain].Disabled,
			"domain_id": v.Domain, "parent_id": v.Domain, "is_domain": false, "tags": []string{}, "options": object{},
		})
	}
	for _, v := range sorted(d.users, userName) {
		o := object{
			"id": v.ID, "name": v.Name, "domain_id": v.Domain, "enabled": d.usable(v), "password_expires_at": nil, "options": object{},
		}
		optional(o, "description", v.Description)
		optional(o, "email", v.Email)
		optional(o, "default_project_id", v.DefaultProject)
		all["users"] = append(all["users"], o)
	}
	for _, v := range sorted(d.roles, roleName) {
		all["roles"] = append(all["roles"], object{"id": v.ID, "name": v.Name, "domain_id": nil, "description": nil, "options": object{}})
	}
	regions := map[string]bool{}
	for _, v := range d.services {
		all["services"] = append(all["services"], object{"id": v.ID, "type": v.Type, "name": v.Name, "enabled": true})
		for _, face := range interfaces {
			all["endpoints"] = append(all["endpoints"], object{
				"id": endpointID(v, face), "service_id": v.ID, "interface": face, "region": v.Region, "region_id": v.Region,
				"url": strings.ReplaceAll(v.URL, "{project_id}", "$(project_id)s"), "enabled": true,
			})
		}
		regions[v.Region] = true
	}
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		all["regions"] = append(all["regions"], object{"id": name, "description": "", "parent_region_id": nil})
	}
	return all
}

// interfaces of each service in the catalog; here they all have the same URL.
var interfaces = []string{"public", "internal", "admin"}

func endpointID(s service, face string) string { return derivedID("endpoint", s.ID, face) }

func optional(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}

func sorted[T any](byID map[string]*T, name func(*T) string) []*T {
	return slices.SortedFunc(maps.Values(byID), func(a, b *T) int { return cmp.Compare(name(a), name(b)) })
}

// catalog is the service catalog of a token of the project, which may be none.
func (d *directory) catalog(projectID string) []object {
	list := make([]object, 0, len(d.services))
	for _, s := range d.services {
		if projectID == "" && strings.Contains(s.URL, "{project_id}") {
			continue
		}
		endpoints := make([]object, 0, len(interfaces))
		for _, face := range interfaces {
			endpoints = append(endpoints, object{
				"id": endpointID(s, face), "interface": face, "region": s.Region, "region_id": s.Region,
				"url": strings.ReplaceAll(s.URL, "{project_id}", projectID),
			})
		}
		list = append(list, object{"id": s.ID, "type": s.Type, "name": s.Name, "endpoints": endpoints})
	}
	return list
}

// assignmentObjects shows the role assignments; effective ones have implied roles spelled out.
func (d *directory) assignmentObjects(effective, names bool) []object {
	ref := func(id, name, domainID string) object {
		o := object{"id": id}
		if names {
			o["name"] = name
			if v := d.domains[domainID]; v != nil {
				o["domain"] = object{"id": v.ID, "name": v.Name}
			}
		}
		return o
	}
	list := []object{}
	seen := map[[2]string]bool{}
	for _, a := range d.direct {
		roles := map[string]*role{a.Role: d.roles[a.Role]}
		if effective {
			roles = map[string]*role{}
			d.expand(roles, d.roles[a.Role])
		}
		place, key := object{}, a.Project+"/"+a.Domain
		switch {
		case a.Project != "":
			p := d.projects[a.Project]
			place["project"] = ref(p.ID, p.Name, p.Domain)
		case a.Domain != "":
			place["domain"] = ref(a.Domain, d.domains[a.Domain].Name, "")
		default:
			place["system"] = object{"all": true}
		}
		u := d.users[a.User]
		for _, r := range sorted(roles, roleName) {
			if seen[[2]string{u.ID + "/" + key, r.ID}] {
				continue
			}
			seen[[2]string{u.ID + "/" + key, r.ID}] = true
			list = append(list, object{"user": ref(u.ID, u.Name, u.Domain), "role": ref(r.ID, r.Name, ""), "scope": place})
		}
	}
	return list
}
