package hub

import (
	"strings"

	"neutrino/desired"
)

// requests are the ids of the API requests that made a batch of changes, for logs: the hub's and the hosts'.
type requests struct {
	by   map[Thing]string
	sole string // the only one of the batch; "" when there is none, or several
}

func requestsOf(entries []Entry) requests {
	r := requests{by: map[Thing]string{}}
	several := false
	for _, e := range entries {
		if e.Request == "" {
			continue
		}
		r.by[Thing{desired.Kind(e.Kind), e.ID}] = e.Request
		several = several || r.sole != "" && r.sole != e.Request
		r.sole = e.Request
	}
	if several {
		r.sole = ""
	}
	return r
}

// of is the request because of which an item changes. What follows from another thing's change (a network
// comes to a host with its first port there) is known only when the batch is of one request.
func (r requests) of(key desired.Key) string {
	if id := r.by[Thing{key.Kind, key.ID}]; id != "" {
		return id
	}
	if key.Kind == desired.KindMember {
		if _, port, ok := strings.Cut(key.ID, "/"); ok && r.by[Thing{desired.KindPort, port}] != "" {
			return r.by[Thing{desired.KindPort, port}]
		}
	}
	return r.sole
}

// hosts counts by request the hosts that it concerns.
func (r requests) hosts(t touched) map[string]int {
	out := map[string]int{}
	for _, id := range r.by {
		out[id] = 0
	}
	if len(out) == 0 {
		return nil
	}
	for _, keys := range t {
		here := map[string]bool{}
		for key := range keys {
			if id := r.of(key); id != "" && !here[id] {
				here[id] = true
				out[id]++
			}
		}
	}
	return out
}
