package lab

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"neutrino/lab/guest"
)

// Inner is the part of a lab that runs inside of it: the binary starts itself again by
// `neutrino lab inner ROLE …`. args are the words after "inner". It is of no use to people.
func Inner(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("inner: no role")
	}
	role, args := args[0], args[1:]
	switch {
	case role == "first" && len(args) >= 1:
		return reap(args)
	case role == "center" && len(args) == 1:
		return runCenter(args[0])
	case role == "node" && len(args) == 2:
		return runNode(args[0], args[1])
	case role == "instance" && len(args) >= 2:
		return enterInstance(args[0], args[1:])
	case role == "plug" && len(args) == 1:
		return plugInstance(args[0])
	case role == "unplug" && len(args) == 1:
		return unplugInstance(args[0])
	case role == "guest" && len(args) == 2:
		return guest.Run(args[0], args[1])
	case role == "web" && len(args) == 0:
		return serveOutside()
	}
	return fmt.Errorf("inner: unknown role %s %q", role, args)
}

// self runs this binary again, whatever was mounted over its path since.
const self = "/proc/self/exe"

// reap is the first process of a process namespace: it starts the node's real work and then buries
// the processes that lost their parents. When the work ends it ends, and the kernel ends the rest.
func reap(args []string) error {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT)
	cmd := exec.Command(self, append([]string{"lab", "inner"}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	for fd := 3; fd < 3+inherited; fd++ {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "inherited"))
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, f := range cmd.ExtraFiles {
		f.Close() // the child's now: whoever waits on the pipe must see its end
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid == cmd.Process.Pid {
			os.Exit(status.ExitStatus() & 0x7f)
		}
	}
}

// inherited is how many descriptors from 3 on a first process hands down: the node's socket, a pipe
// to say "ready" on, the API's listener (or /dev/null).
const inherited = 3

// listenerAt takes the node's inherited socket.
func listenerAt(fd uintptr) (*net.UnixListener, error) {
	f := os.NewFile(fd, "socket")
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("inherited socket: %w", err)
	}
	unix, ok := ln.(*net.UnixListener)
	if !ok {
		return nil, fmt.Errorf("inherited socket is a %T", ln)
	}
	return unix, nil
}

// newRunner makes a node's runner; logs go to the standard error that the lab gave it.
func newRunner() *runner {
	return &runner{
		log: slog.New(slog.NewJSONHandler(os.Stderr, nil)), self: self,
		services: map[string]*service{}, files: map[string]*os.File{},
	}
}

// ready tells whoever waits on the inherited pipe how it went: nothing is good.
func ready(err error) {
	pipe := os.NewFile(4, "ready")
	if err != nil {
		fmt.Fprint(pipe, err.Error())
	} else {
		fmt.Fprint(pipe, "ok")
	}
	pipe.Close()
}
