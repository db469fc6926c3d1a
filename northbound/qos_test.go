package northbound_test

import (
	"strings"
	"testing"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
)

// A rate of 0 is no limit, which OVN says by no row; marks and the other direction's limit stay.
func TestZeroRate(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	w := cloud()
	start(t, w, c)
	settle(t, w, c)
	w.put(ovn.KindPolicy, slow, &ovn.Policy{ID: slow, Rules: []ovn.QoSRule{
		{Type: "bandwidth_limit", Direction: "egress", Burst: 1600}, {Type: "bandwidth_limit", Direction: "ingress"}, {Type: "dscp_marking", Amount: 26},
	}})
	settle(t, w, c)
	if got := strings.Fields(c.NB(t, "--bare", "--columns=bandwidth,action", "list", "QoS")); strings.Join(got, " ") != "dscp=26" {
		t.Errorf("rows with limits of 0 and a mark: %q", got)
	}
	w.put(ovn.KindPolicy, slow, &ovn.Policy{ID: slow, Rules: []ovn.QoSRule{{Type: "bandwidth_limit", Direction: "egress"}, {Type: "bandwidth_limit", Direction: "ingress", Amount: 5}}})
	settle(t, w, c)
	got := strings.Fields(c.NB(t, "--bare", "--columns=bandwidth,direction", "find", "QoS", `external_ids:"neutron:port_id"=`+vm1))
	if strings.Join(got, " ") != "rate=5 to-lport" {
		t.Errorf("a limit one way: %q", got)
	}
}

// modelRow gives what a model of a world has of a row; it fails when there is none.
func modelRow(t *testing.T, m *ovn.Model, table, name string) *ovn.Row {
	t.Helper()
	row := m.Row(ovn.Key{Table: table, Name: name})
	if row == nil {
		t.Fatalf("no row %s %s", table, name)
	}
	return row
}

// A floating IP that is translated on its port's host is limited there, others on the gateway's.
func TestDistributedFloatingLimit(t *testing.T) {
	t.Parallel()
	o := ovn.DefaultOptions()
	o.DistributedFloating = true
	for place, m := range map[string]*ovn.Model{`is_chassis_resident("` + vm1 + `")`: modelWith(cloud(), o), `is_chassis_resident("cr-lrp-` + gw + `")`: modelOf(cloud())} {
		for _, direction := range []string{"from-lport", "to-lport"} {
			if match := modelRow(t, m, "QoS", "fip_id/"+fip+"/"+direction).One["match"]; !strings.HasSuffix(match, place) {
				t.Errorf("%s is not limited at %s", match, place)
			}
		}
	}
}

// A router's gateway has the policy of its external network, unless it has its own; it follows the policy's changes.
func TestInheritedGatewayLimit(t *testing.T) {
	t.Parallel()
	w := cloud()
	n := *(w.facts[ovn.KindNetwork][outer].(*ovn.Network))
	n.QoSPolicyID = slow
	w.put(ovn.KindNetwork, outer, &n)
	m := modelOf(w)
	rate := func() string {
		return modelRow(t, m, "QoS", "router_id/"+router+"/from-lport").Many["bandwidth"]["rate"]
	}
	if rate() != "2000" {
		t.Errorf("inherited: %s", rate())
	}
	m.Put(&ovn.Policy{ID: slow, Rules: []ovn.QoSRule{{Type: "bandwidth_limit", Direction: "egress", Amount: 7}}})
	m.Settle()
	if rate() != "7" {
		t.Errorf("after the policy's change: %s", rate())
	}
	own := *(w.facts[ovn.KindRouter][router].(*ovn.Router))
	own.QoSPolicyID = id(8, 2)
	m.Put(&ovn.Policy{ID: own.QoSPolicyID, Rules: []ovn.QoSRule{{Type: "bandwidth_limit", Direction: "egress", Amount: 9}}})
	m.Put(&own)
	m.Settle()
	if rate() != "9" {
		t.Errorf("of its own: %s", rate())
	}
}
