package server

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"neutrino/engine"
	"neutrino/policy"
	"neutrino/store"
)

// TestCreateStatements holds what a port's coming costs: a port of an ordinary network is few statements however
// many subnets it has, and one more port in the same request five.
func TestCreateStatements(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1")
	s.Engine.Quotas = map[string]int{}
	n := create(t, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
	create(t, s.Network.Subnets, demo, `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/16"}}`)
	cost := func(ports int) int64 {
		t.Helper()
		body := `{"ports": [` + strings.TrimSuffix(strings.Repeat(`{"network_id": "`+n+`"}, `, ports), ", ") + `]}`
		var counter atomic.Int64
		if _, err := s.Network.Ports.Create(store.WithCounter(context.Background(), &counter), demo, parse(t, body)); err != nil {
			t.Fatal(err)
		}
		return counter.Load()
	}
	cost(1) // makes the project's default group
	one, two, ten := cost(1), cost(2), cost(10)
	if one > 19 || two-one != 5 || ten-two != 8*5 {
		t.Errorf("1, 2 and 10 ports took %d, %d and %d statements", one, two, ten)
	}
	for i := range 5 {
		create(t, s.Network.Subnets, demo, fmt.Sprintf(`{"subnet": {"network_id": "%s", "ip_version": 4, "cidr": "10.%d.0.0/16"}}`, n, i+1))
	}
	if now := cost(1); now != one {
		t.Errorf("a port on a network with more subnets took %d statements, not %d", now, one)
	}
}

// TestRows: of what was read as a row policy rules learn the truth about other tables too, and clients nothing.
func TestRows(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1")
	other := &policy.Credentials{UserID: "u9", ProjectID: "99999999999999999999999999999999", Roles: []string{"member", "reader"}}
	private := create(t, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
	shared := create(t, s.Network.Networks, admin, `{"network": {"shared": true}}`)["id"].(string)
	err := s.Engine.View(context.Background(), other, func(c *engine.Call) error {
		if _, err := s.Network.Networks.VisibleRow(c, private); err == nil {
			t.Error("another project's network was seen")
		}
		n, err := s.Network.Networks.VisibleRow(c, shared)
		if err != nil {
			return err
		}
		if value, known := s.Network.Networks.Target(c, n).Attr("shared"); value != true || !known {
			t.Errorf("a shared network's row says %v, %v", value, known)
		}
		for what, show := range map[string]func(){
			"AppendObject": func() { s.Network.Networks.AppendObject(c, nil, n) },
			"AppendPlain":  func() { s.Network.Networks.AppendPlain(nil, n) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s showed a row as if it were whole", what)
					}
				}()
				show()
			}()
		}
		whole, err := s.Network.Networks.GetVisible(c, shared)
		if err == nil {
			s.Network.Networks.AppendObject(c, nil, whole)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
