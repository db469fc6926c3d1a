package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// readKnown reads "test reason…" lines; # begins a comment.
func readKnown(in io.Reader) (map[string]string, error) {
	known := map[string]string{}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		id, reason, found := strings.Cut(line, " ")
		if !found {
			return nil, fmt.Errorf("line %d: %s needs a reason", n, id)
		}
		if known[id] != "" {
			return nil, fmt.Errorf("line %d: %s is there twice", n, id)
		}
		known[id] = strings.TrimSpace(reason)
	}
	return known, lines.Err()
}

func readKnownFile(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the known failures: %w", err)
	}
	defer f.Close()
	known, err := readKnown(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return known, nil
}

// complete gives one result for every test: what happened to a class happened to its tests, and a test
// of which nothing was heard failed.
func complete(results []result, tests []string) []result {
	got := map[string]result{}
	for _, r := range results {
		if old, found := got[r.ID]; !found || old.Status != "fail" {
			got[r.ID] = r
		}
	}
	var list []result
	for _, test := range tests {
		id := plain(test)
		class, _ := splitID(id)
		r, ran := got[id]
		if !ran {
			if r, ran = got[class+".setUpClass"]; !ran {
				r = result{Status: "fail", Reason: "nothing was heard of the test"}
			}
		}
		r.ID = id
		if down, found := got[class+".tearDownClass"]; found && r.Status == "pass" {
			r.Status, r.Reason = down.Status, "cleaning up after the class: "+down.Reason
		}
		list = append(list, r)
	}
	return list
}

// report is a judged run.
type report struct {
	Areas      []area         `json:"areas"`
	All        area           `json:"all"`
	Unexpected []result       `json:"unexpected"`       // failed, and not known to
	Short      []result       `json:"short"`            // skipped here, passed by the original, and not known to
	Known      []result       `json:"known"`            // failed or skipped as known
	Fixed      []string       `json:"fixed"`            // known to fail, but pass: to be taken off the list
	Gone       []string       `json:"gone"`             // known to fail, but no tests any more
	Alone      []string       `json:"alone"`            // failed, and passed when run alone
	Skips      map[string]int `json:"reasons_of_skips"` // how many tests by reason
	Seconds    int            `json:"seconds"`
	Dir        string         `json:"logs"`
}

// area is a row of the table.
type area struct {
	Name     string `json:"name,omitempty"`
	Tests    int    `json:"tests"`
	Passed   int    `json:"passed"`
	Failed   int    `json:"failed"`
	Skipped  int    `json:"skipped"`
	Original int    `json:"original_passes"` // how many of the tests
}

func (a *area) count(status, original string) {
	a.Tests++
	switch status {
	case "pass":
		a.Passed++
	case "skip":
		a.Skipped++
	default:
		a.Failed++
	}
	if original == "pass" {
		a.Original++
	}
}

// judge holds results against the yardstick and the known failures.
func judge(results []result, yard yardstick, known map[string]string) *report {
	r := &report{Skips: map[string]int{}}
	areas := map[string]*area{}
	for _, t := range results {
		want := yard[t.ID]
		t.Area, t.Original = want.Area, want.Status
		if areas[t.Area] == nil {
			areas[t.Area] = &area{Name: t.Area}
		}
		areas[t.Area].count(t.Status, t.Original)
		r.All.count(t.Status, t.Original)
		isKnown := known[t.ID] != ""
		switch {
		case t.Status == "pass" && isKnown:
			r.Fixed = append(r.Fixed, t.ID)
		case t.Status == "pass":
			if t.Alone {
				r.Alone = append(r.Alone, t.ID)
			}
		case t.Status == "skip":
			r.Skips[t.Reason]++
			switch {
			case isKnown:
				r.Known = append(r.Known, t)
			case t.Original == "pass":
				r.Short = append(r.Short, t)
			}
		case isKnown:
			r.Known = append(r.Known, t)
		default:
			r.Unexpected = append(r.Unexpected, t)
		}
	}
	for id := range known {
		if _, found := yard[id]; !found {
			r.Gone = append(r.Gone, id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(areas)) {
		r.Areas = append(r.Areas, *areas[name])
	}
	byID := func(a, b result) int { return strings.Compare(a.ID, b.ID) }
	slices.SortFunc(r.Unexpected, byID)
	slices.SortFunc(r.Short, byID)
	slices.SortFunc(r.Known, byID)
	slices.Sort(r.Fixed)
	slices.Sort(r.Gone)
	slices.Sort(r.Alone)
	return r
}

// good says whether all that failed is known to, and all that is known to failed. A test that is skipped
// here and passed by the original counts as one that fails.
func (r *report) good() bool {
	return len(r.Unexpected)+len(r.Short)+len(r.Fixed)+len(r.Gone) == 0
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *report) writeText(out io.Writer) error {
	w := bufio.NewWriter(out)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "area\ttests\tpassed\tfailed\tskipped\tthe original passes\t")
	all := r.All
	all.Name = "all"
	for _, a := range append(slices.Clone(r.Areas), all) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t\n", a.Name, a.Tests, a.Passed, a.Failed, a.Skipped, a.Original)
	}
	t.Flush() // into w, which keeps the error
	section := func(title string, list []result) {
		if len(list) > 0 {
			fmt.Fprintf(w, "\n%s (%d):\n", title, len(list))
		}
		for _, x := range list {
			fmt.Fprintf(w, "  %s\n      %s\n", x.ID, strings.ReplaceAll(cmp.Or(x.Excerpt, x.Reason), "\n", "\n      "))
		}
	}
	names := func(title string, list []string) {
		if len(list) > 0 {
			fmt.Fprintf(w, "\n%s (%d):\n  %s\n", title, len(list), strings.Join(list, "\n  "))
		}
	}
	section("failed, and not known to", r.Unexpected)
	section("skipped here, passed by the original, and not known to", r.Short)
	names("known to fail, but pass: to be taken off the list", r.Fixed)
	names("known to fail, but no tests", r.Gone)
	names("failed beside others, passed alone", r.Alone)
	if len(r.Skips) > 0 {
		fmt.Fprintln(w, "\nreasons of skips:")
		for _, reason := range slices.Sorted(maps.Keys(r.Skips)) {
			fmt.Fprintf(w, "  %4d  %s\n", r.Skips[reason], reason)
		}
	}
	fmt.Fprintf(w, "\n%d tests in %d seconds, %d failed or were skipped as known; logs in %s\n", r.All.Tests, r.Seconds, len(r.Known), r.Dir)
	return w.Flush()
}
