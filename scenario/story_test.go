package scenario

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"neutrino/lab"
	"neutrino/lab/client"
)

// labName is the name of every story's lab; they live in directories of their own.
const labName = "story"

type storyKey struct{}

// story is one script's lab and what it has started there.
type story struct {
	env     *testscript.Env
	lab     *lab.Lab
	mu      sync.Mutex
	driver  string // lab.OVN or "openvswitch"
	clients map[string]*client.Client
	// database is the URL of the lab's database; "" is SQLite.
	database string
	pings    map[string]*lab.Pinging // by instance
	calls    *calling                // nil while nobody calls
	firewall string                  // firewall_driver of the hosts; "": what the lab has without saying
}

func newStory(env *testscript.Env, driver string) *story {
	return &story{env: env, driver: driver, clients: map[string]*client.Client{}, pings: map[string]*lab.Pinging{}}
}

func of(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

// end takes the lab down, however the story went.
func (s *story) end() {
	if s.lab == nil {
		return
	}
	if s.calls != nil {
		s.calls.stop()
	}
	if t, ok := s.env.T().(interface{ Failed() bool }); ok && t.Failed() {
		s.env.T().Log(lastWords(s.lab))
	}
	if err := s.lab.Down(); err != nil {
		s.env.T().Log("take the lab down: ", err)
	}
}

// cloud is where the story's lab is; the story fails if none was raised.
func (s *story) cloud(ts *testscript.TestScript) *lab.Lab {
	if s.lab == nil {
		ts.Fatalf("the story has no lab yet: say up first")
	}
	return s.lab
}

// as is a logged-in client of an entry of clouds.yaml.
func (s *story) as(ts *testscript.TestScript, user string) *client.Client {
	if user == "admin" {
		user = "neutrino-admin"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[user]; c != nil {
		return c
	}
	c, err := client.Login(context.Background(), s.cloud(ts).CloudsFile(), user)
	ts.Check(err)
	s.clients[user] = c
	return c
}

// up raises the lab by the binary, as a person would.
func (s *story) up(ts *testscript.TestScript, args []string) {
	line := append([]string{"lab", "up", "--driver", s.driver}, args...)
	if s.firewall != "" {
		line = append(line, "--firewall", s.firewall)
	}
	if s.database != "" {
		line = append(line, "--database", s.database)
	}
	ts.Check(ts.Exec("neutrino", line...))
	l, err := lab.OpenAt(filepath.Join(ts.Getenv("NEUTRINO_LAB_DIR"), labName))
	ts.Check(err)
	s.lab = l
	ts.Setenv("OS_CLIENT_CONFIG_FILE", l.CloudsFile())
}

// lastWords are those of the server and of all agents and switches of a lab.
func lastWords(l *lab.Lab) string {
	var all strings.Builder
	files, err := filepath.Glob(filepath.Join(l.Dir, "nodes", "*", "log", "*.log"))
	if err != nil {
		return err.Error()
	}
	for _, f := range files {
		out, err := exec.Command("sh", "-c", `grep -E '"level":"(ERROR|WARN)"' "$1" | tail -n 20; echo ...; tail -n 30 "$1"`, "sh", f).CombinedOutput()
		fmt.Fprintf(&all, "== %s %v\n%s", strings.TrimPrefix(f, l.Dir), err, out)
	}
	return all.String()
}

// until repeats a question until the answer is no error.
func until(patience time.Duration, ask func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", patience, err)
		}
	}
}
