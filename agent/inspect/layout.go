// Package inspect compares what a host should look like with what is on the machine, for people: what is wanted, what
// is there, what differs and why; what is broken between a provider network and its cable, and what to type; what
// strays there are. It reads only; what it shows is read anew each time.
package inspect

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"neutrino/agent/dhcp"
)

// Layout is how an agent was told that its host is laid out. It is kept in the state directory, so that tools know it
// while the agent does not run.
type Layout struct {
	Host     string            `json:"host"`
	TunnelIP netip.Addr        `json:"tunnel_ip"` // zero: no tunnels
	Mappings map[string]string `json:"bridge_mappings"`
	RunDir   string            `json:"ovs_rundir"`
	Datapath string            `json:"datapath_type"`
	Roles    []string          `json:"roles"`
	Servers  []string          `json:"servers"`
	CAFile   string            `json:"cafile,omitempty"` // by which https servers are checked; "": the system's
	Firewall string            `json:"firewall_driver"`
	Metadata dhcp.Metadata     `json:"metadata"` // which networks' own namespaces answer for metadata
}

const layoutFile = "layout.json"

// Save keeps the layout in a state directory.
func (l Layout) Save(stateDir string) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(stateDir, layoutFile)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the host's layout: %w", err)
	}
	return os.Rename(path+".new", path)
}

// ReadLayout reads what Save kept; the error is fs.ErrNotExist when no agent has run here.
func ReadLayout(stateDir string) (Layout, error) {
	var l Layout
	text, err := os.ReadFile(filepath.Join(stateDir, layoutFile))
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("read the host's layout: %w", err)
	}
	return l, nil
}
