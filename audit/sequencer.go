package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/lease"
)

// ErrHistory says that the stored tree does not have the root that was signed
// for it. The sequencer then signs nothing more for the realm: a second root for
// one size would make the log worthless. `gatehouse audit verify` tells what was
// changed.
var ErrHistory = errors.New("audit: the stored tree does not match its last signed checkpoint")

// SequencerConfig configures a [Sequencer]. All members but Interval, Now and
// Logger are required.
type SequencerConfig struct {
	Run     gatehouse.Runner[SequencerTx]
	Pending PendingReader
	// Origin names the log of a realm; see [Origin].
	Origin func(realm string) string
	// Key signs checkpoints. It is kept sealed, apart from the log.
	Key ed25519.PrivateKey
	// Heads remembers what was signed, apart from the store. Nil remembers it only
	// while the sequencer lives.
	Heads *HeadFile
	// Broken is told once when the log of a realm turns out to be no continuation of
	// what was signed for it ([ErrHistory]). Nil tells nobody.
	Broken func(realm string, err error)
	// Interval is how often the sequencer looks for new events: 1 s.
	Interval time.Duration
	Now      func() time.Time
	Logger   *slog.Logger
}

// Sequencer gives stored events their place in the Merkle log. Among several processes
// one runs it ([Sequencer.Run], under a lease) and the others watch ([Sequencer.Watch]).
// Should two run, the transaction decides, and the loser looks again.
type Sequencer struct {
	cfg SequencerConfig

	woken   chan struct{} // holds one: somebody waits for a checkpoint
	round   sync.Mutex    // held while the realms are looked at one after the other
	running bool          // here; round is held

	mu     sync.Mutex
	heads  map[string]Checkpoint // realm → the last one signed or checked here
	seen   map[string][]byte     // realm → the note of heads, as [Sequencer.Watch] has checked it
	unkept map[string][]byte     // signed notes that are not in Heads yet
	broken map[string]error      // realms whose history does not hold
}

// One sequencing transaction takes up to maxBatches batches or, beyond the first
// page of them, maxBytes of events; a page at a time is in memory. The first page has
// batchPage batches, and the next four times as many after one of less than smallPage
// bytes: a page costs some statements, however little is on it.
const (
	maxBatches = 256
	maxBytes   = 4 << 20
	batchPage  = 4
	smallPage  = 64 << 10
)

// NewSequencer checks the configuration.
func NewSequencer(cfg SequencerConfig) (*Sequencer, error) {
	if cfg.Run == nil || cfg.Pending == nil || cfg.Origin == nil {
		return nil, errors.New("audit: sequencer needs a runner, a reader and an origin")
	}
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("audit: sequencer needs an Ed25519 checkpoint key")
	}
	if _, err := newSigner(cfg.Origin(gatehouse.MainRealm), cfg.Key); err != nil {
		return nil, err
	}
	if cfg.Interval <= 0 {
		cfg.Interval = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sequencer{cfg: cfg, woken: make(chan struct{}, 1), heads: map[string]Checkpoint{}, seen: map[string][]byte{}, unkept: map[string][]byte{}, broken: map[string]error{}}, nil
}

// Run sequences every realm at each interval until ctx ends, then once more, so
// that what the recorder stored while closing is covered by a checkpoint. When the lease
// that it runs under is lost, it leaves that to the next holder.
func (s *Sequencer) Run(ctx context.Context) error {
	s.runs(true)
	defer s.runs(false)
	t := time.NewTicker(s.cfg.Interval)
	defer t.Stop()
	for {
		s.all(ctx, s.sequenced, s.sequence)
		select {
		case <-t.C:
			continue
		case <-s.woken:
			continue
		case <-ctx.Done():
		}
		if !errors.Is(context.Cause(ctx), lease.ErrLost) {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			s.all(last, s.sequenced, s.sequence)
		}
		return nil
	}
}

// Watch looks at each interval whether the logs go on from what was signed for them
// before, while another process sequences them, and remembers their newest checkpoints as
// if they had been signed here: whoever makes all others forget the end of a log must not
// be safe from this one.
func (s *Sequencer) Watch(ctx context.Context) error {
	t := time.NewTicker(s.cfg.Interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		s.round.Lock()
		here := s.running
		s.round.Unlock()
		if !here {
			s.all(ctx, s.watched, s.watch)
		}
	}
}

// Wake has [Sequencer.Run] look at once, where it runs: somebody waits for the checkpoint of
// what was just committed.
func (s *Sequencer) Wake() {
	select {
	case s.woken <- struct{}{}:
	default: // it is going to look
	}
}

