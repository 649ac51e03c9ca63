package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Store is what the ring reads outside transactions.
type Store interface {
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	Realms(ctx context.Context) ([]gatehouse.Realm, error)
	SigningKeys(ctx context.Context, realm string) ([]token.StoredKey, error)
}

// Tx is what a change of keys needs in its transaction.
type Tx interface {
	// HoldRealm reads the realm and has others who ask so wait: two nodes that see no key,
	// or none that is due, must not both make one.
	HoldRealm(ctx context.Context, name string) (gatehouse.Realm, error)
	SigningKeys(ctx context.Context, realm string) ([]token.StoredKey, error)
	InsertSigningKey(ctx context.Context, k token.StoredKey) error
	UpdateSigningKey(ctx context.Context, k token.StoredKey) error // compare-and-swap on Version
	DeleteSigningKey(ctx context.Context, realm, kid string) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

const (
	// KeySetMaxAge is how long a published key set may be kept by whoever fetched it.
	KeySetMaxAge = 5 * time.Minute
	// KeyLead is how long a key is published at least before it signs: as long as a set
	// without it may be kept (KeySetMaxAge), and a minute for all nodes to hear of the key,
	// and for clocks that differ by half of that.
	KeyLead = 6 * time.Minute
	// DefaultInterval is how often Run looks for what is due.
	DefaultInterval = time.Minute
	// maxTokenTTL is the longest life of an access token a realm may set.
	maxTokenTTL = time.Hour

	readTimeout = 5 * time.Second
	purpose     = "signing-key"
)

var (
	errNoKey = gatehouse.E(gatehouse.Unavailable, "signing_key_unavailable", "The realm has no signing key at the moment.")
)

// Config of a [Ring].
type Config struct {
	Store Store                // required
	Run   gatehouse.Runner[Tx] // required
	Box   *seal.Box            // required; seals private halves
	// CatchUp returns once everything that other nodes have committed was applied; it
	// bounds the wait by itself. nil: no other node can be.
	CatchUp  func(context.Context) (time.Time, error)
	Interval time.Duration // between looks of Run; 0: DefaultInterval
	Logger   *slog.Logger  // nil: none
	Now      func() time.Time
}

// Ring holds the keys of all realms. Reads never wait for writes.
type Ring struct {
	cfg    Config
	realms atomic.Pointer[map[string]*snapshot]
	mu     sync.Mutex    // held while realms is rebuilt, so that the newest read wins
	turns  chan struct{} // holds one for each who waits to catch up
	making sync.Mutex    // held while a key is made that somebody waits for
}

// snapshot is what one realm's keys look like at one time.
type snapshot struct {
	active *token.Key                     // signs all
	forID  map[token.Algorithm]*token.Key // sign ID tokens
	byKID  map[string]*token.Key
	stored map[string]token.StoredKey
	jwks   []byte
	etag   string
}

// New makes an empty ring; call [Ring.Load] before use.
func New(cfg Config) (*Ring, error) {
	switch {
	case cfg.Store == nil || cfg.Run == nil:
		return nil, errors.New("keyring: no store")
	case cfg.Box == nil:
		return nil, errors.New("keyring: nothing to seal private keys with")
	case cfg.Interval < 0:
		return nil, errors.New("keyring: negative time")
	}
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Ring{cfg: cfg, turns: make(chan struct{}, maxWaiting)}
	r.realms.Store(&map[string]*snapshot{})
	return r, nil
}

// Load reads the keys of every realm. It fails when a key cannot be opened: a
// wrong master key must show at the start, not at the first token.
func (r *Ring) Load(ctx context.Context) error {
	realms, err := r.cfg.Store.Realms(ctx)
	if err != nil {
		return err
	}
	for _, realm := range realms {
		if err := r.reload(ctx, realm.Name); err != nil {
			return fmt.Errorf("signing keys of realm %s: %w", realm.Name, err)
		}
	}
	return nil
}

// Apply follows a change; give it to the store's Subscribe. It has taken effect
// when it returns.
func (r *Ring) Apply(c gatehouse.Change) {
	if c.Topic != gatehouse.TopicSigningKey && c.Topic != gatehouse.TopicRealm {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	realms := []string{c.Realm}
	if c.Realm == "" && c.ID == "" { // others may have written, in every realm
		realms = slices.Collect(maps.Keys(*r.realms.Load()))
	}
	for _, realm := range realms {
		if err := r.reload(ctx, realm); err != nil {
			r.cfg.Logger.Error("reading signing keys failed; the realm has none until they can be read",
				"realm", realm, "error", err)
		}
	}
}

// reload replaces the snapshot of one realm by what the store holds, or removes
// it: old keys must not outlive a change that could not be read.
func (r *Ring) reload(ctx context.Context, realm string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := (*r.realms.Load())[realm]
	next, err := r.read(ctx, realm, old)
	all := maps.Clone(*r.realms.Load())
	if next == nil || err != nil {
		delete(all, realm)
	} else {
		all[realm] = next
	}
	r.realms.Store(&all)
	return err
}

func (r *Ring) read(ctx context.Context, realm string, old *snapshot) (*snapshot, error) {
	stored, err := r.cfg.Store.SigningKeys(ctx, realm)
	if err != nil {
		return nil, err
	}
	s := &snapshot{byKID: make(map[string]*token.Key, len(stored)), stored: make(map[string]token.StoredKey, len(stored))}
	var published []*token.Key
	s.forID = map[token.Algorithm]*token.Key{}
	newest := map[token.Algorithm]time.Time{} // "" for those that sign all
	for _, sk := range stored {
		k, err := r.open(sk, old)
		if err != nil {
			return nil, err
		}
		s.byKID[sk.KID], s.stored[sk.KID] = k, sk
		published = append(published, k)
		of := token.Algorithm("")
		if sk.Use == token.UseID {
			of = k.Algorithm
		}
		if at, some := newest[of]; sk.State != token.KeyActive || some && !sk.ActivatedAt.After(at) {
			continue
		}
		if newest[of] = sk.ActivatedAt; sk.Use == token.UseID {
			s.forID[of] = k
		} else {
			s.active = k
		}
	}
	s.jwks = token.MarshalJWKSet(published)
	sum := sha256.Sum256(s.jwks)
	s.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return s, nil
}

// open unseals a key, or takes it from the snapshot before: unsealing and parsing
// an RSA key costs more than all the rest.
func (r *Ring) open(sk token.StoredKey, old *snapshot) (*token.Key, error) {
	if old != nil {
		before, ok := old.stored[sk.KID]
		if ok && before.Algorithm == sk.Algorithm && string(before.Private) == string(sk.Private) {
			return old.byKID[sk.KID], nil
		}
	}
	raw, err := r.cfg.Box.Open(sk.Private, place(sk.Realm, sk.KID))
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", sk.KID, err)
	}
	k, err := token.UnmarshalPrivate(raw)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", sk.KID, err)
	}
	// The row is not sealed, only the private half: it must not rename a key or
	// turn it into one of another algorithm.
	if k.KID != sk.KID || string(k.Algorithm) != sk.Algorithm {
		return nil, fmt.Errorf("key %s: the row does not belong to the sealed key", sk.KID)
	}
	return k, nil
}

