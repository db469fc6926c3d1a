package desired

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Protocol is the version of the stream that this release speaks. It grows when a host of the release
// before could no longer follow; new kinds of items and types of messages are no such case.
const Protocol = 1

// Message is one line of the stream from the server to a host, as JSON.
//
// A stream begins with Hello. Then comes either Snapshot, all the host's items, and Synced, or, when the
// server could go on from where the host was, only what has changed since. Each further batch ends in
// Synced: between two of them the state may be inconsistent.
type Message struct {
	Type     string `json:"type"`               // one of the constants below
	Version  int    `json:"version,omitempty"`  // hello: the server's Protocol
	Epoch    string `json:"epoch,omitempty"`    // hello: the server's life; revisions of another one mean nothing
	Revision int64  `json:"revision,omitempty"` // synced: the state is that of this revision of the journal
	Key      *Key   `json:"key,omitempty"`      // delete
	Request  string `json:"request,omitempty"`  // put, delete: the API request that made the change, for logs
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

// ErrUnknownKind is the error for a message of a type, or an item of a kind, that this release does not
// know: it is passed over, for the server may be newer.
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

// UnmarshalJSON implements json.Unmarshaler. What is malformed is an error; what this release does not
// know is ErrUnknownKind.
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
	out := Message(in.plain)
	switch out.Type {
	case Hello:
		if out.Epoch == "" {
			return errors.New("a hello without an epoch")
		}
	case Snapshot, Ping:
	case Synced:
		if out.Revision < 0 {
			return fmt.Errorf("a negative revision: %d", out.Revision)
		}
	case Delete:
		if out.Key == nil || out.Key.ID == "" {
			return errors.New("a delete without a key")
		}
		if _, err := newItem(out.Key.Kind); err != nil {
			return err
		}
	case Put:
		item, err := decodeItem(in.Kind, in.Body)
		if err != nil {
			return err
		}
		out.Item = item
	case "":
		return errors.New("a message without a type")
	default:
		return fmt.Errorf("%w: message of type %q", ErrUnknownKind, out.Type)
	}
	*m = out
	return nil
}

func newItem(kind Kind) (Item, error) {
	switch kind {
	case KindHost:
		return &Host{}, nil
	case KindNetwork:
		return &Network{}, nil
	case KindPort:
		return &Port{}, nil
	case KindSecurityGroup:
		return &SecurityGroup{}, nil
	case KindMember:
		return &Member{}, nil
	case KindRouter:
		return &Router{}, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownKind, kind)
}

func decodeItem(kind Kind, body []byte) (Item, error) {
	item, err := newItem(kind)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, fmt.Errorf("a put of kind %s without an item", kind)
	}
	if err := json.Unmarshal(body, item); err != nil {
		return nil, fmt.Errorf("item of kind %s: %w", kind, err)
	}
	if m, ok := item.(*Member); ok && (m.GroupID == "" || m.PortID == "" || strings.Contains(m.GroupID, "/")) {
		return nil, errors.New("a member without its group or port")
	}
	if item.Key().ID == "" {
		return nil, fmt.Errorf("item of kind %s without an id", kind)
	}
	return item, nil
}

// AgentState is what a host says of one of its agents, in the original's words.
type AgentState struct {
	Type           string         `json:"agent_type"`
	Binary         string         `json:"binary"`
	Topic          string         `json:"topic"`
	Configurations map[string]any `json:"configurations"`
	Started        string         `json:"started"`                     // RFC 3339
	Zone           string         `json:"availability_zone,omitempty"` // of agents that a zone is chosen for
}

// HostView is what a server knows of a host, for administrators.
type HostView struct {
	Host      string    `json:"host"`
	Following bool      `json:"following"` // the host follows this server: else its reports are old, or elsewhere
	Revision  int64     `json:"revision"`  // of the journal, that this is of
	Items     []Message `json:"items"`     // puts
	Reports   []Report  `json:"reports"`
	Complete  []string  `json:"complete"` // layers of which the host has told everything
}

// Reports is what a host sends to the server.
type Reports struct {
	Host     string       `json:"host"`
	Epoch    string       `json:"epoch"`              // of the server's Hello
	Complete []string     `json:"complete,omitempty"` // layers whose reports are all here: what isn't named is gone
	Reports  []Report     `json:"reports,omitempty"`
	Agents   []AgentState `json:"agents,omitempty"` // a heartbeat; empty: only reports
}
