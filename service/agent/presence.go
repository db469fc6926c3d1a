package agent

import (
	"database/sql"
	"slices"

	"neutrino/engine"
	"neutrino/store"
)

// Which server a host follows, and that servers live, is kept in the database, so that each host is judged by one
// server: the one that it follows, or, once that one is gone, by any. Times of different machines are never
// compared: servers count, and whoever looks measures by its own clock how long a number stands still.

// Followers is what the database says of servers and hosts.
type Followers struct {
	Beats map[string]int64  // by server
	Of    map[string]string // host → server
	Lost  map[string]bool   // hosts that count as lost
}

// Followers reads who follows whom.
func (s *Service) Followers(c *engine.Call) (f Followers, err error) {
	f = Followers{Beats: map[string]int64{}, Of: map[string]string{}, Lost: map[string]bool{}}
	err = c.Tx.Each(func(rows *sql.Rows) error {
		var id string
		var beat int64
		err := rows.Scan(&id, &beat)
		f.Beats[id] = beat
		return err
	}, "SELECT id, beat FROM servers")
	if err != nil {
		return f, err
	}
	err = c.Tx.Each(func(rows *sql.Rows) error {
		var host, server string
		err := rows.Scan(&host, &server)
		f.Of[host] = server
		return err
	}, "SELECT host, server_id FROM host_servers")
	if err != nil {
		return f, err
	}
	f.Lost, err = engine.TextSet(c, "SELECT DISTINCT host FROM agents WHERE lost_reason <> ''")
	return f, err
}

// BeatServer counts a server on. forget are servers that are gone for good.
func (s *Service) BeatServer(c *engine.Call, server string, forget []string) error {
	n, err := c.Tx.Exec("UPDATE servers SET beat = beat + 1 WHERE id = ?", server)
	if err == nil && n == 0 {
		_, err = c.Tx.Exec("INSERT INTO servers (id, beat) VALUES (?, 1)", server)
	}
	for _, id := range forget {
		if err == nil {
			_, err = c.Tx.Exec("DELETE FROM servers WHERE id = ?", id)
		}
	}
	return err
}

// Claim notes that hosts follow a server now.
func (s *Service) Claim(c *engine.Call, server string, hosts []string) error {
	for _, host := range hosts {
		if _, err := c.Tx.Exec("DELETE FROM host_servers WHERE host = ?", host); err != nil {
			return err
		}
		if _, err := c.Tx.Exec("INSERT INTO host_servers (host, server_id) VALUES (?, ?)", host, server); err != nil {
			return err
		}
	}
	return nil
}

// Lose has a host count as lost until its next heartbeat, if it still follows the server that the caller thinks it
// does. Its agents are not alive, and get no work.
func (s *Service) Lose(c *engine.Call, host, server, reason string) (bool, error) {
	var follows string
	if _, err := c.Tx.One([]any{&follows}, "SELECT server_id FROM host_servers WHERE host = ?", host); err != nil || follows != server {
		return false, err
	}
	agents, err := s.Agents.Find(c, store.Where("t.host = ? AND t.lost_reason = ''", host))
	if err != nil {
		return false, err
	}
	agents = slices.DeleteFunc(agents, (*Agent).isController) // of OVN's controller OVN itself tells
	if len(agents) == 0 {                                     // nobody knows it any more
		n, err := c.Tx.Count("SELECT COUNT(*) FROM agents WHERE host = ?", host)
		if err == nil && n == 0 {
			_, err = c.Tx.Exec("DELETE FROM host_servers WHERE host = ?", host)
		}
		return false, err
	}
	for _, a := range agents {
		if _, err := c.Tx.Exec("UPDATE agents SET lost_reason = ? WHERE id = ?", reason, a.ID); err != nil {
			return false, err
		}
		c.Tx.Change("agent", a.ID)
	}
	return true, nil
}

// Lost says why a host counts as lost; "" is that it does not.
func (s *Service) Lost(c *engine.Call, host string) (reason string, err error) {
	_, err = c.Tx.One([]any{&reason}, "SELECT lost_reason FROM agents WHERE host = ? AND lost_reason <> '' LIMIT 1", host)
	return reason, err
}

// Turn says which server has the turn to do what only one may do, and that server's count; "" when none has, count 0
// when it is forgotten.
func (s *Service) Turn(c *engine.Call, name string) (server string, count int64, err error) {
	if _, err = c.Tx.One([]any{&server}, "SELECT server_id FROM turns WHERE name = ?", name); err != nil || server == "" {
		return "", 0, err
	}
	_, err = c.Tx.One([]any{&count}, "SELECT beat FROM servers WHERE id = ?", server)
	return server, count, err
}

// TakeTurn gives a turn from one server to another, "" being none, if the first still has it.
func (s *Service) TakeTurn(c *engine.Call, name, from, to string) (bool, error) {
	have, _, err := s.Turn(c, name)
	if err != nil || have != from {
		return false, err
	}
	n, err := c.Tx.Exec("UPDATE turns SET server_id = ? WHERE name = ?", to, name)
	if err == nil && n == 0 {
		_, err = c.Tx.Exec("INSERT INTO turns (name, server_id) VALUES (?, ?)", name, to)
	}
	return err == nil, err
}
