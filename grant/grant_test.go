package grant_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

func TestIssue(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{Scopes: map[string]string{"documents:read": "Read"}})
	tokens := h.issue()
	c, err := h.claims(tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != h.user.ID || c.ClientID != grant.FirstPartyClient || c.Scope != "*" || c.GrantID != tokens.GrantID || c.ACR != "1" ||
		len(c.AMR) != 1 || c.AuthTime.Unix() != h.now().Unix() || !c.HasStatus || c.ExpiresAt.Sub(c.IssuedAt) != 10*time.Minute {
		t.Errorf("claims: %+v", c)
	}
	if at, ok := gatehouse.IDTime(c.ID); !ok || !at.Equal(h.now()) {
		t.Errorf("jti %s holds %v, not the time of issue", c.ID, at)
	}
	if tokens.TokenType != "Bearer" || tokens.ExpiresIn != 10*time.Minute {
		t.Errorf("%+v", tokens)
	}
	if c, _ := h.claims(h.issue("documents:read").AccessToken); c.Scope != "documents:read" {
		t.Errorf("narrow scope: %s", c.Scope)
	}
	for _, bad := range []string{"documents:write", "", "a b"} {
		if _, err := h.open("main", h.principal(), bad); gatehouse.CodeOf(err) != "invalid_scope" {
			t.Errorf("scope %q: %v", bad, err)
		}
	}
	foreign := h.principal()
	foreign.Foreign = true
	other := h.principal()
	other.Realm = "acme"
	gone := h.principal()
	gone.ID = gatehouse.NewID("usr", h.now())
	for name, p := range map[string]*gatehouse.Principal{"nobody": nil, "foreign": foreign, "other realm": other, "gone": gone} {
		if _, err := h.open("main", p); gatehouse.KindOf(err) != gatehouse.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStatusCollision: a drawn index that is taken is drawn again, and the
// second grant does not share the first one's fate.
func TestStatusCollision(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	h.draws = []int64{5, 5, 5, 6}
	first, second := h.issue(), h.issue()
	a, b := must(h.claims(first.AccessToken)), must(h.claims(second.AccessToken))
	if a.StatusIndex != 5 || b.StatusIndex != 6 {
		t.Fatalf("indexes %d and %d", a.StatusIndex, b.StatusIndex)
	}
	h.draws = []int64{5, 5, 5, 5, 5, 5}
	if _, err := h.open("main", h.principal()); gatehouse.KindOf(err) != gatehouse.Unavailable {
		t.Fatalf("no free index: %v", err)
	}
}

func TestRotation(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{Scopes: map[string]string{"documents:read": "Read"}})
	tokens := h.issue()
	seen := map[string]bool{tokens.RefreshToken.Reveal(): true}
	for range 5 {
		h.pass(time.Minute)
		next, err := h.refresh(tokens.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		p, err := credential.ParseKey(next.RefreshToken.Reveal())
		if err != nil || !p.IsRefreshToken() || seen[next.RefreshToken.Reveal()] {
			t.Fatalf("the successor is no fresh refresh token: %v", err)
		}
		seen[next.RefreshToken.Reveal()] = true
		if c := must(h.claims(next.AccessToken)); c.GrantID != tokens.GrantID || c.AuthTime.Unix() >= h.now().Unix() {
			t.Fatalf("refreshing changed the grant or the time of the login: %+v", c)
		}
		tokens = next
	}
	if _, err := h.renew("main", tokens.RefreshToken, "unknown"); gatehouse.CodeOf(err) != "invalid_scope" {
		t.Fatalf("%v", err)
	}
	narrow, err := h.renew("main", tokens.RefreshToken, "documents:read")
	if err != nil || must(h.claims(narrow.AccessToken)).Scope != "documents:read" {
		t.Fatalf("an error used the token up, or the scope is not narrowed: %v", err)
	}
	if wide, err := h.refresh(narrow.RefreshToken); err != nil || must(h.claims(wide.AccessToken)).Scope != "*" {
		t.Fatalf("narrowing one access token narrowed the grant: %v", err)
	}
}

// TestRace: of many concurrent refreshes exactly one rotates, and all are given
// the same successor, because the others look like a client that lost the answer.
func TestRace(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	tokens := h.issue()
	var wg sync.WaitGroup
	var mu sync.Mutex
	successors := map[string]int{}
	for range 50 {
		wg.Go(func() {
			next, err := h.refresh(tokens.RefreshToken)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			successors[next.RefreshToken.Reveal()]++
		})
	}
	wg.Wait()
	if len(successors) != 1 {
		t.Fatalf("%d different successors", len(successors))
	}
	won := 0
	for _, e := range h.events() {
		if e.Kind == audit.KindTokenRefresh && e.Reason == "" {
			won++
		}
	}
	if won != 1 {
		t.Fatalf("%d winners", won)
	}
}

// TestRaceWithoutGrace: without the grace one wins, and the family ends.
func TestRaceWithoutGrace(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{RefreshGrace: -1})
	tokens := h.issue()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []grant.Tokens
	for range 50 {
		wg.Go(func() {
			next, err := h.refresh(tokens.RefreshToken)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, next)
			} else if gatehouse.CodeOf(err) != "invalid_grant" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d winners", len(won))
	}
	if _, err := h.claims(won[0].AccessToken); gatehouse.CodeOf(err) != "token_revoked" {
		t.Fatalf("the family lives on: %v", err)
	}
}

func TestReuse(t *testing.T) {
	for name, c := range map[string]struct {
		wait time.Duration // between the use and the reuse
		use  bool          // whether the successor was used meanwhile
		ok   bool
	}{
		"at once":                   {0, false, true},
		"within the grace":          {10 * time.Second, false, true},
		"after the grace":           {10*time.Second + time.Millisecond, false, false},
		"successor used":            {time.Second, true, false},
		"successor used, and later": {time.Minute, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, gatehouse.RealmSettings{})
			first := h.issue()
			second := must(h.refresh(first.RefreshToken))
			last := second
			if c.use {
				last = must(h.refresh(second.RefreshToken))
			}
			h.pass(c.wait)
			again, err := h.refresh(first.RefreshToken)
			if c.ok {
				if err != nil || again.RefreshToken != second.RefreshToken {
					t.Fatalf("the lost answer is not given again: %v", err)
				}
				if _, err := h.refresh(again.RefreshToken); err != nil {
					t.Fatalf("the family does not go on: %v", err)
				}
				return
			}
			if gatehouse.CodeOf(err) != "invalid_grant" {
				t.Fatalf("reuse: %v", err)
			}
			for _, a := range []grant.Tokens{first, second, last} {
				if _, err := h.claims(a.AccessToken); gatehouse.CodeOf(err) != "token_revoked" {
					t.Errorf("an access token of the family lives: %v", err)
				}
			}
			if _, err := h.refresh(last.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
				t.Errorf("the last refresh token lives: %v", err)
			}
			reuse := 0
			for _, e := range h.events() {
				if e.Kind == audit.KindTokenReuse && e.Target.ID == first.GrantID {
					reuse++
				}
			}
			if reuse != 1 {
				t.Errorf("%d events of reuse", reuse)
			}
		})
	}
}

