package engine

import (
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"neutrino/resource"
	"neutrino/store"
)

// statements are a resource's SQL texts, made once.
type statements struct {
	columns []column
	list    string // t.a, t.b, …
	insert  string
	update  string
}

type column struct {
	name string
	attr int // index into Attributes
}

func (r *ResourceOf[P]) prepareSQL() {
	seen := map[string]bool{}
	var names, marks, sets []string
	for i, a := range r.Attributes {
		if a.Column == "" || seen[a.Column] {
			continue
		}
		seen[a.Column] = true
		r.sql.columns = append(r.sql.columns, column{a.Column, i})
		names = append(names, a.Column)
		marks = append(marks, "?")
		if a.Column != "id" {
			sets = append(sets, a.Column+" = ?")
		}
	}
	r.sql.list = "t." + strings.Join(names, ", t.")
	r.sql.insert = "INSERT INTO " + r.Table + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
	r.sql.update = "UPDATE " + r.Table + " SET " + strings.Join(sets, ", ") + " WHERE id = ?"
	if r.Standard != nil {
		r.sql.update += " AND revision_number = ?"
	}
}

// scan reads one row of r.sql.list.
func (r *ResourceOf[P]) scan(rows *sql.Rows, t P, dests []any) error {
	for i, col := range r.sql.columns {
		dests[i] = r.Attributes[col.attr].Dest(t)
	}
	return rows.Scan(dests...)
}

// load runs the loaders for a page.
func (r *ResourceOf[P]) load(c *Call, page Page) ([]func(t P), error) {
	attach := make([]func(t P), 0, len(r.Loaders))
	for _, loader := range r.Loaders {
		f, err := loader(c, page)
		if err != nil {
			return nil, err
		}
		attach = append(attach, f)
	}
	return attach, nil
}

// Find gives the objects that meet cond, whoever's they are; the table's alias is t.
func (r *ResourceOf[P]) Find(c *Call, cond store.Cond) ([]P, error) {
	found, err := r.read(c, cond)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if len(found) == 1 && r.byName["id"] != nil { // loaders need not look for it again
		cond = store.Where("t.id = ?", r.id(found[0]))
	}
	attach, err := r.load(c, Page{SQL: "SELECT t.id FROM " + r.Table + " t" + cond.Clause(), Args: cond.Args})
	if err != nil {
		return nil, err
	}
	for _, t := range found {
		for _, f := range attach {
			f(t)
		}
	}
	return found, nil
}

// read gives the own rows of the objects that meet cond.
func (r *ResourceOf[P]) read(c *Call, cond store.Cond) ([]P, error) {
	var found []P
	dests := make([]any, len(r.sql.columns))
	err := c.Tx.Each(func(rows *sql.Rows) error {
		t := resource.New[P]()
		found = append(found, t)
		return r.scan(rows, t, dests)
	}, "SELECT "+r.sql.list+" FROM "+r.Table+" t"+cond.Clause(), cond.Args...)
	return found, err
}

// Get gives an object by id, whoever's it is, or the resource's not-found error.
func (r *ResourceOf[P]) Get(c *Call, id string) (P, error) {
	found, err := r.Find(c, store.Where("t.id = ?", id))
	if err != nil {
		return resource.None[P](), err
	}
	if len(found) == 0 {
		return resource.None[P](), r.NotFound(id)
	}
	return found[0], nil
}

// Rows gives the own rows of the objects that meet cond without running the loaders. Policy rules may be asked
// about them: what a rule wants of other tables is read then. To show one is a bug, and panics.
func (r *ResourceOf[P]) Rows(c *Call, cond store.Cond) ([]P, error) {
	found, err := r.read(c, cond)
	if r.Standard != nil && len(r.Loaders) > 0 {
		for _, t := range found {
			r.Standard(t).MarkRow()
		}
	}
	return found, err
}

