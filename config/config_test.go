package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	text := "before = 1\n# comment\n[a]\nx = one\n  two\n\t; no part of it\n  three\n\ny: \"quoted = yes\"\nz=\n[b c]\n'odd' = 'it''s'\r\n"
	want := []assignment{
		{"DEFAULT", "before", "1", "f", 1}, {"a", "x", "one\ntwo\nthree", "f", 4}, {"a", "y", "quoted = yes", "f", 9},
		{"a", "z", "", "f", 10}, {"b c", "'odd'", "it''s", "f", 12},
	}
	got, err := parse("f", text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(assignment{})); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]string{
		"[a": "f:1: a section must end", "[]": "needs a name", "x = 1\n\n  y": "f:3: an indented line", "word": "f:1: neither", "= 1": "a name is missing",
	} {
		if _, err := parse("f", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// things are options of all kinds.
type things struct {
	text, password, host string
	number, port         int
	on                   bool
	wait                 time.Duration
	list                 []string
}

func (x *things) set() *Set {
	s := &Set{}
	x.number, x.wait, x.host = 7, time.Minute, "h"
	s.String(&x.host, "DEFAULT", "host", "a host")
	s.String(&x.text, "a", "text", "a text").Deprecated("old_text", "b/older_text")
	s.String(&x.password, "a", "password", "a secret").Secret()
	s.Int(&x.number, 1, "a", "number", "a number")
	s.Bool(&x.on, "a", "on", "a switch")
	s.Seconds(&x.wait, "a", "wait", "a time")
	s.List(&x.list, "a", "list", "a list")
	s.String(new(string), "a", "kind", "one of two").Choices("one", "two")
	s.NotNeeded("there is no broker", "rabbit", "host")
	s.Port(&x.port, "a", "port", "a port")
	s.Only("there is one way", "a", "way", "one", "1")
	s.Unsupported("nobody can", "a", "fly", "false")
	s.Parsed(func(text string) error {
		if text == "odd" {
			return Warning("it is odd")
		}
		return nil
	}, "a", "taste", "string", "", "a taste")
	return s
}

func TestLoad(t *testing.T) {
	write := func(dir, name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dir, more := t.TempDir(), t.TempDir()
	first := write(dir, "first.conf", "host = example\n[a]\ntext = a ${host} and $number, $$1, \\$2, 5$ and ${DEFAULT.host}\nnumber = 1\non = Yes\npassword = p$$w\n[rabbit]\nhost = r\n[a]\nnunber = 3\n[secrets]\napi_key = k\n")
	write(more, "b.conf", "[a]\nnumber = 3\n")
	write(more, "a.conf", "[a]\nnumber = 2\nlist = x, y,\n  z\nwait = 0.5\n")
	write(more, "note.txt", "nonsense")
	files, err := Files([]string{first}, []string{more})
	if err != nil {
		t.Fatal(err)
	}
	var x things
	values, err := x.set().Load(files)
	if err != nil {
		t.Fatal(err)
	}
	want := things{text: "a example and 3, $1, $2, 5$ and example", password: "p$w", host: "example", number: 3, on: true, wait: 500 * time.Millisecond, list: []string{"x", "y", "z"}}
	if d := cmp.Diff(want, x, cmp.AllowUnexported(things{})); d != "" {
		t.Error(d)
	}
	notes := map[string]string{}
	for _, v := range values {
		notes[v.Section+"/"+v.Name+" "+v.Place] = v.Note
		if strings.Contains(v.Name, "password") || v.Name == "api_key" {
			if v.Value != "***" {
				t.Errorf("a secret is told: %+v", v)
			}
		}
	}
	for key, note := range map[string]string{
		"a/number " + first + ":4":         "overridden at " + filepath.Join(more, "b.conf") + ":2",
		"rabbit/host " + first + ":8":      "not needed: there is no broker",
		"a/nunber " + first + ":10":        "unknown option; is [a] number meant?",
		"secrets/api_key " + first + ":12": "unknown option",
	} {
		if notes[key] != note {
			t.Errorf("%s: %q, want %q", key, notes[key], note)
		}
	}

	old := write(dir, "old.conf", "[a]\nold_text = before\n[b]\nolder_text = later\n")
	if _, err := x.set().Load([]string{old}); err != nil || x.text != "later" {
		t.Errorf("former names: %q %v", x.text, err)
	}
	for text, want := range map[string]string{
		"[a]\nnumber = many": ":2: [a] number: \"many\" is no whole number", "[a]\nnumber = 0": "0 is less than 1", "[a]\non = perhaps": "neither true nor false",
		"[a]\nwait = soon": "no number of seconds", "[a]\nkind = three": "none of one, two", "[a]\ntext = $nobody": "names no option",
		"[a]\ntext = ${text}": "in a circle",
	} {
		bad := write(dir, "bad.conf", text)
		if _, err := x.set().Load([]string{bad}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Files(nil, []string{filepath.Join(dir, "nowhere")}); err == nil {
		t.Error("a directory that is not there")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("[a]\ntext = ${host}\n  $x\nnumber: 3")
	f.Add("[[]]\n\x00=\n$$${")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parse("f", text)
		if err != nil {
			return
		}
		var x things
		values, err := x.set().take(list)
		if len(values) != len(list) {
			t.Errorf("%d of %d told", len(values), len(list))
		}
		if err == nil && x.number < 1 {
			t.Error("a bound was passed over")
		}
	})
}

func TestWhatIsNotThere(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "f.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var x things
	values, err := x.set().Load([]string{file("[a]\nfly = False\nway = ONE\ntaste = odd\nport = 80\n[a]\nfly = yes\n")})
	if err != nil || x.port != 80 {
		t.Fatal(x.port, err)
	}
	var warned []string
	for _, v := range values {
		if v.Warns() {
			warned = append(warned, v.Name+": "+v.Note)
		}
	}
	if d := cmp.Diff([]string{"taste: not supported: it is odd", "fly: not supported: nobody can"}, warned); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]string{"[a]\nway = two": "f.conf:2: [a] way: \"two\" is not supported: there is one way", "[a]\nport = 0": "no port", "[a]\nport = 65536": "no port"} {
		if _, err := x.set().Load([]string{file(text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}

	// Another program's options in a file of both.
	var mine Set
	var host string
	mine.String(&host, "DEFAULT", "host", "a host")
	mine.Others("it is another's", x.set())
	values, err = mine.Load([]string{file("host = h\n[a]\nnumber = many\nfly = yes\npassword = p\n")})
	if err != nil || host != "h" || len(mine.Own()) != 1 {
		t.Fatal(host, len(mine.Own()), err)
	}
	for _, v := range values[1:] {
		if v.Note != "not needed: it is another's" || v.Warns() || v.Name == "password" && v.Value != "***" {
			t.Errorf("%+v", v)
		}
	}
}

func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.conf")
	load := func(text string) []Value {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var x things
		values, err := x.set().Load([]string{path})
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	before := load("[a]\nnumber = 1\npassword = old\ntext = t\nold_text = x\n[rabbit]\nhost = r\n")
	now := load("[a]\nnumber = 2\nnumber = 1\npassword = new\non = true\n[rabbit]\nhost = s\n")
	if d := cmp.Diff([]string{"[a] on", "[a] password", "[a] text"}, Changed(before, now)); d != "" {
		t.Error(d)
	}
	// What waits for a restart is found again, and what has been taken over is not.
	kept := Kept(before, now, []string{"[a] password", "[a] text"})
	if d := cmp.Diff([]string{"[a] password", "[a] text"}, Changed(kept, now)); d != "" {
		t.Error(d)
	}
}
