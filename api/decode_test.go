package api

import (
	"encoding/json"
	"testing"

	"neutrino/fault"
)

// FuzzDecode holds bodies to: a value that JSON can write again, or the client's fault; never a panic.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"network": {"name": "a\"b", "n": 1e3}}`, "[[[[", `{"a": 1} 2`, "\x00", `"\ud800"`, "nul"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := decode(body)
		if err != nil {
			if e, ok := fault.As(err); !ok || e.Status != 400 {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if _, err := json.Marshal(v); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
	})
}

func TestKnownExtensions(t *testing.T) {
	if _, err := knownExtensions(Extensions(nil)); err != nil {
		t.Error(err)
	}
	if _, err := knownExtensions([]string{"unicorn"}); err == nil {
		t.Error("an unknown alias was taken")
	}
}
