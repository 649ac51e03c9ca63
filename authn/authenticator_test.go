package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

const issuerURL = "https://auth.test"

// world is a store, a directory and a revocation view in maps.
type world struct {
	mu         sync.Mutex
	now        time.Time
	realms     map[string]gatehouse.Realm
	keys       map[string]credential.Key
	tokens     map[string]credential.OpaqueToken
	sessions   map[string]gatehouse.Session // by the public part of the secret
	grants     map[string]gatehouse.Grant
	subjects   map[string]gatehouse.Subject
	revoked    func(revocation.Ref) bool
	fail       error
	lookups    atomic.Int64
	usageReads atomic.Int64
	realmReads atomic.Int64
	used       []credential.KeyUsage // stored
	onKey      func()                // runs inside a look-up of a key, after it was read
	misses     atomic.Int64          // counted
	spent      bool                  // the address has spent its misses
	signing    *token.Key
	foreign    *token.Key
	a          *Authenticator
}

func (w *world) Realm(_ context.Context, name string) (gatehouse.Realm, error) {
	w.realmReads.Add(1)
	return find(w, w.realms, name)
}
func (w *world) OpaqueToken(_ context.Context, hash []byte) (credential.OpaqueToken, error) {
	w.lookups.Add(1)
	return find(w, w.tokens, string(hash))
}
func (w *world) Key(_ context.Context, id string) (credential.Key, error) {
	w.lookups.Add(1)
	k, err := find(w, w.keys, id)
	if w.onKey != nil {
		w.onKey()
	}
	return k, err
}
func (w *world) KeyUsage(_ context.Context, id, fromDay string) ([]credential.KeyUsage, error) {
	w.usageReads.Add(1)
	var out []credential.KeyUsage
	for _, u := range w.used {
		if u.KeyID == id && u.Day >= fromDay {
			out = append(out, u)
		}
	}
	return out, w.fail
}
func (w *world) Revoked(ref revocation.Ref) (bool, string) {
	return w.revoked != nil && w.revoked(ref), "token_revoked"
}

func (w *world) Spent(netip.Addr) bool { return w.spent }
func (w *world) Count(netip.Addr)      { w.misses.Add(1) }

func find[V any](w *world, m map[string]V, id string) (V, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := m[id]
	if w.fail != nil {
		return v, w.fail
	}
	if !ok {
		return v, fmt.Errorf("no %q: %w", id, gatehouse.NotFound)
	}
	return v, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{now: time.Now().Truncate(time.Second).Add(123 * time.Millisecond),
		realms: map[string]gatehouse.Realm{"main": {Name: "main"}, "other": {Name: "other"}, "off": {Name: "off", Disabled: true}},
		keys:   map[string]credential.Key{}, tokens: map[string]credential.OpaqueToken{}, sessions: map[string]gatehouse.Session{}, grants: map[string]gatehouse.Grant{},
		subjects: map[string]gatehouse.Subject{
			"usr_alice": {ID: "usr_alice", Kind: gatehouse.KindUser, Name: "alice"},
			"usr_gone":  {ID: "usr_gone", Kind: gatehouse.KindUser, Name: "gone", Disabled: true}}}
	var err error
	if w.signing, err = token.GenerateKey(token.ES256); err != nil {
		t.Fatal(err)
	}
	if w.foreign, err = token.GenerateKey(token.ES256); err != nil {
		t.Fatal(err)
	}
	w.a, err = New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// passwordSet is when alice's password was set.
var passwordSet = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

func (w *world) config() Config {
	source := func(k *token.Key) token.KeySource {
		set, err := token.NewKeySet(k)
		if err != nil {
			panic(err)
		}
		return set
	}
	return Config{
		Store: w, Revocations: w,
		Subject: func(_ context.Context, _, id string) (gatehouse.Subject, error) { return find(w, w.subjects, id) },
		Grant:   func(_ context.Context, _, id string) (gatehouse.Grant, error) { return find(w, w.grants, id) },
		Password: func(_ context.Context, a PasswordAttempt) (s gatehouse.Subject, set time.Time, err error) {
			switch {
			case w.fail != nil:
				return s, set, w.fail
			case a.Username == "alice" && a.Password.Reveal() == "right" && a.Realm == "main":
				s, err = find(w, w.subjects, "usr_alice")
				return s, passwordSet, err
			case a.Username == "zero":
				return s, set, nil
			}
			return s, set, gatehouse.E(gatehouse.Unauthenticated, "invalid_credentials", "")
		},
		Issuer: func(realm string) string {
			if realm == "main" {
				return issuerURL
			}
			return issuerURL + "/realms/" + realm
		},
		Keys:        func(string) token.KeySource { return source(w.signing) },
		ForeignKeys: func(string, gatehouse.TrustedIssuer) (token.KeySource, error) { return source(w.foreign), nil },
		Misses:      w,
		Now:         func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now },
	}
}

