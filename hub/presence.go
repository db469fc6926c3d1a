package hub

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"neutrino/desired"
)

// A host that follows this server says every few seconds that it lives, apart from everything else that it says:
// no database and no manager stands between. So a host that has lost its power is told from one whose agent
// was stopped: of the first nothing comes any more, of the second its kernel has closed the stream.

const (
	// quietBeats is how many beats may be missing before a closed stream no longer means that the machine lives.
	quietBeats = 2
	// quietHeartbeat is the silence of a host whose agent has no beats, until it means something: thrice the time
	// between heartbeats.
	quietHeartbeat = 30 * time.Second

	maxBeat = 4 << 10 // bytes of a beat's body
)

// Presence is what this server sees of a host that follows it, or did so last.
type Presence struct {
	Host   string
	Stream uint64        // the newest stream's number: another one is another dial
	Here   bool          // the stream is open, as far as can be seen
	Left   bool          // the host has closed its stream: its machine lived then
	Gone   bool          // it has said that its machine is shutting down
	Quiet  time.Duration // since it was heard, or has left; a host without beats is quiet only after quietHeartbeat
}

// Presences tells of all hosts that have followed this server, and whether the hub is ready to be followed.
func (h *Hub) Presences() (list []Presence, ready bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, x := range h.hosts {
		p := Presence{Host: name, Stream: x.number, Here: x.stream != nil, Left: x.stream == nil && x.closed, Gone: x.gone}
		since := x.heard
		if p.Left {
			since = x.left
		}
		p.Quiet = time.Since(since)
		if !p.Left && x.beat == 0 {
			p.Quiet = max(0, p.Quiet-quietHeartbeat)
		}
		list = append(list, p)
	}
	return list, h.loaded
}

// Awoke is for a server that has slept itself: what it did not hear meanwhile means nothing.
func (h *Hub) Awoke() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.hosts {
		x.heard, x.left = time.Now(), time.Now()
	}
}

// hear notes that a host lives.
func (x *host) hear() { x.heard = time.Now() }

// leave notes how a stream was lost: by the host's kernel, which closed it, when the host was heard just before.
func (x *host) leave() {
	x.left = time.Now()
	due := x.beat
	if due == 0 {
		due = quietHeartbeat
	}
	x.closed = time.Since(x.heard) < quietBeats*due
}

// serveBeat takes a beat: 204, or 409 when the host's stream is elsewhere.
func (h *Hub) serveBeat(w http.ResponseWriter, r *http.Request) {
	b, err := decodeBeat(http.MaxBytesReader(w, r.Body, maxBeat))
	if err != nil {
		http.Error(w, "malformed beat: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !h.beat(b) {
		http.Error(w, "the host's stream is elsewhere", http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// decodeBeat reads a beat: a host that says when to expect the next one, within a minute.
func decodeBeat(body io.Reader) (b desired.Beat, err error) {
	if err := json.NewDecoder(body).Decode(&b); err != nil {
		return b, err
	}
	if !goodHost(b.Host) {
		return b, errors.New("host is missing or no host's name")
	}
	if !(b.Every > 0 && b.Every <= 60) {
		return b, errors.New("every is not within a minute")
	}
	return b, nil
}

func (h *Hub) beat(b desired.Beat) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.hosts[b.Host]
	if x == nil || x.stream == nil && !b.Leaving || b.Epoch != h.epoch {
		return false
	}
	x.gone = b.Leaving // its stream may have ended already
	x.beat = time.Duration(b.Every * float64(time.Second))
	x.hear()
	return true
}
