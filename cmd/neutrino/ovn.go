package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"neutrino/northbound"
	"neutrino/policy"
	"neutrino/server"
)

// ovnCommand is `neutrino ovn`.
func ovnCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ovn", Short: "OVN's northbound database against ours"}
	cmd.AddCommand(
		ovnCheck("diff", "Show what is not as it should be in OVN's northbound database, and change nothing",
			"The status is 3 when there are differences. What a running server is about to write may be among them.", false),
		ovnCheck("repair", "Mend what is not as it should be in OVN's northbound database",
			`A running server does this by itself, within a second; it is meant for when none runs. Rows without Neutron's mark are not
touched. In a database that no Neutrino has written yet, rows with that mark which follow from nothing that we know are kept
until --take-over says that they may go: look at "neutrino ovn diff" first.`, true),
	)
	return cmd
}

func ovnCheck(use, short, long string, repair bool) *cobra.Command {
	files := configFlags{names: serverFiles}
	var database databaseFlags
	var stateDir string
	var asJSON bool
	what := northbound.CheckOptions{Repair: repair}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ".\n\n" + long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings := newServerSettings()
			values, err := files.load(settings.options())
			if err != nil {
				return err
			}
			if err := settings.finish(values); err != nil {
				return err
			}
			if settings.OVN == nil {
				return fmt.Errorf("[ml2] mechanism_drivers has no ovn: give the server's --config-file")
			}
			if database.url == "" {
				database.url = settings.database
			}
			source, err := database.source(stateDir)
			if err != nil {
				return err
			}
			rules, err := policy.Neutron()
			if err != nil {
				return err
			}
			enforcer, err := policy.New(rules)
			if err != nil {
				return err
			}
			log := logger(false)
			services, err := server.OpenServices(cmd.Context(), server.Database{Source: source}, enforcer, settings.Services, log)
			if err != nil {
				return err
			}
			defer func() { _ = services.Engine.DB.Close() }()
			list, err := server.CheckOVN(cmd.Context(), services, *settings.OVN, what, log)
			if err != nil {
				return err
			}
			if err := showDifferences(cmd.OutOrStdout(), list, asJSON); err != nil {
				return err
			}
			if len(list) > 0 && !repair {
				return exitStatus(3)
			}
			return nil
		},
	}
	f := cmd.Flags()
	files.add(f)
	database.add(f)
	f.StringVar(&stateDir, "state-dir", "/var/lib/neutrino", "where the server keeps its state")
	f.BoolVar(&asJSON, "json", false, "one JSON array")
	if repair {
		f.BoolVar(&what.TakeOver, "take-over", false, "remove rows with Neutron's mark that we know nothing of, now and from now on")
	}
	return cmd
}

func showDifferences(w io.Writer, list []northbound.Difference, asJSON bool) error {
	if asJSON {
		if list == nil {
			list = []northbound.Difference{}
		}
		return json.NewEncoder(w).Encode(list)
	}
	for _, d := range list {
		line := fmt.Sprintf("%-6s %s %s", d.Action, d.Table, d.Name)
		if d.Why != "" {
			line += " (" + d.Why + ")"
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		for _, column := range slices.Sorted(maps.Keys(d.Columns)) {
			if _, err := fmt.Fprintf(w, "       %s: %s\n", column, d.Columns[column]); err != nil {
				return err
			}
		}
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no differences")
		return err
	}
	return nil
}
