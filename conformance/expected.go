package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// expectation is a test of the packages, the area it belongs to, and what the original gives.
type expectation struct {
	Area   string
	Status string // pass, fail, skip, or "-" where it is not known
	ID     string // without the attributes that Tempest puts in brackets
}

// yardstick is what the original gives, by test.
type yardstick map[string]expectation

// readYardstick reads lines of area, test, status under a head line: a run against the original.
func readYardstick(in io.Reader) (yardstick, error) {
	yard := yardstick{}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		words := strings.Split(lines.Text(), "\t")
		if len(words) != 3 {
			return nil, fmt.Errorf("line %d: %q is not area, test, status", n, lines.Text())
		}
		if n > 1 {
			yard[words[1]] = expectation{Area: words[0], ID: words[1], Status: words[2]}
		}
	}
	return yard, lines.Err()
}

// readExpected reads what writeExpected wrote.
func readExpected(in io.Reader) (yardstick, error) {
	yard := yardstick{}
	var area, class string
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || words[0][0] == '#':
		case len(words) == 2 && words[0] == "class":
			class = words[1]
		case len(words) == 2 && words[0] == "area":
			area = words[1]
		case len(words) == 2 && area != "" && class != "" && slices.Contains([]string{"pass", "fail", "skip", "-"}, words[0]):
			id := class + "." + words[1]
			yard[id] = expectation{Area: area, Status: words[0], ID: id}
		default:
			return nil, fmt.Errorf("line %d: %q is no area, no class and no test with its status", n, lines.Text())
		}
	}
	return yard, lines.Err()
}

func readExpectedFile(path string) (yardstick, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read what the original gives: %w", err)
	}
	defer f.Close()
	yard, err := readExpected(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return yard, nil
}

// writeExpected writes the tests by area and class, each with what the original gives.
func writeExpected(out io.Writer, yard yardstick) error {
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, "# The tests that run, and what the original gives for each; - where its newer suite has no such test.")
	fmt.Fprintln(w, "# Written by: go run ./conformance -learn FILE, where the file has lines of area, test, status.")
	var area, class string
	for _, e := range yard.sorted() {
		if e.Area != area {
			area, class = e.Area, ""
			fmt.Fprintf(w, "\narea %s\n", area)
		}
		in, name := splitID(e.ID)
		if in != class {
			class = in
			fmt.Fprintf(w, "class %s\n", class)
		}
		fmt.Fprintf(w, "%s %s\n", e.Status, name)
	}
	return w.Flush()
}

func (y yardstick) sorted() []expectation {
	list := make([]expectation, 0, len(y))
	for _, e := range y {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b expectation) int {
		classA, nameA := splitID(a.ID)
		classB, nameB := splitID(b.ID)
		return cmp.Or(strings.Compare(a.Area, b.Area), strings.Compare(classA, classB), strings.Compare(nameA, nameB))
	})
	return list
}

// learn says what is expected of the packages' tests from a run of the original, whose suite may be newer:
// a test that it does not know belongs to the area of its class, or else of its module's tests.
func learn(tests []string, original yardstick) yardstick {
	areas := map[string]string{}
	for _, e := range original.sorted() {
		class, _ := splitID(e.ID)
		module, _ := splitID(class)
		areas[class] = e.Area
		areas[module] = cmp.Or(areas[module], e.Area)
	}
	yard := yardstick{}
	for _, test := range tests {
		id := plain(test)
		class, _ := splitID(id)
		module, _ := splitID(class)
		e := expectation{ID: id, Status: "-", Area: cmp.Or(areas[class], areas[module], "other")}
		for _, name := range otherNames(id) {
			if known, found := original[name]; found {
				e.Area, e.Status = known.Area, known.Status
				break
			}
		}
		yard[id] = e
	}
	return yard
}

// otherNames are the names that a test may have in the original's list: without its scenario, and with
// the word for a project that newer suites use.
func otherNames(id string) []string {
	id, _, _ = strings.Cut(id, "(")
	class, name := splitID(id)
	return []string{id, class + "." + strings.ReplaceAll(name, "tenant", "project")}
}

var attributes = regexp.MustCompile(`\[[^]]*\]`)

// plain is a test's id without the attributes that Tempest puts into it in brackets. A scenario, in
// parentheses, stays: it makes a test of its own.
func plain(id string) string { return attributes.ReplaceAllString(id, "") }

// splitID parts a test's name from its class, or a class from its module.
func splitID(id string) (class, name string) {
	dots, _, _ := strings.Cut(id, "(")
	if i := strings.LastIndexByte(dots, '.'); i >= 0 {
		return id[:i], id[i+1:]
	}
	return "", id
}
