package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"neutrino/lab/client"
)

// firstServer gives the server its secret and starts it.
func (l *Lab) firstServer(ctx context.Context) error {
	if err := os.WriteFile(l.path("server", "agent.secret"), []byte(newSecret()+"\n"), 0o600); err != nil {
		return err
	}
	return l.StartServer(ctx)
}

// StartServer starts `neutrino server` at the center and waits until it serves.
func (l *Lab) StartServer(ctx context.Context) error {
	api, err := l.API()
	if err != nil {
		return err
	}
	s, err := l.state()
	if err != nil {
		return err
	}
	argv := []string{self, "server", "--state-dir", l.path("server"), "--listen-fd", "3", "--public-url", api, "--agent-secret-file", l.path("server", "agent.secret")}
	if s.Etc {
		argv = append(argv, "--etc", "/etc/neutron")
	} else {
		argv = append(argv, "--listen", centerAddress+":"+strconv.Itoa(serverPort), "--vlan-ranges", "physnet1:100:199,physnet2:200:299")
	}
	if s.Driver == OVN {
		argv = append(argv, "--config-file", l.path("server", "ovn.conf"))
	}
	if s.Config != "" {
		argv = append(argv, "--config-file", s.Config)
	}
	if s.Database != "" {
		argv = append(argv, "--database", s.Database, "--auto-upgrade")
	}
	if err := l.spawn(Center, request{Service: "server", Listener: true, Argv: argv}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		healthy, err := l.healthy(ctx, api)
		if healthy {
			return nil
		}
		if running, failed := l.Services(Center); failed == nil && running["server"] == 0 {
			return fmt.Errorf("the server ended (its log is %s)", l.Log(Center, "server"))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer at %s (its log is %s): %w", api, l.Log(Center, "server"), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *Lab) healthy(ctx context.Context, api string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/healthcheck", nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("its health check says %s", resp.Status)
	}
	return true, nil
}

// awaitHosts waits until the server has heard of all hosts, with OVN from the southbound database: ports can be bound to
// them, and what is to be on the first of them does not go to another one because that was quicker.
func (l *Lab) awaitHosts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := l.state()
	if err != nil {
		return err
	}
	if _, err := os.Stat(l.CloudsFile()); errors.Is(err, fs.ErrNotExist) {
		return nil // users are a Keystone's, of which nobody here is one
	}
	c, err := client.Login(ctx, l.CloudsFile(), "neutrino-admin")
	if err != nil {
		return err
	}
	for _, host := range hostNames(s.Hosts) {
		for known := false; !known; {
			agents, err := c.List(ctx, "agents", "host="+host)
			if err != nil {
				return fmt.Errorf("wait for the server to know %s (its log is %s): %w", host, l.Log(host, "agent"), err)
			}
			known = slices.ContainsFunc(agents, func(a client.Object) bool {
				kind, _ := a["agent_type"].(string)
				return s.Driver != OVN || strings.HasPrefix(kind, "OVN Controller")
			})
			if !known {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
	return nil
}

// KillServer kills the server at once.
func (l *Lab) KillServer() error { return l.kill(Center, "server", syscall.SIGKILL) }

// StartAgent starts `neutrino agent` on a host, and with OVN ovn-controller too if it does not run.
func (l *Lab) StartAgent(host string) error {
	number, err := l.checkHost(host)
	if err != nil {
		return err
	}
	s, err := l.state()
	if err != nil {
		return err
	}
	if _, err := l.API(); err != nil {
		return err
	}
	tunnelIP := TunnelAddress(number)
	if s.Tunnels6 {
		tunnelIP = TunnelAddress6(number)
	}
	secret, err := os.ReadFile(l.path("server", "agent.secret"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.path("nodes", host, "agent.secret"), secret, 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(l.path("nodes", host, "agent"), 0o700); err != nil {
		return err
	}
	if s.Etc {
		if err := l.writeSecret(host, secret); err != nil {
			return err
		}
		return l.spawn(host, request{Service: "agent", Argv: []string{self, "agent", "--etc", "/etc/neutron",
			"--state-dir", nodeDir + "/agent", "--datapath-type", "netdev"}})
	}
	argv := []string{self, "agent",
		"--server", "http://" + centerAddress + ":" + strconv.Itoa(serverPort), "--secret-file", nodeDir + "/agent.secret",
		"--host", host, "--tunnel-ip", tunnelIP, "--bridge-mapping", "physnet1:br-ex", "--bridge-mapping", "physnet2:br-ex2",
		"--state-dir", nodeDir + "/agent", "--datapath-type", "netdev"}
	if s.Driver == OVN {
		argv = append(argv, "--roles", "ovn-metadata")
		running, err := l.Services(host)
		if err != nil {
			return err
		}
		if running["ovn-controller"] == 0 {
			if err := l.StartController(context.Background(), host); err != nil {
				return err
			}
		}
	}
	if s.Firewall != "" {
		if err := os.WriteFile(l.path("nodes", host, "agent.ini"), []byte("[securitygroup]\nfirewall_driver = "+s.Firewall+"\n"), 0o600); err != nil {
			return err
		}
		argv = append(argv, "--config-file", nodeDir+"/agent.ini")
	}
	return l.spawn(host, request{Service: "agent", Argv: argv})
}

// KillAgent kills a host's agent at once, and with OVN ovn-controller too.
func (l *Lab) KillAgent(host string) error {
	if _, err := l.checkHost(host); err != nil {
		return err
	}
	s, err := l.state()
	if err != nil {
		return err
	}
	err = l.kill(host, "agent", syscall.SIGKILL)
	if s.Driver == OVN {
		err = errors.Join(err, l.kill(host, "ovn-controller", syscall.SIGKILL))
	}
	return err
}
