package desired

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Message is one line of the stream from the server to a host, as JSON.
//
// A stream begins with Hello. Then comes either Snapshot, all the host's items, and Synced, or, when the
// server could go on from where the host was, only what has changed since. Each further batch ends in
// Synced: between two of them the state may be inconsistent.
type Message struct {
	Type     string `json:"type"`               // one of the constants below
	Epoch    string `json:"epoch,omitempty"`    // hello: the server's life; revisions of another one mean nothing
	Revision int64  `json:"revision,omitempty"` // synced: the state is that of this revision of the journal
	Key      *Key   `json:"key,omitempty"`      // delete
	Item     Item   `json:"-"`                  // put
}

// The types of messages.
const (
	Hello    = "hello"
	Snapshot = "snapshot" // what is not put before the next Synced is gone
	Put      = "put"
	Delete   = "delete"
	Synced   = "synced"
	Ping     = "ping"
)

// ErrUnknownKind is the error for an item of a kind that this release does not know: it is passed
// over, for the server may be newer.
var ErrUnknownKind = errors.New("unknown kind of item")

// MarshalJSON implements json.Marshaler.
func (m Message) MarshalJSON() ([]byte, error) {
	type plain Message // without this method
	out := struct {
		plain
		Kind Kind `json:"kind,omitempty"`
		Body Item `json:"item,omitempty"`
	}{plain: plain(m)}
	if m.Item != nil {
		out.Kind, out.Body = m.Item.Key().Kind, m.Item
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler. An item of an unknown kind is ErrUnknownKind.
func (m *Message) UnmarshalJSON(b []byte) error {
	type plain Message
	in := struct {
		plain
		Kind Kind            `json:"kind"`
		Body json.RawMessage `json:"item"`
	}{}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*m = Message(in.plain)
	if m.Type == Delete && m.Key == nil {
		return errors.New("a delete without a key")
	}
	if m.Type != Put {
		return nil
	}
	item, err := decodeItem(in.Kind, in.Body)
	if err != nil {
		return err
	}
	m.Item = item
	return nil
}

func decodeItem(kind Kind, body []byte) (Item, error) {
	var item Item
	switch kind {
	case KindHost:
		item = &Host{}
	case KindNetwork:
		item = &Network{}
	case KindPort:
		item = &Port{}
	case KindSecurityGroup:
		item = &SecurityGroup{}
	case KindMember:
		item = &Member{}
	case KindRouter:
		item = &Router{}
	default:
		return nil, fmt.Errorf("%w: %q", ErrUnknownKind, kind)
	}
	if err := json.Unmarshal(body, item); err != nil {
		return nil, fmt.Errorf("item of kind %s: %w", kind, err)
	}
	return item, nil
}

// AgentState is what a host says of one of its agents, in the original's words.
type AgentState struct {
	Type           string         `json:"agent_type"`
	Binary         string         `json:"binary"`
	Topic          string         `json:"topic"`
	Configurations map[string]any `json:"configurations"`
	Started        string         `json:"started"` // RFC 3339
}

// Reports is what a host sends to the server.
type Reports struct {
	Host    string       `json:"host"`
	Epoch   string       `json:"epoch"`          // of the server's Hello
	Full    bool         `json:"full,omitempty"` // these are all the host's reports
	Reports []Report     `json:"reports,omitempty"`
	Agents  []AgentState `json:"agents,omitempty"` // a heartbeat; empty: only reports
}