// TestPasswordOfThen: a login that was let in by a password which is not the account's any
// more opens nothing, however late this node learns of the change; other proofs go on.
func TestPasswordOfThen(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	before := h.principal()
	changed := h.now().Add(-time.Hour) // by the clock of a node that is slow
	h.setup(func(ctx context.Context, tx setupTx) error {
		h.user.PasswordAt = changed
		return tx.UpdateUser(ctx, h.user)
	})
	if _, err := h.open("main", before); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Errorf("by the old password: %v", err)
	}
	after := h.principal()
	after.IssuedAt = changed.Add(300 * time.Nanosecond) // as memory has it, finer than the store
	if _, err := h.open("main", after); err != nil {
		t.Errorf("by the new one: %v", err)
	}
	before.Scheme = gatehouse.SchemeAPIKey
	if _, err := h.open("main", before); err != nil {
		t.Errorf("without a password: %v", err)
	}
}

// TestSecondFactorOfThen: a login by the password alone opens nothing for an account that has a
// second factor by now, however late this node learns of it; one by both, and other proofs, go on.
func TestSecondFactorOfThen(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	before := h.principal()
	h.setup(func(ctx context.Context, tx setupTx) error {
		h.user.SecondFactor = true
		return tx.UpdateUser(ctx, h.user)
	})
	if _, err := h.open("main", before); gatehouse.CodeOf(err) != "second_factor_required" {
		t.Errorf("by the password alone: %v", err)
	}
	both := *before
	both.AMR, both.ACR = []string{"pwd", "otp", "mfa"}, gatehouse.AAL2
	if _, err := h.open("main", &both); err != nil {
		t.Errorf("by both: %v", err)
	}
	before.Scheme = gatehouse.SchemeAPIKey
	if _, err := h.open("main", before); err != nil {
		t.Errorf("without a password: %v", err)
	}
}

