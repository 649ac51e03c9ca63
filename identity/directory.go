package identity

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
)

// DirectoryStore is what the directory reads of the store.
type DirectoryStore interface {
	User(ctx context.Context, realm, id string) (User, error)
}

// DirectoryConfig configures a [Directory].
type DirectoryConfig struct {
	Store DirectoryStore   // required
	Now   func() time.Time // required
	// Size is how many users are kept: 10,000.
	Size int
	// MaxAge bounds how long a user is kept without being read again, in case a
	// change was not announced: 1 minute.
	MaxAge time.Duration
}

// Directory answers from memory who a subject is now: the roles, groups and
// attributes that decisions need on each request. A change takes effect before
// the call that made it returns: see Apply. It is safe for concurrent use.
type Directory struct {
	cfg     DirectoryConfig
	users   *cache.Cache[subject, cached]
	flights singleflight.Group

	// changes counts what Apply was told. A record read while it moved may be
	// the one from before the change, so it is not kept. mu makes "compare, then
	// keep" and "count, then drop" exclude each other.
	mu      sync.RWMutex
	changes uint64

	hits, misses atomic.Int64
}

type subject struct{ realm, id string }

type cached struct {
	user  *User
	until int64 // Unix nanoseconds
}

// DirectoryStats counts look-ups.
type DirectoryStats struct{ Hits, Misses int64 }

// loadTimeout bounds a read whose callers may all have left.
const loadTimeout = 10 * time.Second

// NewDirectory returns a Directory, or an error when something is missing.
func NewDirectory(cfg DirectoryConfig) (*Directory, error) {
	if cfg.Store == nil || cfg.Now == nil {
		return nil, errors.New("identity: the directory needs a store and a clock")
	}
	if cfg.Size <= 0 {
		cfg.Size = 10_000
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = time.Minute
	}
	return &Directory{cfg: cfg, users: cache.New[subject, cached](cfg.Size)}, nil
}

// Stats returns the counters.
func (d *Directory) Stats() DirectoryStats {
	return DirectoryStats{Hits: d.hits.Load(), Misses: d.misses.Load()}
}

// Subject returns the user of realm with id, as it is now, disabled or not: the
// caller decides what a disabled one may do (nothing). The value is shared and
// must not be changed. Errors: NotFound, and those of the store; nobody is
// returned from memory when the store failed.
func (d *Directory) Subject(ctx context.Context, realm, id string) (*User, error) {
	key := subject{realm, id}
	if c, ok := d.users.Get(key); ok && d.cfg.Now().UnixNano() < c.until {
		d.hits.Add(1)
		return c.user, nil
	}
	d.misses.Add(1)
	d.mu.RLock()
	began := d.changes
	d.mu.RUnlock()
	// Callers join a read only if it began after the last change they may know
	// of: one that began before could give them the past.
	flight := strconv.FormatUint(began, 10) + "\x00" + realm + "\x00" + id
	ch := d.flights.DoChan(flight, func() (result any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		defer caught(&err)
		return d.load(ctx, key, began)
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*User), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Recent is [Directory.Subject] for a user that is in memory; it never reads the
// store.
func (d *Directory) Recent(realm, id string) (*User, bool) {
	c, ok := d.users.Get(subject{realm, id})
	if !ok || d.cfg.Now().UnixNano() >= c.until {
		return nil, false
	}
	d.hits.Add(1)
	return c.user, true
}

func (d *Directory) load(ctx context.Context, key subject, began uint64) (*User, error) {
	u, err := d.cfg.Store.User(ctx, key.realm, key.id)
	if err != nil {
		return nil, err
	}
	if u.Realm != key.realm || u.ID != key.id {
		return nil, gatehouse.NotFound
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.changes == began {
		d.users.Set(key, cached{&u, d.cfg.Now().Add(d.cfg.MaxAge).UnixNano()})
	}
	return &u, nil
}

// Apply drops what a committed change made stale. Subscribe it to the store,
// which calls it before the writer is told that the change is done.
func (d *Directory) Apply(change gatehouse.Change) {
	if change.Topic != gatehouse.TopicUser {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	if change.ID != "" {
		d.users.Forget(subject{change.Realm, change.ID})
		return
	}
	for key := range d.users.Keys() {
		if change.Realm == "" || key.realm == change.Realm {
			d.users.Forget(key)
		}
	}
}