func place(realm, kid string) seal.Place { return seal.Place{Purpose: purpose, Realm: realm, ID: kid} }

func (r *Ring) snapshot(realm string) *snapshot { return (*r.realms.Load())[realm] }

// Signer returns the active key of a realm.
func (r *Ring) Signer(realm string) (*token.Key, error) {
	s := r.snapshot(realm)
	if s == nil || s.active == nil { // another node may just have made it
		if r.catchUp(context.Background()) == nil {
			s = r.snapshot(realm)
		}
	}
	if s == nil || s.active == nil {
		return nil, errNoKey
	}
	return s.active, nil
}

// JWKS returns the published key set of a realm with its entity tag, and how long it
// may be kept. It has every key that signed something before the call, on any node:
// who asks because of a key that he does not know must not get the set that lacks it,
// and keep that. The body must not be changed.
func (r *Ring) JWKS(ctx context.Context, realm string) (body []byte, etag string, maxAge time.Duration, err error) {
	maxAge = KeySetMaxAge
	if err := r.catchUp(ctx); err != nil {
		maxAge = behindMaxAge
	}
	s := r.snapshot(realm)
	if s == nil {
		return nil, "", 0, errNoKey
	}
	return s.jwks, s.etag, maxAge, nil
}

// Source returns the keys with which tokens of a realm are verified. It follows
// all later changes.
func (r *Ring) Source(realm string) token.KeySource { return source{r, realm} }

type source struct {
	ring  *Ring
	realm string
}

// Key finds a key by kid alone: every token we sign carries one. A kid that is not
// known may be that of a key which another node has just made, and is looked for once
// more when everything that other nodes did before is known here.
func (s source) Key(kid string, _ token.Algorithm) (*token.Key, error) {
	if k := s.ring.snapshot(s.realm).key(kid); k != nil {
		return k, nil
	}
	if kid == "" {
		return nil, token.ErrKeyUnknown
	}
	if err := s.ring.catchUp(context.Background()); err != nil {
		return nil, errKeyUnsure.With(err)
	}
	snap := s.ring.snapshot(s.realm)
	if snap == nil { // the keys could not be read: no fault of the token
		return nil, errNoKey
	}
	if k := snap.key(kid); k != nil {
		return k, nil
	}
	return nil, token.ErrKeyUnknown
}

func (s *snapshot) key(kid string) *token.Key {
	if s == nil {
		return nil
	}
	return s.byKID[kid]
}

// Info describes a key without its private half.
type Info struct {
	KID         string         `json:"kid"`
	Algorithm   string         `json:"algorithm"`
	State       token.KeyState `json:"state"`
	Use         token.KeyUse   `json:"use,omitempty"`
	CreatedAt   time.Time      `json:"created_at"`
	ActivatedAt time.Time      `json:"activated_at,omitzero"`
	RetiredAt   time.Time      `json:"retired_at,omitzero"`
}

// List returns the keys of a realm as the store holds them.
func (r *Ring) List(ctx context.Context, realm string) ([]Info, error) {
	if _, err := r.cfg.Store.Realm(ctx, realm); err != nil {
		return nil, err
	}
	stored, err := r.cfg.Store.SigningKeys(ctx, realm)
	if err != nil {
		return nil, err
	}
	out := make([]Info, len(stored))
	for i, k := range stored {
		out[i] = Info{KID: k.KID, Algorithm: k.Algorithm, State: k.State, Use: k.Use,
			CreatedAt: k.CreatedAt, ActivatedAt: k.ActivatedAt, RetiredAt: k.RetiredAt}
	}
	return out, nil
}
