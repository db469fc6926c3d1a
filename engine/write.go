package engine

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Create makes the object, or for bulk all objects, of a request's body in one transaction and
// gives the answer's body.
func (r *Resource[T]) Create(ctx context.Context, caller *policy.Credentials, body any) ([]byte, error) {
	if r.NoCreate {
		return nil, methodNotAllowed()
	}
	objects, bulk, err := r.objects(body)
	if err != nil {
		return nil, err
	}
	var b []byte
	err = r.engine.Update(ctx, caller, func(c *Call) error {
		made, err := r.create(c, objects)
		if err != nil {
			return err
		}
		if !bulk {
			b = r.envelope(c, made[0], nil)
			return nil
		}
		b = append(make([]byte, 0, 1024*len(made)), `{"`+r.Plural+`": [`...)
		for i, t := range made {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = r.AppendObject(c, b, t)
		}
		b = append(b, "]}"...)
		return nil
	})
	return b, err
}

// create decodes all, asks policy and quota for all, then writes all, and reads them back.
func (r *Resource[T]) create(c *Call, objects []map[string]any) ([]*T, error) {
	made := make([]*T, len(objects))
	givens := make([]resource.Given, len(objects))
	want := map[string]int{}
	for i, object := range objects {
		t, given, err := r.decodeCreate(c, object)
		if err != nil {
			return nil, err
		}
		made[i], givens[i] = t, given
	}
	for i, t := range made {
		if r.Prepare != nil {
			if err := r.Prepare(c, t, givens[i]); err != nil {
				return nil, err
			}
		}
		if err := r.permit(c, "create", t, givens[i], true); err != nil {
			return nil, err
		}
		want[r.project(t)]++
	}
	if r.Counted {
		for project, n := range want {
			if err := r.CheckQuota(c, project, n); err != nil {
				return nil, err
			}
		}
	}
	ids := make([]string, len(made))
	for i, t := range made {
		if err := r.Insert(c, t, givens[i]); err != nil {
			return nil, err
		}
		ids[i] = r.id(t)
	}
	back, err := r.Find(c, store.In("t.id", ids))
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*T, len(back))
	for _, t := range back {
		byID[r.id(t)] = t
	}
	for i, id := range ids {
		made[i] = byID[id]
	}
	return made, nil
}

// Update changes an object and gives the answer's body. ifMatch is the request's If-Match header.
func (r *Resource[T]) Update(ctx context.Context, caller *policy.Credentials, id string, body any, ifMatch string) ([]byte, error) {
	if r.NoUpdate {
		return nil, methodNotAllowed()
	}
	object, err := r.object(body)
	if err != nil {
		return nil, err
	}
	var b []byte
	err = r.engine.Update(ctx, caller, func(c *Call) error {
		old, err := r.GetVisible(c, id)
		if err != nil {
			return err
		}
		if err := r.checkMatch(old, ifMatch); err != nil {
			return err
		}
		changed := *old
		given, err := r.decodeUpdate(&changed, object)
		if err != nil {
			return err
		}
		if err := r.permit(c, "update", &changed, given, false); err != nil {
			return err
		}
		if len(given) > 0 || r.UpdateEmpty {
			if err := r.Save(c, old, &changed, given); err != nil {
				return err
			}
		}
		t, err := r.Get(c, id)
		if err != nil {
			return err
		}
		b = r.envelope(c, t, nil)
		return nil
	})
	return b, err
}

// Delete removes an object for a request.
func (r *Resource[T]) Delete(ctx context.Context, caller *policy.Credentials, id, ifMatch string) error {
	if r.NoDelete {
		return methodNotAllowed()
	}
	return r.engine.Update(ctx, caller, func(c *Call) error {
		t, err := r.GetVisible(c, id)
		if err != nil {
			return err
		}
		if err := r.checkMatch(t, ifMatch); err != nil {
			return err
		}
		if err := r.permit(c, "delete", t, nil, false); err != nil {
			return err
		}
		return r.Remove(c, t)
	})
}

// Act runs a member action and gives the answer's body.
func (r *Resource[T]) Act(ctx context.Context, caller *policy.Credentials, id, name string, body any) ([]byte, error) {
	action, ok := r.Actions[name]
	if !ok {
		return nil, fault.NotFound("HTTPNotFound", "The resource could not be found.")
	}
	object, ok := body.(map[string]any)
	if !ok && body != nil {
		return nil, fault.Invalid("Body contains invalid data")
	}
	var b []byte
	err := r.engine.Update(ctx, caller, func(c *Call) error {
		t, err := r.GetVisible(c, id)
		if err != nil {
			return err
		}
		if !c.Allows(name, r.Target(c, t)) {
			return fault.Forbidden("rule:%s is disallowed by policy", name)
		}
		b, err = action.Run(c, t, object, nil)
		return err
	})
	return b, err
}

// checkMatch holds an If-Match header against the object's revision.
func (r *Resource[T]) checkMatch(t *T, header string) error {
	text := strings.Trim(strings.TrimSpace(header), `"`)
	number, is := strings.CutPrefix(text, "revision_number=")
	if !is || r.Standard == nil {
		return nil
	}
	want, err := strconv.ParseInt(strings.Trim(number, `"`), 10, 64)
	if err != nil {
		return fault.Invalid("Invalid value for the If-Match header: '%s'; expected revision_number=N", header)
	}
	if have := r.Standard(t).Revision; have != want {
		return fault.New(http.StatusPreconditionFailed, "RevisionNumberConstraintFailed", "Constrained to %d, but current revision is %d", want, have)
	}
	return nil
}

func methodNotAllowed() error {
	return fault.New(http.StatusMethodNotAllowed, "HTTPMethodNotAllowed",
		"The server could not comply with the request since it is either malformed or otherwise incorrect.")
}
