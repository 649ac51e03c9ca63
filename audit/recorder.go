package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Overflow is what the recorder does with an event when its queue is full.
type Overflow string

const (
	// OverflowBlock makes callers wait for room, up to MaxBlock. Then
	// [Recorder.Admit] refuses, so that nothing passes that could not be recorded,
	// and what [Recorder.Record] is given is counted as with OverflowDrop: by then
	// that is only what was refused anyway.
	OverflowBlock Overflow = "block"
	// OverflowDrop counts the event instead of keeping it. The count becomes an
	// "audit.dropped" event of the realm as soon as there is room.
	OverflowDrop Overflow = "drop"
)

// RecorderConfig configures a [Recorder]. Run is required.
type RecorderConfig struct {
	Run      gatehouse.Runner[BatchWriter]
	Overflow Overflow // OverflowBlock by default
	// Queue is the most events that are recorded but not yet stored: 16,384 by
	// default. QueueBytes is the same in bytes of JSON: 64 MiB.
	Queue      int
	QueueBytes int
	// MaxEvents (512) and MaxWait (50 ms) end a batch, whichever comes first.
	MaxEvents int
	MaxWait   time.Duration
	// MaxBlock is how long a caller waits for room: 5 s. After one has waited in
	// vain, nobody waits until something was stored again.
	MaxBlock time.Duration
	Now      func() time.Time
	Logger   *slog.Logger
	// Persons gives the keys that personal data are sealed under; nil: they are written in clear.
	Persons Persons
}

// RecorderStats are counters since the start and the present depth.
type RecorderStats struct {
	Depth    int64 // recorded, not yet stored
	Recorded int64
	Stored   int64
	Dropped  int64
	Failures int64 // attempts to store that failed
}

// Recorder takes decision events from the request path and stores them in
// batches, one realm a batch. Safe for concurrent use.
type Recorder struct {
	cfg  RecorderConfig
	pool sync.Pool // *[]byte

	wake chan struct{} // there is an event
	full chan struct{} // a batch is full
	stop chan struct{} // Close was called
	done chan struct{} // the writer has ended

	drops atomic.Bool // OverflowDrop

	mu      sync.Mutex
	room    sync.Cond
	open    map[string]*run
	ready   []pending        // full batches
	spare   [][]byte         // of stored batches, to be filled again
	dropped map[string]int64 // not yet told in an event
	queued  int
	bytes   int
	closed  bool
	stuck   bool // full, and somebody has waited in vain
	stats   RecorderStats
	failing error // of the last attempt to store; nil when it worked

	closing sync.Once
	abort   context.CancelFunc
	ctx     context.Context
}

// run is a batch that still grows.
type run struct {
	span
	data []byte
	last int  // size of the run before, as a hint
	used bool // had events since the last look
}

const defaultQueue = 16384

// NewRecorder starts a recorder; end it with [Recorder.Close].
func NewRecorder(cfg RecorderConfig) (*Recorder, error) {
	if cfg.Run == nil {
		return nil, errors.New("audit: recorder needs a runner")
	}
	switch cfg.Overflow {
	case "":
		cfg.Overflow = OverflowBlock
	case OverflowBlock, OverflowDrop:
	default:
		return nil, fmt.Errorf("audit: overflow policy %q is neither %q nor %q", cfg.Overflow, OverflowBlock, OverflowDrop)
	}
	or := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	or(&cfg.Queue, defaultQueue)
	or(&cfg.QueueBytes, 64<<20)
	or(&cfg.MaxEvents, 512)
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 50 * time.Millisecond
	}
	if cfg.MaxBlock <= 0 {
		cfg.MaxBlock = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{
		cfg:  cfg,
		pool: sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		open: map[string]*run{}, dropped: map[string]int64{},
	}
	r.room.L = &r.mu
	r.drops.Store(cfg.Overflow == OverflowDrop)
	r.ctx, r.abort = context.WithCancel(context.Background())
	go r.write()
	return r, nil
}

// errFull says that what is asked for could not be recorded.
var errFull = gatehouse.E(gatehouse.Unavailable, "audit_unavailable", "Requests cannot be recorded at the moment, so none are let through.")

