package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
)

// Command is something to run on a node, or inside of an instance.
type Command struct {
	Where string // a host, "c0", "outside", or an instance
	Argv  []string
	Env   []string // added to the node's own environment
	Stdin io.Reader
	Out   io.Writer
	Err   io.Writer
}

// Run runs a command to its end and returns its exit status. Plain files are handed to the command
// itself, so that a terminal stays one.
func (l *Lab) Run(c Command) (int, error) { return l.RunContext(context.Background(), c) }

// RunContext is Run; when the context ends first, the command is killed.
func (l *Lab) RunContext(ctx context.Context, c Command) (int, error) {
	node, instance, err := l.resolve(c.Where)
	if err != nil {
		return 0, err
	}
	var copies sync.WaitGroup
	var closers []*os.File
	closeAll := func() {
		for _, f := range closers {
			f.Close()
		}
		closers = nil
	}
	defer closeAll()
	files := make([]*os.File, 3)
	switch in := c.Stdin.(type) {
	case *os.File:
		files[0] = in
	case nil:
		if files[0], err = os.Open(os.DevNull); err != nil {
			return 0, err
		}
		closers = append(closers, files[0])
	default:
		r, w, err := os.Pipe()
		if err != nil {
			return 0, err
		}
		files[0] = r
		closers = append(closers, r)
		go func() {
			io.Copy(w, in) // a command may leave its input unread
			w.Close()
		}()
	}
	for i, to := range []io.Writer{c.Out, c.Err} {
		if f, ok := to.(*os.File); ok {
			files[1+i] = f
			continue
		}
		if to == nil {
			to = io.Discard
		}
		r, w, err := os.Pipe()
		if err != nil {
			return 0, err
		}
		files[1+i] = w
		closers = append(closers, w)
		copies.Go(func() {
			io.Copy(to, r)
			r.Close()
		})
	}
	a, err := l.askContext(ctx, node, request{Op: "run", Argv: c.Argv, Env: c.Env, Instance: instance}, files...)
	closeAll()
	copies.Wait()
	return a.Exit, err
}

// Output runs a command and returns what it wrote; a status other than 0 is an error that says what
// it complained of.
func (l *Lab) Output(where string, argv ...string) (string, error) {
	return l.output(where, "", argv...)
}

func (l *Lab) output(where, input string, argv ...string) (string, error) {
	var out, complaint bytes.Buffer
	c := Command{Where: where, Argv: argv, Out: &out, Err: &complaint}
	if input != "" {
		c.Stdin = strings.NewReader(input)
	}
	exit, err := l.Run(c)
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit status %d: %s", exit, strings.TrimSpace(complaint.String()))
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s on %s: %w", strings.Join(argv, " "), where, err)
	}
	return out.String(), nil
}

// resolve finds the node that a name means, and the instance if it is one.
func (l *Lab) resolve(where string) (node, instance string, err error) {
	if where == Center || where == Outside {
		return where, "", nil
	}
	if _, err := l.checkHost(where); err == nil {
		return where, "", nil
	}
	i, err := l.Instance(where)
	if err != nil {
		return "", "", err
	}
	return i.Host, i.Name, nil
}

// spawn starts a service on a node, its output going to the service's log.
func (l *Lab) spawn(node string, req request) error {
	req.Op = "spawn"
	if err := os.MkdirAll(l.path("nodes", node, "log"), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(l.Log(node, req.Service), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	if _, err := l.ask(node, req, null, log, log); err != nil {
		return fmt.Errorf("start %s: %w", req.Service, err)
	}
	return nil
}

// kill ends a service and waits until it has ended.
func (l *Lab) kill(node, service string, signal syscall.Signal) error {
	_, err := l.ask(node, request{Op: "kill", Service: service, Signal: int(signal)})
	return err
}

// Services are the running services of a node, with their process ids there.
func (l *Lab) Services(node string) (map[string]int, error) {
	a, err := l.ask(node, request{Op: "services"})
	return a.Services, err
}
