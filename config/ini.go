// Package config reads the INI files that operators of OpenStack have: oslo.config's form, with options that are
// declared once, checked, and described.
package config

import (
	"fmt"
	"strings"
)

// assignment is an option as a file has it.
type assignment struct {
	section, name string
	value         string // continuation lines joined by newlines
	file          string
	line          int
}

func (a assignment) place() string { return fmt.Sprintf("%s:%d", a.file, a.line) }

// parse reads a file. The form is oslo.config's: [sections], name = value or name: value, # and ; before comments,
// and indented lines that go on with the value before.
func parse(file, text string) ([]assignment, error) {
	var list []assignment
	section := "DEFAULT"
	open := false // a value that an indented line goes on with
	for i, line := range strings.Split(text, "\n") {
		number := i + 1
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: %s", file, number, fmt.Sprintf(format, args...))
		}
		line = strings.TrimRight(line, " \t\r")
		trimmed := strings.TrimLeft(line, " \t")
		switch {
		case trimmed == "":
			open = false
		case trimmed[0] == '#' || trimmed[0] == ';':
		case len(trimmed) < len(line):
			if !open {
				return nil, wrong("an indented line goes on with the value before it, but there is none: %q", trimmed)
			}
			list[len(list)-1].value += "\n" + trimmed
		case line[0] == '[':
			if !strings.HasSuffix(line, "]") {
				return nil, wrong("a section must end with ]: %q", line)
			}
			if section = line[1 : len(line)-1]; section == "" {
				return nil, wrong("a section needs a name")
			}
			open = false
		default:
			at := strings.IndexAny(line, "=:")
			if at < 0 {
				return nil, wrong("neither [section] nor name = value: %q", line)
			}
			name := strings.TrimSpace(line[:at])
			if name == "" {
				return nil, wrong("a name is missing before %q", line[at:])
			}
			list = append(list, assignment{section, name, unquote(strings.TrimSpace(line[at+1:])), file, number})
			open = true
		}
	}
	return list, nil
}

// unquote takes off quotes of one kind that are around a whole value.
func unquote(s string) string {
	if len(s) > 1 && s[0] == s[len(s)-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : len(s)-1]
	}
	return s
}