func (s *Sequencer) runs(here bool) {
	s.round.Lock()
	defer s.round.Unlock()
	s.running = here
}

// all does one thing with every realm but those whose log stands as it did; one that fails
// does not stop the others. What nearly always is the answer, that nothing is new, costs one
// question for all realms.
func (s *Sequencer) all(ctx context.Context, still func(LogState) bool, do func(context.Context, string) error) {
	s.round.Lock()
	defer s.round.Unlock()
	logs, err := s.cfg.Pending.AuditLogs(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Logger.Error("audit log: realms could not be read", "error", err)
		}
		return
	}
	for _, l := range logs {
		if ctx.Err() != nil {
			break
		}
		if still(l) {
			continue
		}
		err := s.judged(ctx, l.Realm, do)
		if errors.Is(err, ErrHistory) && s.cfg.Broken != nil {
			continue // told once; a line each second would fill the disk
		}
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("audit log could not be sequenced", "realm", l.Realm, "error", err)
		}
	}
	if err := s.keep(); err != nil {
		s.cfg.Logger.Error("the heads of the audit logs could not be kept", "error", err)
	}
}

// keep writes what was signed since the last time to Heads.
func (s *Sequencer) keep() error {
	s.mu.Lock()
	notes := s.unkept
	s.unkept = map[string][]byte{}
	s.mu.Unlock()
	if s.cfg.Heads == nil || len(notes) == 0 {
		return nil
	}
	err := s.cfg.Heads.Keep(notes)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for realm, note := range notes { // what was signed meanwhile is newer
			if _, newer := s.unkept[realm]; !newer {
				s.unkept[realm] = note
			}
		}
	}
	return err
}

// Sequence integrates what the realm has in store and returns when nothing is
// left, or with [ErrHistory] or the store's error. After a crash it simply goes
// on: leaves, tiles and checkpoint are written in one transaction.
func (s *Sequencer) Sequence(ctx context.Context, realm string) error {
	s.round.Lock()
	defer s.round.Unlock()
	return errors.Join(s.judged(ctx, realm, s.sequence), s.keep())
}

// judged does one thing with a realm, and remembers and tells when its log turns out to
// be broken.
func (s *Sequencer) judged(ctx context.Context, realm string, do func(context.Context, string) error) error {
	err := do(ctx, realm)
	if errors.Is(err, ErrHistory) && s.raise(ctx, realm) {
		err = do(ctx, realm)
	}
	s.mu.Lock()
	before := s.broken[realm]
	switch {
	case errors.Is(err, ErrHistory):
		s.broken[realm] = err
	case err == nil:
		delete(s.broken, realm)
	}
	s.mu.Unlock()
	if errors.Is(err, ErrHistory) && before == nil && s.cfg.Broken != nil {
		s.cfg.Broken(realm, err)
	}
	return err
}

// sequenced reports that a log has grown by nothing and lost nothing since it was last looked at.
func (s *Sequencer) sequenced(l LogState) bool {
	head, whole := s.whole(l.Realm)
	return whole && !l.Waiting && l.Size >= head.Size
}

// whole returns the last known head of a log that was found to be whole.
func (s *Sequencer) whole(realm string) (Checkpoint, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	head, known := s.heads[realm]
	return head, known && s.broken[realm] == nil
}

func (s *Sequencer) sequence(ctx context.Context, realm string) error {
	if err := s.continues(ctx, realm); err != nil {
		return err
	}
	return s.extend(ctx, realm)
}

// continues finds out whether the log still is a continuation of what was signed
// for it, also when nothing new waits: whoever cuts off its end must not be safe
// until the next event. The first time for a realm everything is compared, later
// the size alone; [Sequencer.integrate] compares the rest before it signs.
func (s *Sequencer) continues(ctx context.Context, realm string) (err error) {
	if _, known := s.head(realm); known {
		size, err := s.cfg.Pending.AuditHead(ctx, realm)
		if err != nil {
			return err
		}
		return s.notShrunk(realm, size)
	}
	for range maxConflicts {
		err = s.cfg.Run(ctx, func(ctx context.Context, tx SequencerTx) error {
			size, err := tx.AuditHead(ctx, realm)
			if err != nil {
				return err
			}
			return s.checkHistory(ctx, tx, newEdge(ctx, tx, realm, size), realm, size)
		})
		if !errors.Is(err, gatehouse.Conflict) || errors.Is(err, lease.ErrLost) {
			break
		}
	}
	return err
}

