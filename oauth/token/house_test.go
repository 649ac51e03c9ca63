package token_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

const issuer = "https://id.example"

// house is the grants of a realm over a real SQLite store.
type house struct {
	svc  *grant.Service
	view *revocation.View
	user identity.User
	key  *token.Key
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type setupTx interface {
	InsertRealm(ctx context.Context, r gatehouse.Realm) error
	InsertUser(ctx context.Context, u identity.User) error
}

func newHouse(t *testing.T, settings gatehouse.RealmSettings) *house {
	t.Helper()
	now := time.Now().Truncate(time.Millisecond)
	h := &house{view: revocation.NewView(), key: must(token.GenerateKey("ES256"))}
	db := must(store.Open(t.Context(), store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "house.db")}))
	t.Cleanup(func() { _ = db.Close() })
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
		Issuer: func(realm string) string {
			if realm == "main" {
				return issuer
			}
			return issuer + "/realms/" + realm
		},
		Sign:         func(_ context.Context, _ string, a *token.Access) (string, error) { return h.key.SignAccess(a) },
		SuccessorKey: bytes.Repeat([]byte{7}, 32)}))
	return h
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