func (w *world) advance(d time.Duration) { w.mu.Lock(); w.now = w.now.Add(d); w.mu.Unlock() }

func (w *world) addKey(change func(*credential.Key)) Presented {
	text, id, hash := credential.MintKey("ghk", gatehouse.EnvironmentLive)
	k := credential.Key{ID: id, Realm: "main", Hash: hash, OwnerID: "usr_alice", Scopes: []string{"read"},
		Environment: gatehouse.EnvironmentLive, CreatedAt: w.now}
	if change != nil {
		change(&k)
	}
	w.keys[id] = k
	parsed, err := credential.ParseKey(text.Reveal())
	if err != nil {
		panic(err)
	}
	return Presented{Scheme: gatehouse.SchemeAPIKey, ID: id, Secret: text, Key: parsed}
}

// addOpaque adds an opaque token of the grant "grt_1".
func (w *world) addOpaque(change func(*credential.OpaqueToken)) Presented {
	text, id, hash := credential.MintKey("ght", "live")
	o := credential.OpaqueToken{Hash: hash, ID: "tok_" + id, Realm: "main", GrantID: "grt_1", Subject: "usr_alice",
		Scopes: []string{"read"}, Audience: []string{issuerURL}, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
	if change != nil {
		change(&o)
	}
	w.tokens[string(hash)] = o
	parsed, _ := credential.ParseKey(text.Reveal())
	return Presented{Scheme: gatehouse.SchemeOpaque, ID: id, Secret: text, Key: parsed}
}

func (w *world) access(change func(*token.Access)) Presented {
	a := token.Access{Issuer: issuerURL, Subject: "usr_alice", Audience: []string{issuerURL}, ClientID: "first-party",
		Scope: "read write", ID: gatehouse.NewID("tok", w.now), IssuedAt: w.now, ExpiresAt: w.now.Add(10 * time.Minute),
		GrantID: "grt_1", StatusList: 3, StatusIndex: 7}
	if change != nil {
		change(&a)
	}
	text, err := w.signing.SignAccess(&a)
	if err != nil {
		panic(err)
	}
	return Presented{Scheme: gatehouse.SchemeJWT, Secret: gatehouse.Secret(text)}
}

var secure = Rule{Secure: true, Address: netip.MustParseAddr("192.0.2.7")}

// saysAll are the reasons beside which nothing could be told: the credential names
// nothing that exists, or what exists is told by another event.
var saysAll = map[string]bool{"key_unknown": true, "key_secret_mismatch": true, "token_unknown": true, "token_malformed": true,
	"invalid_credentials": true, "credential_missing": true, "rate_limited": true, "ticket_unknown": true, "ticket_expired": true,
	"ticket_for_another_request": true, "authentication_unavailable": true}

func (w *world) check(t *testing.T, p Presented, rule Rule, code, reason string) *gatehouse.Principal {
	t.Helper()
	who, err := w.a.Authenticate(t.Context(), "main", p, rule)
	if code == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if !who.Authenticated() {
			t.Fatalf("not authenticated: %+v", who)
		}
		return who
	}
	if err == nil || who != nil {
		t.Fatalf("accepted, want %s", code)
	}
	if gatehouse.CodeOf(err) != code || Reason(err) != reason {
		t.Fatalf("code %s, reason %s; want %s, %s", gatehouse.CodeOf(err), Reason(err), code, reason)
	}
	detail := Detail(err)
	if detail == "" && !saysAll[reason] {
		t.Errorf("%s: an operator is not told what is in the way", reason)
	}
	if detail == reason || p.Secret != "" && strings.Contains(detail, p.Secret.Reveal()) {
		t.Errorf("%s: detail %q", reason, detail)
	}
	return nil
}

