package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// center is the lab's first node: it owns the switch, the other nodes and the API's listener.
type center struct {
	lab    *Lab
	run    *runner
	number map[string]int // hosts and the outside

	mu    sync.Mutex
	nodes map[string]*exec.Cmd
}

// runCenter builds the switch and all nodes and then does what it is asked until it is told to stop.
func runCenter(dir string) error {
	ln, err := listenerAt(3)
	c := &center{lab: &Lab{Name: filepath.Base(dir), Dir: dir}, run: newRunner(), nodes: map[string]*exec.Cmd{}, number: map[string]int{}}
	c.run.extra = c.handle
	c.run.files["listener"] = os.NewFile(5, "api")
	if err == nil {
		err = c.build()
	}
	ready(err)
	if err != nil {
		return err
	}
	return c.run.serve(ln)
}

func (c *center) build() error {
	s, err := c.lab.state()
	if err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(Center)); err != nil {
		return fmt.Errorf("set the host's name: %w", err)
	}
	if err := ownProc(); err != nil {
		return err
	}
	if err := ownEtc(c.lab.path("nodes", Center, "etc"), c.lab.path("nodes", Center, "machine-etc")); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := buildSwitch(); err != nil {
		return err
	}
	for i, name := range hostNames(s.Hosts) {
		c.number[name] = i + 1
	}
	c.number[Outside] = 0
	var wg sync.WaitGroup
	failures := make(chan error, len(c.number))
	for name := range c.number {
		wg.Go(func() { failures <- c.powerOn(name) })
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

// handle does the operations of the center alone.
func (c *center) handle(req request) (answer, bool) {
	var err error
	switch req.Op {
	case "power-on":
		err = c.powerOn(req.Node)
	case "power-off":
		err = c.powerOff(req.Node)
	case "stop":
		os.Exit(0)
	default:
		return answer{}, false
	}
	if err != nil {
		return answer{Error: err.Error()}, true
	}
	return answer{}, true
}

// powerOn starts a node in namespaces of its own and plugs its cables in.
func (c *center) powerOn(name string) error {
	number, known := c.number[name]
	if !known {
		return fmt.Errorf("no node %q", name)
	}
	c.mu.Lock()
	_, running := c.nodes[name]
	c.mu.Unlock()
	if running {
		return fmt.Errorf("%s is running already", name)
	}
	dir := c.lab.path("nodes", name)
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o755); err != nil {
		return err
	}
	socket, err := c.lab.listen(name)
	if err != nil {
		return fmt.Errorf("socket of %s: %w", name, err)
	}
	defer socket.Close()
	log, err := os.OpenFile(filepath.Join(dir, "log", "node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, "lab", "inner", "first", "node", name, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := startInner(cmd, socket, nil, log); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.mu.Lock()
	c.nodes[name] = cmd
	c.mu.Unlock()
	if err := plugNode(name, number, cmd.Process.Pid); err != nil {
		return errors.Join(fmt.Errorf("cables of %s: %w", name, err), c.powerOff(name))
	}
	return nil
}

// powerOff ends a node at once, as a power failure does: its cables are dead before its kernel can close a connection.
func (c *center) powerOff(name string) error {
	c.mu.Lock()
	cmd := c.nodes[name]
	delete(c.nodes, name)
	c.mu.Unlock()
	if cmd == nil {
		return fmt.Errorf("%s is not running", name)
	}
	unplugged := unplugNode(name)
	if err := cmd.Process.Kill(); err != nil {
		return errors.Join(unplugged, fmt.Errorf("end %s: %w", name, err))
	}
	cmd.Wait() // its exit status says what we know: it was killed
	return unplugged
}

// startInner starts a first process and waits until it says that it is ready. api may be nil.
func startInner(cmd *exec.Cmd, socket, api, log *os.File) error {
	said, say, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	if api == nil {
		api = null
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = append([]*os.File{socket, say, api}, cmd.ExtraFiles...)
	err = cmd.Start()
	say.Close()
	if err != nil {
		return err
	}
	word, err := io.ReadAll(said)
	if string(word) == "ok" {
		return nil
	}
	cmd.Process.Kill() // it may have ended already
	cmd.Wait()
	if err == nil && len(word) > 0 {
		return errors.New(strings.TrimSpace(string(word)))
	}
	return errors.Join(errors.New("it ended before it was ready"), err)
}
