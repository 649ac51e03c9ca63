package feed

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// channel is where rows are announced. Two installations may share a database.
	channel = `'gatehouse_'||md5(coalesce(current_schema(),''))`
	// clock is the database's, in microseconds since 1970.
	clock = `(extract(epoch FROM clock_timestamp())*1000000)::bigint`

	appendRow    = appendHead + `CASE WHEN EXISTS (SELECT 1 FROM sole_node WHERE node<>'' AND node<>$1::text) THEN NULL ELSE $1::text END` + appendTail
	appendAnyway = appendHead + `$1::text` + appendTail
	appendHead   = `WITH r AS (INSERT INTO feed (xid, node, written_at, changes) SELECT pg_current_xact_id()::text::bigint, `
	appendTail   = `, ` + clock + `, $2::text RETURNING xid, node, written_at)
		SELECT xid, pg_notify(` + channel + `, node)::text, written_at FROM r`

	// lookAround reads the nodes, which of some rows of ours are still there, and in which
	// history all of that was true, in one statement.
	lookAround = `SELECT s.history, s.now, s.kept, n.id, n.host, n.version, n.addresses, n.started_at, n.max_staleness, n.seen_at, n.history, n.position, n.age, n.answers
		FROM (SELECT (SELECT system_identifier FROM pg_control_system())||'/'||substr(pg_walfile_name(pg_current_wal_lsn()),1,8) AS history, ` + clock + ` AS now,
			ARRAY(SELECT f.xid FROM feed AS f JOIN unnest($2::bigint[], $3::bigint[]) AS w(xid, written_at) ON f.xid=w.xid AND f.written_at=w.written_at
				WHERE f.node=$1) AS kept) AS s LEFT JOIN nodes AS n ON true`

	// readRows takes the snapshot, the rows and everything that says what they are
	// worth in one statement: two statements would see two moments. It fails on a
	// standby, whose snapshots list no transactions in progress. New rows and those of
	// transactions that were open are two selections: for one condition with OR, the plan
	// that PostgreSQL keeps walks through every row that is still there.
	readRows = `SELECT s.system, s.timeline, s.now, s.snapshot, s.floor, s.kept, f.xid, f.node, f.written_at, f.changes FROM
		(SELECT (SELECT system_identifier FROM pg_control_system()) AS system, substr(pg_walfile_name(pg_current_wal_lsn()),1,8) AS timeline,
			` + clock + ` AS now, pg_current_snapshot()::text AS snapshot, coalesce((SELECT snapshot FROM feed_floor),'') AS floor,
			$3::bigint=0 OR EXISTS (SELECT 1 FROM feed WHERE xid=$3 AND node=$4 AND written_at=$5) AS kept) AS s
		LEFT JOIN (SELECT xid, node, written_at, changes FROM ((SELECT * FROM feed WHERE xid>=$1 ORDER BY xid LIMIT $6)
			UNION ALL (SELECT * FROM feed WHERE xid<$1 AND xid=ANY($2::bigint[]))) AS f ORDER BY xid LIMIT $6) AS f ON true
		ORDER BY f.xid`

	// What a copy of another cluster brought along lies in the future here.
	cleanRows  = `DELETE FROM feed WHERE xid>=pg_snapshot_xmax(pg_current_snapshot())::text::bigint`
	cleanFloor = `DELETE FROM feed_floor WHERE split_part(snapshot,':',2)::bigint>pg_snapshot_xmax(pg_current_snapshot())::text::bigint`

	raiseFloor = `INSERT INTO feed_floor (one, snapshot) VALUES (1,$1) ON CONFLICT (one) DO UPDATE SET snapshot=excluded.snapshot
		WHERE feed_floor.snapshot=$2`
	removeRows = `DELETE FROM feed WHERE xid IN (SELECT xid FROM feed WHERE xid<$1 AND NOT xid=ANY($2::bigint[]) ORDER BY xid LIMIT $3)`
)

// Append is the statement that leaves changes for the other nodes, as the last one of the
// transaction that makes them; it returns one row, of the transaction's id, nothing of use,
// and when it was written in microseconds since 1970. The others are woken at the commit. A transaction appends once; changes is not empty.
// It fails, for want of a name in feed.node, while another node has the right to go on
// without hearing of it (package internal/staleness).
func Append(node, changes string) (statement string, args []any) {
	return appendRow, []any{node, changes}
}

// AppendAnyway is [Append] for a change of which nobody is told that it has effect everywhere.
func AppendAnyway(node, changes string) (statement string, args []any) {
	return appendAnyway, []any{node, changes}
}

// read asks for what is new since a position. With proof, it asks too whether that
// row is still there.
func read(ctx context.Context, conn *pgx.Conn, since snapshot, proof Row) (g reading, err error) {
	from := int64(math.MaxInt64) // nothing: without a position everything is loaded instead
	if !since.empty() {
		from = int64(since.xmax)
	}
	rows, err := conn.Query(ctx, readRows, from, signed(since.inProgress), int64(proof.XID), proof.Node, proof.WrittenAt.UnixMicro(), maxRows+1)
	if err != nil {
		return g, err
	}
	defer rows.Close()
	for first := true; rows.Next(); first = false {
		var system, now int64
		var timeline, taken, floor string
		var xid, written *int64
		var node, changes *string
		if err := rows.Scan(&system, &timeline, &now, &taken, &floor, &g.kept, &xid, &node, &written, &changes); err != nil {
			return g, err
		}
		if first {
			g.history, g.now = history{uint64(system), timeline}, time.UnixMicro(now)
			if g.snapshot, err = parseSnapshot(taken); err != nil {
				return g, err
			}
			if floor != "" {
				if g.floor, err = parseSnapshot(floor); err != nil {
					return g, err
				}
			}
		}
		if xid != nil {
			row := Row{XID: uint64(*xid), Node: *node, WrittenAt: time.UnixMicro(*written)}
			if changes != nil {
				row.Changes = []byte(*changes)
			}
			g.rows = append(g.rows, row)
		}
	}
	return g, rows.Err()
}

func signed(ids []uint64) []int64 {
	out := make([]int64, len(ids))
	for i, id := range ids {
		out[i] = int64(id)
	}
	return out
}
