package southbound

import (
	"strconv"

	"neutrino/dataplane/ovndb"
)

// signs remembers by what hosts have shown that they live. After a lost connection all rows may be told as gone and come, those
// of hosts that died long ago too: only what was not known before is a sign.
type signs struct {
	chassis map[string]bool  // names
	answers map[string]int64 // nb_cfg by chassis
}

func newSigns() *signs { return &signs{chassis: map[string]bool{}, answers: map[string]int64{}} }

// take follows changes, and gives the names of chassis that have come, or whose controllers have answered since.
func (s *signs) take(changes []ovndb.Change) map[string]bool {
	alive := map[string]bool{}
	chassis, answers := map[string]bool{}, map[string]bool{} // that are there now
	for _, ch := range changes {
		name := ch.Row.One["name"]
		switch {
		case ch.Deleted:
		case ch.Table == "Chassis":
			if !s.chassis[name] {
				alive[name] = true
			}
			chassis[name], s.chassis[name] = true, true
		case ch.Table == "Chassis_Private":
			answer, _ := strconv.ParseInt(ch.Row.One["nb_cfg"], 10, 64) // "" is 0
			before, known := s.answers[name]
			if ch.One["nb_cfg"] || known && answer > before { // a smaller one counts when it is seen to come
				alive[name] = true
			}
			answers[name], s.answers[name] = true, answer
		}
	}
	for _, ch := range changes {
		name := ch.Row.One["name"]
		switch {
		case !ch.Deleted:
		case ch.Table == "Chassis" && !chassis[name]:
			delete(s.chassis, name)
		case ch.Table == "Chassis_Private" && !answers[name]:
			delete(s.answers, name)
		}
	}
	return alive
}
