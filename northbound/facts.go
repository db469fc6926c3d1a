package northbound

import (
	"context"

	"neutrino/driver/ovn"
)

// Entry is a line of the journal: the resource with that name and id has changed.
type Entry struct {
	Revision int64
	Kind, ID string
}

// Journal is the list of all changes, in the order of their commits.
type Journal interface {
	Head(ctx context.Context) (int64, error)
	Read(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Oldest is the oldest revision that can still be read.
	Oldest(ctx context.Context) (int64, error)
	// Changed is closed at the next change.
	Changed() <-chan struct{}
}

// Facts are what rows follow from, as read from the services; no chassis, which OVN itself knows.
type Facts struct {
	Networks      []*ovn.Network
	Ports         []*ovn.Port
	Groups        []*ovn.Group
	AddressGroups []*ovn.AddressGroup
	Routers       []*ovn.Router
	FloatingIPs   []*ovn.FloatingIP
	Policies      []*ovn.Policy
}

// Source reads facts. What is not there any more is left out of the answer.
type Source interface {
	// All reads everything, with the revision of the journal that it is of.
	All(ctx context.Context) (*Facts, int64, error)
	// Some reads facts by kind and id.
	Some(ctx context.Context, ids map[ovn.Kind][]string) (*Facts, error)
}

// kinds are those that the journal names.
var kinds = []ovn.Kind{
	ovn.KindNetwork, ovn.KindPort, ovn.KindGroup, ovn.KindAddressGroup, ovn.KindRouter, ovn.KindFloatingIP, ovn.KindPolicy,
}

// put gives facts to a model, and takes away what was asked for and is not there.
func (f *Facts) put(m *ovn.Model, asked map[ovn.Kind][]string) {
	found := map[ovn.Kind]map[string]bool{}
	for _, k := range kinds {
		found[k] = map[string]bool{}
	}
	take(m, found[ovn.KindNetwork], f.Networks, func(x *ovn.Network) string { return x.ID })
	take(m, found[ovn.KindPort], f.Ports, func(x *ovn.Port) string { return x.ID })
	take(m, found[ovn.KindGroup], f.Groups, func(x *ovn.Group) string { return x.ID })
	take(m, found[ovn.KindAddressGroup], f.AddressGroups, func(x *ovn.AddressGroup) string { return x.ID })
	take(m, found[ovn.KindRouter], f.Routers, func(x *ovn.Router) string { return x.ID })
	take(m, found[ovn.KindFloatingIP], f.FloatingIPs, func(x *ovn.FloatingIP) string { return x.ID })
	take(m, found[ovn.KindPolicy], f.Policies, func(x *ovn.Policy) string { return x.ID })
	for kind, ids := range asked {
		for _, id := range ids {
			if !found[kind][id] {
				m.Delete(kind, id)
			}
		}
	}
}

func take[T any](m *ovn.Model, found map[string]bool, list []*T, id func(*T) string) {
	for _, x := range list {
		m.Put(x)
		found[id(x)] = true
	}
}
