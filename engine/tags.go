package engine

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// maxTags is how many tags an object may have.
const maxTags = 50

// addTags declares the tags attribute, its filters and its loader.
func (r *ResourceOf[P]) addTags() {
	tags := resource.Computed("tags",
		func(b []byte, t P) []byte { return resource.AppendStrings(b, r.Standard(t).Tags) }, nil).Policed()
	if r.TagsOnCreate {
		tags.Post().Decoded(func(t P, v any) error {
			list, err := tagList(v, r.Plural)
			r.Standard(t).Tags = list
			return err
		})
	}
	r.Attributes = append(r.Attributes, tags)
	if r.Filters == nil {
		r.Filters = map[string]func(c *Call, values []string, self string) (store.Cond, error){}
	}
	for key, filter := range map[string]struct{ any, not bool }{
		"tags": {}, "tags-any": {any: true}, "not-tags": {not: true}, "not-tags-any": {any: true, not: true},
	} {
		r.Filters[key] = func(_ *Call, values []string, self string) (store.Cond, error) {
			return r.tagCond(values, self, filter.any, filter.not), nil
		}
	}
	r.Loaders = append(r.Loaders, r.loadTags)
}

func (r *ResourceOf[P]) loadTags(c *Call, page Page) (func(t P), error) {
	tags := map[string][]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, tag string
		if err := rows.Scan(&id, &tag); err != nil {
			return err
		}
		tags[id] = append(tags[id], tag)
		return nil
	}, "SELECT g.resource_id, g.tag FROM tags g"+page.Join("g.resource_id")+"WHERE g.kind = ?",
		append(append([]any{}, page.Args...), r.Name)...)
	return func(t P) {
		list := tags[r.id(t)]
		slices.Sort(list)
		r.Standard(t).Tags = list
	}, err
}

func (r *ResourceOf[P]) tagCond(values []string, self string, any, not bool) store.Cond {
	asked := map[string]bool{}
	for _, list := range values {
		for _, tag := range strings.Split(list, ",") {
			asked[tag] = true
		}
	}
	// One sub-select whatever the number of tags: databases plan hundreds of them badly.
	in := store.And(store.Where("g.kind = ? AND g.resource_id = "+self+".id", r.Name), store.In("g.tag", slices.Sorted(maps.Keys(asked))))
	cond := store.Where("(SELECT COUNT(*) FROM tags g WHERE "+in.SQL+") = ?", append(in.Args, len(asked))...)
	if any {
		cond = store.Where("EXISTS (SELECT 1 FROM tags g WHERE "+in.SQL+")", in.Args...)
	}
	if not {
		cond = store.Not(cond)
	}
	return cond
}

func (r *ResourceOf[P]) insertTags(c *Call, t P) error {
	for _, tag := range r.Standard(t).Tags {
		if _, err := c.Tx.Exec("INSERT INTO tags (kind, resource_id, tag) VALUES (?, ?, ?)", r.Name, r.id(t), tag); err != nil {
			return err
		}
	}
	return nil
}

func tagList(v any, plural string) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fault.Invalid("Invalid input for tags. Reason: '%v' is not a list.", v)
	}
	tags := make([]string, 0, len(list))
	for _, item := range list {
		tag, err := resource.StringValue("tags", item, 255)
		if err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
	if tag, twice := resource.Twice(tags); twice {
		return nil, fault.Invalid("Invalid input for tags. Reason: Duplicate items in the list: '%s'.", tag)
	}
	return tags, checkTagCount(len(tags), plural)
}

func checkTagCount(n int, plural string) error {
	if n > maxTags {
		return fault.BadRequest("BadRequest", "Bad %s request: The number of tags exceed the per-resource limit of %d.", plural, maxTags)
	}
	return nil
}

// Tags lists an object's tags: {"tags": […]}.
func (r *ResourceOf[P]) Tags(ctx context.Context, caller *policy.Credentials, id string) ([]byte, error) {
	var b []byte
	err := r.engine.View(ctx, caller, func(c *Call) error {
		t, err := r.tagged(c, "get", id)
		if err == nil {
			b = appendTags(r.Standard(t).Tags)
		}
		return err
	})
	return b, err
}

