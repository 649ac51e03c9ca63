package authz

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	lru "github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Store is what the decision point reads.
type Store interface {
	Rules
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	Realms(ctx context.Context) ([]gatehouse.Realm, error)
	Policy(ctx context.Context, realm, id string) (policy.Document, error)
	Entity(ctx context.Context, realm, typ, id string) (policy.EntityRecord, error)
}

// Rules reads the policies of a realm; a store or a transaction of it.
type Rules interface {
	Roles(ctx context.Context, realm string) ([]policy.Role, error)
	Policies(ctx context.Context, realm string) ([]policy.Document, error)
	Schema(ctx context.Context, realm string) (policy.Schema, error)
}

// Directory tells who a local subject is now.
type Directory interface {
	// gatehouse.Subject returns the account; gatehouse.NotFound when there is none.
	Subject(ctx context.Context, realm, id string) (gatehouse.Subject, error)
}

// Metrics receives counts; every method must be quick and safe for concurrent use.
type Metrics interface {
	// Decided is called once for every Decide, DecideAdmin with its code.
	Decided(realm, code string, allowed bool, took time.Duration)
	// Rebuilt is called for every compile of a realm's policies.
	Rebuilt(realm string, ok bool, policies int)
}

// Config of a [Decider].
type Config struct {
	Store     Store     // required
	Directory Directory // required
	Logger    *slog.Logger
	Metrics   Metrics          // may be nil
	Now       func() time.Time // nil: time.Now
	// CacheSize bounds the pushed entities that are kept ready, and the subjects as
	// far as they are not bound to 4,096; 0 is 20,000, negative keeps none.
	CacheSize int
	// LoadTimeout bounds one rebuild; 0 is 15 seconds.
	LoadTimeout time.Duration
}

// Decider is the decision point. It is safe for concurrent use.
type Decider struct {
	store       Store
	directory   Directory
	log         *slog.Logger
	metrics     Metrics
	now         func() time.Time
	loadTimeout time.Duration
	admin       *policy.Set
	subjects    *cache[subjectKey, *subject]
	entities    *cache[entityKey, entityValue]
	memberships *lru.Cache[string, *policy.Membership]
	facts       *lru.Cache[string, *facts]

	realms atomic.Pointer[map[string]*snapshot] // copied on write
	write  sync.Mutex                           // one rebuild at a time
}

// snapshot is a realm's rules at one moment. Exactly one of set and fault is
// meaningful: with a fault, everything is denied with its code.
type snapshot struct {
	realm   string
	set     *policy.Set
	passing bool // decisions must not be remembered
	// tried is the set with the change that was prepared last: what was compiled to
	// judge a document need not be compiled again when it is stored.
	tried   atomic.Pointer[policy.Set]
	fault   string
	retryAt time.Time // when a decision may try again; zero: never by itself
	retried atomic.Bool
}

const (
	retryEvery   = time.Second
	defaultCache = 20_000
	// maxSubjects is how many callers are kept ready for decisions. Others are made
	// ready from what the directory has in memory, which takes some microseconds;
	// one that is kept takes a kilobyte.
	maxSubjects = 4096
	// maxMemberships is how many combinations of roles and groups are kept ready.
	maxMemberships = 1024
	// maxFacts is how many combinations of what credentials say are kept once.
	maxFacts = 1024
)

