package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// ErrNoBridgeFilter is that the kernel does not know how to show the packets of bridges to its tables of IP.
var ErrNoBridgeFilter = errors.New("the kernel module br_netfilter is not loaded: modprobe br_netfilter, and name it in /etc/modules-load.d")

// The module, and what is there of it when it is loaded, or part of the kernel.
const (
	bridgeModule   = "br_netfilter"
	bridgeSettings = "/proc/sys/net/bridge/"
)

// BridgeSettings are those of br_netfilter that hold for all bridges, by name. The error is ErrNoBridgeFilter when it
// is not loaded.
func BridgeSettings() (map[string]string, error) {
	out := map[string]string{}
	for _, name := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		text, err := os.ReadFile(bridgeSettings + name)
		if errors.Is(err, os.ErrNotExist) {
			return nil, ErrNoBridgeFilter
		}
		if err != nil {
			return nil, fmt.Errorf("read a setting of bridges: %w", err)
		}
		out[name] = strings.TrimSpace(string(text))
	}
	return out, nil
}

// loadTime is how long loading a module may take.
const loadTime = 10 * time.Second

// LoadBridgeFilter has the kernel load br_netfilter, if it has not. The error is ErrNoBridgeFilter, with why that did not
// help.
func LoadBridgeFilter(ctx context.Context) error {
	if _, err := BridgeSettings(); !errors.Is(err, ErrNoBridgeFilter) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "modprobe", bridgeModule).CombinedOutput()
	why := strings.Join(strings.Fields(string(out)), " ")
	switch {
	case err == nil:
		if _, err = BridgeSettings(); err == nil {
			return nil
		}
		why = "modprobe says that it is"
	case why == "":
		why = err.Error()
	}
	if err := confined(); err != nil {
		why += "; " + err.Error()
	}
	return fmt.Errorf("%w (the agent has tried: %s)", ErrNoBridgeFilter, why)
}

// confined says why nothing that this process does loads modules.
func confined() error {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || strings.Join(strings.Fields(string(text)), " ") == "0 0 4294967295" {
		return nil
	}
	return errors.New("from inside a user namespace no module can be loaded: load it outside")
}
