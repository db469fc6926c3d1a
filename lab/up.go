package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say what kind of lab to raise.
type Options struct {
	Name  string // up to 24 of a-z, 0-9 and -
	Hosts int    // 1 to 99
	Port  int    // the API's port on the machine's loopback; 0 picks a free one
	Bare  bool   // hosts and Open vSwitch only: no server, no agents

	Tunnels6 bool // tunnels between hosts run over IPv6

	// Driver is what carries networks: "openvswitch", also "", or "ovn".
	Driver string
	// Cluster has each of OVN's databases served by three servers in a raft cluster.
	Cluster bool

	// Firewall is the hosts' firewall_driver: "openvswitch", also "", "iptables_hybrid" or "noop". With the second,
	// instances are plugged as the API then says: behind a bridge of their own.
	Firewall string

	// Database is the URL of the server's database, which it reaches by a unix socket; "" is SQLite in
	// the lab's directory.
	Database string

	Config string // file of options for the server, as it takes neutron.conf; "" for none
	// Etc is a directory with a directory of configuration files for each node, c0, h1, …: what is in its /etc.
	// "" runs server and agents by flags.
	Etc string
}

// Up raises a lab and returns when its server and all agents run. What failed half-way is taken down.
func Up(ctx context.Context, o Options) (*Lab, error) {
	l, err := handle(o.Name)
	if err != nil {
		return nil, err
	}
	if o.Hosts < 1 || o.Hosts > 99 {
		return nil, fmt.Errorf("%d hosts: give 1 to 99", o.Hosts)
	}
	if o.Driver != "" && o.Driver != "openvswitch" && o.Driver != OVN {
		return nil, fmt.Errorf("driver %q: openvswitch and ovn are there", o.Driver)
	}
	if o.Cluster && o.Driver != OVN {
		return nil, errors.New("only OVN has databases to be clustered: add --driver ovn")
	}
	switch {
	case o.Firewall != "" && o.Firewall != "openvswitch" && o.Firewall != "iptables_hybrid" && o.Firewall != "noop":
		return nil, fmt.Errorf("firewall %q: openvswitch, iptables_hybrid and noop are there", o.Firewall)
	case o.Firewall != "" && (o.Driver == OVN || o.Etc != ""):
		return nil, fmt.Errorf("firewall %q: OVN has its own, and files in etc say theirs", o.Firewall)
	}
	if err := checkTools(); err != nil {
		return nil, err
	}
	if err := checkOVN(o.Driver); err != nil {
		return nil, err
	}
	if err := l.claim(); err != nil {
		return nil, err
	}
	if err := l.raise(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("raise lab %s: %w", o.Name, err), l.keepLogs(), l.Down())
	}
	return l, nil
}

// claim makes the lab's directory, clearing away what a dead lab of that name left.
func (l *Lab) claim() error {
	if err := os.MkdirAll(BaseDir(), 0o700); err != nil {
		return fmt.Errorf("make the labs' directory: %w", err)
	}
	info, err := os.Stat(BaseDir())
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to somebody else: set NEUTRINO_LAB_DIR to a directory of yours", BaseDir())
	}
	if l.alive() {
		return fmt.Errorf("lab %s is running already: choose another --name, or end it by neutrino lab down --name %s", l.Name, l.Name)
	}
	if err := os.RemoveAll(l.Dir); err != nil {
		return fmt.Errorf("remove what a dead lab left: %w", err)
	}
	for _, d := range []string{"nodes", "sockets", "instances", "server"} {
		if err := os.MkdirAll(l.path(d), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) raise(ctx context.Context, o Options) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	if o.Config != "" {
		if o.Config, err = filepath.Abs(o.Config); err != nil {
			return err
		}
	}
	s := state{Hosts: o.Hosts, Binary: binary, Database: o.Database, Config: o.Config, Tunnels6: o.Tunnels6, Driver: o.Driver, Cluster: o.Cluster, Firewall: o.Firewall, Etc: o.Etc != ""}
	var api *os.File
	if !o.Bare {
		// Opened out here and handed down: the machine's loopback leads into the lab.
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.Port))
		if err != nil {
			return fmt.Errorf("open the API's port: %w", err)
		}
		s.API = "http://" + ln.Addr().String()
		api, err = ln.(*net.TCPListener).File()
		ln.Close()
		if err != nil {
			return err
		}
		defer api.Close()
	}
	if err := writeJSON(l.path("lab.json"), s); err != nil {
		return err
	}
	if o.Etc != "" {
		if err := l.takeEtc(o.Etc, append(hostNames(o.Hosts), Center)); err != nil {
			return err
		}
	}
	if err := l.startCenter(api); err != nil {
		return err
	}
	if o.Driver == OVN {
		if err := l.startCentral(ctx); err != nil {
			return err
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(l.startOutside)
	for _, host := range hostNames(o.Hosts) {
		group.Go(func() error { return l.furnishHost(gctx, host) })
	}
	if !o.Bare {
		group.Go(func() error { return l.firstServer(gctx) })
	}
	if err := group.Wait(); err != nil || o.Bare {
		return err
	}
	for _, host := range hostNames(o.Hosts) {
		if err := l.StartAgent(host); err != nil {
			return err
		}
	}
	return l.awaitHosts(ctx)
}

// startCenter starts the lab's first process, in a user namespace of its own unless we are root.
func (l *Lab) startCenter(api *os.File) error {
	lock, err := os.OpenFile(l.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("lab %s is being raised by somebody else", l.Name)
	}
	socket, err := l.listen(Center)
	if err != nil {
		return fmt.Errorf("open the lab's socket: %w", err)
	}
	defer socket.Close()
	if err := os.MkdirAll(l.path("nodes", Center, "log"), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(l.Log(Center, "node"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, "lab", "inner", "first", "center", l.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	cmd.ExtraFiles = []*os.File{lock} // descriptor 6: held for as long as the first process lives
	if err := startInner(cmd, socket, api, log); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) {
			return errors.Join(err, namespaceAdvice())
		}
		return err
	}
	return nil
}

// Down ends a lab and removes its directory. A lab that has died already is only removed.
func (l *Lab) Down() error {
	if l.alive() {
		l.ask(Center, request{Op: "stop"}) // it ends without an answer
		if err := l.waitGone(20 * time.Second); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(l.Dir); err != nil {
		return fmt.Errorf("remove the lab's directory: %w", err)
	}
	return nil
}

// DownByName ends the lab of that name, running or dead.
func DownByName(name string) error {
	l, err := handle(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(l.Dir); err != nil {
		return fmt.Errorf("no lab %q", name)
	}
	return l.Down()
}

// keepLogs puts the ends of the logs into an error, for the directory is about to go.
func (l *Lab) keepLogs() error {
	var all []error
	nodes, err := os.ReadDir(l.path("nodes"))
	if err != nil {
		return nil
	}
	for _, node := range nodes {
		logs, err := os.ReadDir(l.path("nodes", node.Name(), "log"))
		if err != nil {
			continue
		}
		for _, log := range logs {
			service := strings.TrimSuffix(log.Name(), ".log")
			data, err := os.ReadFile(l.Log(node.Name(), service))
			if lines := strings.Split(strings.TrimSpace(string(data)), "\n"); err == nil && len(data) > 0 {
				all = append(all, fmt.Errorf("last words of %s on %s:\n%s", service, node.Name(), strings.Join(lines[max(0, len(lines)-8):], "\n")))
			}
		}
	}
	return errors.Join(all...)
}

// newSecret is what agents show to the server.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
