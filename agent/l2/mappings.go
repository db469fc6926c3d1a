package l2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// SetMappings gives the host other bridges of physical networks (physical network → bridge) while it runs. Bridges that
// are no longer named are cut off from br-int and lose our flows; all else on them is left alone.
func (m *Manager) SetMappings(mappings map[string]string) {
	next := maps.Clone(mappings)
	m.next.Store(&next)
	m.switchd.Nudge()
}

// remap takes over what SetMappings has said, if there is anything. The caller prepares the switch then.
func (m *Manager) remap(ctx context.Context) (changed bool, err error) {
	next := m.next.Swap(nil)
	if next == nil || maps.Equal(*next, m.options.Mappings) {
		return false, nil
	}
	kept := slices.Collect(maps.Values(*next))
	for _, bridge := range m.options.Mappings {
		if slices.Contains(kept, bridge) {
			continue
		}
		if err := m.cutOff(ctx, bridge); err != nil {
			m.next.CompareAndSwap(nil, next) // tried again, unless there is something newer
			return false, err
		}
	}
	m.log.Info("other bridge mappings", "before", m.options.Mappings, "now", *next)
	m.options.Mappings = *next
	return true, nil
}

// cutOff undoes what prepare and compute made of a physical network's bridge.
func (m *Manager) cutOff(ctx context.Context, bridge string) error {
	failed := errors.Join(
		m.switchd.DeletePort(ctx, brInt, peerName("int-", bridge)),
		m.switchd.DeletePort(ctx, bridge, peerName("phy-", bridge)))
	if b := m.bridges[bridge]; b != nil && failed == nil {
		for _, key := range b.Keys() {
			b.Set(key, nil)
		}
		_, failed = b.Flush(ctx)
	}
	if failed != nil {
		return fmt.Errorf("cut bridge %s off: %w", bridge, failed)
	}
	m.forget(bridge)
	delete(m.missing, bridge)
	delete(m.broken, bridge)
	return nil
}
