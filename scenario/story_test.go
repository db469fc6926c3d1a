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
	clients map[string]*client.Client
	pings   map[string]*lab.Pinging // by instance
}

func newStory(env *testscript.Env) *story {
	return &story{env: env, clients: map[string]*client.Client{}, pings: map[string]*lab.Pinging{}}
}

func of(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

// end takes the lab down, however the story went.
func (s *story) end() {
	if s.lab == nil {
		return
	}
	if t, ok := s.env.T().(interface{ Failed() bool }); ok && t.Failed() {
		s.env.T().Log(s.logs())
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
	line := append([]string{"lab", "up"}, args...)
	ts.Check(ts.Exec("neutrino", line...))
	l, err := lab.OpenAt(filepath.Join(ts.Getenv("NEUTRINO_LAB_DIR"), labName))
	ts.Check(err)
	s.lab = l
	ts.Setenv("OS_CLIENT_CONFIG_FILE", l.CloudsFile())
}

// logs are the last words of the server and all agents.
func (s *story) logs() string {
	var all strings.Builder
	files, err := filepath.Glob(filepath.Join(s.lab.Dir, "nodes", "*", "log", "*.log"))
	if err != nil {
		return err.Error()
	}
	for _, f := range files {
		out, err := exec.Command("tail", "-n", "30", f).CombinedOutput()
		fmt.Fprintf(&all, "== %s %v\n%s", strings.TrimPrefix(f, s.lab.Dir), err, out)
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
