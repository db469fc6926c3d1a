package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"neutrino/lab/client"
)

// moved is a router or a network's DHCP that leaves a host.
type moved struct {
	Resource string `json:"resource"`
	ID       string `json:"id"`
	Name     string `json:"name"`
	From     string `json:"from"`
	To       string `json:"to,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

func (m moved) String() string {
	text := m.Resource + " " + m.ID
	if m.Name != "" {
		text += " (" + m.Name + ")"
	}
	return text
}

// drained is how a host's draining ended.
type drained struct {
	Host     string  `json:"host"`
	Moved    []moved `json:"moved"`
	Stuck    []moved `json:"stuck"`     // no host takes them, or there was no time
	NotReady []moved `json:"not_ready"` // moved, and the new host has not said that they work
	Seconds  float64 `json:"seconds"`
}

// drainCommand is `neutrino drain`.
func drainCommand() *cobra.Command {
	var asJSON bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use: "drain HOST", Short: "Move a host's routers and DHCP to other hosts, and let it take no more",
		Long: `Switch off the host's L3 and DHCP agents for new work, move what they do to other hosts, and wait until it works
there. A router is made ready on its new host before it leaves the old one. Instances stay. The exit status is 1 when
something could not move; running it again goes on. ` + "`neutrino undrain HOST`" + ` lets the host take work again.

It is a client of the API: OS_CLOUD or OS_AUTH_URL and the rest say who asks, which must be an administrator.`,
		Example: "  OS_CLOUD=admin neutrino drain compute7 && ssh compute7 reboot",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			c, err := client.FromEnvironment(ctx)
			if err != nil {
				return err
			}
			progress := cmd.OutOrStdout()
			if asJSON {
				progress = io.Discard
			}
			d, err := drain(ctx, c, args[0], progress)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), d); err != nil {
					return err
				}
			}
			if len(d.Stuck)+len(d.NotReady) > 0 {
				return exitStatus(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON at the end instead of the progress")
	cmd.Flags().DurationVar(&patience, "timeout", 30*time.Minute, "how long it may take")
	return cmd
}

// undrainCommand is `neutrino undrain`.
func undrainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "undrain HOST", Short: "Let a host take routers and DHCP again",
		Long: "Switch on the host's L3 and DHCP agents. Nothing moves back: new work comes to the host, for it has the least.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client.FromEnvironment(cmd.Context())
			if err != nil {
				return err
			}
			_, err = switchAgents(cmd.Context(), c, args[0], true, cmd.OutOrStdout())
			return err
		},
	}
}

// switchAgents switches a host's L3 and DHCP agents on or off, and gives them.
func switchAgents(ctx context.Context, c *client.Client, host string, up bool, progress io.Writer) ([]client.Object, error) {
	all, err := c.List(ctx, "agents", "host="+url.QueryEscape(host))
	if err != nil {
		return nil, err
	}
	var agents []client.Object
	for _, a := range all {
		kind, _ := a["agent_type"].(string)
		if kind != "L3 agent" && kind != "DHCP agent" {
			continue
		}
		agents = append(agents, a)
		if a["admin_state_up"] == up {
			continue
		}
		id, _ := a["id"].(string)
		if _, err := c.Update(ctx, "agents", "agent", id, client.Object{"admin_state_up": up}); err != nil {
			return nil, err
		}
		state := "takes no new work"
		if up {
			state = "takes work"
		}
		fmt.Fprintf(progress, "%s on %s %s\n", kind, host, state)
	}
	if len(agents) == 0 {
		return nil, fmt.Errorf("no L3 or DHCP agent has reported from host %q, or you are not an administrator", host)
	}
	return agents, nil
}

// drainEvery is how often the server is asked how far it is.
const drainEvery = 500 * time.Millisecond

// drain drains a host. An error is one of asking; what can't move is in the answer.
func drain(ctx context.Context, c *client.Client, host string, progress io.Writer) (*drained, error) {
	began := time.Now()
	d := &drained{Host: host, Moved: []moved{}, Stuck: []moved{}, NotReady: []moved{}}
	agents, err := switchAgents(ctx, c, host, false, progress)
	if err != nil {
		return nil, err
	}
	underWay := map[string]moved{}
	for {
		var steps struct{ moved, moving, stuck []moved }
		for _, a := range agents {
			id, _ := a["id"].(string)
			answer, err := c.Do(ctx, http.MethodPut, "/agents/"+id+"/drain", client.Object{})
			if err != nil {
				return nil, drainError(err)
			}
			inner, _ := answer["drain"].(client.Object)
			steps.moved = append(steps.moved, moves(inner["moved"])...)
			steps.moving = append(steps.moving, moves(inner["moving"])...)
			steps.stuck = append(steps.stuck, moves(inner["stuck"])...)
		}
		d.Stuck = steps.stuck
		still := map[string]bool{}
		for _, m := range append(steps.moving, steps.stuck...) {
			still[m.ID] = true
		}
		for _, m := range steps.moving {
			if _, known := underWay[m.ID]; !known {
				fmt.Fprintf(progress, "%s is made ready on %s\n", m, m.To)
			}
			underWay[m.ID] = m
		}
		for id, m := range underWay {
			if !still[id] {
				steps.moved = append(steps.moved, m)
				delete(underWay, id)
			}
		}
		for _, m := range steps.moved {
			fmt.Fprintf(progress, "%s has moved to %s\n", m, m.To)
		}
		d.Moved = append(d.Moved, steps.moved...)
		if len(steps.moved)+len(steps.moving) == 0 {
			break
		}
		if !wait(ctx, drainEvery) {
			for _, m := range underWay {
				m.Reason = "there was no time left"
				d.Stuck = append(d.Stuck, m)
			}
			break
		}
	}
	for _, m := range d.Stuck {
		fmt.Fprintf(progress, "%s stays: %s\n", m, m.Reason)
	}
	if err := d.settle(ctx, c); err != nil {
		return nil, err
	}
	for _, m := range d.NotReady {
		fmt.Fprintf(progress, "%s does not work on %s yet: %s\n", m, m.To, m.Reason)
	}
	d.Seconds = time.Since(began).Seconds()
	fmt.Fprintf(progress, "%d moved, %d stuck, %d not ready, in %.1f s\n", len(d.Moved), len(d.Stuck), len(d.NotReady), d.Seconds)
	return d, nil
}

// drainError says what a server without the action means.
func drainError(err error) error {
	var refused *client.Refused
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return fmt.Errorf("the server drains no agents; is it a Neutrino of this release, and are you an administrator? %w", err)
	}
	return err
}

// settleIn is how long what has moved may take until it works.
const settleIn = 60 * time.Second

// settle waits until what has moved works at its new place.
func (d *drained) settle(ctx context.Context, c *client.Client) error {
	deadline := time.Now().Add(settleIn)
	left := d.Moved
	for len(left) > 0 {
		var waiting []moved
		for _, m := range left {
			why, err := notReady(ctx, c, m)
			if err != nil {
				return err
			}
			if why != "" {
				m.Reason = why
				waiting = append(waiting, m)
			}
		}
		left = waiting
		if len(left) == 0 || time.Now().After(deadline) || !wait(ctx, drainEvery) {
			break
		}
	}
	d.NotReady = append(d.NotReady, left...)
	return nil
}

// notReady says why something does not work at its new place; "" is that it does, or is gone.
func notReady(ctx context.Context, c *client.Client, m moved) (string, error) {
	query := "device_id=" + m.ID
	if m.Resource == "network" {
		query = "device_owner=network:dhcp&network_id=" + m.ID
	}
	ports, err := c.List(ctx, "ports", query)
	if err != nil {
		return "", err
	}
	for _, p := range ports {
		if p["status"] == "ACTIVE" || p["admin_state_up"] == false || p["binding:host_id"] != m.To {
			continue
		}
		reason, _ := p["status_reason"].(string)
		return fmt.Sprintf("port %v is %v: %s", p["id"], p["status"], reason), nil
	}
	return "", nil
}

// moves reads a list of the server's.
func moves(v any) []moved {
	list, _ := v.([]any)
	out := make([]moved, 0, len(list))
	for _, item := range list {
		o, _ := item.(client.Object)
		text := func(key string) string { s, _ := o[key].(string); return s }
		out = append(out, moved{text("resource"), text("id"), text("name"), text("from"), text("to"), text("reason")})
	}
	return out
}

// wait waits, and says whether there is time left.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
