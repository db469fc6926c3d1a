package hub

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"neutrino/desired"
)

// host is what the hub remembers of a host, connected or not.
type host struct {
	stream   *subscription            // the newest stream; nil: not connected
	left     time.Time                // when the last one was lost
	closed   bool                     // the host closed it: its machine lived
	gone     bool                     // its machine is shutting down
	number   uint64                   // of the newest stream
	heard    time.Time                // when the host said something last
	beat     time.Duration            // how often it says that it lives; 0: it does not
	recent   []sent                   // what was touched when, for hosts that come back
	since    int64                    // recent is complete after this revision
	complete map[string]bool          // layers of which the host has told all it knows, on this stream
	reports  map[claim]desired.Report // the newest by thing and layer
}

// sent is a key that was touched at a revision.
type sent struct {
	revision int64
	key      desired.Key
	request  string
}

// subscription is one stream to a host. It holds keys only: items are looked up when they are sent, so
// that a slow host costs no more than the number of things that it should know.
type subscription struct {
	host     string
	epoch    string
	dirty    map[desired.Key]string // not sent yet, with the API request that made the change
	snapshot bool                   // the host must get everything
	wake     chan struct{}          // there is something to send
	ended    chan struct{}          // closed: another stream has taken over, or the hub has ended
}

// maxRecent is how much the hub remembers for a host that comes back.
const maxRecent = 4096

// mark notes for hosts what they must look at, and whose doing it is. Hosts that never came are not remembered.
func (h *Hub) mark(t touched, made requests) {
	for name, keys := range t {
		x := h.hosts[name]
		if x == nil {
			continue
		}
		for key := range keys {
			x.recent = append(x.recent, sent{h.revision, key, made.of(key)})
		}
		if over := len(x.recent) - maxRecent; over > 0 {
			x.since = x.recent[over-1].revision
			x.recent = slices.Clone(x.recent[over:])
		}
		if x.stream == nil {
			continue
		}
		for key := range keys {
			x.stream.note(key, made.of(key))
		}
		select {
		case x.stream.wake <- struct{}{}:
		default:
		}
	}
}

// subscribe begins a stream for a host; an older one ends. When the hub still knows what was touched
// since the revision that the host has, the host gets that only, and a snapshot otherwise. It is nil
// while the hub knows nothing itself.
func (h *Hub) subscribe(name, epoch string, revision int64) *subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.loaded {
		return nil
	}
	x := h.hosts[name]
	if x == nil {
		x = &host{since: h.revision, reports: map[claim]desired.Report{}}
		h.hosts[name] = x
	}
	if x.stream != nil {
		close(x.stream.ended)
	}
	s := &subscription{
		host: name, epoch: h.epoch, dirty: map[desired.Key]string{}, snapshot: true, wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	x.stream, x.complete, x.closed, x.gone = s, map[string]bool{}, false, false
	h.streams++
	x.number, x.beat = h.streams, 0
	x.hear()
	if epoch == h.epoch && revision >= x.since && revision <= h.revision {
		s.snapshot = false
		for _, r := range x.recent {
			if r.revision > revision {
				s.note(r.key, r.request)
			}
		}
	}
	return s
}

// unsubscribe ends a stream that was lost.
func (h *Hub) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.hosts[s.host]; x != nil && x.stream == s {
		x.stream = nil
		x.leave()
		close(s.ended)
		h.hostLeft(s.host)
	}
}

// endStreams ends all streams and begins a new epoch: no host goes on from what it was told before.
func (h *Hub) endStreams() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.hosts {
		if x.stream != nil {
			close(x.stream.ended)
			x.stream = nil
		}
	}
	h.hosts = map[string]*host{}
	h.epoch = uuid.NewString()
	h.loaded = false
}

// all lists the keys of a snapshot. What changes from now on is dirty.
func (h *Hub) all(s *subscription) []desired.Key {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.snapshot, s.dirty = false, map[desired.Key]string{}
	return h.index.keys(s.host)
}

// some looks up items of a snapshot; what is gone meanwhile is dirty and left out.
func (h *Hub) some(s *subscription, keys []desired.Key) []desired.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	messages := make([]desired.Message, 0, len(keys))
	for _, key := range keys {
		if item := h.index.view(s.host, key); item != nil {
			messages = append(messages, desired.Message{Type: desired.Put, Item: item})
		}
	}
	return messages
}

// note has a key sent. A change that no request made does not hide one that waits to be sent.
func (s *subscription) note(key desired.Key, request string) {
	if request == "" {
		request = s.dirty[key]
	}
	s.dirty[key] = request
}

// next takes what is dirty, with the revision that the host is at when it has it.
func (h *Hub) next(s *subscription) (messages []desired.Message, revision int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, request := range s.dirty {
		if item := h.index.view(s.host, key); item != nil {
			messages = append(messages, desired.Message{Type: desired.Put, Item: item, Request: request})
		} else {
			messages = append(messages, desired.Message{Type: desired.Delete, Key: &key, Request: request})
		}
	}
	clear(s.dirty)
	return messages, h.revision
}