// TestOpenedByTheDead: what was made before everything of the realm was ended opens nothing,
// whichever node let it in.
func TestOpenedByTheDead(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	key := h.principal()
	key.Scheme, key.IssuedAt = gatehouse.SchemeAPIKey, h.now().Add(-time.Hour)
	cut := func(at time.Time) {
		h.setup(func(ctx context.Context, tx setupTx) error {
			return tx.UpdateRealm(ctx, gatehouse.Realm{Name: "main", CutOffAt: at})
		})
	}
	cut(key.IssuedAt.Add(-time.Millisecond))
	if _, err := h.open("main", key); err != nil {
		t.Fatal(err)
	}
	cut(key.IssuedAt)
	if _, err := h.open("main", key); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Errorf("a dead key: %v", err)
	}
	key.IssuedAt = time.Time{}
	if _, err := h.open("main", key); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Errorf("nobody knows how old it is: %v", err)
	}
}

func TestRefusedRefresh(t *testing.T) {
	for name, change := range map[string]func(h *house){
		"disabled": func(h *house) {
			h.setup(func(ctx context.Context, tx setupTx) error {
				h.user.Disabled = true
				return tx.UpdateUser(ctx, h.user)
			})
		},
		"deleted": func(h *house) {
			h.setup(func(ctx context.Context, tx setupTx) error { return tx.DeleteUser(ctx, "main", h.user.ID) })
		},
		"new password": func(h *house) {
			h.pass(time.Second)
			h.setup(func(ctx context.Context, tx setupTx) error {
				h.user.PasswordAt = h.now()
				return tx.UpdateUser(ctx, h.user)
			})
		},
		"cut-off": func(h *house) {
			h.setup(func(ctx context.Context, tx setupTx) error {
				return tx.PutCutoff(ctx, revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: h.user.ID, Before: h.now(), ExpiresAt: h.now().Add(time.Hour * 1000)})
			})
		},
		"everything of the realm": func(h *house) {
			h.setup(func(ctx context.Context, tx setupTx) error {
				return tx.UpdateRealm(ctx, gatehouse.Realm{Name: "main", CutOffAt: h.now()})
			})
		},
		"refresh token expired": func(h *house) { h.pass(7 * 24 * time.Hour) },
		"realm disabled": func(h *house) {
			h.setup(func(ctx context.Context, tx setupTx) error {
				return tx.UpdateRealm(ctx, gatehouse.Realm{Name: "main", Disabled: true})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, gatehouse.RealmSettings{})
			tokens := h.issue()
			change(h)
			want := "invalid_grant"
			if name == "realm disabled" {
				want = "realm_not_found"
			}
			if _, err := h.refresh(tokens.RefreshToken); gatehouse.CodeOf(err) != want {
				t.Fatalf("%v", err)
			}
		})
	}
	h := newHouse(t, gatehouse.RealmSettings{})
	tokens := h.issue()
	key, _, _ := credential.MintKey(credential.PrefixRefresh, gatehouse.EnvironmentLive)
	access, _, _ := credential.MintKey(credential.PrefixAccess, gatehouse.EnvironmentLive)
	for name, text := range map[string]gatehouse.Secret{"unknown": key, "another kind": access, "the access token": tokens.AccessToken, "empty": "",
		"long": gatehouse.Secret(strings.Repeat("a", 1<<20))} {
		if _, err := h.refresh(text); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.renew("acme", tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("in another realm: %v", err)
	}
}

// TestAbsoluteEnd: however often renewed, a grant ends, and no token outlives it.
func TestAbsoluteEnd(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{GrantTTL: time.Hour, RefreshTokenTTL: 50 * time.Minute})
	tokens := h.issue()
	h.pass(45 * time.Minute)
	tokens = must(h.refresh(tokens.RefreshToken))
	h.pass(12 * time.Minute)
	tokens = must(h.refresh(tokens.RefreshToken))
	if tokens.ExpiresIn != 3*time.Minute {
		t.Fatalf("three minutes before the end a token lives %s", tokens.ExpiresIn)
	}
	h.pass(3 * time.Minute)
	if _, err := h.refresh(tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Fatalf("after the end: %v", err)
	}
}

