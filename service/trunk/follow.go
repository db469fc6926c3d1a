package trunk

import (
	"database/sql"
	"errors"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// OwnerSubPort is the device_owner of subports that are bound.
const OwnerSubPort = "trunk:subport"

// follow binds a trunk's subports to the host that its parent port is bound to, or parts them from theirs.
func (s *Service) follow(c *engine.Call, old, parent *network.Port, _ resource.Given) error {
	if parent.TrunkDetails == nil || old.Host == parent.Host && old.Bound() == parent.Bound() {
		return nil
	}
	found, err := s.Trunks.Find(c, store.Where("t.port_id = ?", parent.ID))
	if err != nil || len(found) == 0 {
		return err
	}
	return s.carry(c, parent, found[0].SubPorts)
}

// carry binds subports as their parent port is.
func (s *Service) carry(c *engine.Call, parent *network.Port, list []SubPort) error {
	if parent.Bound() {
		return s.place(c, list, parent.Host, OwnerSubPort)
	}
	return s.place(c, list, "", "")
}

// place binds ports to a host. One that can't be there, for its addresses are of another segment of its network, stays
// unbound and does not keep the parent port from going: the trunk's status tells.
func (s *Service) place(c *engine.Call, list []SubPort, host, owner string) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	for i, p := range list {
		ids[i] = p.PortID
	}
	ports, err := s.net.Ports.Find(c, store.In("t.id", ids))
	if err != nil {
		return err
	}
	for _, old := range ports {
		if old.Host == host && old.DeviceOwner == owner {
			continue
		}
		err := s.move(c, old, host, owner)
		if refused := new(fault.Error); host != "" && errors.As(err, &refused) {
			s.log.Warn("a trunk's subport can't be bound to the host of its parent port", "port", old.ID, "host", host, "reason", refused.Message)
			err = s.move(c, old, "", owner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) move(c *engine.Call, old *network.Port, host, owner string) error {
	p := *old
	p.Host, p.DeviceOwner = host, owner
	return s.net.Ports.Save(c.Elevated(), old, &p, nil)
}

// statusSQL is a trunk's status, which follows from its ports: DOWN while its parent port is, DEGRADED when a subport can't
// be bound, BUILD until hosts have wired all that are administratively up. SELF is the trunk's table.
const statusSQL = `(SELECT CASE WHEN p.status <> 'ACTIVE' THEN 'DOWN'
	WHEN EXISTS (SELECT 1 FROM subports s JOIN ports q ON q.id = s.port_id WHERE s.trunk_id = SELF.id AND q.vif_type = 'binding_failed') THEN 'DEGRADED'
	WHEN EXISTS (SELECT 1 FROM subports s JOIN ports q ON q.id = s.port_id WHERE s.trunk_id = SELF.id AND q.admin_state_up = TRUE AND q.status <> 'ACTIVE') THEN 'BUILD'
	ELSE 'ACTIVE' END FROM ports p WHERE p.id = SELF.port_id)`

func statusOf(table string) string { return strings.ReplaceAll(statusSQL, "SELF", table) }

// isStatus finds trunks of some statuses.
func isStatus(values []string, self string) (store.Cond, error) {
	return store.In(statusOf(self), values), nil
}

func loadStatus(c *engine.Call, page engine.Page) (func(t *Trunk), error) {
	statuses := map[string]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, status string
		err := rows.Scan(&id, &status)
		statuses[id] = status
		return err
	}, "SELECT t.id, "+statusOf("t")+" FROM trunks t"+page.Join("t.id"), page.Args...)
	return func(t *Trunk) { t.Status = statuses[t.ID] }, err
}
