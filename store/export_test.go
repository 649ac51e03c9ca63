package store

import "time"

// SetPatience has db wait that long for an answer of PostgreSQL. Call it before db is used.
func (db *DB) SetPatience(d time.Duration) { db.engine.(*postgresEngine).patience = d }
