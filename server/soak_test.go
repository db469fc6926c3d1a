package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// seed is which history of random requests a test tells: the same every time, so that a red run says something about
// the change; NEUTRINO_SEED chooses another one, 0 by chance.
func seed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv("NEUTRINO_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("NEUTRINO_SEED: %v", err)
		}
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	return seed
}

// rounds is how much a random test does: as much as the environment's variable says, or one of the defaults.
func rounds(t *testing.T, variable string, long, short int) int {
	t.Helper()
	if text := os.Getenv(variable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return long
}

// TestRandomRequests sends random paths and query strings to the door: no answer is the server's fault, and
// afterwards no goroutine and no memory is left of them. NEUTRINO_SOAK is how many; make soak sends a million.
func TestRandomRequests(t *testing.T) {
	requests := rounds(t, "NEUTRINO_SOAK", 20000, 2000)
	s := open(t)
	hosts(t, s, "h1")
	h := door(t, s)
	seed := seed(t)
	p := newPaths(s, rand.New(rand.NewPCG(seed, 2)))
	n := create(t, s.Network.Networks, demo, `{"network": {"name": "n"}}`)["id"].(string)
	create(t, s.Network.Subnets, demo, `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/24"}}`)
	port := create(t, s.Network.Ports, demo, `{"port": {"network_id": "`+n+`"}}`)["id"].(string)
	group := create(t, s.Security.Groups, demo, `{"security_group": {"name": "g"}}`)["id"].(string)
	p.words = append(p.words, n, port, group, demo.ProjectID)

	counts := map[int]int{}
	send := func(n int) {
		for range n {
			method, target := p.request()
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			req := (&http.Request{Method: method, URL: target, Host: "h", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody, RemoteAddr: "192.0.2.1:1"}).WithContext(ctx)
			req.Header.Set("X-Auth-Token", p.pick([]string{"admin", "admin", "demo", "demo", "reader", "nova", "nobody"}))
			out := httptest.NewRecorder()
			h.ServeHTTP(out, req)
			cancel()
			counts[out.Code/100]++
			if (out.Code >= 500 || out.Code < 200) && out.Code != http.StatusNotImplemented { // which the original says of POST /quotas
				t.Errorf("%s %s?%s: %d %s", method, target.EscapedPath(), target.RawQuery, out.Code, out.Body)
			}
		}
	}
	send(requests / 4) // pools and caches fill
	goroutines, heap := runtime.NumGoroutine(), liveHeap()
	send(requests - requests/4)
	if counts[2] < requests/20 || counts[4] < requests/20 {
		t.Errorf("answers by hundreds: %v: the requests are too much alike", counts)
	}
	for began := time.Now(); runtime.NumGoroutine() > goroutines+2; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("there were %d goroutines, now there are %d", goroutines, runtime.NumGoroutine())
		}
	}
	if after := liveHeap(); after > heap+8<<20 {
		t.Errorf("the heap has grown from %d to %d kB in %d requests", heap>>10, after>>10, requests)
	}
	t.Logf("answers by hundreds: %v", counts)
}

// liveHeap is how many bytes of the heap are in use.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held after the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// paths makes paths and query strings: mostly of words that mean something, put together at random.
type paths struct {
	*rand.Rand
	collections, words, keys []string
	filters                  map[string][]string // of a collection
}

func newPaths(s *Services, r *rand.Rand) *paths {
	p := &paths{Rand: r, filters: map[string][]string{}, collections: []string{"quotas", "extensions", "nothing", ""}}
	known := map[string]bool{}
	for _, col := range s.Collections() {
		d := col.Describe()
		p.collections = append(p.collections, d.Collection)
		if d.Below != "" {
			p.collections = append(p.collections, d.Below+"/x/"+d.Collection)
		}
		p.words = append(p.words, d.Collection, d.Plural)
		for _, a := range d.Actions {
			p.words = append(p.words, a.Name)
		}
		for _, a := range d.Attributes {
			if a.Filter {
				p.filters[d.Collection] = append(p.filters[d.Collection], a.Name)
			}
			if !known[a.Name] {
				known[a.Name] = true
				p.keys = append(p.keys, a.Name)
			}
		}
	}
	p.words = append(p.words, "tags", "details", "default", "project", "null", "None", "x", "00000000-0000-0000-0000-000000000000", "..", ".", "*", "%", "'", "\"", "a b", "é", "\x00", "\xff", "日本", strings.Repeat("y", 300))
	p.keys = append(p.keys, "fields", "fields", "limit", "limit", "marker", "page_reverse", "sort_key", "sort_dir", "tags", "tags-any", "not-tags", "not-tags-any", "changed-since", "all_rules", "nothing", "")
	return p
}

func (p *paths) pick(list []string) string { return list[p.IntN(len(list))] }

// text is a value for a query.
func (p *paths) text() string {
	switch p.IntN(8) {
	case 0:
		return fmt.Sprint(p.Int64() - p.Int64())
	case 1:
		return p.pick([]string{"", "0", "1", "-1", "True", "false", "asc", "desc", "1e3", "0x10", "10.0.0.1", "10.0.0.0/8", "fd00::1", "ip_address=10.0.0.1", "ip_address_substr=0", "subnet_id=x", "=", "a=b=c", "ACTIVE", "2024-01-01T00:00:00"})
	case 2:
		return p.pick(p.keys)
	case 3:
		return p.noise(40)
	case 4:
		return strings.Repeat(p.pick(p.words)+",", p.IntN(30))
	}
	return p.pick(p.words)
}

// noise is up to n bytes of anything.
func (p *paths) noise(n int) string {
	b := make([]byte, p.IntN(n))
	for i := range b {
		b[i] = byte(p.Uint32())
	}
	return string(b)
}

// request is a method and what it asks for. Bodies are not what this is about: what is written has none.
func (p *paths) request() (string, *url.URL) {
	method := p.pick([]string{"GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "PUT", "POST", "PATCH", "OPTIONS", "BREW", "DELETE"})
	collection := p.pick(p.collections)
	path := "/v2.0/" + collection
	switch p.IntN(20) {
	case 0:
		path = "/" + p.noise(30)
	case 1:
		path = p.pick([]string{"/", "/v2.0", "/v2.0/", "/healthcheck", "/metrics", "/openapi.json", "/v2.1/networks", "//v2.0/networks", ""})
	}
	for range max(0, p.IntN(8)-4) {
		if p.IntN(10) == 0 {
			path += "/" + p.noise(20)
		} else {
			path += "/" + p.pick(p.words)
		}
	}
	path += p.pick([]string{"", "", "", "", "", "/", ".json", "//"})
	target := &url.URL{Path: path}
	if p.IntN(12) == 0 {
		target.RawQuery = p.noise(60)
		return method, target
	}
	keys := p.keys
	if own := p.filters[collection]; len(own) > 0 && p.IntN(3) > 0 {
		keys = append(own, "fields", "limit", "sort_key", "marker")
	}
	var query []string
	for range max(0, p.IntN(6)-2) {
		query = append(query, url.QueryEscape(p.pick(keys))+"="+url.QueryEscape(p.text()))
	}
	target.RawQuery = strings.Join(query, p.pick([]string{"&", "&", "&", "&&", ";"}))
	return method, target
}
