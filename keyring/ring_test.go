package keyring_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/token"
)

// memory is a store of keys: transactions work on a copy that replaces the
// original on success, and then tell the subscriber.
type memory struct {
	mu     sync.Mutex
	realms map[string]gatehouse.Realm
	keys   []token.StoredKey
	events []gatehouse.Event
	notify func(gatehouse.Change)
	fail   error // of reads outside transactions
	box    *seal.Box
}

func (m *memory) Realm(_ context.Context, name string) (gatehouse.Realm, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.realms[name]
	if !ok {
		return r, gatehouse.NotFound
	}
	return r, m.fail
}

func (m *memory) Realms(context.Context) (out []gatehouse.Realm, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.realms {
		out = append(out, r)
	}
	return out, m.fail
}

func (m *memory) SigningKeys(_ context.Context, realm string) ([]token.StoredKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ofRealm(m.keys, realm), m.fail
}

func ofRealm(keys []token.StoredKey, realm string) (out []token.StoredKey) {
	for _, k := range keys {
		if k.Realm == realm {
			out = append(out, k)
		}
	}
	return out
}

func (m *memory) run(ctx context.Context, fn func(context.Context, keyring.Tx) error) error {
	m.mu.Lock()
	tx := &memoryTx{realms: m.realms, keys: slices.Clone(m.keys)}
	err := fn(ctx, tx)
	if err == nil {
		m.keys, m.events = tx.keys, append(m.events, tx.events...)
	}
	m.mu.Unlock()
	if err == nil && tx.changed && m.notify != nil {
		m.notify(gatehouse.Change{Topic: gatehouse.TopicSigningKey, Realm: tx.realm})
	}
	return err
}

type memoryTx struct {
	realms  map[string]gatehouse.Realm
	keys    []token.StoredKey
	events  []gatehouse.Event
	changed bool
	realm   string
}

func (t *memoryTx) HoldRealm(_ context.Context, name string) (gatehouse.Realm, error) {
	r, ok := t.realms[name]
	if !ok {
		return r, gatehouse.NotFound
	}
	return r, nil
}

func (t *memoryTx) SigningKeys(_ context.Context, realm string) ([]token.StoredKey, error) {
	return ofRealm(t.keys, realm), nil
}

func (t *memoryTx) InsertSigningKey(_ context.Context, k token.StoredKey) error {
	t.changed, t.realm = true, k.Realm
	t.keys = append(t.keys, k)
	return nil
}

func (t *memoryTx) UpdateSigningKey(_ context.Context, k token.StoredKey) error {
	for i := range t.keys {
		if t.keys[i].KID == k.KID && t.keys[i].Version == k.Version {
			t.changed, t.realm = true, k.Realm
			k.Version++
			t.keys[i] = k
			return nil
		}
	}
	return gatehouse.Conflict
}

func (t *memoryTx) DeleteSigningKey(_ context.Context, realm, kid string) error {
	t.changed, t.realm = true, realm
	t.keys = slices.DeleteFunc(t.keys, func(k token.StoredKey) bool { return k.Realm == realm && k.KID == kid })
	return nil
}

func (t *memoryTx) AppendEvents(_ context.Context, events ...gatehouse.Event) error {
	t.events = append(t.events, events...)
	return nil
}

