package grant_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// TestConstrainedRefreshStays: a refresh token that is nothing without a key is the same after each renewal, and ends when nobody has
// used it for so long, or with its grant; with another key, or none, it gives nothing. All others are exchanged.
func TestConstrainedRefreshStays(t *testing.T) {
	bound := gatehouse.Confirmation{JKT: "k1"}
	for name, c := range map[string]struct {
		metadata     func(m *client.Metadata)
		confirmation gatehouse.Confirmation
		stays        bool
	}{
		"public, bound":      {confirmation: bound, stays: true},
		"public, by mTLS":    {confirmation: gatehouse.Confirmation{X5T: "c1"}, stays: true},
		"public":             {},
		"a secret":           {metadata: func(m *client.Metadata) { m.AuthMethod = client.AuthBasic }},
		"a secret and bound": {metadata: func(m *client.Metadata) { m.AuthMethod, m.DPoPBound = client.AuthBasic, true }, confirmation: bound},
		"keys":               {metadata: func(m *client.Metadata) { m.AuthMethod = client.AuthPrivateKey }, confirmation: bound},
		"FAPI 2.0":           {metadata: func(m *client.Metadata) { m.AuthMethod, m.Profile = client.AuthPrivateKey, client.ProfileFAPI2 }, confirmation: bound, stays: true},
	} {
		a := newApp(t, gatehouse.RealmSettings{Scopes: codeSettings.Scopes, RefreshTokenTTL: time.Hour, GrantTTL: 150 * time.Minute})
		if c.metadata != nil {
			c.metadata(&a.c.Metadata)
			a.c.Secret.Hash = []byte{1}
			if a.c.Metadata.HasKeys() {
				a.c.Secret = client.NoSecret(a.now())
			}
			a.update(func(*client.Client) {})
		}
		a.code.Scopes = append(a.code.Scopes, client.ScopeOffline)
		o := a.order()
		o.Public, o.Confirmation = a.c.Metadata.Public(), c.confirmation
		first := must(a.svc.Redeem(t.Context(), o, grant.Redemption{Code: a.allow(), RedirectURI: back, Verifier: verifier})).RefreshToken
		renew := func() (grant.Tokens, error) { return a.svc.Renew(t.Context(), o, first) }
		a.pass(50 * time.Minute)
		second := must(renew())
		if (second.RefreshToken == first) != c.stays || second.RefreshToken == "" {
			t.Errorf("%s: the same: %v", name, second.RefreshToken == first)
		}
		if !c.stays {
			a.pass(time.Minute)
			if _, err := renew(); gatehouse.CodeOf(err) != "invalid_grant" {
				t.Errorf("%s: a used one: %v", name, err)
			}
			continue
		}
		a.pass(50 * time.Minute) // later than it was given for, and within the time since it was used
		must(renew())
		if o.Public {
			for _, other := range []gatehouse.Confirmation{{}, {JKT: "k2"}} {
				o.Confirmation = other
				if _, err := renew(); gatehouse.CodeOf(err) != "invalid_grant" {
					t.Errorf("%s: with %v: %v", name, other, err)
				}
			}
			o.Confirmation = c.confirmation
		}
		a.pass(49 * time.Minute) // the grant ends in a minute
		if got := must(renew()); got.ExpiresIn != time.Minute || got.GrantID != second.GrantID {
			t.Errorf("%s: %s", name, got.ExpiresIn)
		}
		a.pass(time.Minute)
		if _, err := renew(); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: after the grant: %v", name, err)
		}
	}
}

// TestConstrainedRefreshEnds: with the time in which nobody used it; with its grant; and where it was exchanged before it stayed.
func TestConstrainedRefreshEnds(t *testing.T) {
	for name, end := range map[string]func(a *app, got grant.Tokens){
		"nobody used it": func(a *app, _ grant.Tokens) { a.pass(time.Hour) },
		"its grant": func(a *app, got grant.Tokens) {
			must(a.svc.End(a.t.Context(), "main", got.GrantID, grant.ReasonRevoked))
		},
		"the client is off": func(a *app, _ grant.Tokens) { a.update(func(c *client.Client) { c.Disabled = true }) },
		"somebody used it": func(a *app, _ grant.Tokens) {
			a.use = func(func() (bool, error)) (bool, error) { return false, nil }
			a.family = func(r *grant.Refresh, _ *gatehouse.Grant) error { r.UsedAt = a.now().Add(-time.Minute); return nil }
		},
	} {
		a := newApp(t, gatehouse.RealmSettings{Scopes: codeSettings.Scopes, RefreshTokenTTL: time.Hour, GrantTTL: 24 * time.Hour})
		a.code.Scopes = append(a.code.Scopes, client.ScopeOffline)
		o := a.order()
		o.Public, o.Confirmation = true, gatehouse.Confirmation{JKT: "k1"}
		first := must(a.svc.Redeem(t.Context(), o, grant.Redemption{Code: a.allow(), RedirectURI: back, Verifier: verifier}))
		got := must(a.svc.Renew(context.Background(), o, first.RefreshToken))
		end(a, got)
		if _, err := a.svc.Renew(t.Context(), o, first.RefreshToken); err == nil {
			t.Errorf("%s: renewed", name)
		}
	}
}