// partial says whether an object lacks what the loaders give.
func (r *ResourceOf[P]) partial(t P) bool {
	if r.Standard == nil {
		return false
	}
	s := r.Standard(t)
	return s != nil && s.IsRow()
}

// mustBeWhole holds that t was not read as a row: clients would take what is missing for empty.
func (r *ResourceOf[P]) mustBeWhole(t P) {
	if r.partial(t) {
		panic("engine: a " + r.Name + " of which only the row was read can't be shown")
	}
}

// whole gives all of an object of which only the row was read.
func (r *ResourceOf[P]) whole(c *Call, t P) (P, error) {
	type key struct{ kind, id string }
	id := r.id(t)
	return Once(c, key{r.Name, id}, func() (P, error) { return r.Get(c, id) })
}

// Row gives an object's own row by id without running the loaders, or the not-found error.
func (r *ResourceOf[P]) Row(c *Call, id string) (P, error) {
	found, err := r.Rows(c, store.Where("t.id = ?", id))
	if err != nil {
		return resource.None[P](), err
	}
	if len(found) == 0 {
		return resource.None[P](), r.NotFound(id)
	}
	return found[0], nil
}

// GetVisible is Get for an object that the caller must be allowed to see; otherwise it is not found.
func (r *ResourceOf[P]) GetVisible(c *Call, id string) (P, error) {
	found, err := r.Find(c, r.mayBeSeen(c, id))
	return r.seen(c, id, found, err)
}

// VisibleRow is Row for an object that the caller must be allowed to see; otherwise it is not found.
func (r *ResourceOf[P]) VisibleRow(c *Call, id string) (P, error) {
	found, err := r.Rows(c, r.mayBeSeen(c, id))
	return r.seen(c, id, found, err)
}

// mayBeSeen is the condition that an object is the one of that id and in the caller's scope.
func (r *ResourceOf[P]) mayBeSeen(c *Call, id string) store.Cond {
	return store.And(store.Where("t.id = ?", id), r.scope(c))
}

// seen gives the object that was found, if policy lets the caller see it.
func (r *ResourceOf[P]) seen(c *Call, id string, found []P, err error) (P, error) {
	if err != nil {
		return resource.None[P](), err
	}
	if len(found) == 0 || !c.admin && !r.visible(c, found[0]) {
		return resource.None[P](), r.NotFound(id)
	}
	return found[0], nil
}

// Insert writes a new object by the rules, without asking quota or policy: what a service makes on
// a caller's behalf (a router's port). It gives t an id, its revision and times.
func (r *ResourceOf[P]) Insert(c *Call, t P, given resource.Given) error {
	if r.OnCreate != nil {
		if err := r.OnCreate(c, t, given); err != nil {
			return err
		}
	}
	if r.Keep != nil {
		return r.Keep(c, resource.None[P](), t)
	}
	if r.Standard != nil {
		s := r.Standard(t)
		if s.ID == "" {
			s.ID = uuid.NewString()
		}
		s.Revision = 1
		s.CreatedAt, s.UpdatedAt = c.Now(), c.Now()
	} else if a := r.byName["id"]; a != nil && a.Value(t) == "" {
		if err := a.Decode(t, uuid.NewString()); err != nil {
			return fmt.Errorf("give a new %s an id: %w", r.Name, err)
		}
	}
	args := make([]any, len(r.sql.columns))
	for i, col := range r.sql.columns {
		args[i] = r.Attributes[col.attr].Value(t)
	}
	if _, err := c.Tx.Exec(r.sql.insert, args...); err != nil {
		return fmt.Errorf("insert %s: %w", r.Name, err)
	}
	if r.Taggable {
		if err := r.insertTags(c, t); err != nil {
			return err
		}
	}
	if r.OnCreated != nil {
		if err := r.OnCreated(c, t); err != nil {
			return err
		}
	}
	c.Tx.Change(r.Name, r.id(t))
	return nil
}

