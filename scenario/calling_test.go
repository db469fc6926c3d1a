package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"neutrino/lab/client"
)

// calling is somebody who calls the API while things happen.
type calling struct {
	client *client.Client
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended; the rest may be read then
	made   int
	ports  []string // that should be there
	err    error
}

// startCalling makes ports on a network, ten a second, and takes every other one away again.
func startCalling(c *client.Client, network string) *calling {
	ctx, cancel := context.WithCancel(context.Background())
	k := &calling{client: c, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(k.done)
		for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if err := k.once(network); err != nil {
				k.err = errors.Join(k.err, fmt.Errorf("call %d: %w", k.made, err))
			}
			k.made++
		}
	}()
	return k
}

func (k *calling) once(network string) error {
	port, err := k.client.Create(context.Background(), "ports", "port", client.Object{"network_id": network, "name": fmt.Sprint("call", k.made)})
	if err != nil {
		return err
	}
	id, _ := port["id"].(string)
	if k.made%2 == 1 {
		return k.client.Delete(context.Background(), "ports", id)
	}
	k.ports = append(k.ports, id)
	return nil
}

func (k *calling) stop() {
	k.cancel()
	<-k.done
}

// end stops it and tells what went wrong.
func (k *calling) end(least int) error {
	k.stop()
	if k.err == nil && k.made < least {
		return fmt.Errorf("only %d calls were made", k.made)
	}
	for _, id := range k.ports {
		if _, err := k.client.Show(context.Background(), "ports", "port", id); err != nil {
			k.err = errors.Join(k.err, fmt.Errorf("a port is lost: %w", err))
		}
	}
	return k.err
}
