package l2

import (
	"context"
	"fmt"
	"slices"
	"time"

	"neutrino/dataplane/openflow"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// bridgeTimeout is how long the switch may take to make our bridges.
const bridgeTimeout = 5 * time.Second

// prepare makes the bridges and the ports between them.
func (m *Manager) prepare(ctx context.Context, state *desired.State) error {
	secure := func(name string) ovsdb.Bridge {
		return ovsdb.Bridge{Name: name, DatapathType: m.options.Datapath, FailMode: "secure",
			OtherConfig: map[string]string{"disable-in-band": "true"}, ExternalIDs: marked}
	}
	if err := m.switchd.EnsureBridge(ctx, secure(brInt)); err != nil {
		return err
	}
	m.keep(brInt)
	if m.options.TunnelIP.IsValid() {
		if err := m.switchd.EnsureBridge(ctx, secure(brTun)); err != nil {
			return err
		}
		m.keep(brTun)
		if err := m.patch(ctx, brInt, patchTun, brTun, patchInt); err != nil {
			return err
		}
		for kind, port := range m.tunnels(state) {
			if err := m.switchd.EnsurePort(ctx, brTun, m.tunnelSettings(kind, port)); err != nil {
				return err
			}
		}
	}
	bridges, err := m.switchd.Bridges(ctx)
	if err != nil {
		return err
	}
	for physical, bridge := range m.options.Mappings {
		_, there := bridges[bridge]
		if m.missing[bridge] = !there; !there {
			m.log.Error("the bridge of a physical network is not there: make it, with the network's interface in it", "bridge", bridge, "physical_network", physical)
			m.forget(bridge)
			continue
		}
		if err := m.patch(ctx, brInt, peerName("int-", bridge), bridge, peerName("phy-", bridge)); err != nil {
			return err
		}
		m.keep(bridge)
	}
	clear(m.broken)
	order := m.order()
	slices.Reverse(order) // ours first: of a switch that does not run nothing is known
	for _, name := range order {
		err := m.connect(ctx, name)
		if err == nil {
			continue
		}
		err = fmt.Errorf("bridge %s is not ready: %w", name, err)
		if name == brInt || name == brTun || ctx.Err() != nil {
			return err
		}
		m.log.Error("the bridge of a physical network does not work", "bridge", name, "error", err)
		m.forget(name)
		m.broken[name] = err
	}
	m.ready = true
	return nil
}

// connect tries until the bridge takes flows: it does so from when its own port has a number, and a switch that starts a
// moment later.
func (m *Manager) connect(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, bridgeTimeout)
	defer cancel()
	if _, err := m.switchd.WaitPort(ctx, name, name); err != nil {
		return err
	}
	b := m.bridges[name]
	for {
		err := b.Connect(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// forget lets go of a bridge that is no longer there.
func (m *Manager) forget(bridge string) {
	if b := m.bridges[bridge]; b != nil {
		b.Close()
		delete(m.bridges, bridge)
		delete(m.plans, bridge)
	}
}

func (m *Manager) keep(bridge string) {
	if m.bridges[bridge] == nil {
		m.bridges[bridge] = openflow.NewBridge("unix", m.options.RunDir+"/"+bridge+".mgmt")
		m.plans[bridge] = m.bridges[bridge]
		if bridge == brInt {
			m.bridges[bridge].KeepMeters()
		}
	}
}

// patch joins two bridges.
func (m *Manager) patch(ctx context.Context, a, aPort, b, bPort string) error {
	if err := m.switchd.EnsurePort(ctx, a, ovsdb.Port{Name: aPort, Type: "patch", Options: map[string]string{"peer": bPort}, ExternalIDs: marked}); err != nil {
		return err
	}
	return m.switchd.EnsurePort(ctx, b, ovsdb.Port{Name: bPort, Type: "patch", Options: map[string]string{"peer": aPort}, ExternalIDs: marked})
}
