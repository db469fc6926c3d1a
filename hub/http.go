package hub

import (
	"bufio"
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"neutrino/desired"
)

const (
	pingEvery    = 10 * time.Second // a host that hears nothing for thrice this long dials again
	writeTimeout = 30 * time.Second
	maxReports   = 32 << 20 // bytes of one POST
)

// Handler serves hosts: GET /agent/v1/stream and POST /agent/v1/reports.
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /agent/v1/stream", h.serveStream)
	mux.HandleFunc("POST /agent/v1/reports", h.serveReports)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(token), []byte(h.secret)) != 1 || h.secret == "" {
			http.Error(w, "wrong agent secret", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (h *Hub) serveStream(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("host")
	if name == "" {
		http.Error(w, "host is missing", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	ready := h.loaded
	h.mu.Unlock()
	if !ready {
		http.Error(w, "not ready yet", http.StatusServiceUnavailable)
		return
	}
	revision, err := strconv.ParseInt(r.URL.Query().Get("revision"), 10, 64)
	if err != nil {
		revision = -1
	}
	x, number, resumed := h.subscribe(name, r.URL.Query().Get("epoch"), revision)
	h.log.Info("host connected", "host", name, "resumed", resumed, "revision", revision)
	defer h.log.Info("host's stream ended", "host", name)

	out := bufio.NewWriterSize(w, 64<<10)
	control := http.NewResponseController(w)
	encoder := json.NewEncoder(out)
	send := func(messages ...desired.Message) bool {
		if err := control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return false
		}
		for _, m := range messages {
			if encoder.Encode(m) != nil {
				return false
			}
		}
		return out.Flush() == nil && control.Flush() == nil
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if !send(desired.Message{Type: desired.Hello, Epoch: h.epoch}) {
		return
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	first := true
	for {
		b := h.next(name, x, number, first && !resumed)
		if b.ended {
			return
		}
		if first || len(b.messages) > 0 {
			if !send(append(b.messages, desired.Message{Type: desired.Synced, Revision: b.revision})...) {
				return
			}
		}
		first = false
		select {
		case <-r.Context().Done():
			return
		case <-x.wake:
		case <-ping.C:
			if !send(desired.Message{Type: desired.Ping}) {
				return
			}
		}
	}
}

func (h *Hub) serveReports(w http.ResponseWriter, r *http.Request) {
	var in desired.Reports
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReports)).Decode(&in); err != nil || in.Host == "" {
		http.Error(w, "malformed reports", http.StatusBadRequest)
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
	h.report(in)
	w.WriteHeader(http.StatusNoContent)
}
