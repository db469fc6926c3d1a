package northbound_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
	"neutrino/northbound"
)

// A switch, router or group of chassis that somebody has renamed while no server ran is known by its mark: it goes, and
// nothing is in two.
func TestRenamedWhileAway(t *testing.T) {
	t.Parallel()
	for i, what := range [][]string{
		{"Logical_Switch", "neutron-" + inner}, {"Logical_Router", "neutron-" + router}, {"HA_Chassis_Group", "neutron-" + router},
	} {
		t.Run(fmt.Sprint(i, what[0]), func(t *testing.T) {
			t.Parallel()
			c := ovntest.Start(t, false)
			w := cloud()
			repair := func() []northbound.Difference {
				list, err := northbound.Check(t.Context(), options(w, c), chassis, northbound.CheckOptions{Repair: true, TakeOver: true})
				if err != nil {
					t.Fatal(err)
				}
				return list
			}
			repair()
			want := dump(t, c)
			c.NB(t, append([]string{"set"}, append(what, "name=renamed")...)...)
			renamed := 0
			for _, d := range repair() {
				if (ovn.Key{Table: d.Table, Name: d.Name}) == (ovn.Key{Table: what[0], Name: "renamed"}) && d.Action == "remove" {
					renamed++
				}
			}
			if renamed != 1 {
				t.Errorf("the renamed row is told of %d times", renamed)
			}
			if diff := cmp.Diff(want, dump(t, c)); diff != "" {
				t.Errorf("not as before:\n%s", diff)
			}
			if list := check(t, w, c); len(list) > 0 {
				t.Errorf("still differ: %+v", list)
			}
		})
	}
}
