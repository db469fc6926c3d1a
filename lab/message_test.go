package lab

import (
	"strings"
	"testing"
)

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"op":"run","argv":["true"]}`))
	f.Add([]byte(`{"op":"spawn","argv":["a"],"instance":"../x","service":"s"}`))
	f.Add([]byte(`{"op":"kill","service":"agent","signal":9}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := decodeRequest(data)
		if err != nil {
			return
		}
		if req.Op == "" || (req.Op == "run" || req.Op == "spawn") && len(req.Argv) == 0 {
			t.Errorf("accepted %q", data)
		}
		if req.Instance != "" && strings.ContainsAny(req.Instance, "/. \x00") {
			t.Errorf("accepted an instance called %q", req.Instance)
		}
	})
}

func TestRequestsThatAreRefused(t *testing.T) {
	for _, text := range []string{``, `{}`, `null`, `{"op":"run"}`, `{"op":"spawn","argv":[]}`,
		`{"op":"run","argv":["a"],"instance":"../etc"}`, `{"op":"run","argv":["a"],"instance":"-x"}`, `{"op":"run","argv":"a"}`} {
		if req, err := decodeRequest([]byte(text)); err == nil {
			t.Errorf("%s: accepted as %+v", text, req)
		}
	}
}

func FuzzRights(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0}) // SCM_CREDENTIALS, no files
	f.Fuzz(func(t *testing.T, oob []byte) {
		if len(oob) >= 16 && oob[12] == 1 {
			t.Skip("would name files of this very process")
		}
		if files, err := rights(oob); err == nil && len(files) > 0 {
			t.Errorf("%d files out of %x", len(files), oob)
		}
	})
}
