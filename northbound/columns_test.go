package northbound_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
)

// others are the columns that we neither write nor mend, by table, and why.
var others = map[string]map[string]string{
	"Address_Set": {"options": "whether other regions see it (ic-adv) is an operator's choice"},
	"ACL": {
		"label": "marks connections for those who look at them", "log": "operators log what a rule does", "meter": "of the log", "name": "of the log", "severity": "of the log",
		"sample_new": "operators sample what a rule does", "sample_est": "operators sample what a rule does",
	},
	"BFD": {
		"detect_mult": "times are an operator's choice", "min_rx": "times are an operator's choice", "min_tx": "times are an operator's choice",
		"options": "as the times", "status": "ovn-northd's",
	},
	"Logical_Router": {"copp": "operators guard controllers with it", "load_balancer_group": "providers of load balancers write it"},
	"Logical_Router_Port": {
		"ipv6_prefix": "what a controller was delegated", "status": "ovn-northd's",
	},
	"Logical_Router_Static_Route": {"selection_fields": "by what flows share default routes is an operator's choice"},
	"Logical_Switch": {
		"acls": "operators' own rules; ours are the port groups'", "copp": "operators guard controllers with it", "forwarding_groups": "operators' own",
		"load_balancer_group": "providers of load balancers write it",
	},
	"Logical_Switch_Port": {
		"dynamic_addresses": "ovn-northd's", "health_checks": "operators' own", "mirror_rules": "operators' and other services' taps",
		"tag": "ovn-northd's", "up": "ovn-northd's",
	},
}

// Each column of each table that we write is either one that every row of ours has a say in, or one of others.
func TestColumns(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	watched := withGateways(true, gw, gw2)
	watched.BFD = true
	several := shores()
	several.put(ovn.KindRouter, router, watched)
	seen := map[string]bool{}
	look(t, c, func(db *ovndb.View) {
		for _, w := range []*world{cloud(), several} {
			m := modelOf(w)
			for _, key := range m.Keys() {
				seen[key.Table] = true
				for column := range db.Schema().Tables[key.Table].Columns {
					ours := m.Row(key).Names(column) || slices.Contains(ovn.Sets[key.Table], column) || slices.Contains(ovn.Blank[key.Table], column)
					if _, left := others[key.Table][column]; ours == left {
						t.Errorf("%s: column %s is ours: %v, and others': %v", key, column, ours, left)
					}
				}
			}
		}
	})
	for _, table := range ovn.Tables {
		if !seen[table] {
			t.Errorf("no row of table %s was looked at", table)
		}
	}
}

// spoilt has for each blank column of a table something to take out of it.
var spoilt = map[string][]string{
	"Port_Group":                  {`external_ids:"neutron:revision_number"=99`},
	"ACL":                         {`external_ids:"neutron:revision_number"=99`, "options:apply-after-lb=true", "tier=1"},
	"Logical_Router_Port":         {"enabled=false", "peer=nowhere", "gateway_chassis=@chassis"},
	"Logical_Router_Static_Route": {"policy=src-ip", "route_table=elsewhere", "options:ecmp_symmetric_reply=true"},
	"Logical_Router_Policy":       {"nexthop=192.0.2.9", "options:pkt_mark=7", "chain=elsewhere", "jump_chain=elsewhere", "output_port=@port", "bfd_sessions=@bfd"},
	"NAT": {
		`external_mac="02:00:00:00:00:01"`, `external_port_range="1-2"`, "allowed_ext_ips=@set", "exempted_ext_ips=@set",
		"logical_port=nowhere", "options:stateless=true", "match=0", "priority=7",
	},
	"Load_Balancer":       {"health_check=@check", "ip_port_mappings:10.0.0.11=nowhere", "options:reject=true", "selection_fields=ip_src"},
	"Logical_Switch_Port": {"ha_chassis_group=@group", "peer=nowhere"},
	"DNS":                 {"options:ovn-owned=true"},
}

// named are rows for spoilt columns that name others, by ovn-nbctl's words for getting or making them. ROW is the spoilt row.
var named = map[string]string{
	"@chassis": "create Gateway_Chassis name=of-ROW chassis_name=c3 priority=99",
	"@check":   `create Load_Balancer_Health_Check vip="203.0.113.21:8080"`,
	"@set":     "get Address_Set ag_" + strings.ReplaceAll(trusted, "-", "_") + "_ip4",
	"@port":    "get Logical_Router_Port lrp-" + rif,
	"@group":   "get HA_Chassis_Group neutron-" + router,
}

// What somebody writes into columns that are empty in our rows is taken out again, of every row.
func TestBlankColumns(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]*world{"cloud": cloud(), "shores": shores()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoilBlank(t, w)
		})
	}
}

func spoilBlank(t *testing.T, w *world) {
	t.Helper()
	c := ovntest.Start(t, false)
	start(t, w, c)
	settle(t, w, c)
	want := dump(t, c)
	var schema *ovndb.Schema
	look(t, c, func(db *ovndb.View) { schema = db.Schema() })
	for _, table := range slices.Sorted(maps.Keys(ovn.Blank)) {
		tried := map[string]bool{}
		for _, what := range spoilt[table] {
			column := what[:strings.IndexAny(what, ":=")]
			tried[column] = true
			if _, known := schema.Tables[table].Columns[column]; !known {
				continue
			}
			for _, row := range strings.Fields(c.NB(t, "--bare", "--columns=_uuid", "list", table)) {
				cmd := []string{"set", table, row, what}
				if _, name, is := strings.Cut(what, "=@"); is {
					maker := strings.Fields(strings.ReplaceAll(named["@"+name], "ROW", row))
					cmd = append(append([]string{"--id=@" + name}, maker...), append([]string{"--"}, cmd...)...)
				}
				c.NB(t, cmd...)
			}
			settle(t, w, c)
			if diff := cmp.Diff(want, dump(t, c)); diff != "" {
				t.Fatalf("after %s of all rows of %s:\n%s", what, table, diff)
			}
		}
		for _, column := range ovn.Blank[table] {
			if _, known := schema.Tables[table].Columns[column]; known && !tried[column] {
				t.Errorf("nothing spoils column %s of %s", column, table)
			}
		}
	}
}
