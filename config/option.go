package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Option is one that a program knows.
type Option struct {
	Section, Name string
	Kind          string // string, integer, boolean, seconds, list, table
	Default       string // as a file would have it
	Help          string
	Why           string // it is known but does nothing, because of this
	// Unsupported says that a value other than Default asks for something that is not there, for the reason in Why.
	Unsupported bool

	secret     bool
	foreign    bool // of another program that reads the same files
	deprecated []string
	choices    []string
	set        func(text string) error // nil: a file's value is checked by nobody
}

// Secret keeps the value out of what is printed.
func (o *Option) Secret() *Option { o.secret = true; return o }

// Deprecated adds former names: "name", or "section/name".
func (o *Option) Deprecated(names ...string) *Option {
	o.deprecated = append(o.deprecated, names...)
	return o
}

// Choices limits the values.
func (o *Option) Choices(values ...string) *Option { o.choices = values; return o }

// Set is the options of a program.
type Set struct {
	options []*Option
}

// Options are all of them in the order of their declaration.
func (s *Set) Options() []*Option { return s.options }

func (s *Set) add(section, name, kind, standard, help string, set func(text string) error) *Option {
	o := &Option{Section: section, Name: name, Kind: kind, Default: standard, Help: help, set: set}
	s.options = append(s.options, o)
	return o
}

// String declares an option with text; what dest holds is the default.
func (s *Set) String(dest *string, section, name, help string) *Option {
	return s.add(section, name, "string", *dest, help, func(text string) error { *dest = text; return nil })
}

// Int declares an option with a whole number of at least least.
func (s *Set) Int(dest *int, least int, section, name, help string) *Option {
	return s.add(section, name, "integer", strconv.Itoa(*dest), help, func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		if n < least {
			return fmt.Errorf("%d is less than %d", n, least)
		}
		*dest = n
		return nil
	})
}

// Bool declares an option that is true or false, in any of the words that oslo.config takes.
func (s *Set) Bool(dest *bool, section, name, help string) *Option {
	return s.add(section, name, "boolean", strconv.FormatBool(*dest), help, func(text string) error {
		switch strings.ToLower(text) {
		case "true", "1", "on", "yes":
			*dest = true
		case "false", "0", "off", "no":
			*dest = false
		default:
			return fmt.Errorf("%q is neither true nor false", text)
		}
		return nil
	})
}

// Seconds declares an option with a number of seconds.
func (s *Set) Seconds(dest *time.Duration, section, name, help string) *Option {
	return s.add(section, name, "seconds", strconv.FormatFloat(dest.Seconds(), 'f', -1, 64), help, func(text string) error {
		d, err := ParseSeconds(text)
		if err == nil {
			*dest = d
		}
		return err
	})
}

// ParseSeconds reads a number of seconds, whole or not.
func ParseSeconds(text string) (time.Duration, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != n || n > 1e9 || n < -1e9 {
		return 0, fmt.Errorf("%q is no number of seconds", text)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// List declares an option with texts between commas.
func (s *Set) List(dest *[]string, section, name, help string) *Option {
	return s.add(section, name, "list", strings.Join(*dest, ","), help, func(text string) error {
		*dest = Split(text)
		return nil
	})
}

// Parsed declares an option whose text set reads; kind and standard are for those who read about it.
func (s *Set) Parsed(set func(text string) error, section, name, kind, standard, help string) *Option {
	return s.add(section, name, kind, standard, help, set)
}

// Port declares an option with a TCP or UDP port.
func (s *Set) Port(dest *int, section, name, help string) *Option {
	return s.add(section, name, "port", strconv.Itoa(*dest), help, func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%q is no port: give 1 through 65535", text)
		}
		*dest = n
		return nil
	})
}

// Only declares an option of which one of the values is there; another is an error that says why.
func (s *Set) Only(why, section, name, standard string, values ...string) *Option {
	values = append(values, standard)
	return s.add(section, name, "string", standard, "Nothing else is there: "+why+".", func(text string) error {
		if !slices.ContainsFunc(values, func(v string) bool { return same(v, text) }) {
			return fmt.Errorf("%q is not supported: %s", text, why)
		}
		return nil
	})
}

// NotNeeded declares options that operators' files have and the program has no use for.
func (s *Set) NotNeeded(why, section string, names ...string) {
	for _, name := range names {
		s.options = append(s.options, &Option{Section: section, Name: name, Why: why})
	}
}

// Unsupported declares an option of a function that is not there. Its default is passed over; another value is worth
// a warning, for the operator will miss what it asks for.
func (s *Set) Unsupported(why, section, name, standard string) *Option {
	o := &Option{Section: section, Name: name, Default: standard, Why: why, Unsupported: true}
	s.options = append(s.options, o)
	return o
}

// Others declares the options of another program that reads the same files, as far as this one does not know them.
func (s *Set) Others(why string, other *Set) {
	for _, o := range other.options {
		if have, _ := s.find(o.Section, o.Name); have != nil {
			continue
		}
		mine := *o
		if mine.Why == "" || mine.Unsupported {
			mine.Why = why
		}
		mine.set, mine.choices, mine.Unsupported, mine.foreign = nil, nil, false, true
		s.options = append(s.options, &mine)
	}
}

// Own are the options without those that Others declared, in the order of their declaration.
func (s *Set) Own() []*Option {
	return slices.DeleteFunc(slices.Clone(s.options), func(o *Option) bool { return o.foreign })
}

// same compares values as people write them: true and True are the same.
func same(a, b string) bool { return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)) }

// Split parts a list at its commas, without spaces and empty parts.
func Split(text string) []string {
	var list []string
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// apply checks a value and takes it.
func (o *Option) apply(text string) error {
	if len(o.choices) > 0 && !slices.Contains(o.choices, text) {
		return fmt.Errorf("%q is none of %s", text, strings.Join(o.choices, ", "))
	}
	return o.set(text)
}

// find gives the option that a file's name means, and whether the name is a former one.
func (s *Set) find(section, name string) (o *Option, former bool) {
	for _, o := range s.options {
		if o.Section == section && o.Name == name {
			return o, false
		}
	}
	for _, o := range s.options {
		for _, old := range o.deprecated {
			in, word, found := strings.Cut(old, "/")
			if !found {
				in, word = o.Section, old
			}
			if in == section && word == name {
				return o, true
			}
		}
	}
	return nil, false
}

// nearest gives the known name that is most like a word, for people who mistyped it; "" when none is near.
func (s *Set) nearest(section, name string) string {
	best, least := "", len(name)/3+2
	for _, o := range s.options {
		d := distance(o.Name, name)
		if o.Section != section {
			d++
		}
		if d < least {
			best, least = "["+o.Section+"] "+o.Name, d
		}
	}
	return best
}

// distance is how many letters must be changed, added or taken to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
