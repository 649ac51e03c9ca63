package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse"
)

// Inclusion shows that one event is in the log that a checkpoint describes. With
// the verifier key it can be checked by anybody, without the log.
type Inclusion struct {
	Index      int64            `json:"index"`
	Line       string           `json:"line"` // the event, exactly as it is hashed
	Hashes     tlog.RecordProof `json:"hashes"`
	Checkpoint string           `json:"checkpoint"` // signed note
}

// errRemoved says that what is asked for was there once.
var errRemoved = gatehouse.E(gatehouse.NotFound, "audit_event_removed", "What is asked for was removed from the log: it was older than audit.retention keeps it.")

// ProveInclusion proves event index under the newest checkpoint of the realm. It
// is gatehouse.NotFound when the log has no such event yet.
func ProveInclusion(ctx context.Context, r Reader, key Key, index int64) (Inclusion, error) {
	none := gatehouse.E(gatehouse.NotFound, "audit_event_unknown", "the log has no event of this index")
	last, err := r.Checkpoints(ctx, key.realm, 1)
	if err != nil {
		return Inclusion{}, err
	}
	if len(last) == 0 || index < 0 {
		return Inclusion{}, none
	}
	c, err := key.Open(last[0].Note)
	if err != nil {
		return Inclusion{}, errProof(err)
	}
	if index >= c.Size {
		return Inclusion{}, none
	}
	gone, err := r.AuditRemoval(ctx, key.realm)
	if err == nil && index < gone.Size {
		return Inclusion{}, errRemoved
	}
	if err != nil && !errors.Is(err, gatehouse.NotFound) {
		return Inclusion{}, err
	}
	line, err := lineAt(ctx, r, key.realm, index)
	if err != nil {
		return Inclusion{}, err
	}
	hashes := tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tileReader{ctx, r, key.realm})
	proof, err := tlog.ProveRecord(c.Size, index, hashes)
	if notRead(err) {
		return Inclusion{}, err
	}
	if err != nil {
		return Inclusion{}, errProof(err)
	}
	in := Inclusion{Index: index, Line: string(line), Hashes: proof, Checkpoint: string(last[0].Note)}
	_, err = CheckInclusion(key, in)
	return in, err
}

// CheckInclusion checks the proof against the signature of its checkpoint and
// returns the event. It needs no store.
func CheckInclusion(key Key, in Inclusion) (gatehouse.Event, error) {
	c, err := key.Open([]byte(in.Checkpoint))
	if err != nil {
		return gatehouse.Event{}, errProof(err)
	}
	if err := tlog.CheckRecord(in.Hashes, c.Size, c.Root, in.Index, tlog.RecordHash([]byte(in.Line))); err != nil {
		return gatehouse.Event{}, errProof(err)
	}
	e, err := decodeLine(key.realm, []byte(in.Line))
	if err != nil {
		return gatehouse.Event{}, errProof(err)
	}
	return e, nil
}

func lineAt(ctx context.Context, r Reader, realm string, index int64) ([]byte, error) {
	batches, err := r.Batches(ctx, realm, BatchQuery{Sequenced: true, FirstIndex: index, LastIndex: index, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(batches) == 1 {
		i := batches[0].FirstIndex
		for line := range lines(batches[0].Data) {
			if i == index {
				return line, nil
			}
			i++
		}
	}
	return nil, errProof(fmt.Errorf("event %d is missing in the store", index))
}

// LatestCheckpoint returns the newest checkpoint as the text to keep elsewhere,
// or gatehouse.NotFound when nothing was sequenced yet.
func LatestCheckpoint(ctx context.Context, r Reader, realm string) ([]byte, error) {
	last, err := r.Checkpoints(ctx, realm, 1)
	if err != nil {
		return nil, err
	}
	if len(last) == 0 {
		return nil, gatehouse.E(gatehouse.NotFound, "audit_checkpoint_none", "the log has no checkpoint yet")
	}
	return last[0].Note, nil
}
