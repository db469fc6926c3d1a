package ovsdb

import (
	"encoding/json"
	"testing"
)

const initial = `{
	"Open_vSwitch": {"r": {"new": {"bridges": ["uuid", "b"]}}},
	"Bridge": {"b": {"new": {"name": "br-int", "ports": ["set", [["uuid", "p"], ["uuid", "q"]]], "datapath_type": "netdev",
		"fail_mode": "secure", "external_ids": ["map", []], "other_config": ["map", [["k", "v"]]]}}},
	"Port": {"p": {"new": {"name": "tap1", "interfaces": ["uuid", "i"], "tag": 5, "external_ids": ["map", []], "other_config": ["map", []]}}},
	"Interface": {"i": {"new": {"name": "tap1", "type": "", "options": ["map", []], "external_ids": ["map", [["iface-id", "x"]]],
		"ofport": 7, "error": ["set", []], "mac_in_use": "fa:16:3e:00:00:01"}}}
}`

func empty() *conn {
	return &conn{bridges: map[string]*bridgeRow{}, ports: map[string]*portRow{}, inter: map[string]*interfaceRow{}}
}

func TestUpdate(t *testing.T) {
	c := empty()
	if err := c.update(json.RawMessage(initial)); err != nil {
		t.Fatal(err)
	}
	if b := c.bridge("br-int"); c.root != "r" || b == nil || len(b.ports) != 2 || b.failMode != "secure" || b.otherConfig["k"] != "v" {
		t.Errorf("root %s, bridge %+v", c.root, b)
	}
	p, i := c.port(c.bridge("br-int"), "tap1")
	if p == nil || i == nil || p.tag != 5 || i.ofport != 7 || i.trouble != "" || i.externalIDs["iface-id"] != "x" {
		t.Errorf("port %+v, interface %+v", p, i)
	}
	if err := c.update(json.RawMessage(`{"Port": {"p": {"old": {"tag": 5}}}}`)); err != nil {
		t.Fatal(err)
	}
	if p, _ := c.port(c.bridge("br-int"), "tap1"); p != nil {
		t.Errorf("port %+v is still there", p)
	}
	for _, bad := range []string{
		`[]`, `{"Port": 5}`,
		`{"Bridge": {"b": {"new": {}}}}`,
		`{"Interface": {"i": {"new": {"name": 5}}}}`,
	} {
		if err := empty().update(json.RawMessage(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func FuzzUpdate(f *testing.F) {
	f.Add(initial)
	f.Add(`{"Port": {"p": {"old": {"tag": 5}}}}`)
	f.Add(`{"Bridge": {"b": {"new": {"name": ["set", 1]}}}}`)
	f.Add(`{"Bridge": null}`)
	f.Fuzz(func(t *testing.T, text string) {
		c := empty()
		if c.update(json.RawMessage(text)) != nil {
			return
		}
		for id, b := range c.bridges {
			if b == nil || b.uuid != id {
				t.Errorf("bridge %s is %+v", id, b)
				continue
			}
			_, _ = c.port(b, "tap1")
		}
	})
}

func TestNote(t *testing.T) {
	c, changes := empty(), 0
	c.changed = func() { changes++ }
	for _, n := range []struct {
		method, params string
		good           bool
		changes        int
	}{
		{"update", `["neutrino", {}]`, true, 1},
		{"stolen", `[]`, true, 1},
		{"update", `["neutrino"]`, false, 1},
		{"update", `["neutrino", 5]`, false, 1},
		{"update", `["neutrino", ` + initial + `]`, true, 2},
	} {
		var params []json.RawMessage
		if err := json.Unmarshal([]byte(n.params), &params); err != nil {
			t.Fatal(err)
		}
		if err := c.note(n.method, params); (err == nil) != n.good || changes != n.changes {
			t.Errorf("%s %s: %v, %d changes", n.method, n.params, err, changes)
		}
	}
}