// Admit is asked before something is let through that [Recorder.RecordAdmitted]
// will record. With OverflowBlock it waits while the queue is full, up to
// MaxBlock, and refuses when there is still no room (code audit_unavailable).
// Admitted events may exceed the queue by as many as are under way.
func (r *Recorder) Admit(ctx context.Context) error {
	if r.drops.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.await(ctx, 0) && (r.closed || !r.drops.Load()) {
		return errFull
	}
	return nil
}

// RecordAdmitted is [Recorder.Record] for an event whose request was admitted: it
// neither waits nor drops with OverflowBlock.
func (r *Recorder) RecordAdmitted(e *gatehouse.Event) { r.record(e, !r.drops.Load()) }

// SetBounds changes what happens when the queue is full, and when it is (the default when
// queue is 0). What is queued already stays.
func (r *Recorder) SetBounds(overflow Overflow, queue int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops.Store(overflow == OverflowDrop)
	if r.cfg.Queue = queue; queue <= 0 {
		r.cfg.Queue = defaultQueue
	}
	r.room.Broadcast()
}

// Record takes a copy of e, in its encoded form, so that the caller may use e
// again at once. It sets ID and Time when they are empty. With OverflowBlock it
// waits while the queue is full, up to MaxBlock; what finds no room is counted as
// dropped. An event after Close, or without realm or kind, is counted as dropped
// and logged: it cannot be recorded.
func (r *Recorder) Record(e *gatehouse.Event) { r.record(e, false) }

// offer is [Recorder.Record], but never waits: false when there is no room, and then
// nothing was taken or counted.
func (r *Recorder) offer(e *gatehouse.Event) bool {
	r.mu.Lock()
	room := !r.closed && r.fits(MaxLine)
	r.mu.Unlock()
	if room {
		r.record(e, true)
	}
	return room
}

func (r *Recorder) record(e *gatehouse.Event, admitted bool) {
	if !validTime(e.Time) {
		e.Time = r.cfg.Now()
	}
	Complete(e, e.Time)
	if err := check(e); err != nil {
		r.cfg.Logger.Error("audit event refused", "error", err)
		r.drop(e.Realm)
		return
	}
	// Encoding happens outside of the lock; inside is only the copy.
	buf := r.pool.Get().(*[]byte)
	line := append(appendSealed((*buf)[:0], e, r.cfg.Persons), '\n')
	kept := r.keep(e, line, admitted)
	*buf = line
	if cap(line) <= 16<<10 {
		r.pool.Put(buf)
	}
	if !kept {
		r.cfg.Logger.Error("audit event came after the end of the recorder", "kind", e.Kind, "request_id", e.RequestID)
	}
}

// keep puts the line into its realm's run; false only after Close.
func (r *Recorder) keep(e *gatehouse.Event, line []byte, admitted bool) bool {
	r.mu.Lock()
	if !admitted && !r.await(context.Background(), len(line)) && !r.closed {
		r.dropped[e.Realm]++
		r.stats.Dropped++
		r.mu.Unlock()
		return true
	}
	if r.closed {
		r.stats.Dropped++
		r.mu.Unlock()
		return false
	}
	first := r.queued == 0
	full := r.put(e, line)
	r.stats.Recorded++
	r.mu.Unlock()
	if first {
		signal(r.wake)
	}
	if full {
		signal(r.full)
	}
	return true
}

// await reports whether there is room for n bytes, and waits for it as the policy
// says; mu is held, but not while it waits.
func (r *Recorder) await(ctx context.Context, n int) bool {
	if r.fits(n) || r.closed {
		return !r.closed
	}
	if r.drops.Load() || r.stuck {
		return false
	}
	late := false
	wake := func() { r.mu.Lock(); defer r.mu.Unlock(); r.room.Broadcast() }
	timer := time.AfterFunc(r.cfg.MaxBlock, func() { r.mu.Lock(); defer r.mu.Unlock(); late = true; r.room.Broadcast() })
	defer timer.Stop()
	defer context.AfterFunc(ctx, wake)()
	for !r.closed && !r.fits(n) {
		switch {
		case late && !r.stuck:
			r.stuck = true
			r.room.Broadcast()
			r.cfg.Logger.Error("the audit queue is full and cannot be stored; requests are refused until it can", "queued", r.queued)
			return false
		case r.stuck, r.drops.Load(), ctx.Err() != nil:
			return false
		}
		r.room.Wait()
	}
	return !r.closed
}

