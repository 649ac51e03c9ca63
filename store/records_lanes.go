package store

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// The position of a batch that waits is its time of arrival in microseconds, by the
// database's clock, with its lane in the lowest bits: no two are the same, since the times
// of a lane only grow.
const (
	laneBits = 10
	lanes    = 1 << laneBits
)

// arriving is the place from which on positions are those of arrival, for statements.
var arriving = strconv.FormatInt(audit.Arriving, 10)

// laneOf is the lane of a batch that waits.
func laneOf(position int64) int64 { return position & (lanes - 1) }

// appendInLane stores b under a position of arrival. It takes the first lane that no other
// transaction has, by a lock that it tries and never waits for; so it waits for nobody,
// however late the others commit. Should all be taken, the position is NULL, which is
// refused, and the transaction runs again.
func (t *Tx) appendInLane(ctx context.Context, b *audit.Batch) error {
	coding, data := encodeBatch(b.Data)
	// In FROM, generate_series would make all its rows before the first is looked at.
	return t.finally(ctx, `WITH free AS (SELECT n AS lane FROM (SELECT generate_series(CAST(0 AS BIGINT),`+strconv.Itoa(lanes-1)+`) AS n) AS s
			WHERE pg_try_advisory_xact_lock(hashtextextended(coalesce(current_schema(),'')||' '||CAST($2 AS TEXT), 0) & `+strconv.Itoa(-lanes)+` | n) LIMIT 1),
		taken AS (INSERT INTO audit_lanes AS l (realm, lane, stored, arrived) SELECT $2, lane, 1, `+t.clock+` FROM free
			ON CONFLICT (realm, lane) DO UPDATE SET stored=l.stored+1, arrived=GREATEST(l.arrived+1, excluded.arrived) RETURNING lane, arrived)
		INSERT INTO audit_batches (`+batchColumns+`) VALUES ($1,$2,(SELECT `+arriving+`+arrived*`+strconv.Itoa(lanes)+`+lane FROM taken),-1,$3,$4,$5,$6,$7,$8,$9,$10)`,
		b.ID, b.Realm, b.Count, b.MinTime, b.MaxTime, b.Kind, b.ActorID, b.TargetID, coding, data)
}

// placeArrived returns the positions that the batches have from now on: of those that are
// arriving the next ones of the realm, and counts these as taken out of their lanes.
func (t *Tx) placeArrived(ctx context.Context, realm string, batches []audit.Batch) ([]int64, error) {
	positions := make([]int64, len(batches))
	taken, arrived := map[int64]int64{}, int64(0)
	for i := range batches {
		if positions[i] = batches[i].Position; positions[i] >= audit.Arriving {
			taken[laneOf(positions[i])]++
			arrived++
		}
	}
	if arrived == 0 {
		return positions, nil
	}
	last, err := one(ctx, t.c, func(r row) (v int64, err error) { return v, r.Scan(&v) },
		`INSERT INTO audit_positions (realm, position) VALUES ($1,$2)
		ON CONFLICT (realm) DO UPDATE SET position=audit_positions.position+excluded.position RETURNING position`, realm, arrived)
	if err != nil {
		return nil, err
	}
	for i, next := 0, last-arrived+1; i < len(positions); i++ {
		if positions[i] >= audit.Arriving {
			positions[i] = next
			next++
		}
	}
	if t.lanes {
		numbers, counts := slices.Sorted(maps.Keys(taken)), make([]int64, 0, len(taken))
		for _, lane := range numbers {
			counts = append(counts, taken[lane])
		}
		_, err = exec(ctx, t.c, `INSERT INTO audit_taken (realm, lane, batches) SELECT $1, lane, n FROM unnest($2::bigint[], $3::bigint[]) AS v(lane, n)
			ON CONFLICT (realm, lane) DO UPDATE SET batches=audit_taken.batches+excluded.batches`, realm, numbers, counts)
		return positions, err
	}
	for _, lane := range slices.Sorted(maps.Keys(taken)) { // of a log that came from PostgreSQL
		if _, err := exec(ctx, t.c, `INSERT INTO audit_taken (realm, lane, batches) VALUES ($1,$2,$3)
			ON CONFLICT (realm, lane) DO UPDATE SET batches=audit_taken.batches+excluded.batches`, realm, lane, taken[lane]); err != nil {
			return nil, err
		}
	}
	return positions, nil
}

// place writes the indexes and positions of batches as [Tx.SequenceBatches] does, in one
// statement.
func (t *Tx) place(ctx context.Context, realm string, firstIndex int64, batches []audit.Batch, positions []int64) error {
	ids, counts, indexes, moves := make([]string, len(batches)), make([]int64, len(batches)), make([]int64, len(batches)), make([]int64, len(batches))
	for i := range batches {
		b := &batches[i]
		if positions[i] != b.Position {
			moves[i] = positions[i]
		}
		b.FirstIndex, b.Position = firstIndex, positions[i]
		ids[i], counts[i], indexes[i] = b.ID, b.Count, firstIndex
		firstIndex += b.Count
	}
	n, err := exec(ctx, t.c, `UPDATE audit_batches AS b SET first_index=v.first_index, position=COALESCE(NULLIF(v.position,0), b.position)
		FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS v(id, event_count, first_index, position)
		WHERE b.id=v.id COLLATE "C" AND b.realm=$1 AND b.event_count=v.event_count AND b.first_index<0`, realm, ids, counts, indexes, moves)
	if err == nil && n != int64(len(batches)) {
		err = t.fail(gatehouse.ErrVersionConflict) // some batches have their index already: nothing of it may stay
	}
	return err
}

// missingArrivals counts the batches of the realm that were stored in a lane, and neither
// wait nor were taken: they were removed. One statement sees one moment.
func (q Queries) missingArrivals(ctx context.Context, realm string) (int64, error) {
	return one(ctx, q.c, func(r row) (v int64, err error) { return v, r.Scan(&v) },
		`SELECT CAST(COALESCE(SUM(CASE WHEN missing>0 THEN missing END),0) AS BIGINT) FROM
			(SELECT l.stored-COALESCE(t.batches,0)-COALESCE(w.n,0) AS missing FROM audit_lanes l
			LEFT JOIN audit_taken t ON t.realm=l.realm AND t.lane=l.lane
			LEFT JOIN (SELECT position%`+strconv.Itoa(lanes)+` AS lane, COUNT(*) AS n FROM audit_batches
				WHERE realm=$1 AND first_index<0 AND position>=`+arriving+` GROUP BY 1) w ON w.lane=l.lane
			WHERE l.realm=$1) AS lanes`, realm)
}
