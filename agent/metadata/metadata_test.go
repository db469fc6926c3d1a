package metadata

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/desired"
)

// signature is what openssl computes for instance-p5 with the key secret.
const signature = "9396b045c0dfdb8cbfbfcfcc5083eac5c01e1872da0ad95dc7fc6d0db3b32cc8"

var mac5 = address.MustParseMAC("fa:16:3e:00:00:05")

func cloud() *desired.State {
	s := desired.NewState()
	subnet := desired.Subnet{ID: "s", CIDR: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"), EnableDHCP: true, DNS: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}
	for _, id := range []string{"a", "b", "c"} {
		s.Put(&desired.Network{ID: id, MTU: 1450, DNSDomain: "example.org.", Subnets: []desired.Subnet{subnet}})
	}
	port := func(id, network, ip string, mac address.MAC, owner string) {
		s.Put(&desired.Port{ID: id, NetworkID: network, ProjectID: "project", MAC: mac, DeviceID: "instance-" + id, DeviceOwner: owner, Hostname: "vm-" + id,
			FixedIPs: []desired.FixedIP{{SubnetID: "s", IP: netip.MustParseAddr(ip)}},
			Metadata: &desired.Metadata{Name: "web", UserData: []byte("#!/bin/sh\n"), PublicKeys: map[string]string{"me": "ssh-ed25519 AAAA"}}})
	}
	port("p5", "a", "10.0.0.5", mac5, "compute:nova")
	port("p6", "a", "10.0.0.6", address.MAC{2, 0, 0, 0, 0, 6}, "compute:nova")
	port("q6", "b", "10.0.0.6", address.MAC{2, 0, 0, 0, 0, 7}, "compute:nova")
	port("x5", "c", "10.0.0.5", address.MAC{2, 0, 0, 0, 0, 8}, "compute:nova")
	port("d", "a", "10.0.0.2", address.MAC{2, 0, 0, 0, 0, 9}, "network:dhcp")
	s.Put(&desired.Router{ID: "r", AdminStateUp: true, Interfaces: []desired.RouterPort{{PortID: "i1", NetworkID: "a"}, {PortID: "i2", NetworkID: "b"}},
		FloatingIPs: []desired.FloatingIP{{Floating: netip.MustParseAddr("203.0.113.5"), Fixed: netip.MustParseAddr("10.0.0.5")}}})
	return s
}

func loaded() *directory {
	d := newDirectory()
	d.load(cloud())
	return d
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		source Source
		from   string
		want   string // "": nobody, or several
	}{
		{Source{Router: "r"}, "10.0.0.5", "p5"},
		{Source{Router: "r"}, "10.0.0.6", ""},
		{Source{Router: "r"}, "10.0.0.9", ""},
		{Source{Router: "gone"}, "10.0.0.5", ""},
		{Source{Network: "c"}, "10.0.0.5", "x5"},
		{Source{Network: "b"}, "10.0.0.5", ""},
		{Source{Network: "a"}, "::ffff:10.0.0.5", "p5"},
		{Source{Network: "a"}, mac5.LinkLocal().String() + "%qr-1", "p5"},
		{Source{Network: "a"}, "fe80::1", ""},
		{Source{Network: "a"}, "10.0.0.2", ""},
	} {
		g, err := loaded().find(c.source, netip.MustParseAddr(c.from))
		if (err == nil) != (c.want != "") || err == nil && g.port.ID != c.want {
			t.Errorf("%+v from %s: %+v, %v", c.source, c.from, g.port, err)
		}
	}
}

// TestTheWayDoesNotMatter takes ports away and back, one by one, and finds the same guests.
func TestTheWayDoesNotMatter(t *testing.T) {
	d, s := loaded(), cloud()
	for _, p := range cloud().Ports {
		s.Delete(p.Key())
		d.update(s, map[desired.Key]struct{}{p.Key(): {}})
	}
	if len(d.ports)+len(d.byIP)+len(d.byMAC)+len(d.byDevice) != 0 {
		t.Errorf("something is left: %+v", d)
	}
	for _, p := range cloud().Ports {
		s.Put(p)
		d.update(s, map[desired.Key]struct{}{p.Key(): {}})
	}
	if g, err := d.find(Source{Router: "r"}, netip.MustParseAddr("10.0.0.5")); err != nil || g.port.ID != "p5" {
		t.Error(g, err)
	}
}

func ask(h *handler, source Source, from, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = from
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = []string{headers[i+1]}
	}
	w := httptest.NewRecorder()
	h.of(source).ServeHTTP(w, r)
	return w
}

