package scenario

import (
	"bytes"
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
	pings   map[string]*pinging // by instance
}

func newStory(env *testscript.Env) *story {
	return &story{env: env, clients: map[string]*client.Client{}, pings: map[string]*pinging{}}
}

func of(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

// end takes the lab down, however the story went.
func (s *story) end() {
	for _, p := range s.pings {
		p.stop()
	}
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

// pinging is a ping that goes on while things happen.
type pinging struct {
	cancel context.CancelFunc
	done   chan struct{}
	out    bytes.Buffer
	err    error
}

// begin pings ten times a second.
func begin(l *lab.Lab, from, to string) *pinging {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pinging{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_, p.err = l.RunContext(ctx, lab.Command{Where: from, Out: &p.out, Err: &p.out,
			Argv: []string{"ping", "-n", "-D", "-i0.1", "-W1", to}})
	}()
	return p
}

func (p *pinging) stop() {
	p.cancel()
	<-p.done
}

// lost counts the echo requests that were answered and those that were not, by the sequence numbers
// of the answers and the time since the last one: silence until the end is loss too.
func lost(output string, end time.Time) (answered, lost int) {
	last, lastTime := 0, 0.0
	for line := range strings.Lines(output) {
		_, rest, ok := strings.Cut(line, "icmp_seq=")
		if !ok || !strings.Contains(line, "bytes from") {
			continue
		}
		var seq int
		var at float64
		if _, err := fmt.Sscanf(rest, "%d", &seq); err != nil || seq <= last {
			continue
		}
		if _, err := fmt.Sscanf(line, "[%f]", &at); err == nil {
			lastTime = at
		}
		answered++
		lost += seq - last - 1
		last = seq
	}
	silence := float64(end.UnixMilli())/1000 - lastTime
	if answered > 0 && silence > 0.3 { // one that is under way is not lost yet
		lost += int(silence / 0.1)
	}
	return answered, lost
}
