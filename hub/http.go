package hub

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"neutrino/desired"
)

const (
	pingEvery     = 10 * time.Second // a host that hears nothing for thrice this long dials again
	writeTimeout  = 30 * time.Second
	maxReports    = 32 << 20 // bytes of one POST
	snapshotChunk = 1000     // items of a snapshot that are held for a host at once
)

// Handler serves hosts: GET /agent/v1/stream, POST /agent/v1/reports and POST /agent/v1/beat; and administrators that
// have the hosts' secret: GET /agent/v1/hosts/NAME.
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /agent/v1/stream", h.serveStream)
	mux.HandleFunc("POST /agent/v1/reports", h.serveReports)
	mux.HandleFunc("POST /agent/v1/beat", h.serveBeat)
	mux.HandleFunc("GET /agent/v1/hosts/{host}", h.serveHost)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer || h.secret == "" || !equal(token, h.secret) {
			http.Error(w, "wrong agent secret", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// equal compares in a time that tells neither content nor length.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// goodHost says whether a name can be a host's: no empty one, nothing that would spoil a log.
func goodHost(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r >= 0x7f })
}

func (h *Hub) serveStream(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name := query.Get("host")
	if !goodHost(name) {
		http.Error(w, "host is missing or no host's name", http.StatusBadRequest)
		return
	}
	revision, err := strconv.ParseInt(query.Get("revision"), 10, 64)
	if err != nil {
		revision = -1 // a host that knows nothing yet
	}
	s := h.subscribe(name, query.Get("epoch"), revision)
	if s == nil {
		http.Error(w, "not ready yet", http.StatusServiceUnavailable)
		return
	}
	defer h.unsubscribe(s)
	h.log.Info("host connected", "host", name, "resumed", !s.snapshot, "revision", revision)
	w.Header().Set("Content-Type", "application/x-ndjson")
	err = h.stream(r.Context(), w, s)
	h.log.Info("host's stream ended", "host", name, "reason", err)
}

// Why a stream ends.
var (
	errTaken = errors.New("another stream has taken over, or the server ends")
	errLeft  = errors.New("the host has left")
)

// stream sends a host what it must know until either side ends.
func (h *Hub) stream(ctx context.Context, w http.ResponseWriter, s *subscription) error {
	out := newSender(w)
	if err := out.send(desired.Message{Type: desired.Hello, Version: desired.Protocol, Epoch: s.epoch}); err != nil {
		return err
	}
	first := true
	if s.snapshot {
		if err := h.sendSnapshot(out, s); err != nil {
			return err
		}
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		if messages, revision := h.next(s); first || len(messages) > 0 {
			if err := out.send(append(messages, desired.Message{Type: desired.Synced, Revision: revision})...); err != nil {
				return err
			}
		}
		first = false
		select {
		case <-ctx.Done():
			return errLeft
		case <-s.ended:
			return errTaken
		case <-s.wake:
		case <-ping.C:
			if err := out.send(desired.Message{Type: desired.Ping}); err != nil {
				return err
			}
		}
	}
}

// sendSnapshot sends all items piece by piece. What changes meanwhile follows before the Synced.
func (h *Hub) sendSnapshot(out *sender, s *subscription) error {
	if err := out.send(desired.Message{Type: desired.Snapshot}); err != nil {
		return err
	}
	for keys := h.all(s); len(keys) > 0; {
		select {
		case <-s.ended:
			return errTaken
		default:
		}
		n := min(len(keys), snapshotChunk)
		if err := out.send(h.some(s, keys[:n])...); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// sender writes messages to a host, a line each.
type sender struct {
	control *http.ResponseController
	out     *bufio.Writer
	encoder *json.Encoder
}

func newSender(w http.ResponseWriter) *sender {
	out := bufio.NewWriterSize(w, 16<<10)
	return &sender{http.NewResponseController(w), out, json.NewEncoder(out)}
}

func (s *sender) send(messages ...desired.Message) error {
	for i, m := range messages {
		if i%100 == 0 { // a slow host has this long for a piece, not for the whole
			if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				return err
			}
		}
		if err := s.encoder.Encode(m); err != nil {
			return err
		}
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.control.Flush()
}

func (h *Hub) serveReports(w http.ResponseWriter, r *http.Request) {
	in, err := decodeReports(http.MaxBytesReader(w, r.Body, maxReports))
	if err != nil {
		http.Error(w, "malformed reports: "+err.Error(), http.StatusBadRequest)
		return
	}
	if len(in.Agents) > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		if err := h.sink.Heartbeat(ctx, in.Host, in.Agents); err != nil {
			h.log.Error("heartbeat could not be written", "host", in.Host, "error", err)
			http.Error(w, "heartbeat could not be written", http.StatusServiceUnavailable)
			return
		}
	}
	if !h.report(in) {
		http.Error(w, "the host's stream is elsewhere", http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// decodeReports reads one JSON object and nothing else.
func decodeReports(body io.Reader) (desired.Reports, error) {
	var in desired.Reports
	decoder := json.NewDecoder(body)
	if err := decoder.Decode(&in); err != nil {
		return in, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return in, errors.New("there is more than one object")
	}
	if !goodHost(in.Host) {
		return in, errors.New("host is missing or no host's name")
	}
	for _, report := range in.Reports {
		if report.Kind == "" || report.ID == "" || report.Layer == "" {
			return in, errors.New("a report without kind, id or layer")
		}
	}
	return in, nil
}
