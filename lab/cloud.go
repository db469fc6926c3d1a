package lab

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
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
	err = l.spawn(Center, request{Service: "server", Listener: true, Argv: []string{self, "server",
		"--state-dir", l.path("server"), "--listen-fd", "3", "--listen", centerAddress + ":" + strconv.Itoa(serverPort),
		"--public-url", api, "--agent-secret-file", l.path("server", "agent.secret")}})
	if err != nil {
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

// KillServer kills the server at once.
func (l *Lab) KillServer() error { return l.kill(Center, "server", syscall.SIGKILL) }

// StartAgent starts `neutrino agent` on a host.
func (l *Lab) StartAgent(host string) error {
	number, err := l.checkHost(host)
	if err != nil {
		return err
	}
	if _, err := l.API(); err != nil {
		return err
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
	return l.spawn(host, request{Service: "agent", Argv: []string{self, "agent",
		"--server", "http://" + centerAddress + ":" + strconv.Itoa(serverPort), "--secret-file", nodeDir + "/agent.secret",
		"--host", host, "--tunnel-ip", TunnelAddress(number), "--bridge-mapping", "physnet1:br-ex",
		"--state-dir", nodeDir + "/agent", "--datapath-type", "netdev"}})
}

// KillAgent kills a host's agent at once.
func (l *Lab) KillAgent(host string) error {
	if _, err := l.checkHost(host); err != nil {
		return err
	}
	return l.kill(host, "agent", syscall.SIGKILL)
}