func TestAPIKeys(t *testing.T) {
	past := func(w *world) time.Time { return w.now.Add(-time.Second) }
	tests := []struct {
		name   string
		change func(w *world, k *credential.Key)
		rule   Rule
		reason string // "" is accepted
	}{
		{"good", nil, secure, ""},
		{"revoked", func(w *world, k *credential.Key) { k.RevokedAt = past(w) }, secure, "key_revoked"},
		{"leaked", func(w *world, k *credential.Key) { k.LeakedAt = past(w) }, secure, "key_leaked"},
		{"disabled", func(w *world, k *credential.Key) { k.DisabledAt = past(w) }, secure, "key_disabled"},
		{"expired", func(w *world, k *credential.Key) { k.ExpiresAt = past(w) }, secure, "key_expired"},
		{"expires now", func(w *world, k *credential.Key) { k.ExpiresAt = w.now }, secure, "key_expired"},
		{"not yet expired", func(w *world, k *credential.Key) { k.ExpiresAt = w.now.Add(time.Second) }, secure, ""},
		{"other realm", func(_ *world, k *credential.Key) { k.Realm = "other" }, secure, "key_wrong_realm"},
		{"test key at live", func(_ *world, k *credential.Key) { k.Environment = "test" }, secure, "key_environment_mismatch"},
		{"live key at test", nil, Rule{Environment: "test"}, "key_environment_mismatch"},
		{"test key at test", func(_ *world, k *credential.Key) { k.Environment = "test" }, Rule{Environment: "test"}, ""},
		{"allowed net", func(_ *world, k *credential.Key) {
			k.AllowedNets = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}, secure, ""},
		{"other net", func(_ *world, k *credential.Key) {
			k.AllowedNets = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		}, secure, "key_address_not_allowed"},
		{"unknown address", func(_ *world, k *credential.Key) {
			k.AllowedNets = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		}, Rule{}, "key_address_not_allowed"},
		{"owner disabled", func(_ *world, k *credential.Key) { k.OwnerID = "usr_gone" }, secure, "subject_disabled"},
		{"owner deleted", func(_ *world, k *credential.Key) { k.OwnerID = "usr_never" }, secure, "subject_unknown"},
		{"hash of another", func(_ *world, k *credential.Key) { k.Hash = credential.HashKey("x") }, secure, "key_secret_mismatch"},
		{"no hash", func(_ *world, k *credential.Key) { k.Hash = nil }, secure, "key_secret_mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.addKey(func(k *credential.Key) {
				if tt.change != nil {
					tt.change(w, k)
				}
			})
			for range 2 { // the second time from memory
				if tt.reason != "" {
					w.check(t, p, tt.rule, "invalid_token", tt.reason)
				} else if who := w.check(t, p, tt.rule, "", ""); who.ID != "usr_alice" || who.CredentialID != p.ID || !who.HasScope("read") || who.HasScope("write") {
					t.Errorf("%+v", who)
				}
			}
			if n := w.lookups.Load(); n != 1 {
				t.Errorf("%d look-ups", n)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		w := newWorld(t)
		p := w.addKey(nil)
		delete(w.keys, p.ID)
		w.check(t, p, secure, "invalid_token", "key_unknown")
		w.check(t, p, secure, "invalid_token", "key_unknown")
		if n := w.lookups.Load(); n != 1 {
			t.Errorf("%d look-ups: absence was not remembered", n)
		}
		w.advance(time.Minute)
		w.check(t, p, secure, "invalid_token", "key_unknown")
		if n := w.lookups.Load(); n != 2 {
			t.Errorf("%d look-ups: absence was remembered for too long", n)
		}
	})
	t.Run("created after it was tried", func(t *testing.T) {
		w := newWorld(t)
		p := w.addKey(nil)
		k := w.keys[p.ID]
		delete(w.keys, p.ID)
		w.check(t, p, secure, "invalid_token", "key_unknown")
		w.keys[p.ID] = k
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicKey, Realm: "main", ID: p.ID})
		w.check(t, p, secure, "", "")
	})
	t.Run("prefix of another installation", func(t *testing.T) {
		w := newWorld(t)
		text, id, hash := credential.MintKey("acme", "live")
		w.keys[id] = credential.Key{ID: id, Realm: "main", Hash: hash, OwnerID: "usr_alice", Environment: "live"}
		parsed, _ := credential.ParseKey(text.Reveal())
		w.check(t, Presented{Scheme: "api_key", Secret: text, Key: parsed}, secure, "invalid_token", "key_unknown")
	})
}

