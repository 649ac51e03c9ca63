package token_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

const issuer = "https://id.example"

// house is the grants of a realm over a real SQLite store.
type house struct {
	db     *store.DB
	pushed pushed
	away   bool // what a request came by could be read
	svc    *grant.Service
	view   *revocation.View
	auth   *authn.Authenticator
	user   identity.User
	key    *token.Key
	signer *token.Key // of answers
}

// noMisses counts no unknown tokens.
type noMisses struct{}

func (noMisses) Spent(netip.Addr) bool { return false }
func (noMisses) Count(netip.Addr)      {}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type setupTx interface {
	InsertRealm(ctx context.Context, r gatehouse.Realm) error
	InsertUser(ctx context.Context, u identity.User) error
	InsertClient(ctx context.Context, c client.Client) error
}

func issuerOf(realm string) string {
	if realm == "main" {
		return issuer
	}
	return issuer + "/realms/" + realm
}

func newHouse(t *testing.T, settings gatehouse.RealmSettings) *house {
	t.Helper()
	now := time.Now().Truncate(time.Millisecond)
	h := &house{view: revocation.NewView(), key: must(token.GenerateKey("ES256"))}
	db := must(store.Open(t.Context(), store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "house.db")}))
	t.Cleanup(func() { _ = db.Close() })
	h.db = db
	db.Subscribe(h.view.Apply)
	if err := h.view.Load(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	h.user = identity.User{ID: gatehouse.NewID("usr", now), Realm: "main", Kind: gatehouse.KindUser, Username: "bob", UsernameKey: "bob",
		CreatedAt: now, UpdatedAt: now, PasswordAt: now, Version: 1}
	err := must(store.Run[setupTx](db))(t.Context(), func(ctx context.Context, tx setupTx) error {
		for _, name := range []string{"main", "acme"} {
			if err := tx.InsertRealm(ctx, gatehouse.Realm{Name: name, CreatedAt: now, UpdatedAt: now, Settings: settings}); err != nil {
				return err
			}
		}
		return tx.InsertUser(ctx, h.user)
	})
	if err != nil {
		t.Fatal(err)
	}
	h.svc = must(grant.New(grant.Config{Run: must(store.Run[grant.Tx](db)), NewStatus: revocation.NewStatus,
		Issuer: issuerOf,
		Sign:   func(_ context.Context, _ string, a *token.Access) (string, error) { return h.key.SignAccess(a) },
		SignID: func(_ context.Context, _ string, _ token.Algorithm, t *token.ID) (string, error) {
			return h.key.SignID(t)
		},
		SuccessorKey: bytes.Repeat([]byte{7}, 32), Find: db.Once, Consent: db.Consent, Box: must(seal.NewBox(seal.GenerateMasterKey(now)))}))
	h.auth = must(authn.New(authn.Config{Store: db, Revocations: h.view, Grant: db.Grant, Issuer: issuerOf, Misses: noMisses{},
		Keys: func(string) token.KeySource { return must(token.NewKeySet(h.key)) },
		Subject: func(ctx context.Context, realm, id string) (gatehouse.Subject, error) {
			u, err := db.User(ctx, realm, id)
			return u.Subject(), err
		},
		Password: func(context.Context, authn.PasswordAttempt) (s gatehouse.Subject, at time.Time, err error) {
			return s, at, errors.New("not here")
		},
		ForeignKeys: func(string, gatehouse.TrustedIssuer) (token.KeySource, error) { return nil, errors.New("not here") }}))
	db.Subscribe(h.auth.Apply)
	return h
}

// register adds a client with a secret, as change has it, and returns its id and the text of the secret.
func (h *house) register(method, scope string, change func(c *client.Client)) (id, secret string) {
	now := time.Now()
	text, s := client.NewSecret(now)
	c := client.Client{Realm: "main", ID: gatehouse.NewID("cli", now), Secret: s, CreatedAt: now, UpdatedAt: now, Version: 1,
		Metadata: client.Metadata{Name: "Robot", AuthMethod: method, GrantTypes: []string{client.GrantClientCredentials}, Scope: scope}}
	change(&c)
	if err := must(store.Run[setupTx](h.db))(context.Background(), func(ctx context.Context, tx setupTx) error { return tx.InsertClient(ctx, c) }); err != nil {
		panic(err)
	}
	return c.ID, text.Reveal()
}

// assertions verify what clients with inline keys sign.
func (h *house) assertions() *client.Assertions {
	return must(client.NewAssertions(client.AssertionsConfig{Issuer: func(string) string { return issuer }, TokenEndpoint: func(string) string { return issuer + "/token" }, Run: must(store.Run[client.OnceTx](h.db)), Now: time.Now,
		Fetched: func(client.Client) (client.Keys, error) { return nil, gatehouse.ErrNotFound }}))
}

func (h *house) principal() *gatehouse.Principal {
	return &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: h.user.ID, Name: "bob", Scheme: gatehouse.SchemeBasic,
		Scopes: []string{gatehouse.ScopeAll}, IssuedAt: h.user.PasswordAt, AuthTime: time.Now(), AMR: []string{"pwd"}, ACR: "1"}
}

// claims verifies an access token as a checker would, revocation included.
func (h *house) claims(text gatehouse.Secret) (*token.Claims, error) {
	v := must(token.NewVerifier(token.VerifierConfig{Issuer: issuer, Audience: []string{issuer}, Algorithms: []token.Algorithm{"ES256"},
		Types: []string{token.TypeAccess}, Keys: must(token.NewKeySet(h.key))}))
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

// audience is that of a signed token, unverified.
func (h *house) audience(text string) []string {
	u := must(token.Peek(text))
	var c struct {
		Audience []string `json:"aud"`
	}
	if err := json.Unmarshal(u.Claims, &c); err != nil {
		var one struct {
			Audience string `json:"aud"`
		}
		must(one, json.Unmarshal(u.Claims, &one))
		return []string{one.Audience}
	}
	return c.Audience
}

// nobodyAsks has nobody asked.
type nobodyAsks struct{}

func (nobodyAsks) Ask(context.Context, string, client.Client, *gatehouse.Principal, oauth.Parameters) (gatehouse.Secret, time.Duration, error) {
	return "", 0, gatehouse.ErrInternal
}
