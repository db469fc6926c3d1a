package desired

// State is a host's items, indexed. It is not safe for concurrent use: everyone who needs one keeps
// their own (items are shared pointers, so that costs little).
type State struct {
	Hosts          map[string]*Host
	Networks       map[string]*Network
	Ports          map[string]*Port
	SecurityGroups map[string]*SecurityGroup
	Routers        map[string]*Router

	PortsOf   map[string]map[string]*Port   // network id → port id → port
	MembersOf map[string]map[string]*Member // security group id → port id → member
}

// NewState gives an empty state.
func NewState() *State {
	return &State{
		Hosts:          map[string]*Host{},
		Networks:       map[string]*Network{},
		Ports:          map[string]*Port{},
		SecurityGroups: map[string]*SecurityGroup{},
		Routers:        map[string]*Router{},
		PortsOf:        map[string]map[string]*Port{},
		MembersOf:      map[string]map[string]*Member{},
	}
}

// Put adds an item or replaces the one with the same key.
func (s *State) Put(item Item) {
	s.Delete(item.Key())
	switch it := item.(type) {
	case *Host:
		s.Hosts[it.Name] = it
	case *Network:
		s.Networks[it.ID] = it
	case *Port:
		s.Ports[it.ID] = it
		put(s.PortsOf, it.NetworkID, it.ID, it)
	case *SecurityGroup:
		s.SecurityGroups[it.ID] = it
	case *Member:
		put(s.MembersOf, it.GroupID, it.PortID, it)
	case *Router:
		s.Routers[it.ID] = it
	}
}

// Delete removes the item with that key, if there is one.
func (s *State) Delete(key Key) {
	switch key.Kind {
	case KindHost:
		delete(s.Hosts, key.ID)
	case KindNetwork:
		delete(s.Networks, key.ID)
	case KindPort:
		if p := s.Ports[key.ID]; p != nil {
			remove(s.PortsOf, p.NetworkID, p.ID)
			delete(s.Ports, key.ID)
		}
	case KindSecurityGroup:
		delete(s.SecurityGroups, key.ID)
	case KindMember:
		if group, port, ok := splitMember(key.ID); ok {
			remove(s.MembersOf, group, port)
		}
	case KindRouter:
		delete(s.Routers, key.ID)
	}
}

// Get finds an item; nil when there is none.
func (s *State) Get(key Key) Item {
	switch key.Kind {
	case KindHost:
		return orNil(s.Hosts[key.ID])
	case KindNetwork:
		return orNil(s.Networks[key.ID])
	case KindPort:
		return orNil(s.Ports[key.ID])
	case KindSecurityGroup:
		return orNil(s.SecurityGroups[key.ID])
	case KindMember:
		if group, port, ok := splitMember(key.ID); ok {
			return orNil(s.MembersOf[group][port])
		}
	case KindRouter:
		return orNil(s.Routers[key.ID])
	}
	return nil
}

// Keys lists the keys of all items, in no order.
func (s *State) Keys() []Key {
	var keys []Key
	for id := range s.Hosts {
		keys = append(keys, Key{KindHost, id})
	}
	for id := range s.Networks {
		keys = append(keys, Key{KindNetwork, id})
	}
	for id := range s.Ports {
		keys = append(keys, Key{KindPort, id})
	}
	for id := range s.SecurityGroups {
		keys = append(keys, Key{KindSecurityGroup, id})
	}
	for group, members := range s.MembersOf {
		for port := range members {
			keys = append(keys, MemberKey(group, port))
		}
	}
	for id := range s.Routers {
		keys = append(keys, Key{KindRouter, id})
	}
	return keys
}

// orNil turns a nil pointer into a nil Item.
func orNil[T any, P interface {
	*T
	Item
}](p P) Item {
	if p == nil {
		return nil
	}
	return p
}

func put[T any](index map[string]map[string]T, outer, inner string, v T) {
	m := index[outer]
	if m == nil {
		m = map[string]T{}
		index[outer] = m
	}
	m[inner] = v
}

func remove[T any](index map[string]map[string]T, outer, inner string) {
	if m := index[outer]; m != nil {
		delete(m, inner)
		if len(m) == 0 {
			delete(index, outer)
		}
	}
}

func splitMember(id string) (group, port string, ok bool) {
	for i := range len(id) {
		if id[i] == '/' {
			return id[:i], id[i+1:], true
		}
	}
	return "", "", false
}
