package lease

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// Term is how long a lease holds that is not renewed: so long does work rest after the
	// process that did it has died among others.
	Term = 10 * time.Second
	// renewals are tried so often in a term.
	renewals = 4
	// releaseTime bounds how long the end of a process waits for the database.
	releaseTime = 5 * time.Second
)

// Config of a [Keeper]. Store, Holder and Logger are required.
type Config struct {
	Store  Store
	Holder string // unlike that of every other process, and of every earlier start
	// Term is how long a lease holds without being renewed. 0: this process has the
	// database to itself, so leases have no end.
	Term time.Duration
	// Retry is how often a lease is asked for that another process holds: Term/5, or 1 s.
	Retry  time.Duration
	Logger *slog.Logger
}

// Keeper takes leases, renews them while work is done under them, and gives them back.
// Safe for concurrent use.
type Keeper struct {
	cfg Config

	mu   sync.Mutex
	held map[string]*holding
	idle chan struct{} // closed to end the renewals; nil while none run

	looking sync.Mutex
	others  []string  // the leases that others held when it was looked last
	next    time.Time // when it is looked again
}

type holding struct {
	*Held
	asked time.Time // when the database was asked for the term that runs
}

// NewKeeper makes a keeper that holds nothing.
func NewKeeper(cfg Config) *Keeper {
	if cfg.Retry <= 0 {
		cfg.Retry = time.Second
		if cfg.Term > 0 {
			cfg.Retry = cfg.Term / 5
		}
	}
	return &Keeper{cfg: cfg, held: map[string]*holding{}}
}

// Hold does work whenever this process has the lease of that name, until ctx ends or work
// ends by itself; it returns what work returned then. The context of work ends when the
// lease is lost, with [ErrLost] as its cause; work is done anew once the lease is back.
// When ctx ends, the lease is kept until work has returned, and is then free at once.
func (k *Keeper) Hold(ctx context.Context, name string, work func(context.Context) error) error {
	for {
		inner, h := k.acquire(ctx, name)
		if h == nil {
			return nil
		}
		err := work(inner)
		lost := errors.Is(context.Cause(inner), ErrLost)
		k.release(ctx, h)
		if !lost || ctx.Err() != nil {
			return err
		}
		k.cfg.Logger.Warn("a lease was lost; another process does its work, or this one once it has it again", "lease", name, "epoch", h.Epoch)
	}
}

// acquire returns when the lease is held, with the context for its work; nil when ctx
// ended before.
func (k *Keeper) acquire(ctx context.Context, name string) (context.Context, *holding) {
	failed := ""
	for ctx.Err() == nil {
		free, next := k.free(ctx, name)
		if !free {
			wait(ctx, next)
			continue
		}
		asked := time.Now()
		l, err := k.cfg.Store.AcquireLease(ctx, name, k.cfg.Holder, k.cfg.Term)
		if err == nil {
			inner, lost := context.WithCancelCause(ctx)
			h := &holding{Held: &Held{Lease: l, lost: lost}, asked: asked}
			k.keep(h)
			k.cfg.Logger.Debug("a lease is held", "lease", name, "epoch", l.Epoch)
			return context.WithValue(inner, key{}, h.Held), h
		}
		if text := err.Error(); !errors.Is(err, ErrHeld) && ctx.Err() == nil && text != failed {
			failed = text // told once: it is tried every second
			k.cfg.Logger.Error("a lease could not be taken; trying again", "lease", name, "error", err)
		}
		wait(ctx, next)
	}
	return nil, nil
}

// free reports whether the lease may be free, and when it is looked again. It is looked
// once for all that this process waits for.
func (k *Keeper) free(ctx context.Context, name string) (bool, time.Time) {
	k.looking.Lock()
	defer k.looking.Unlock()
	if now := time.Now(); !now.Before(k.next) {
		// Not all at the same moment: many may wait for one.
		k.next, k.others = now.Add(k.cfg.Retry*3/4+rand.N(k.cfg.Retry/2+1)), nil
		if k.cfg.Term > 0 {
			k.others, _ = k.cfg.Store.LeasesOfOthers(ctx, k.cfg.Holder) // an error is that of the taking, too
		}
	}
	return !slices.Contains(k.others, name), k.next
}

func wait(ctx context.Context, until time.Time) {
	pause := time.NewTimer(time.Until(until))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
}

// Held is how many leases this process holds.
func (k *Keeper) Held() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.held)
}

// keep begins to renew h.
func (k *Keeper) keep(h *holding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[h.Name] = h
	if k.cfg.Term > 0 && k.idle == nil {
		k.idle = make(chan struct{})
		go k.renew(k.idle)
	}
}

// release gives h back, also after its context has ended.
func (k *Keeper) release(ctx context.Context, h *holding) {
	h.lost(nil) // frees what the context holds
	k.mu.Lock()
	delete(k.held, h.Name)
	if len(k.held) == 0 && k.idle != nil {
		close(k.idle)
		k.idle = nil
	}
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if err := k.cfg.Store.ReleaseLease(ctx, h.Lease); err != nil {
		k.cfg.Logger.Warn("a lease could not be given back; others wait until it ends", "lease", h.Name, "error", err)
	}
}

// renew renews all that is held, several times a term, until idle is closed.
func (k *Keeper) renew(idle chan struct{}) {
	tick := time.NewTicker(k.cfg.Term / renewals)
	defer tick.Stop()
	for {
		select {
		case <-idle:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), k.cfg.Term/renewals)
		asked := time.Now()
		renewed, err := k.cfg.Store.RenewLeases(ctx, k.cfg.Holder, k.cfg.Term)
		cancel()
		if err != nil {
			k.cfg.Logger.Warn("leases could not be renewed", "error", err)
		}
		k.judge(asked, renewed, err)
	}
}

// judge ends the work under what is lost: what the database did not renew, and, when it
// did not answer, what ends before it is asked the next time.
func (k *Keeper) judge(asked time.Time, renewed []Lease, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.held {
		switch {
		case h.asked.After(asked): // taken since
		case err == nil && slices.Contains(renewed, h.Lease):
			h.asked = asked
		case err == nil, time.Since(h.asked) >= k.cfg.Term-k.cfg.Term/renewals:
			h.Lost()
		}
	}
}
