package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"neutrino/engine"
	"neutrino/policy"
	"neutrino/store"
	"neutrino/store/storetest"
)

// The access matrix: every kind of caller tries every verb on an object of every collection, owned by a project and
// shared in every way, and what must come is computed by the oracle from the policies. Recipes say how objects are
// made (access_world_test.go); which verbs, actions and attributes there are comes from the declarations.

// seen says whether a caller may see an object: as the policies say, and with it what it lives below.
func (w *accessWorld) seen(c *policy.Credentials, x *thing) bool {
	if x.Below != "" && !w.seen(c, x.parents["ext_parent"]) {
		return false
	}
	return x.reaches(c) && w.allows("get_"+x.Rule, c, x.attr(c.ProjectID))
}

// unscoped says that a caller's token is for none of what a project has.
func unscoped(c *policy.Credentials) bool { return c.SystemScope || c.DomainID != "" }

// complain fails the test, once for a collection, a verb and a caller.
func (w *accessWorld) complain(t *testing.T, x *thing, as, verb, format string, args ...any) {
	t.Helper()
	what := strings.Join([]string{x.of, as, verb}, " ")
	if !w.failing[what] {
		w.failing[what] = true
		t.Errorf("%s: %s by %s (its owner is %.3s…, shared with %.3q, external for %.3q): %s", x.of, verb, as, x.owner, x.with, x.outside, fmt.Sprintf(format, args...))
	}
}

// judge holds the status of a request to what the oracle says of it.
func (w *accessWorld) judge(t *testing.T, x *thing, as, verb string, seen, allowed bool, status int, answer []byte) {
	t.Helper()
	c := people[as]
	switch {
	case seen && allowed:
		if status >= 300 {
			w.complain(t, x, as, verb, "refused by %d %s, the policies allow it", status, answer)
		}
	case status != 403 && status != 404:
		w.complain(t, x, as, verb, "%d %s, the policies don't allow it", status, answer)
	case !seen && status != 404 && !unscoped(c):
		w.complain(t, x, as, verb, "%d tells of an object that they can't see: %s", status, answer)
	}
}

// TestAccess is the matrix of reading, changing and deleting what is there.
func TestAccess(t *testing.T) {
	w := newAccessWorld(t)
	for path := range w.described {
		if elsewhere[path] == "" && !slices.ContainsFunc(recipes, func(r recipe) bool { return r.of == path }) {
			t.Errorf("nothing says how an object of %s is made: add a recipe to access_world_test.go, so that access to it is tested", path)
		}
	}
	kits := []*kit{
		w.kit(t, owning, "", ""), w.kit(t, owning, invited, ""), w.kit(t, owning, "*", ""), w.kit(t, owning, "", invited), w.kit(t, owning, "", "*"),
	}
	kits = append(kits, w.guests(t, kits[2]))
	others := w.kit(t, foreign, "", "")
	for _, as := range everybody(t) {
		hosts(t, w.Services, "h1", "h2") // they live, however long this takes
		lists := map[string]map[string]map[string]any{}
		for _, k := range kits {
			for _, word := range slices.Sorted(maps.Keys(k.things)) {
				w.reads(t, k.things[word], as, lists)
			}
		}
		if as == "maker" {
			continue
		}
		for _, k := range kits {
			for _, word := range slices.Sorted(maps.Keys(k.things)) {
				w.writes(t, k, k.things[word], as)
			}
		}
	}
	for _, x := range others.things {
		if status, answer := w.do("maker", "GET", x.url(), ""); status != 200 {
			t.Errorf("%s of the project that has nothing to do with it: %d %s", x.of, status, answer)
		}
	}
}

// everybody lists the callers. On database servers, and in short runs, fewer do: what policies say does not depend on
// the database.
func everybody(t *testing.T) []string {
	t.Helper()
	if testing.Short() || storetest.Kind(t) != store.SQLite {
		return []string{"admin", "foreign member", "invited reader", "nobody", "owning member", "service"}
	}
	return slices.Sorted(maps.Keys(people))
}

// guests are objects of a project on the shared network of another.
func (w *accessWorld) guests(t *testing.T, host *kit) *kit {
	t.Helper()
	k := &kit{owner: foreign, things: map[string]*thing{"network": host.things["network"]}, words: map[string]string{"network": host.words["network"]}}
	guests := map[string]*thing{}
	for i := range recipes {
		if r := &recipes[i]; r.name == "" && (r.of == "ports" || r.of == "subnets") {
			guests[r.of] = w.make(t, k, r)
		}
	}
	k.things = guests
	return k
}

