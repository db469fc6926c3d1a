package l2

import (
	"context"
	"fmt"
	"slices"

	"neutrino/agent/stray"
	"neutrino/dataplane/openflow"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// markKey is the external id of bridges and of ports between them that we made. Those of ports of instances are
// others' doing.
const markKey = "neutrino"

var marked = map[string]string{markKey: stray.Mark}

// joints are the ports between bridges that there should be, by bridge.
func (m *Manager) joints(state *desired.State) map[string]map[string]bool {
	out := map[string]map[string]bool{brInt: {}}
	for _, bridge := range m.options.Mappings {
		out[brInt][peerName("int-", bridge)] = true
		out[bridge] = map[string]bool{peerName("phy-", bridge): true}
	}
	if m.options.TunnelIP.IsValid() {
		out[brInt][patchTun] = true
		out[brTun] = map[string]bool{patchInt: true}
		for _, port := range m.tunnels(state) {
			out[brTun][port] = true
		}
	}
	return out
}

// lacksJoint says whether a port between bridges, or a bridge of a physical network, is not as prepare left it.
func (m *Manager) lacksJoint(ctx context.Context) (bool, error) {
	bridges, err := m.switchd.Bridges(ctx)
	if err != nil {
		return false, err
	}
	for bridge, missing := range m.missing {
		if _, there := bridges[bridge]; there == missing {
			return true, nil
		}
	}
	for bridge := range m.broken {
		ports, err := m.switchd.Ports(ctx, bridge)
		if err != nil || slices.ContainsFunc(ports, func(p ovsdb.Port) bool { return p.Name == bridge && p.OFPort > 0 && p.Error == "" }) {
			return err == nil, err
		}
	}
	onInt, err := m.names(ctx, brInt)
	if err != nil {
		return false, err
	}
	for name := range m.bridges {
		if name == brInt {
			continue
		}
		inside, outside := peerName("int-", name), peerName("phy-", name)
		if name == brTun {
			inside, outside = patchTun, patchInt
		}
		there, err := m.names(ctx, name)
		if err != nil || !onInt[inside] || !there[outside] {
			return err == nil, err
		}
	}
	return false, nil
}

// names are the names of a bridge's ports.
func (m *Manager) names(ctx context.Context, bridge string) (map[string]bool, error) {
	ports, err := m.switchd.Ports(ctx, bridge)
	out := make(map[string]bool, len(ports))
	for _, p := range ports {
		out[p.Name] = true
	}
	return out, err
}

// FindStrays implements inspect.Tidier: ports between bridges that bear our mark and lead nowhere any more, and flows
// of ours on bridges that are not ours to fill.
func (m *Manager) FindStrays(ctx context.Context, state *desired.State) ([]stray.Thing, error) {
	bridges, err := m.switchd.Bridges(ctx)
	if err != nil {
		return nil, err
	}
	joints := m.joints(m.here(state))
	var out []stray.Thing
	for name := range bridges {
		ports, err := m.switchd.Ports(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, p := range ports {
			if p.ExternalIDs[markKey] == stray.Mark && p.Name != name && !joints[name][p.Name] {
				out = append(out, stray.Thing{Kind: stray.Port, Name: p.Name, On: name, Why: "it joins bridges that neither the mappings nor a tunnel of this host need"})
			}
		}
		if joints[name] != nil {
			continue // its flows are kept by its plan
		}
		ours, err := m.flowsOf(ctx, name)
		if err != nil {
			m.log.Debug("the flows of a bridge that is not ours can't be read", "bridge", name, "error", err)
		}
		if ours > 0 {
			out = append(out, stray.Thing{Kind: stray.Flows, Name: name, On: name, Why: fmt.Sprintf("%d flows of ours are on a bridge that is not in the mappings", ours)})
		}
	}
	return out, nil
}

// flowsOf counts our flows on a bridge.
func (m *Manager) flowsOf(ctx context.Context, bridge string) (ours int, err error) {
	conn, err := openflow.Dial(ctx, "unix", m.options.RunDir+"/"+bridge+".mgmt")
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	entries, err := conn.Dump(ctx)
	for _, e := range entries {
		if e.Ours() {
			ours++
		}
	}
	return ours, err
}

// removeStrays removes strays whose time is over. One that can't be removed costs only itself.
func (m *Manager) removeStrays(ctx context.Context, state *desired.State) error {
	found, err := m.FindStrays(ctx, state)
	if err != nil {
		return err
	}
	for _, t := range m.options.Strays.Found(m.Name(), found) {
		switch t.Kind {
		case stray.Port:
			err = m.switchd.DeletePort(ctx, t.On, t.Name)
		case stray.Flows: // a bridge with a plan of nothing keeps none of our flows
			b := openflow.NewBridge("unix", m.options.RunDir+"/"+t.On+".mgmt")
			_, err = b.Flush(ctx)
			b.Close()
		}
		m.options.Strays.Removed(m.Name(), t, err)
		if err != nil {
			m.log.Error("stray is not removed", "kind", t.Kind, "name", t.Name, "on", t.On, "error", err)
			continue
		}
		m.log.Info("stray removed", "kind", t.Kind, "name", t.Name, "on", t.On, "why", t.Why)
	}
	return nil
}