func (r *Recorder) fits(n int) bool {
	return r.queued < r.cfg.Queue && r.bytes+n <= r.cfg.QueueBytes || r.queued == 0
}

// put appends; mu is held.
func (r *Recorder) put(e *gatehouse.Event, line []byte) (full bool) {
	b := r.open[e.Realm]
	if b == nil {
		b = &run{}
		r.open[e.Realm] = b
	}
	if b.data == nil {
		b.data = r.buffer(max(b.last, len(line)))
	}
	b.add(e)
	b.data = append(b.data, line...)
	r.queued++
	r.bytes += len(line)
	if b.count < int64(r.cfg.MaxEvents) && len(b.data) < MaxBatch/4 {
		return false
	}
	r.seal(e.Realm, b)
	return true
}

// maxSpare is how many buffers of stored batches are kept for the next ones.
const maxSpare = 2

// bufferStep is what the size of a buffer is a multiple of.
const bufferStep = 16 << 10

// buffer returns an empty buffer with room for n bytes; mu is held.
func (r *Recorder) buffer(n int) []byte {
	if last := len(r.spare) - 1; last >= 0 && cap(r.spare[last]) >= n {
		b := r.spare[last]
		r.spare[last], r.spare = nil, r.spare[:last]
		return b
	}
	// In steps: the next batch is about as long, not exactly. Powers of two would
	// keep up to twice of what is needed, several times, under load.
	return make([]byte, 0, (n+bufferStep-1)/bufferStep*bufferStep)
}

// seal ends the run, which is not empty; mu is held.
func (r *Recorder) seal(realm string, b *run) {
	r.ready = append(r.ready, pending{Batch: b.batch(realm, b.data)})
	// The next one is likely as long; growing costs more than the event itself.
	b.last = min(max(len(b.data)+len(b.data)/8, b.last/2), MaxBatch/4)
	b.data, b.span, b.used = nil, span{}, true
}

func (r *Recorder) drop(realm string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Dropped++
	if realm != "" {
		r.dropped[realm]++
		signal(r.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stats returns counters for metrics.
func (r *Recorder) Stats() RecorderStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Depth = int64(r.queued)
	return s
}

// Failing returns why events cannot be stored at present; nil when they can, or when
// nothing was tried since they could.
func (r *Recorder) Failing() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failing
}

// Close stops taking events and stores what is queued. When ctx ends first it
// gives up and tells how many events were lost.
func (r *Recorder) Close(ctx context.Context) error {
	r.closing.Do(func() {
		r.mu.Lock()
		r.closed = true
		r.room.Broadcast()
		r.mu.Unlock()
		close(r.stop)
	})
	select {
	case <-r.done:
	case <-ctx.Done():
		r.abort()
		<-r.done
	}
	r.abort()
	if n := r.Stats().Depth; n > 0 {
		err := fmt.Errorf("audit: %d events could not be stored", n)
		if why := context.Cause(ctx); why != nil { // else somebody else gave up before
			err = fmt.Errorf("%w: %w", err, why)
		}
		return err
	}
	return nil
}

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
	// maxTry bounds one attempt to store, so that a hanging store is retried.
	maxTry = 30 * time.Second
)

// write is the one goroutine that stores batches, in order within each realm.
func (r *Recorder) write() {
	defer close(r.done)
	var pending []pending
	backoff := time.Duration(0)
	for {
		closing := r.collect(len(pending) > 0, backoff)
		select {
		case <-r.full: // of batches that are taken now; else it would hurry a later one
		default:
		}
		pending = append(pending, r.take()...)
		if len(pending) == 0 {
			if closing {
				return
			}
			continue
		}
		var err error
		if pending, err = r.store(pending); err != nil {
			backoff = min(max(minBackoff, backoff*2), maxBackoff)
			r.cfg.Logger.Error("audit events could not be stored; trying again", "error", err, "batches", len(pending), "after", backoff)
		} else {
			backoff = 0
		}
		if r.ctx.Err() != nil {
			return
		}
	}
}

