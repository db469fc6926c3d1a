package ovndb_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
)

// authority signs certificates, as ovs-pki's does: they name no hosts.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(dir, "ca.pem")}
	a.cert, a.key = certificate(t, nil, nil, a.file, filepath.Join(dir, "ca-key.pem"))
	return a
}

// files makes a key and a certificate of somebody's.
func (a *authority) files(t *testing.T, dir string) ovndb.Files {
	t.Helper()
	f := ovndb.Files{Key: filepath.Join(dir, "key.pem"), Certificate: filepath.Join(dir, "cert.pem"), CA: a.file}
	certificate(t, a.cert, a.key, f.Certificate, f.Key)
	return f
}

// certificate writes one; without a signer it signs itself, and may sign others.
func certificate(t *testing.T, signer *x509.Certificate, with *ecdsa.PrivateKey, certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: filepath.Base(keyFile)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: signer == nil, BasicConstraintsValid: true,
	}
	if signer == nil {
		signer, with = form, key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, signer, &key.PublicKey, with)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// Over TLS both sides must show certificates of the authority; a server of another's is not followed.
func TestTLS(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t, t.TempDir()), newAuthority(t, t.TempDir())
	c := ovntest.Start(t, false)
	server := ours.files(t, t.TempDir())
	at := c.Secure(t, server.Key, server.Certificate, server.CA)
	connect := func(f ovndb.Files) error {
		secure, err := f.Config()
		if err != nil {
			t.Fatal(err)
		}
		client := ovndb.New(ovndb.Options{Endpoints: []string{at}, TLS: secure, Database: "OVN_Northbound", Tables: map[string][]string{"NB_Global": nil}, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = client.Run(ctx) }()
		defer func() { cancel(); <-done }()
		for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if err = client.Ready(); err == nil {
				return nil
			}
		}
		return err
	}
	good := ours.files(t, t.TempDir())
	var err error
	for range 10 {
		if err = connect(good); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("a good certificate does not do: %v", err)
	}
	stranger := good
	stranger.CA = others.file
	if connect(stranger) == nil {
		t.Error("a server that our authority has not signed is followed")
	}
	forged := others.files(t, t.TempDir())
	forged.CA = ours.file
	if connect(forged) == nil {
		t.Error("the server takes a certificate of another authority")
	}
	if _, err := (ovndb.Files{Key: "/nowhere", Certificate: "/nowhere", CA: "/nowhere"}).Config(); err == nil {
		t.Error("files that are not there do")
	}
}
