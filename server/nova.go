package server

import (
	"context"
	"time"

	"neutrino/engine"
	"neutrino/nova"
	"neutrino/service/compute"
)

// novaQueue shows to the sender the events that the services have noted.
type novaQueue struct {
	services *Services
	turn     *turn
}

// Waiting implements nova.Queue.
func (q novaQueue) Waiting(ctx context.Context, limit int) (list []nova.Event, all int, err error) {
	err = q.services.Engine.View(ctx, nil, func(c *engine.Call) error {
		var events []compute.Event
		events, all, err = q.services.Compute.Waiting(c, limit)
		list = make([]nova.Event, len(events))
		for i, e := range events {
			list[i] = nova.Event(e)
		}
		return err
	})
	return list, all, err
}

// Sent implements nova.Queue.
func (q novaQueue) Sent(ctx context.Context, ids []string) error {
	return q.services.Engine.Update(ctx, nil, func(c *engine.Call) error { return q.services.Compute.Sent(c, ids) })
}

// Changed implements nova.Queue: what is noted is part of a change that is journaled.
func (q novaQueue) Changed() <-chan struct{} { return q.services.Engine.DB.Changed() }

// Turn implements nova.Queue.
func (q novaQueue) Turn(ctx context.Context) (bool, error) { return q.turn.mine(ctx) }

// tellNova sends until the context ends, and then lets another server do it.
func tellNova(ctx context.Context, sender *nova.Sender, t *turn) error {
	err := sender.Run(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if leaveErr := t.leave(last); leaveErr != nil {
		t.services.Engine.Log.Warn("the turn to tell Nova could not be given up; another server takes it in a moment", "error", leaveErr)
	}
	return err
}
