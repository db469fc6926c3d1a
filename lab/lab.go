// Package lab raises a cloud network on one machine, without root: simulated hosts (namespaces, each
// with its own Open vSwitch), networks that join them, an outside world, and instances.
//
// One lab is one user namespace whose first process owns everything else; when it ends, for whatever
// reason, the kernel ends the rest, and no more is left than the lab's directory.
package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Nodes that every lab has besides its hosts h1, h2, ….
const (
	Center  = "c0"      // the lab's first process: the switch, and the server
	Outside = "outside" // what is beyond the provider network
)

// Addresses inside a lab. They mean nothing outside of it, so that all labs share them.
const (
	managementNet   = "10.99.0."  // + host number, /24
	tunnelNet       = "172.29.0." // + host number, /24
	tunnelNet6      = "fd00:29::" // + host number, /64
	centerAddress   = "10.99.0.254"
	underlayMTU     = 1600 // room for a VXLAN header around 1500 bytes
	serverPort      = 9696
	OutsideSubnet   = "203.0.113.0/24"
	OutsideGateway  = "203.0.113.1"      // the outside's address on physnet1
	OutsideGateway6 = "2001:db8:ffff::1" // /64
	OutsideSubnet2  = "192.0.2.0/24"
	OutsideGateway2 = "192.0.2.1"    // the outside's address on physnet2
	OutsideFar      = "198.51.100.1" // an address behind the outside's gateway
	OutsideFar6     = "2001:db8:fffe::1"
)

var (
	labName      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,23}$`)
	instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,10}$`) // tap<name> is a device name
)

// Lab is a handle on a lab, from outside of it. It holds nothing open.
type Lab struct {
	Name string
	Dir  string
}

// state is what a lab's directory remembers of how it was raised.
type state struct {
	Hosts    int    `json:"hosts"`
	API      string `json:"api,omitempty"` // http://127.0.0.1:PORT; empty for a lab without server and agents
	Binary   string `json:"binary"`
	Database string `json:"database,omitempty"` // URL; empty for SQLite
	Config   string `json:"config,omitempty"`   // file of options for the server; empty for none
	Etc      bool   `json:"etc,omitempty"`      // server and agents run by configuration files
	Tunnels6 bool   `json:"tunnels6,omitempty"` // tunnels run over IPv6
	Driver   string `json:"driver,omitempty"`   // as Options says
	Cluster  bool   `json:"cluster,omitempty"`  // as Options says
	Firewall string `json:"firewall,omitempty"` // as Options says
}

// BaseDir is where labs live: NEUTRINO_LAB_DIR, or a directory of the user's own.
func BaseDir() string {
	if dir := os.Getenv("NEUTRINO_LAB_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "neutrino-lab")
	}
	return filepath.Join(os.TempDir(), "neutrino-lab-"+strconv.Itoa(os.Getuid()))
}

// handle checks a lab's name and makes the handle, whether the lab exists or not.
func handle(name string) (*Lab, error) {
	if !labName.MatchString(name) {
		return nil, fmt.Errorf("lab name %q: use up to 24 of a-z, 0-9 and -", name)
	}
	return &Lab{Name: name, Dir: filepath.Join(BaseDir(), name)}, nil
}

// Open finds a running lab by name.
func Open(name string) (*Lab, error) {
	l, err := handle(name)
	if err != nil {
		return nil, err
	}
	if !l.alive() {
		return nil, fmt.Errorf("no lab %q is running (neutrino lab ls shows those that are)", name)
	}
	return l, nil
}

// OpenAt finds a running lab by its directory, wherever that is.
func OpenAt(dir string) (*Lab, error) {
	l := &Lab{Name: filepath.Base(dir), Dir: dir}
	if !l.alive() {
		return nil, fmt.Errorf("no lab is running in %s", dir)
	}
	return l, nil
}

// Listing is one lab of List.
type Listing struct {
	Name      string     `json:"name"`
	Dir       string     `json:"dir"`
	Running   bool       `json:"running"`
	Hosts     []string   `json:"hosts"`
	API       string     `json:"api,omitempty"`
	Instances []Instance `json:"instances"`
}

// List tells of all labs of this user.
func List() ([]Listing, error) {
	entries, err := os.ReadDir(BaseDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the labs' directory: %w", err)
	}
	list := []Listing{}
	for _, e := range entries {
		l, err := handle(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		item := Listing{Name: l.Name, Dir: l.Dir, Running: l.alive(), Hosts: []string{}, Instances: []Instance{}}
		if s, err := l.state(); err == nil {
			item.Hosts, item.API = hostNames(s.Hosts), s.API
		}
		if instances, err := l.Instances(); err == nil {
			item.Instances = instances
		}
		list = append(list, item)
	}
	return list, nil
}

// API is the server's address as seen from outside of the lab: http://127.0.0.1:PORT.
func (l *Lab) API() (string, error) {
	s, err := l.state()
	if err != nil {
		return "", err
	}
	if s.API == "" {
		return "", fmt.Errorf("lab %s was raised bare: it has no server", l.Name)
	}
	return s.API, nil
}

// CloudsFile is the path of the clouds.yaml that the lab's server wrote for its clients.
func (l *Lab) CloudsFile() string { return l.path("server", "clouds.yaml") }

// Log is the path of the log of a service on a node.
func (l *Lab) Log(node, service string) string { return l.path("nodes", node, "log", service+".log") }

// Hosts are the names of the lab's hosts: h1, h2, ….
func (l *Lab) Hosts() ([]string, error) {
	s, err := l.state()
	if err != nil {
		return nil, err
	}
	return hostNames(s.Hosts), nil
}

func (l *Lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.Dir}, parts...)...)
}

func (l *Lab) state() (state, error) {
	var s state
	return s, readJSON(l.path("lab.json"), &s)
}

// checkHost refuses what is not one of the lab's hosts, and gives its number.
func (l *Lab) checkHost(host string) (int, error) {
	hosts, err := l.Hosts()
	if err != nil {
		return 0, err
	}
	if i := slices.Index(hosts, host); i >= 0 {
		return i + 1, nil
	}
	return 0, fmt.Errorf("no host %q: the lab has %v", host, hosts)
}

func hostNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "h" + strconv.Itoa(i+1)
	}
	return names
}

// alive says whether the lab's first process is there: it holds the lock for as long as it lives.
func (l *Lab) alive() bool {
	f, err := os.Open(l.path("lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// waitGone waits until the lab's first process, and so everything in the lab, has ended.
func (l *Lab) waitGone(patience time.Duration) error {
	for deadline := time.Now().Add(patience); l.alive(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("lab %s did not end within %v", l.Name, patience)
		}
	}
	return nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON writes by rename, so that a reader sees the old or the new, never half.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