// list is what a caller gets of a collection, by what paths call the objects; nil when they get none.
func (w *accessWorld) list(t *testing.T, x *thing, as string, lists map[string]map[string]map[string]any) map[string]map[string]any {
	t.Helper()
	if list, known := lists[x.path]; known {
		return list
	}
	status, answer := w.do(as, "GET", x.path, "")
	objects, is := decoded(answer, x.Plural).([]any)
	list := map[string]map[string]any{}
	if status != 200 || !is {
		list = nil
		if x.Below == "" && !unscoped(people[as]) || status != 404 && status != 403 {
			w.complain(t, x, as, "list", "%d %s", status, answer)
		}
	}
	for _, o := range objects {
		object := o.(map[string]any)
		key, _ := object[x.Key].(string)
		list[key] = object
	}
	lists[x.path] = list
	return list
}

// reads holds what a caller sees of an object against the policies, in a list and alone.
func (w *accessWorld) reads(t *testing.T, x *thing, as string, lists map[string]map[string]map[string]any) {
	t.Helper()
	c := people[as]
	seen := w.seen(c, x)
	if x.List {
		object, listed := w.list(t, x, as, lists)[x.id]
		if listed != seen {
			w.complain(t, x, as, "list", "it is listed: %v, by the policies: %v", listed, seen)
		}
		if listed {
			w.attributes(t, x, as, "list", object)
		}
	}
	if x.Show {
		status, answer := w.do(as, "GET", x.url(), "")
		w.judge(t, x, as, "show", seen, true, status, answer)
		if object, is := decoded(answer, x.Name).(map[string]any); is && seen {
			w.attributes(t, x, as, "show", object)
		}
	}
	if x.Taggable {
		status, answer := w.do(as, "GET", x.url()+"/tags", "")
		w.judge(t, x, as, "show the tags of", true, w.may(c, "get", x, "tags"), status, answer)
	}
}

// may says whether the policies allow a verb on an object, or on an attribute of it if it has a policy of its own.
func (w *accessWorld) may(c *policy.Credentials, verb string, x *thing, attribute string) bool {
	rule := verb + "_" + x.Rule
	if _, own := w.oracle[rule+":"+attribute]; own {
		rule += ":" + attribute
	}
	return x.reaches(c) && w.allows(rule, c, x.attr(c.ProjectID))
}

// attributes holds what an answer shows of an object against the policies of its attributes.
func (w *accessWorld) attributes(t *testing.T, x *thing, as, verb string, object map[string]any) {
	t.Helper()
	c := people[as]
	for _, a := range x.Attributes {
		_, shown := object[a.Name]
		rule := "get_" + x.Rule + ":" + a.Name
		if _, policed := w.oracle[rule]; policed {
			if allowed := w.allows(rule, c, x.attr(c.ProjectID)); shown && !allowed {
				w.complain(t, x, as, verb, "it shows %s against %s", a.Name, rule)
			} else if allowed && !shown && !a.Hidden && a.Name != "segments" { // only of networks with several
				w.complain(t, x, as, verb, "it does not show %s", a.Name)
			}
		} else if a.AdminOnly && shown && !slices.Contains(c.Roles, "admin") {
			w.complain(t, x, as, verb, "it shows %s, which is the administrators'", a.Name)
		}
	}
}

