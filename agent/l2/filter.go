package l2

import (
	"context"
	"fmt"

	"neutrino/agent"
	"neutrino/desired"
)

// Filter keeps ports to port security and their security groups before their packets reach br-int, which then only
// forwards for them.
type Filter interface {
	// Before says whether a port is plugged by a device of that name on br-int so that the filter is before it.
	Before(device string) bool

	// Apply brings the filter to where only what they may passes for these ports, by id, which are all that it is
	// before and that could be wired; nothing passes for others. It is called before their flows are written. refused
	// says what keeps ports from being filtered: they are not wired. An error is that the filter as a whole could not
	// be looked after; then nothing of the host's switch is changed.
	Apply(ctx context.Context, state *desired.State, ports map[string]Filtered, change agent.Change) (refused map[string]error, err error)
}

// Filtered is what a filter is told of a port besides its item.
type Filtered struct {
	Zone   uint16 // of its network in the connection tracker: the local VLAN
	OFPort int    // OpenFlow port of its device: another one when it was plugged anew
}

// filteredBefore says whether the filter is before br-int for a port.
func (m *Manager) filteredBefore(id string) bool {
	return m.options.Filter != nil && m.options.Filter.Before(m.facts.ports[id].Name)
}

// filter has the filter see to the ports that it is before. It gives those for which it now does, or does no more.
func (m *Manager) filter(ctx context.Context, state *desired.State, change agent.Change) (differ []string, err error) {
	if m.options.Filter == nil {
		return nil, nil
	}
	before := m.unfiltered
	m.unfiltered = nil // is no reason against being filtered
	ports := map[string]Filtered{}
	for id, iface := range m.facts.ports {
		p := m.local(state, id)
		if p != nil && m.filteredBefore(id) && m.whyNot(state, p) == "" {
			ports[id] = Filtered{m.vlans[p.NetworkID], iface.OFPort}
		}
	}
	refused, err := m.options.Filter.Apply(ctx, state, ports, change)
	if err != nil {
		m.unfiltered = before
		return nil, fmt.Errorf("filter ports before br-int: %w", err)
	}
	m.unfiltered = refused
	for id := range ports {
		if (before[id] == nil) != (refused[id] == nil) {
			differ = append(differ, id)
		}
	}
	return differ, nil
}

// standAlone lets what another firewall driver left go, once; what can't be removed is tried again at the next check.
func (m *Manager) standAlone(ctx context.Context) {
	if m.options.Alone == nil || m.alone {
		return
	}
	if err := m.options.Alone(ctx); err != nil {
		m.log.Warn("what another firewall driver may have left is not removed", "error", err)
		return
	}
	m.alone = true
}
