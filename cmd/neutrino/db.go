package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"neutrino/migrations"
	"neutrino/store"
)

// databaseFlags say which database is meant.
type databaseFlags struct{ url, passwordFile string }

func (d *databaseFlags) add(f *pflag.FlagSet) {
	f.StringVar(&d.url, "database", "", `where state is kept, as in [database] connection: sqlite:///PATH, postgresql://USER@HOST/NAME
or mysql://USER@HOST/NAME (default: neutrino.db in the state directory)`)
	f.StringVar(&d.passwordFile, "database-password-file", "", "file with the database user's password")
}

func (d *databaseFlags) source(stateDir string) (store.Source, error) {
	if d.url == "" {
		d.url = filepath.Join(stateDir, "neutrino.db")
	}
	source, err := store.Parse(d.url)
	if err != nil || d.passwordFile == "" {
		return source, err
	}
	password, err := os.ReadFile(d.passwordFile)
	if err != nil {
		return source, fmt.Errorf("read the database password: %w", err)
	}
	return source.WithPassword(strings.TrimRight(string(password), "\r\n"))
}

// dbCommand is `neutrino db`.
func dbCommand() *cobra.Command {
	var flags databaseFlags
	var stateDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "db",
		Short: "The schema of the server's database",
		Long: `Look at the schema of the server's database, and bring it up to date.

Migrations of the schema add only (expand), so servers of the version before go on working while and
after the schema is brought up to date: first "neutrino db upgrade" of the new version, then the
servers one by one. A migration that takes something away (contracts) comes in a later version,
when no server needs it any more; older servers refuse to start after it.`,
	}
	cmd.PersistentFlags().StringVar(&stateDir, "state-dir", "/var/lib/neutrino", "where the server keeps its state")
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "answer in JSON")
	flags.add(cmd.PersistentFlags())
	add := func(use, short, long string, make bool, run func(ctx context.Context, db *store.DB, out io.Writer) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Long: long, Args: cobra.NoArgs,
			Example: "  neutrino db " + use + "\n  neutrino db " + use + " --database postgresql://neutrino@db.example.org/neutrino --database-password-file /etc/neutrino/db-password --json",
			RunE: func(cmd *cobra.Command, _ []string) (err error) {
				source, err := flags.source(stateDir)
				if err != nil {
					return err
				}
				if source.Kind == store.SQLite && !make {
					if _, err := os.Stat(source.Path); errors.Is(err, fs.ErrNotExist) {
						return fmt.Errorf("there is no database %s", source.Path)
					}
				}
				db, err := store.Open(cmd.Context(), source)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, db.Close()) }()
				return run(cmd.Context(), db, cmd.OutOrStdout())
			},
		})
	}
	add("upgrade", "Bring the schema up to date", `Run the migrations that the database does not have yet; on an empty database, all. Of several that
are started at once one does it and the others wait. What was broken off goes on where it stopped.`, true,
		func(ctx context.Context, db *store.DB, out io.Writer) error {
			return upgradeSchema(ctx, db, out, asJSON)
		})
	add("check", "Say whether this version can work on the database", `Compare the schema with what this version needs, and change nothing. The exit status is 0 when a server
of this version would start, else 1.`, false,
		func(ctx context.Context, db *store.DB, out io.Writer) error { return checkSchema(ctx, db, out, asJSON) })
	add("version", "Show the schema's version", `Show the number of the newest migration that the database has, and of the newest that this version knows.`, false,
		func(ctx context.Context, db *store.DB, out io.Writer) error { return showVersion(ctx, db, out, asJSON) })
	return cmd
}

func upgradeSchema(ctx context.Context, db *store.DB, out io.Writer, asJSON bool) error {
	ran, err := db.Migrate(ctx, migrations.Files)
	if asJSON {
		return errors.Join(err, writeJSON(out, map[string]any{"database": db.Source().String(), "ran": append([]string{}, ran...), "complete": err == nil}))
	}
	for _, name := range ran {
		fmt.Fprintln(out, "ran", name)
	}
	if err == nil && len(ran) == 0 {
		fmt.Fprintln(out, "nothing to do")
	}
	return err
}

func checkSchema(ctx context.Context, db *store.DB, out io.Writer, asJSON bool) error {
	schema, err := db.Schema(ctx, migrations.Files)
	if err != nil {
		return err
	}
	reason := schema.Check()
	if asJSON {
		answer := map[string]any{
			"database": db.Source().String(), "version": schema.Version, "known": schema.Known,
			"missing": append([]string{}, schema.Missing...), "newer": append([]string{}, schema.Newer...), "fits": reason == nil,
		}
		if err := writeJSON(out, answer); err != nil {
			return err
		}
		if reason != nil {
			return exitStatus(1)
		}
		return nil
	}
	if reason == nil {
		fmt.Fprintln(out, "the schema fits")
	}
	return reason
}

func showVersion(ctx context.Context, db *store.DB, out io.Writer, asJSON bool) error {
	schema, err := db.Schema(ctx, migrations.Files)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(out, map[string]any{"database": db.Source().String(), "version": schema.Version, "known": schema.Known})
	}
	_, err = fmt.Fprintf(out, "%d (this program knows up to %d)\n", schema.Version, schema.Known)
	return err
}

func writeJSON(out io.Writer, answer any) error {
	text, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}
