package scheduling

import (
	"database/sql"

	"neutrino/engine"
	"neutrino/service/agent"
	"neutrino/service/network"
	"neutrino/service/router"
)

// zonesOfNetworks gives for each network of a page the zones of the hosts that serve DHCP to it.
func zonesOfNetworks(c *engine.Call, page engine.Page) (func(n *network.Network), error) {
	zones, err := zonesOf(c, "SELECT DISTINCT p.network_id, a.availability_zone FROM ports p"+page.Join("p.network_id")+
		"JOIN agents a ON a.host = p.host WHERE p.device_owner = 'network:dhcp' AND a.agent_type = ? AND a.availability_zone <> '' ORDER BY a.availability_zone",
		append(append([]any{}, page.Args...), agent.DHCP)...)
	return func(n *network.Network) { n.Zones = zones[n.ID] }, err
}

// zonesOfRouters gives for each router of a page the zone of the host that realises it.
func zonesOfRouters(c *engine.Call, page engine.Page) (func(r *router.Router), error) {
	zones, err := zonesOf(c, "SELECT r.id, a.availability_zone FROM routers r"+page.Join("r.id")+
		"JOIN agents a ON a.host = r.host WHERE a.agent_type = ? AND a.availability_zone <> ''",
		append(append([]any{}, page.Args...), agent.L3)...)
	return func(r *router.Router) { r.Zones = zones[r.ID] }, err
}

// zonesOf reads zones by id.
func zonesOf(c *engine.Call, query string, args ...any) (map[string][]string, error) {
	zones := map[string][]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, zone string
		err := rows.Scan(&id, &zone)
		zones[id] = append(zones[id], zone)
		return err
	}, query, args...)
	return zones, err
}