// HasTag is nil when the object has the tag, else a TagNotFound.
func (r *ResourceOf[P]) HasTag(ctx context.Context, caller *policy.Credentials, id, tag string) error {
	return r.engine.View(ctx, caller, func(c *Call) error {
		t, err := r.tagged(c, "get", id)
		if err == nil && !slices.Contains(r.Standard(t).Tags, tag) {
			err = tagNotFound(tag)
		}
		return err
	})
}

// SetTags replaces an object's tags by the body's {"tags": […]}; with add it adds them.
func (r *ResourceOf[P]) SetTags(ctx context.Context, caller *policy.Credentials, id string, body any, add bool) ([]byte, error) {
	m, ok := body.(map[string]any)
	if !ok || m["tags"] == nil {
		return nil, fault.Invalid("Invalid tags body")
	}
	tags, err := tagList(m["tags"], r.Plural)
	if err != nil {
		return nil, err
	}
	err = r.changeTags(ctx, caller, "update", id, func(have []string) ([]string, error) {
		if !add {
			return tags, nil
		}
		return union(have, tags), nil
	})
	return appendTags(tags), err
}

// AddTag adds one tag.
func (r *ResourceOf[P]) AddTag(ctx context.Context, caller *policy.Credentials, id, tag string) error {
	if tag == "" || utf8.RuneCountInString(tag) > 255 {
		return fault.Invalid("Invalid input for tag. Reason: '%s' must be of 1 to 255 characters.", tag)
	}
	return r.changeTags(ctx, caller, "update", id, func(have []string) ([]string, error) {
		return union(have, []string{tag}), nil
	})
}

// RemoveTag removes one tag; "" removes all.
func (r *ResourceOf[P]) RemoveTag(ctx context.Context, caller *policy.Credentials, id, tag string) error {
	return r.changeTags(ctx, caller, "delete", id, func(have []string) ([]string, error) {
		if tag == "" {
			return nil, nil
		}
		at := slices.Index(have, tag)
		if at < 0 {
			return nil, tagNotFound(tag)
		}
		return slices.Delete(slices.Clone(have), at, at+1), nil
	})
}

func (r *ResourceOf[P]) changeTags(ctx context.Context, caller *policy.Credentials, action, id string, change func(have []string) ([]string, error)) error {
	return r.engine.Update(ctx, caller, func(c *Call) error {
		t, err := r.tagged(c, action, id)
		if err != nil {
			return err
		}
		have := r.Standard(t).Tags
		want, err := change(have)
		if err != nil {
			return err
		}
		if err := checkTagCount(len(want), r.Plural); err != nil {
			return err
		}
		if slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))) {
			return nil
		}
		if _, err := c.Tx.Exec("DELETE FROM tags WHERE kind = ? AND resource_id = ?", r.Name, id); err != nil {
			return err
		}
		r.Standard(t).Tags = want
		if err := r.insertTags(c, t); err != nil {
			return err
		}
		return r.Touch(c, id)
	})
}

// tagged finds an object whose tags the caller may handle; another project's object is forbidden
// rather than not found here.
func (r *ResourceOf[P]) tagged(c *Call, action, id string) (P, error) {
	t, err := r.Get(c, id)
	if err != nil {
		return resource.None[P](), err
	}
	rule := action + "_" + r.Rule
	if c.Engine.Policy.Has(rule + ":tags") {
		rule += ":tags"
	}
	if !c.Allows(rule, r.Target(c, t)) {
		return resource.None[P](), fault.Forbidden("rule:%s is disallowed by policy", rule)
	}
	// Policies say of an external network that everybody may see it, for lists show to each only their own.
	if !c.global {
		if _, err := r.GetVisible(c, id); err != nil {
			return resource.None[P](), err
		}
	}
	return t, nil
}

func tagNotFound(tag string) error {
	return fault.NotFound("TagNotFound", "Tag %s could not be found.", tag)
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, tag := range b {
		if !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	return out
}

func appendTags(tags []string) []byte {
	return append(resource.AppendStrings([]byte(`{"tags": `), tags), '}')
}
