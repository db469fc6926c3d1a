package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
)

// readAdded reads what the API has made; there may be none.
func readAdded(path string) (*document, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &document{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what the identity API made: %w", err)
	}
	doc, err := decodeAdded(data)
	if err != nil {
		return nil, fmt.Errorf("read what the identity API made: %s: %w", path, err)
	}
	return doc, nil
}

func decodeAdded(data []byte) (*document, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	doc := &document{}
	if err := d.Decode(doc); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return doc, nil
}

// key is how an object is remembered among those of all kinds.
func key(kind, id string) string { return kind + " " + id }

// known is a copy without what names objects that neither identity.yaml nor the document has: people
// have taken them out since. In the file it stays, for they may come back.
func (doc *document) known(d *directory) *document {
	there, lost := map[string]bool{}, map[string]bool{}
	doc.ids(func(kind, id string) { there[key(kind, id)] = true })
	doc.references(func(kind, id string) {
		if k := key(kind, id); id != "" && !there[k] && !d.fixed[k] {
			lost[k] = true
		}
	})
	out := *doc
	out.forget(lost)
	return &out
}

// ids calls fn for every object that others may name.
func (doc *document) ids(fn func(kind, id string)) {
	for _, v := range doc.Domains {
		fn("domain", v.ID)
	}
	for _, v := range doc.Projects {
		fn("project", v.ID)
	}
	for _, v := range doc.Roles {
		fn("role", v.ID)
	}
	for _, v := range doc.Users {
		fn("user", v.ID)
	}
	for _, v := range doc.Groups {
		fn("group", v.ID)
	}
	for _, v := range doc.Services {
		fn("service", v.ID)
	}
}

// references calls fn for every id by which one object names another; it may be empty.
func (doc *document) references(fn func(kind, id string)) {
	for _, v := range doc.Projects {
		fn("domain", v.Domain)
		fn("project", v.Parent)
	}
	for _, v := range doc.Users {
		fn("domain", v.Domain)
		fn("project", v.DefaultProject)
	}
	for _, v := range doc.Groups {
		fn("domain", v.Domain)
		for _, id := range v.Users {
			fn("user", id)
		}
	}
	for _, a := range doc.Assignments {
		fn("user", a.User)
		fn("group", a.Group)
		fn("role", a.Role)
		fn("project", a.Project)
		fn("domain", a.Domain)
	}
	for _, v := range doc.Endpoints {
		fn("service", v.Service)
	}
	for _, v := range doc.Credentials {
		fn("user", v.User)
		fn("project", v.Project)
		for _, id := range v.Roles {
			fn("role", id)
		}
	}
}

// forget takes objects out, with all that is in them or can't be without them. gone grows by what goes too.
// Lists are made anew, for another document may share the old ones.
func (doc *document) forget(gone map[string]bool) {
	has := func(kind, id string) bool { return gone[key(kind, id)] }
	doc.Domains = without(doc.Domains, func(v *domain) bool { return has("domain", v.ID) })
	for before := -1; before != len(doc.Projects); {
		before = len(doc.Projects)
		doc.Projects = without(doc.Projects, func(v *project) bool {
			if !has("project", v.ID) && !has("domain", v.Domain) && !has("project", v.Parent) {
				return false
			}
			gone[key("project", v.ID)] = true
			return true
		})
	}
	doc.Roles = without(doc.Roles, func(v *role) bool { return has("role", v.ID) })
	doc.Users = without(doc.Users, func(v *user) bool {
		if has("project", v.DefaultProject) {
			v.DefaultProject = ""
		}
		if !has("user", v.ID) && !has("domain", v.Domain) {
			return false
		}
		gone[key("user", v.ID)] = true
		return true
	})
	doc.Groups = without(doc.Groups, func(v *group) bool {
		v.Users = without(v.Users, func(id *string) bool { return has("user", *id) })
		if !has("group", v.ID) && !has("domain", v.Domain) {
			return false
		}
		gone[key("group", v.ID)] = true
		return true
	})
	doc.Services = without(doc.Services, func(v *service) bool { return has("service", v.ID) })
	doc.Endpoints = without(doc.Endpoints, func(v *endpoint) bool { return has("endpoint", v.ID) || has("service", v.Service) })
	doc.Assignments = without(doc.Assignments, func(a *assignment) bool {
		return has("user", a.User) || has("group", a.Group) || has("role", a.Role) || has("project", a.Project) || has("domain", a.Domain)
	})
	doc.Credentials = without(doc.Credentials, func(v *credential) bool {
		return has("application credential", v.ID) || has("user", v.User) || has("project", v.Project) ||
			slices.ContainsFunc(v.Roles, func(id string) bool { return has("role", id) })
	})
}

// without copies a list without what drop is true for; drop may change the copies.
func without[T any](list []T, drop func(v *T) bool) []T {
	kept := make([]T, 0, len(list))
	for _, v := range list {
		if !drop(&v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// change edits what the API has made: fn gets it with the directory as it is, and what it leaves is
// checked, safe on disk and in force when change returns nil.
func (s *Service) change(fn func(added *document, d *directory) error) error {
	return locked(s.options.StateDir, func() error {
		path := filepath.Join(s.options.StateDir, addedFile)
		doc, err := readDocument(filepath.Join(s.options.StateDir, identityFile))
		if err != nil {
			return s.unchangeable(err)
		}
		added, err := readAdded(path)
		if err != nil {
			return s.unchangeable(err)
		}
		now, err := newDirectory(doc, added, s.options.PublicURL)
		if err != nil {
			return s.unchangeable(err)
		}
		if err := fn(added, now); err != nil {
			return err
		}
		next, err := newDirectory(doc, added, s.options.PublicURL)
		if err != nil {
			return fmt.Errorf("what the API was to make does not fit: %w", err)
		}
		data, err := json.MarshalIndent(added, "", " ")
		if err != nil {
			return fmt.Errorf("keep what the API made: %w", err)
		}
		if len(data) > maxFile {
			return refuse(http.StatusForbidden, "The built-in identity service is full: %s has no room for more.", addedFile)
		}
		if err := writeFile(path, data); err != nil {
			return fmt.Errorf("keep what the API made: %w", err)
		}
		s.directory.Store(next)
		return nil
	})
}

// unchangeable is the answer while the files have mistakes: what was before them stays in force.
func (s *Service) unchangeable(err error) error {
	s.options.Log.Error("nothing can be changed through the identity API until its files are mended", "error", err)
	return refuse(http.StatusServiceUnavailable, "The files of the built-in identity service have mistakes; its log says which. Nothing can be changed until they are mended.")
}

// edit finds one of a list by its id.
func edit[T any](list []T, is func(v *T) bool) *T {
	if i := slices.IndexFunc(list, func(v T) bool { return is(&v) }); i >= 0 {
		return &list[i]
	}
	return nil
}
