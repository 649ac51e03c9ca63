package store

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

const batchColumns = `id, realm, position, first_index, event_count, min_time, max_time, kind, actor_id, target_id, coding, data`

func scanBatch(r row) (v audit.Batch, err error) {
	d := batchData{data: &v.Data}
	err = r.Scan(&v.ID, &v.Realm, &v.Position, &v.FirstIndex, &v.Count, at(&v.MinTime), at(&v.MaxTime), &v.Kind, &v.ActorID,
		&v.TargetID, &d.coding, &d)
	return v, err
}

// UnsequencedBatches returns the oldest batches without an index, by position: up to limit,
// and none after those that make up some megabytes.
func (q Queries) UnsequencedBatches(ctx context.Context, realm string, limit int) ([]audit.Batch, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	out, bytes := []audit.Batch{}, 0
	err := each(ctx, q.c, scanBatch, func(b audit.Batch) error {
		out, bytes = append(out, b), bytes+len(b.Data)
		if bytes >= manyBytes {
			return errEnough
		}
		return nil
	}, `SELECT `+batchColumns+` FROM audit_batches WHERE realm=$1 AND first_index<0 ORDER BY position LIMIT $2`, realm, limit)
	if err != nil && err != errEnough {
		return nil, err
	}
	return out, nil
}

// manyBytes of events are enough to be in memory at a time.
const manyBytes = 4 << 20

var errEnough = errors.New("store: enough was read")

// AuditHead returns the number of lines of the realm's log that have an index.
func (q Queries) AuditHead(ctx context.Context, realm string) (int64, error) {
	sizes, err := many(ctx, q.c, func(r row) (v int64, err error) { return v, r.Scan(&v) },
		`SELECT first_index+event_count FROM audit_batches WHERE realm=$1 AND first_index>=0 ORDER BY first_index DESC LIMIT 1`, realm)
	if err != nil || len(sizes) == 0 {
		return 0, err
	}
	return sizes[0], nil
}

// AuditLogs tells how the logs of all realms stand; see [audit.LogState].
func (q Queries) AuditLogs(ctx context.Context) ([]audit.LogState, error) {
	return many(ctx, q.c, func(r row) (l audit.LogState, err error) {
		err = r.Scan(&l.Realm, &l.Size, &l.Waiting, &l.Signed, blob(&l.Note))
		return l, err
	}, `SELECT r.name, COALESCE((SELECT b.first_index+b.event_count FROM audit_batches b WHERE b.realm=r.name AND b.first_index>=0 ORDER BY b.first_index DESC LIMIT 1),0),
		EXISTS (SELECT 1 FROM audit_batches b WHERE b.realm=r.name AND b.first_index<0), COALESCE(c.size,0), c.note
		FROM realms r LEFT JOIN audit_checkpoints c ON c.realm=r.name AND c.size=(SELECT MAX(n.size) FROM audit_checkpoints n WHERE n.realm=r.name)
		ORDER BY r.name`)
}

const (
	defaultBatches = 100
	maxBatches     = 1000
	maxCheckpoints = 1_000_000
)

// Batches returns the batches that q selects; see [audit.BatchQuery].
func (q Queries) Batches(ctx context.Context, realm string, sel audit.BatchQuery) ([]audit.Batch, error) {
	where, args := batchFilter(realm, sel)
	order := "position"
	if sel.Sequenced {
		order = "first_index"
	}
	if sel.Descending {
		order += " DESC"
	}
	limit := sel.Limit
	if limit <= 0 {
		limit = defaultBatches
	}
	args = append(args, min(limit, maxBatches))
	return many(ctx, q.c, scanBatch, `SELECT `+batchColumns+` FROM audit_batches WHERE `+where+
		` ORDER BY `+order+` LIMIT $`+strconv.Itoa(len(args)), args...)
}

