package keystone

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"neutrino/policy"
)

// question is a token's hash, and whether it may have expired: tokens themselves are not kept.
type question struct {
	token   [sha256.Size]byte
	expired bool
}

// answer is what Keystone said of a token.
type answer struct {
	caller *policy.Credentials
	err    error // it refused the token
	until  time.Time
}

func (a *answer) copy() *policy.Credentials {
	if a.caller == nil {
		return nil
	}
	own := *a.caller
	return &own
}

// cache remembers answers, no more than limit: those that were not asked for longest go.
type cache struct {
	limit int

	mu    sync.Mutex
	known map[question]*list.Element
	order list.List // of entry; the newest use first
}

type entry struct {
	question question
	answer   *answer
}

func (c *cache) get(q question, now time.Time) (*answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.known[q]
	if !ok {
		return nil, false
	}
	e := at.Value.(entry)
	if !now.Before(e.answer.until) {
		c.order.Remove(at)
		delete(c.known, q)
		return nil, false
	}
	c.order.MoveToFront(at)
	return e.answer, true
}

func (c *cache) put(q question, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[question]*list.Element{}
	}
	if at, ok := c.known[q]; ok {
		c.order.Remove(at)
	}
	c.known[q] = c.order.PushFront(entry{q, a})
	for c.order.Len() > c.limit {
		last := c.order.Back()
		delete(c.known, c.order.Remove(last).(entry).question)
	}
}
