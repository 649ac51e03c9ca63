package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/piecewise"
)

// Removal tells that the beginning of a realm's log was removed because its time was
// over. Note is signed with the key of the checkpoints: it is the checkpoint of that
// size with one more line, so that nobody who can write to the database alone can pass
// off what they removed as this.
type Removal struct {
	Realm    string
	Size     int64 // events with an index below it are removed
	Position int64 // batches up to it are removed
	Time     time.Time
	Before   time.Time // all that was removed was older
	Note     []byte
}

const removedWord = "removed"

func (r *Removal) line() string {
	return fmt.Sprintf("%s %s before %s position %d\n", removedWord, instant(r.Time), instant(r.Before), r.Position)
}

// signRemoval sets Note of r, for the log of c.
func signRemoval(r *Removal, c Checkpoint, key ed25519.PrivateKey) (err error) {
	r.Note, err = signText(c.Origin, c.text()+r.line(), key)
	return err
}

// openRemoval checks the signature of a removal and returns what it says, and nothing
// of what is beside it, with the root of what was removed.
func (k Key) openRemoval(signed []byte) (r Removal, c Checkpoint, err error) {
	text, err := k.openText(signed)
	if err != nil {
		return r, c, err
	}
	body, line, ok := strings.Cut(text, "\n"+removedWord+" ")
	if !ok {
		return r, c, errors.New("audit: not a removal")
	}
	if c, err = parseCheckpoint(body + "\n"); err != nil {
		return r, c, fmt.Errorf("audit: %w", err)
	}
	words := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(words) != 5 || words[1] != "before" || words[3] != "position" {
		return r, c, errors.New("audit: removal in an unknown form")
	}
	r = Removal{Realm: k.realm, Size: c.Size, Note: signed}
	var errs [3]error
	r.Time, errs[0] = time.Parse(instantForm, words[0])
	r.Before, errs[1] = time.Parse(instantForm, words[2])
	r.Position, errs[2] = strconv.ParseInt(words[4], 10, 64)
	if err := errors.Join(errs[:]...); err != nil || r.Size < 1 || r.Position < 1 {
		return r, c, errors.Join(errors.New("audit: malformed removal"), err)
	}
	return r, c, nil
}

// edgeOf reads what the tree of size n leaves to those that grow from it: of each level
// the hashes of the tile that grows, and the roots of its complete subtrees.
func edgeOf(ctx context.Context, s tileStore, realm string, n int64) (f frontier, levels [][]tlog.Hash, err error) {
	for rest, level := n, 0; rest > 0; rest, level = rest>>tileHeight, level+1 {
		width := int(rest % tileWidth)
		hashes := make([]tlog.Hash, 0, tileWidth)
		if width > 0 {
			data, err := loadTile(ctx, s, realm, tlog.Tile{H: tileHeight, L: level, N: rest >> tileHeight, W: width})
			if err != nil {
				return f, nil, err
			}
			for i := range width {
				hashes = append(hashes, tlog.Hash(data[i*tlog.HashSize:][:tlog.HashSize]))
			}
		}
		levels = append(levels, hashes)
	}
	for level := len(levels) - 1; level >= 0; level-- {
		var sub frontier
		for _, h := range levels[level] {
			sub.add(h)
		}
		f.roots = append(f.roots, sub.roots...)
	}
	f.size = n
	return f, levels, nil
}

// RetentionStore is what [Retention] reads.
type RetentionStore interface {
	AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (Tile, error)
	// AuditRemovable returns the largest checkpoint of at most upTo events (any number
	// when below zero) before which everything is older than before, and the position of
	// its last batch. It is gatehouse.NotFound when nothing more can be removed.
	AuditRemovable(ctx context.Context, realm string, before time.Time, upTo int64) (SignedCheckpoint, int64, error)
}

