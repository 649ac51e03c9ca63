package server

import (
	"context"
	"sync"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store"
)

// realmCache keeps the realms in memory for what is published to everybody: key
// sets and metadata are asked for often, and must not each ask the database.
type realmCache struct {
	db *store.DB

	mu    sync.RWMutex
	known map[string]gatehouse.Realm
	gen   uint64 // counts changes, so that a read from before one is not kept
}

func newRealmCache(db *store.DB) *realmCache {
	c := &realmCache{db: db, known: map[string]gatehouse.Realm{}}
	db.Subscribe(c.apply)
	return c
}

// defaultAudience gives for whom the tokens of a realm are where nobody is named; "" where that cannot be told.
func (s *Server) defaultAudience() func(ctx context.Context, realm string) string {
	realms := newRealmCache(s.db)
	return func(ctx context.Context, realm string) string {
		r, err := realms.Realm(ctx, realm)
		if err != nil {
			return ""
		}
		return r.Settings.Audience
	}
}

// apply forgets what a change touches; the next question reads it again.
func (c *realmCache) apply(ch gatehouse.Change) {
	if ch.Topic != gatehouse.TopicRealm {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	clear(c.known)
}

// Realm returns a realm; one that does not exist is asked for each time, and is
// not remembered, since its name is a stranger's choice.
func (c *realmCache) Realm(ctx context.Context, name string) (gatehouse.Realm, error) {
	c.mu.RLock()
	r, ok := c.known[name]
	gen := c.gen
	c.mu.RUnlock()
	if ok {
		return r, nil
	}
	r, err := c.db.Realm(ctx, name)
	if err != nil {
		return r, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if gen == c.gen {
		c.known[name] = r
	}
	return r, nil
}
