// Package nft loads and reads nftables through the nft program. A load is one transaction: all of it
// holds from one packet to the next, or none.
package nft

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"neutrino/dataplane/netns"
)

// Table names a table: a family, such as inet, and a name.
type Table struct{ Family, Name string }

func (t Table) String() string { return t.Family + " " + t.Name }

// Replace puts a table in place of what there is of that name, in one transaction. The body is what
// stands between the table's braces. Namespace "" is this process's own.
func Replace(ctx context.Context, namespace string, t Table, body string) error {
	_, err := run(ctx, namespace, replacement(t, body), "-f", "-")
	return err
}

func replacement(t Table, body string) string {
	return fmt.Sprintf("table %s\ndelete table %s\ntable %s {\n%s\n}\n", t, t, t, body)
}

// Installed says whether the nft program is there.
func Installed() bool {
	_, err := exec.LookPath("nft")
	return err == nil
}

// Load has nft do what a script says, in one transaction; an empty one is nothing to do.
func Load(ctx context.Context, namespace, script string) error {
	if script == "" {
		return nil
	}
	_, err := run(ctx, namespace, script, "-f", "-")
	return err
}

// Preview gives tables as List would print them after scripts were loaded into a namespace that has none. It does so
// in one without a name; the error is the kernel's when it refuses a script.
func Preview(ctx context.Context, scripts []string, tables ...Table) (listings []string, err error) {
	err = netns.Scratch(func() error {
		for _, script := range scripts {
			if err := Load(ctx, "", script); err != nil {
				return err
			}
		}
		for _, t := range tables {
			out, err := List(ctx, "", t)
			if err != nil {
				return err
			}
			listings = append(listings, out)
		}
		return nil
	})
	return listings, err
}

// Delete removes a table. One that is not there is no error.
func Delete(ctx context.Context, namespace string, t Table) error {
	_, err := run(ctx, namespace, fmt.Sprintf("table %s\ndelete table %s\n", t, t), "-f", "-")
	return err
}

// List gives a table as nft prints it; "" when there is none.
func List(ctx context.Context, namespace string, t Table) (string, error) {
	out, err := run(ctx, namespace, "", "list", "table", t.Family, t.Name)
	if err != nil && strings.Contains(err.Error(), "No such file or directory") {
		return "", nil
	}
	return out, err
}

// Canonical gives a table with that body as List would print it, had it been loaded. It loads it
// into a namespace without a name, so that a body that the kernel refuses is found out too.
func Canonical(ctx context.Context, t Table, body string) (out string, err error) {
	listings, err := Preview(ctx, []string{replacement(t, body)}, t)
	if err != nil {
		return "", err
	}
	return listings[0], nil
}

// Tables gives all tables of a family as nft prints them, by name.
func Tables(ctx context.Context, namespace, family string) (map[string]string, error) {
	out, err := run(ctx, namespace, "", "list", "ruleset", family)
	if err != nil {
		return nil, err
	}
	return split(out, family), nil
}

// split cuts nft's listing into tables: each begins and ends at the start of a line.
func split(listing, family string) map[string]string {
	found := map[string]string{}
	name := ""
	for line := range strings.Lines(listing) {
		if rest, begins := strings.CutPrefix(line, "table "+family+" "); begins {
			name, _, _ = strings.Cut(rest, " {")
			name = strings.Trim(name, "\"\n")
		}
		if name != "" {
			found[name] += line
		}
	}
	return found
}

// run runs nft inside a namespace.
func run(ctx context.Context, namespace, input string, args ...string) (string, error) {
	var out, errors bytes.Buffer
	err := netns.Do(namespace, func() error {
		cmd := exec.CommandContext(ctx, "nft", args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C") // List reads a message
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errors
		return cmd.Run()
	})
	if err != nil {
		return "", fmt.Errorf("nft %s in %q: %w: %s", strings.Join(args, " "), namespace, err, strings.TrimSpace(errors.String()))
	}
	return out.String(), nil
}
