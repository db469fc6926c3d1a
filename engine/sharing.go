package engine

import (
	"database/sql"

	"github.com/google/uuid"

	"neutrino/resource"
	"neutrino/store"
)

// Sharing by RBAC entries: an object is shared with a project when an entry names that project, or
// "*", as the target of access_as_shared.

// SharedWith is the condition that the caller's project may use an object (alias self) of that
// type by an action's RBAC entry.
func SharedWith(c *Call, objectType, action, self string) store.Cond {
	return sharedWith(c, objectType, action, self)
}

func sharedWith(c *Call, objectType, action, self string) store.Cond {
	return store.Where(self+".id IN (SELECT r.object_id FROM rbac_entries r WHERE r.object_type = ? AND r.action = ? AND r.target_project IN ('*', ?))",
		objectType, action, c.Caller.ProjectID)
}

// SharingLoader gives for each object of a page whether the caller's project has it by an action's
// RBAC entry.
func SharingLoader[P any](objectType, action string, id func(t P) string, set func(t P, shared bool)) LoaderOf[P] {
	return func(c *Call, page Page) (func(t P), error) {
		shared, err := TextSet(c, "SELECT DISTINCT r.object_id FROM rbac_entries r"+page.Join("r.object_id")+
			"WHERE r.object_type = ? AND r.action = ? AND r.target_project IN ('*', ?)",
			append(append([]any{}, page.Args...), objectType, action, c.Caller.ProjectID)...)
		if err != nil {
			return nil, err
		}
		return func(t P) { set(t, shared[id(t)]) }, nil
	}
}

// SharingFilter filters a list by what SharingLoader computes.
func SharingFilter(objectType, action string) func(c *Call, values []string, self string) (store.Cond, error) {
	return func(c *Call, values []string, self string) (store.Cond, error) {
		return WhereBool(values, sharedWith(c, objectType, action, self))
	}
}

// WhereBool filters by whether cond holds; values are a query's texts for a boolean.
func WhereBool(values []string, cond store.Cond) (store.Cond, error) {
	asked := map[bool]bool{}
	for _, text := range values {
		want, err := resource.BoolValue(text)
		if err != nil {
			return store.Cond{}, err
		}
		asked[want] = true
	}
	switch {
	case asked[true] && asked[false]:
		return store.Cond{}, nil
	case asked[true]:
		return cond, nil
	}
	return store.Not(cond), nil
}

// ShareWithAll adds or removes the wildcard entry of an action for an object.
func ShareWithAll(c *Call, objectType, objectID, project, action string, on bool) error {
	if _, err := c.Tx.Exec("DELETE FROM rbac_entries WHERE object_type = ? AND object_id = ? AND action = ? AND target_project = '*'",
		objectType, objectID, action); err != nil || !on {
		return err
	}
	_, err := c.Tx.Exec("INSERT INTO rbac_entries (id, project_id, object_type, object_id, action, target_project) VALUES (?, ?, ?, ?, ?, '*')",
		uuid.NewString(), project, objectType, objectID, action)
	return err
}

// addSharing makes lists include what is shared with the caller; the resource declares the
// attribute itself, for not all may be set by it.
func (r *ResourceOf[P]) addSharing() {
	if r.Filters == nil {
		r.Filters = map[string]func(c *Call, values []string, self string) (store.Cond, error){}
	}
	r.Filters["shared"] = SharingFilter(r.Sharable, "access_as_shared")
}

// TextSet is the set of the texts in a statement's first column.
func TextSet(c *Call, query string, args ...any) (map[string]bool, error) {
	set := map[string]bool{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		set[text] = true
		return err
	}, query, args...)
	return set, err
}
