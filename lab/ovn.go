package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// OVN is the driver by which OVN carries networks.
const OVN = "ovn"

// southPort is where OVN's controllers reach the southbound database; further servers of a cluster have the ports after it.
const southPort = 6642

// checkOVN says what a lab with OVN misses on this machine.
func checkOVN(driver string) error {
	if driver != OVN {
		return nil
	}
	for tool, pkg := range map[string]string{"ovn-northd": "ovn-central", "ovn-controller": "ovn-host"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("a lab with OVN needs %s (Debian: apt-get install %s): %w", tool, pkg, err)
		}
	}
	return nil
}

// member is one ovsdb-server of OVN's databases: alone, or one of three in a raft cluster.
type member struct {
	name string // nb, or nb1, nb2, nb3; sb, …
	db   string // nb or sb
	port int    // where hosts reach it; 0: they do not
}

func (m member) service() string { return "ovn-" + m.name }

// members are the servers of one of OVN's databases.
func members(db string, cluster bool) []member {
	count, list := 1, []member{}
	if cluster {
		count = 3
	}
	for i := range count {
		m := member{name: db, db: db}
		if cluster {
			m.name += strconv.Itoa(i + 1)
		}
		if db == "sb" {
			m.port = southPort + i
		}
		list = append(list, m)
	}
	return list
}

// startCentral starts OVN's databases and ovn-northd at the center, and writes what the server reads of them.
func (l *Lab) startCentral(ctx context.Context) error {
	s, err := l.state()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.path("ovn"), 0o700); err != nil {
		return err
	}
	for _, db := range []string{"nb", "sb"} {
		list := members(db, s.Cluster)
		for i, m := range list {
			if err := l.makeDatabase(ctx, m, list[0], s.Cluster); err != nil {
				return err
			}
			if err := l.startMember(m); err != nil {
				return err
			}
			if i == 0 { // others join a database that has its one row
				if err := l.eventually(ctx, Center, "ovn-"+db+"ctl", "--db="+l.socket(m), "--timeout=5", "init"); err != nil {
					return err
				}
			}
		}
	}
	if err := l.startNorthd(s.Cluster); err != nil {
		return err
	}
	return os.WriteFile(l.path("server", "ovn.conf"), []byte(`[ml2]
mechanism_drivers = ovn
tenant_network_types = geneve
[ovn]
ovn_nb_connection = `+l.central("nb", s.Cluster)+`
ovn_sb_connection = `+l.central("sb", s.Cluster)+`
ovn_metadata_enabled = true
dns_servers = `+OutsideFar+`
`), 0o600)
}

// makeDatabase writes the file of a server that never ran.
func (l *Lab) makeDatabase(ctx context.Context, m, first member, cluster bool) error {
	file, schema := l.path("ovn", m.name+".db"), "/usr/share/ovn/ovn-"+m.db+".ovsschema"
	raft := func(m member) string { return "unix:" + l.path("ovn", m.name+".raft") }
	argv := []string{"create", file, schema}
	switch {
	case cluster && m == first:
		argv = []string{"create-cluster", file, schema, raft(m)}
	case cluster:
		name := map[string]string{"nb": "OVN_Northbound", "sb": "OVN_Southbound"}[m.db]
		argv = []string{"join-cluster", file, name, raft(m), raft(first)}
	}
	if out, err := exec.CommandContext(ctx, "ovsdb-tool", argv...).CombinedOutput(); err != nil {
		return fmt.Errorf("make OVN's database %s: %w: %s", m.name, err, out)
	}
	return nil
}

func (l *Lab) startMember(m member) error {
	argv := []string{"ovsdb-server", l.path("ovn", m.name+".db"), "--remote=p" + l.socket(m), "--unixctl=" + l.path("ovn", m.name+".ctl"), "-vsyslog:off", "-vconsole:warn"}
	if m.port != 0 {
		argv = append(argv, "--remote=ptcp:"+strconv.Itoa(m.port)+":"+centerAddress)
	}
	return l.spawn(Center, request{Service: m.service(), Argv: argv})
}

func (l *Lab) socket(m member) string { return "unix:" + l.path("ovn", m.name+".sock") }

// central are the endpoints of one of OVN's databases, at the center.
func (l *Lab) central(db string, cluster bool) string {
	var list []string
	for _, m := range members(db, cluster) {
		list = append(list, l.socket(m))
	}
	return strings.Join(list, ",")
}

// StartCentral starts one of OVN's servers at the center that was killed: nb, sb, nb1 to nb3, sb1 to sb3, or northd.
func (l *Lab) StartCentral(name string) error {
	s, m, err := l.centralPart(name)
	if err != nil {
		return err
	}
	if name == "northd" {
		return l.startNorthd(s.Cluster)
	}
	return l.startMember(m)
}

// KillCentral kills one of them at once.
func (l *Lab) KillCentral(name string) error {
	if _, _, err := l.centralPart(name); err != nil {
		return err
	}
	return l.kill(Center, "ovn-"+name, syscall.SIGKILL)
}

func (l *Lab) centralPart(name string) (state, member, error) {
	s, err := l.state()
	if err != nil {
		return s, member{}, err
	}
	for _, m := range append(members("nb", s.Cluster), members("sb", s.Cluster)...) {
		if s.Driver == OVN && m.name == name {
			return s, m, nil
		}
	}
	if s.Driver == OVN && name == "northd" {
		return s, member{}, nil
	}
	return s, member{}, fmt.Errorf("there is no %q at %s", name, Center)
}

func (l *Lab) startNorthd(cluster bool) error {
	return l.spawn(Center, request{Service: "ovn-northd", Argv: []string{"ovn-northd", "--ovnnb-db=" + l.central("nb", cluster), "--ovnsb-db=" + l.central("sb", cluster),
		"--unixctl=" + l.path("ovn", "northd.ctl"), "-vsyslog:off", "-vconsole:warn"}})
}

// StartController tells a host of OVN and starts ovn-controller there.
func (l *Lab) StartController(ctx context.Context, host string) error {
	number, err := l.checkHost(host)
	if err != nil {
		return err
	}
	s, err := l.state()
	if err != nil {
		return err
	}
	ip := TunnelAddress(number)
	if s.Tunnels6 {
		ip = TunnelAddress6(number)
	}
	var remotes []string
	for _, m := range members("sb", s.Cluster) {
		remotes = append(remotes, "tcp:"+centerAddress+":"+strconv.Itoa(m.port))
	}
	if err := l.eventually(ctx, host, "ovs-vsctl", "--timeout=10", "set", "Open_vSwitch", ".",
		`external_ids:ovn-remote="`+strings.Join(remotes, ",")+`"`, "external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip="+ip,
		"external_ids:ovn-bridge-datapath-type=netdev", "external_ids:ovn-bridge-mappings=physnet1:br-ex,physnet2:br-ex2",
		"external_ids:ovn-cms-options=enable-chassis-as-gw", "external_ids:ovn-monitor-all=true"); err != nil {
		return err
	}
	return l.spawn(host, request{Service: "ovn-controller", Argv: []string{"ovn-controller", "unix:/run/openvswitch/db.sock", "-vsyslog:off", "-vconsole:warn"}})
}
