package server

import (
	"flag"
	"os"
	"strings"
	"testing"

	"neutrino/api"
)

var update = flag.Bool("update", false, "write the generated pages")

// page holds a generated page against what is in the tree.
func page(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Errorf("%s is not what the declarations give; run: go test ./server -run %s -update", path, t.Name())
	}
}

// TestReference keeps the API's page true.
func TestReference(t *testing.T) {
	s := open(t)
	page(t, "../docs/api.md", api.Reference(s.Collections(), s.Engine.Policy.Has))
	if b, err := api.OpenAPI(s.Collections(), s.Engine.Policy.Has); err != nil || !strings.Contains(string(b), `"/v2.0/ports/{id}"`) {
		t.Error(err)
	}
}
