package identity

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenStackClient lets the client that people use judge: only what it understands is right.
func TestOpenStackClient(t *testing.T) {
	t.Parallel()
	client, err := exec.LookPath("openstack")
	if err != nil {
		t.Skip("the openstack client is not installed")
	}
	if testing.Short() {
		t.Skip("the client takes a second or two for every command")
	}
	dir := t.TempDir()
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	if err := Bootstrap(dir, url); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{StateDir: dir, PublicURL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Mount(mux)
	server.Config.Handler = mux
	server.Start()
	defer server.Close()

	for _, test := range []struct {
		command string // of the cloud before the colon
		want    []string
		fails   bool
	}{
		{"demo: token issue", []string{`"project_id": "`, `"expires": "`}, false},
		{"demo: catalog list", []string{`"neutron"`, `"keystone"`, url}, false},
		{"neutrino-admin: project list", []string{`"demo"`, `"alt"`, `"admin"`, `"service"`}, false},
		{"neutrino-admin: user list", []string{`"demo"`, `"service"`}, false},
		{"neutrino-admin: project show demo", []string{`"domain_id": "default"`}, false},
		{"neutrino-admin: role assignment list --names", []string{`"admin@Default"`, `"member"`}, false},
		{"demo: project list", []string{`"demo"`}, false},
		{"demo: user list", []string{"identity:list_users", "403"}, true},
		{"neutrino-admin: project show absent", []string{"No project with a name or ID of 'absent' exists"}, true},
		{"neutrino-admin: endpoint list", []string{`"public"`, url + Prefix}, false},
	} {
		cloud, command, _ := strings.Cut(test.command, ": ")
		args := append([]string{"--os-cloud", cloud}, strings.Fields(command)...)
		if !test.fails {
			args = append(args, "-f", "json")
		}
		cmd := exec.CommandContext(t.Context(), client, args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "OS_CLIENT_CONFIG_FILE=" + filepath.Join(dir, cloudsFile), "NO_PROXY=*", "no_proxy=*"}
		out, err := cmd.CombinedOutput()
		if (err != nil) != test.fails {
			t.Errorf("openstack %s: %v\n%s", test.command, err, out)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("openstack %s does not say %s:\n%s", test.command, want, out)
			}
		}
		if !test.fails && !json.Valid(out) {
			t.Errorf("openstack %s complains:\n%s", test.command, out)
		}
	}
}
