package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutrino/config"
	"neutrino/keystone/keystonetest"
	"neutrino/service/network"
)

var update = flag.Bool("update", false, "write the generated page anew")

// TestConfigurationPage keeps docs/configuration.md what the declarations give.
func TestConfigurationPage(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Configuration files

The files that operators of Neutron have, in oslo.config's form: later files win, flags win over files. Names and meaning are the
original's, and so are defaults unless it says otherwise.

    neutrino server --config-file neutron.conf --config-file ml2_conf.ini
    neutrino agent --config-file neutron.conf --config-file openvswitch_agent.ini --config-file l3_agent.ini \
        --config-file dhcp_agent.ini --config-file metadata_agent.ini
    neutrino server --etc /etc/neutron              # those of these names that are there; agent likewise

A wrong value ends the start with file and line. An unknown option is a warning in the log with the nearest known name, and so is one
that asks for what is not supported. ` + "`neutrino config check`" + ` explains a set of files (` + "`--agent`" + `: as an agent reads them; ` + "`--json`" + `); its status is 1
when a value is wrong and 2 when there are warnings. One file may have options for servers and agents: each takes its own.

At SIGHUP (` + "`systemctl reload`" + `) files are read again. Options marked ↻ count at once; for others the log names those that need a restart.
Policy files are read whenever they change. Without files the server listens on 127.0.0.1:9696 and uses its built-in identity service.

<!-- generated: go test ./cmd/neutrino -run ConfigurationPage -update -->
`)
	optionTables(&b, "Server", newServerSettings().own(), serverReloads)
	optionTables(&b, "Agents", newAgentSettings().own(), agentReloads)
	const path = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the declarations give (%v); run: go test ./cmd/neutrino -run ConfigurationPage -update", path, err)
	}
}

// optionTables writes the options of a program, by section.
func optionTables(b *strings.Builder, title string, set *config.Set, reloads []string) {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	order := map[string]int{}
	for _, o := range set.Own() {
		if _, seen := order[o.Section]; !seen {
			order[o.Section] = len(order)
		}
	}
	sorted := set.Own()
	slices.SortStableFunc(sorted, func(x, y *config.Option) int {
		if x.Section != y.Section {
			return order[x.Section] - order[y.Section]
		}
		return strings.Compare(x.Name, y.Name)
	})
	fmt.Fprintf(b, "\n# %s\n", title)
	section := ""
	var unsupported strings.Builder
	why := map[string][]string{} // section and reason → names
	var reasons []string
	for _, o := range sorted {
		switch {
		case o.Unsupported:
			fmt.Fprintf(&unsupported, "| `[%s] %s` | `%s` | %s |\n", o.Section, o.Name, o.Default, o.Why)
		case o.Why != "":
			key := "[" + o.Section + "] " + o.Why
			if why[key] == nil {
				reasons = append(reasons, key)
			}
			why[key] = append(why[key], "`"+o.Name+"`")
		default:
			if o.Section != section {
				section = o.Section
				fmt.Fprintf(b, "\n## [%s]\n\n| option | kind | default | |\n|---|---|---|---|\n", section)
			}
			name, standard := "`"+o.Name+"`", o.Default
			if slices.Contains(reloads, "["+o.Section+"] "+o.Name) {
				name += " ↻"
			}
			if o.Name == "host" && standard == host {
				standard = ""
			}
			fmt.Fprintf(b, "| %s | %s | `%s` | %s |\n", name, o.Kind, standard, o.Help)
		}
	}
	fmt.Fprintf(b, "\n## %s: not supported\n\nAnother value than this gives a warning.\n\n| option | value | why |\n|---|---|---|\n%s", title, unsupported.String())
	fmt.Fprintf(b, "\n## %s: known, and not needed\n\n| section | options | why |\n|---|---|---|\n", title)
	for _, key := range reasons {
		in, reason, _ := strings.Cut(key, " ")
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", in, strings.Join(why[key], ", "), reason)
	}
}

// write writes a file of a test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServerFiles(t *testing.T) {
	neutron := write(t, "neutron.conf", `[DEFAULT]
bind_port = 9797
core_plugin = ml2
transport_url = rabbit://openstack:secret@controller
dns_domain = example.org.
dhcp_agents_per_network = 2
[keystone_authtoken]
auth_url = http://controller:5000
www_authenticate_uri = http://public:5000
memcached_servers = controller:11211
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = neutron
password = NEUTRON_PASS
service_token_roles_required = true
token_cache_time = 60
[quotas]
quota_network = 7
default_quota = 3
[database]
connection = mysql+pymysql://neutron:pass@controller/neutron
`)
	ml2 := write(t, "ml2_conf.ini", `[ml2]
type_drivers = flat,vlan,vxlan
tenant_network_types = vxlan
mechanism_drivers = openvswitch,l2population
extension_drivers = port_security
[ml2_type_flat]
flat_networks = provider
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:199,physnet2
[ml2_type_vxlan]
vni_ranges = 1:1000
`)
	s := newServerSettings()
	values, err := (&configFlags{files: []string{neutron, ml2}}).load(s.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.finish(values); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if v.Warns() {
			t.Errorf("%+v", v)
		}
		if v.Name != "auth_type" && (strings.Contains(v.Value, "pass") || strings.Contains(v.Value, "PASS") || strings.Contains(v.Value, "secret")) {
			t.Errorf("a secret is told: %+v", v)
		}
	}
	k := s.Keystone
	if s.listen() != "0.0.0.0:9797" || k.AuthURL != "http://controller:5000" || k.PublicURL != "http://public:5000" || k.Username != "neutron" || k.Password != "NEUTRON_PASS" ||
		k.ProjectName != "service" || !k.ServiceRolesRequired || k.CacheTime != time.Minute || !slices.Equal(k.ServiceRoles, []string{"service"}) {
		t.Errorf("%s %+v", s.listen(), k)
	}
	net := s.Services.Network
	if net.DNSDomain != "example.org." || net.DHCPPerNetwork != 2 || !slices.Equal(net.FlatNetworks, []string{"provider"}) ||
		!slices.Equal(net.VLANs["physnet1"], []network.IDRange{{First: 100, Last: 199}}) || !slices.Equal(net.TunnelIDs["vxlan"], []network.IDRange{{First: 1, Last: 1000}}) {
		t.Errorf("%+v", net)
	}
	if s.Services.Quotas["network"] != 7 || s.Services.Quotas["subnet"] != 100 || s.Services.OtherQuota != 3 || s.database != "mysql+pymysql://neutron:pass@controller/neutron" {
		t.Errorf("%+v %s", s.Services, s.database)
	}
	for text, want := range map[string]string{
		"[ml2]\nmechanism_drivers = linuxbridge":                         "linuxbridge",
		"[ml2]\nmechanism_drivers = ovn,sriovnicswitch,ovn":              "ovn is named twice",
		"[sriov_driver]\nvnic_type_prohibit_list = normal":               "is none of direct, macvtap, direct-physical",
		"[ovs_driver]\nvnic_type_prohibit_list = direct,normal":          "nothing is left that openvswitch binds",
		"[ml2]\ntype_drivers = vlan":                                     "tenant_network_types: vxlan is not among type_drivers",
		"[ml2]\nexternal_network_type = flat\ntype_drivers = vxlan":      "external_network_type",
		"[ml2]\nphysical_network_mtus = physnet1:9":                      "physnet1:9",
		"[DEFAULT]\nvlan_transparent = true":                             "openvswitch carries no tags",
		"[DEFAULT]\nvlan_qinq = true":                                    "openvswitch carries no tags",
		"[ml2]\noverlay_ip_version = 5":                                  "neither 4 nor 6",
		"[ml2_type_geneve]\nmax_header_size = 20":                        "less than 30",
		"[ml2_type_vlan]\nnetwork_vlan_ranges = physnet1:1:5000":         "bad.conf:2: [ml2_type_vlan] network_vlan_ranges",
		"[DEFAULT]\nuse_ssl = true":                                      "cert_file",
		"[DEFAULT]\ncore_plugin = nsx":                                   "nsx",
		"[securitygroup]\nenable_security_group = False":                 "port_security_enabled",
		"[ml2]\ntype_drivers = token_ring":                               "token_ring",
		"[ml2]\ntenant_network_types = moon":                             "moon",
		"[ml2_type_vxlan]\nvni_ranges = 9:1":                             "FIRST:LAST",
		"[keystone_authtoken]\nusername = neutron":                       "auth_url is missing",
		"[nova]\nusername = nova":                                        "[nova] auth_url is missing",
		"[nova]\nendpoint_type = secret":                                 "endpoint_type",
		"[DEFAULT]\nsend_events_interval = soon":                         "send_events_interval",
		"[keystone_authtoken]\nauth_type = v3kerberos":                   "v3kerberos",
		"[DEFAULT]\nauth_strategy = noauth":                              "noauth",
		"[quotas]\nquota_port = many":                                    "many",
		"[DEFAULT]\nbase_mac = nonsense":                                 "base_mac",
		"[keystone_authtoken]\nauth_url = http://k\nsystem_scope = some": "system_scope",
	} {
		s := newServerSettings()
		values, err := (&configFlags{files: []string{write(t, "bad.conf", text)}}).load(s.options())
		if err == nil {
			err = s.finish(values)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	run := func(args ...string) (string, error) {
		cmd := configCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true // as below the root
		cmd.SetArgs(append([]string{"check"}, args...))
		err := cmd.Execute()
		return out.String(), err
	}
	good := write(t, "good.conf", "[DEFAULT]\napi_workers = 2\n[database]\nconnection = sqlite:///x\n")
	if out, err := run("--config-file", good); err != nil || !strings.Contains(out, "not needed") || !strings.Contains(out, `"***"`) {
		t.Errorf("%s %v", out, err)
	}
	odd := write(t, "odd.conf", "[DEFAULT]\nbind_prt = 1\n")
	if out, err := run("--config-file", odd); err != error(exitStatus(2)) || !strings.Contains(out, "is [DEFAULT] bind_port meant?") {
		t.Errorf("%s %v", out, err)
	}
	missing := write(t, "missing.conf", "[oslo_policy]\nenforce_scope = false\n")
	if out, err := run("--config-file", missing); err != error(exitStatus(2)) || !strings.Contains(out, "not supported: scopes are always enforced") {
		t.Errorf("%s %v", out, err)
	}
	etc := t.TempDir()
	for name, text := range map[string]string{"neutron.conf": "[DEFAULT]\nhost = h\n", "openvswitch_agent.ini": "[ovs]\nbridge_mappings = physnet1\n"} {
		path := filepath.Join(etc, "plugins", "ml2", name)
		if name == "neutron.conf" {
			path = filepath.Join(etc, name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := run("--etc", etc); err != nil || !strings.Contains(out, "agents read it") || strings.Contains(out, "bridge_mappings") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := run("--agent", "--etc", etc); err == nil || !strings.Contains(err.Error(), "openvswitch_agent.ini:2") {
		t.Errorf("%s %v", out, err)
	}
	if _, err := run("--etc", t.TempDir()); err == nil {
		t.Error("a directory without files")
	}
	bad := write(t, "bad.conf", "[DEFAULT]\nbind_port = nine\n")
	out, err := run("--json", "--config-file", bad)
	var answer struct{ Error string }
	if jsonErr := json.Unmarshal([]byte(out), &answer); err == nil || jsonErr != nil || !strings.Contains(answer.Error, "bad.conf:2") {
		t.Errorf("%s %v %v", out, err, jsonErr)
	}
	if _, err := run(); err == nil {
		t.Error("no file")
	}
}

// TestServerBehindKeystone runs the server by a neutron.conf with a real Keystone.
func TestServerBehindKeystone(t *testing.T) {
	k := keystonetest.Start(t, "")
	service, demo := k.Project(t, "service"), k.Project(t, "demo")
	k.User(t, "neutron", service, "admin", "service")
	for _, role := range []string{"admin", "member", "reader"} {
		k.User(t, "u-"+role, demo, role)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	host, port, _ := net.SplitHostPort(addr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	conf := write(t, "neutron.conf", fmt.Sprintf("[DEFAULT]\nbind_host = %s\nbind_port = %s\n[keystone_authtoken]\nauth_url = %s\nwww_authenticate_uri = http://public.example:5000/v3\n"+
		"auth_type = password\nusername = neutron\npassword = neutron\nproject_name = service\nuser_domain_name = Default\nproject_domain_id = default\nhttp_connect_timeout = 15\nhttp_request_max_retries = 1\n", host, port, k.URL))
	ctx, cancel := context.WithCancel(t.Context())
	cmd := serverCommand()
	cmd.SetArgs([]string{"--state-dir", t.TempDir(), "--config-file", conf})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	call := func(method, path, body string, header ...string) (int, http.Header, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		for range 1500 {
			resp, err := http.DefaultClient.Do(req)
			if err != nil { // not up yet
				time.Sleep(20 * time.Millisecond)
				continue
			}
			defer func() { _ = resp.Body.Close() }()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, resp.Header, string(text)
		}
		t.Fatal("the server does not answer")
		return 0, nil, ""
	}
	expect := func(want int, method, path, body string, header ...string) string {
		t.Helper()
		status, _, text := call(method, path, body, header...)
		if status != want {
			t.Errorf("%s %s: %d, want %d: %s", method, path, status, want, text)
		}
		return text
	}
	const networks = "/v2.0/networks"
	admin, member, reader := k.As(t, "u-admin", demo), k.As(t, "u-member", demo), k.As(t, "u-reader", demo)

	status, header, _ := call("GET", networks, "")
	if status != 401 || header.Get("WWW-Authenticate") != `Keystone uri="http://public.example:5000/v3"` {
		t.Errorf("without a token: %d %v", status, header)
	}
	expect(401, "GET", networks, "", "X-Auth-Token", "nonsense")
	expect(404, "POST", "/identity/v3/auth/tokens", "{}") // the built-in identity service is not there
	expect(201, "POST", networks, `{"network": {"name": "n"}}`, "X-Auth-Token", member)
	expect(403, "POST", networks, `{"network": {"name": "n"}}`, "X-Auth-Token", reader)
	if text := expect(200, "GET", networks, "", "X-Auth-Token", reader); !strings.Contains(text, `"project_id": "`+demo+`"`) || strings.Contains(text, "provider:") {
		t.Errorf("a reader's list: %s", text)
	}
	if text := expect(200, "GET", networks, "", "X-Auth-Token", admin); !strings.Contains(text, "provider:network_type") {
		t.Errorf("an administrator's list: %s", text)
	}
	// What a client says of itself in the headers by which keystonemiddleware speaks to Neutron counts nothing.
	forged := []string{"X-Identity-Status", "Confirmed", "X-Roles", "admin", "X-Role", "admin", "X-User-Id", "u", "X-Project-Id", "p", "X-Tenant-Id", "p", "X-Is-Admin-Project", "True",
		"X-Service-Roles", "service", "X-Service-Identity-Status", "Confirmed", "X-System-Scope", "all", "Openstack-System-Scope", "all"}
	expect(401, "GET", networks, "", forged...)
	if text := expect(200, "GET", networks, "", append(forged, "X-Auth-Token", reader)...); strings.Contains(text, "provider:") {
		t.Errorf("forged headers count: %s", text)
	}
	expect(401, "GET", networks, "", "X-Auth-Token", member, "X-Service-Token", "nonsense")
	expect(200, "GET", networks, "", "X-Auth-Token", member, "X-Service-Token", k.As(t, "neutron", service))

	fresh := k.As(t, "u-admin", demo)
	k.Signal(t, syscall.SIGSTOP)
	status, header, _ = call("GET", networks, "", "X-Auth-Token", fresh)
	if status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("while Keystone hangs: %d %v", status, header)
	}
	expect(200, "GET", networks, "", "X-Auth-Token", member) // known
	k.Signal(t, syscall.SIGCONT)
	for range 600 {
		if status, _, _ = call("GET", networks, "", "X-Auth-Token", fresh); status == 200 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if status != 200 {
		t.Errorf("after Keystone came back: %d", status)
	}
}
