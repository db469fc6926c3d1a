package keystone

import (
	"strings"
	"testing"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"token": {"expires_at": "2026-01-01T00:00:00.000000Z", "user": {"id": "u", "domain": {"id": "default"}}, "system": {"all": true}, "roles": [{"name": "reader"}]}}`,
		`{"token": {"expires_at": "yesterday"}}`, `{"token": null}`, `[]`, ``, `{"token": {"expires_at": "2026-01-01T00:00:00Z", "user": {"id": ""}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, until, err := decode(text)
		if err == nil && (c.UserID == "" || until.IsZero() && len(text) == 0) {
			t.Errorf("somebody without an id: %+v", c)
		}
	})
}

func FuzzEndpoint(f *testing.F) {
	for _, seed := range []string{
		`{"token": {"catalog": [{"type": "compute", "endpoints": [{"interface": "public", "region": "R", "region_id": "R", "url": "http://n/v2.1/"}]}]}}`,
		`{"token": {"catalog": [{"type": "compute", "endpoints": []}]}}`, `{"token": null}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		url, err := endpoint(text, Want{Type: "compute", Interface: "publicURL", Region: "R"})
		if err == nil && strings.HasSuffix(url, "/") {
			t.Errorf("%q", url)
		}
	})
}

// TestEndpoint finds a service by what is asked for.
func TestEndpoint(t *testing.T) {
	const catalog = `{"token": {"catalog": [{"type": "identity", "endpoints": [{"interface": "public", "region": "a", "url": "http://k"}]},
		{"type": "compute", "endpoints": [{"interface": "public", "region": "a", "region_id": "a", "url": "http://a/v2.1/"},
		{"interface": "public", "region": "b", "region_id": "b", "url": "http://b"}, {"interface": "internal", "region": "b", "region_id": "b", "url": "http://i"}]}]}}`
	for _, test := range []struct {
		want Want
		url  string // "": there is none
	}{
		{Want{"compute", "public", ""}, "http://a/v2.1"},
		{Want{"compute", "public", "b"}, "http://b"},
		{Want{"compute", "internalURL", ""}, "http://i"},
		{Want{"compute", "internal", "a"}, ""},
		{Want{"compute", "admin", ""}, ""},
		{Want{"placement", "public", ""}, ""},
	} {
		url, err := endpoint([]byte(catalog), test.want)
		if url != test.url || (err == nil) != (test.url != "") {
			t.Errorf("%+v: %q %v", test.want, url, err)
		}
	}
}