// TestCutOffOfRealm: what was made before everything of a realm was ended is dead, to the
// millisecond, of whatever kind it is; what was made after is good. A dead key is not used.
func TestCutOffOfRealm(t *testing.T) {
	w := newWorld(t)
	made := w.now.Add(-time.Minute)
	key := w.addKey(func(k *credential.Key) { k.CreatedAt = made })
	password := Presented{Scheme: gatehouse.SchemeBasic, By: ByBasic, User: "alice", Secret: "right"}
	cut := func(at time.Time) {
		w.mu.Lock()
		r := w.realms["main"]
		r.CutOffAt = at
		w.realms["main"] = r
		w.mu.Unlock()
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "main", ID: "main"})
	}
	w.check(t, key, secure, "", "")
	w.check(t, password, secure, "", "")
	cut(made.Add(-time.Millisecond))
	w.check(t, key, secure, "", "")
	w.check(t, password, secure, "invalid_credentials", "credential_cut_off")
	uses := func() (n int64) {
		if c, counted := w.a.usage.m.Load(usageKey{key.ID, w.now.Unix() / secondsPerDay}); counted {
			n = c.count.Load()
		}
		return n
	}
	used := uses()
	cut(made)
	w.check(t, key, secure, "invalid_token", "credential_cut_off")
	if got := uses(); got != used || used != 2 {
		t.Errorf("a dead key was used: %d and then %d uses", used, got)
	}
	cut(made.Add(time.Millisecond).Truncate(time.Millisecond))
	w.check(t, key, secure, "invalid_token", "credential_cut_off")
	cut(passwordSet.Add(-time.Millisecond))
	w.check(t, password, secure, "", "")
	cut(passwordSet)
	w.check(t, password, secure, "invalid_credentials", "credential_cut_off")
}

func TestRevocationOfKeysIsImmediate(t *testing.T) {
	w := newWorld(t)
	p := w.addKey(nil)
	w.check(t, p, secure, "", "")
	revoke := func() {
		w.mu.Lock()
		k := w.keys[p.ID]
		k.RevokedAt = w.now
		w.keys[p.ID] = k
		w.mu.Unlock()
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicKey, Realm: "main", ID: p.ID})
	}
	// The revocation falls between the read of a look-up and its end: what was
	// read must not be kept.
	w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicKey, ID: p.ID})
	w.onKey = func() { w.onKey = nil; revoke() }
	_, _ = w.a.Authenticate(t.Context(), "main", p, secure)
	w.check(t, p, secure, "invalid_token", "key_revoked")
}

// Whoever asks after a change must not share the answer of a look-up that began
// before it.
func TestLookupsAreNotSharedOverChanges(t *testing.T) {
	c := newRecords[int](16, time.Hour, time.Now)
	began, release := make(chan struct{}), make(chan struct{})
	old := make(chan int)
	go func() {
		v, _ := c.get(context.Background(), "k", func(context.Context, string) (int, error) {
			close(began)
			<-release
			return 1, nil
		})
		old <- v
	}()
	<-began
	c.drop("k")
	v, err := c.get(context.Background(), "k", func(context.Context, string) (int, error) { return 2, nil })
	if v != 2 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
	close(release)
	<-old
	if v, ok := c.peek("k"); !ok || v != 2 {
		t.Errorf("%d, %v is cached", v, ok)
	}
}

