package hub

import (
	"bytes"
	"log/slog"
	"testing"

	"neutrino/desired"
)

// Whatever a host reports, the hub goes on, and says nothing of things that it does not know.
func FuzzReports(f *testing.F) {
	f.Add([]byte(`{"host":"h1","epoch":"e","complete":["l2"],"reports":[{"kind":"port","id":"p1","layer":"l2","up":true,"revision":3}]}`))
	f.Add([]byte(`{"host":"h1","epoch":"e","complete":["l3","l3",""],"reports":[{"kind":"floating_ip","id":"f1","layer":"l3","reason":"x","gone":true}]}`))
	f.Add([]byte(`{"host":"h1","agents":[{"agent_type":"L3 agent","configurations":{"a":[null,{}]}}]}`))
	f.Add([]byte(`{"host":"h 1"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := decodeReports(bytes.NewReader(b))
		if err != nil {
			return
		}
		h := New(nil, nil, nil, "secret", slog.New(slog.DiscardHandler))
		h.put(&Facts{
			Ports:    []*desired.Port{{ID: "p1", NetworkID: "n1", Host: "h1"}},
			Routers:  []*desired.Router{{ID: "r1", Host: "h1", FloatingIPs: []desired.FloatingIP{{ID: "f1"}}}},
			Statuses: map[Thing]Status{{desired.KindPort, "p1"}: {Status: down}, {desired.KindFloatingIP, "f1"}: {Status: active}},
		}, touched{})
		h.loaded = true
		h.subscribe("h1", "", -1)
		in.Epoch = h.epoch
		if h.report(in) != (in.Host == "h1") {
			t.Errorf("reports of %q are taken, or those of h1 are not", in.Host)
		}
		for thing, status := range h.verdicts.pending {
			if thing.ID != "p1" && thing.ID != "f1" || status.Status != active && status.Status != down {
				t.Errorf("%+v would become %+v", thing, status)
			}
		}
	})
}
