package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// Codes of a [Problem].
const (
	ProblemLineAltered       = "line_altered"       // a stored line is not the one that was signed
	ProblemLinesRemoved      = "lines_removed"      // lines are missing at Index
	ProblemLinesInserted     = "lines_inserted"     // a batch holds more lines than it has places
	ProblemLineMalformed     = "line_malformed"     // a line is not an event of the realm
	ProblemBatchMisplaced    = "batch_misplaced"    // two batches claim the same place
	ProblemBatchColumns      = "batch_columns"      // what a batch says about its lines is not so: searches would miss them
	ProblemSearchFilter      = "search_filter"      // a filter lacks what an event under it says: searches would miss it
	ProblemTileAltered       = "tile_altered"       // a tile is missing or differs from the tree
	ProblemLeafMismatch      = "leaf_mismatch"      // line and tile differ, and no checkpoint tells which is right
	ProblemCheckpointInvalid = "checkpoint_invalid" // signature, form, origin or size
	ProblemCheckpointRoot    = "checkpoint_root"    // the log does not have the root that was signed
	ProblemHead              = "head_unsigned"      // events have an index, and no checkpoint covers them
	ProblemSavedInvalid      = "saved_invalid"      // the saved checkpoint is not of this log and key
	ProblemSavedRoot         = "saved_root"         // the log was rewritten since the checkpoint was saved
	ProblemTruncated         = "log_truncated"      // the log is shorter than a checkpoint that was signed for it
	ProblemUnsequenced       = "events_unsequenced" // events have waited for long to be taken into the log
	ProblemRemovalInvalid    = "removal_invalid"    // what the store says of removed events is not signed, or not of this log
	ProblemSavedRemoved      = "saved_removed"      // events that the saved checkpoint covers were removed: it cannot be compared
	ProblemBatchesRemoved    = "batches_removed"    // batches are missing: their positions are
)

// Problem is one thing that verification found wrong.
type Problem struct {
	Code  string `json:"code"`
	Index int64  `json:"index"` // leaf index, or tree size for checkpoints
	Batch string `json:"batch,omitempty"`
	Text  string `json:"text"`
}

// Report is the result of [VerifyLog].
type Report struct {
	Realm string `json:"realm"`
	Size  int64  `json:"size"` // lines that were checked
	Root  string `json:"root"` // base64, recomputed from the lines
	// Checkpoints is how many stored checkpoints were checked. Older is set when
	// the store has more of them than were read.
	Checkpoints int  `json:"checkpoints"`
	Older       bool `json:"older_checkpoints,omitempty"`
	Saved       int  `json:"saved_checkpoints"`
	// Head is the size of the last head that the server signed; -1 when it is not
	// known.
	Head int64 `json:"head"`
	// Removed tells what retention removed from the beginning; nil when nothing was.
	Removed *Removed `json:"removed,omitempty"`
	// Waiting counts events that were stored since the newest checkpoint; they are
	// not covered by anything that this report says.
	Waiting  int64     `json:"waiting"`
	Problems []Problem `json:"problems"`
	// Suppressed counts problems beyond the first 100.
	Suppressed int `json:"suppressed,omitempty"`
}