func TestLookupEndsWithItsCaller(t *testing.T) {
	c := newRecords[int](16, time.Hour, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	block := make(chan struct{})
	defer close(block)
	_, err := c.get(ctx, "k", func(context.Context, string) (int, error) { cancel(); <-block; return 1, nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestJWT(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *world, a *token.Access)
		reason string
	}{
		{"good", nil, ""},
		{"expired", func(w *world, a *token.Access) {
			a.IssuedAt, a.ExpiresAt = w.now.Add(-time.Hour), w.now
		}, "token_expired"},
		{"other issuer", func(_ *world, a *token.Access) { a.Issuer = "https://evil.test" }, "token_wrong_issuer"},
		{"other realm's issuer", func(_ *world, a *token.Access) { a.Issuer = issuerURL + "/realms/other" }, "token_wrong_issuer"},
		{"other audience", func(_ *world, a *token.Access) { a.Audience = []string{"https://api.elsewhere"} }, "token_wrong_audience"},
		{"subject deleted", func(_ *world, a *token.Access) { a.Subject = "usr_never" }, "subject_unknown"},
		{"subject disabled", func(_ *world, a *token.Access) { a.Subject = "usr_gone" }, "subject_disabled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.access(func(a *token.Access) {
				if tt.change != nil {
					tt.change(w, a)
				}
			})
			if tt.reason != "" {
				w.check(t, p, secure, "invalid_token", tt.reason)
				return
			}
			who := w.check(t, p, secure, "", "")
			if who.ID != "usr_alice" || who.Name != "alice" || who.Kind != gatehouse.KindUser || who.GrantID != "grt_1" ||
				!reflect.DeepEqual(who.Scopes, []string{"read", "write"}) || who.Foreign || len(who.Roles) != 0 {
				t.Errorf("%+v", who)
			}
			if again := w.check(t, p, secure, "", ""); again != who {
				t.Error("verified twice")
			}
		})
	}
	t.Run("wrong type", func(t *testing.T) {
		w := newWorld(t)
		claims, err := (&token.Access{Issuer: issuerURL, Subject: "usr_alice", Audience: []string{issuerURL}, ClientID: "c",
			ID: "tok_1", IssuedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}).AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := w.signing.Sign(token.TypeJWT, claims)
		if err != nil {
			t.Fatal(err)
		}
		w.check(t, Presented{Scheme: "jwt", Secret: gatehouse.Secret(text)}, secure, "invalid_token", "token_wrong_type")
	})
	t.Run("forged", func(t *testing.T) {
		w := newWorld(t)
		good := w.access(nil)
		w.check(t, good, secure, "", "")
		text := good.Secret.Reveal()
		for _, bad := range []string{text[:len(text)-4] + "AAAA", "eyJhbGciOiJub25lIn0" + text[strings.IndexByte(text, '.'):]} {
			if _, err := w.a.Authenticate(t.Context(), "main", Presented{Scheme: "jwt", Secret: gatehouse.Secret(bad)}, secure); gatehouse.CodeOf(err) != "invalid_token" {
				t.Errorf("%v", err)
			}
		}
	})
	t.Run("expires in the cache", func(t *testing.T) {
		w := newWorld(t)
		p := w.access(nil)
		w.check(t, p, secure, "", "")
		w.advance(10 * time.Minute)
		w.check(t, p, secure, "invalid_token", "token_expired")
	})
	t.Run("revoked in the cache", func(t *testing.T) {
		w := newWorld(t)
		p := w.access(nil)
		w.check(t, p, secure, "", "")
		w.revoked = func(ref revocation.Ref) bool {
			return ref.Realm == "main" && ref.Subject == "usr_alice" && ref.Client == "first-party" && ref.KeyID == w.signing.KID &&
				ref.HasStatus && ref.List == 3 && ref.Index == 7 && ref.IssuedAt.UnixMilli() == w.now.UnixMilli()
		}
		w.check(t, p, secure, "invalid_token", "token_revoked")
	})
	t.Run("subject disabled in the cache", func(t *testing.T) {
		w := newWorld(t)
		p := w.access(nil)
		w.check(t, p, secure, "", "")
		s := w.subjects["usr_alice"]
		s.Disabled = true
		w.subjects["usr_alice"] = s
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "usr_alice"})
		for range 2 { // looked up, then from memory
			w.check(t, p, secure, "invalid_token", "subject_disabled")
		}
	})
	t.Run("signing key removed", func(t *testing.T) {
		w := newWorld(t)
		p := w.access(nil)
		w.check(t, p, secure, "", "")
		w.signing, _ = token.GenerateKey(token.ES256)
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicSigningKey, Realm: "main"})
		w.check(t, p, secure, "invalid_token", "token_key_unknown")
	})
	t.Run("realm disabled", func(t *testing.T) {
		w := newWorld(t)
		p := w.access(nil)
		w.check(t, p, secure, "", "")
		w.realms["main"] = gatehouse.Realm{Name: "main", Disabled: true}
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "main", ID: "main"})
		w.check(t, p, secure, "invalid_token", "realm_disabled")
	})
	t.Run("cached for one realm only", func(t *testing.T) {
		w := newWorld(t)
		p := w.access(nil)
		w.check(t, p, secure, "", "")
		if _, err := w.a.Authenticate(t.Context(), "other", p, secure); Reason(err) != "token_wrong_issuer" {
			t.Error(err)
		}
	})
}

