package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"context"

	"neutrino/api"
	"neutrino/identity"
	"neutrino/policy"
)

// A story is requests in order to one server, each with what must come of it. Words like $net in paths
// and bodies are values that earlier steps kept.
type step struct {
	as     string // admin, demo (a member), other (a member of another project), reader, manager, service; "" is admin
	do     string // "POST /networks"; /v2.0 is put before the path
	body   string
	status int
	want   []string // texts that the answer has
	not    []string // texts that it does not have
	keep   string   // "net": the made object's id is $net; "rule=security_group_rules.0.id": that place of the answer
}

// cast are the callers of stories.
var cast = map[string]*policy.Credentials{
	"admin":   admin,
	"demo":    demo,
	"manager": {UserID: "u4", ProjectID: demo.ProjectID, Roles: []string{"manager", "member", "reader"}},
	"reader":  {UserID: "u2", ProjectID: demo.ProjectID, Roles: []string{"reader"}},
	"other":   {UserID: "u3", ProjectID: "33333333333333333333333333333333", Roles: []string{"member", "reader"}},
	"service": {UserID: "u5", ProjectID: "44444444444444444444444444444444", Roles: []string{"service"}},
	"nova":    {UserID: "u6", ProjectID: "44444444444444444444444444444444", Roles: []string{"admin", "manager", "member", "reader", "service"}},
}

type castAuthenticator struct{}

func (castAuthenticator) Authenticate(_ context.Context, token string) (*policy.Credentials, error) {
	if c := cast[token]; c != nil {
		own := *c
		return &own, nil
	}
	return nil, identity.ErrInvalidToken
}

// door is the API over services, without a network.
func door(t testing.TB, s *Services) http.Handler {
	t.Helper()
	h, err := api.New(api.Options{
		Engine: s.Engine, Collections: s.Collections(), Authenticator: castAuthenticator{},
		Extensions: api.Extensions(s.Network.Extensions()), Log: failures(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// tell runs a story on fresh services, with hosts h1 and h2.
func tell(t *testing.T, steps []step) {
	t.Helper()
	s := open(t)
	hosts(t, s, "h1", "h2")
	tellOn(t, s, map[string]string{}, steps)
}

func tellOn(t *testing.T, s *Services, kept map[string]string, steps []step) {
	t.Helper()
	h := door(t, s)
	for name, c := range cast {
		kept[name] = c.ProjectID
	}
	for i, st := range steps {
		method, path, _ := strings.Cut(expand(st.do, kept), " ")
		var body io.Reader
		if st.body != "" {
			body = bytes.NewReader([]byte(expand(st.body, kept)))
		}
		req := httptest.NewRequest(method, "/v2.0"+path, body)
		as := st.as
		if as == "" {
			as = "admin"
		}
		req.Header.Set("X-Auth-Token", as)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		answer := rec.Body.String()
		name := fmt.Sprintf("step %d: %s %s %s", i+1, as, st.do, expand(st.body, kept))
		if rec.Code != st.status {
			t.Fatalf("%s\n%d, want %d: %s", name, rec.Code, st.status, answer)
		}
		for _, text := range st.want {
			if !strings.Contains(answer, expand(text, kept)) {
				t.Errorf("%s\nwant %s in %s", name, expand(text, kept), answer)
			}
		}
		for _, text := range st.not {
			if strings.Contains(answer, expand(text, kept)) {
				t.Errorf("%s\nnot %s in %s", name, expand(text, kept), answer)
			}
		}
		if st.keep != "" {
			keepValue(t, name, kept, st.keep, rec.Body.Bytes())
		}
	}
}

// expand puts kept values in place of $words; longer names first.
func expand(text string, kept map[string]string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		end := strings.IndexFunc(rest, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_')
		})
		if end < 0 {
			end = len(rest)
		}
		if value, known := kept[rest[:end]]; known {
			b.WriteString(value)
		} else {
			b.WriteString("$" + rest[:end])
		}
		text = rest[end:]
	}
}

func keepValue(t *testing.T, step string, kept map[string]string, what string, answer []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(answer, &v); err != nil {
		t.Fatalf("%s: %v in %s", step, err, answer)
	}
	name, place, found := strings.Cut(what, "=")
	if !found {
		m, _ := v.(map[string]any)
		for _, inner := range m {
			if object, ok := inner.(map[string]any); ok {
				kept[name], _ = object["id"].(string)
			}
		}
		return
	}
	for _, word := range strings.Split(place, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[word]
		case []any:
			at := 0
			if _, err := fmt.Sscan(word, &at); err != nil || at >= len(x) {
				t.Fatalf("%s: no %s in %s", step, place, answer)
			}
			v = x[at]
		}
	}
	kept[name] = fmt.Sprint(v)
}
