package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Trust is how https servers are checked: by the authorities of a file, or with "" by the system's (nil).
func Trust(cafile string) (*tls.Config, error) {
	if cafile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(cafile)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", cafile)
	}
	return c, nil
}
