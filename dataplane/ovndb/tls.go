package ovndb

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Files are what a connection of type ssl needs: our key and certificate, and whose signatures count.
type Files struct{ Key, Certificate, CA string }

// Config reads the files; nil when there are none.
func (f Files) Config() (*tls.Config, error) {
	if f == (Files{}) {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("read our certificate for OVN's databases: %w", err)
	}
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read the certificates that OVN's databases are checked by: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s has no certificate", f.CA)
	}
	// OVSDB's certificates name no hosts: what counts is who has signed them (ovs-pki(8)).
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: pool, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			chain := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				chain.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: chain, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			return err
		},
	}, nil
}