// collect waits until there is something to store and its batch has had the time
// to fill, or for the backoff. It returns true when the recorder is closing.
func (r *Recorder) collect(retrying bool, backoff time.Duration) (closing bool) {
	wait := r.cfg.MaxWait
	if retrying {
		wait = max(backoff, wait)
	} else {
		select {
		case <-r.wake:
		case <-r.stop:
			return true
		}
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	full, stop := r.full, r.stop
	if retrying {
		full = nil // a full queue is no reason to press a store that fails
		if r.isClosed() {
			stop = nil
		}
	}
	select {
	case <-t.C:
	case <-full:
	case <-stop:
	case <-r.ctx.Done():
	}
	return r.isClosed()
}

func (r *Recorder) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// pending is a batch on its way to the store.
type pending struct {
	Batch
	tries int
}

// take ends the open runs and tells what was dropped.
func (r *Recorder) take() []pending {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for realm, n := range r.dropped {
		if !r.fits(0) {
			break // told when there is room
		}
		e := gatehouse.Event{Realm: realm, Kind: KindAuditDropped, Outcome: gatehouse.OutcomeError, Reason: "queue_full",
			Detail: map[string]string{"count": strconv.FormatInt(n, 10)}}
		Complete(&e, now)
		r.put(&e, append(AppendEvent(nil, &e), '\n'))
		delete(r.dropped, realm)
	}
	for realm, b := range r.open {
		switch {
		case b.count > 0:
			r.seal(realm, b)
		case !b.used:
			delete(r.open, realm) // silent for a whole round: forget its hint
			r.spare = nil
			continue
		}
		b.used = false
	}
	out := r.ready
	r.ready = nil
	return out
}

// store writes the batches, all in one transaction if that works, else each on
// its own, so that one realm's trouble does not hold up the others. It returns
// what is left, in order.
func (r *Recorder) store(all []pending) ([]pending, error) {
	err := r.try(all)
	if err == nil {
		r.stored(all)
		return nil, nil
	}
	if len(all) == 1 || r.ctx.Err() != nil {
		return all, err
	}
	var left []pending
	var errs []error
	for i := range all {
		if slices.ContainsFunc(left, func(p pending) bool { return p.Realm == all[i].Realm }) {
			left = append(left, all[i]) // keep the order within the realm
			continue
		}
		if err := r.try(all[i : i+1]); err != nil {
			errs = append(errs, err)
			left = append(left, all[i])
			continue
		}
		r.stored(all[i : i+1])
	}
	return left, errors.Join(errs...)
}

func (r *Recorder) try(batches []pending) error {
	ctx, cancel := context.WithTimeout(r.ctx, maxTry)
	defer cancel()
	err := r.cfg.Run(ctx, func(ctx context.Context, tx BatchWriter) error {
		for i := range batches {
			if err := tx.AppendBatch(ctx, batches[i].Batch); err != nil {
				return err
			}
		}
		return nil
	})
	// The answer of an earlier commit may have been lost. Its batch is stored
	// then, under an ID with 80 random bits, so Conflict means just that.
	if len(batches) == 1 && batches[0].tries > 0 && errors.Is(err, gatehouse.Conflict) {
		err = nil
	}
	if err != nil {
		for i := range batches {
			batches[i].tries++
		}
		r.mu.Lock()
		r.stats.Failures++
		r.failing = err
		r.mu.Unlock()
	}
	return err
}

func (r *Recorder) stored(batches []pending) {
	r.mu.Lock()
	for i := range batches {
		r.queued -= int(batches[i].Count)
		r.bytes -= len(batches[i].Data)
		r.stats.Stored += batches[i].Count
		// A transaction that was given up may still hold its batches.
		if batches[i].tries == 0 && len(r.spare) < maxSpare {
			r.spare = append(r.spare, batches[i].Data[:0])
		}
	}
	r.stuck, r.failing = false, nil
	r.room.Broadcast()
	// Room is the moment to tell what was dropped while there was none, and what
	// came in while the batches were under way has had its wake-up already.
	if len(r.dropped) > 0 || r.queued > 0 {
		signal(r.wake)
	}
	r.mu.Unlock()
}
