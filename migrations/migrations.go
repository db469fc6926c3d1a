// Package migrations holds the schema: numbered SQL files that store.Migrate runs in order.
package migrations

import "embed"

// SQLite is the schema for the embedded database.
//
//go:embed *.sql
var SQLite embed.FS
