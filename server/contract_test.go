package server

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"neutrino/engine"
)

// TestContract sends requests made from the declarations to every operation and holds the answers
// against them: only documented attributes, of their types, documented statuses, and never a 500.
// NEUTRINO_CONTRACT is how many rounds; make soak sends a thousand of another history.
func TestContract(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2")
	h := door(t, s)
	seed := seed(t)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), ids: []string{"", "x", "00000000-0000-0000-0000-000000000000"}}
	n := create(t, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
	sub := create(t, s.Network.Subnets, demo, `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/16"}}`)["id"].(string)
	g.ids = append(g.ids, n, sub)
	described := []engine.Description{}
	for _, col := range s.Collections() {
		described = append(described, col.Describe())
	}
	for range rounds(t, "NEUTRINO_CONTRACT", 40, 5) {
		for _, d := range described {
			for _, as := range []string{"admin", "demo", "reader", "nova"} {
				g.check(t, h, d, as)
			}
		}
	}
}

// generator makes requests.
type generator struct {
	*rand.Rand
	ids []string // of objects that exist, and some that don't
}

func (g *generator) pick(list []string) string { return list[g.IntN(len(list))] }

// oddities are values that nobody expects.
var oddities = []any{nil, "", " ", "x", "\x00", "*", "../..", -1, 0, 1, 1 << 40, 1.5, true, false, []any{}, []any{nil}, map[string]any{}, "10.0.0.1", "10.0.0.0/24", "fd00::/64", "::1/129",
	"network:dhcp", "compute:nova", "fa:16:3e:00:00:01", strings.Repeat("y", 300), []any{map[string]any{"subnet_id": nil}}, map[string]any{"network_id": "x"}, "PARENT", "tcp", "vlan"}

// value is one that fits an attribute, most times.
func (g *generator) value(a engine.AttributeDescription) any {
	if g.IntN(5) == 0 {
		return oddities[g.IntN(len(oddities))]
	}
	switch {
	case len(a.Schema.Enum) > 0:
		return g.pick(a.Schema.Enum)
	case a.Schema.Format == "uuid" || strings.HasSuffix(a.Name, "_id"):
		return g.pick(g.ids)
	case a.Schema.Type == "boolean":
		return g.IntN(2) == 0
	case a.Schema.Type == "integer":
		if a.Schema.Bounded && g.IntN(2) == 0 {
			return a.Schema.Min + g.IntN(min(a.Schema.Max-a.Schema.Min, 1000)+1)
		}
		return g.IntN(5000)
	case a.Schema.Type == "array":
		return []any{oddities[g.IntN(len(oddities))]}
	}
	return g.pick([]string{"n", "a name", "10.0.0.0/24", "10.0.3.4", "egress", "ingress", "IPv4"})
}

func (g *generator) object(d engine.Description, post bool) map[string]any {
	object := map[string]any{}
	for _, a := range d.Attributes {
		if a.Required && post && g.IntN(20) > 0 || (post && a.Post || !post && a.Put) && g.IntN(6) == 0 || g.IntN(200) == 0 {
			object[a.Name] = g.value(a)
		}
	}
	return object
}

func (g *generator) check(t *testing.T, h http.Handler, d engine.Description, as string) {
	t.Helper()
	path := "/v2.0/" + d.Collection
	if d.Below != "" {
		path = "/v2.0/" + d.Below + "/" + g.pick(g.ids) + "/" + d.Collection
	}
	one := path + "/" + url.PathEscape(g.pick(g.ids))
	query := ""
	for _, a := range d.Attributes {
		if g.IntN(15) == 0 {
			text, _ := g.value(a).(string)
			query += "&" + url.QueryEscape(a.Name) + "=" + url.QueryEscape(text)
		}
	}
	requests := []struct {
		method, path string
		body         any
	}{
		{"GET", path + "?limit=" + g.pick([]string{"1", "2", "0", "x"}) + query, nil},
		{"POST", path, map[string]any{d.Name: g.object(d, true)}},
		{"GET", one, nil},
		{"PUT", one, map[string]any{d.Name: g.object(d, false)}},
	}
	if g.IntN(4) == 0 {
		requests = append(requests, struct {
			method, path string
			body         any
		}{"DELETE", one, nil})
	}
	for _, a := range d.Actions {
		p := one + "/" + a.Name
		if a.Word {
			p += "/" + url.PathEscape(g.pick(g.ids))
		}
		var body any
		if a.Method == "PUT" || a.Method == "POST" {
			body = map[string]any{g.pick([]string{"subnet_id", "port_id", "router_id", "network_id", "addresses", "prefixes", "sub_ports", "router"}): oddities[g.IntN(len(oddities))]}
		}
		requests = append(requests, struct {
			method, path string
			body         any
		}{a.Method, p, body})
	}
	for _, r := range requests {
		text := ""
		if r.body != nil {
			b, err := json.Marshal(r.body)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		req := httptest.NewRequest(r.method, r.path, strings.NewReader(text))
		if text == "" {
			req.Body = http.NoBody
		}
		req.Header.Set("X-Auth-Token", as)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		switch {
		case rec.Code >= 500 && rec.Code != http.StatusServiceUnavailable && rec.Code != http.StatusNotImplemented: // what a driver does not have
			t.Errorf("%s %s as %s %s: %d %s", r.method, r.path, as, text, rec.Code, rec.Body)
		case rec.Code < 300 && rec.Body.Len() > 0:
			g.answer(t, d, r.method+" "+r.path, rec.Body.Bytes())
		case rec.Code >= 400 && rec.Code != http.StatusUnauthorized && !strings.Contains(rec.Body.String(), `"NeutronError"`):
			t.Errorf("%s %s: %d without an error: %s", r.method, r.path, rec.Code, rec.Body)
		}
	}
}

// answer holds an answer's objects against the declaration, and keeps their ids for requests to come.
func (g *generator) answer(t *testing.T, d engine.Description, what string, body []byte) {
	t.Helper()
	var m map[string]any
	if json.Unmarshal(body, &m) != nil {
		return // an action's list
	}
	var objects []any
	if object, ok := m[d.Name].(map[string]any); ok {
		objects = append(objects, object)
	} else if list, ok := m[d.Plural].([]any); ok {
		objects = list
	}
	for _, o := range objects {
		object, _ := o.(map[string]any)
		for name, v := range object {
			at := slices.IndexFunc(d.Attributes, func(a engine.AttributeDescription) bool { return a.Name == name && !a.Hidden })
			if at < 0 {
				t.Errorf("%s: %s is not documented", what, name)
				continue
			}
			if s := d.Attributes[at].Schema; !fits(v, s.Type, s.Nullable) {
				t.Errorf("%s: %s is %v (%T), documented as %+v", what, name, v, v, s)
			}
		}
		if id, ok := object["id"].(string); ok && len(g.ids) < 400 && !slices.Contains(g.ids, id) {
			g.ids = append(g.ids, id)
		}
	}
}

func fits(v any, kind string, nullable bool) bool {
	switch v.(type) {
	case nil:
		return nullable || kind == ""
	case string:
		return kind == "string" || kind == ""
	case bool:
		return kind == "boolean" || kind == ""
	case float64:
		return kind == "integer" || kind == ""
	case []any:
		return kind == "array" || kind == ""
	case map[string]any:
		return kind == "object" || kind == ""
	}
	return false
}