// ASVS: 9.1.3
func TestForeignIssuer(t *testing.T) {
	w := newWorld(t)
	trusted := gatehouse.TrustedIssuer{Issuer: "https://idp.test", Audience: "api", Algorithms: []string{"ES256"},
		RolesClaim: "realm_access.roles", RoleMap: map[string]string{"boss": "manager", "mean": ""}, NameClaim: "preferred_username",
		AttributeClaims: map[string]string{"team": "team", "level": "level", "odd": "odd"}}
	w.realms["main"] = gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{TrustedIssuers: []gatehouse.TrustedIssuer{trusted}}}
	sign := func(k *token.Key, typ, extra string) Presented {
		text, err := k.Sign(typ, fmt.Appendf(nil, `{"iss":"https://idp.test","sub":"usr_alice","aud":"api","jti":"tok_7zzzzzzzzzzzzzzzzzzzzzzzzz",
			"iat":%d,"exp":%d,"scope":"read * read ill\"egal",%s"preferred_username":"Al"}`, w.now.Unix(), w.now.Add(time.Minute).Unix(), extra))
		if err != nil {
			t.Fatal(err)
		}
		return Presented{Scheme: "jwt", Secret: gatehouse.Secret(text)}
	}
	who := w.check(t, sign(w.foreign, "JWT", `"realm_access":{"roles":["boss","admin","mean","gatehouse-admin"]},"team":"red","level":3,"odd":{"a":1},`), secure, "", "")
	if !who.Foreign || !strings.HasPrefix(who.ID, "ext_") || who.Name != "Al" ||
		!reflect.DeepEqual(who.Roles, []string{"manager"}) || !reflect.DeepEqual(who.Scopes, []string{"read"}) || who.HasScope("write") ||
		!reflect.DeepEqual(who.Attributes, map[string]any{"team": "red", "level": int64(3)}) {
		t.Errorf("%+v", who)
	}
	for claims, want := range map[string][]string{
		`"resource_access":{"my.api.client":{"roles":["boss"]}},`:                                            {"manager"},
		`"resource_access.my.api.client.roles":["boss"],`:                                                    {"manager"},
		`"resource_access":{"my":{"api":{"client":{"roles":["boss"]}}}},`:                                    {"manager"},
		`"resource_access":{"my.api":{"x":1},"my.api.client":{"roles":["boss"]}},`:                           {"manager"},
		`"resource_access":{"my.api":{"client":{"roles":["boss"]}},"my":{"api.client":{"roles":["boss"]}}},`: nil, // which is meant?
		`"resource_access":{"my.api.other":{"roles":["boss"]}},`:                                             nil,
	} {
		trusted.RolesClaim = "resource_access.my.api.client.roles"
		w.realms["main"] = gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{TrustedIssuers: []gatehouse.TrustedIssuer{trusted}}}
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "main"})
		if who := w.check(t, sign(w.foreign, "JWT", claims), secure, "", ""); !slices.Equal(who.Roles, want) {
			t.Errorf("%s: %v", claims, who.Roles)
		}
	}
	if !who.IssuedAt.Equal(w.now.Truncate(time.Second)) {
		t.Error("a foreign jti dates the token")
	}
	w.check(t, sign(w.signing, "JWT", ""), secure, "invalid_token", "token_key_unknown")
	w.check(t, sign(w.foreign, "dpop+jwt", ""), secure, "invalid_token", "token_wrong_type")
	if foreignID("ab", "c") == foreignID("a", "bc") {
		t.Error("issuer and subject run into each other")
	}

	// An issuer that cannot be set up takes nothing down but itself.
	trusted.Algorithms = []string{"HS256"}
	w.realms["main"] = gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{TrustedIssuers: []gatehouse.TrustedIssuer{trusted}}}
	w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "main"})
	w.check(t, sign(w.foreign, "JWT", ""), secure, "authentication_unavailable", "authentication_unavailable")
	w.check(t, w.access(nil), secure, "", "")
}

