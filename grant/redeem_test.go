package grant_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

const (
	back      = "https://app.example/back"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

var codeSettings = gatehouse.RealmSettings{Scopes: map[string]string{"read": "R", "write": "W"}, Audiences: map[string]gatehouse.AudienceRules{"https://api.example": {}, "https://b.example": {}}}

// app is a house with a program and a person who is signed in.
type app struct {
	*house
	c    client.Client
	code grant.Code // what the person allows
}

func newApp(t *testing.T, settings gatehouse.RealmSettings) *app {
	t.Helper()
	h := newHouse(t, settings)
	c := client.Client{Realm: "main", ID: "cli_app", Secret: client.NoSecret(h.now()), CreatedAt: h.now(), UpdatedAt: h.now(), Version: 1,
		Metadata: client.Metadata{Name: "App", AuthMethod: client.AuthNone, GrantTypes: []string{client.GrantAuthorizationCode, client.GrantRefreshToken}, Scope: "read write offline_access",
			Flow: client.Flow{RedirectURIs: []string{back, "https://app.example/other"}}}}
	s := gatehouse.Session{ID: "ses_1", Realm: "main", UserID: h.user.ID, SecretID: "1", SecretHash: []byte{1}, CreatedAt: h.now(), LastUsedAt: h.now(), AuthTime: h.now(), ExpiresAt: h.now().Add(8 * time.Hour)}
	h.setup(func(ctx context.Context, tx setupTx) error {
		if err := tx.InsertClient(ctx, c); err != nil {
			return err
		}
		return tx.InsertSession(ctx, s)
	})
	return &app{h, c, grant.Code{Realm: "main", Client: c.ID, RedirectURI: back, Named: true, Challenge: challenge, Scopes: []string{"write", "read"}, User: h.user.ID, Username: "bob", Session: s.ID,
		SessionEnds: s.ExpiresAt, AuthTime: s.AuthTime, AMR: []string{"pwd"}, ACR: "aal1"}}
}

func (a *app) order() grant.Order {
	return grant.Order{Realm: "main", Client: a.c.ID, By: &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindClient, ID: a.c.ID, IssuedAt: a.c.Secret.SetAt}}
}

// wish is what the client asks for where it asks for all that the person allows.
func (a *app) wish() grant.Wish {
	w := grant.Wish{Print: a.c.Metadata.Print(), Scopes: a.code.Scopes, Allowed: a.code.Scopes, Resources: a.code.Resources, For: time.Hour}
	if len(w.Resources) == 0 {
		w.Resources = []string{issuer}
	}
	return w
}

func (a *app) allow() gatehouse.Secret {
	a.t.Helper()
	code, err := a.svc.Authorize(a.t.Context(), a.code, a.wish(), grant.Asked)
	if err != nil {
		a.t.Fatal(err)
	}
	return code
}

func (a *app) update(change func(c *client.Client)) {
	a.t.Helper()
	c := a.c
	change(&c)
	a.setup(func(ctx context.Context, tx setupTx) error { return tx.UpdateClient(ctx, c) })
}

