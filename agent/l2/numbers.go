package l2

import (
	"fmt"
	"hash/fnv"
)

// numbers gives conjunctions their ids: a hash of what they are for, so that a restarted agent comes
// to the same flows; the next free one when two share a hash.
type numbers struct {
	byName map[string]uint32
	byID   map[uint32]string
}

func newNumbers() *numbers {
	return &numbers{byName: map[string]uint32{}, byID: map[uint32]string{}}
}

// Conjunction implements firewall.Numbers.
func (n *numbers) Conjunction(group string, ingress, ipv6 bool) uint32 {
	name := fmt.Sprintf("%s/%t/%t", group, ingress, ipv6)
	if id := n.byName[name]; id != 0 {
		return id
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	id := max(h.Sum32(), 1)
	for n.byID[id] != "" {
		id = max(id+1, 1)
	}
	n.byName[name], n.byID[id] = id, name
	return id
}