// batchFilter writes the WHERE clause of a selection. All of its text is fixed
// here; values go through arguments.
func batchFilter(realm string, sel audit.BatchQuery) (where string, args []any) {
	terms := []string{"realm=$1"}
	args = []any{realm}
	add := func(term string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			term = strings.Replace(term, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		terms = append(terms, term)
	}
	if !sel.From.IsZero() {
		add("max_time>=?", sel.From)
	}
	if !sel.To.IsZero() {
		add("min_time<=?", sel.To)
	}
	switch {
	case strings.HasSuffix(sel.Kind, "."):
		// "key." is a prefix: everything from "key." up to, without, "key/".
		add("(kind='' OR kind>=? AND kind<?)", sel.Kind, strings.TrimSuffix(sel.Kind, ".")+"/")
	case sel.Kind != "":
		add("kind IN ('', ?)", sel.Kind)
	}
	if sel.ActorID != "" {
		add("actor_id IN ('', ?)", sel.ActorID)
	}
	if sel.TargetID != "" {
		add("target_id IN ('', ?)", sel.TargetID)
	}
	switch {
	case sel.Sequenced:
		terms = append(terms, "first_index>=0")
		if sel.LastIndex >= 0 {
			add("first_index<=?", sel.LastIndex)
		}
		if sel.FirstIndex > 0 {
			// The first batch may begin before FirstIndex: start at the last one that
			// begins at or before it, which the index finds in one step.
			add(`first_index>=COALESCE((SELECT MAX(b.first_index) FROM audit_batches b
				WHERE b.realm=$1 AND b.first_index>=0 AND b.first_index<=?),0)`, sel.FirstIndex)
			add("first_index+event_count>?", sel.FirstIndex)
		}
	default:
		after, until, at := "position>?", "position<=?", "position>="
		if sel.Descending {
			after, until, at = "position<?", "position>=?", "position<="
		}
		if sel.At != "" {
			// One that is not there any more was the oldest: retention removed it, and all
			// that is left comes after it.
			add(at+"(SELECT COALESCE(MAX(b.position),0) FROM audit_batches b WHERE b.realm=$1 AND b.id=?)", sel.At)
		}
		if sel.After > 0 {
			add(after, sel.After)
		}
		if sel.Until > 0 {
			add(until, sel.Until)
		}
	}
	return strings.Join(terms, " AND "), args
}

// AuditTiles returns the stored tile at (level, n) when it has at least that
// width; narrower ones are prefixes of it, so only the widest is kept.
func (q Queries) AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (audit.Tile, error) {
	return one(ctx, q.c, func(r row) (v audit.Tile, err error) {
		err = r.Scan(&v.Realm, &v.Level, &v.N, &v.Width, blob(&v.Data))
		return v, err
	}, `SELECT realm, level, n, width, data FROM audit_tiles WHERE realm=$1 AND level=$2 AND n=$3 AND width>=$4`, realm, level, n, width)
}

// Checkpoints returns the newest checkpoints, newest first, up to a million: the
// verification of a log reads them together, and each is some 300 bytes.
func (q Queries) Checkpoints(ctx context.Context, realm string, limit int) ([]audit.SignedCheckpoint, error) {
	if limit < 1 || limit > maxCheckpoints {
		return nil, errLimit
	}
	return many(ctx, q.c, func(r row) (v audit.SignedCheckpoint, err error) {
		err = r.Scan(&v.Realm, &v.Size, at(&v.Time), blob(&v.Note))
		return v, err
	}, `SELECT realm, size, signed_at, note FROM audit_checkpoints WHERE realm=$1 ORDER BY size DESC LIMIT $2`, realm, limit)
}

// AppendEvents adds events of a change to the audit log, in the transaction of
// the change: one batch per realm, in the order of the list. An event without ID
// or Time gets them.
//
// The batches are stored when the function of the transaction has returned, with the
// commit ([Tx.finally]), so the transaction itself cannot read them back.
func (t *Tx) AppendEvents(ctx context.Context, events ...gatehouse.Event) error {
	if err := t.usable(); err != nil {
		return err
	}
	byRealm := map[string][]gatehouse.Event{}
	var realms []string
	for _, e := range events {
		if !validText(e.Realm) {
			return errText
		}
		audit.Complete(&e, t.now())
		if byRealm[e.Realm] == nil {
			realms = append(realms, e.Realm)
		}
		byRealm[e.Realm] = append(byRealm[e.Realm], e)
	}
	persons, failed := t.personKeys(ctx)
	for _, realm := range realms {
		b, err := audit.Encode(byRealm[realm], persons)
		if err == nil {
			err = failed()
		}
		if err != nil {
			return t.fail(internal("encode events: %w", err))
		}
		t.batches = append(t.batches, b)
	}
	return nil
}

// AppendBatch adds an encoded run of decision events, as [Tx.AppendEvents] does.
// A batch whose id is stored already is Conflict, reported by the runner.
func (t *Tx) AppendBatch(_ context.Context, b audit.Batch) error {
	if err := t.usable(); err != nil {
		return err
	}
	if b.ID == "" || b.Realm == "" || b.Count < 1 || len(b.Data) == 0 || b.MinTime.IsZero() || b.MaxTime.IsZero() {
		return t.fail(internal("batch %q is not complete", b.ID))
	}
	t.batches = append(t.batches, b)
	return nil
}

// flush stores the collected batches. Realms come in the order of their names,
// so that two transactions never wait for each other's realm.
func (t *Tx) flush(ctx context.Context) error {
	sorted.Slice(t.batches, func(a, b audit.Batch) int { return strings.Compare(a.Realm, b.Realm) })
	for _, b := range t.batches {
		if t.lanes {
			if err := t.appendInLane(ctx, &b); err != nil {
				return err
			}
			continue
		}
		position, err := one(ctx, t.c, func(r row) (v int64, err error) { return v, r.Scan(&v) },
			`INSERT INTO audit_positions (realm, position) VALUES ($1,1)
			ON CONFLICT (realm) DO UPDATE SET position=audit_positions.position+1 RETURNING position`, b.Realm)
		if err != nil {
			return err
		}
		coding, data := encodeBatch(b.Data)
		err = insert(ctx, t.c, `INSERT INTO audit_batches (`+batchColumns+`) VALUES ($1,$2,$3,-1,$4,$5,$6,$7,$8,$9,$10,$11)
			ON CONFLICT (id) DO NOTHING`, b.ID, b.Realm, position, b.Count, b.MinTime, b.MaxTime, b.Kind, b.ActorID, b.TargetID, coding, data)
		if err != nil {
			return err
		}
	}
	return nil
}

// AuditWaiting tells what of the realm is not in its log, and which positions have
// no batch; see [audit.Waiting].
func (q Queries) AuditWaiting(ctx context.Context, realm string) (w audit.Waiting, err error) {
	// The last position first: a batch that comes in between is then no gap.
	last, err := one(ctx, q.c, func(r row) (v int64, err error) { err = r.Scan(&v); return v, err },
		`SELECT COALESCE((SELECT position FROM audit_positions WHERE realm=$1),0)`, realm)
	if err != nil {
		return w, err
	}
	newest := int64(0)
	_, err = one(ctx, q.c, func(r row) (struct{}, error) {
		err := r.Scan(&w.Events, &w.First, at(&w.Since), &newest)
		return struct{}{}, err
	}, `SELECT CAST(COALESCE(SUM(CASE WHEN first_index<0 THEN event_count END),0) AS BIGINT),
		COALESCE(MIN(CASE WHEN first_index<0 THEN position END),0), MIN(CASE WHEN first_index<0 THEN max_time END),
		COALESCE(MAX(CASE WHEN position<`+arriving+` THEN position END),0) FROM audit_batches WHERE realm=$1`, realm)
	if err != nil {
		return w, err
	}
	w.Gaps, err = many(ctx, q.c, func(r row) (g audit.Gap, err error) { err = r.Scan(&g.First, &g.Last); return g, err },
		`SELECT before+1, position-1 FROM
			(SELECT position, LAG(position,1,0) OVER (ORDER BY position) AS before FROM audit_batches
			WHERE realm=$1 AND position<`+arriving+`) AS b
		WHERE position<>before+1 ORDER BY position LIMIT 100`, realm)
	if err == nil && newest < last {
		w.Gaps = append(w.Gaps, audit.Gap{First: newest + 1, Last: last})
	}
	if err == nil {
		w.Missing, err = q.missingArrivals(ctx, realm)
	}
	return w, err
}

// SequenceBatches gives the batches the indexes from firstIndex on, and those that are
// arriving their positions, here and in batches. It is Conflict when firstIndex is not
// the head, or a batch is unknown, has an index already or has another count.
func (t *Tx) SequenceBatches(ctx context.Context, realm string, firstIndex int64, batches []audit.Batch) error {
	head, err := t.AuditHead(ctx, realm)
	if err != nil {
		return err
	}
	if head != firstIndex {
		return gatehouse.ErrVersionConflict
	}
	positions, err := t.placeArrived(ctx, realm, batches)
	if err != nil {
		return err
	}
	if t.lanes {
		return t.place(ctx, realm, firstIndex, batches, positions)
	}
	for i := range batches {
		b := &batches[i]
		statement, args := `UPDATE audit_batches SET first_index=$4`, []any{b.ID, realm, b.Count, firstIndex}
		if positions[i] != b.Position {
			statement, args = statement+`, position=$5`, append(args, positions[i])
		}
		n, err := exec(ctx, t.c, statement+` WHERE id=$1 AND realm=$2 AND event_count=$3 AND first_index<0`, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return t.fail(gatehouse.ErrVersionConflict) // some batches have their index already: nothing of it may stay
		}
		b.FirstIndex, b.Position = firstIndex, positions[i]
		firstIndex += b.Count
	}
	return nil
}

// PutHead stores what the log of a realm needs when it has grown; see [audit.Head].
func (t *Tx) PutHead(ctx context.Context, h audit.Head) error {
	for _, v := range h.Tiles {
		if _, err := exec(ctx, t.c, `INSERT INTO audit_tiles (realm, level, n, width, data) VALUES ($1,$2,$3,$4,$5)
			ON CONFLICT (realm, level, n) DO UPDATE SET width=excluded.width, data=excluded.data
			WHERE audit_tiles.width<excluded.width`, v.Realm, v.Level, v.N, v.Width, v.Data); err != nil {
			return err
		}
	}
	for _, f := range h.Filters {
		if err := t.PutSearchFilter(ctx, f); err != nil {
			return err
		}
	}
	// A second checkpoint of the same size is Conflict: a log has one root per size.
	return insert(ctx, t.c, `INSERT INTO audit_checkpoints (realm, size, signed_at, note) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING`,
		h.Checkpoint.Realm, h.Checkpoint.Size, h.Checkpoint.Time, h.Checkpoint.Note)
}
