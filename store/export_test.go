package store

import "time"

// SetMaxAge is for tests whose writers must share a transaction on however slow a machine.
func (db *DB) SetMaxAge(d time.Duration) { db.maxAge = d }

// Waiting is how many writers wait for their turn.
func (db *DB) Waiting() int {
	db.turn.mu.Lock()
	defer db.turn.mu.Unlock()
	return db.turn.waiting.Len()
}