// New loads every realm. A realm whose policies do not compile is logged and
// denies everything; only a store that cannot be read is an error.
func New(ctx context.Context, c Config) (*Decider, error) {
	if c.Store == nil || c.Directory == nil || c.Logger == nil {
		return nil, errors.New("authz: Store, Directory and Logger are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.LoadTimeout <= 0 {
		c.LoadTimeout = 15 * time.Second
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCache
	}
	admin, err := policy.Administration()
	if err != nil {
		return nil, err
	}
	d := &Decider{store: c.Store, directory: c.Directory, log: c.Logger, metrics: c.Metrics, now: c.Now,
		loadTimeout: c.LoadTimeout, admin: admin,
		subjects: newCache[subjectKey, *subject](min(c.CacheSize, maxSubjects)), entities: newCache[entityKey, entityValue](c.CacheSize),
		memberships: lru.New[string, *policy.Membership](maxMemberships), facts: lru.New[string, *facts](maxFacts)}
	d.realms.Store(&map[string]*snapshot{})
	realms, err := c.Store.Realms(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range realms {
		d.rebuild(ctx, r.Name, "")
	}
	return d, nil
}

// Apply takes a committed change into effect before it returns. Give it to the
// store's Subscribe.
func (d *Decider) Apply(c gatehouse.Change) {
	switch c.Topic {
	case gatehouse.TopicRealm:
		name := c.ID
		if name == "" {
			name = c.Realm
		}
		d.rebuild(context.Background(), name, string(c.Topic))
	case gatehouse.TopicRole, gatehouse.TopicPolicy:
		if c.Realm == "" {
			for name := range *d.realms.Load() {
				d.rebuild(context.Background(), name, string(c.Topic))
			}
			return
		}
		if c.Topic == gatehouse.TopicPolicy && c.ID != "" {
			d.replace(context.Background(), c.Realm, c.ID)
			return
		}
		d.rebuild(context.Background(), c.Realm, string(c.Topic))
	case gatehouse.TopicUser:
		if c.ID == "" {
			d.subjects.flush()
			return
		}
		d.subjects.drop(hash2(c.Realm, c.ID))
	case gatehouse.TopicEntity:
		if e, ok := c.Value.(policy.EntityRecord); ok && e.Realm == c.Realm && e.ID != "" {
			d.entities.drop(hash2(e.Realm, e.ID))
			return
		}
		d.entities.flush()
	}
}

// rebuild compiles a realm's rules and swaps them in. The lock makes the last
// rebuild the one that read last; it is never held by a decision.
func (d *Decider) rebuild(ctx context.Context, realm, why string) *snapshot {
	d.write.Lock()
	defer d.write.Unlock()
	return d.rebuildLocked(ctx, realm, why)
}

// replace puts one document into the rules in force as the store has it now, so
// that the cost of a change does not grow with the realm.
func (d *Decider) replace(ctx context.Context, realm, id string) {
	d.write.Lock()
	defer d.write.Unlock()
	old := (*d.realms.Load())[realm]
	if old != nil && old.set != nil {
		ctx, cancel := context.WithTimeout(ctx, d.loadTimeout)
		defer cancel()
		doc, err := d.store.Policy(ctx, realm, id)
		stored := &doc
		if errors.Is(err, gatehouse.NotFound) {
			stored, err = nil, nil
		}
		var set *policy.Set
		if err == nil {
			set, err = old.set.Replace(id, stored, old.tried.Load(), true)
		}
		if err == nil {
			d.swap(realm, &snapshot{realm: realm, set: set, passing: passing(set)})
			if d.metrics != nil {
				d.metrics.Rebuilt(realm, true, set.Len())
			}
			return
		}
	}
	d.rebuildLocked(ctx, realm, string(gatehouse.TopicPolicy))
}

func (d *Decider) rebuildLocked(ctx context.Context, realm, why string) *snapshot {
	ctx, cancel := context.WithTimeout(ctx, d.loadTimeout)
	defer cancel()
	old := (*d.realms.Load())[realm]
	s := &snapshot{realm: realm}
	err := d.load(ctx, realm, old, s)
	if errors.Is(err, gatehouse.NotFound) && s.fault == codeRealmUnknown {
		d.swap(realm, nil)
		return nil
	}
	if err != nil {
		s.set, s.fault, s.retryAt = nil, CodePolicyUnavailable, d.now().Add(retryEvery)
		d.log.LogAttrs(ctx, slog.LevelError, "policies of a realm could not be loaded; it denies everything",
			slog.String("realm", realm), slog.String("change", why), slog.Any("error", err))
	}
	d.swap(realm, s)
	if d.metrics != nil {
		d.metrics.Rebuilt(realm, err == nil, s.set.Len())
	}
	return s
}

func (d *Decider) load(ctx context.Context, name string, old, s *snapshot) error {
	r, err := d.store.Realm(ctx, name)
	if err != nil {
		if errors.Is(err, gatehouse.NotFound) {
			s.fault = codeRealmUnknown
		}
		return err
	}
	if r.Disabled {
		s.fault = CodeRealmDisabled
		return nil
	}
	in, err := readRules(ctx, d.store, name)
	if err != nil {
		return err
	}
	in.Stored = true
	if old != nil {
		in.Reuse = old.set
	}
	if s.set, err = policy.Compile(in); err == nil {
		s.passing = passing(s.set)
	}
	return err
}

func (d *Decider) swap(realm string, s *snapshot) {
	old := *d.realms.Load()
	next := make(map[string]*snapshot, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	if s == nil {
		delete(next, realm)
	} else {
		next[realm] = s
	}
	d.realms.Store(&next)
}

func readRules(ctx context.Context, r Rules, realm string) (policy.Input, error) {
	var in policy.Input
	var err error
	if in.Roles, err = r.Roles(ctx, realm); err != nil {
		return in, err
	}
	if in.Documents, err = r.Policies(ctx, realm); err != nil {
		return in, err
	}
	schema, err := r.Schema(ctx, realm)
	switch {
	case err == nil:
		in.Schema = &schema
	case !errors.Is(err, gatehouse.NotFound): // a realm without a schema is fine
		return in, err
	}
	return in, nil
}

// snapshot returns the realm's rules, trying again when the last load failed.
func (d *Decider) snapshot(ctx context.Context, realm string) (*snapshot, string) {
	s := (*d.realms.Load())[realm]
	if s == nil {
		return nil, codeRealmUnknown
	}
	if s.fault == CodePolicyUnavailable && !d.now().Before(s.retryAt) && s.retried.CompareAndSwap(false, true) {
		// One caller retries; the others are denied without waiting.
		if again := d.rebuild(context.WithoutCancel(ctx), realm, "retry"); again != nil {
			s = again
		}
	}
	return s, s.fault
}