// maxConflicts is how often the sequencer looks again after another one was faster.
const maxConflicts = 4

func (s *Sequencer) extend(ctx context.Context, realm string) error {
	conflicts := 0
	for {
		waiting, err := s.cfg.Pending.UnsequencedBatches(ctx, realm, 1)
		if err != nil {
			return err
		}
		if len(waiting) == 0 {
			return nil
		}
		err = s.step(ctx, realm)
		switch {
		case err == nil:
			conflicts = 0
		case errors.Is(err, gatehouse.Conflict) && !errors.Is(err, lease.ErrLost) && conflicts < maxConflicts-1:
			conflicts++ // another node was faster; look again
		default:
			return err
		}
	}
}

// Events returns how many events the logs of all realms hold, as far as they were
// looked at here; for metrics.
func (s *Sequencer) Events() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.heads {
		n += c.Size
	}
	return n
}

// Size returns the size of the log at the last checkpoint signed here.
func (s *Sequencer) Size(realm string) int64 {
	c, _ := s.head(realm)
	return c.Size
}

// Broken returns how many realms have a log that is no continuation of what was
// signed for it, and the error of one of them.
func (s *Sequencer) Broken() (realms int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err = range s.broken {
		break
	}
	return len(s.broken), err
}

func (s *Sequencer) head(realm string) (Checkpoint, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.heads[realm]
	return c, ok
}

// step integrates some batches in one transaction.
func (s *Sequencer) step(ctx context.Context, realm string) error {
	var done *signedHead
	err := s.cfg.Run(ctx, func(ctx context.Context, tx SequencerTx) error {
		var err error
		done, err = s.integrate(ctx, tx, realm)
		return err
	})
	if err == nil && done != nil {
		s.mu.Lock()
		s.heads[realm] = done.Checkpoint
		s.unkept[realm] = done.note
		s.mu.Unlock()
	}
	return err
}

// signedHead is a checkpoint with its signed form.
type signedHead struct {
	Checkpoint
	note []byte
}

func (s *Sequencer) integrate(ctx context.Context, tx SequencerTx, realm string) (*signedHead, error) {
	old, err := tx.AuditHead(ctx, realm)
	if err != nil {
		return nil, err
	}
	tree := newEdge(ctx, tx, realm, old)
	size := old
	var filters filterMaker
	for taken, bytes, page := 0, 0, batchPage; taken < maxBatches && bytes < maxBytes; {
		batches, err := tx.UnsequencedBatches(ctx, realm, min(page, maxBatches-taken))
		if err != nil {
			return nil, err
		}
		if len(batches) == 0 {
			break
		}
		if taken == 0 {
			if err := s.checkHistory(ctx, tx, tree, realm, old); err != nil {
				return nil, err
			}
			last, err := tx.LastSearchFilter(ctx, realm)
			if err != nil && !errors.Is(err, gatehouse.NotFound) {
				return nil, err
			}
			filters.resume(last)
		}
		if size, err = addLeaves(ctx, tx, tree, realm, size, batches); err != nil {
			return nil, err
		}
		taken += len(batches)
		read := 0
		for i := range batches {
			read += len(batches[i].Data)
			filters.add(&batches[i])
		}
		if bytes += read; read < smallPage {
			page = min(4*page, maxBatches) // writers may hold each page down to one batch
		}
	}
	if size == old {
		return nil, nil
	}
	return s.seal(ctx, tx, tree, realm, old, size, filters.news())
}

// addLeaves adds the events of the batches to the tree, whose size it returns,
// and writes the batches' places, in the store and in batches.
func addLeaves(ctx context.Context, tx SequencerTx, tree *edge, realm string, size int64, batches []Batch) (int64, error) {
	first := size
	for _, b := range batches {
		count := int64(0)
		for line := range lines(b.Data) {
			hashes, err := tlog.StoredHashesForRecordHash(size, tlog.RecordHash(line), tree)
			if err != nil {
				return 0, fmt.Errorf("audit: realm %s: %w", realm, err)
			}
			tree.added = append(tree.added, hashes...)
			size++
			count++
		}
		if count != b.Count || count == 0 {
			return 0, fmt.Errorf("audit: batch %s has %d lines, not %d", b.ID, count, b.Count)
		}
	}
	return size, tx.SequenceBatches(ctx, realm, first, batches)
}

