package l2

// A port has up to four meters on br-int. Their ids follow from its OpenFlow port, so that a new agent finds them.
const metersPerPort = 4

// metered is how many ports can have meters, but for one: ids have 16 bits on the user-space datapath, and none is 0.
const metered = (1 << 16) / metersPerPort

// meters are the numbers by which OpenFlow ports have meters: a port's own, as far as that goes. Open vSwitch counts on to
// 32,767 before it gives a port's number again; what is beyond begins again from below, and goes on to the next number
// that is free.
type meters struct {
	byPort map[uint32]uint32 // OpenFlow port → number
	taken  map[uint32]bool
}

func newMeters() *meters { return &meters{byPort: map[uint32]uint32{}, taken: map[uint32]bool{}} }

// first is the id of a port's first meter; 0, which no meter has, when too many ports have some.
func (m *meters) first(ofport uint32) uint32 {
	number, has := m.byPort[ofport]
	for i := uint32(0); !has && i < metered; i++ {
		if number = (ofport + i) % metered; number != 0 && !m.taken[number] {
			m.byPort[ofport], m.taken[number], has = number, true, true
		}
	}
	if !has {
		return 0
	}
	return metersPerPort * number
}

// keep forgets the numbers of OpenFlow ports that are not there any more.
func (m *meters) keep(there map[uint32]bool) {
	for ofport, number := range m.byPort {
		if !there[ofport] {
			delete(m.byPort, ofport)
			delete(m.taken, number)
		}
	}
}
