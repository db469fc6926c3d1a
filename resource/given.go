package resource

// Given says which attributes a client sent, and for maps and lists of maps which keys in them have a
// value; the keys are nil only for null.
type Given map[string][]string

// Has says whether the client sent the attribute.
func (g Given) Has(name string) bool {
	_, ok := g[name]
	return ok
}

// Any says whether the client sent one of the attributes.
func (g Given) Any(names ...string) bool {
	for _, name := range names {
		if g.Has(name) {
			return true
		}
	}
	return false
}

// keysOf lists the distinct keys of a map or of a list of maps whose values are not null, in order of
// appearance: clients that read an object and send it back say null for what they were shown as null.
func keysOf(v any) []string {
	if v == nil {
		return nil
	}
	keys, seen := []string{}, map[string]bool{}
	add := func(m map[string]any) {
		for key, value := range m {
			if value == nil || seen[key] {
				continue
			}
			seen[key] = true
			keys = append(keys, key)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		add(v)
	case []any:
		for _, item := range v {
			if m, ok := item.(map[string]any); ok {
				add(m)
			}
		}
	}
	return keys
}

// Note records that the client sent the attribute with the value.
func (g Given) Note(name string, value any) { g[name] = keysOf(value) }
