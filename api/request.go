package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/identity"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// request is one call with what is known of it so far.
type request struct {
	*http.Request
	door       *door
	writer     http.ResponseWriter
	id         string
	began      time.Time
	caller     *policy.Credentials
	collection string
	status     int // 0 until the answer begins
}

// maxDepth is how deeply a body may be nested.
const maxDepth = 32

func newRequest(d *door, w http.ResponseWriter, req *http.Request) *request {
	d.metrics.inFlight.Inc()
	id := "req-" + uuid.NewString()
	return &request{Request: req.WithContext(store.WithRequest(req.Context(), id)), door: d, writer: w, id: id, began: time.Now()}
}

// finish logs and counts the call, also one that panicked.
func (r *request) finish() {
	cause := recover()
	if cause != nil && cause != http.ErrAbortHandler {
		r.door.Log.Error("panic while serving", "request_id", r.id, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	}
	if cause != nil && r.status == 0 {
		r.fail(errors.New("panic"))
		cause = nil
	}
	took := time.Since(r.began)
	r.door.metrics.count(r, took)
	level := slog.LevelInfo
	if r.URL.Path == "/healthcheck" || r.URL.Path == "/metrics" {
		level = slog.LevelDebug
	}
	words := []any{"method", r.Method, "path", r.URL.Path, "status", r.status,
		"ms", float64(took.Microseconds()) / 1000, "project", r.project(), "user", r.user(), "request_id", r.id}
	if id := r.globalID(); id != "" {
		words = append(words, "global_request_id", id)
	}
	r.door.Log.Log(r.Context(), level, "request", words...)
	if cause != nil {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
}

// globalID is the id that the calling service gives the chain of calls that this one is part of, as Nova does in
// X-Openstack-Request-Id; "" when it gives none, or one that is none.
func (r *request) globalID() string {
	id := r.Header.Get("X-Openstack-Request-Id")
	rest, found := strings.CutPrefix(id, "req-")
	if _, err := uuid.Parse(rest); !found || err != nil || len(rest) != 36 {
		return ""
	}
	return id
}

// statusClientGone is what log and metrics show of a call whose client did not wait (nginx's 499).
const statusClientGone = 499

// fail answers with an error.
func (r *request) fail(err error) {
	if r.status != 0 { // the answer has begun: break it off rather than end it as if it were whole
		r.door.Log.Warn("answer broken off", "request_id", r.id, "error", err)
		panic(http.ErrAbortHandler)
	}
	h := r.writer.Header()
	switch {
	case errors.Is(err, identity.ErrInvalidToken):
		h.Set("WWW-Authenticate", `Keystone uri="`+r.door.IdentityURL+`"`)
		r.write(http.StatusUnauthorized, "text/plain", []byte("The request you have made requires authentication.\n"))
		return
	case errors.Is(err, identity.ErrUnavailable):
		r.door.Log.Warn("identity service unavailable", "request_id", r.id, "error", err)
		h.Set("Retry-After", "5")
		r.write(http.StatusServiceUnavailable, "text/plain", []byte("The identity service can't be reached at present. Please try again.\n"))
		return
	}
	e, ok := fault.As(err)
	if !ok {
		e, ok = r.databaseFault(err)
	}
	if !ok && errors.Is(err, context.Canceled) && r.Context().Err() != nil { // nobody waits for the answer any more
		r.door.Log.Debug("client gone", "request_id", r.id, "error", err)
		r.write(statusClientGone, "", nil)
		return
	}
	if !ok {
		r.door.Log.Error("request failed", "request_id", r.id, "method", r.Method, "path", r.URL.Path, "error", err)
		e = fault.New(http.StatusInternalServerError, "HTTPInternalServerError", "Request Failed: internal server error while processing your request.")
	}
	b := append([]byte(`{"NeutronError": {"type": `), resource.AppendString(nil, e.Type)...)
	b = append(append(b, `, "message": `...), resource.AppendString(nil, e.Message)...)
	r.write(e.Status, "application/json", append(b, `, "detail": ""}}`...))
}

// databaseFault is what the caller hears of a database that is away or that can't hold a value.
func (r *request) databaseFault(err error) (*fault.Error, bool) {
	text := "The database can't be reached at present. Please try again."
	switch {
	case errors.Is(err, store.ErrValue):
		r.door.Log.Warn("value refused", "request_id", r.id, "error", err)
		return fault.Invalid("Invalid input: a value is too long, out of range, or has characters that can't be kept."), true
	case errors.Is(err, store.ErrUncertain):
		text = "The database was lost while the change was being made. Whether it was made is not known: please look before you try again."
	case !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrRetry), r.Context().Err() != nil:
		return nil, false
	}
	r.door.Log.Warn("database unavailable", "request_id", r.id, "error", err)
	r.writer.Header().Set("Retry-After", "5")
	return fault.New(http.StatusServiceUnavailable, "ServiceUnavailable", "%s", text), true
}

func (r *request) write(status int, kind string, body []byte) {
	r.status = status
	if len(body) > 0 {
		r.writer.Header().Set("Content-Type", kind)
	}
	r.writer.WriteHeader(status)
	if len(body) > 0 && r.Method != http.MethodHead {
		_, _ = r.writer.Write(body) // a client that is gone needs no answer
	}
}

// json answers with a body, or with the error that kept it from being made.
func (r *request) json(status int, body []byte, err error) error {
	if err == nil {
		r.write(status, "application/json", body)
	}
	return err
}

// empty answers without a body.
func (r *request) empty(status int, err error) error {
	if err == nil {
		r.write(status, "", nil)
	}
	return err
}

func (r *request) text(status int, text string) error {
	r.write(status, "text/plain", []byte(text))
	return nil
}

// body reads the request's JSON.
func (r *request) body() (any, error) {
	data, err := r.read()
	if err != nil {
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			return nil, fault.New(http.StatusRequestEntityTooLarge, "HTTPRequestEntityTooLarge", "The body is larger than %d bytes.", r.door.MaxBody)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fault.New(http.StatusRequestTimeout, "HTTPRequestTimeout", "The body did not come within %s.", r.door.BodyTimeout)
		}
		return nil, fault.Invalid("The request's body could not be read: %s", err)
	}
	return decode(data)
}

