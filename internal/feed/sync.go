package feed

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// syncPace is the least time between two readings that somebody asked for: strangers
	// may be the cause of the asking.
	syncPace = 10 * time.Millisecond
	// syncWait bounds how long somebody waits for a reading. After so long without one,
	// nobody waits any more: each is told at once.
	syncWait = 2 * time.Second
	// maxSyncs is how many may wait for a reading at a time.
	maxSyncs = 4096
)

// errBehind says that what others have committed could not be read in time.
var errBehind = errors.New("feed: what others have changed could not be read")

// Sync returns once everything that was committed before the call, by anybody, has been
// applied, and the database's time of the reading that brought it. All who ask
// meanwhile get one reading. It is [errBehind] after two seconds, at once when nothing could be
// read for as long, or when too many wait.
func (f *Follower) Sync(ctx context.Context) (time.Time, error) {
	r := f.queue.join()
	if r == nil {
		return time.Time{}, errBehind
	}
	defer f.queue.leave()
	patience := time.NewTimer(syncWait)
	defer patience.Stop()
	select {
	case <-r.done:
		return r.at, nil
	case <-patience.C:
		return time.Time{}, errBehind
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

// queue is who waits for a reading that begins after they came.
type queue struct {
	mu      sync.Mutex
	waiting int
	next    *turn     // of those for whom no reading has begun
	asked   bool      // somebody waits for next
	owed    []*turn   // of those for whom readings have begun, none of which has ended well
	wake    func()    // ends the follower's wait for notifications
	since   time.Time // when nothing could be read any more; zero while all is well
}

// turn is one reading for all who wait for it.
type turn struct {
	done chan struct{} // closed when it has ended well
	at   time.Time     // then: the database's clock
}

func newTurn() *turn { return &turn{done: make(chan struct{})} }

func newQueue() queue { return queue{next: newTurn()} }

// join returns what to wait for; nil when there is no sense in waiting.
func (q *queue) join() *turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting >= maxSyncs || !q.since.IsZero() && time.Since(q.since) > syncWait {
		return nil
	}
	q.waiting++
	q.asked = true
	if q.wake != nil {
		q.wake()
	}
	return q.next
}

func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting--
}

// begin is called before a reading.
func (q *queue) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == 0 {
		q.owed = nil // they have left
	}
	if q.asked {
		q.owed, q.next, q.asked = append(q.owed, q.next), newTurn(), false
	}
}

// done ends the waiting for all readings that have begun.
func (q *queue) done(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.owed {
		t.at = now
		close(t.done)
	}
	q.owed, q.since = nil, time.Time{}
}

// lost notes that nothing can be read.
func (q *queue) lost() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.since.IsZero() {
		q.since = time.Now()
	}
}

// wakes has wake called as soon as somebody joins, and reports whether somebody waits
// already: then nobody is going to call it.
func (q *queue) wakes(wake func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wake = wake
	return q.asked || len(q.owed) > 0
}