// seal signs the root, and writes it with the tiles that grew and the filters.
func (s *Sequencer) seal(ctx context.Context, tx SequencerTx, tree *edge, realm string, old, size int64, filters []SearchFilter) (*signedHead, error) {
	var tiles []Tile
	for _, t := range tlog.NewTiles(tileHeight, old, size) {
		data, err := tlog.ReadTileData(t, tree)
		if err != nil {
			return nil, fmt.Errorf("audit: realm %s: %w", realm, err)
		}
		tiles = append(tiles, Tile{Realm: realm, Level: t.L, N: t.N, Width: t.W, Data: data})
	}
	root, err := tlog.TreeHash(size, tree)
	if err != nil {
		return nil, fmt.Errorf("audit: realm %s: %w", realm, err)
	}
	head := Checkpoint{Origin: s.cfg.Origin(realm), Size: size, Root: root}
	signed, err := sign(head, s.cfg.Key)
	if err != nil {
		return nil, err
	}
	return &signedHead{head, signed}, tx.PutHead(ctx, Head{Tiles: tiles, Filters: filters,
		Checkpoint: SignedCheckpoint{Realm: realm, Size: size, Time: s.cfg.Now().UTC(), Note: signed}})
}

// checkHistory compares the tree in store with what was signed for it, before
// anything is built on it: with the newest checkpoint beside it, and with the last
// head that this server signed.
func (s *Sequencer) checkHistory(ctx context.Context, tx SequencerTx, tree *edge, realm string, size int64) error {
	last, err := tx.Checkpoints(ctx, realm, 1)
	if err != nil {
		return err
	}
	if len(last) == 0 && size != 0 {
		return fmt.Errorf("%w: realm %s has %d events and no checkpoint", ErrHistory, realm, size)
	}
	var c Checkpoint
	if len(last) > 0 {
		if c, err = s.open(realm, last[0].Note); err != nil {
			return err
		}
		if c.Size > size { // another sequencer may have been faster in between
			if now, err := tx.AuditHead(ctx, realm); err != nil || now != size {
				return errors.Join(err, gatehouse.ErrVersionConflict)
			}
		}
		if c.Size != size || last[0].Size != size {
			return fmt.Errorf("%w: realm %s has %d events, its checkpoint says %d", ErrHistory, realm, size, c.Size)
		}
		root, err := tlog.TreeHash(size, tree)
		if notRead(err) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: realm %s: %w", ErrHistory, realm, err)
		}
		if root != c.Root {
			return fmt.Errorf("%w: realm %s at size %d", ErrHistory, realm, size)
		}
	}
	if err := s.continuesHead(ctx, tx, realm, c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads[realm] = c
	return nil
}

func (s *Sequencer) open(realm string, note []byte) (Checkpoint, error) {
	key, err := NewKey(realm, s.cfg.Key.Public().(ed25519.PublicKey))
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := key.Open(note)
	if err != nil {
		return c, fmt.Errorf("%w: realm %s: %w", ErrHistory, realm, err)
	}
	return c, nil
}

// continuesHead proves that the log of c begins with everything that the last
// known head covers. A head of another key is that of another database.
func (s *Sequencer) continuesHead(ctx context.Context, tiles tileStore, realm string, c Checkpoint) error {
	if err := s.notShrunk(realm, c.Size); err != nil {
		return err
	}
	head, err := s.last(realm)
	if err != nil {
		return err
	}
	_, err = proveConsistency(ctx, tiles, realm, head, c)
	if notRead(err) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: realm %s does not continue its head of %d events: %w", ErrHistory, realm, head.Size, err)
	}
	return nil
}

// last is the newest head of the realm that this server knows to be signed, of size 0
// when it knows none: the one in memory, or the one that it kept in its file.
func (s *Sequencer) last(realm string) (Checkpoint, error) {
	head, known := s.head(realm)
	if known || s.cfg.Heads == nil {
		return head, nil
	}
	kept := s.cfg.Heads.Head(realm)
	if kept == nil {
		return head, nil
	}
	head, err := s.open(realm, kept)
	if err != nil {
		err = fmt.Errorf("the head kept beside the master key: %w", err)
	}
	return head, err
}

// notShrunk remembers the sizes seen by this process: a store that was set back
// (a restored backup under a running server) would get a second root signed for
// a size that has one.
func (s *Sequencer) notShrunk(realm string, size int64) error {
	if head, _ := s.head(realm); size < head.Size {
		return fmt.Errorf("%w: realm %s went back from %d to %d events", ErrHistory, realm, head.Size, size)
	}
	return nil
}
