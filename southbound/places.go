package southbound

import (
	"maps"
	"slices"
	"strings"

	"neutrino/dataplane/ovndb"
)

// places knows which rows of Port_Binding are a port's, so that news of one cost nothing for all others. A router's
// gateway has two: the patch to it, and cr-lrp-<id>, which is where it is active.
type places struct {
	rows map[string]map[string]bool // id of a port → UUIDs
	ids  map[string]string          // UUID → id of the port
}

func newPlaces() *places {
	return &places{rows: map[string]map[string]bool{}, ids: map[string]string{}}
}

// take follows a change, and notes which ports it is of.
func (p *places) take(ch ovndb.Change, changed map[string]bool) {
	id := strings.TrimPrefix(ch.Row.One["logical_port"], "cr-lrp-")
	changed[id] = true
	if was, known := p.ids[ch.UUID]; known && (was != id || ch.Deleted) {
		changed[was] = true
		delete(p.ids, ch.UUID)
		if delete(p.rows[was], ch.UUID); len(p.rows[was]) == 0 {
			delete(p.rows, was)
		}
	}
	if ch.Deleted {
		return
	}
	if p.rows[id] == nil {
		p.rows[id] = map[string]bool{}
	}
	p.ids[ch.UUID], p.rows[id][ch.UUID] = id, true
}

// read tells of ports, in the order of their ids.
func (p *places) read(db *ovndb.View, ids map[string]bool) []Port {
	var out []Port
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if strings.HasPrefix(id, "lrp-") || strings.HasPrefix(id, "provnet-") {
			continue
		}
		port := Port{ID: id}
		for uuid := range p.rows[id] {
			port.take(db, db.Row("Port_Binding", uuid))
		}
		out = append(out, port)
	}
	return out
}

// take adds what a row says.
func (p *Port) take(db *ovndb.View, row *ovndb.Row) {
	host := ""
	if c := db.Row("Chassis", row.One["chassis"]); c != nil {
		host = c.One["hostname"]
	}
	if row.One["logical_port"] != p.ID {
		p.Host = host
		return
	}
	switch row.One["type"] {
	case "patch", "localport", "localnet", "l3gateway":
		p.Up = true
	default:
		up, said := row.One["up"]
		p.Up = host != "" && (up == "true" || !said)
		p.Host = host
	}
}
