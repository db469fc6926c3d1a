package router

import (
	"bytes"
	"encoding/json"
	"testing"

	"neutrino/fault"
)

// Whatever a client sends as gateways is taken whole, or refused as a mistake of theirs.
func FuzzGateways(f *testing.F) {
	f.Add([]byte(`[{"network_id": "11111111-2222-4333-8444-555555555555", "enable_snat": "yes", "qos_policy_id": null}]`))
	f.Add([]byte(`[{"network_id": "11111111-2222-4333-8444-555555555555", "external_fixed_ips": [{"ip_address": "203.0.113.9"}, {"subnet_id": null}]}]`))
	f.Add([]byte(`[{"network_id": "11111111-2222-4333-8444-555555555555", "external_fixed_ips": [{"ip_address": "::ffff:1.2.3.4"}]}, null]`))
	f.Add([]byte(`{"network_id": 7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return
		}
		list, err := parseGateways("external_gateways", v)
		if err != nil {
			if e, known := fault.As(err); !known || e.Status != 400 {
				t.Fatalf("%s: %v", b, err)
			}
			return
		}
		r := &Router{Gateways: []Gateway{{NetworkID: "n", PortID: "p"}}}
		for _, want := range list {
			if want.network == "" {
				t.Errorf("%s: a gateway without a network", b)
			}
			r.take(want)
			if _, err := r.match(want); err != nil {
				t.Errorf("%s: %v", b, err)
			}
		}
	})
}
