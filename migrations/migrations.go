// Package migrations holds the schema: numbered SQL files that store.Migrate runs in order, on every
// kind of database.
package migrations

import "embed"

// Files are the migrations.
//
//go:embed *.sql
var Files embed.FS
