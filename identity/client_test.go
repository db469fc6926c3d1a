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
	clouds := filepath.Join(dir, cloudsFile)
	text, err := os.ReadFile(clouds)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, `
  robot:
    auth_type: v3applicationcredential
    auth: {auth_url: "`+url+Prefix+`/v3", application_credential_name: robot, application_credential_secret: shh, username: demo, user_domain_name: Default}
`...)
	if err := os.WriteFile(clouds, text, 0o600); err != nil {
		t.Fatal(err)
	}

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

		{"neutrino-admin: domain create works", []string{`"name": "works"`}, false},
		{"neutrino-admin: project create --domain works --description d p1", []string{`"name": "p1"`, `"enabled": true`}, false},
		{"neutrino-admin: project create --domain works --parent p1 p2", []string{`"name": "p2"`}, false},
		{"neutrino-admin: role create tester", []string{`"name": "tester"`}, false},
		{"neutrino-admin: user create --domain works --project p1 --project-domain works --password secret --email u@example.org u1", []string{`"u@example.org"`}, false},
		{"neutrino-admin: group create --domain works g1", []string{`"name": "g1"`}, false},
		{"neutrino-admin: group add user --group-domain works --user-domain works g1 u1", nil, false},
		{"neutrino-admin: user list --group g1 --domain works", []string{`"u1"`}, false},
		{"neutrino-admin: role add --group g1 --group-domain works --project p1 --project-domain works --inherited tester", nil, false},
		{"neutrino-admin: role add --user u1 --user-domain works --project p1 --project-domain works tester", nil, false},
		{"neutrino-admin: role add --user u1 --user-domain works --system all reader", nil, false},
		{"neutrino-admin: role assignment list --names --user u1 --user-domain works --effective", []string{`"tester"`, `"p1@works"`, `"p2@works"`, `"all"`}, false},
		{"neutrino-admin: user set --domain works --description changed u1", nil, false},
		{"neutrino-admin: user show --domain works u1", []string{`"changed"`}, false},
		{"neutrino-admin: user create --domain works u1", []string{"409"}, true},
		{"neutrino-admin: role remove --user u1 --user-domain works --system all reader", nil, false},
		{"neutrino-admin: service create --name nova compute", []string{`"compute"`}, false},
		{"neutrino-admin: endpoint create --region RegionOne compute public http://192.0.2.1:8774/v2.1", []string{`"public"`}, false},
		{"demo: catalog show compute", []string{`8774`}, false},

		{"demo: application credential create --role reader --expiration 2100-01-01T00:00:00 --secret shh robot", []string{`"name": "robot"`, `"shh"`}, false},
		{"robot: token issue", []string{`"project_id": "`}, false},
		{"robot: application credential create another", []string{"403"}, true},
		{"demo: application credential show robot", []string{`"expires_at": "2100-01-01T00:00:00`}, false},
		{"demo: application credential list", []string{`"robot"`}, false},
		{"demo: application credential delete robot", nil, false},
		{"robot: token issue", []string{"401"}, true},

		{"neutrino-admin: user delete --domain works u1", nil, false},
		{"neutrino-admin: group delete --domain works g1", nil, false},
		{"neutrino-admin: project delete --domain works p1", []string{"leaf"}, true},
		{"neutrino-admin: role delete tester", nil, false},
		{"neutrino-admin: domain delete works", []string{"disable it first"}, true},
		{"neutrino-admin: domain set --disable works", nil, false},
		{"neutrino-admin: domain delete works", nil, false},
		{"neutrino-admin: project list", []string{`"demo"`}, false},
	} {
		cloud, command, _ := strings.Cut(test.command, ": ")
		args := append([]string{"--os-cloud", cloud}, strings.Fields(command)...)
		if test.want != nil && !test.fails {
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
		if !test.fails && test.want != nil && !json.Valid(out) {
			t.Errorf("openstack %s complains:\n%s", test.command, out)
		}
	}
}
