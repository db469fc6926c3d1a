// Package link brings network devices to the state that they should have: veth pairs between
// namespaces, addresses, routes and kernel settings. It reads before it writes: what is right is left
// alone, and every write is counted.
package link

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"neutrino/address"
	"neutrino/dataplane/netns"
)

// Space is a network namespace whose devices are looked after. It is not safe for concurrent use.
type Space struct {
	// Writes counts the changes made through this Space.
	Writes int

	name string // "" is this process's own
	h    *netlink.Handle
}

// In opens a namespace by its name; "" is this process's own. Close it after use.
func In(name string) (*Space, error) {
	if name == "" {
		h, err := netlink.NewHandle()
		if err != nil {
			return nil, fmt.Errorf("open netlink: %w", err)
		}
		return &Space{h: h}, nil
	}
	s := &Space{name: name}
	err := netns.Do(name, func() (err error) { // sockets stay in the namespace that they were made in
		s.h, err = netlink.NewHandle()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink in %s: %w", name, err)
	}
	return s, nil
}

// Close lets go of the namespace.
func (s *Space) Close() { s.h.Close() }

// Name is the namespace's name.
func (s *Space) Name() string { return s.name }

// Device is a device as it was found.
type Device struct {
	Name   string
	Index  int
	Peer   int // index of a veth's other end, in that end's namespace
	Master int // index of the bridge that it is in; 0: in none
	Kind   string
	MAC    address.MAC
	MTU    int // bytes
	Up     bool
	Down   bool // the kernel knows that nothing is at the other end
}

// Find looks for a device by name.
func (s *Space) Find(name string) (d Device, found bool, err error) {
	l, err := s.h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return Device{}, false, nil
	}
	if err != nil {
		return Device{}, false, fmt.Errorf("look for device %s: %w", name, err)
	}
	return deviceOf(l), true, nil
}

// Devices lists all devices.
func (s *Space) Devices() ([]Device, error) {
	links, err := listed(s.h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the devices of %q: %w", s.name, err)
	}
	var out []Device
	for _, l := range links {
		out = append(out, deviceOf(l))
	}
	return out, nil
}

func deviceOf(l netlink.Link) Device {
	a := l.Attrs()
	d := Device{Name: a.Name, Index: a.Index, Peer: a.ParentIndex, Master: a.MasterIndex, Kind: l.Type(), MTU: a.MTU, Up: a.Flags&net.FlagUp != 0, Down: a.OperState == netlink.OperDown || a.OperState == netlink.OperLowerLayerDown}
	if len(a.HardwareAddr) == len(d.MAC) {
		d.MAC = address.MAC(a.HardwareAddr)
	}
	return d
}

// CreateVeth makes a pair of devices: outer here, inner in another namespace. Both are down.
func (s *Space) CreateVeth(outer string, inside *Space, inner string, mac address.MAC, mtu int) error {
	ns, err := netns.Open(inside.name)
	if err != nil {
		return err
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = outer, mtu
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: inner, PeerHardwareAddr: mac[:], PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(ns.Fd()),
	}
	if err := s.h.LinkAdd(veth); err != nil {
		return fmt.Errorf("make veth pair %s, %s in %s: %w", outer, inner, inside.name, err)
	}
	s.Writes++
	return nil
}

// Set gives a device its Ethernet address (zero: any), MTU (0: any) and sets it up.
func (s *Space) Set(name string, mac address.MAC, mtu int) error {
	l, err := s.h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("device %s: %w", name, err)
	}
	have := deviceOf(l)
	if !mac.IsZero() && have.MAC != mac {
		if have.Up { // down, so that the link-local address follows the new one
			if err := s.write(s.h.LinkSetDown(l), "set %s down", name); err != nil {
				return err
			}
			have.Up = false
		}
		if err := s.write(s.h.LinkSetHardwareAddr(l, mac[:]), "give %s address %s", name, mac); err != nil {
			return err
		}
	}
	if mtu != 0 && have.MTU != mtu {
		if err := s.write(s.h.LinkSetMTU(l, mtu), "give %s MTU %d", name, mtu); err != nil {
			return err
		}
	}
	if !have.Up {
		return s.write(s.h.LinkSetUp(l), "set %s up", name)
	}
	return nil
}

// SetAlias gives a device another name, for people and programs to know it by; the kernel does nothing with it.
func (s *Space) SetAlias(name, alias string) error {
	l, err := s.h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("device %s: %w", name, err)
	}
	if l.Attrs().Alias == alias {
		return nil
	}
	return s.write(s.h.LinkSetAlias(l, alias), "give %s the alias %q", name, alias)
}

// Delete removes a device. One that is not there is no error.
func (s *Space) Delete(name string) error {
	l, err := s.h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("device %s: %w", name, err)
	}
	if err := s.h.LinkDel(l); !errors.Is(err, unix.ENODEV) { // its own switch may have removed it meanwhile
		return s.write(err, "delete %s", name)
	}
	return nil
}

// FlushNeighbours forgets what the kernel has learnt of a device's neighbours.
func (s *Space) FlushNeighbours(name string) error {
	l, err := s.h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("device %s: %w", name, err)
	}
	list, err := listed(func() ([]netlink.Neigh, error) { return s.h.NeighList(l.Attrs().Index, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list the neighbours on %s: %w", name, err)
	}
	for _, n := range list {
		if n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0 {
			continue
		}
		if err := s.write(s.h.NeighDel(&n), "forget neighbour %s on %s", n.IP, name); err != nil {
			return err
		}
	}
	return nil
}

// write counts a write that was done and wraps the error of one that failed.
func (s *Space) write(err error, format string, args ...any) error {
	if err != nil {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	s.Writes++
	return nil
}