func TestOpaque(t *testing.T) {
	w := newWorld(t)
	add := w.addOpaque
	w.grants["grt_1"] = gatehouse.Grant{ClientID: "c", StatusList: 5, StatusIdx: 9, ExpiresAt: w.now.Add(time.Hour)}
	w.grants["grt_ended"] = gatehouse.Grant{EndedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	p := add(nil)
	if who := w.check(t, p, secure, "", ""); who.ID != "usr_alice" || who.GrantID != "grt_1" || who.ClientID != "c" || who.Kind != gatehouse.KindUser {
		t.Errorf("%+v", who)
	}
	w.check(t, add(func(o *credential.OpaqueToken) { o.Audience = []string{"x"} }), secure, "invalid_token", "token_wrong_audience")
	w.check(t, add(func(o *credential.OpaqueToken) { o.Audience = nil }), secure, "invalid_token", "token_wrong_audience")
	w.check(t, add(func(o *credential.OpaqueToken) { o.Realm = "other" }), secure, "invalid_token", "token_unknown")
	w.check(t, add(func(o *credential.OpaqueToken) { o.GrantID = "grt_none" }), secure, "invalid_token", "token_unknown")
	w.check(t, add(func(o *credential.OpaqueToken) { o.GrantID = "grt_ended" }), secure, "invalid_token", "token_revoked")
	w.check(t, add(func(o *credential.OpaqueToken) { o.Subject = "usr_gone" }), secure, "invalid_token", "subject_disabled")
	w.revoked = func(r revocation.Ref) bool { return r.HasStatus && r.List == 5 && r.Index == 9 }
	w.check(t, p, secure, "invalid_token", "token_revoked")
	w.revoked = nil
	w.advance(time.Minute)
	w.check(t, p, secure, "invalid_token", "token_expired")
}

func TestBasic(t *testing.T) {
	w := newWorld(t)
	p := func(user, password string) Presented {
		return Presented{Scheme: gatehouse.SchemeBasic, User: user, Secret: gatehouse.Secret(password)}
	}
	who := w.check(t, p("alice", "right"), secure, "", "")
	if !who.HasScope("anything") || who.Scheme != "basic" || !reflect.DeepEqual(who.AMR, []string{"pwd"}) {
		t.Errorf("%+v", who)
	}
	w.check(t, p("alice", "wrong"), secure, "invalid_credentials", "invalid_credentials")
	w.check(t, p("zero", "x"), secure, "invalid_credentials", "subject_unknown")
	w.check(t, p("alice", "right"), Rule{}, "https_required", "https_required")

	both := w.subjects["usr_alice"]
	both.SecondFactor = true
	w.subjects["usr_alice"] = both
	w.check(t, p("alice", "right"), secure, "second_factor_required", "second_factor_required")
	w.check(t, p("alice", "wrong"), secure, "invalid_credentials", "invalid_credentials")
	first := secure
	first.FirstFactor = true
	if who := w.check(t, p("alice", "right"), first, "", ""); who.ACR != "aal1" {
		t.Errorf("one of two factors: %+v", who)
	}
	lines := Challenges("main", []gatehouse.Scheme{gatehouse.SchemeJWT}, gatehouse.ErrSecondFactor)
	if want := `Bearer realm="main", error="insufficient_user_authentication", acr_values="aal2"`; len(lines) != 1 || lines[0] != want {
		t.Errorf("%q, want %q", lines, want)
	}
}

// The caller is told the same, byte for byte, whatever is wrong with a credential.
//
// ASVS: 6.3.8
func TestOneVoice(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for _, p := range []Presented{
		w.addKey(func(k *credential.Key) { k.RevokedAt = w.now }),
		w.addKey(func(k *credential.Key) { k.Environment = "test" }),
		w.addKey(func(k *credential.Key) { k.Hash = nil }),
		w.access(func(a *token.Access) { a.Issuer = "https://evil.test" }),
		w.access(func(a *token.Access) { a.Subject = "usr_gone" }),
		{Scheme: "jwt", Secret: "a.b.c"},
	} {
		_, err := w.a.Authenticate(t.Context(), "main", p, secure)
		var e *gatehouse.Error
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		seen[fmt.Sprint(e.Kind, e.Code, e.Public, e.Fields, e.RetryAfter)] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d different answers: %v", len(seen), seen)
	}
}

// ASVS: 16.5.2, 16.5.3
func TestFailureDenies(t *testing.T) {
	boom := errors.New("connection refused")
	for _, p := range []func(w *world) Presented{
		func(w *world) Presented { return w.addKey(nil) },
		func(w *world) Presented { return w.access(nil) },
		func(*world) Presented { return Presented{Scheme: "basic", User: "alice", Secret: "right"} },
		func(*world) Presented {
			text := mint("ght")
			k, _ := credential.ParseKey(text)
			return Presented{Scheme: "opaque", Secret: gatehouse.Secret(text), Key: k}
		},
	} {
		w := newWorld(t)
		presented := p(w)
		w.fail = boom
		_, err := w.a.Authenticate(t.Context(), "main", presented, secure)
		if gatehouse.KindOf(err) != gatehouse.Unavailable || !errors.Is(err, boom) {
			t.Errorf("%s: %v", presented.Scheme, err)
		}
		w.fail = nil // and the failure is not remembered
		if presented.Scheme != "opaque" {
			w.check(t, presented, secure, "", "")
		}
	}
}

func TestRuleAndRealm(t *testing.T) {
	w := newWorld(t)
	key := w.addKey(nil)
	w.check(t, Presented{}, secure, "credential_missing", "credential_missing")
	w.check(t, key, Rule{Schemes: []gatehouse.Scheme{"jwt", "basic"}}, "scheme_not_accepted", "scheme_not_accepted")
	w.check(t, Presented{Scheme: "magic"}, secure, "scheme_not_accepted", "scheme_not_accepted")
	if w.lookups.Load() != 0 {
		t.Error("a credential that cannot be accepted was looked up")
	}
	for realm, reason := range map[string]string{"off": "realm_disabled", "none": "realm_unknown"} {
		if _, err := w.a.Authenticate(t.Context(), realm, key, secure); Reason(err) != reason {
			t.Errorf("%s: %v", realm, err)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	w := newWorld(t)
	for i, spoil := range []func(*Config){
		func(c *Config) { c.Store = nil }, func(c *Config) { c.Revocations = nil }, func(c *Config) { c.Subject = nil },
		func(c *Config) { c.Grant = nil }, func(c *Config) { c.Password = nil }, func(c *Config) { c.Issuer = nil },
		func(c *Config) { c.Keys = nil }, func(c *Config) { c.ForeignKeys = nil }, func(c *Config) { c.Misses = nil },
		func(c *Config) { c.KeyPrefix = "ght" }, func(c *Config) { c.Leeway = time.Hour },
	} {
		cfg := w.config()
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("config %d accepted", i)
		}
	}
}

type usageTx struct{ got []credential.KeyUsage }

func (u *usageTx) AddKeyUsage(_ context.Context, usage []credential.KeyUsage) error {
	u.got = append(u.got, usage...)
	return nil
}

func TestUsage(t *testing.T) {
	w := newWorld(t)
	w.now = time.Date(2026, 1, 2, 23, 59, 59, 0, time.UTC)
	p := w.addKey(nil)
	tx := &usageTx{}
	fail := true
	run := func(ctx context.Context, fn func(context.Context, UsageTx) error) error {
		if fail {
			return errors.New("busy")
		}
		return fn(ctx, tx)
	}
	w.check(t, p, secure, "", "")
	if err := w.a.FlushUsage(t.Context(), run); err == nil {
		t.Fatal("no error")
	}
	w.check(t, p, secure, "", "")
	w.advance(time.Second)
	w.check(t, p, secure, "", "")
	w.check(t, p, Rule{Environment: "test"}, "invalid_token", "key_environment_mismatch") // not a use
	fail = false
	if err := w.a.FlushUsage(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	days := map[string]int64{}
	for _, u := range tx.got {
		if u.KeyID != p.ID || u.Realm != "main" {
			t.Errorf("%+v", u)
		}
		days[u.Day] += u.Count
	}
	if !reflect.DeepEqual(days, map[string]int64{"2026-01-02": 2, "2026-01-03": 1}) {
		t.Errorf("%v", days)
	}
	w.advance(72 * time.Hour)
	_ = w.a.FlushUsage(t.Context(), run)
	if n := w.a.usage.m.Size(); n != 0 {
		t.Errorf("%d cells kept", n)
	}
}

func BenchmarkCachedJWT(b *testing.B) {
	w := newWorld(&testing.T{})
	p := w.access(nil)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.a.Authenticate(ctx, "main", p, secure); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNewJWT is a token that nobody has seen: the signature, the claims, the
// place in the cache.
func BenchmarkNewJWT(b *testing.B) {
	w := newWorld(&testing.T{})
	made := make([]Presented, b.N)
	for i := range made {
		made[i] = w.access(nil)
	}
	ctx := context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	for _, p := range made {
		if _, err := w.a.Authenticate(ctx, "main", p, secure); err != nil {
			b.Fatal(err)
		}
	}
}
