package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runner does what a node is asked: it runs commands for callers and keeps services by name.
type runner struct {
	log   *slog.Logger
	self  string                       // path by which this binary runs again
	extra func(request) (answer, bool) // operations that only this node knows; nil for none
	files map[string]*os.File          // listeners to hand down: "listener"

	mu       sync.Mutex
	services map[string]*service
}

type service struct {
	process *os.Process
	done    chan struct{} // closed when it ended and was waited for
}

// serve answers callers until the listener fails.
func (r *runner) serve(ln *net.UnixListener) error {
	for {
		conn, err := ln.AcceptUnix()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			a := r.handle(conn)
			data, err := json.Marshal(a)
			if err != nil {
				data = []byte(`{"error":"unspeakable answer"}`)
			}
			conn.Write(data) // a caller that has gone needs no answer
		}()
	}
}

func (r *runner) handle(conn *net.UnixConn) answer {
	req, files, err := receive(conn)
	defer func() { closeAll(files) }()
	if err == nil {
		if r.extra != nil {
			if a, known := r.extra(req); known {
				return a
			}
		}
		switch req.Op {
		case "run":
			var exit int
			exit, err = r.run(conn, req, files)
			if err == nil {
				return answer{Exit: exit}
			}
		case "spawn":
			err = r.spawn(req, files)
		case "kill":
			err = r.kill(req.Service, syscall.Signal(req.Signal))
		case "services":
			return answer{Services: r.list()}
		default:
			err = fmt.Errorf("unknown operation %q", req.Op)
		}
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{}
}

// command prepares a request's process with the caller's files.
func (r *runner) command(req request, files []*os.File) *exec.Cmd {
	argv := req.Argv
	if req.Instance != "" {
		argv = append([]string{r.self, "lab", "inner", "instance", req.Instance}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), req.Env...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	for i, f := range files {
		switch i {
		case 0:
			cmd.Stdin = f
		case 1:
			cmd.Stdout = f
		case 2:
			cmd.Stderr = f
		}
	}
	return cmd
}

// run runs a command to its end. When the caller goes away it is interrupted, and killed if that does not end it soon.
func (r *runner) run(conn *net.UnixConn, req request, files []*os.File) (int, error) {
	cmd := r.command(req, files)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	go func() {
		var b [1]byte
		conn.Read(b[:]) // the caller says no more: this returns when it goes away, or when we answered
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			select {
			case <-ended:
				return
			default:
				syscall.Kill(-cmd.Process.Pid, signal) // it may have ended just now
			}
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return failed.ExitCode(), nil
	}
	return 0, err
}

// spawn starts a service and keeps it under its name.
func (r *runner) spawn(req request, files []*os.File) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.services[req.Service]; there {
		return fmt.Errorf("%s is running already", req.Service)
	}
	cmd := r.command(req, files)
	if req.Listener {
		ln := r.files["listener"]
		if ln == nil {
			return errors.New("this lab has no listener for an API")
		}
		cmd.ExtraFiles = []*os.File{ln}
	}
	var kept []*os.File // what it is started with again: the caller's own are closed when this has been answered
	if req.Revive != nil {
		var err error
		if kept, err = duplicates(files); err != nil {
			return err
		}
	}
	if err := cmd.Start(); err != nil {
		closeAll(kept)
		return err
	}
	started := time.Now()
	s := &service{process: cmd.Process, done: make(chan struct{})}
	r.services[req.Service] = s
	r.log.Info("service started", "service", req.Service, "pid", cmd.Process.Pid)
	go func() {
		defer closeAll(kept)
		err := cmd.Wait()
		r.mu.Lock()
		delete(r.services, req.Service)
		r.mu.Unlock()
		close(s.done)
		r.log.Info("service ended", "service", req.Service, "pid", cmd.Process.Pid, "err", err)
		if req.Revive != nil && crashed(cmd.ProcessState) {
			time.Sleep(time.Until(started.Add(atMostEvery)))
			r.revive(req, kept)
		}
	}()
	return nil
}

// atMostEvery is how often a service that crashes is started again.
const atMostEvery = 2 * time.Second

// crashed tells the ends that a monitor of Open vSwitch's starts a daemon again after: a signal that nobody sends on purpose.
func crashed(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return false
	}
	switch status.Signal() {
	case syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGSEGV:
		return true
	}
	return false
}

// revive starts a service again that crashed, unless somebody else did, and runs what is to follow.
func (r *runner) revive(req request, files []*os.File) {
	r.log.Warn("service crashed and is started again", "service", req.Service)
	if err := r.spawn(req, files); err != nil {
		r.log.Error("a crashed service does not start", "service", req.Service, "err", err)
		return
	}
	out, err := exec.Command(req.Revive[0], req.Revive[1:]...).CombinedOutput()
	if err != nil {
		r.log.Error("what follows a crash failed", "service", req.Service, "err", err, "output", string(out))
		return
	}
	r.log.Info("service is back from its crash", "service", req.Service)
}

func duplicates(files []*os.File) ([]*os.File, error) {
	var all []*os.File
	for _, f := range files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("duplicate %s: %w", f.Name(), err)
		}
		all = append(all, os.NewFile(uintptr(fd), f.Name()))
	}
	return all, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// kill signals a service and waits for its end. Nobody is killed twice: what has ended is not there.
func (r *runner) kill(name string, signal syscall.Signal) error {
	r.mu.Lock()
	s := r.services[name]
	r.mu.Unlock()
	if s == nil {
		return fmt.Errorf("%s is not running", name)
	}
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s did not end within 20 s of signal %v", name, signal)
	}
}

func (r *runner) list() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	pids := map[string]int{}
	for name, s := range r.services {
		pids[name] = s.process.Pid
	}
	return pids
}
