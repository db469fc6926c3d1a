package northbound

import (
	"time"

	"neutrino/driver/ovn"
)

// dropped are rows that were wanted and are so no longer, with when that was: what users delete goes from a database
// too that was not taken over.
type dropped map[ovn.Key]time.Time

// take notes which of the rows that a model's facts have touched are not wanted any more.
func (d dropped) take(m *ovn.Model, touched map[ovn.Key]bool) {
	for key := range touched {
		if m.Row(key) == nil {
			d[key] = time.Now()
		} else {
			delete(d, key)
		}
	}
}

// prune forgets what is not in the database. What was wanted until a moment ago may still come: another server, which
// wrote until now, did not know better.
func (d dropped) prune(x *index) {
	for key, since := range d {
		if x.find(key) == "" && time.Since(since) > time.Minute {
			delete(d, key)
		}
	}
}