// Make makes an object of a body as a create does, asking quota but not policy: for services that put several
// objects together on a caller's behalf.
func (r *ResourceOf[P]) Make(c *Call, body map[string]any) (P, error) {
	made, err := r.create(c.Elevated(), []map[string]any{body})
	if err != nil {
		return resource.None[P](), err
	}
	return made[0], nil
}

// Save writes a changed object by the rules. old is what it was; t's revision grows. Policy is not
// asked.
func (r *ResourceOf[P]) Save(c *Call, old, t P, given resource.Given) error {
	if r.OnUpdate != nil {
		if err := r.OnUpdate(c, old, t, given); err != nil {
			return err
		}
	}
	if r.Keep != nil {
		return r.Keep(c, old, t)
	}
	if err := r.write(c, t); err != nil {
		return err
	}
	if r.OnUpdated != nil {
		return r.OnUpdated(c, old, t, given)
	}
	return nil
}

// write updates the row, and only the row.
func (r *ResourceOf[P]) write(c *Call, t P) error {
	var was int64
	if r.Standard != nil {
		s := r.Standard(t)
		was = s.Revision
		s.Revision++
		s.UpdatedAt = c.Now()
	}
	args := make([]any, 0, len(r.sql.columns)+1)
	for _, col := range r.sql.columns {
		if col.name != "id" {
			args = append(args, r.Attributes[col.attr].Value(t))
		}
	}
	args = append(args, r.id(t))
	if r.Standard != nil {
		args = append(args, was)
	}
	n, err := c.Tx.Exec(r.sql.update, args...)
	if err != nil {
		return fmt.Errorf("update %s %s: %w", r.Name, r.id(t), err)
	}
	if n == 0 {
		return fmt.Errorf("%s %s was changed meanwhile: %w", r.Name, r.id(t), store.ErrRetry)
	}
	c.Tx.Change(r.Name, r.id(t))
	return nil
}

// Touch makes an object's revision grow because something that belongs to it has changed.
func (r *ResourceOf[P]) Touch(c *Call, id string) error {
	n, err := c.Tx.Exec("UPDATE "+r.Table+" SET revision_number = revision_number + 1, updated_at = ? WHERE id = ?",
		c.Now().Format(time.RFC3339), id)
	if err != nil {
		return fmt.Errorf("touch %s %s: %w", r.Name, id, err)
	}
	if n > 0 {
		c.Tx.Change(r.Name, id)
	}
	return nil
}

// Remove deletes an object by the guards and rules, without asking policy. What hangs on its row goes by the
// database's cascades and the Deleted rule.
func (r *ResourceOf[P]) Remove(c *Call, t P) error {
	for _, guard := range r.DeleteGuards {
		if err := guard(c, t); err != nil {
			return err
		}
	}
	if r.OnDelete != nil {
		if err := r.OnDelete(c, t); err != nil {
			return err
		}
	}
	return r.Drop(c, t)
}

// Drop deletes an object without asking guards or the Delete rule: for services that delete what
// they made themselves.
func (r *ResourceOf[P]) Drop(c *Call, t P) error {
	if r.Keep != nil {
		return r.Keep(c, t, resource.None[P]())
	}
	id := r.id(t)
	if r.Taggable {
		if _, err := c.Tx.Exec("DELETE FROM tags WHERE kind = ? AND resource_id = ?", r.Name, id); err != nil {
			return err
		}
	}
	if r.Sharable != "" {
		if _, err := c.Tx.Exec("DELETE FROM rbac_entries WHERE object_type = ? AND object_id = ?", r.Sharable, id); err != nil {
			return err
		}
	}
	if _, err := c.Tx.Exec("DELETE FROM "+r.Table+" WHERE id = ?", id); err != nil {
		return fmt.Errorf("delete %s %s: %w", r.Name, id, err)
	}
	if r.OnDeleted != nil {
		if err := r.OnDeleted(c, t); err != nil {
			return err
		}
	}
	c.Tx.Change(r.Name, id)
	return nil
}
