package store

import "strings"

// Cond is a condition of a WHERE clause: SQL text that comes from declarations only, with the
// values apart. The zero Cond holds always.
type Cond struct {
	SQL  string
	Args []any
}

// Where makes a condition.
func Where(sql string, args ...any) Cond { return Cond{SQL: sql, Args: args} }

// Never is the condition that no row meets.
func Never() Cond { return Cond{SQL: "1 = 0"} }

// IsZero says whether c holds always.
func (c Cond) IsZero() bool { return c.SQL == "" }

// And joins conditions that must all hold.
func And(conds ...Cond) Cond { return join(" AND ", conds) }

// Or joins conditions of which one must hold. A zero Cond among them makes the whole hold always.
func Or(conds ...Cond) Cond {
	for _, c := range conds {
		if c.IsZero() {
			return Cond{}
		}
	}
	return join(" OR ", conds)
}

// In holds for rows whose column is one of values; with none it never holds.
func In[V any](column string, values []V) Cond {
	switch len(values) {
	case 0:
		return Never()
	case 1:
		return Where(column+" = ?", values[0])
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return Cond{SQL: column + " IN (?" + strings.Repeat(", ?", len(values)-1) + ")", Args: args}
}

// Contains holds for rows whose column has text in it, which is of lower case.
func Contains(column, text string) Cond {
	return Where(column+" LIKE ? ESCAPE '!'", "%"+strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)+"%")
}

// Not turns a condition round.
func Not(c Cond) Cond {
	if c.IsZero() {
		return Never()
	}
	return Cond{SQL: "NOT (" + c.SQL + ")", Args: c.Args}
}

// Clause is " WHERE …", or "" for the zero Cond.
func (c Cond) Clause() string {
	if c.IsZero() {
		return ""
	}
	return " WHERE " + c.SQL
}

func join(word string, conds []Cond) Cond {
	var parts []string
	var args []any
	for _, c := range conds {
		if c.IsZero() {
			continue
		}
		parts = append(parts, c.SQL)
		args = append(args, c.Args...)
	}
	switch len(parts) {
	case 0:
		return Cond{}
	case 1:
		return Cond{SQL: parts[0], Args: args}
	}
	return Cond{SQL: "(" + strings.Join(parts, ")"+word+"(") + ")", Args: args}
}