// TestRedeem: a code is worth something to the client that it was given to, with the verifier and the address of its request, while
// everything is as it was when the person allowed it; whatever is refused uses nothing up.
func TestRedeem(t *testing.T) {
	good := func(code gatehouse.Secret) grant.Redemption {
		return grant.Redemption{Code: code, RedirectURI: back, Verifier: verifier}
	}
	for name, c := range map[string]struct {
		before func(a *app)                                      // the person allows it
		after  func(a *app)                                      // it is redeemed
		show   func(a *app, o *grant.Order, r *grant.Redemption) // what is shown in another way
		want   string                                            // the code of the error; "": it is good
	}{
		"good":                     {},
		"2.1 does not repeat it":   {show: func(_ *app, _ *grant.Order, r *grant.Redemption) { r.RedirectURI = "" }},
		"nor 2.0 what it left out": {before: func(a *app) { a.code.Named, a.code.Challenge = false, "" }, show: func(_ *app, _ *grant.Order, r *grant.Redemption) { r.RedirectURI, r.Verifier = "", "" }},
		"without PKCE it does":     {before: func(a *app) { a.code.Challenge = "" }, show: func(_ *app, _ *grant.Order, r *grant.Redemption) { r.RedirectURI, r.Verifier = "", "" }, want: "redirect_uri_mismatch"},
		"another address":          {show: func(_ *app, _ *grant.Order, r *grant.Redemption) { r.RedirectURI = "https://app.example/other" }, want: "redirect_uri_mismatch"},
		"no verifier":              {show: func(_ *app, _ *grant.Order, r *grant.Redemption) { r.Verifier = "" }, want: "code_verifier_wrong"},
		"another verifier":         {show: func(_ *app, _ *grant.Order, r *grant.Redemption) { r.Verifier = verifier + "x" }, want: "code_verifier_wrong"},
		"the challenge itself":     {show: func(_ *app, _ *grant.Order, r *grant.Redemption) { r.Verifier = challenge }, want: "code_verifier_wrong"},
		"a verifier, no challenge": {before: func(a *app) { a.code.Challenge = "" }, want: "code_verifier_wrong"},
		"the key that was named":   {before: func(a *app) { a.code.JKT = "k1" }, show: func(_ *app, o *grant.Order, _ *grant.Redemption) { o.Confirmation.JKT = "k1" }},
		"another key":              {before: func(a *app) { a.code.JKT = "k1" }, show: func(_ *app, o *grant.Order, _ *grant.Redemption) { o.Confirmation.JKT = "k2" }, want: "code_key_mismatch"},
		"no key":                   {before: func(a *app) { a.code.JKT = "k1" }, want: "code_key_mismatch"},
		"a certificate":            {before: func(a *app) { a.code.JKT = "k1" }, show: func(_ *app, o *grant.Order, _ *grant.Redemption) { o.Confirmation.X5T = "k1" }, want: "code_key_mismatch"},
		"another client":           {show: func(a *app, o *grant.Order, _ *grant.Redemption) { a.another(o) }, want: "invalid_grant"},
		"another client's name":    {show: func(a *app, o *grant.Order, _ *grant.Redemption) { o.By = a.robot("main", "") }, want: "invalid_client"},
		"nobody's proof":           {show: func(_ *app, o *grant.Order, _ *grant.Redemption) { o.By = nil }, want: "invalid_grant"},
		"another realm":            {show: func(_ *app, o *grant.Order, _ *grant.Redemption) { o.Realm = "acme" }, want: "invalid_grant"},
		"a code that is none":      {show: func(_ *app, _ *grant.Order, r *grant.Redemption) { r.Code = "x" }, want: "invalid_grant"},
		"an unknown code":          {show: func(a *app, _ *grant.Order, r *grant.Redemption) { r.Code = newApp(a.t, codeSettings).allow() }, want: "invalid_grant"},
		"at its end":               {after: func(a *app) { a.pass(grant.CodeLife) }, want: "invalid_grant"},
		"just before":              {after: func(a *app) { a.pass(grant.CodeLife - time.Millisecond) }},
		"the session ended":        {after: func(a *app) { a.end() }, want: "invalid_grant"},
		"another password":         {after: func(a *app) { a.pass(time.Second); a.password() }, want: "invalid_grant"},
		"disabled":                 {after: func(a *app) { a.disable() }, want: "invalid_grant"},
		"client disabled":          {after: func(a *app) { a.update(func(c *client.Client) { c.Disabled = true }) }, want: "invalid_client"},
		"client turned": {after: func(a *app) {
			a.update(func(c *client.Client) { c.Secret = client.NoSecret(a.now().Add(time.Second)) })
		}, want: "invalid_client"},
		"address taken back": {after: func(a *app) {
			a.update(func(c *client.Client) { c.Metadata.RedirectURIs = c.Metadata.RedirectURIs[1:] })
		}, want: "invalid_grant"},
		"grant type taken back":      {after: func(a *app) { a.update(func(c *client.Client) { c.Metadata.GrantTypes = c.Metadata.GrantTypes[1:] }) }, want: "invalid_grant"},
		"all of the person revoked":  {after: func(a *app) { a.cut(revocation.CutoffSubject, a.user.ID) }, want: "invalid_grant"},
		"all of the client revoked":  {after: func(a *app) { a.cut(revocation.CutoffClient, a.c.ID) }, want: "invalid_grant"},
		"all of the session revoked": {after: func(a *app) { a.cut(revocation.CutoffSession, "ses_1") }, want: "invalid_grant"},
		"for nobody's resource":      {show: func(_ *app, o *grant.Order, _ *grant.Redemption) { o.Resource = "https://api.example" }, want: "invalid_target"},
	} {
		a := newApp(t, codeSettings)
		if c.before != nil {
			c.before(a)
		}
		code := a.allow()
		if c.after != nil {
			c.after(a)
		}
		o, r := a.order(), good(code)
		if c.show != nil {
			c.show(a, &o, &r)
		}
		got, err := a.svc.Redeem(t.Context(), o, r)
		if (err != nil || c.want != "") && gatehouse.CodeOf(err) != c.want || (got.AccessToken == "") != (c.want != "") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if c.want != "" && c.after == nil && c.before == nil {
			if _, err := a.svc.Redeem(t.Context(), a.order(), good(code)); err != nil {
				t.Errorf("%s: the refusal used the code up: %v", name, err)
			}
		}
	}
}

