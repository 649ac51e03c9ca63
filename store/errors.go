package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse"
)

// The errors of this package; docs/errors holds a page for each code.
var (
	errExists      = gatehouse.E(gatehouse.Conflict, "already_exists", "There is such a record already.")
	errReference   = gatehouse.E(gatehouse.Conflict, "reference_missing", "A record that this one belongs to does not exist.")
	errText        = gatehouse.E(gatehouse.Invalid, "text_invalid", "Text must be UTF-8 without NUL characters.")
	errLimit       = gatehouse.E(gatehouse.Invalid, "limit_invalid", "A page holds between 1 and 10000 records.")
	errUnavailable = gatehouse.E(gatehouse.Unavailable, "store_unavailable", "The database cannot be used at the moment.")
	errLocked      = gatehouse.E(gatehouse.Unavailable, "store_locked", "Another Gatehouse process uses this database.")
	errNewer       = gatehouse.E(gatehouse.Unavailable, "store_newer", "The database was written by a newer Gatehouse.")
	errSettings    = gatehouse.E(gatehouse.Invalid, "store_config", "The database settings cannot be used.")
	errInternal    = gatehouse.E(gatehouse.Internal, "store_error", "")
	errNotApplied  = gatehouse.E(gatehouse.Internal, "change_not_applied", "")
	errBackup      = gatehouse.E(gatehouse.Invalid, "backup_invalid", "This is not a complete backup that this version can read.")
	errNotEmpty    = gatehouse.E(gatehouse.Conflict, "store_not_empty", "Only an empty database can be filled with what another one holds.")
	errMoved       = gatehouse.E(gatehouse.Unavailable, "store_moved", "Everything in this database was moved to another one, which has gone on without it.")
	errUnfinished  = gatehouse.E(gatehouse.Unavailable, "store_move_unfinished", "A move into this database was cut off. Run it again, or serve what it came from.")
	errSchema      = gatehouse.E(gatehouse.Conflict, "store_schema_differs", "The schema of the database is not the one of this version.")
	errDiffers     = gatehouse.E(gatehouse.Conflict, "store_move_differs", "What arrived in the other database is not what was sent. Nothing was moved.")
)

// trouble sorts what a driver said into what the store does about it.
type trouble uint8

const (
	troubleNone        trouble = iota
	troubleLogic               // a bug or a refused value
	troubleUnique              // unique or primary key
	troubleReference           // foreign key
	troubleText                // not UTF-8
	troubleRetry               // serialization failure, deadlock: run again
	troubleConnection          // the connection is gone; another may work
	troubleUnavailable         // disk full, I/O error, out of memory, read-only, …
)

// diagnose looks at err as both drivers report it.
func diagnose(err error) trouble {
	if err == nil {
		return troubleNone
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return diagnosePostgres(pg.Code)
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return diagnoseSQLite(lite.Code())
	}
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connect), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return troubleConnection
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		strings.Contains(err.Error(), "database is closed"): // database/sql after Close
		return troubleUnavailable
	case errors.As(err, &network), strings.Contains(err.Error(), "conn closed"):
		return troubleConnection
	}
	return troubleLogic
}

// diagnosePostgres reads an SQLSTATE (PostgreSQL manual, appendix A).
func diagnosePostgres(code string) trouble {
	switch code {
	case "23505":
		return troubleUnique
	case "23503":
		return troubleReference
	case "22021":
		return troubleText
	case "40001", "40P01":
		return troubleRetry
	case "25006": // read-only transaction: we reached a standby
		return troubleUnavailable
	case "25P03", "25P04": // we were stopped in the middle of a transaction, or it took too long, and the server gave it up
		return troubleConnection
	}
	if len(code) != 5 {
		return troubleLogic
	}
	switch code[:2] {
	case "08":
		return troubleConnection
	case "57":
		if code == "57014" { // canceled on request
			return troubleUnavailable
		}
		return troubleConnection
	case "28", "3D", "53", "55", "58", "XX":
		return troubleUnavailable
	}
	return troubleLogic
}

// diagnoseSQLite reads an extended result code.
func diagnoseSQLite(code int) trouble {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return troubleUnique
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return troubleReference
	}
	switch code & 0xff {
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE,
		sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_SCHEMA:
		return troubleLogic
	}
	return troubleUnavailable // full, I/O, busy, corrupt, interrupted, …: never "it worked"
}

// public turns a driver's error into ours. Errors that are ours already pass.
func public(err error) error {
	var ours *gatehouse.Error
	if err == nil || errors.As(err, &ours) {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23502" && pg.TableName == "feed" && pg.ColumnName == "node" {
		return errWaits.With(err) // see feed.Append
	}
	switch diagnose(err) {
	case troubleUnique:
		return errExists.With(err)
	case troubleReference:
		return errReference.With(err)
	case troubleText:
		return errText.With(err)
	case troubleRetry, troubleConnection, troubleUnavailable:
		return errUnavailable.With(err)
	}
	return errInternal.With(err)
}

func internal(format string, args ...any) error {
	return errInternal.With(fmt.Errorf(format, args...))
}
