// Package plug connects a namespace of ours to the integration bridge: a veth pair whose inner end is
// the port's device and whose outer end is on the bridge, with the external ids by which the port is
// recognised there. What is right is adopted; only what differs is written.
package plug

import (
	"context"
	"fmt"
	"strings"

	"neutrino/address"
	"neutrino/dataplane/link"
	"neutrino/dataplane/nft"
	"neutrino/dataplane/ovsdb"
)

// Keys of external_ids. The first two are ours: who plugged the port, and where its inner end is.
const (
	ownerKey     = "neutrino-owner"
	namespaceKey = "neutrino-namespace"
	idKey        = "iface-id"
	macKey       = "attached-mac"
	statusKey    = "iface-status"
)

// Device is the inner end of a port that should be plugged.
type Device struct {
	Prefix    string // qr-, qg- or ns-
	PortID    string
	Namespace string
	MAC       address.MAC
	MTU       int // bytes
}

// Name is the device's name in its namespace.
func (d Device) Name() string { return d.Prefix + short(d.PortID) }

// Outer is the name of the end on the bridge.
func (d Device) Outer() string { return "tap" + short(d.PortID) }

// short is what names of devices take of a port's id: 15 bytes is all a name may have.
func short(portID string) string { return portID[:min(11, len(portID))] }

// Check refuses what can't be, or could be read as something else by a tool.
func (d Device) Check() error {
	switch {
	case len(d.PortID) < 11 || strings.Trim(d.PortID, "0123456789abcdefABCDEF-") != "":
		return fmt.Errorf("%q is not a port's id", d.PortID)
	case d.Namespace == "":
		return fmt.Errorf("port %s has no namespace to be plugged into", d.PortID)
	case d.MAC.IsZero() || d.MAC.IsMulticast():
		return fmt.Errorf("port %s can't have the MAC address %q", d.PortID, d.MAC)
	case d.MTU < 68 || d.MTU > 65535:
		return fmt.Errorf("port %s can't have the MTU %d", d.PortID, d.MTU)
	}
	return nil
}

// Plugger plugs on behalf of an owner. It keeps no state: the bridge and the kernel know.
type Plugger struct {
	switchd *ovsdb.Client
	bridge  string
	owner   string
}

// New makes a plugger for a bridge. The owner ("l3", "dhcp") is written on what it plugs, and it
// touches nothing of other owners.
func New(switchd *ovsdb.Client, bridge, owner string) *Plugger {
	return &Plugger{switchd: switchd, bridge: bridge, owner: owner}
}

// View is the bridge at one moment. It may be read by several at once.
type View struct {
	userspace bool
	ports     map[string]ovsdb.Port // by name
	hidden    map[string]string     // nft tables of family netdev
}

