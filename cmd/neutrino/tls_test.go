package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"neutrino/agent"
	"neutrino/agent/inspect"
	"neutrino/desired"
)

// certificate makes a certificate for 127.0.0.1 that is its own authority, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "neutrino"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, is, is, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return write(t, "cert.pem", text("CERTIFICATE", signed)), write(t, "key.pem", text("PRIVATE KEY", secret))
}

// said is a log that can be searched while it is written.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) has(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), words)
}

// TestHTTPS serves by use_ssl, and an agent follows by cafile.
func TestHTTPS(t *testing.T) {
	cert, key := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := write(t, "neutron.conf", fmt.Sprintf("[DEFAULT]\nbind_host = 127.0.0.1\nbind_port = %d\nuse_ssl = true\n[ssl]\ncert_file = %s\nkey_file = %s\n[neutrino]\nstate_dir = %s\n", port, cert, key, dir))
	ctx, cancel := context.WithCancel(t.Context())
	cmd := serverCommand()
	cmd.SetArgs([]string{"--config-file", conf})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	pool, err := authorities(cert)
	if err != nil {
		t.Fatal(err)
	}
	secure := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: secure}}
	defer client.CloseIdleConnections()
	url := fmt.Sprintf("https://127.0.0.1:%d", port)
	var body []byte
	for range 500 {
		resp, err := client.Get(url + "/")
		if err == nil {
			body, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !strings.Contains(string(body), url+"/v2.0") {
		t.Fatalf("%s", body)
	}
	if resp, err := http.Get("http" + strings.TrimPrefix(url, "https")); err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Error("plain HTTP is served")
		}
	}

	secret, err := os.ReadFile(filepath.Join(dir, "agent-secret"))
	if err != nil {
		t.Fatal(err)
	}
	// show-host believes the server by the agent's files, by a flag, or by what the agent has kept.
	files := write(t, "agent.conf", fmt.Sprintf("[neutrino]\ncafile = %s\nsecret_file = %s\n", cert, filepath.Join(dir, "agent-secret")))
	kept := t.TempDir()
	if err := (inspect.Layout{Host: "h", CAFile: cert}).Save(kept); err != nil {
		t.Fatal(err)
	}
	secretFlag := []string{"--secret-file", filepath.Join(dir, "agent-secret")}
	for name, test := range map[string]struct {
		args []string
		ok   bool
	}{
		"files": {[]string{"--config-file", files}, true}, "flag": {append(secretFlag, "--cafile", cert), true},
		"kept": {append(secretFlag, "--state-dir", kept), true}, "nothing": {append(secretFlag, "--state-dir", t.TempDir()), false},
	} {
		var out bytes.Buffer
		show := showHostCommand()
		show.SilenceErrors, show.SilenceUsage = true, true
		show.SetOut(&out)
		show.SetArgs(append([]string{"h", "--server", url}, test.args...))
		err := show.ExecuteContext(ctx)
		if believed := err == nil || !strings.Contains(err.Error(), "certificate"); believed != test.ok {
			t.Errorf("%s: %v %s", name, err, &out)
		}
	}
	for file, want := range map[string]bool{cert: true, "": false} {
		found := inspect.CheckServers(ctx, inspect.Layout{Servers: []string{url}, CAFile: file}, strings.TrimSpace(string(secret)))
		if len(found) == 0 || found[0].OK != want {
			t.Errorf("check with cafile %q: %+v", file, found)
		}
	}
	for name, with := range map[string]*tls.Config{"following": secure, "unknown authority": nil} {
		var log said
		a := agent.New(agent.Options{Servers: []string{url}, Secret: strings.TrimSpace(string(secret)), Host: "h", TLS: with,
			Describe: func() []desired.AgentState { return nil }}, slog.New(slog.NewTextHandler(&log, nil)))
		actx, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); _ = a.Run(actx) }()
		for i := 0; !log.has(name); i++ {
			if i > 500 {
				t.Errorf("the agent's log does not say %q: %s", name, log.text.String())
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		stop()
		<-ended
	}
}