// head is the journal's newest revision: when it stands, nothing was changed.
func (w *accessWorld) head(t *testing.T) int64 {
	t.Helper()
	head, err := w.Engine.DB.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// attempt makes a writing request and judges it; one that is refused must have changed nothing.
func (w *accessWorld) attempt(t *testing.T, x *thing, as, verb string, seen, allowed bool, method, path, body string) (int, []byte) {
	t.Helper()
	before := w.head(t)
	status, answer := w.do(as, method, path, body)
	w.judge(t, x, as, verb, seen, allowed, status, answer)
	if !(seen && allowed) && w.head(t) != before {
		w.complain(t, x, as, verb, "something has changed")
	}
	return status, answer
}

// writes tries to change and delete an object.
func (w *accessWorld) writes(t *testing.T, k *kit, x *thing, as string) {
	t.Helper()
	c := people[as]
	seen := w.seen(c, x)
	if x.Update {
		if x.put == "" {
			t.Fatalf("the recipe of %s lacks a put", x.of)
		}
		body := fmt.Sprintf(`{%q: {%s}}`, x.Name, w.expand(x.put, x.words))
		w.attempt(t, x, as, "update", seen, w.may(c, "update", x, ""), "PUT", x.url(), body)
	}
	for _, a := range x.Actions {
		w.acts(t, k, x, as, a)
	}
	if x.Taggable {
		w.attempt(t, x, as, "tag", true, w.may(c, "update", x, "tags"), "PUT", x.url()+"/tags", `{"tags": ["a"]}`)
		w.attempt(t, x, as, "tag", true, w.may(c, "update", x, "tags"), "POST", x.url()+"/tags", `{"tags": ["b"]}`)
		w.attempt(t, x, as, "tag", true, w.may(c, "update", x, "tags"), "PUT", x.url()+"/tags/"+fmt.Sprint(w.used), "")
		w.attempt(t, x, as, "untag", true, w.may(c, "delete", x, "tags"), "DELETE", x.url()+"/tags", "")
	}
	if x.Delete {
		allowed := w.may(c, "delete", x, "")
		if seen && allowed {
			if x.once {
				return
			}
			x = w.make(t, k, x.recipe)
		}
		w.attempt(t, x, as, "delete", seen, allowed, "DELETE", x.url(), "")
	}
}

// acts tries an action. What comes of one that is allowed is other tests' business, as long as it is not forbidden.
func (w *accessWorld) acts(t *testing.T, k *kit, x *thing, as string, a engine.ActionDescription) {
	t.Helper()
	body, told := x.acts[a.Key]
	if !told {
		if body, told = recipeOf(x.of).acts[a.Key]; !told && a.Method != "GET" {
			body = `{}`
		}
	}
	c := people[as]
	path := x.url() + "/" + a.Name
	body = w.expand(body, k.words)
	if a.Word {
		path, body = path+"/"+body, ""
	}
	seen, allowed := w.seen(c, x), w.allows(a.Rule, c, x.attr(c.ProjectID))
	if seen && allowed {
		if status, answer := w.do(as, a.Method, path, body); status == 403 {
			w.complain(t, x, as, a.Key, "refused by %d %s, the policies allow it", status, answer)
		}
		return
	}
	status, _ := w.attempt(t, x, as, a.Key, true, false, a.Method, path, body)
	if !seen && status == 403 { // who may not do it to any object is told so, as of an object that is not there
		nothing := strings.Replace(path, x.url(), x.path+"/00000000-0000-0000-0000-000000000000", 1)
		if other, answer := w.do(as, a.Method, nothing, body); other != status && !unscoped(c) {
			w.complain(t, x, as, a.Key, "403 tells of an object that they can't see: of one that is not there it is %d %s", other, answer)
		}
	}
}

// recipeOf is the first recipe of a collection.
func recipeOf(path string) *recipe {
	return &recipes[slices.IndexFunc(recipes, func(r recipe) bool { return r.of == path })]
}

// TestAccessByAnotherParent: what lives below one object is not found below another, whoever asks.
func TestAccessByAnotherParent(t *testing.T) {
	w := newAccessWorld(t)
	k := w.kit(t, owning, "", "")
	tried := 0
	for word, x := range k.things {
		if x.Below == "" {
			continue
		}
		tried++
		parent := x.parents["ext_parent"]
		other := w.make(t, k, recipeOf(parent.of))
		if parent.recipe.name != "" {
			other = w.make(t, k, parent.recipe)
		}
		path := other.url() + "/" + x.Collection
		for _, as := range []string{"maker", "admin", "owning manager"} {
			before := w.head(t)
			if _, answer := w.do(as, "GET", path, ""); strings.Contains(string(answer), x.id) && x.id != "h2" {
				t.Errorf("%s is listed below another parent for %s: %s", word, as, answer)
			}
			requests := [][2]string{{"GET", ""}, {"DELETE", ""}}
			if x.Update {
				requests = append(requests, [2]string{"PUT", fmt.Sprintf(`{%q: {%s}}`, x.Name, w.expand(x.put, x.words))})
			}
			for _, r := range requests {
				if status, answer := w.do(as, r[0], path+"/"+x.id, r[1]); status != 404 {
					t.Errorf("%s %s below another parent by %s: %d %s", r[0], word, as, status, answer)
				}
			}
			for _, a := range x.Actions {
				if status, answer := w.do(as, a.Method, path+"/"+x.id+"/"+a.Name, ""); status < 400 {
					t.Errorf("%s of %s below another parent by %s: %d %s", a.Key, word, as, status, answer)
				}
			}
			if w.head(t) != before {
				t.Errorf("%s was changed below another parent by %s", word, as)
			}
		}
		if status, answer := w.do("maker", "GET", x.url(), ""); status != 200 {
			t.Errorf("%s at its place: %d %s", word, status, answer)
		}
	}
	if tried < 8 {
		t.Errorf("only %d kinds were tried", tried)
	}
}
