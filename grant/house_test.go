package grant_test

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

const issuer = "https://id.example"

// house is the service over a real SQLite store, with a clock of its own.
type house struct {
	t      *testing.T
	db     *store.DB
	svc    *grant.Service
	config grant.Config // of svc
	view   *revocation.View
	user   identity.User
	key    *token.Key

	mu    sync.Mutex
	clock time.Time
	draws []int64 // status indexes to draw first

	actors int64 // grants of actors that were made

	// What a test puts in the place of the store's answers, when set.
	family  func(r *grant.Refresh, g *gatehouse.Grant) error
	use     func(use func() (bool, error)) (bool, error)
	lookups atomic.Int64 // of refresh tokens
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = h.clock.Add(d)
}

type setupTx interface {
	InsertRealm(ctx context.Context, r gatehouse.Realm) error
	UpdateRealm(ctx context.Context, r gatehouse.Realm) error
	InsertUser(ctx context.Context, u identity.User) error
	UpdateUser(ctx context.Context, u identity.User) error
	DeleteUser(ctx context.Context, realm, id string) error
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
	InsertClient(ctx context.Context, c client.Client) error
	InsertIssued(ctx context.Context, i grant.Issued) error
	UpdateClient(ctx context.Context, c client.Client) error
	DeleteClient(ctx context.Context, realm, id string) error
	InsertSession(ctx context.Context, s gatehouse.Session) error
	PutOnce(ctx context.Context, r once.Record) error
	EndSession(ctx context.Context, realm, user, id string, when time.Time, reason string) (gatehouse.Session, bool, error)
}

func (h *house) setup(fn func(ctx context.Context, tx setupTx) error) {
	h.t.Helper()
	if err := must(store.Run[setupTx](h.db))(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func newHouse(t *testing.T, settings gatehouse.RealmSettings) *house {
	t.Helper()
	h := &house{t: t, clock: time.Now().Truncate(time.Millisecond), view: revocation.NewView(), key: must(token.GenerateKey("ES256"))}
	h.db = must(store.Open(t.Context(), store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "house.db"), Now: h.now}))
	t.Cleanup(func() { _ = h.db.Close() })
	h.db.Subscribe(h.view.Apply)
	if err := h.view.Load(t.Context(), h.db); err != nil {
		t.Fatal(err)
	}
	h.user = identity.User{ID: gatehouse.NewID("usr", h.clock), Realm: "main", Kind: gatehouse.KindUser, Username: "bob", UsernameKey: "bob", Roles: []string{"editor"},
		CreatedAt: h.clock, UpdatedAt: h.clock, PasswordAt: h.clock, Version: 1}
	h.setup(func(ctx context.Context, tx setupTx) error {
		for _, name := range []string{"main", "acme"} {
			if err := tx.InsertRealm(ctx, gatehouse.Realm{Name: name, CreatedAt: h.clock, UpdatedAt: h.clock, Settings: settings}); err != nil {
				return err
			}
		}
		return tx.InsertUser(ctx, h.user)
	})
	h.config = grant.Config{Run: h.run(must(store.Run[grant.Tx](h.db))), Now: h.now,
		Issuer: func(realm string) string {
			if realm == "main" {
				return issuer
			}
			return issuer + "/realms/" + realm
		},
		NewStatus: func(expires time.Time) (int64, int64) {
			list, index := revocation.NewStatus(expires)
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.draws) > 0 {
				index, list = h.draws[0], list/64*64
				h.draws = h.draws[1:]
			}
			return list, index
		},
		Sign: func(_ context.Context, _ string, a *token.Access) (string, error) { return h.key.SignAccess(a) },
		SignID: func(_ context.Context, _ string, _ token.Algorithm, t *token.ID) (string, error) {
			return h.key.SignID(t)
		},
		SuccessorKey: bytes.Repeat([]byte{7}, 32), Find: h.db.Once, Consent: h.db.Consent, Box: must(seal.NewBox(seal.GenerateMasterKey(h.clock)))}
	h.svc = must(grant.New(h.config))
	return h
}