func TestOwnAnswers(t *testing.T) {
	h := newHandler(loaded(), Options{}, slog.New(slog.DiscardHandler))
	for path, want := range map[string]string{
		"/latest/meta-data/instance-id": "instance-p5", "/2009-04-04/meta-data/local-ipv4": "10.0.0.5",
		"/latest/meta-data/public-ipv4": "203.0.113.5", "/latest/meta-data/hostname": "vm-p5.example.org",
		"/latest/meta-data/public-keys/": "0=me", "/latest/meta-data/public-keys/0/": "openssh-key",
		"/latest/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA", "/latest/user-data": "#!/bin/sh\n",
		"/latest/": "meta-data/\nuser-data", "/openstack/latest/user_data": "#!/bin/sh\n",
		"/latest/meta-data/mac": "fa:16:3e:00:00:05", "/openstack/latest/vendor_data2.json": "{}",
		"/latest/meta-data/": "ami-launch-index\nhostname\ninstance-id\nlocal-hostname\nlocal-ipv4\nmac\nnetwork/\npublic-ipv4\npublic-keys/",
	} {
		if w := ask(h, Source{Router: "r"}, "10.0.0.5:1000", path); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
	for _, path := range []string{"/latest/meta-data/no", "/openstack/1999-01-01", "/etc/passwd", "/latest/../../x"} {
		if w := ask(h, Source{Router: "r"}, "10.0.0.5:1000", path); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	var meta struct{ UUID, Hostname, Name string }
	w := ask(h, Source{Router: "r"}, "10.0.0.5:1000", "/openstack/latest/meta_data.json")
	if err := json.Unmarshal(w.Body.Bytes(), &meta); err != nil || meta.UUID != "instance-p5" || meta.Name != "web" {
		t.Errorf("%s %v", w.Body, err)
	}
	var nets struct {
		Links    []link
		Networks []network
		Services []service
	}
	w = ask(h, Source{Router: "r"}, "10.0.0.5:1000", "/openstack/latest/network_data.json")
	if err := json.Unmarshal(w.Body.Bytes(), &nets); err != nil || len(nets.Links) != 1 || nets.Links[0].MTU != 1450 || len(nets.Networks) != 1 || nets.Networks[0].Netmask != "255.255.255.0" || len(nets.Services) != 1 {
		t.Errorf("%s %v", w.Body, err)
	}
	if w := ask(h, Source{Router: "r"}, "10.0.0.77:1", "/latest/"); w.Code != 404 || h.counts.Unknown.Load() != 1 {
		t.Errorf("a stranger gets %d", w.Code)
	}
}

func TestProxy(t *testing.T) {
	status := 200
	var seen *http.Request
	nova := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Clone(r.Context())
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "from nova")
	}))
	u, err := url.Parse(nova.URL)
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(loaded(), Options{Nova: u, Secret: "secret"}, slog.New(slog.DiscardHandler))
	forged := []string{"X-Instance-Id", "other", "X_Instance_ID", "other", "X-Tenant-Id", "other", "X-Forwarded-For", "10.0.0.9", "X-Forwarded-Host", "x",
		"X-Instance-Id-Signature", "other", "X-Neutron-Router-Id", "other", "X-Metadata-Provider", "other", "X-Kept", "yes"}
	w := ask(h, Source{Router: "r"}, "10.0.0.5:1000", "/openstack/latest/a%2Fb?x=1&y=%20", forged...)
	if w.Code != 200 || w.Body.String() != "from nova" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if seen.URL.RequestURI() != "/openstack/latest/a%2Fb?x=1&y=%20" {
		t.Errorf("asked for %s", seen.URL.RequestURI())
	}
	for name, want := range map[string]string{"X-Instance-Id": "instance-p5", "X-Tenant-Id": "project", "X-Forwarded-For": "10.0.0.5", "X-Kept": "yes",
		// printf %s instance-p5 | openssl dgst -sha256 -hmac secret
		"X-Instance-Id-Signature": signature, "X-Neutron-Router-Id": "", "X-Forwarded-Host": "", "X-Metadata-Provider": "", "X_Instance_ID": ""} {
		if got := strings.Join(seen.Header.Values(name), ","); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	//lint:ignore SA1008 the forged header is as a guest would spell it, not as Go does
	if len(seen.Header["X_Instance_ID"])+len(seen.Header["X_Instance_Id"]) > 0 {
		t.Error("a forged header with underscores went through")
	}
	for in, want := range map[int]int{404: 404, 403: 403, 400: 400, 409: 409, 502: 502, 418: 500, 302: 500} {
		status = in
		if w := ask(h, Source{Router: "r"}, "10.0.0.5:1000", "/"); w.Code != want {
			t.Errorf("%d becomes %d, want %d", in, w.Code, want)
		}
	}
	nova.Close()
	if w := ask(h, Source{Router: "r"}, "10.0.0.5:1000", "/"); w.Code != 503 {
		t.Errorf("without Nova: %d", w.Code)
	}
}

func TestWantedListeners(t *testing.T) {
	s := cloud()
	s.Put(&desired.Port{ID: "dhcp-port-c", NetworkID: "c", Host: "h1", DeviceOwner: "network:dhcp", AdminStateUp: true})
	got := wantedListeners(s, Options{Host: "h1"})
	for _, want := range []listener{
		{"qrouter-r", "169.254.169.254:80", Source{Router: "r"}},
		{"qrouter-r", "[fe80::a9fe:a9fe%qr-i1]:80", Source{Network: "a"}},
		{"qrouter-r", "[fe80::a9fe:a9fe%qr-i2]:80", Source{Network: "b"}},
		{"qdhcp-c", "169.254.169.254:80", Source{Network: "c"}},
	} {
		if !got[want] {
			t.Errorf("nobody listens at %+v", want)
		}
		delete(got, want)
	}
	if len(got) > 0 {
		t.Errorf("listeners too many: %+v", got)
	}
}

// here is a host with one namespace: the test's own, under whatever name.
type here struct{ identity uint64 }

func (h *here) Identity(string) (uint64, error)   { return h.identity, nil }
func (h *here) Do(_ string, f func() error) error { return f() }

func TestNovaNeedsASecret(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:8775"}
	if _, err := New(Options{Host: "h", Nova: u}, &here{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("Nova without a secret is taken")
	}
	m, err := New(Options{Host: "h", Nova: u, Secret: "s"}, &here{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply(t.Context(), desired.NewState(), agent.Change{Full: true}); err != nil {
		t.Error(err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("/latest/meta-data/public-keys/0")
	f.Add("/openstack/latest/")
	g, err := loaded().find(Source{Router: "r"}, netip.MustParseAddr("10.0.0.5"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if d, ok := answer(g, path); ok && d.kind == "" {
			t.Errorf("%q has no content type", path)
		}
	})
}
