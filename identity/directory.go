package identity

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"
	"strings"
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
	// Size is how many users are kept: 32,768.
	Size int
	// MaxAge bounds how long a user is used without being read again, in case a
	// change was not announced: 2 minutes. One who is asked for is read again from
	// half of that on, beside the caller.
	MaxAge time.Duration
}

// Directory answers from memory who a subject is now: the roles, groups and
// attributes that decisions need on each request. A change takes effect before
// the call that made it returns: see Apply. It is safe for concurrent use.
type Directory struct {
	cfg     DirectoryConfig
	users   *cache.Cache[subject, cached]
	flights singleflight.Group
	// texts are what users have in common: names of realms, roles and groups.
	texts *cache.Cache[string, string]
	// renewals has an element for each read that nobody waits for.
	renewals chan struct{}
	seed     maphash.Seed

	// changes counts what Apply was told, of each user in one of the counters. A
	// record read while its counter moved may be the one from before the change,
	// so it is not kept; with one counter for all, users would never be kept while
	// others change all the time. mu makes "compare, then keep" and "count, then
	// drop" exclude each other.
	mu      sync.RWMutex
	changes [changeCounters]uint64

	hits, misses atomic.Int64
}

type subject struct{ realm, id string }

// cached is a user with the times, in Unix nanoseconds, from which it is read again
// and until which it may be used.
type cached struct {
	user         *User
	renew, until int64
}

// DirectoryStats counts look-ups.
type DirectoryStats struct{ Hits, Misses int64 }

const (
	// loadTimeout bounds a read whose callers may all have left.
	loadTimeout = 10 * time.Second
	// maxRenewals is how many users are read again at once.
	maxRenewals = 2
	// changeCounters is how many counters of changes the users share.
	changeCounters = 256
)

// NewDirectory returns a Directory, or an error when something is missing.
func NewDirectory(cfg DirectoryConfig) (*Directory, error) {
	if cfg.Store == nil || cfg.Now == nil {
		return nil, errors.New("identity: the directory needs a store and a clock")
	}
	if cfg.Size <= 0 {
		cfg.Size = 1 << 15
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = 2 * time.Minute
	}
	return &Directory{cfg: cfg, users: cache.New[subject, cached](cfg.Size), texts: cache.New[string, string](maxTexts), renewals: make(chan struct{}, maxRenewals), seed: maphash.MakeSeed()}, nil
}

// maxTexts is how many names of realms, roles and groups are known to be in memory already.
const maxTexts = 1 << 12

// text returns the copy of s that is in memory already. (Package unique would forget its
// copy at each collection of garbage, however many users hold it.)
func (d *Directory) text(s string) string {
	if known, ok := d.texts.Get(s); ok {
		return known
	}
	s = strings.Clone(s)
	d.texts.Set(s, s)
	return s
}

// Stats returns the counters.
func (d *Directory) Stats() DirectoryStats {
	return DirectoryStats{Hits: d.hits.Load(), Misses: d.misses.Load()}
}

// Subject returns the account of realm with id, as it is now, disabled or not: the
// caller decides what a disabled one may do (nothing). Nothing of it may be
// changed. Errors: those of [Directory.User].
func (d *Directory) Subject(ctx context.Context, realm, id string) (gatehouse.Subject, error) {
	u, err := d.User(ctx, realm, id)
	if err != nil {
		return gatehouse.Subject{}, err
	}
	return u.Subject(), nil
}

// User returns the whole record of a user, as [Directory.Subject] does. The value
// is shared and must not be changed. Errors: NotFound, and those of the store;
// nobody is returned from memory when the store failed.
func (d *Directory) User(ctx context.Context, realm, id string) (*User, error) {
	key := subject{realm, id}
	now := d.cfg.Now().UnixNano()
	if c, ok := d.users.Get(key); ok && now < c.until {
		d.hits.Add(1)
		if now >= c.renew {
			d.renew(ctx, key)
		}
		return c.user, nil
	}
	d.misses.Add(1)
	return d.fill(ctx, key)
}

// renew reads a user again and does not wait for it. When as many are read as may
// be, nothing happens: the next use asks again.
func (d *Directory) renew(ctx context.Context, key subject) {
	select {
	case d.renewals <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-d.renewals }()
		if _, err := d.fill(context.WithoutCancel(ctx), key); errors.Is(err, gatehouse.NotFound) {
			d.users.Forget(key)
		}
	}()
}

// fill reads a user and keeps it, unless a change came meanwhile.
func (d *Directory) fill(ctx context.Context, key subject) (*User, error) {
	d.mu.RLock()
	began := d.changes[d.counter(key)]
	d.mu.RUnlock()
	// Callers join a read only if it began after the last change they may know
	// of: one that began before could give them the past.
	flight := strconv.FormatUint(began, 10) + "\x00" + key.realm + "\x00" + key.id
	ch := d.flights.DoChan(flight, func() (result any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		defer caught(&err)
		if c, ok := d.users.Get(key); ok && d.cfg.Now().UnixNano() < c.renew {
			return c.user, nil // another read ended since the caller looked
		}
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

// Recent is [Directory.User] for a user that is in memory; it never reads the
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
	u.share(d.text)
	key = subject{u.Realm, u.ID} // the caller's texts may be parts of a longer one
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.changes[d.counter(key)] == began {
		now, half := d.cfg.Now().UnixNano(), int64(d.cfg.MaxAge/2)
		// Those that came in together must not all be due together.
		spread := int64(maphash.Comparable(d.seed, key) % uint64(half/2+1))
		d.users.Set(key, cached{&u, now + half + spread, now + int64(d.cfg.MaxAge)})
	}
	return &u, nil
}

func (d *Directory) counter(key subject) uint64 {
	return maphash.Comparable(d.seed, key) % changeCounters
}

// Apply drops what a committed change made stale. Subscribe it to the store,
// which calls it before the writer is told that the change is done.
func (d *Directory) Apply(change gatehouse.Change) {
	if change.Topic != gatehouse.TopicUser {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if change.ID != "" {
		key := subject{change.Realm, change.ID}
		d.changes[d.counter(key)]++
		d.users.Forget(key)
		return
	}
	for i := range d.changes {
		d.changes[i]++
	}
	for key := range d.users.Keys() {
		if change.Realm == "" || key.realm == change.Realm {
			d.users.Forget(key)
		}
	}
}
