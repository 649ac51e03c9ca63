package authn

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// UsageTx is what [Authenticator.FlushUsage] needs in its transaction.
type UsageTx interface {
	AddKeyUsage(ctx context.Context, usage []credential.KeyUsage) error
}

// usageCounter counts uses of keys in memory, by key and UTC day. Only keys that
// were verified get in, so its size is bounded by the keys that exist.
type usageCounter struct {
	m *xsync.Map[usageKey, *usageCell]
}

type usageKey struct {
	id  string
	day int64 // days since 1970, UTC
}

type usageCell struct {
	realm string
	count atomic.Int64
	last  atomic.Int64 // Unix microseconds
}

func (u *usageCounter) init() { u.m = xsync.NewMap[usageKey, *usageCell]() }

const secondsPerDay = 24 * 60 * 60

func (u *usageCounter) count(id, realm string, at time.Time) {
	u.add(usageKey{id, at.Unix() / secondsPerDay}, realm, 1, at.UnixMicro())
}

func (u *usageCounter) add(k usageKey, realm string, n, last int64) {
	c, ok := u.m.Load(k)
	if !ok {
		c, _ = u.m.LoadOrCompute(k, func() (*usageCell, bool) { return &usageCell{realm: realm}, false })
	}
	c.count.Add(n)
	for {
		old := c.last.Load()
		if old >= last || c.last.CompareAndSwap(old, last) {
			return
		}
	}
}

// flushBatch bounds how many keys one transaction adds up.
const flushBatch = 1000

// FlushUsage writes the counts of API key uses since the last call. Counts that
// could not be written are kept for the next call; at most those of one interval
// are lost when the process is killed, for quotas too.
func (a *Authenticator) FlushUsage(ctx context.Context, run gatehouse.Runner[UsageTx]) error {
	a.quotas.sweep(a.cfg.Now().Unix() / secondsPerDay)
	return a.flush(ctx, run, func(string) bool { return true })
}

// flush writes the counts of those keys that are to be.
func (a *Authenticator) flush(ctx context.Context, run gatehouse.Runner[UsageTx], these func(id string) bool) error {
	today := a.cfg.Now().Unix() / secondsPerDay
	var keys []usageKey
	var batch []credential.KeyUsage
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		for _, k := range keys {
			a.quotas.writes(k.id)
		}
		err := run(ctx, func(ctx context.Context, tx UsageTx) error { return tx.AddKeyUsage(ctx, batch) })
		if err != nil {
			for i, u := range batch {
				a.quotas.wrote(keys[i].id, keys[i].day, 0)
				a.usage.add(keys[i], u.Realm, u.Count, u.LastUsedAt.UnixMicro())
			}
		} else {
			for i, u := range batch {
				a.quotas.wrote(keys[i].id, keys[i].day, u.Count)
			}
		}
		keys, batch = nil, nil
		return err
	}
	for k, c := range a.usage.m.AllRelaxed() {
		if !these(k.id) {
			continue
		}
		n := c.count.Swap(0)
		if n == 0 {
			if k.day < today-1 { // nobody counts on that day any more
				a.usage.m.Delete(k)
			}
			continue
		}
		keys = append(keys, k)
		batch = append(batch, credential.KeyUsage{KeyID: k.id, Realm: c.realm, Count: n,
			Day:        time.Unix(k.day*secondsPerDay, 0).UTC().Format(time.DateOnly),
			LastUsedAt: time.UnixMicro(c.last.Load())})
		if len(batch) == flushBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// usageEvery is how often [Authenticator.Run] writes the counts.
const usageEvery = 10 * time.Second

// Run flushes usage counts until ctx ends, and then once more; those of quotas that several
// nodes share oftener. failed receives each error and may be nil.
func (a *Authenticator) Run(ctx context.Context, run gatehouse.Runner[UsageTx], failed func(error)) error {
	t := time.NewTicker(usageEvery)
	defer t.Stop()
	var often <-chan time.Time
	if a.cfg.Nodes != nil {
		q := time.NewTicker(quotaEvery)
		defer q.Stop()
		often = q.C
	}
	for {
		select {
		case <-often:
			if a.nodes() > 1 {
				if err := a.syncQuotas(ctx, run); err != nil && failed != nil && ctx.Err() == nil {
					failed(err)
				}
			}
		case <-t.C:
			if err := a.FlushUsage(ctx, run); err != nil && failed != nil {
				failed(err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
			defer cancel()
			return a.FlushUsage(last, run)
		}
	}
}