// TestRedeemed: what a code gives is what was asked for and no more, with a refresh token where the client may have one; a second use
// by its client ends it, also late, and one by somebody who could not have redeemed it does not.
func TestRedeemed(t *testing.T) {
	a := newApp(t, codeSettings)
	redeem := func(code gatehouse.Secret, verifier gatehouse.Secret) (grant.Tokens, error) {
		return a.svc.Redeem(t.Context(), a.order(), grant.Redemption{Code: code, RedirectURI: back, Verifier: verifier})
	}
	code := a.allow()
	first, err := redeem(code, verifier)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.claims(first.AccessToken)
	if err != nil || c.Subject != a.user.ID || c.ClientID != "cli_app" || c.SessionID != "ses_1" || c.ACR != "aal1" || first.RefreshToken == "" || !slices.Contains(c.AMR, "pwd") || !slices.Equal(first.Scopes, []string{"write", "read"}) {
		t.Fatalf("%+v %+v %v", first, c, err)
	}
	if _, err := redeem(code, verifier+"x"); gatehouse.CodeOf(err) != "code_verifier_wrong" {
		t.Errorf("%v", err)
	}
	if _, err := a.claims(first.AccessToken); err != nil {
		t.Errorf("who lacks the verifier ended it: %v", err)
	}
	a.pass(5 * time.Minute)
	next, err := a.svc.Renew(t.Context(), a.order(), first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := redeem(code, verifier); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("a second time: %v", err)
	}
	if _, err := a.claims(next.AccessToken); gatehouse.CodeOf(err) != "token_revoked" {
		t.Errorf("it goes on: %v", err)
	}
	if _, err := a.svc.Renew(t.Context(), a.order(), next.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("it is renewed: %v", err)
	}

	// It ends with the session, unless the person allowed more.
	a.code.Resources = []string{"https://api.example", "https://b.example"}
	with, err := redeem(a.allow(), verifier)
	if err != nil {
		t.Fatal(err)
	}
	o := a.order()
	o.Resource = "https://b.example"
	if _, err := a.svc.Renew(t.Context(), o, with.RefreshToken); err != nil {
		t.Errorf("another of those that were asked for: %v", err)
	}
	a.code.Resources, a.code.Scopes = nil, []string{"read", client.ScopeOffline}
	beyond, err := redeem(a.allow(), verifier)
	if c, cerr := a.claims(beyond.AccessToken); err != nil || cerr != nil || c.SessionID != "" {
		t.Fatalf("%v %v", err, cerr)
	}
	a.update(func(c *client.Client) { c.Metadata.Scope = "write offline_access" })
	less, err := a.svc.Renew(t.Context(), a.order(), beyond.RefreshToken)
	if err != nil || strings.Join(less.Scopes, " ") != client.ScopeOffline {
		t.Errorf("a scope that the client may have no more: %v %v", less.Scopes, err)
	}
	a.pass(8 * time.Hour)
	if _, err := a.svc.Renew(t.Context(), a.order(), with.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("past the session: %v", err)
	}
	if _, err := a.svc.Renew(t.Context(), a.order(), less.RefreshToken); err != nil {
		t.Errorf("offline: %v", err)
	}
	if _, err := a.renew("main", less.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("by nobody: %v", err)
	}
	wrong := a.order()
	wrong.By = nil
	if _, err := a.svc.Renew(t.Context(), wrong, less.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("without a proof of the client: %v", err)
	}
}

