package identity

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestIdentityFile(t *testing.T) {
	t.Parallel()
	const head = "domains: [{id: default, name: Default}]\nroles: [{name: member}]\n"
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"good", identities(t), ""},
		{"roles that imply each other", head[:40] + "roles: [{name: a, implies: [b]}, {name: b, implies: [a]}]", ""},
		{"unknown key", head + "user: []", "line 3: field user not found"},
		{"two documents", head + "---\n{}", "more than one"},
		{"unknown domain", head + "projects: [{name: p, domain: d}]", `project "p": there is no domain "d"`},
		{"no name", head + "projects: [{domain: default}]", "needs a name"},
		{"two of a name", head + "users: [{name: u, domain: default, id: a}, {name: u, domain: default, id: b}]", "two users"},
		{"two of an id", head + "users: [{name: u, domain: default, id: a}, {name: v, domain: default, id: a}]", "the id a is given twice"},
		{"strange id", head + `projects: [{name: u, domain: default, id: "a/b"}]`, "can't be an id"},
		{"bad hash", head + "users: [{name: u, domain: default, password_hash: x}]", "no bcrypt hash"},
		{"two passwords", head + "users: [{name: u, domain: default, password: x, password_hash: y}]", "not both"},
		{"implied role", head[:40] + "roles: [{name: a, implies: [b]}]", `there is no role "b"`},
		{"nowhere", head + "users: [{name: u, domain: default}]\nassignments: [{user: u, role: member}]", "give one of"},
		{"twice somewhere", head + "users: [{name: u, domain: default}]\nassignments: [{user: u, role: member, domain: default, system: true}]", "give one of"},
		{"unknown user", head + "assignments: [{user: u, role: member, system: true}]", `there is no user "u"`},
		{"URL", head + "services: [{type: a, name: b, region: c, url: 'ftp://x'}]", "no http or https URL"},
	} {
		doc, err := decodeDocument([]byte(test.text))
		if err == nil {
			_, err = newDirectory(doc, nil, "http://x")
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v; want %q", test.name, err, test.want)
		}
	}
}

func TestBadFileChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.login("demo", onDemo)
	b.rewrite("users: [")
	if err := b.refresh(); err == nil || !strings.Contains(err.Error(), identityFile) {
		t.Errorf("a broken file gives %v", err)
	}
	if err := b.refresh(); err != nil {
		t.Errorf("the same mistake is said again: %v", err)
	}
	if _, err := b.Authenticate(context.Background(), token); err != nil {
		t.Errorf("a broken file ended a token: %v", err)
	}
	if _, err := Open(Options{StateDir: b.dir, PublicURL: "http://x"}); err == nil {
		t.Error("a broken file opens")
	}
	if !strings.Contains(b.log.String(), "in the clear") {
		t.Errorf("there is no warning of passwords in the clear: %s", b.log.String())
	}
	b.rewrite(identities(t))
	b.log.Reset()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Follow(ctx, time.Millisecond) }()
	end := time.Now().Add(20 * time.Second)
	old := b.directory.Load()
	for b.directory.Load() == old && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	if b.directory.Load() == old {
		t.Error("the mended file never came into force")
	}
}

// FuzzIdentityFile: no file brings the server down, and what is accepted can be used.
func FuzzIdentityFile(f *testing.F) {
	f.Add([]byte(identities(f)))
	f.Add([]byte("domains: [{name: a}]\nusers: [{name: b, domain: a}]\nroles: [{name: r, implies: [r]}]\nassignments: [{user: b, role: r, domain: a}]"))
	f.Add([]byte("domains: &x [*x]"))
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := decodeDocument(data)
		if err != nil {
			return
		}
		d, err := newDirectory(doc, nil, "http://x")
		if err != nil {
			return
		}
		d.catalog("p")
		d.spelledOut(true)
		for _, u := range d.users {
			if d.usable(u) {
				d.access(u, scope{System: true})
			}
		}
	})
}
