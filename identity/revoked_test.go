package identity

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRevocationsAreCompacted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 2 {
		token := b.login("demo", onDemo)
		b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token)
		b.wait(40 * time.Minute)
	}
	if err := b.revoked.compact(b.now()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(b.dir, revokedFile))
	if err != nil || bytes.Count(data, []byte("\n")) != 1 || len(b.revoked.until) != 1 {
		t.Errorf("of one live and one expired, %q is left, %v", data, err)
	}
}

func TestTornRevocation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := filepath.Join(b.dir, revokedFile)
	if err := os.WriteFile(path, []byte("one 99999999999\ntwo 999"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := b.login("demo", onDemo)
	if w := b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token); w.Code != 204 {
		t.Fatalf("revoke: %d %s", w.Code, w.Body)
	}
	b.reopen()
	if _, err := b.Authenticate(context.Background(), token); err == nil {
		t.Error("a revocation after a torn one is lost")
	}
	if !b.revoked.has("one") || b.revoked.has("two") {
		t.Errorf("revoked: %v", b.revoked.until)
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{StateDir: b.dir, PublicURL: "http://x"}); err == nil {
		t.Error("a list of revoked tokens that is not understood opens")
	}
}
