package api

import (
	"net/http"
	"strings"

	"neutrino/engine"
	"neutrino/resource"
)

// whole serves a collection's own path.
func (r *request) whole(col engine.Collection) error {
	switch r.Method {
	case http.MethodGet:
		q, err := r.query()
		if err != nil {
			return err
		}
		r.bound(q.Values)
		return col.List(r.Context(), r.caller, q, stream{r})
	case http.MethodPost:
		body, err := r.body()
		if err != nil {
			return err
		}
		b, err := col.Create(r.Context(), r.caller, body)
		return r.json(http.StatusCreated, b, err)
	}
	return notAllowed()
}

// one serves an object's path.
func (r *request) one(col engine.Collection, id string) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		q, err := r.query()
		if err != nil {
			return err
		}
		b, err := col.Show(r.Context(), r.caller, id, q)
		return r.json(http.StatusOK, b, err)
	case http.MethodPut:
		body, err := r.body()
		if err != nil {
			return err
		}
		b, err := col.Update(r.Context(), r.caller, id, body, r.Header.Get("If-Match"))
		return r.json(http.StatusOK, b, err)
	case http.MethodDelete:
		return r.empty(http.StatusNoContent, col.Delete(r.Context(), r.caller, id, r.Header.Get("If-Match")))
	}
	return notAllowed()
}

// act serves an action below an object: PUT …/add_router_interface, DELETE …/l3-routers/{id}.
func (r *request) act(col engine.Collection, id string, words []string) error {
	for _, a := range col.Describe().Actions {
		if a.Method != r.Method || !sameWord(a.Name, words[0]) || a.Word != (len(words) == 2) {
			continue
		}
		name, in := a.Key, engine.Input{}
		if a.Word {
			in.Word = words[1]
		}
		var body any
		switch r.Method {
		case http.MethodGet:
			q, err := r.query()
			if err != nil {
				return err
			}
			in.Query = q.Values
		case http.MethodDelete: // without a body
		default:
			var err error
			if body, err = r.body(); err != nil {
				return err
			}
		}
		status, b, err := col.Act(r.Context(), r.caller, id, name, body, in)
		if err == nil && len(b) == 0 {
			return r.empty(status, nil)
		}
		return r.json(status, b, err)
	}
	return notFound()
}

// sameWord compares words of a path, where hyphens and underscores are the same.
func sameWord(a, b string) bool { return underscored(a) == underscored(b) }

func underscored(word string) string { return strings.ReplaceAll(word, "-", "_") }

// tags serves an object's list of tags.
func (r *request) tags(col engine.Collection, id string) error {
	switch r.Method {
	case http.MethodGet:
		b, err := col.Tags(r.Context(), r.caller, id)
		return r.json(http.StatusOK, b, err)
	case http.MethodPut, http.MethodPost:
		body, err := r.body()
		if err != nil {
			return err
		}
		b, err := col.SetTags(r.Context(), r.caller, id, body, r.Method == http.MethodPost)
		return r.json(http.StatusOK, b, err)
	case http.MethodDelete:
		return r.empty(http.StatusNoContent, col.RemoveTag(r.Context(), r.caller, id, ""))
	}
	return notAllowed()
}

// tag serves one tag of an object.
func (r *request) tag(col engine.Collection, id, tag string) error {
	switch r.Method {
	case http.MethodGet:
		return r.empty(http.StatusNoContent, col.HasTag(r.Context(), r.caller, id, tag))
	case http.MethodPut:
		return r.empty(http.StatusCreated, col.AddTag(r.Context(), r.caller, id, tag))
	case http.MethodDelete:
		return r.empty(http.StatusNoContent, col.RemoveTag(r.Context(), r.caller, id, tag))
	}
	return notAllowed()
}

// versions serves the list of API versions.
func (r *request) versions() error {
	href := resource.AppendString(nil, r.base()+"/v2.0/")
	return r.json(http.StatusOK, []byte(`{"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": `+string(href)+`}]}]}`), nil)
}

// resources serves the list of core resources.
func (r *request) resources() error {
	b := []byte(`{"resources": [`)
	first := true
	for _, col := range r.door.Collections {
		d := col.Describe()
		if d.Extension != "" || d.Below != "" {
			continue
		}
		if !first {
			b = append(b, ", "...)
		}
		first = false
		b = append(append(b, `{"name": `...), resource.AppendString(nil, d.Name)...)
		b = append(append(b, `, "collection": `...), resource.AppendString(nil, d.Plural)...)
		b = append(append(b, `, "links": [{"rel": "self", "href": `...), resource.AppendString(nil, r.base()+"/v2.0/"+d.Collection)...)
		b = append(b, `}]}`...)
	}
	return r.json(http.StatusOK, append(b, `]}`...), nil)
}
