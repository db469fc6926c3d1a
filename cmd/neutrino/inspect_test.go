package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neutrino/agent/inspect"
	"neutrino/agent/stray"
	"neutrino/desired"
)

// What a server knows of a host is asked for with the secret, and told with what is not up.
func TestShowReported(t *testing.T) {
	view := desired.HostView{Host: "h1", Following: true, Revision: 7, Items: []desired.Message{
		{Type: desired.Put, Item: &desired.Port{ID: "p1", Host: "h1"}},
		{Type: desired.Put, Item: &desired.Port{ID: "p2", Host: "h1"}},
		{Type: desired.Put, Item: &desired.Port{ID: "p3", Host: "h1"}},
		{Type: desired.Put, Item: &desired.Port{ID: "p4", Host: "h2"}},
	}, Reports: []desired.Report{
		{Kind: desired.KindPort, ID: "p1", Layer: "l2", Up: true, Revision: 3},
		{Kind: desired.KindPort, ID: "p2", Layer: "l2", Reason: "no interface"},
	}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer word" || r.URL.Path != "/agent/v1/hosts/h1" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(view)
	}))
	defer web.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := showReported(t.Context(), &out, reportedBy{server: web.URL + "/", secretFile: secret}, "h1", false, false); err != exitStatus(1) {
		t.Errorf("the error is %v", err)
	}
	want := `host h1 follows this server (revision 7)
desired: 4 port
port p2  l2: not up: no interface
port p3  the host has not reported it yet
2 not up
`
	if out.String() != want {
		t.Errorf("shown is\n%s\nwant\n%s", &out, want)
	}
	if err := showReported(t.Context(), &out, reportedBy{server: web.URL, secretFile: secret}, "h2", false, false); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("of another host the error is %v", err)
	}
}

// Without an agent that ever ran the commands say so, rather than that all is well.
func TestNoAgentEverRan(t *testing.T) {
	dir := t.TempDir()
	if _, err := askHost(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "no agent has run") {
		t.Errorf("show-host: %v", err)
	}
	if _, err := askCheck(t.Context(), dir, "", ""); err == nil || !strings.Contains(err.Error(), "no agent has run") {
		t.Errorf("check: %v", err)
	}
	if _, err := askStrays(t.Context(), dir, false); err == nil || !strings.Contains(err.Error(), "no agent has run") {
		t.Errorf("strays: %v", err)
	}
	if _, err := askStrays(t.Context(), dir, true); err == nil || !strings.Contains(err.Error(), "nothing is removed") {
		t.Errorf("strays --remove: %v", err)
	}
}

func TestPrinted(t *testing.T) {
	var out strings.Builder
	began := time.Now().Add(-time.Hour)
	h := inspect.Host{
		Layout: inspect.Layout{Host: "h1"}, Running: true, Revision: 7, Items: map[string]int{"port": 2},
		Objects: []inspect.Object{
			{Kind: "port", ID: "p1", Desired: []string{"10.0.0.5"}, Actual: []string{"no interface on br-int"}, Differs: []inspect.Difference{{What: "l2: no interface", Since: began}}},
			{Kind: "port", ID: "p2", Desired: []string{"10.0.0.6"}, Actual: []string{"interface tap"}},
		},
	}
	if err := printHost(&out, h, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"follows no server", "desired: 2 port\n", "differs: l2: no interface (since ", ", 1h0m0s)", "1 of 2 objects differ"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "p2") {
		t.Errorf("what does not differ is shown:\n%s", &out)
	}
	out.Reset()
	if err := printStrays(&out, []stray.Seen{{Thing: stray.Thing{Kind: stray.Port, Name: "tapx", On: "br-int", Why: "so"}, Since: began, Due: began}}, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "removed in 0s") {
		t.Errorf("strays are shown as\n%s", &out)
	}
}