// run refuses a status place that is taken, as every store must, and asks what a test
// has set.
func (h *house) run(next gatehouse.Runner[grant.Tx]) gatehouse.Runner[grant.Tx] {
	taken := map[[2]int64]bool{}
	return func(ctx context.Context, fn func(context.Context, grant.Tx) error) error {
		return next(ctx, func(ctx context.Context, tx grant.Tx) error {
			return fn(ctx, grant.Tx{Parties: tx.Parties, Families: houseTx{tx.Families, h, taken}, Codes: tx.Codes, Consents: tx.Consents})
		})
	}
}

type houseTx struct {
	grant.Families
	h     *house
	taken map[[2]int64]bool
}

func (tx houseTx) Family(ctx context.Context, hash []byte) (grant.Family, error) {
	tx.h.lookups.Add(1)
	f, err := tx.Families.Family(ctx, hash)
	if err == nil && tx.h.family != nil {
		err = tx.h.family(&f.Refresh, &f.Grant)
	}
	return f, err
}

func (tx houseTx) UseRefresh(ctx context.Context, hash []byte, at time.Time) (bool, error) {
	use := func() (bool, error) { return tx.Families.UseRefresh(ctx, hash, at) }
	if tx.h.use != nil {
		return tx.h.use(use)
	}
	return use()
}

func (tx houseTx) InsertIssued(ctx context.Context, i grant.Issued) error {
	if i.Grant == nil {
		return tx.Families.InsertIssued(ctx, i)
	}
	place := [2]int64{i.Grant.StatusList, i.Grant.StatusIdx}
	if tx.taken[place] {
		return gatehouse.Conflict
	}
	tx.taken[place] = true
	return tx.Families.InsertIssued(ctx, i)
}

func (h *house) principal() *gatehouse.Principal {
	return &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: h.user.ID, Name: "bob", Scheme: gatehouse.SchemeBasic,
		Scopes: []string{gatehouse.ScopeAll}, IssuedAt: h.user.PasswordAt, AuthTime: h.now(), AMR: []string{"pwd"}, ACR: "1"}
}

// robot registers a client, and returns it as it proves itself.
func (h *house) robot(realm, scope string) *gatehouse.Principal {
	c := client.Client{Realm: realm, ID: "cli_robot", Secret: client.Secret{Hash: []byte{1}, SetAt: h.now()}, CreatedAt: h.now(), UpdatedAt: h.now(), Version: 1,
		Metadata: client.Metadata{Name: "Robot", AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantClientCredentials}, Scope: scope}}
	h.setup(func(ctx context.Context, tx setupTx) error { return tx.InsertClient(ctx, c) })
	return &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindClient, ID: c.ID, IssuedAt: c.Secret.SetAt}
}

func (h *house) open(realm string, p *gatehouse.Principal, scopes ...string) (grant.Tokens, error) {
	return h.svc.Open(h.t.Context(), grant.Order{Realm: realm, Client: grant.FirstPartyClient, Scopes: scopes}, p)
}

func (h *house) renew(realm string, text gatehouse.Secret, scopes ...string) (grant.Tokens, error) {
	return h.svc.Renew(h.t.Context(), grant.Order{Realm: realm, Client: grant.FirstPartyClient, Scopes: scopes}, text)
}

func (h *house) issue(scopes ...string) grant.Tokens {
	h.t.Helper()
	t, err := h.open("main", h.principal(), scopes...)
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

func (h *house) refresh(text gatehouse.Secret) (grant.Tokens, error) {
	return h.renew("main", text)
}

// claims verifies an access token as a checker would, revocation included.
func (h *house) claims(text gatehouse.Secret) (*token.Claims, error) {
	v := must(token.NewVerifier(token.VerifierConfig{Issuer: issuer, Audience: []string{issuer}, Algorithms: []token.Algorithm{"ES256"},
		Types: []string{token.TypeAccess}, Keys: must(token.NewKeySet(h.key)), Now: h.now}))
	c, err := v.Verify(text.Reveal())
	if err != nil {
		return nil, err
	}
	at, _ := gatehouse.IDTime(c.ID)
	if cut, _ := h.view.Revoked(revocation.Ref{Realm: "main", Subject: c.Subject, Client: c.ClientID, IssuedAt: at,
		HasStatus: c.HasStatus, List: c.StatusList, Index: c.StatusIndex}); cut {
		return nil, gatehouse.E(gatehouse.Unauthenticated, "token_revoked", "")
	}
	return c, nil
}
