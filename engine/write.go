package engine

import (
	"cmp"
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
func (r *ResourceOf[P]) Create(ctx context.Context, caller *policy.Credentials, body any) ([]byte, error) {
	if r.NoCreate {
		return nil, cmp.Or(r.NoCreateWhy, methodNotAllowed())
	}
	objects, bulk, err := r.objects(body)
	if err != nil {
		return nil, err
	}
	if len(objects) > shortBulk {
		ctx = store.WithLong(ctx)
	}
	var b []byte
	err = r.engine.Update(ctx, caller, func(c *Call) error {
		if err := r.enterNew(c); err != nil {
			return err
		}
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

// shortBulk is how many objects a create may have that shares a transaction with others.
const shortBulk = 10

// create decodes all, asks policy and quota for all, then writes all, and reads them back.
func (r *ResourceOf[P]) create(c *Call, objects []map[string]any) ([]P, error) {
	made := make([]P, len(objects))
	givens := make([]resource.Given, len(objects))
	want := map[string]int{}
	for i, object := range objects {
		t, given, err := r.decodeCreate(c, object)
		if err != nil {
			return nil, err
		}
		made[i], givens[i] = t, given
		if r.Below != nil {
			*r.Below.Of(t) = c.parent
		}
	}
	for i, t := range made {
		if r.Prepare != nil {
			if err := r.Prepare(c, t, givens[i]); err != nil {
				return nil, err
			}
		}
		if !c.inside {
			if err := r.permit(c, "create", t, givens[i], true); err != nil {
				return nil, err
			}
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
	if r.Together != nil {
		if err := r.Together(c, made); err != nil {
			return nil, err
		}
	}
	ids := make([]string, len(made))
	for i, t := range made {
		if err := r.Insert(c, t, givens[i]); err != nil {
			return nil, err
		}
		ids[i] = r.id(t)
	}
	if r.From != nil {
		return made, r.again(c, made)
	}
	back, err := r.Find(c, store.In("t.id", ids))
	if err != nil {
		return nil, err
	}
	byID := make(map[string]P, len(back))
	for _, t := range back {
		byID[r.id(t)] = t
	}
	for i, id := range ids {
		made[i] = byID[id]
	}
	return made, nil
}

// Update changes an object and gives the answer's body. ifMatch is the request's If-Match header.
func (r *ResourceOf[P]) Update(ctx context.Context, caller *policy.Credentials, id string, body any, ifMatch string) ([]byte, error) {
	if r.NoUpdate {
		return nil, methodNotAllowed()
	}
	object, err := r.object(body)
	if err != nil {
		return nil, err
	}
	var b []byte
	err = r.engine.Update(ctx, caller, func(c *Call) error {
		// A body that is wrong for any object is refused before it is known whether this one is there.
		if err := r.refuseFixed(object); err != nil {
			return err
		}
		if _, err := r.decodeUpdate(resource.New[P](), object); err != nil {
			return err
		}
		old, err := r.at(c, id)
		if err != nil {
			return err
		}
		if err := r.checkMatch(old, ifMatch); err != nil {
			return err
		}
		changed := resource.Copy(old)
		given, err := r.decodeUpdate(changed, object)
		if err != nil {
			return err
		}
		if err := r.permit(c, "update", changed, given, false); err != nil {
			return err
		}
		if len(given) > 0 || r.UpdateEmpty {
			if err := r.Save(c, old, changed, given); err != nil {
				return err
			}
		}
		made := []P{changed}
		if r.From != nil {
			err = r.again(c, made)
		} else {
			made[0], err = r.Get(c, r.id(changed))
		}
		if err != nil {
			return err
		}
		b = r.envelope(c, made[0], nil)
		return nil
	})
	return b, err
}

// Delete removes an object for a request.
func (r *ResourceOf[P]) Delete(ctx context.Context, caller *policy.Credentials, id, ifMatch string) error {
	if r.NoDelete {
		return methodNotAllowed()
	}
	return r.engine.Update(ctx, caller, func(c *Call) error {
		t, err := r.asked(c, id, false)
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

// Act runs an action and gives the answer's status and body. name is as the declaration has it.
func (r *ResourceOf[P]) Act(ctx context.Context, caller *policy.Credentials, id, name string, body any, in Input) (int, []byte, error) {
	action, ok := r.Actions[name]
	if !ok {
		return 0, nil, fault.NotFound("HTTPNotFound", "The resource could not be found.")
	}
	object, ok := body.(map[string]any)
	if !ok && body != nil {
		return 0, nil, fault.Invalid("Body contains invalid data")
	}
	in.Body = object
	rule := action.Rule
	if rule == "" {
		rule = name
	}
	run := r.engine.Update
	if action.Reads {
		run = r.engine.View
	}
	var b []byte
	err := run(ctx, caller, func(c *Call) error {
		t, err := r.at(c, id)
		if fault.IsNotFound(err) && c.Engine.Policy.Decide(rule, c.Caller) == policy.No { // to no object at all
			return fault.Forbidden("rule:%s is disallowed by policy", rule)
		}
		if err != nil {
			return err
		}
		if err := r.permitAction(c, rule, action.Policed, t, object); err != nil {
			return err
		}
		b, err = action.Run(c, t, in, nil)
		return err
	})
	return cmp.Or(action.Status, http.StatusOK), b, err
}

// checkMatch holds an If-Match header against the object's revision.
func (r *ResourceOf[P]) checkMatch(t P, header string) error {
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