func TestEnd(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	tokens, other := h.issue(), h.issue()
	for i, want := range []bool{true, false} {
		if ended, err := h.svc.End(t.Context(), "main", tokens.GrantID, grant.ReasonLogout); err != nil || ended != want {
			t.Fatalf("call %d: %v %v", i, ended, err)
		}
	}
	if _, err := h.claims(tokens.AccessToken); gatehouse.CodeOf(err) != "token_revoked" {
		t.Fatalf("%v", err)
	}
	if _, err := h.claims(other.AccessToken); err != nil {
		t.Fatalf("another grant ended too: %v", err)
	}
	if _, err := h.svc.End(t.Context(), "acme", other.GrantID, grant.ReasonLogout); gatehouse.KindOf(err) != gatehouse.NotFound {
		t.Fatalf("through another realm: %v", err)
	}
	fresh := revocation.NewView() // a node that starts now must know, too
	if err := fresh.Load(t.Context(), h.db); err != nil {
		t.Fatal(err)
	}
	h.view = fresh
	if _, err := h.claims(tokens.AccessToken); gatehouse.CodeOf(err) != "token_revoked" {
		t.Fatalf("after a restart: %v", err)
	}
}

func TestOpaque(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{TokenFormat: "opaque"})
	tokens := h.issue()
	p, err := credential.ParseKey(tokens.AccessToken.Reveal())
	if err != nil || !p.IsAccessToken() {
		t.Fatalf("not an opaque token: %v", err)
	}
	o, err := h.db.OpaqueToken(t.Context(), credential.HashKey(tokens.AccessToken.Reveal()))
	if err != nil || o.GrantID != tokens.GrantID || o.Subject != h.user.ID || !o.ExpiresAt.Equal(h.now().Add(10*time.Minute)) {
		t.Fatalf("%+v %v", o, err)
	}
	next := must(h.refresh(tokens.RefreshToken))
	if next.AccessToken == tokens.AccessToken {
		t.Fatal("the same token again")
	}
	again := must(h.refresh(tokens.RefreshToken)) // lost answer: a new access token, the same refresh token
	if again.RefreshToken != next.RefreshToken || again.AccessToken == next.AccessToken {
		t.Fatal("repeated answer")
	}
	h.pass(24*time.Hour + 11*time.Minute)
	e := &grant.Expiry{Run: must(store.Run[grant.PurgeTx](h.db)), Now: h.now}
	if _, n, err := e.Purge(t.Context()); err != nil || n != 3 {
		t.Fatalf("purged %d: %v", n, err)
	}
}

func TestNewRefusesMissingParts(t *testing.T) {
	whole := func() grant.Config {
		return grant.Config{
			Run:          func(context.Context, func(context.Context, grant.Tx) error) error { return nil },
			Sign:         func(context.Context, string, *token.Access) (string, error) { return "", nil },
			SignID:       func(context.Context, string, token.Algorithm, *token.ID) (string, error) { return "", nil },
			Issuer:       func(string) string { return issuer },
			NewStatus:    func(time.Time) (int64, int64) { return 0, 0 },
			SuccessorKey: make([]byte, 32),
			Find:         func(context.Context, once.Kind, []byte) (once.Record, error) { return once.Record{}, nil },
			Consent:      func(context.Context, string, string, string) (grant.Consent, error) { return grant.Consent{}, nil },
			Box:          new(seal.Box),
		}
	}
	if _, err := grant.New(whole()); err != nil {
		t.Fatal(err)
	}
	for part, remove := range map[string]func(*grant.Config){
		"everything": func(c *grant.Config) { *c = grant.Config{} }, "Run": func(c *grant.Config) { c.Run = nil },
		"Sign": func(c *grant.Config) { c.Sign = nil }, "SignID": func(c *grant.Config) { c.SignID = nil }, "Issuer": func(c *grant.Config) { c.Issuer = nil },
		"NewStatus": func(c *grant.Config) { c.NewStatus = nil }, "Find": func(c *grant.Config) { c.Find = nil }, "Consent": func(c *grant.Config) { c.Consent = nil }, "Box": func(c *grant.Config) { c.Box = nil },
		"SuccessorKey": func(c *grant.Config) { c.SuccessorKey = nil }, "a byte of it": func(c *grant.Config) { c.SuccessorKey = make([]byte, 31) },
	} {
		c := whole()
		remove(&c)
		if _, err := grant.New(c); err == nil {
			t.Errorf("a service without %s", part)
		}
	}
}

// events reads what is recorded in realm main.
func (h *house) events() []gatehouse.Event {
	h.t.Helper()
	p, err := (&audit.Log{Reader: h.db}).List(h.t.Context(), "main", audit.Query{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	var out []gatehouse.Event
	for _, e := range p.Entries {
		out = append(out, e.Event)
	}
	return out
}
