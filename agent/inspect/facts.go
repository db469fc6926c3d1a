package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"neutrino/agent/hybrid"
	"neutrino/agent/stray"
	"neutrino/dataplane/link"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/openflow"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// Facts are what was found on the machine.
type Facts struct {
	Bridges map[string]Bridge `json:"bridges"`
	Devices map[string]Device `json:"devices"`    // of the host's own namespace
	Spaces  map[string]Space  `json:"namespaces"` // of routers and DHCP, whoever made them
	Trouble []string          `json:"trouble,omitempty"`

	Firewall *hybrid.Found `json:"firewall,omitempty"` // on a host whose firewall is before br-int

	database error // why the switch's database could not be read
}

// Bridge is a bridge of Open vSwitch.
type Bridge struct {
	ovsdb.Bridge
	Ports []ovsdb.Port `json:"ports"` // also each interface of a bond
	Flows int          `json:"flows"` // how many there are
	Ours  int          `json:"our_flows"`

	cookies map[uint64]bool
	failed  error // why the bridge did not answer
}

// Device is a device of the kernel with its addresses.
type Device struct {
	link.Device
	Addresses []netip.Prefix `json:"addresses"`
}

// Space is a namespace.
type Space struct {
	Ours    bool              `json:"ours"` // by its mark
	Devices map[string]Device `json:"devices"`
}

// Look reads the machine. What can't be read is said in Trouble. The state says which rules of the hybrid firewall
// there should be: nft alone knows how it would list them.
func Look(ctx context.Context, l Layout, state *desired.State) *Facts {
	f := &Facts{Bridges: map[string]Bridge{}, Devices: map[string]Device{}, Spaces: map[string]Space{}}
	f.note(f.lookSwitch(ctx, l))
	space, err := link.In("")
	if err == nil {
		f.Devices, err = devices(space)
		space.Close()
	}
	f.note(err)
	names, err := netns.List("q")
	f.note(err)
	for _, name := range names {
		if !strings.HasPrefix(name, "qrouter-") && !strings.HasPrefix(name, "qdhcp-") {
			continue
		}
		s, err := lookInside(name)
		f.note(err)
		if err == nil {
			f.Spaces[name] = s
		}
	}
	f.note(f.lookHybrid(ctx, l, state))
	return f
}

func (f *Facts) note(err error) {
	if err != nil {
		f.Trouble = append(f.Trouble, err.Error())
	}
}

func (f *Facts) lookSwitch(ctx context.Context, l Layout) error {
	db := ovsdb.New("unix:" + l.RunDir + "/db.sock")
	defer db.Close()
	bridges, err := db.Bridges(ctx)
	if err != nil {
		f.database = err
		return fmt.Errorf("read Open vSwitch's database: %w", err)
	}
	for name, b := range bridges {
		found := Bridge{Bridge: b, cookies: map[uint64]bool{}}
		if found.Ports, err = db.Interfaces(ctx, name); err != nil {
			return err
		}
		var entries []openflow.Entry
		conn, err := openflow.Dial(ctx, "unix", l.RunDir+"/"+name+".mgmt")
		if err == nil {
			entries, err = conn.Dump(ctx)
			_ = conn.Close()
		}
		found.failed = err
		for _, e := range entries {
			found.cookies[e.Cookie] = true
			found.Flows++
			if e.Ours() {
				found.Ours++
			}
		}
		if err != nil {
			f.note(fmt.Errorf("read the flows of %s: %w", name, err))
		}
		f.Bridges[name] = found
	}
	return nil
}

func lookInside(name string) (Space, error) {
	mark, err := netns.Mark(name)
	if err != nil {
		return Space{}, err
	}
	space, err := link.In(name)
	if err != nil {
		return Space{}, err
	}
	defer space.Close()
	s := Space{Ours: mark == stray.Mark}
	s.Devices, err = devices(space)
	return s, err
}

func devices(space *link.Space) (map[string]Device, error) {
	list, err := space.Devices()
	if err != nil {
		return nil, err
	}
	out := map[string]Device{}
	for _, d := range list {
		addresses, failed := space.Addresses(d.Name)
		err = errors.Join(err, failed)
		out[d.Name] = Device{d, addresses}
	}
	return out, err
}

// port finds a port of a bridge.
func (b Bridge) port(name string) (ovsdb.Port, bool) {
	i := slices.IndexFunc(b.Ports, func(p ovsdb.Port) bool { return p.Name == name })
	if i < 0 {
		return ovsdb.Port{}, false
	}
	return b.Ports[i], true
}

// has says whether the switch has a flow exactly so.
func (b Bridge) has(f openflow.Flow) bool { return b.cookies[f.Cookie()] }

// patches finds the patch port of a that leads to b, and its peer there; found says how many of the two are there.
func (f *Facts) patches(a, b string) (here, there ovsdb.Port, found bool) {
	for _, p := range f.Bridges[a].Ports {
		if p.Type != "patch" {
			continue
		}
		if q, ok := f.Bridges[b].port(p.Options["peer"]); ok && q.Type == "patch" && q.Options["peer"] == p.Name {
			return p, q, true
		}
	}
	return ovsdb.Port{}, ovsdb.Port{}, false
}

// vlan is the local VLAN that ports of a network have on br-int; 0: none has one.
func (f *Facts) vlan(network string) int {
	for _, p := range f.Bridges["br-int"].Ports {
		if p.OtherConfig["net_uuid"] == network && p.Tag > 0 {
			return p.Tag
		}
	}
	return 0
}

// plugged finds the interface of a port on br-int.
func (f *Facts) plugged(id string) (ovsdb.Port, bool) {
	for _, p := range f.Bridges["br-int"].Ports {
		if p.ExternalIDs["iface-id"] == id {
			return p, true
		}
	}
	return ovsdb.Port{}, false
}

// port is short for what the switch's database says of an interface.
type port = ovsdb.Port
