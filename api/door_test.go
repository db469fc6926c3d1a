package api

import (
	"strings"
	"testing"

	"neutrino/engine"
)

// moved is a collection at another path.
type moved struct {
	engine.Collection
	path string
}

func (m moved) Describe() engine.Description {
	d := m.Collection.Describe()
	d.Collection = m.path
	return d
}

// TestPaths: paths are as declared, with or without a service's prefix, hyphens or underscores, and suffix.
func TestPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Collections = []engine.Collection{moved{o.Collections[0], "shop/wid-gets"}} })
	for path, want := range map[string]int{
		"/v2.0/shop/wid-gets": 200, "/v2.0/shop/wid-gets.json": 200, "/v2.0/shop/wid-gets/": 200, "/v2.0/wid-gets": 200, "/v2.0/shop/wid_gets/" + alpha: 200,
		"/v2.0/shop": 404, "/v2.0/shop/": 404, "/v2.0/wid-gets/shop/" + alpha: 404, "/v2.0/other/wid-gets": 404, "/v2.0": 404, "/v2.0/": 200, "/v3/wid-gets": 404,
		"/v2.0/wid-gets/" + alpha + "/tags/red": 204, "/v2.0/wid-gets/" + alpha + "/tags/red/more": 404, "/v2.0//": 404,
	} {
		if out := w.do("a", "GET", path, "", nil); out.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, out.Code, want, out.Body)
		}
	}
	if out := w.do("a", "GET", "http://x/v2.0/", "", nil).Body.String(); !strings.Contains(out, `"href": "http://x/v2.0/shop/wid-gets"`) {
		t.Errorf("the list of resources: %s", out)
	}
	if _, err := New(Options{Engine: w.engine, Collections: []engine.Collection{w.widgets, w.widgets}}); err == nil {
		t.Error("two resources at one path were taken")
	}
}

// TestServices: a service's own token adds its roles to the caller's, for that call alone.
func TestServices(t *testing.T) {
	t.Parallel()
	kept := callers["a"]
	shared := constant{&kept}
	w := newWorld(t, func(o *Options) { o.Authenticator = shared })
	if out := w.do("any", "GET", "/v2.0/wid-gets", "", map[string]string{"X-Service-Token": "any"}); out.Code != 200 {
		t.Errorf("%d %s", out.Code, out.Body)
	}
	if kept.ServiceRoles != nil {
		t.Errorf("the authenticator's own copy has service roles now: %v", kept.ServiceRoles)
	}
}

// TestMetrics: calls are counted by labels that clients can't invent, and secrets stay out of log and metrics.
// A service's id for a chain of calls is logged beside ours, if it is one.
func TestGlobalRequestID(t *testing.T) {
	t.Parallel()
	id := "req-11111111-2222-4333-8444-555555555555"
	for _, given := range []string{id, "req-x\" forged=\"y", id + "0"} {
		w := newWorld(t)
		out := w.do("a", "GET", "/v2.0/wid-gets", "", map[string]string{"X-Openstack-Request-Id": given})
		if own := out.Header().Get("X-Openstack-Request-Id"); own == given {
			t.Errorf("%q was taken as our own", given)
		}
		if logged := strings.Contains(w.log.String(), "global_request_id="); logged != (given == id) {
			t.Errorf("%q: the log has %s", given, w.log.String())
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do("a", "GET", "/v2.0/wid-gets", "", nil)
	w.do("a", "BREW", "/v2.0/coffee", "", nil)
	w.do("stolen-token", "GET", "/v2.0/wid-gets", "", nil)
	text := w.do("", "GET", "/metrics", "", nil).Body.String()
	for _, want := range []string{
		`neutrino_api_requests_total{collection="wid_gets",method="GET",status="200"} 1`,
		`neutrino_api_requests_total{collection="other",method="other",status="404"} 1`,
		`neutrino_api_request_seconds_count{collection="wid_gets",method="GET"}`,
		"neutrino_api_requests_in_flight 1", // this one
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, "coffee") || strings.Contains(text+w.log.String(), "stolen-token") {
		t.Error("a client's invention is a label, or a token is told")
	}
	if log := w.log.String(); !strings.Contains(log, "project="+projectA+" user=ann") {
		t.Errorf("the log does not say who: %s", log)
	}
}

// TestServiceRolesRequired: with service_token_roles_required a service token without such a role is refused.
func TestServiceRolesRequired(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.ServiceRolesRequired = true })
	for service, want := range map[string]int{"service": 200, "b": 401} {
		if out := w.do("a", "GET", "/v2.0/wid-gets", "", map[string]string{"X-Service-Token": service}); out.Code != want {
			t.Errorf("%s: %d, want %d", service, out.Code, want)
		}
	}
}
