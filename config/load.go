package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Value is what a file says of an option.
type Value struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Value   string `json:"value"` // "***" when it is secret
	Place   string `json:"place"` // file:line
	Note    string `json:"note,omitempty"`
	Unknown bool   `json:"unknown,omitempty"` // nothing is known of it: a mistake, perhaps
	// Unsupported says that the value asks for something that is not there.
	Unsupported bool `json:"unsupported,omitempty"`

	option *Option // nil: unknown
	text   string  // as it counts, secret or not
	counts bool    // it is the last one, of an option that does something
}

// File is the path of the file that has it.
func (v Value) File() string { return v.Place[:strings.LastIndexByte(v.Place, ':')] }

// Warns says whether an operator should look at it: what the file asks for does not happen.
func (v Value) Warns() bool { return v.Unknown || v.Unsupported }

// Files lists the files of --config-file and --config-dir options: those of a directory are its *.conf in order.
func Files(files, dirs []string) ([]string, error) {
	list := append([]string{}, files...)
	for _, dir := range dirs {
		if _, err := os.ReadDir(dir); err != nil {
			return nil, err
		}
		found, err := filepath.Glob(filepath.Join(dir, "*.conf"))
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// Load reads files in order, later ones over earlier ones, and sets the options that they name. It tells all that
// the files say. A wrong value is an error that names file and line; an unknown option is not.
func (s *Set) Load(files []string) ([]Value, error) {
	var all []assignment
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		list, err := parse(file, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return s.take(all)
}

func (s *Set) take(all []assignment) ([]Value, error) {
	last := map[*Option]int{}
	for i, a := range all {
		if o, _ := s.find(a.section, a.name); o != nil {
			last[o] = i
		}
	}
	var values []Value
	var wrong []error
	for i, a := range all {
		v := Value{Section: a.section, Name: a.name, Value: a.value, Place: a.place()}
		o, former := s.find(a.section, a.name)
		switch {
		case o == nil:
			v.Unknown, v.Note = true, "unknown option"
			if near := s.nearest(a.section, a.name); near != "" {
				v.Note += "; is " + near + " meant?"
			}
		case o.Unsupported && !same(a.value, o.Default):
			v.Unsupported, v.Note = true, "not supported: "+o.Why
		case o.Why != "":
			v.Note = "not needed: " + o.Why
		case last[o] != i:
			v.Note = "overridden at " + all[last[o]].place()
		default:
			if former {
				v.Note = "former name of [" + o.Section + "] " + o.Name
			}
			text, err := s.expand(a, all, 0)
			v.text, v.counts = text, true
			if err == nil {
				err = o.apply(text)
			}
			var warning Warning
			if errors.As(err, &warning) {
				v.Unsupported, v.Note, err = true, "not supported: "+string(warning), nil
			}
			if err != nil {
				if o.secret {
					err = errors.New("its value is wrong")
				}
				wrong = append(wrong, fmt.Errorf("%s: [%s] %s: %w", a.place(), a.section, a.name, err))
			}
		}
		v.option = o
		if o != nil && o.secret || (o == nil || o.Why != "") && looksSecret(a.name) {
			v.Value = "***"
		}
		values = append(values, v)
	}
	return values, errors.Join(wrong...)
}

// Warning is what an option's check returns instead of an error when the program can do without what the value asks
// for: the operator is told, and the rest of the value counts.
type Warning string

func (w Warning) Error() string { return string(w) }

// Changed names the options that differ between what files said before and say now, as "[section] name", sorted.
func Changed(before, now []Value) []string {
	texts := func(values []Value) map[string]string {
		out := map[string]string{}
		for _, v := range values {
			if v.counts {
				out["["+v.option.Section+"] "+v.option.Name] = v.text
			}
		}
		return out
	}
	a, b := texts(before), texts(now)
	var list []string
	for name, text := range b {
		if old, there := a[name]; !there || old != text {
			list = append(list, name)
		}
	}
	for name := range a {
		if _, there := b[name]; !there {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Kept is now with the values that some options had before, as "[section] name".
func Kept(before, now []Value, names []string) []Value {
	kept := func(v Value) bool { return v.counts && slices.Contains(names, "["+v.option.Section+"] "+v.option.Name) }
	var list []Value
	for _, v := range before {
		if kept(v) {
			list = append(list, v)
		}
	}
	for _, v := range now {
		if !kept(v) {
			list = append(list, v)
		}
	}
	return list
}

// looksSecret says of an option that is not ours whether its value had better not be printed.
func looksSecret(name string) bool {
	for _, word := range []string{"password", "secret", "token", "key", "connection", "transport_url"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// maxDepth bounds how far options that name one another are followed.
const maxDepth = 10

// expand replaces $name, ${name} and ${section.name} by the values of those options; $$ and \$ are a dollar.
func (s *Set) expand(a assignment, all []assignment, depth int) (string, error) {
	if depth > maxDepth {
		return "", errors.New("its value goes round in a circle")
	}
	text := a.value
	var b strings.Builder
	for {
		at := strings.IndexByte(text, '$')
		if at < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		before, rest := text[:at], text[at+1:]
		if strings.HasSuffix(before, `\`) {
			b.WriteString(before[:len(before)-1] + "$")
			text = rest
			continue
		}
		b.WriteString(before)
		if strings.HasPrefix(rest, "$") {
			b.WriteByte('$')
			text = rest[1:]
			continue
		}
		name, after := variable(rest)
		if name == "" { // a dollar that names nothing
			b.WriteByte('$')
			text = rest
			continue
		}
		value, err := s.valueOf(a, name, all, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = after
	}
}

// variable takes the name off what follows a dollar.
func variable(rest string) (name, after string) {
	if strings.HasPrefix(rest, "{") {
		if end := strings.IndexByte(rest, '}'); end > 0 {
			return rest[1:end], rest[end+1:]
		}
		return "", rest
	}
	end := 0
	for end < len(rest) && (rest[end] == '_' || 'a' <= rest[end]|0x20 && rest[end]|0x20 <= 'z' || end > 0 && '0' <= rest[end] && rest[end] <= '9') {
		end++
	}
	return rest[:end], rest[end:]
}

// valueOf is the value of an option that another's value names: of the same section, or else of DEFAULT.
func (s *Set) valueOf(a assignment, name string, all []assignment, depth int) (string, error) {
	sections := []string{a.section, "DEFAULT"}
	if section, word, found := strings.Cut(name, "."); found {
		sections, name = []string{section}, word
	}
	for _, section := range sections {
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].section == section && all[i].name == name {
				return s.expand(all[i], all, depth+1)
			}
		}
		if o, _ := s.find(section, name); o != nil {
			return o.Default, nil
		}
	}
	return "", fmt.Errorf("$%s names no option; a dollar itself is written $$", name)
}
