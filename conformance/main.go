// Command conformance runs Tempest and the Networking plugin's API tests, as Debian packages them,
// against a server with two simulated hosts that it raises, and holds the results against what the
// original gives. `make conformance` builds what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

type options struct {
	binary, expected, known, learn, dir, only string
	list, asJSON, keep, alone                 bool
	workers, hosts                            int
}

// name is a file's name in the run's directory: the second run does not write over the first.
func (o options) name(file string) string {
	if o.alone {
		return "alone-" + file
	}
	return file
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/neutrino", "the program under test")
	flag.StringVar(&o.expected, "expected", "conformance/expected.txt", "the tests that run, and what the original gives")
	flag.StringVar(&o.learn, "learn", "", "write the file of expected results anew, from a file with lines of area, test, status, and end")
	flag.StringVar(&o.known, "known-failures", "conformance/known-failures.txt", "tests that are known to fail, each with the reason")
	flag.StringVar(&o.dir, "dir", "", "where configuration and logs go; the default is a new directory")
	flag.StringVar(&o.only, "only", "", "only tests that match this regular expression")
	flag.BoolVar(&o.list, "list", false, "list the tests that would run, and end")
	flag.BoolVar(&o.asJSON, "json", false, "print the results as JSON")
	flag.BoolVar(&o.keep, "keep", false, "leave the lab running")
	flag.IntVar(&o.workers, "workers", 3, "tests at once")
	flag.IntVar(&o.hosts, "hosts", 2, "simulated hosts")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: conformance [flags]\nexample: go run ./conformance -only test_subnetpools\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// errDiffers is the end of a run in which not everything was as expected; the table says what.
var errDiffers = errors.New("the results are not as expected")

func run(ctx context.Context, o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "neutrino-conformance-"); err != nil {
			return err
		}
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if o.learn != "" {
		return learnFrom(ctx, o)
	}
	yard, err := readExpectedFile(o.expected)
	if err != nil {
		return err
	}
	known, err := readKnownFile(o.known)
	if err != nil {
		return err
	}
	all, err := listTests(ctx, o.dir)
	if err != nil {
		return err
	}
	if err := samePackages(ctx, o, all, yard); err != nil {
		return err
	}
	tests := slices.DeleteFunc(all, func(id string) bool { return !only.MatchString(id) })
	if len(tests) == 0 {
		return errors.New("no test matches")
	}
	if o.list {
		for _, id := range tests {
			e := yard[plain(id)]
			fmt.Printf("%s\t%s\t%s\n", e.Area, e.Status, id)
		}
		return nil
	}
	l, err := raise(ctx, o)
	if err != nil {
		return err
	}
	if !o.keep {
		defer l.down()
	}
	if err := configure(ctx, o.dir, l); err != nil {
		return err
	}
	began := time.Now()
	results, err := runTests(ctx, o, tests)
	if err != nil {
		return err
	}
	results, err = again(ctx, o, complete(results, tests), tests, known)
	if err != nil {
		return err
	}
	report := judge(results, yard, known)
	report.Seconds, report.Dir = int(time.Since(began).Seconds()), o.dir
	if o.asJSON {
		err = report.writeJSON(os.Stdout)
	} else {
		err = report.writeText(os.Stdout)
	}
	if err == nil && !report.good() {
		err = errDiffers
	}
	return err
}

// learnFrom writes the file of expected results.
func learnFrom(ctx context.Context, o options) error {
	in, err := os.Open(o.learn)
	if err != nil {
		return err
	}
	defer in.Close()
	original, err := readYardstick(in)
	if err != nil {
		return fmt.Errorf("%s: %w", o.learn, err)
	}
	tests, err := listTests(ctx, o.dir)
	if err != nil {
		return err
	}
	out, err := os.Create(o.expected)
	if err != nil {
		return err
	}
	return errors.Join(writeExpected(out, learn(tests, original)), out.Close())
}

// samePackages refuses to judge by a list that was made for other versions of the packages.
func samePackages(ctx context.Context, o options, tests []string, yard yardstick) error {
	there := map[string]bool{}
	var unknown int
	for _, id := range tests {
		there[plain(id)] = true
		if _, found := yard[plain(id)]; !found {
			unknown++
		}
	}
	var missing int
	for id := range yard {
		if !there[id] {
			missing++
		}
	}
	if unknown+missing == 0 {
		return nil
	}
	found, err := versions(ctx, o.dir)
	if err != nil {
		return err
	}
	return fmt.Errorf("this machine has %s; %s is for Debian 12's tempest 33.0.0 and neutron-tempest-plugin 2.0.0: "+
		"%d of its tests are not here, and %d are here that it does not know. Run on Debian 12", found, o.expected, missing, unknown)
}
