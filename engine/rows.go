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

func (r *Resource[T]) prepareSQL() {
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
func (r *Resource[T]) scan(rows *sql.Rows, t *T, dests []any) error {
	for i, col := range r.sql.columns {
		dests[i] = r.Attributes[col.attr].Dest(t)
	}
	return rows.Scan(dests...)
}

// load runs the loaders for a page.
func (r *Resource[T]) load(c *Call, page Page) ([]func(t *T), error) {
	attach := make([]func(t *T), 0, len(r.Loaders))
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
func (r *Resource[T]) Find(c *Call, cond store.Cond) ([]*T, error) {
	page := Page{SQL: "SELECT t.id FROM " + r.Table + " t" + cond.Clause(), Args: cond.Args}
	attach, err := r.load(c, page)
	if err != nil {
		return nil, err
	}
	var found []*T
	dests := make([]any, len(r.sql.columns))
	err = c.Tx.Each(func(rows *sql.Rows) error {
		t := new(T)
		if err := r.scan(rows, t, dests); err != nil {
			return err
		}
		for _, f := range attach {
			f(t)
		}
		found = append(found, t)
		return nil
	}, "SELECT "+r.sql.list+" FROM "+r.Table+" t"+cond.Clause(), cond.Args...)
	return found, err
}

// Get gives an object by id, whoever's it is, or the resource's not-found error.
func (r *Resource[T]) Get(c *Call, id string) (*T, error) {
	found, err := r.Find(c, store.Where("t.id = ?", id))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, r.NotFound(id)
	}
	return found[0], nil
}

// Rows gives the own rows of the objects that meet cond without running the loaders.
func (r *Resource[T]) Rows(c *Call, cond store.Cond) ([]*T, error) {
	var found []*T
	dests := make([]any, len(r.sql.columns))
	err := c.Tx.Each(func(rows *sql.Rows) error {
		t := new(T)
		found = append(found, t)
		return r.scan(rows, t, dests)
	}, "SELECT "+r.sql.list+" FROM "+r.Table+" t"+cond.Clause(), cond.Args...)
	return found, err
}

// Row gives an object's own row by id without running the loaders, or the not-found error.
func (r *Resource[T]) Row(c *Call, id string) (*T, error) {
	found, err := r.Rows(c, store.Where("t.id = ?", id))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, r.NotFound(id)
	}
	return found[0], nil
}

// GetVisible is Get for an object that the caller must be allowed to see; otherwise it is not found.
func (r *Resource[T]) GetVisible(c *Call, id string) (*T, error) {
	t, err := r.Get(c, id)
	if err != nil {
		return nil, err
	}
	if !c.admin && !r.visible(c, t) {
		return nil, r.NotFound(id)
	}
	return t, nil
}

// Insert writes a new object by the rules, without asking quota or policy: what a service makes on
// a caller's behalf (a router's port). It gives t an id, its revision and times.
func (r *Resource[T]) Insert(c *Call, t *T, given resource.Given) error {
	if r.OnCreate != nil {
		if err := r.OnCreate(c, t, given); err != nil {
			return err
		}
	}
	if r.Standard != nil {
		s := r.Standard(t)
		if s.ID == "" {
			s.ID = uuid.NewString()
		}
		s.Revision = 1
		s.CreatedAt, s.UpdatedAt = c.Now(), c.Now()
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

// Save writes a changed object by the rules. old is what it was; t's revision grows. Policy is not
// asked.
func (r *Resource[T]) Save(c *Call, old, t *T, given resource.Given) error {
	if r.OnUpdate != nil {
		if err := r.OnUpdate(c, old, t, given); err != nil {
			return err
		}
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
func (r *Resource[T]) write(c *Call, t *T) error {
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
func (r *Resource[T]) Touch(c *Call, id string) error {
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
func (r *Resource[T]) Remove(c *Call, t *T) error {
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
func (r *Resource[T]) Drop(c *Call, t *T) error {
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
