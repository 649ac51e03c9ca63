package audit

import (
	"context"
	"time"
)

// BatchQuery selects stored batches of one realm. The zero value selects all of
// them, oldest first, up to the store's own limit.
type BatchQuery struct {
	// From and To select batches that overlap this time: MaxTime >= From and
	// MinTime <= To. A zero time does not bound.
	From, To time.Time

	// Sequenced selects only batches that have a FirstIndex, orders by it
	// instead of Position, and makes FirstIndex and LastIndex count: batches
	// that hold at least one line with FirstIndex <= index <= LastIndex.
	// LastIndex < 0 does not bound.
	Sequenced  bool
	FirstIndex int64
	LastIndex  int64

	// Kind, ActorID and TargetID, when not "", select batches whose field equals
	// it or is "" (a mixed batch). A Kind that ends in "." selects every kind
	// that begins with it.
	Kind     string
	ActorID  string
	TargetID string

	// After continues a listing by Position: only batches with Position > After,
	// or < After when Descending. 0 starts at the beginning (or the end). It is
	// not used with Sequenced.
	After      int64
	Descending bool
	// At continues a listing at the batch of that ID, included, wherever it is by now; ""
	// does not. It is used in place of After for a batch that was [Arriving] when it was
	// read, since its position changes.
	At string
	// Until ends a listing by Position: only batches with Position <= Until, or
	// >= Until when Descending. 0 does not bound. It is not used with Sequenced.
	Until int64
	// Limit is the most batches returned; the store bounds it to 1,000 and takes
	// 100 for 0.
	Limit int
}

// Reader is what reading and verification need of the store. Implementations
// return gatehouse.NotFound (by errors.Is) for a tile that is not there, and when
// nothing was removed.
type Reader interface {
	// AuditHead returns the number of sequenced lines of the realm.
	AuditHead(ctx context.Context, realm string) (int64, error)
	Batches(ctx context.Context, realm string, q BatchQuery) ([]Batch, error)
	// AuditTiles returns the widest stored tile (level, n) with Width >= width.
	AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (Tile, error)
	// Checkpoints returns the newest limit checkpoints, newest first.
	Checkpoints(ctx context.Context, realm string, limit int) ([]SignedCheckpoint, error)
	// SearchFilters returns the filters that q selects, in the order of their
	// positions. No two of a realm overlap.
	SearchFilters(ctx context.Context, realm string, q FilterQuery) ([]SearchFilter, error)
	// AuditWaiting tells what of the realm is outside of the log.
	AuditWaiting(ctx context.Context, realm string) (Waiting, error)
	// AuditRemoval tells what was removed from the beginning of the log.
	AuditRemoval(ctx context.Context, realm string) (Removal, error)
}

// Waiting is what is stored and not yet in the log, and what should be stored and
// is not.
type Waiting struct {
	Events int64
	First  int64     // Position of the oldest batch; 0: none waits
	Since  time.Time // the latest event of that batch
	// Gaps are runs of positions without a batch: positions are given out without
	// a hole, so each of them was removed. At most 100 are told.
	Gaps []Gap
	// Missing counts batches that were stored and are gone before they had a position.
	Missing int64
}

// Gap is a run of missing positions, both ends included.
type Gap struct{ First, Last int64 }

// BatchWriter is the transaction of the [Recorder].
type BatchWriter interface {
	// AppendBatch stores b with FirstIndex -1 and the next Position of its realm, or one
	// that says that it is [Arriving]. A batch whose ID is already stored is
	// gatehouse.Conflict. Data belongs to the caller again once the transaction has ended.
	AppendBatch(ctx context.Context, b Batch) error
}

// SequencerTx is the transaction of the [Sequencer].
type SequencerTx interface {
	// UnsequencedBatches returns up to limit batches without FirstIndex, by Position: fewer
	// where they are large, but at least one when there is one.
	UnsequencedBatches(ctx context.Context, realm string, limit int) ([]Batch, error)
	AuditHead(ctx context.Context, realm string) (int64, error)
	AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (Tile, error)
	Checkpoints(ctx context.Context, realm string, limit int) ([]SignedCheckpoint, error)
	// SequenceBatches sets FirstIndex of the batches to firstIndex, firstIndex +
	// batches[0].Count, … and gives those that are [Arriving] their Position, behind every
	// batch that has one: in the store and in batches. It is gatehouse.Conflict when
	// firstIndex is not the head, when one of the batches is unknown or already has an
	// index, or when its stored count differs.
	SequenceBatches(ctx context.Context, realm string, firstIndex int64, batches []Batch) error
	// LastSearchFilter returns the filter of the realm's newest positions;
	// gatehouse.NotFound when there is none.
	LastSearchFilter(ctx context.Context, realm string) (SearchFilter, error)
	// PutHead stores what a log that has grown needs. It is gatehouse.Conflict when
	// the realm has a checkpoint of that size.
	PutHead(ctx context.Context, h Head) error
}

// Head is what the sequencer stores when it has taken events into the log of a realm.
type Head struct {
	// Tiles are those that have grown. A wider tile replaces a narrower one at the
	// same place, a narrower one never replaces a wider.
	Tiles []Tile
	// Filters are those that cover the events, each in place of every one that it
	// overlaps.
	Filters    []SearchFilter
	Checkpoint SignedCheckpoint
}

// FilterWriter is the transaction of the [FilterFill].
type FilterWriter interface {
	// PutSearchFilter stores f in place of every one that it overlaps.
	PutSearchFilter(ctx context.Context, f SearchFilter) error
}

// LogState is what one look finds of the log of a realm.
type LogState struct {
	Realm   string
	Size    int64 // of the events that have their place
	Waiting bool  // some wait for theirs
	Signed  int64 // the size of the newest checkpoint, which Note is; 0 and nil when there is none
	Note    []byte
}

// PendingReader tells the [Sequencer] outside of any transaction whether there
// is something to do, and what another process did.
type PendingReader interface {
	// AuditLogs returns the logs of all realms as they stand, by realm.
	AuditLogs(ctx context.Context) ([]LogState, error)
	UnsequencedBatches(ctx context.Context, realm string, limit int) ([]Batch, error)
	AuditHead(ctx context.Context, realm string) (int64, error)
	AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (Tile, error)
	Checkpoints(ctx context.Context, realm string, limit int) ([]SignedCheckpoint, error)
	AuditRemoval(ctx context.Context, realm string) (Removal, error)
}
