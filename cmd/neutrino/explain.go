package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"neutrino/lab/client"
)

// explanation is what the server tells of where something is.
type explanation struct {
	Resource   string        `json:"resource"`
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Status     string        `json:"status"`
	Hosts      []string      `json:"hosts"`
	Next       string        `json:"next_host"`
	Zones      []string      `json:"availability_zone_hints"`
	Reasons    []string      `json:"reasons"`
	Candidates []candidate   `json:"candidates"`
	Parts      []explanation `json:"parts"`
}

type candidate struct {
	Host     string `json:"host"`
	Zone     string `json:"availability_zone"`
	Load     int    `json:"load"`
	Here     bool   `json:"here"`
	Excluded string `json:"excluded"`
}

// explainCommand is `neutrino explain`.
func explainCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain router|network|port ID", Short: "Say where something is, why there, and why it does not work",
		Long: `Say on which host a router is, which hosts serve DHCP to a network, or where a port is; which hosts were candidates, with
their load and what excludes them; and why what is not ACTIVE is not. A name will do in place of an id.

It is a client of the API: OS_CLOUD or OS_AUTH_URL and the rest say who asks, which must be an administrator.`,
		Example: "  neutrino explain router way\n  neutrino explain port 4be2d3a1-… --json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			plural := map[string]string{"router": "routers", "network": "networks", "port": "ports"}[args[0]]
			if plural == "" {
				return fmt.Errorf("%q can't be explained: router, network and port can", args[0])
			}
			c, err := client.FromEnvironment(cmd.Context())
			if err != nil {
				return err
			}
			id, err := idOf(cmd.Context(), c, plural, args[1])
			if err != nil {
				return err
			}
			answer, err := c.Do(cmd.Context(), http.MethodGet, "/"+plural+"/"+id+"/explain", nil)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), answer["explanation"])
			}
			text, err := json.Marshal(answer["explanation"])
			if err != nil {
				return err
			}
			var e explanation
			if err := json.Unmarshal(text, &e); err != nil {
				return fmt.Errorf("the server's explanation makes no sense: %w", err)
			}
			return e.print(cmd.OutOrStdout(), "")
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// idOf finds the id of what a user names, which may be the id.
func idOf(ctx context.Context, c *client.Client, plural, word string) (string, error) {
	for _, key := range []string{"id", "name"} {
		found, err := c.List(ctx, plural, url.Values{key: {word}, "fields": {"id"}}.Encode())
		if err != nil {
			return "", err
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			id, _ := found[0]["id"].(string)
			return id, nil
		}
		return "", fmt.Errorf("%d %s are called %q: give the id", len(found), plural, word)
	}
	return "", errors.New("there is no " + strings.TrimSuffix(plural, "s") + " " + word)
}

// print writes an explanation for people, its parts indented.
func (e explanation) print(w io.Writer, indent string) error {
	title := e.Resource + " " + e.ID
	if e.Name != "" {
		title += " (" + e.Name + ")"
	}
	if e.Status != "" {
		title += ", " + e.Status
	}
	where := "on no host"
	if len(e.Hosts) > 0 {
		where = "on " + strings.Join(e.Hosts, ", ")
	}
	if e.Next != "" {
		where += ", about to move to " + e.Next
	}
	fmt.Fprintf(w, "%s%s: %s\n", indent, title, where)
	for _, reason := range e.Reasons {
		fmt.Fprintf(w, "%s  - %s\n", indent, reason)
	}
	if len(e.Candidates) > 0 {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintf(t, "%s  host\tzone\tload\t\n", indent)
		for _, p := range e.Candidates {
			note := p.Excluded
			if p.Here {
				note = strings.TrimSuffix("it is here; "+note, "; ")
			} else if note == "" {
				note = "could take it"
			}
			fmt.Fprintf(t, "%s  %s\t%s\t%d\t%s\n", indent, p.Host, p.Zone, p.Load, note)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, part := range e.Parts {
		if err := part.print(w, indent+"  "); err != nil {
			return err
		}
	}
	return nil
}
