package server

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"neutrino/engine"
	"neutrino/service/network"
)

// TestQoSRuleTypesOfDrivers: with two drivers the list has what both keep, and on request what any does.
func TestQoSRuleTypesOfDrivers(t *testing.T) {
	s := openWith(t, func(o *ServiceOptions) { o.Network.Mechanisms = []string{network.OVN, network.Openvswitch} })
	for query, want := range map[string]string{
		"":                    "bandwidth_limit dscp_marking minimum_bandwidth",
		"all_supported=true":  "bandwidth_limit dscp_marking minimum_bandwidth packet_rate_limit minimum_packet_rate",
		"all_supported=false": "bandwidth_limit dscp_marking minimum_bandwidth",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := s.QoS.RuleTypes.List(context.Background(), admin, engine.Query{Values: values}, &out); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, kind := range parse(t, out.String()).(map[string]any)["rule_types"].([]any) {
			got = append(got, kind.(map[string]any)["type"].(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q lists %v, want %s", query, got, want)
		}
	}
}
