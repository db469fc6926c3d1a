package identity

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestLogins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	adminToken := b.login("root", onAdmin)
	long := strings.Repeat("x", 80)
	for _, test := range []struct {
		name, body string
		status     int
		want       string // in the answer
	}{
		{"project by id", loginBody("demo", "secret", onDemo), 201, `"project":{"domain":{"id":"default","name":"Default"},"id":"` + demoID},
		{"project by name", loginBody("root", "secret", onAdmin), 201, `"roles":[{"id":`},
		{"default project", loginBody("demo", "secret", ""), 201, `"name":"demo"`},
		{"no default project", loginBody("alt", "secret", ""), 201, `"methods":["password"],"user"`},
		{"domain", loginBody("alt", "secret", `{"domain":{"name":"Default"}}`), 201, `"domain":{"id":"default","name":"Default"}`},
		{"system", loginBody("root", "secret", onSystem), 201, `"system":{"all":true}`},
		{"unscoped", loginBody("demo", "secret", unscoped), 201, `"user"`},
		{"unscoped as text", loginBody("demo", "secret", `"unscoped"`), 201, `"user"`},
		{"bcrypt", loginBody("hashed", "secret", onDemo), 201, `"user"`},
		{"rescoped", rescopeBody(adminToken, onSystem), 201, `"methods":["token","password"]`},

		{"wrong password", loginBody("demo", "Secret", onDemo), 401, "requires authentication"},
		{"wrong password, bcrypt", loginBody("hashed", "Secret", onDemo), 401, "requires authentication"},
		{"too long", loginBody("hashed", long, onDemo), 401, "requires authentication"},
		{"empty password of one who has none", loginBody("mute", "", ""), 401, "requires authentication"},
		{"no such user", loginBody("nobody", "secret", onDemo), 401, "requires authentication"},
		{"disabled user", loginBody("off", "secret", onDemo), 401, "requires authentication"},
		{"user of a disabled domain", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"gone","domain":{"name":"Closed"},"password":"secret"}}}}}`, 401, ""},
		{"no role there", loginBody("demo", "secret", onAdmin), 401, "requires authentication"},
		{"disabled project", loginBody("demo", "secret", `{"project":{"name":"shut","domain":{"id":"default"}}}`), 401, ""},
		{"no such project", loginBody("demo", "secret", `{"project":{"id":"x"}}`), 401, ""},
		{"no role in the system", loginBody("demo", "secret", onSystem), 401, ""},
		{"no role in the domain", loginBody("demo", "secret", `{"domain":{"id":"default"}}`), 401, ""},
		{"garbage token", rescopeBody("garbage", onDemo), 401, ""},
		{"unknown method", `{"auth":{"identity":{"methods":["totp"]}}}`, 401, ""},
		{"password and another's token", `{"auth":{"identity":{"methods":["password","token"],"token":{"id":"` + adminToken +
			`"},"password":{"user":{"id":"u-demo","password":"secret"}}}}}`, 401, ""},

		{"nothing", "", 400, "not the JSON"},
		{"no JSON", "{", 400, "not the JSON"},
		{"two values", loginBody("demo", "secret", "") + "{}", 400, "more than one"},
		{"empty", "{}", 400, "'auth' is a required property"},
		{"no identity", `{"auth":{}}`, 400, "'identity' is a required property"},
		{"no methods", `{"auth":{"identity":{}}}`, 400, "'methods' is a required property"},
		{"method without its part", `{"auth":{"identity":{"methods":["password"]}}}`, 400, "password"},
		{"twice", `{"auth":{"identity":{"methods":["token","token"],"token":{"id":"x"}}}}`, 400, "twice"},
		{"token without id", `{"auth":{"identity":{"methods":["token"]}}}`, 400, "identity.token.id"},
		{"user without domain", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"demo","password":"x"}}}}}`, 400, "domain"},
		{"wrong type", `{"auth":{"identity":{"methods":"password"}}}`, 400, "not the JSON"},
		{"two scopes", loginBody("demo", "secret", `{"project":{"id":"x"},"system":{"all":true}}`), 400, "only one"},
		{"strange scope", loginBody("demo", "secret", `{"OS-TRUST:trust":{"id":"x"}}`), 400, "not supported"},
		{"half a scope", loginBody("demo", "secret", `{"project":{"name":"x"}}`), 400, "project scope"},
		{"system, not all", loginBody("demo", "secret", `{"system":{"all":false}}`), 400, "system scope"},
		{"too large", `{"auth":"` + strings.Repeat("x", maxBody) + `"}`, 413, "larger"},
	} {
		w := b.ask("POST", "/v3/auth/tokens", test.body)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %d %s; want %d with %s", test.name, w.Code, w.Body, test.status, test.want)
		}
		if got := w.Header().Get("X-Subject-Token") != ""; got != (test.status == 201) {
			t.Errorf("%s: token given: %v", test.name, got)
		}
		if w.Code == 401 && !strings.Contains(w.Header().Get("WWW-Authenticate"), `Keystone uri="http://cloud.example:9696/identity"`) {
			t.Errorf("%s: WWW-Authenticate is %q", test.name, w.Header().Get("WWW-Authenticate"))
		}
	}
}

// FuzzLogin: whatever the body, the answer is one of the statuses of a login and an error in Keystone's form.
func FuzzLogin(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", `{"auth":null}`, loginBody("demo", "secret", onDemo), loginBody("demo", "x", onSystem), loginBody("demo", "x", `"unscoped"`),
		rescopeBody("x", onDemo), loginBody("demo", "secret", `{"domain":null}`), loginBody("demo", "secret", `{"project":null}`),
		`{"auth":{"identity":{"methods":["password"],"password":{"user":null}}}}`, `{"auth":{"scope":[]}}`,
	} {
		f.Add([]byte(body))
	}
	b := newBench(f)
	handler := b.Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		b.wait(time.Minute) // so that nobody is locked out
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/v3/auth/tokens", io.NopCloser(bytes.NewReader(body))))
		var answer struct {
			Token *struct{ Methods []string }
			Error *struct {
				Code           int
				Title, Message string
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		switch w.Code {
		case 201:
			if answer.Token == nil || w.Header().Get("X-Subject-Token") == "" {
				t.Errorf("201 without a token: %s", w.Body)
			}
		case 400, 401, 413, 429:
			if answer.Error == nil || answer.Error.Code != w.Code || answer.Error.Message == "" {
				t.Errorf("%d with %s", w.Code, w.Body)
			}
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
