package audit

import "time"

// Batch is a stored run of events: one event of a change, written in the
// change's own transaction, or many decision events written together. Data
// holds the events as JSON, one a line; each line is one leaf of the realm's
// Merkle log, so what is hashed is exactly what is stored.
type Batch struct {
	ID    string // "bat_…", sorts by time
	Realm string
	// Position is the batch's place in the order of the realm, from the store; > 0. What
	// has an index has its positions in the same order. From [Arriving] on it is the place
	// among those that wait, and another one takes its place when the batch gets its index.
	Position int64
	// FirstIndex is the leaf index of the first line, or -1 until sequenced.
	FirstIndex int64
	Count      int64
	MinTime    time.Time
	MaxTime    time.Time
	// Kind, ActorID and TargetID are set when all events of the batch share the
	// value, and "" when they differ or have none. A search must therefore look
	// into batches that have "" here too.
	Kind     string
	ActorID  string
	TargetID string
	Data     []byte
}

// batchID begins the ids of batches.
const batchID = "bat"

// Arriving is where the positions of batches begin that have none for good yet. Where
// several processes append at once, a position without holes would have to be locked until
// the commit; there the sequencer gives it. See docs/adr/0009-audit-lanes.md.
const Arriving int64 = 1 << 62

// arriving tells that the position of b is not for good.
func (b *Batch) arriving() bool { return b.Position >= Arriving }

// Tile is one tile of the Merkle tree in the form of x/mod/sumdb/tlog (height 8).
type Tile struct {
	Realm string
	Level int
	N     int64
	Width int // 1 to 256 hashes
	Data  []byte
}

// SignedCheckpoint is a signed note over (origin, size, root).
type SignedCheckpoint struct {
	Realm string
	Size  int64
	Time  time.Time
	Note  []byte
}
