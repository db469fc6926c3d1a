package server

import (
	"testing"

	"neutrino/desired"
	"neutrino/hub"
)

// TestLateStatus: a host that says that a floating IP works, which leads nowhere meanwhile, is late: nobody would ever say
// that it does not.
func TestLateStatus(t *testing.T) {
	s := open(t)
	kept := map[string]string{}
	tellOn(t, s, kept, []step{
		{do: "POST /networks", body: `{"network":{"router:external":true,"provider:network_type":"flat","provider:physical_network":"physnet1"}}`, status: 201, keep: "ext"},
		{do: "POST /subnets", body: `{"subnet":{"network_id":"$ext","ip_version":4,"cidr":"203.0.113.0/24"}}`, status: 201},
		{do: "POST /floatingips", body: `{"floatingip":{"floating_network_id":"$ext"}}`, status: 201, want: []string{`"status": "DOWN"`}, keep: "f"},
	})
	late := hub.StatusChange{Thing: hub.Thing{Kind: desired.KindFloatingIP, ID: kept["f"]}, Status: hub.Status{Status: "ACTIVE"}}
	if err := newSource(s).SetStatus(t.Context(), []hub.StatusChange{late}, nil); err != nil {
		t.Fatal(err)
	}
	tellOn(t, s, kept, []step{{do: "GET /floatingips/$f", status: 200, want: []string{`"status": "DOWN"`}}})
}
