package nova

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"neutrino/keystone"
)

// wire is an event as Nova has it:
// https://docs.openstack.org/api-ref/compute/#run-events
type wire struct {
	Name   string `json:"name"`
	Server string `json:"server_uuid"`
	Status string `json:"status,omitempty"`
	Tag    string `json:"tag,omitempty"`
	Code   int    `json:"code,omitempty"` // in answers: 200, or what was wrong with this one
}

type body struct {
	Events []wire `json:"events"`
}

// errRefused is that Nova finds fault with a request itself.
var errRefused = errors.New("refused by Nova")

// send tells Nova and removes what it was told. An error is of a Nova or a Keystone that can't be asked, or does not let
// us in: what was not told stays. Events that Nova does not want are removed as if it had taken them, as the original does.
func (s *Sender) send(ctx context.Context, events []Event) error {
	codes, err := s.post(ctx, events)
	if errors.Is(err, errRefused) && len(events) > 1 { // find the one that it is because of
		half := len(events) / 2
		if err := s.send(ctx, events[:half]); err != nil {
			return err
		}
		return s.send(ctx, events[half:])
	}
	if err != nil && !errors.Is(err, errRefused) {
		return err
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	if removeErr := s.queue.Sent(ctx, ids); removeErr != nil {
		return fmt.Errorf("remove events that Nova was told: %w", removeErr)
	}
	for i, e := range events {
		code := http.StatusBadRequest
		if err == nil {
			code = codes[i]
		}
		s.note(e, code, err)
	}
	return nil
}

// note says what became of an event.
func (s *Sender) note(e Event, code int, err error) {
	about := []any{"event", e.Name, "port", e.Tag, "server", e.Server, "code", code, "after", max(time.Since(e.Created), 0).Round(time.Second).String()}
	if e.Status != "" {
		about = append(about, "status", e.Status)
	}
	if e.Request != "" {
		about = append(about, "request_id", e.Request)
	}
	if code == http.StatusOK {
		s.metrics.sent.WithLabelValues(e.Name).Inc()
		s.log.Info("Nova was told of a port", about...)
		return
	}
	s.metrics.failed.WithLabelValues(e.Name, strconv.Itoa(code)).Inc()
	if err != nil {
		about = append(about, "error", err)
	}
	if code == http.StatusNotFound { // the instance is gone, or never was
		s.log.Info("Nova has no such instance", about...)
		return
	}
	s.log.Warn("Nova did not take an event", about...)
}

// post asks Nova once, twice when our token is not taken. codes has a code for each event.
func (s *Sender) post(ctx context.Context, events []Event) (codes []int, err error) {
	message := body{Events: make([]wire, len(events))}
	for i, e := range events {
		message.Events[i] = wire{Name: e.Name, Server: e.Server, Status: e.Status, Tag: e.Tag}
	}
	text, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	refused := ""
	for range 2 {
		token, url, err := s.session.Endpoint(ctx, keystone.Want{Type: "compute", Interface: s.options.Interface, Region: s.options.Region}, refused)
		if err != nil {
			return nil, err
		}
		status, answer, err := s.ask(ctx, url+"/os-server-external-events", token, text)
		if err == nil && status == http.StatusUnauthorized {
			refused = token
			continue
		}
		if err == nil {
			codes, err = judge(status, answer, len(events))
		}
		if err != nil && !errors.Is(err, errRefused) {
			s.session.Forget(token) // Nova may have moved
		}
		return codes, err
	}
	return nil, errors.New("nova does not take our tokens (401)")
}

// maxAnswer bounds an answer of Nova in bytes.
const maxAnswer = 1 << 20

func (s *Sender) ask(ctx context.Context, url, token string, text []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "neutrino")
	resp, err := s.session.Client().Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, answer, err
}

// judge reads an answer about n events. An error that is not errRefused is worth another try.
func judge(status int, answer []byte, n int) (codes []int, err error) {
	codes = make([]int, n)
	switch status {
	case http.StatusOK, http.StatusMultiStatus:
		var b body
		if err := json.Unmarshal(answer, &b); err != nil || len(b.Events) != n {
			return nil, fmt.Errorf("nova answers %d, but not for %d events: %.200q", status, n, answer)
		}
		for i, e := range b.Events {
			codes[i] = e.Code
			if e.Code == 0 {
				codes[i] = http.StatusOK
			}
		}
		return codes, nil
	case http.StatusNotFound:
		var b struct {
			Fault json.RawMessage `json:"itemNotFound"`
		}
		if err := json.Unmarshal(answer, &b); err != nil || b.Fault == nil {
			return nil, fmt.Errorf("this is no Nova: it answers 404: %.200q", answer)
		}
		for i := range codes { // it has none of the instances
			codes[i] = http.StatusNotFound
		}
		return codes, nil
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return nil, fmt.Errorf("%w: %d: %.200q", errRefused, status, answer)
	case http.StatusForbidden:
		return nil, fmt.Errorf("nova does not let us (403); the user of [nova] needs the role that its policy asks for: %.200q", answer)
	}
	return nil, fmt.Errorf("nova answers %d: %.200q", status, answer)
}
