package identity

import (
	"net/http"
	"slices"
)

func (s *Service) groupRoutes(closed func(pattern string, fn caller)) {
	closed("GET /v3/groups/{group}/users", reader("identity:list_users_in_group", s.groupUsers))
	closed("GET /v3/users/{user}/groups", s.userGroups)
	closed("GET /v3/groups/{group}/users/{user}", reader("identity:check_user_in_group", s.checkMember))
	closed("PUT /v3/groups/{group}/users/{user}", admin("identity:add_user_to_group", s.addMember))
	closed("DELETE /v3/groups/{group}/users/{user}", admin("identity:remove_user_from_group", s.removeMember))
}

// freeGroup says whether a group can be as it is.
func (d *directory) freeGroup(v *group) error {
	for _, other := range d.groups {
		if other.Name == v.Name && other.Domain == v.Domain && other.ID != v.ID {
			return conflict("group", v.Name)
		}
	}
	if d.domains[v.Domain] == nil {
		return missing("domain", v.Domain)
	}
	return nil
}

func (s *Service) createGroup(x *session, _ *http.Request, in fields) (string, error) {
	v := group{ID: newID(), Domain: in.domainOf(x)}
	in.only("name", "description", "domain_id")
	in.name(&v.Name)
	in.text("description", &v.Description)
	if *in.wrong != nil {
		return "", *in.wrong
	}
	return v.ID, s.change(func(added *document, d *directory) error {
		added.Groups = append(added.Groups, v)
		return d.freeGroup(&v)
	})
}

func (s *Service) updateGroup(_ *http.Request, id string, in fields) error {
	return s.change(func(added *document, d *directory) error {
		if err := d.changeable("group", id); err != nil {
			return err
		}
		v := edit(added.Groups, func(v *group) bool { return v.ID == id })
		in.only("name", "description", "domain_id")
		in.fixed("domain_id", v.Domain)
		in.name(&v.Name)
		in.text("description", &v.Description)
		if *in.wrong != nil {
			return *in.wrong
		}
		return d.freeGroup(v)
	})
}

func (s *Service) removeGroup(id string) error {
	return s.remove("group", id, nil)
}

// groupUsers is GET /v3/groups/{group}/users.
func (s *Service) groupUsers(x *session, r *http.Request) (answer, error) {
	g := x.directory.groups[r.PathValue("group")]
	if g == nil {
		return answer{}, missing("group", r.PathValue("group"))
	}
	list := slices.DeleteFunc(slices.Clone(x.directory.objects["users"]), func(o object) bool {
		id, _ := o["id"].(string)
		return !slices.Contains(g.Users, id)
	})
	return s.many("users", filter(list, r.URL.Query()), r), nil
}

// userGroups is GET /v3/users/{user}/groups: users may see their own.
func (s *Service) userGroups(x *session, r *http.Request) (answer, error) {
	id := r.PathValue("user")
	if id != x.user.ID && !x.mayRead() {
		return answer{}, forbidden("identity:list_groups_for_user")
	}
	if x.directory.users[id] == nil {
		return answer{}, missing("user", id)
	}
	list := slices.DeleteFunc(slices.Clone(x.directory.objects["groups"]), func(o object) bool {
		of, _ := o["id"].(string)
		return !slices.Contains(x.directory.groups[of].Users, id)
	})
	return s.many("groups", filter(list, r.URL.Query()), r), nil
}

// membership gives the group and the user of a path, when both are there.
func (d *directory) membership(r *http.Request) (groupID, userID string, err error) {
	groupID, userID = r.PathValue("group"), r.PathValue("user")
	switch {
	case d.groups[groupID] == nil:
		err = missing("group", groupID)
	case d.users[userID] == nil:
		err = missing("user", userID)
	}
	return groupID, userID, err
}

func (s *Service) checkMember(x *session, r *http.Request) (answer, error) {
	groupID, userID, err := x.directory.membership(r)
	if err == nil && !slices.Contains(x.directory.groups[groupID].Users, userID) {
		err = notMember(groupID, userID)
	}
	return answer{status: http.StatusNoContent}, err
}

func notMember(groupID, userID string) error {
	return refuse(http.StatusNotFound, "User '%s' not found in group '%s'.", userID, groupID)
}

// addMember puts a user into a group; doing it again changes nothing.
func (s *Service) addMember(_ *session, r *http.Request) (answer, error) {
	return s.changeMembers(r, func(g *group, userID string) error {
		if !slices.Contains(g.Users, userID) {
			g.Users = append(slices.Clip(g.Users), userID)
		}
		return nil
	})
}

func (s *Service) removeMember(_ *session, r *http.Request) (answer, error) {
	return s.changeMembers(r, func(g *group, userID string) error {
		if !slices.Contains(g.Users, userID) {
			return notMember(g.ID, userID)
		}
		g.Users = without(g.Users, func(id *string) bool { return *id == userID })
		return nil
	})
}

func (s *Service) changeMembers(r *http.Request, fn func(g *group, userID string) error) (answer, error) {
	return answer{status: http.StatusNoContent}, s.change(func(added *document, d *directory) error {
		groupID, userID, err := d.membership(r)
		if err != nil {
			return err
		}
		if err := d.changeable("group", groupID); err != nil {
			return err
		}
		return fn(edit(added.Groups, func(v *group) bool { return v.ID == groupID }), userID)
	})
}
