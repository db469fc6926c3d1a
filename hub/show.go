package hub

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"neutrino/desired"
)

// serveHost tells an administrator what a host should have and what it has reported to this server.
func (h *Hub) serveHost(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("host")
	if !goodHost(name) {
		http.Error(w, "no host's name", http.StatusBadRequest)
		return
	}
	view, known := h.hostView(name)
	if !known {
		http.Error(w, "no such host", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(view) // who asked may be gone
}

// hostView is known for hosts that have an agent, or that ports or routers are on.
func (h *Hub) hostView(name string) (view desired.HostView, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	view = desired.HostView{Host: name, Revision: h.revision, Items: []desired.Message{}, Reports: []desired.Report{}, Complete: []string{}}
	for _, key := range h.index.keys(name) {
		if item := h.index.view(name, key); item != nil {
			view.Items = append(view.Items, desired.Message{Type: desired.Put, Item: item})
			known = true
		}
	}
	if x := h.hosts[name]; x != nil {
		known, view.Following = true, x.stream != nil
		for _, report := range x.reports {
			view.Reports = append(view.Reports, report)
		}
		for layer := range x.complete {
			view.Complete = append(view.Complete, layer)
		}
	}
	slices.Sort(view.Complete)
	slices.SortFunc(view.Reports, func(a, b desired.Report) int {
		return strings.Compare(string(a.Kind)+a.ID+a.Layer, string(b.Kind)+b.ID+b.Layer)
	})
	return view, known
}
