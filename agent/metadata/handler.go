package metadata

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	novaTimeout  = 60 * time.Second
	maxBody      = 1 << 20 // bytes of a guest's request
	perGuest     = 16      // requests under way
	headerWait   = 10 * time.Second
	requestWait  = 30 * time.Second
	maxHeader    = 16 << 10
	maxListening = 512 // connections of one listener
)

// Counters count requests by what became of them.
type Counters struct {
	Answered atomic.Uint64 // by us or by Nova, with 2xx or 3xx
	Missing  atomic.Uint64 // known guest, nothing at that path
	Unknown  atomic.Uint64 // no guest, or several
	Busy     atomic.Uint64 // too many at once
	Refused  atomic.Uint64 // malformed or too large
	Failed   atomic.Uint64 // Nova could not be asked or had trouble
}

// handler answers guests from everywhere; of is the handler of one source.
type handler struct {
	dir    *directory
	nova   *url.URL // nil: we answer
	secret string
	client *http.Client
	counts *Counters
	log    *slog.Logger
	logs   *rate.Limiter

	mu   sync.Mutex
	busy map[string]int // port id → requests under way
}

func newHandler(dir *directory, o Options, log *slog.Logger) *handler {
	return &handler{
		dir: dir, nova: o.Nova, secret: o.Secret, counts: &Counters{}, log: log,
		logs: rate.NewLimiter(2, 20), busy: map[string]int{},
		client: &http.Client{
			Transport: &http.Transport{
				TLSClientConfig: o.TLS, MaxIdleConnsPerHost: 16, MaxConnsPerHost: 256, IdleConnTimeout: 30 * time.Second,
				DisableCompression: true,
			},
			Timeout:       novaTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (h *handler) of(source Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, source) })
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, source Source) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !strings.HasPrefix(r.URL.Path, "/") {
		h.fail(w, r, &h.counts.Refused, http.StatusBadRequest, errors.New("not a path"))
		return
	}
	g, err := h.dir.find(source, from.Addr())
	if err != nil {
		h.fail(w, r, &h.counts.Unknown, http.StatusNotFound, err)
		return
	}
	if !h.enter(g.port.ID) {
		h.fail(w, r, &h.counts.Busy, http.StatusTooManyRequests, errors.New("too many requests under way"))
		return
	}
	defer h.leave(g.port.ID)
	if h.nova != nil {
		h.proxy(w, r, g, from.Addr())
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.fail(w, r, &h.counts.Refused, http.StatusMethodNotAllowed, errors.New("read only"))
		return
	}
	d, ok := answer(g, r.URL.Path)
	if !ok {
		h.fail(w, r, &h.counts.Missing, http.StatusNotFound, errors.New("no such path"))
		return
	}
	h.counts.Answered.Add(1)
	w.Header().Set("Content-Type", d.kind)
	_, _ = w.Write(d.body) // the guest may be gone
}

// proxy asks Nova in the guest's name: with headers of ours, none of which the guest can set.
func (h *handler) proxy(w http.ResponseWriter, r *http.Request, g guest, from netip.Addr) {
	if r.ContentLength > maxBody {
		h.fail(w, r, &h.counts.Refused, http.StatusRequestEntityTooLarge, errors.New("the body is too large"))
		return
	}
	target := *h.nova
	target.Path, target.RawPath = strings.TrimSuffix(h.nova.Path, "/")+r.URL.Path, ""
	if r.URL.RawPath != "" {
		target.RawPath = strings.TrimSuffix(h.nova.EscapedPath(), "/") + r.URL.RawPath
	}
	target.RawQuery = r.URL.RawQuery
	ctx, cancel := context.WithTimeout(r.Context(), novaTimeout)
	defer cancel()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		code := http.StatusBadRequest
		if big := new(http.MaxBytesError); errors.As(err, &big) {
			code = http.StatusRequestEntityTooLarge
		}
		h.fail(w, r, &h.counts.Refused, code, err)
		return
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, target.String(), strings.NewReader(string(body)))
	if err != nil {
		h.fail(w, r, &h.counts.Refused, http.StatusBadRequest, err)
		return
	}
	for name, values := range r.Header {
		if passes(name) {
			out.Header[name] = values
		}
	}
	out.Header.Set("X-Forwarded-For", from.Unmap().WithZone("").String())
	out.Header.Set("X-Instance-ID", g.port.DeviceID)
	out.Header.Set("X-Tenant-ID", g.port.ProjectID)
	out.Header.Set("X-Instance-ID-Signature", sign(h.secret, g.port.DeviceID))
	reply, err := h.client.Do(out)
	if err != nil {
		h.fail(w, r, &h.counts.Failed, http.StatusServiceUnavailable, err)
		return
	}
	defer reply.Body.Close()
	code := statusFor(reply.StatusCode)
	if code >= 400 {
		counter := &h.counts.Failed
		if code == http.StatusNotFound {
			counter = &h.counts.Missing
		}
		h.fail(w, r, counter, code, errors.New("Nova says "+reply.Status))
		return
	}
	h.counts.Answered.Add(1)
	for _, name := range []string{"Content-Type", "Content-Encoding", "Last-Modified", "ETag"} {
		if v := reply.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(code)
	if _, err := io.Copy(w, reply.Body); err != nil && h.logs.Allow() {
		h.log.Warn("metadata reply cut off", "instance", g.port.DeviceID, "error", err)
	}
}

// statusFor is what the guest sees of Nova's status: success and the errors it may know of; all else is 500.
func statusFor(code int) int {
	switch code {
	case 200, 400, 403, 404, 409, 500, 502, 503, 504:
		return code
	}
	return http.StatusInternalServerError
}

// passes says whether a guest's header may go on to Nova. A server behind may read _ as -, so that is
// the same name here.
func passes(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch name {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade", "forwarded", "x-instance-id", "x-tenant-id", "x-project-id",
		"x-instance-id-signature", "x-real-ip", "content-length", "host", "expect":
		return false
	}
	for _, prefix := range []string{"x-forwarded-", "x-neutron-", "x-ovn-", "x-metadata-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// sign is what proves to Nova that the instance id is from us.
func sign(secret, instance string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(instance))
	return hex.EncodeToString(mac.Sum(nil))
}

func (h *handler) fail(w http.ResponseWriter, r *http.Request, counter *atomic.Uint64, code int, why error) {
	counter.Add(1)
	if h.logs.Allow() {
		h.log.Warn("metadata request refused", "guest", r.RemoteAddr, "path", r.URL.Path, "status", code, "reason", why)
	}
	http.Error(w, http.StatusText(code), code)
}

func (h *handler) enter(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[id] >= perGuest {
		return false
	}
	h.busy[id]++
	return true
}

func (h *handler) leave(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[id]--; h.busy[id] <= 0 {
		delete(h.busy, id)
	}
}