// Removed is the beginning of a log that is gone because its time was over, as the
// server signed it. The rest verifies without it.
type Removed struct {
	Events int64     `json:"events" doc:"Events with an index below it are removed"`
	Before time.Time `json:"before" doc:"All of them were older than this"`
	Time   time.Time `json:"time" doc:"When the last of them were removed"`
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

const maxProblems = 100

func (r *Report) add(code string, index int64, batch, format string, args ...any) {
	if len(r.Problems) >= maxProblems {
		r.Suppressed++
		return
	}
	r.Problems = append(r.Problems, Problem{Code: code, Index: index, Batch: batch, Text: fmt.Sprintf(format, args...)})
}

// VerifyOptions are for [VerifyLog].
type VerifyOptions struct {
	// Saved are checkpoints that were kept outside of the store. Only they show
	// that a log was not written anew by somebody who holds the key.
	Saved [][]byte
	// Head is the newest checkpoint that the server signed, as it is kept apart from
	// the store ([HeadFile]); nil when there is none.
	Head []byte
	// Now is the clock, for how long events have been waiting; time.Now when nil.
	Now func() time.Time
	// MaxCheckpoints bounds how many stored checkpoints are checked, newest
	// first: 100,000 by default.
	MaxCheckpoints int
	// Progress, when set, is told now and then how far it is.
	Progress func(done, total int64)
}

// VerifyLog recomputes the log of the key's realm from its stored lines up to
// the newest checkpoint and compares everything that is stored: lines, places,
// tiles, checkpoints. The error is only for a store that cannot be read; what is
// wrong with the log is in the report. It may run beside a live sequencer.
func VerifyLog(ctx context.Context, r Reader, key Key, opts VerifyOptions) (*Report, error) {
	if opts.MaxCheckpoints <= 0 {
		opts.MaxCheckpoints = 100_000
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	v := &verification{ctx: ctx, r: r, key: key, report: &Report{Realm: key.realm, Head: -1, Problems: []Problem{}}, opts: opts}
	if err := v.removed(); err != nil {
		return nil, err
	}
	if err := v.waiting(); err != nil {
		return nil, err
	}
	if err := v.head(); err != nil {
		return nil, err
	}
	if err := v.begin(); err != nil {
		return nil, err
	}
	v.saved()
	sorted.Slice(v.points, func(a, b point) int { return int(min(1, max(-1, a.Size-b.Size))) })
	if err := v.walk(); err != nil {
		return nil, err
	}
	v.report.Size = v.lines.size
	v.report.Root = v.lines.root().String()
	return v.report, nil
}

// point is a checkpoint whose signature is good; its root is still to be seen.
type point struct {
	Checkpoint
	saved bool
}

type verification struct {
	ctx    context.Context
	r      Reader
	key    Key
	opts   VerifyOptions
	report *Report

	size   int64 // lines to check
	gone   Removal
	origin Checkpoint // that of gone
	points []point

	// Two trees grow side by side: from the lines and from the level-0 tiles.
	// Where they differ, the next checkpoint tells which of them was changed.
	lines, tiles frontier
	undecided    []Problem    // lines that differ from their hash in the tile
	untrue       []untrueTile // the tiles of those lines
	told         int64        // the first tile that no problem was told of since
	differing    int
	tile         []byte        // level-0 tile of the present index; nil when missing
	growing      []tlog.Hash   // the lines that belong to it
	levels       [][]tlog.Hash // hashes of the tile that grows at each level

	filters []SearchFilter // that are not behind, by position
	through bool           // no further ones are stored
}

// head reads the checkpoints and the size that they cover.
func (v *verification) head() error {
	var stored []SignedCheckpoint
	var head int64
	for try := 0; ; try++ {
		var err error
		// Checkpoints first: a sequencer at work then makes head larger, never
		// smaller, and reading again settles it.
		if stored, err = v.r.Checkpoints(v.ctx, v.key.realm, v.opts.MaxCheckpoints+1); err != nil {
			return err
		}
		if head, err = v.r.AuditHead(v.ctx, v.key.realm); err != nil {
			return err
		}
		if len(stored) > 0 && stored[0].Size == head || len(stored) == 0 && head == 0 || try == 5 {
			break
		}
	}
	v.size = head
	v.report.Older = len(stored) > v.opts.MaxCheckpoints
	stored = stored[:min(len(stored), v.opts.MaxCheckpoints)]
	covered := int64(0)
	for _, s := range stored {
		c, err := v.key.Open(s.Note)
		switch {
		case err != nil:
			v.report.add(ProblemCheckpointInvalid, s.Size, "", "stored checkpoint of size %d: %v", s.Size, err)
		case c.Size != s.Size:
			v.report.add(ProblemCheckpointInvalid, s.Size, "", "stored checkpoint of size %d says %d", s.Size, c.Size)
		case c.Size > head:
			v.report.add(ProblemTruncated, head, "", "the log has %d events, a stored checkpoint was signed for %d", head, c.Size)
		default:
			v.report.Checkpoints++
			v.points = append(v.points, point{Checkpoint: c})
			covered = max(covered, c.Size)
		}
	}
	if covered < head {
		v.report.add(ProblemHead, covered, "", "events %d to %d are covered by no valid checkpoint", covered, head-1)
	}
	return nil
}

const (
	// maxWait is how old an event may be that is not in the log: the sequencer looks
	// each second.
	maxWait = time.Minute
	// patience is how long verification waits for the sequencer to take it after all:
	// the event of a long stream is old when it is written.
	patience = 5 * time.Second
)

// waiting reports what is outside of the log: whoever removes or holds up events
// before they are sequenced must not be safe from verification.
func (v *verification) waiting() error {
	w, err := v.r.AuditWaiting(v.ctx, v.key.realm)
	if err != nil {
		return err
	}
	v.report.Waiting = w.Events
	for _, g := range w.Gaps {
		if g.Last <= v.gone.Position {
			continue
		}
		v.report.add(ProblemBatchesRemoved, -1, "", "the batches at positions %d to %d are missing", g.First, g.Last)
	}
	if w.Missing > 0 {
		v.report.add(ProblemBatchesRemoved, -1, "", "%d batches are missing that were stored and never came into the log", w.Missing)
	}
	for end := time.Now().Add(patience); w.Events > 0 && v.opts.Now().Sub(w.Since) > maxWait; {
		before := w.First
		if time.Now().After(end) {
			v.report.add(ProblemUnsequenced, -1, "", "%d events are not in the log, the oldest since %s", w.Events, w.Since.UTC().Format(time.RFC3339))
			return nil
		}
		pause := time.NewTimer(patience / 50)
		select {
		case <-pause.C:
		case <-v.ctx.Done():
			pause.Stop()
			return v.ctx.Err()
		}
		if w, err = v.r.AuditWaiting(v.ctx, v.key.realm); err != nil || w.First != before {
			return err
		}
	}
	return nil
}

func (v *verification) saved() {
	if v.opts.Head != nil {
		c, err := v.key.Open(v.opts.Head)
		switch {
		case err != nil:
			v.report.add(ProblemSavedInvalid, 0, "", "the head that the server kept: %v", err)
		case c.Size > v.size:
			v.report.Head = c.Size
			v.report.add(ProblemTruncated, v.size, "", "the log has %d events, the last head that this server signed was of %d: its end was cut off", v.size, c.Size)
		case c.Size < v.lines.size:
			v.report.Head = c.Size
			v.uncompared("the head that the server kept", c.Size)
		default:
			v.report.Head = c.Size
			v.points = append(v.points, point{Checkpoint: c, saved: true})
		}
	}
	for _, text := range v.opts.Saved {
		c, err := v.key.Open(text)
		switch {
		case err != nil:
			v.report.add(ProblemSavedInvalid, 0, "", "saved checkpoint: %v", err)
		case c.Size > v.size:
			v.report.add(ProblemTruncated, v.size, "", "the log has %d events, the saved checkpoint was signed for %d", v.size, c.Size)
		case c.Size < v.lines.size:
			v.uncompared("the saved checkpoint", c.Size)
		default:
			v.report.Saved++
			v.points = append(v.points, point{Checkpoint: c, saved: true})
		}
	}
}

// walk reads the batches in the order of the log.
func (v *verification) walk() error {
	v.atCheckpoints() // of size 0
	for v.lines.size < v.size {
		if v.opts.Progress != nil {
			v.opts.Progress(v.lines.size, v.size)
		}
		next := v.lines.size
		batches, err := v.r.Batches(v.ctx, v.key.realm, BatchQuery{Sequenced: true, FirstIndex: next, LastIndex: v.size - 1, Limit: 16})
		if err != nil {
			return err
		}
		for _, b := range batches {
			if err := v.batch(b); err != nil {
				return err
			}
		}
		if v.lines.size == next { // nothing more is stored
			if err := v.missing(v.size, ""); err != nil {
				return err
			}
		}
	}
	for level, hashes := range v.levels {
		if len(hashes) > 0 && level > 0 {
			if err := v.compareTile(level, v.tiles.size>>(tileHeight*(level+1)), hashes); err != nil {
				return err
			}
		}
	}
	// What no checkpoint decided stays what it is.
	for _, p := range v.undecided {
		v.report.add(p.Code, p.Index, p.Batch, "%s", p.Text)
	}
	return nil
}

// missing takes places up to index as removed.
func (v *verification) missing(index int64, batch string) error {
	index = min(index, v.size)
	if v.lines.size >= index {
		return nil
	}
	v.report.add(ProblemLinesRemoved, v.lines.size, batch, "events %d to %d are missing", v.lines.size, index-1)
	for v.lines.size < index {
		if err := v.leaf(nil, batch); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) batch(b Batch) error {
	if err := v.missing(b.FirstIndex, b.ID); err != nil {
		return err
	}
	index, differed := b.FirstIndex, v.differing
	if index < v.lines.size {
		v.report.add(ProblemBatchMisplaced, index, b.ID, "the batch begins at %d, where other events are", index)
	}
	var s span
	end := b.FirstIndex + b.Count
	for line := range lines(b.Data) {
		if index >= end {
			v.report.add(ProblemLinesInserted, end, b.ID, "the batch has places for %d events and holds more", b.Count)
			break
		}
		e, err := decodeLine(v.key.realm, line)
		if err != nil {
			v.report.add(ProblemLineMalformed, index, b.ID, "not an event: %v", err)
		} else {
			s.add(&e)
		}
		if index >= v.lines.size && index < v.size {
			h := tlog.RecordHash(line)
			if err := v.leaf(&h, b.ID); err != nil {
				return err
			}
		}
		index++
	}
	if s.count == b.Count {
		if c := s.batch(b.Realm, nil); b.Realm != v.key.realm || c.Kind != b.Kind || c.ActorID != b.ActorID || c.TargetID != b.TargetID ||
			!c.MinTime.Equal(b.MinTime) || !c.MaxTime.Equal(b.MaxTime) {
			v.report.add(ProblemBatchColumns, b.FirstIndex, b.ID, "time, kind, actor or target of the batch are not those of its events")
		}
	}
	if v.differing == differed { // what a line says that was altered is in no filter
		if err := v.filter(&b); err != nil {
			return err
		}
	}
	return v.missing(end, b.ID)
}

// filter compares the filter over b, when there is one, with its events.
func (v *verification) filter(b *Batch) error {
	for {
		for len(v.filters) > 0 && v.filters[0].Last < b.Position {
			v.filters = v.filters[1:]
		}
		if len(v.filters) > 0 || v.through {
			break
		}
		var err error
		if v.filters, err = v.r.SearchFilters(v.ctx, v.key.realm, FilterQuery{After: b.Position - 1, Limit: filterPage}); err != nil {
			return err
		}
		v.through = len(v.filters) < filterPage
	}
	if len(v.filters) == 0 || v.filters[0].First > b.Position {
		return nil
	}
	var facts []fact
	for line := range lines(b.Data) {
		facts, _ = lineFacts(facts[:0], line)
		for i := range facts {
			if v.filters[0].lacks(facts[i : i+1]) {
				v.report.add(ProblemSearchFilter, b.FirstIndex, b.ID, "searches would not find an event of the batch: its filter says that it is not there")
				return nil
			}
		}
	}
	return nil
}

// leaf adds the next leaf to both trees; h is nil for a line that is missing.
func (v *verification) leaf(h *tlog.Hash, batch string) error {
	index := v.lines.size
	at := index % tileWidth
	if at == 0 {
		n := index / tileWidth
		data, err := loadTile(v.ctx, v.r, v.key.realm, tlog.Tile{H: tileHeight, L: 0, N: n, W: int(min(tileWidth, v.size-index))})
		if notRead(err) {
			return err
		}
		if err != nil {
			v.report.add(ProblemTileAltered, index, "", "%v", err)
		}
		v.tile, v.growing = data, v.growing[:0]
	}
	var fromTile tlog.Hash
	switch {
	case v.tile != nil:
		fromTile = tlog.Hash(v.tile[at*tlog.HashSize:][:tlog.HashSize])
	case h != nil:
		fromTile = *h
	}
	if h == nil {
		h = &fromTile
	}
	v.lines.add(*h)
	v.tiles.add(fromTile)
	v.growing = append(v.growing, *h)
	if *h != fromTile {
		v.differ(index, batch)
	}
	if last := len(v.untrue) - 1; last >= 0 && at == tileWidth-1 && v.untrue[last].n == index/tileWidth {
		v.untrue[last].root = rootOf(v.growing)
	}
	if err := v.grow(0, fromTile); err != nil {
		return err
	}
	v.atCheckpoints()
	return nil
}

// grow adds a hash to the tile that grows at level, and compares it with the
// stored one when it is full.
func (v *verification) grow(level int, h tlog.Hash) error {
	if len(v.levels) <= level {
		v.levels = append(v.levels, nil)
	}
	v.levels[level] = append(v.levels[level], h)
	if len(v.levels[level]) < tileWidth {
		return nil
	}
	full := v.levels[level]
	if level > 0 { // level 0 is compared leaf by leaf
		if err := v.compareTile(level, v.tiles.size>>(tileHeight*(level+1))-1, full); err != nil {
			return err
		}
	}
	top := rootOf(full)
	v.levels[level] = full[:0]
	return v.grow(level+1, top)
}

func (v *verification) compareTile(level int, n int64, want []tlog.Hash) error {
	index := n << (tileHeight * (level + 1))
	data, err := loadTile(v.ctx, v.r, v.key.realm, tlog.Tile{H: tileHeight, L: level, N: n, W: len(want)})
	if notRead(err) {
		return err
	}
	if err != nil {
		v.report.add(ProblemTileAltered, index, "", "%v", err)
		return nil
	}
	for i, h := range want {
		if !bytes.Equal(data[i*tlog.HashSize:][:tlog.HashSize], h[:]) {
			v.report.add(ProblemTileAltered, index, "", "tile %d of level %d is wrong from hash %d on", n, level, i)
			break
		}
	}
	return nil
}

// atCheckpoints compares the roots of every checkpoint of the present size.
func (v *verification) atCheckpoints() {
	for len(v.points) > 0 && v.points[0].Size <= v.lines.size {
		p := v.points[0]
		v.points = v.points[1:]
		if p.Size < v.lines.size {
			continue
		}
		lines, tiles := v.lines.root(), v.tiles.root()
		switch {
		case lines == p.Root && tiles == p.Root: // the hot case; nothing is undecided then
		case lines == p.Root:
			v.tilesUntrue()
			v.tiles = frontier{size: v.lines.size, roots: slices.Clone(v.lines.roots)}
		case tiles == p.Root:
			v.linesUntrue()
			v.lines = frontier{size: v.tiles.size, roots: slices.Clone(v.tiles.roots)}
		case p.saved:
			v.report.add(ProblemSavedRoot, p.Size, "", "the first %d events are not those of the saved checkpoint: the log was rewritten", p.Size)
		default:
			v.report.add(ProblemCheckpointRoot, p.Size, "", "the first %d events do not have the root that was signed", p.Size)
		}
	}
}

// errProof is what a proof that does not hold looks like.
func errProof(err error) error {
	return gatehouse.E(gatehouse.Unprocessable, "audit_proof_invalid", "the proof does not hold").With(err)
}

// proveConsistency makes and checks the proof (RFC 6962 §2.1.2) that the tree of b
// begins with that of a, from the tiles in store.
func proveConsistency(ctx context.Context, s tileStore, realm string, a, b Checkpoint) (tlog.TreeProof, error) {
	switch {
	case a.Size > b.Size:
		return nil, errors.New("the older one covers more")
	case a.Size == b.Size && a.Root != b.Root:
		return nil, errors.New("two roots were signed for one size")
	case a.Size == 0:
		return nil, nil
	}
	hashes := tlog.TileHashReader(tlog.Tree{N: b.Size, Hash: b.Root}, tileReader{ctx, s, realm})
	proof, err := tlog.ProveTree(b.Size, a.Size, hashes)
	if err != nil {
		return nil, err
	}
	return proof, tlog.CheckTree(proof, b.Size, b.Root, a.Size, a.Root)
}
