package keystone

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// line is how requests get to a Keystone.
type line struct {
	options Options
	url     string // of API v3
	client  *http.Client
	circuit circuit
}

// newLine checks the options. It asks nothing yet: a Keystone that comes later will do.
func newLine(o Options) (*line, error) {
	if o.AuthURL == "" {
		return nil, errors.New("auth_url is missing")
	}
	if !strings.HasPrefix(o.AuthURL, "http://") && !strings.HasPrefix(o.AuthURL, "https://") {
		return nil, fmt.Errorf("auth_url %q does not begin with http:// or https://", o.AuthURL)
	}
	if _, err := loginBody(o); err != nil {
		return nil, err
	}
	settings, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	url := strings.TrimRight(o.AuthURL, "/")
	if !strings.HasSuffix(url, "/v3") {
		url += "/v3"
	}
	dialer := &net.Dialer{Timeout: o.RequestTimeout}
	return &line{
		options: o, url: url,
		client: &http.Client{
			Timeout: o.RequestTimeout,
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: settings, ForceAttemptHTTP2: true,
				MaxConnsPerHost: maxAsking, MaxIdleConnsPerHost: maxAsking, IdleConnTimeout: 30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// maxAsking bounds the connections to Keystone.
const maxAsking = 16

func tlsConfig(o Options) (*tls.Config, error) {
	settings := &tls.Config{InsecureSkipVerify: o.Insecure, MinVersion: tls.VersionTLS12} //nolint:gosec // insecure is the operator's option
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cafile: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cafile %s has no certificate", o.CAFile)
		}
	}
	if o.CertFile != "" {
		key := o.KeyFile
		if key == "" {
			key = o.CertFile
		}
		pair, err := tls.LoadX509KeyPair(o.CertFile, key)
		if err != nil {
			return nil, fmt.Errorf("certfile: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return settings, nil
}

// maxAnswer bounds an answer of Keystone in bytes.
const maxAnswer = 1 << 20

// send sends a request, again when it got no answer. While Keystone is known to be away nothing is sent.
func (l *line) send(ctx context.Context, method, path string, header http.Header, body []byte) (int, http.Header, []byte, error) {
	if err := l.circuit.open(l.options.Now()); err != nil {
		return 0, nil, nil, err
	}
	var err error
	for try := range l.options.Retries + 1 {
		if try > 0 {
			time.Sleep(50 * time.Millisecond << min(try, 4))
		}
		var status int
		var got http.Header
		var answer []byte
		if status, got, answer, err = l.once(ctx, method, path, header, body); err == nil && status < 500 {
			l.circuit.worked()
			return status, got, answer, nil
		}
		if err == nil {
			err = fmt.Errorf("identity service answers %d: %s", status, brief(answer))
		}
		if isTimeout(err) {
			break // it would only take as long again
		}
	}
	l.circuit.failed(l.options.Now(), err)
	return 0, nil, nil, err
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func (l *line) once(ctx context.Context, method, path string, header http.Header, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "neutrino")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, resp.Header, answer, err
}

// brief is the beginning of an answer, for logs.
func brief(answer []byte) string {
	return fmt.Sprintf("%.200q", answer)
}

// circuit keeps requests from piling up before a Keystone that is away: after a failure nothing is asked for a
// moment.
type circuit struct {
	mu    sync.Mutex
	until time.Time
	why   error
}

// restFor is how long nothing is asked after a failure.
const restFor = time.Second

func (c *circuit) open(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.until) {
		return fmt.Errorf("it was away a moment ago: %w", c.why)
	}
	return nil
}

func (c *circuit) failed(now time.Time, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until, c.why = now.Add(restFor), why
}

func (c *circuit) worked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Time{}
}