func newBox(t *testing.T) *seal.Box {
	t.Helper()
	box, err := seal.NewBox(seal.GenerateMasterKey(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func newRing(t *testing.T, settings gatehouse.RealmSettings) (*keyring.Ring, *memory) {
	t.Helper()
	m := &memory{realms: map[string]gatehouse.Realm{"main": {Name: "main", Settings: settings}}}
	m.box = newBox(t)
	r, err := keyring.New(keyring.Config{Store: m, Run: m.run, Box: m.box})
	if err != nil {
		t.Fatal(err)
	}
	m.notify = r.Apply
	return r, m
}

func sign(t *testing.T, r *keyring.Ring) (compact string, kid string) {
	t.Helper()
	k, err := r.Signer("main")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s, err := k.SignAccess(&token.Access{Issuer: "https://gate.example", Subject: "usr_1", Audience: []string{"api"},
		ClientID: "gatehouse", ID: gatehouse.NewID("tok", now), IssuedAt: now, ExpiresAt: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return s, k.KID
}

func verify(t *testing.T, r *keyring.Ring, compact string) error {
	t.Helper()
	v, err := token.NewVerifier(token.VerifierConfig{Issuer: "https://gate.example", Audience: []string{"api"},
		Algorithms: token.Algorithms(), Types: []string{token.TypeAccess}, Keys: r.Source("main")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(compact)
	return err
}

func TestEnsureRealmGivesOneActiveKey(t *testing.T) {
	r, m := newRing(t, gatehouse.RealmSettings{})
	if _, err := r.Signer("main"); !errors.Is(err, gatehouse.Unavailable) {
		t.Fatalf("before: %v", err)
	}
	for range 3 {
		if err := r.EnsureRealm(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.keys) != 1 || m.keys[0].State != token.KeyActive {
		t.Fatalf("keys = %+v", m.keys)
	}
	compact, kid := sign(t, r)
	if err := verify(t, r, compact); err != nil {
		t.Error(err)
	}
	body, etag, maxAge, err := r.JWKS(t.Context(), "main")
	if err != nil || !strings.Contains(string(body), kid) || strings.Contains(string(body), `"d"`) || len(etag) < 10 || maxAge != keyring.KeySetMaxAge {
		t.Errorf("JWKS = %s, %s, %v, %v", body, etag, maxAge, err)
	}
	if len(m.events) != 2 || m.events[0].Kind != "signing_key.create" || m.events[1].Kind != "signing_key.activate" {
		t.Errorf("events = %+v", m.events)
	}
	if err := r.EnsureRealm(t.Context(), "other"); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("unknown realm: %v", err)
	}
}

func TestRemoveRefusesTokensAtOnce(t *testing.T) {
	for name, end := range map[string]func(*keyring.Ring, string) error{
		"remove": func(r *keyring.Ring, kid string) error {
			return r.Remove(context.Background(), keyring.Command{Realm: "main", KID: kid})
		},
		"retire now": func(r *keyring.Ring, kid string) error {
			return r.Retire(context.Background(), keyring.Command{Realm: "main", KID: kid, Now: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, m := newRing(t, gatehouse.RealmSettings{})
			m.notify = nil // must not depend on the feed
			if err := r.EnsureRealm(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
			compact, kid := sign(t, r)
			if err := end(r, kid); err != nil {
				t.Fatal(err)
			}
			if err := verify(t, r, compact); gatehouse.CodeOf(err) != "token_key_unknown" {
				t.Errorf("token of a removed key: %v", err)
			}
			fresh, next := sign(t, r)
			if next == kid {
				t.Error("the removed key signs")
			}
			if err := verify(t, r, fresh); err != nil {
				t.Error(err)
			}
			if err := end(r, kid); !errors.Is(err, gatehouse.NotFound) {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestRetireKeepsTokensValid(t *testing.T) {
	r, _ := newRing(t, gatehouse.RealmSettings{})
	if err := r.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	compact, kid := sign(t, r)
	cmd := keyring.Command{Realm: "main", KID: kid}
	if err := r.Retire(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, r, compact); err != nil {
		t.Error(err)
	}
	if _, next := sign(t, r); next == kid {
		t.Error("the retired key signs")
	}
	if err := r.Retire(t.Context(), cmd); !errors.Is(err, gatehouse.Conflict) {
		t.Errorf("again: %v", err)
	}
}

func TestRotate(t *testing.T) {
	r, _ := newRing(t, gatehouse.RealmSettings{})
	if err := r.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	_, first := sign(t, r)
	published, err := r.Rotate(t.Context(), keyring.Command{Realm: "main"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Rotate(t.Context(), keyring.Command{Realm: "main"})
	if err != nil || again != published {
		t.Errorf("a second rotation published %s besides %s (%v)", again, published, err)
	}
	if _, kid := sign(t, r); kid != first {
		t.Error("a key signs before it has been published long enough")
	}
	if body, _, _, _ := r.JWKS(t.Context(), "main"); !strings.Contains(string(body), published) {
		t.Error("the next key is not published")
	}
	for _, want := range []bool{true, false} { // with a published key, then without
		kid, err := r.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true})
		if err != nil || (kid == published) != want {
			t.Errorf("rotate now: %s, %v", kid, err)
		}
		if _, signer := sign(t, r); signer != kid {
			t.Errorf("%s signs, want %s", signer, kid)
		}
	}
	infos, err := r.List(t.Context(), "main")
	if err != nil || len(infos) != 3 {
		t.Fatalf("List = %+v, %v", infos, err)
	}
	active := 0
	for _, i := range infos {
		if i.State == token.KeyActive {
			active++
		}
	}
	if active != 1 {
		t.Errorf("%d active keys", active)
	}
}

// TestJobLife follows the keys of a realm over 100 days of the job: there is
// always exactly one active key, no key signs before it was published for the
// propagation time, and every token verifies until it expires.
//
// ASVS: 13.3.4
func TestJobLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := newRing(t, gatehouse.RealmSettings{SigningAlgorithm: "Ed25519"})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.Run(ctx) })
		synctest.Wait()
		signers := map[string]bool{}
		var before string // a token of 59 minutes ago, of an hour's life
		for range 100 * 24 * 60 / 59 {
			if before != "" {
				if err := verify(t, r, before); err != nil {
					t.Fatalf("day %v: %v", time.Now(), err)
				}
			}
			var kid string
			before, kid = sign(t, r)
			keys, _ := m.SigningKeys(ctx, "main")
			if !signers[kid] && len(signers) > 0 {
				i := slices.IndexFunc(keys, func(k token.StoredKey) bool { return k.KID == kid })
				if age := time.Since(keys[i].CreatedAt); age < time.Hour {
					t.Errorf("a key signs %v after it was published", age)
				}
			}
			signers[kid] = true
			if len(keys) > 2 {
				t.Fatalf("%d keys at once", len(keys))
			}
			time.Sleep(59 * time.Minute)
			synctest.Wait()
		}
		if len(signers) != 4 {
			t.Errorf("%d keys signed in 100 days, want 4", len(signers))
		}
		cancel()
		wg.Wait()
	})
}

func TestSymmetricKeysAreNeverPublished(t *testing.T) {
	r, _ := newRing(t, gatehouse.RealmSettings{SigningAlgorithm: "HS256"})
	if err := r.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	compact, _ := sign(t, r)
	if err := verify(t, r, compact); err != nil {
		t.Error(err)
	}
	if body, _, _, err := r.JWKS(t.Context(), "main"); err != nil || string(body) != `{"keys":[]}` {
		t.Errorf("JWKS = %s, %v", body, err)
	}
}

func TestUnreadableKeysDeny(t *testing.T) {
	r, m := newRing(t, gatehouse.RealmSettings{})
	if err := r.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	compact, _ := sign(t, r)
	m.fail = errors.New("disk")
	r.Apply(gatehouse.Change{Topic: gatehouse.TopicSigningKey, Realm: "main"})
	if _, err := r.Signer("main"); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("Signer: %v", err)
	}
	if err := verify(t, r, compact); gatehouse.KindOf(err) != gatehouse.Unavailable { // denied, and no fault of the token
		t.Errorf("verify: %v", err)
	}
	m.fail = nil
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, r, compact); err != nil {
		t.Error(err)
	}
}

// TestOthersWrote: a change that names no realm means all of them.
func TestOthersWrote(t *testing.T) {
	r, m := newRing(t, gatehouse.RealmSettings{})
	if err := r.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	compact, _ := sign(t, r)
	m.keys = nil // another process removed them
	r.Apply(gatehouse.Change{Topic: gatehouse.TopicSigningKey})
	if err := verify(t, r, compact); gatehouse.CodeOf(err) != "token_key_unknown" {
		t.Errorf("a token of a removed key: %v", err)
	}
}

func TestLoadRefusesAnotherMasterKeyOrMovedRows(t *testing.T) {
	r, m := newRing(t, gatehouse.RealmSettings{})
	if err := r.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	other, err := keyring.New(keyring.Config{Store: m, Run: m.run, Box: newBox(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Load(t.Context()); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("another master key: %v", err)
	}
	good := m.keys[0]
	damaged := slices.Clone(good.Private)
	damaged[len(damaged)-1] ^= 1
	for name, change := range map[string]func(*token.StoredKey){
		"damaged blob":      func(k *token.StoredKey) { k.Private = damaged },
		"renamed key":       func(k *token.StoredKey) { k.KID = "other" },
		"another algorithm": func(k *token.StoredKey) { k.Algorithm = "HS256" },
	} {
		m.keys[0] = good
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		change(&m.keys[0])
		if err := r.Load(t.Context()); err == nil {
			t.Errorf("%s: loaded", name)
		}
		if _, err := r.Signer("main"); err == nil {
			t.Errorf("%s: signs", name)
		}
	}
}

// TestPropagation: a new key signs an hour after it was published, or when the
// realm says, and never while a fresh copy of the key set may lack it.
func TestPropagation(t *testing.T) {
	if keyring.KeyLead < keyring.KeySetMaxAge+time.Minute {
		t.Error("a node may hear of a key a moment after it was published, by a clock that is half a minute off")
	}
	for set, want := range map[time.Duration]time.Duration{0: time.Hour, 3 * time.Hour: 3 * time.Hour, time.Second: keyring.KeyLead, -1: keyring.KeyLead} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := newRing(t, gatehouse.RealmSettings{SigningAlgorithm: "EdDSA", KeyPropagation: set})
			if err := r.EnsureRealm(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
			next, err := r.Rotate(t.Context(), keyring.Command{Realm: "main"})
			if err != nil {
				t.Fatal(err)
			}
			signs := func() bool {
				if err := r.EnsureRealm(t.Context(), "main"); err != nil {
					t.Fatal(err)
				}
				k, err := r.Signer("main")
				return err == nil && k.KID == next
			}
			time.Sleep(want - time.Second)
			if signs() {
				t.Errorf("propagation of %v: signs a second before %v", set, want)
			}
			time.Sleep(time.Second)
			if !signs() {
				t.Errorf("propagation of %v: does not sign after %v", set, want)
			}
		})
	}
}

// TestAlgorithmIsWrittenAsAsked: a realm that asks for EdDSA gets keys that say
// so, and one whose keys say Ed25519 gets new ones when it asks for the other.
func TestAlgorithmIsWrittenAsAsked(t *testing.T) {
	for _, alg := range []string{"EdDSA", "Ed25519"} {
		r, m := newRing(t, gatehouse.RealmSettings{SigningAlgorithm: alg})
		if err := r.EnsureRealm(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		keys, _ := m.SigningKeys(t.Context(), "main")
		body, _, _, err := r.JWKS(t.Context(), "main")
		if err != nil || len(keys) != 1 || keys[0].Algorithm != alg || !strings.Contains(string(body), `"alg":"`+alg+`"`) {
			t.Errorf("%s: %v, %s, %v", alg, keys, body, err)
		}
		compact, _ := sign(t, r)
		u, err := token.Peek(compact)
		if err != nil || !strings.Contains(string(u.Header), `"alg":"`+alg+`"`) {
			t.Errorf("%s: header %s, %v", alg, u.Header, err)
		}
		if err := verify(t, r, compact); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	m := &memory{}
	for name, cfg := range map[string]keyring.Config{
		"no store":  {Run: m.run, Box: newBox(t)},
		"no runner": {Store: m, Box: newBox(t)},
		"no box":    {Store: m, Run: m.run},
		"negative":  {Store: m, Run: m.run, Box: newBox(t), Interval: -1},
	} {
		if _, err := keyring.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