// read takes the body's bytes, within its limit and its time. The time ends with the body.
func (r *request) read() ([]byte, error) {
	control := http.NewResponseController(r.writer)
	_ = control.SetReadDeadline(time.Now().Add(r.door.BodyTimeout)) // not every writer (a test's) has deadlines
	return io.ReadAll(http.MaxBytesReader(r.writer, r.Body, r.door.MaxBody))
}

// decode reads one JSON value, with numbers as they were written.
func decode(data []byte) (any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	if err := checkDepth(data); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fault.BadRequest("MalformedRequestBody", "Malformed request body: %s.", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fault.BadRequest("MalformedRequestBody", "Malformed request body: there is more after the JSON value.")
	}
	return v, nil
}

// checkDepth refuses bodies nested too deeply before anything is made of them.
func checkDepth(data []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fault.BadRequest("MalformedRequestBody", "Malformed request body: nested more than %d deep.", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// noBody refuses a DELETE that has a body.
func (r *request) noBody() error {
	if r.ContentLength == 0 {
		return nil
	}
	if r.ContentLength < 0 { // not told: there may be none
		r.Body = http.MaxBytesReader(r.writer, r.Body, 0)
		if data, err := r.read(); err == nil && len(data) == 0 {
			return nil
		}
	}
	return fault.Invalid("Request body is not supported in DELETE.")
}

// base is the absolute URL of the server as the client knows it.
func (r *request) base() string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if r.door.TrustProxy {
		if v := r.Header.Get("X-Forwarded-Proto"); v == "http" || v == "https" {
			scheme = v
		}
		if v := r.Header.Get("X-Forwarded-Host"); v != "" {
			host = v
		}
	}
	return scheme + "://" + host
}

// query reads the query string. One that can't be read whole is refused: a filter that is dropped would
// show more than was asked for.
func (r *request) query() (engine.Query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return engine.Query{}, fault.Invalid("The query string could not be read: %s", err)
	}
	return engine.Query{Values: values, URL: r.base() + r.URL.Path}, nil
}

// bound gives a list's query the limit of MaxLimit, when it asks for more or for all. What is no limit stays, to be
// refused.
func (r *request) bound(values url.Values) {
	text := values.Get("limit")
	limit, err := strconv.Atoi(text)
	most := r.door.MaxLimit
	if most > 0 && (text == "" || err == nil && (limit == 0 || limit > most)) {
		values.Set("limit", strconv.Itoa(most))
	}
}

// stream is a list's way out: nothing goes out before the first part is full or the list is
// done, so that an early error still gets its proper answer; each part must be taken in time, so that
// a slow client does not hold a database snapshot.
type stream struct{ r *request }

func (s stream) Write(b []byte) (int, error) {
	control := http.NewResponseController(s.r.writer)
	_ = control.SetWriteDeadline(time.Now().Add(s.r.door.PartTimeout)) // not every writer (a test's) has deadlines
	if s.r.status == 0 {
		s.r.status = http.StatusOK
		s.r.writer.Header().Set("Content-Type", "application/json")
	}
	return s.r.writer.Write(b)
}