func (a *app) end() {
	a.setup(func(ctx context.Context, tx setupTx) error {
		_, _, err := tx.EndSession(ctx, "main", a.user.ID, "ses_1", a.now(), "test")
		return err
	})
}

func (a *app) password() {
	u := a.user
	u.PasswordAt = a.now()
	a.setup(func(ctx context.Context, tx setupTx) error { return tx.UpdateUser(ctx, u) })
}

func (a *app) disable() {
	u := a.user
	u.Disabled = true
	a.setup(func(ctx context.Context, tx setupTx) error { return tx.UpdateUser(ctx, u) })
}

func (a *app) cut(kind revocation.CutoffKind, id string) {
	a.setup(func(ctx context.Context, tx setupTx) error {
		return tx.PutCutoff(ctx, revocation.CutoffNow("main", kind, id, a.now()))
	})
}

// TestTokensOfAnotherClient: neither a code nor a refresh token of one client is worth anything to another one, and that one cannot
// end by them what the first one has.
func TestTokensOfAnotherClient(t *testing.T) {
	a := newApp(t, codeSettings)
	shown := grant.Redemption{Code: a.allow(), RedirectURI: back, Verifier: verifier}
	tokens, err := a.svc.Redeem(t.Context(), a.order(), shown)
	if err != nil {
		t.Fatal(err)
	}
	o := a.order()
	a.another(&o)
	if _, err := a.svc.Redeem(t.Context(), o, shown); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("a code that another client has used: %v", err)
	}
	if _, err := a.svc.Renew(t.Context(), o, tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("a refresh token of another client: %v", err)
	}
	if _, err := a.svc.Renew(t.Context(), a.order(), tokens.RefreshToken); err != nil {
		t.Errorf("another client ended what this one has: %v", err)
	}
}

// another is a program like the first, and asks.
func (a *app) another(o *grant.Order) {
	c := a.c
	c.ID = "cli_two"
	a.setup(func(ctx context.Context, tx setupTx) error { return tx.InsertClient(ctx, c) })
	by := *o.By
	by.ID = c.ID
	o.Client, o.By = c.ID, &by
}

// TestAnsweredOnce: a request that was pushed is answered once, by one code or by none.
func TestAnsweredOnce(t *testing.T) {
	a := newApp(t, codeSettings)
	push := func(key byte, ends time.Duration) {
		a.code.Request = bytes.Repeat([]byte{key}, once.KeySize)
		a.setup(func(ctx context.Context, tx setupTx) error {
			return tx.PutOnce(ctx, once.Record{Kind: once.KindRequest, Key: a.code.Request, Sealed: []byte{1}, ExpiresAt: a.now().Add(ends)})
		})
	}
	over := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, grant.ErrRequestOver) {
			t.Errorf("%s: %v", name, err)
		}
	}
	authorize := func() error { _, err := a.svc.Authorize(t.Context(), a.code, a.wish(), grant.Asked); return err }
	deny := func() error { return a.svc.Deny(t.Context(), a.code) }
	push(1, time.Minute)
	a.allow()
	over("allowed twice", authorize())
	over("denied after that", deny())
	push(2, time.Minute)
	if err := deny(); err != nil {
		t.Fatal(err)
	}
	over("denied twice", deny())
	over("allowed after that", authorize())
	push(3, time.Minute)
	a.pass(time.Minute)
	over("after its end", authorize())
	push(4, time.Minute)
	won := make(chan error, 8)
	for range cap(won) {
		go func() { won <- authorize() }()
	}
	good := 0
	for range cap(won) {
		switch err := <-won; {
		case err == nil:
			good++
		case !errors.Is(err, grant.ErrRequestOver):
			t.Error(err)
		}
	}
	if good != 1 {
		t.Errorf("%d codes for one request", good)
	}
}
