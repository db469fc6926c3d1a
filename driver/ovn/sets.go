package ovn

import (
	"maps"
	"slices"
)

// sets are sets of ids by another id.
type sets map[string]map[string]bool

func (s sets) add(key, id string) { addTo(s, key, id) }

func (s sets) drop(key, id string) { dropFrom(s, key, id) }

func addTo[K, V comparable](s map[K]map[V]bool, key K, v V) {
	if s[key] == nil {
		s[key] = map[V]bool{}
	}
	s[key][v] = true
}

func dropFrom[K, V comparable](s map[K]map[V]bool, key K, v V) {
	delete(s[key], v)
	if len(s[key]) == 0 {
		delete(s, key)
	}
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
