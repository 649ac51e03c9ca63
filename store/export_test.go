package store

import (
	"context"
	"time"
)

// SetPatience has db wait that long for an answer of PostgreSQL. Call it before db is used.
func (db *DB) SetPatience(d time.Duration) { db.engine.(*postgresEngine).patience = d }

// Strange has db find, when it next looks, that the server which answers does not hold its
// lock; Takings counts how often it took the lock.
func (db *DB) Strange()       { db.engine.(*postgresEngine).lock.began.Store(0) }
func (db *DB) Takings() int64 { return db.engine.(*postgresEngine).lock.taken.Load() }

// LookAround has db look at once which of its servers is the primary.
func (db *DB) LookAround(ctx context.Context) {
	l := db.engine.(*postgresEngine).lock
	l.servers.lookAround(ctx, l.config)
}
