package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"neutrino/keystone/keystonetest"
)

// TestServerTellsNova runs the server by a neutron.conf with [nova], twice: what is noted while it does not run is told when it
// does, and the metrics say so. Keystone is a real one; Nova is not installed here, so something takes its place.
func TestServerTellsNova(t *testing.T) {
	k := keystonetest.Start(t, "")
	service, demo := k.Project(t, "service"), k.Project(t, "demo")
	k.User(t, "neutron", service, "admin", "service")
	k.User(t, "nova", service, "admin", "service")
	k.User(t, "boss", demo, "admin", "member", "reader")
	told := make(chan string, 100)
	awake := make(chan struct{})
	nova := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-awake:
		default:
			http.Error(w, "not up yet", http.StatusServiceUnavailable)
			return
		}
		var body struct {
			Events []map[string]any `json:"events"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/v2.1/os-server-external-events" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		for _, e := range body.Events {
			e["code"] = 200
			told <- fmt.Sprintf("%s %s", e["name"], e["server_uuid"])
		}
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(nova.Close)
	id := k.Do(t, "POST", "/services", `{"service": {"type": "compute", "name": "nova"}}`, 201)["service"].(map[string]any)["id"].(string)
	k.Do(t, "POST", "/endpoints", fmt.Sprintf(`{"endpoint": {"service_id": %q, "interface": "internal", "region_id": "RegionOne", "url": %q}}`, id, nova.URL+"/v2.1"), 201)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	host, port, _ := net.SplitHostPort(addr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	who := "auth_url = " + k.URL + "\nauth_type = password\nproject_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n"
	conf := write(t, "neutron.conf", fmt.Sprintf("[DEFAULT]\nbind_host = %s\nbind_port = %s\nsend_events_interval = 0\n[neutrino]\nstate_dir = %s\n"+
		"[keystone_authtoken]\n%susername = neutron\npassword = neutron\nhttp_connect_timeout = 30\n[nova]\n%susername = nova\npassword = nova\nregion_name = RegionOne\nendpoint_type = internal\n", host, port, dir, who, who))
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := serverCommand()
		cmd.SetArgs([]string{"--config-file", conf})
		done := make(chan error, 1)
		go func() { done <- cmd.ExecuteContext(ctx) }()
		return func() {
			t.Helper()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	token := k.As(t, "boss", demo)
	call := func(method, path, body string) string {
		t.Helper()
		for range 1500 {
			req, err := http.NewRequest(method, "http://"+addr+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Auth-Token", token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil || resp.StatusCode == http.StatusServiceUnavailable { // not up yet, or Keystone is busy
				if err == nil {
					_ = resp.Body.Close()
				}
				time.Sleep(20 * time.Millisecond)
				continue
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode >= 300 {
				t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
			}
			return string(text)
		}
		t.Fatal("the server does not answer")
		return ""
	}
	made := func(path, body string) string {
		t.Helper()
		var answer map[string]struct{ ID string }
		if err := json.Unmarshal([]byte(call("POST", path, body)), &answer); err != nil {
			t.Fatal(err)
		}
		for _, object := range answer {
			return object.ID
		}
		return ""
	}
	hear := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Errorf("Nova was told %s, want %s", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("Nova was not told %s", want)
		}
	}
	const instance = "6b9f2a3c-1d4e-4f5a-8b7c-9d0e1f2a3b4c"

	stop := start()
	network := made("/v2.0/networks", `{"network": {"name": "n"}}`)
	p := made("/v2.0/ports", `{"port": {"network_id": "`+network+`", "device_id": "`+instance+`", "device_owner": "compute:nova"}}`)
	call("PUT", "/v2.0/ports/"+p, `{"port": {"name": "x"}}`)
	stop() // Nova has never answered
	close(awake)
	stop = start()
	defer func() { stop() }()
	hear("network-changed " + instance)
	call("DELETE", "/v2.0/ports/"+p, "")
	hear("network-vif-deleted " + instance)
	for range 500 {
		if text := call("GET", "/metrics", ""); strings.Contains(text, `neutrino_nova_events_sent_total{event="network-vif-deleted"} 1`) && strings.Contains(text, "neutrino_nova_events_waiting 0") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("the metrics do not say so:\n%s", call("GET", "/metrics", ""))
}