// Look reads the bridge, once for many ports.
func (p *Plugger) Look(ctx context.Context) (*View, error) {
	bridges, err := p.switchd.Bridges(ctx)
	if err != nil {
		return nil, err
	}
	bridge, there := bridges[p.bridge]
	if !there {
		return nil, fmt.Errorf("there is no bridge %s yet", p.bridge)
	}
	ports, err := p.switchd.Ports(ctx, p.bridge)
	if err != nil {
		return nil, err
	}
	v := &View{userspace: bridge.DatapathType == "netdev", ports: map[string]ovsdb.Port{}}
	for _, port := range ports {
		v.ports[port.Name] = port
	}
	if v.userspace {
		if v.hidden, err = nft.Tables(ctx, "", "netdev"); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Plug makes the device, in its namespace, which must be there, and its port on the bridge. It says
// whether the device is new, and so lost all that was set on it.
func (p *Plugger) Plug(ctx context.Context, v *View, d Device) (fresh bool, err error) {
	if err := d.Check(); err != nil {
		return false, err
	}
	have, plugged := v.ports[d.Outer()]
	if plugged && have.ExternalIDs[idKey] != d.PortID {
		return false, fmt.Errorf("%s on %s belongs to port %q", d.Outer(), p.bridge, have.ExternalIDs[idKey])
	}
	host, err := link.In("")
	if err != nil {
		return false, err
	}
	defer host.Close()
	inside, err := link.In(d.Namespace)
	if err != nil {
		return false, err
	}
	defer inside.Close()

	whole, err := paired(host, inside, d)
	if err != nil {
		return false, err
	}
	if !whole {
		if plugged { // the switch holds on to the old device of that name otherwise
			if err := p.switchd.DeletePort(ctx, p.bridge, d.Outer()); err != nil {
				return false, err
			}
		}
		if err := create(host, inside, d); err != nil {
			return false, err
		}
	}
	if err := p.configure(ctx, v, host, inside, d, !whole); err != nil {
		return !whole, err
	}
	ids := map[string]string{
		idKey: d.PortID, macKey: d.MAC.String(), statusKey: "active", ownerKey: p.owner, namespaceKey: d.Namespace,
	}
	if whole && plugged && have.Error != "" { // a new row makes the switch open the device again
		if err := p.switchd.DeletePort(ctx, p.bridge, d.Outer()); err != nil {
			return false, err
		}
	} else if whole && plugged && contains(have.ExternalIDs, ids) {
		return false, nil
	}
	err = p.switchd.EnsurePort(ctx, p.bridge, ovsdb.Port{Name: d.Outer(), ExternalIDs: ids})
	if err == nil && whole && have.Error != "" {
		err = fmt.Errorf("the switch could not use %s and has been asked again: %s", d.Outer(), have.Error)
	}
	return !whole, err
}

// paired says whether both ends are there and belong together.
func paired(host, inside *link.Space, d Device) (bool, error) {
	outer, found, err := host.Find(d.Outer())
	if err != nil || !found {
		return false, err
	}
	inner, found, err := inside.Find(d.Name())
	if err != nil || !found {
		return false, err
	}
	return outer.Kind == "veth" && inner.Kind == "veth" && outer.Peer == inner.Index && inner.Peer == outer.Index, nil
}

// create makes the pair anew.
func create(host, inside *link.Space, d Device) error {
	if err := host.Delete(d.Outer()); err != nil {
		return err
	}
	if err := inside.Delete(d.Name()); err != nil {
		return err
	}
	return host.CreateVeth(d.Outer(), inside, d.Name(), d.MAC, d.MTU)
}

// configure sets what both ends need. With the userspace datapath the switch reads the outer end as
// a packet socket does: the inner end must fill in its checksums, and the host's own stack, which
// would see each frame too and answer it, is kept from it by a rule that comes after such sockets.
func (p *Plugger) configure(ctx context.Context, v *View, host, inside *link.Space, d Device, fresh bool) error {
	if v.userspace {
		if err := inside.ChecksumInSoftware(d.Name()); err != nil {
			return err
		}
		if t := hiding(d.Outer()); fresh || !hides(v.hidden[t.Name], d.Outer()) {
			body := fmt.Sprintf("chain ingress { type filter hook ingress device %q priority 0; policy accept; drop; }", d.Outer())
			if err := nft.Replace(ctx, "", t, body); err != nil {
				return err
			}
		}
	}
	if err := host.Set(d.Outer(), address.MAC{}, d.MTU); err != nil {
		return err
	}
	return inside.Set(d.Name(), d.MAC, d.MTU)
}

// hiding is the nft table that keeps the host's stack from a device.
func hiding(outer string) nft.Table {
	return nft.Table{Family: "netdev", Name: "neutrino_" + strings.ReplaceAll(outer, "-", "_")}
}

// hides says whether a table, as nft prints it, keeps the host's stack from the device.
func hides(listing, outer string) bool {
	return strings.Contains(listing, "hook ingress") && strings.Contains(listing, `"`+outer+`"`) && strings.Contains(listing, "\t\tdrop\n")
}

// Plugged is a port that the owner has plugged.
type Plugged struct {
	PortID    string
	Namespace string
	Outer     string
}

// Plugged lists what the owner has plugged.
func (p *Plugger) Plugged(v *View) []Plugged {
	var out []Plugged
	for name, port := range v.ports {
		if port.ExternalIDs[ownerKey] == p.owner {
			out = append(out, Plugged{PortID: port.ExternalIDs[idKey], Namespace: port.ExternalIDs[namespaceKey], Outer: name})
		}
	}
	return out
}

// Unplug removes a port from the bridge, and its device. What is not there is no error.
func (p *Plugger) Unplug(ctx context.Context, v *View, gone Plugged) error {
	if err := p.switchd.DeletePort(ctx, p.bridge, gone.Outer); err != nil {
		return err
	}
	host, err := link.In("")
	if err != nil {
		return err
	}
	defer host.Close()
	if err := host.Delete(gone.Outer); err != nil {
		return err
	}
	if !v.userspace {
		return nil
	}
	return nft.Delete(ctx, "", hiding(gone.Outer))
}

func contains(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}
