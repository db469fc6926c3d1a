package ovndb

import (
	"encoding/json"
	"maps"
	"testing"
)

const testSchema = `{"version": "1", "tables": {"T": {"isRoot": true, "columns": {
	"name": {"type": "string"}, "n": {"type": "integer"}, "on": {"type": {"key": "boolean", "min": 0, "max": 1}},
	"set": {"type": {"key": {"type": "uuid", "refTable": "T", "refType": "weak"}, "min": 0, "max": "unlimited"}},
	"map": {"type": {"key": "string", "value": "integer", "min": 0, "max": "unlimited"}}}}}}`

const (
	u1 = "11111111-1111-1111-1111-111111111111"
	u2 = "22222222-2222-2222-2222-222222222222"
	u3 = "33333333-3333-3333-3333-333333333333"
)

func schema(t testing.TB) *Schema {
	s, err := ParseSchema([]byte(testSchema))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What update2 says of sets and maps is their difference.
func TestUpdates(t *testing.T) {
	c := newCopied(schema(t), []string{"T"})
	apply := func(text string) []Change {
		t.Helper()
		changes, err := c.apply([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	apply(`{"T": {"` + u1 + `": {"initial": {"name": "a", "on": true, "set": ["set", [["uuid","` + u2 + `"],["uuid","` + u3 + `"]]], "map": ["map", [["x",1],["y",2]]]}}}}`)
	row := c.tables["T"][u1]
	if row.One["name"] != "a" || row.One["on"] != "true" || len(row.Many["set"]) != 2 || row.Many["map"]["y"] != "2" {
		t.Fatalf("%+v", row)
	}
	ch := apply(`{"T": {"` + u1 + `": {"modify": {"on": ["set", []], "n": 7, "set": ["set", [["uuid","` + u3 + `"],["uuid","` + u1 + `"]]], "map": ["map", [["x",1],["y",3],["z",4]]]}}}}`)[0]
	if _, there := row.One["on"]; there || row.One["n"] != "7" {
		t.Errorf("%+v", row.One)
	}
	if !maps.Equal(row.Many["set"], map[string]string{u1: "", u2: ""}) || !maps.Equal(row.Many["map"], map[string]string{"y": "3", "z": "4"}) {
		t.Errorf("%+v", row.Many)
	}
	if !maps.Equal(ch.Came["map"], map[string]string{"y": "3", "z": "4"}) || !maps.Equal(ch.Gone["map"], map[string]string{"x": "1", "y": "2"}) ||
		!maps.Equal(ch.Came["set"], map[string]string{u1: ""}) || !maps.Equal(ch.Gone["set"], map[string]string{u3: ""}) {
		t.Errorf("%+v", ch)
	}
	if ch := apply(`{"T": {"` + u1 + `": {"delete": null}}}`)[0]; !ch.Deleted || len(c.tables["T"]) != 0 {
		t.Errorf("%+v", ch)
	}
	for _, bad := range []string{`[]`, `{"U": {}}`, `{"T": {"x": {"modify": {}}}}`, `{"T": {"x": {"insert": {"n": "no"}}}}`, `{"T": {"x": {"insert": {"map": ["set", []]}}}}`} {
		if _, err := c.apply([]byte(bad)); err == nil {
			t.Errorf("taken: %s", bad)
		}
	}
}

// A fresh copy is told as the difference.
func TestReplace(t *testing.T) {
	old, fresh := newCopied(schema(t), []string{"T"}), newCopied(schema(t), []string{"T"})
	for c, ids := range map[*copied][]string{old: {u1, u2}, fresh: {u2, u3}} {
		for _, id := range ids {
			if _, err := c.apply([]byte(`{"T": {"` + id + `": {"initial": {}}}}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	gone, come := map[string]bool{}, map[string]bool{}
	for _, ch := range old.replace(fresh) {
		if ch.Deleted {
			gone[ch.UUID] = true
		} else {
			come[ch.UUID] = true
		}
	}
	if !maps.Equal(gone, map[string]bool{u1: true, u2: true}) || !maps.Equal(come, map[string]bool{u2: true, u3: true}) || len(old.tables["T"]) != 2 {
		t.Errorf("gone %v, come %v", gone, come)
	}
}

// Values come back as they were written, and numbers and UUIDs are not text.
func TestOperations(t *testing.T) {
	s := schema(t)
	row := &Row{One: map[string]string{"name": `a"b`, "n": "5", "on": "false"}, Many: map[string]map[string]string{"set": {u1: "", "row7": ""}, "map": {"k": "9"}}}
	for _, c := range []struct {
		op   Operation
		want string
	}{
		{s.Insert("T", "row1", row), `{"op":"insert","row":{"map":["map",[["k",9]]],"n":["set",[5]],"name":["set",["a\"b"]],"on":["set",[false]],"set":["set",[["uuid","` + u1 + `"],["named-uuid","row7"]]]},"table":"T","uuid-name":"row1"}`},
		{s.Mutate("T", u1, map[string]Mutation{"map": {Insert: map[string]string{"k": "1"}, Delete: map[string]string{"k": "0"}}}),
			`{"mutations":[["map","delete",["set",["k"]]],["map","insert",["map",[["k",1]]]]],"op":"mutate","table":"T","where":[["_uuid","==",["uuid","` + u1 + `"]]]}`},
		{s.Delete("T", u1), `{"op":"delete","table":"T","where":[["_uuid","==",["uuid","` + u1 + `"]]]}`},
	} {
		if c.op.err != nil {
			t.Fatal(c.op.err)
		}
		if got, err := json.Marshal(c.op.body); err != nil || string(got) != c.want {
			t.Errorf("%s (%v), want\n%s", got, err, c.want)
		}
	}
	for _, bad := range []*Row{{One: map[string]string{"n": "x"}}, {One: map[string]string{"nope": "1"}}, {Many: map[string]map[string]string{"map": {"k": ""}}}} {
		if op := s.Insert("T", "r", bad); op.err == nil {
			t.Errorf("%+v can be said", bad)
		}
	}
}

// Whatever a server says, the copy is exact or refuses it.
func FuzzApply(f *testing.F) {
	f.Add(`{"T": {"a": {"initial": {"name": "a", "map": ["map", [["x",1]]]}}}}`, `{"T": {"a": {"modify": {"map": ["map", [["x",1]]], "set": ["uuid", "u"]}}}}`)
	f.Add(`{"T": {"a": {"insert": {"on": ["set", []]}}}}`, `{"T": {"a": {"delete": null}}}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		c := newCopied(schema(t), []string{"T"})
		for _, text := range []string{first, second} {
			changes, err := c.apply([]byte(text))
			if err != nil {
				return
			}
			for _, ch := range changes {
				if (c.tables[ch.Table][ch.UUID] != nil) == ch.Deleted {
					t.Errorf("%+v", ch)
				}
			}
		}
	})
}

func FuzzParseSchema(f *testing.F) {
	f.Add(testSchema)
	f.Fuzz(func(_ *testing.T, text string) { _, _ = ParseSchema([]byte(text)) })
}
