package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neutrino/keystone/keystonetest"
)

// fakeNova takes events as Nova does, asking the real Keystone about the token. Nova itself is not installed here.
type fakeNova struct {
	keystone *keystonetest.Keystone
	demands  string // the path before /os-server-external-events

	mu      sync.Mutex
	status  int            // answered instead, if not 0
	codes   map[string]int // by server: what Nova says of its events
	strange string         // a name of events that Nova's schema does not have
	events  []string       // "network-vif-plugged SERVER PORT completed"
	posts   int            // requests that it took
	token   string         // of the last
}

func (f *fakeNova) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method != http.MethodPost || r.URL.Path != f.demands+"/os-server-external-events" || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "this is not what Nova has", http.StatusNotFound)
		return
	}
	if f.status != 0 {
		http.Error(w, "not today", f.status)
		return
	}
	if !f.knows(r.Header.Get("X-Auth-Token")) {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	var body struct {
		Events []map[string]any `json:"events"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Events) == 0 {
		http.Error(w, "bad body", http.StatusBadRequest)
		return
	}
	for _, e := range body.Events {
		if e["name"] == f.strange {
			http.Error(w, `{"badRequest": {"message": "Invalid input for field/attribute name"}}`, http.StatusBadRequest)
			return
		}
	}
	f.posts++
	f.token = r.Header.Get("X-Auth-Token")
	status, found := http.StatusOK, false
	for _, e := range body.Events {
		text := fmt.Sprintf("%s %s %s", e["name"], e["server_uuid"], e["tag"])
		if e["status"] != nil {
			text += fmt.Sprintf(" %s", e["status"])
		}
		f.events = append(f.events, text)
		code := f.codes[e["server_uuid"].(string)]
		if code == 0 {
			code = http.StatusOK
		} else {
			status = http.StatusMultiStatus
		}
		found = found || code != http.StatusNotFound
		e["code"] = code
	}
	if !found {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"itemNotFound": {"code": 404, "message": "No instances found for any event"}}`))
		return
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// knows asks Keystone whose token it is.
func (f *fakeNova) knows(token string) bool {
	req, err := http.NewRequest(http.MethodGet, f.keystone.URL+"/v3/auth/tokens", nil)
	if err != nil {
		return false
	}
	req.Header.Set("X-Auth-Token", f.keystone.Token)
	req.Header.Set("X-Subject-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (f *fakeNova) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// take waits until Nova was told exactly these events, in any order, and forgets them.
func (f *fakeNova) take(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	var have []string
	for range 1500 {
		f.mu.Lock()
		have = slices.Sorted(slices.Values(f.events))
		if len(have) >= len(want) {
			f.events = nil
			f.mu.Unlock()
			break
		}
		f.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
	if !slices.Equal(have, want) {
		t.Fatalf("Nova was told\n  %s\nwant\n  %s", strings.Join(have, "\n  "), strings.Join(want, "\n  "))
	}
}
