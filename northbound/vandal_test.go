package northbound_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutrino/dataplane/ovndb/ovntest"
)

// harm is what a vandal may do to a row of a table, besides taking it away.
var harm = map[string][]string{
	"Logical_Switch":              {"clear ports", "clear dns_records", "clear qos_rules", "clear load_balancer", "set other_config:mcast_snoop=true", "set name=renamed"},
	"Logical_Switch_Port":         {"set addresses=unknown", "set enabled=false", "set type=localport", "clear port_security", "clear options", "set tag_request=9", "clear dhcpv4_options", "clear ha_chassis_group"},
	"Port_Group":                  {"clear ports", "clear acls"},
	"ACL":                         {"set priority=5", "set action=drop", "set match=0", "set direction=from-lport"},
	"Address_Set":                 {"clear addresses", "set addresses=192.0.2.9"},
	"DHCP_Options":                {"clear options", "set options:router=192.0.2.9", "set cidr=192.0.2.0/24"},
	"DNS":                         {"clear records", "set records:other=192.0.2.9"},
	"Logical_Router":              {"clear ports", "clear nat", "clear static_routes", "clear policies", "clear load_balancer", "set enabled=false", "set name=renamed"},
	"Logical_Router_Port":         {"set mac=02\\:00\\:00\\:00\\:00\\:01", "set networks=192.0.2.1/24", "clear ha_chassis_group", "set options:gateway_mtu=900", "set enabled=false", "set peer=nowhere"},
	"NAT":                         {"set external_ip=192.0.2.9", "set type=snat", "clear gateway_port", "set external_port_range=1-2"},
	"Logical_Router_Static_Route": {"set nexthop=192.0.2.9", "set output_port=nowhere", "clear output_port", "set ip_prefix=192.0.2.0/24", "clear bfd", "set policy=src-ip", "set route_table=elsewhere"},
	"BFD":                         {"set dst_ip=192.0.2.9", "set logical_port=nowhere"},
	"Logical_Router_Policy":       {"set action=drop", "clear nexthops", "set match=0", "set priority=5"},
	"Load_Balancer":               {"clear vips", "set protocol=sctp"},
	"QoS":                         {"set priority=3", "clear bandwidth", "set match=0"},
	"HA_Chassis_Group":            {"clear ha_chassis", "set name=renamed"},
	"HA_Chassis":                  {"set priority=77", "set chassis_name=nowhere"},
}

// held are tables whose rows go when nobody holds them, or must stay while somebody does: they can't be destroyed.
var held = []string{"Logical_Switch_Port", "ACL", "Logical_Router_Port", "NAT", "Logical_Router_Static_Route", "Logical_Router_Policy", "QoS", "HA_Chassis_Group", "HA_Chassis"}

// Facts change and somebody spoils rows, in random turns: each spoilt row is mended by itself, and in the end the rows are
// those that a server writes into an empty database.
func TestRandomDrift(t *testing.T) {
	t.Parallel()
	seeds, steps := 4, 60
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := ovntest.Start(t, false)
			w := cloud()
			start(t, w, c)
			settle(t, w, c)
			r := rand.New(rand.NewPCG(uint64(seed), 2))
			var took []time.Duration
			for range steps {
				for range r.IntN(3) {
					randomStep(r, w)
				}
				if r.IntN(2) == 0 {
					settle(t, w, c) // else the spoiling falls into the changing
				}
				began := time.Now()
				if spoil(t, r, c) {
					settle(t, w, c)
					took = append(took, time.Since(began))
				}
			}
			slices.Sort(took)
			t.Logf("%d times mended, in the middle after %v, at most after %v", len(took), took[len(took)/2], took[len(took)-1])
			fresh := ovntest.Start(t, false)
			start(t, w, fresh)
			settle(t, w, fresh)
			if diff := cmp.Diff(dump(t, fresh), dump(t, c)); diff != "" {
				t.Errorf("rebuilt (-) and mended (+) differ:\n%s", diff)
			}
		})
	}
}

// spoil does something to a random row; false when the table that it chose has none.
func spoil(t *testing.T, r *rand.Rand, c *ovntest.Central) bool {
	t.Helper()
	tables := make([]string, 0, len(harm))
	for table := range harm {
		tables = append(tables, table)
	}
	slices.Sort(tables)
	table := tables[r.IntN(len(tables))]
	rows := strings.Fields(c.NB(t, "--bare", "--columns=_uuid", "list", table))
	if len(rows) == 0 {
		return false
	}
	row := rows[r.IntN(len(rows))]
	if !slices.Contains(held, table) && r.IntN(3) == 0 {
		c.NB(t, "--if-exists", "destroy", table, row)
		return true
	}
	verb, what, _ := strings.Cut(harm[table][r.IntN(len(harm[table]))], " ")
	c.NB(t, "--if-exists", verb, table, row, what)
	return true
}
