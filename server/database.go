package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"neutrino/migrations"
	"neutrino/store"
)

// Database says where the state is kept.
type Database struct {
	Source store.Source
	// AutoUpgrade brings an older schema up to date at the start; else the server refuses to run on one.
	AutoUpgrade bool
}

// retryDatabase is how often a database that does not answer is tried at the start.
const retryDatabase = 2 * time.Second

// openDatabase opens the database, waiting for one that does not answer yet, and sees to its schema.
func openDatabase(ctx context.Context, d Database, log *slog.Logger) (*store.DB, error) {
	db, err := store.Open(ctx, d.Source)
	for ; errors.Is(err, store.ErrUnavailable) && d.Source.Kind != store.SQLite; db, err = store.Open(ctx, d.Source) {
		log.Warn("the database does not answer; trying again", "database", d.Source.String(), "error", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryDatabase):
		}
	}
	if err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, db, d.AutoUpgrade, log); err != nil {
		return nil, fmt.Errorf("database %s: %w", d.Source, errors.Join(err, db.Close()))
	}
	return db, nil
}

func checkSchema(ctx context.Context, db *store.DB, upgrade bool, log *slog.Logger) error {
	if upgrade {
		ran, err := db.Migrate(ctx, migrations.Files)
		if len(ran) > 0 {
			log.Info("schema brought up to date", "database", db.Source().String(), "migrations", ran)
		}
		if err != nil {
			return fmt.Errorf("bring the schema up to date: %w", err)
		}
	}
	schema, err := db.Schema(ctx, migrations.Files)
	if err != nil {
		return err
	}
	if len(schema.Newer) > 0 && schema.Check() == nil {
		log.Warn("the database's schema is newer than this program; the new parts are not used", "migrations", schema.Newer)
	}
	return schema.Check()
}
