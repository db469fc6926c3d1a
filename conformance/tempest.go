package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// python is the interpreter that Debian's packages belong to.
const python = "/usr/bin/python3"

// results.py turns a subunit stream into lines of JSON.
//
//go:embed results.py
var resultsPy string

// sitecustomize.py is read by every Python of a run.
//
//go:embed sitecustomize.py
var sitecustomizePy string

// result is the end of one test.
type result struct {
	ID       string `json:"id"`
	Status   string `json:"status"` // pass, fail or skip
	Reason   string `json:"reason,omitempty"`
	Excerpt  string `json:"excerpt,omitempty"` // the ends of a failure's tracebacks
	Area     string `json:"area,omitempty"`
	Original string `json:"original,omitempty"` // what the original gives
	Alone    bool   `json:"alone,omitempty"`    // this is the end of a second run, with nothing beside it
}

// suites are what runs, as prefixes of test ids.
var suites = []string{"tempest.api.network.", "neutron_tempest_plugin.api."}

// command runs a tool of Python in the run's directory.
func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TEMPEST_CONFIG_DIR="+dir, "TEMPEST_CONFIG=tempest.conf", "PYTHONWARNINGS=ignore", "PYTHONPATH="+filepath.Join(dir, "python"),
		"HOME="+dir, "OS_TEST_TIMEOUT=300", "OS_STDOUT_CAPTURE=1", "OS_STDERR_CAPTURE=1", "OS_LOG_CAPTURE=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

const stestrConf = `[DEFAULT]
test_path = /usr/lib/python3/dist-packages/tempest/test_discover
top_dir = /usr/lib/python3/dist-packages
group_regex = ([^\.]*\.)*
`

// listTests asks stestr which tests there are.
func listTests(ctx context.Context, dir string) ([]string, error) {
	if err := os.WriteFile(filepath.Join(dir, ".stestr.conf"), []byte(stestrConf), 0o644); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "python"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "python", "sitecustomize.py"), []byte(sitecustomizePy), 0o644); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "tempest.conf")
	if _, err := os.Stat(conf); errors.Is(err, os.ErrNotExist) { // the list needs a configuration, but nothing in it
		if err := os.WriteFile(conf, []byte("[service_available]\nneutron = true\n"), 0o600); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".stestr")); errors.Is(err, os.ErrNotExist) {
		if out, err := command(ctx, dir, "-m", "stestr", "init").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("prepare Tempest's runner: %w\n%s", err, tail(out))
		}
	}
	cmd := command(ctx, dir, "-m", "stestr", "list")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list Tempest's tests (Debian's packages tempest and neutron-tempest-plugin): %w\n%s", err, tail(out))
	}
	var tests []string
	for line := range strings.Lines(string(out)) {
		id := strings.TrimSpace(line)
		if slices.ContainsFunc(suites, func(prefix string) bool { return strings.HasPrefix(id, prefix) }) {
			tests = append(tests, id)
		}
	}
	slices.Sort(tests)
	return tests, nil
}

// versions asks for the versions of the packages.
func versions(ctx context.Context, dir string) (string, error) {
	const script = "from importlib.metadata import version as v; print('tempest', v('tempest') + ', neutron-tempest-plugin', v('neutron-tempest-plugin'))"
	cmd := command(ctx, dir, "-c", script)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find Debian's packages tempest and neutron-tempest-plugin: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// runTests runs the tests and gives their results as they come.
func runTests(ctx context.Context, o options, tests []string) ([]result, error) {
	list := filepath.Join(o.dir, o.name("tests.txt"))
	if err := os.WriteFile(list, []byte(strings.Join(tests, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	run := command(ctx, o.dir, "-m", "stestr", "run", "--subunit", "--load-list", list, "--concurrency", fmt.Sprint(o.workers))
	stderr, err := os.Create(filepath.Join(o.dir, o.name("stestr.log")))
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	run.Stderr = stderr
	stream, err := run.StdoutPipe()
	if err != nil {
		return nil, err
	}
	read := command(ctx, o.dir, "-c", resultsPy, filepath.Join(o.dir, o.name("failures")))
	read.Stdin = stream
	read.Stderr = stderr
	lines, err := read.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(run.Start(), read.Start()); err != nil {
		return nil, err
	}
	var results []result
	counts := map[string]int{}
	in := bufio.NewScanner(lines)
	in.Buffer(nil, 1<<20)
	shown := time.Now()
	for in.Scan() {
		var r result
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("a result is not understood: %w: %s", err, in.Text())
		}
		r.ID, r.Alone = plain(r.ID), o.alone
		results = append(results, r)
		counts[r.Status]++
		if time.Since(shown) > 10*time.Second {
			shown = time.Now()
			fmt.Fprintf(os.Stderr, "%d of %d: %d passed, %d failed, %d skipped\n", len(results), len(tests), counts["pass"], counts["fail"], counts["skip"])
		}
	}
	if err := errors.Join(in.Err(), read.Wait()); err != nil {
		return nil, fmt.Errorf("read the results (see %s): %w", stderr.Name(), err)
	}
	_ = run.Wait() // fails when a test fails: the results say it
	if len(results) == 0 {
		return nil, fmt.Errorf("no test ran; see %s", stderr.Name())
	}
	return results, ctx.Err()
}

func tail(out []byte) string {
	if len(out) > 2000 {
		out = out[len(out)-2000:]
	}
	return string(out)
}

// tooMany failures are no accident: they are not tried once more.
const tooMany = 40

// again runs the tests that failed and are not known to once more, one at a time: some of Tempest's look
// at the whole cloud and are disturbed by what runs beside them. The second result counts.
func again(ctx context.Context, o options, results []result, tests []string, known map[string]string) ([]result, error) {
	failed := map[string]bool{}
	for _, r := range results {
		if r.Status == "fail" && known[r.ID] == "" {
			failed[r.ID] = true
		}
	}
	if len(failed) == 0 || len(failed) > tooMany {
		return results, nil
	}
	once := slices.DeleteFunc(slices.Clone(tests), func(id string) bool { return !failed[plain(id)] })
	fmt.Fprintf(os.Stderr, "%d failed: once more, one at a time\n", len(once))
	o.workers, o.alone = 1, true
	second, err := runTests(ctx, o, once)
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(results, func(r result) bool { return failed[r.ID] })
	return append(kept, complete(second, once)...), nil
}