// RetentionTx is the transaction of [Retention].
type RetentionTx interface {
	// PutAuditRemoval is gatehouse.Conflict when the log has no checkpoint of that size,
	// or nothing beyond it.
	PutAuditRemoval(ctx context.Context, r Removal) error
	// RemoveAudit removes up to limit records that the stored removal covers.
	RemoveAudit(ctx context.Context, realm string, limit int) (n int64, more bool, err error)
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Retention is the background job that removes what is older than Keep from the
// beginning of each log. All members but Forwarded, Interval and Now are required.
//
// Only what a checkpoint covers is removed, never the newest events, and nothing that
// Forwarded has not got yet. A signed statement of what is removed is stored first, with
// an event ("audit.remove"); a crash in between only delays the rest.
type Retention struct {
	Keep   time.Duration
	Store  RetentionStore
	Run    gatehouse.Runner[RetentionTx]
	Realms func(ctx context.Context) ([]gatehouse.Realm, error)
	Key    ed25519.PrivateKey // of the checkpoints
	// Forwarded tells up to which index a copy of the log is safe elsewhere; nil when
	// there is no copy.
	Forwarded func(ctx context.Context, realm string) (int64, error)
	Interval  time.Duration // 1 h when 0
	Now       func() time.Time
	Logger    *slog.Logger
}

// Work removes at each interval until ctx ends. What fails is logged and done at the
// next.
func (r *Retention) Work(ctx context.Context) error {
	interval := r.Interval
	if interval <= 0 {
		interval = time.Hour
	}
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		realms, err := r.Realms(ctx)
		for _, realm := range realms {
			err = errors.Join(err, r.Remove(ctx, realm.Name))
		}
		if err != nil && ctx.Err() == nil {
			r.Logger.Error("old audit events could not be removed", "error", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Remove removes what is too old from the log of a realm, in transactions that hold up
// nobody; first what an earlier run left.
func (r *Retention) Remove(ctx context.Context, realm string) error {
	if err := r.finish(ctx, realm); err != nil {
		return err
	}
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	upTo := int64(-1)
	if r.Forwarded != nil {
		var err error
		if upTo, err = r.Forwarded(ctx, realm); err != nil {
			return err
		}
	}
	next := Removal{Realm: realm, Time: now().UTC().Truncate(time.Microsecond)}
	next.Before = next.Time.Add(-r.Keep)
	point, position, err := r.Store.AuditRemovable(ctx, realm, next.Before, upTo)
	if errors.Is(err, gatehouse.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := NewKey(realm, r.Key.Public().(ed25519.PublicKey))
	if err != nil {
		return err
	}
	c, err := key.Open(point.Note)
	if err == nil && c.Size != point.Size {
		err = fmt.Errorf("it says %d", c.Size)
	}
	if err != nil {
		return fmt.Errorf("audit: realm %s: the checkpoint of %d events is not valid; nothing is removed: %w", realm, point.Size, err)
	}
	// What verification begins with afterwards must hold now: nothing can mend it then.
	f, _, err := edgeOf(ctx, r.Store, realm, c.Size)
	if notRead(err) {
		return err
	}
	if err == nil && f.root() != c.Root {
		err = errors.New("the tree is another one")
	}
	if err != nil {
		return fmt.Errorf("audit: realm %s does not verify at %d events; nothing is removed: %w", realm, c.Size, err)
	}
	next.Size, next.Position = c.Size, position
	if err := signRemoval(&next, c, r.Key); err != nil {
		return err
	}
	err = r.Run(ctx, func(ctx context.Context, tx RetentionTx) error {
		if err := tx.PutAuditRemoval(ctx, next); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, gatehouse.Event{Realm: realm, Kind: KindAuditRemove, Time: next.Time, Outcome: gatehouse.OutcomeSuccess, Reason: "retention",
			Target: gatehouse.Target{Type: "audit", ID: realm},
			Detail: map[string]string{"size": strconv.FormatInt(next.Size, 10), "before": instant(next.Before), "checkpoint": string(point.Note)}})
	})
	if err != nil {
		return err
	}
	r.Logger.Info("old audit events are removed", "realm", realm, "events_before", next.Size, "older_than", next.Before)
	return r.finish(ctx, realm)
}

// finish removes what the stored removal of the realm covers.
func (r *Retention) finish(ctx context.Context, realm string) error {
	_, err := piecewise.Do(ctx, func(ctx context.Context, limit int) (n int64, err error) {
		more := false
		err = r.Run(ctx, func(ctx context.Context, tx RetentionTx) error {
			n, more, err = tx.RemoveAudit(ctx, realm, limit)
			return err
		})
		if more {
			n = int64(limit) // there is a next piece, however many records this one had
		}
		return n, err
	})
	return err
}
