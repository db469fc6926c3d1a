package identity

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestBootstrap(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := Bootstrap(dir, "http://127.0.0.1:9696"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	before, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{identityFile, cloudsFile, keysDir + "/0", keysDir + "/1"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := Bootstrap(dir, "http://127.0.0.1:9696"); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, identityFile)); !bytes.Equal(before, after) {
		t.Error("a second start changes the identities")
	}
	var clouds struct {
		Clouds map[string]cloud `yaml:"clouds"`
	}
	data, err := os.ReadFile(filepath.Join(dir, cloudsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &clouds); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s, err := Open(Options{StateDir: dir, PublicURL: "http://127.0.0.1:9696", Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Service: s, t: t}
	for name, roles := range map[string]string{
		"neutrino-admin": "admin manager member reader", "demo": "member reader", "alt": "member reader", "service": "service",
	} {
		auth := clouds.Clouds[name].Auth
		w := b.ask("POST", "/v3/auth/tokens", loginBody(auth["username"], auth["password"],
			fmt.Sprintf(`{"project":{"name":%q,"domain":{"name":%q}}}`, auth["project_name"], auth["project_domain_name"])))
		c, err := s.Authenticate(context.Background(), w.Header().Get("X-Subject-Token"))
		if err != nil || strings.Join(c.Roles, " ") != roles || len(c.ProjectID) != 32 || len(c.UserID) != 32 {
			t.Errorf("%s: %+v, %v, %s", name, c, err, w.Body)
		}
		if bytes.Contains(before, []byte(auth["password"])) {
			t.Errorf("the password of %s is in %s", name, identityFile)
		}
	}
	if said.Len() > 0 {
		t.Errorf("a fresh start complains: %s", said.String())
	}
	for _, bad := range []string{"", "cloud:9696", "ftp://x", "http://", "http://u:p@x", "http://x?y"} {
		if err := Bootstrap(dir, bad); err == nil {
			t.Errorf("the public URL %q is accepted", bad)
		}
	}
}
