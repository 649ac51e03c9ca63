package grant_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

const api = "https://api.example"

var exchangeSettings = gatehouse.RealmSettings{Scopes: map[string]string{"read": "R", "write": "W", "else": "E"},
	Audiences: map[string]gatehouse.AudienceRules{api: {}, "https://b.example": {}, "https://c.example": {}}}

// relay is an app whose token an API has, which wants others for it.
type relay struct {
	*app
	api    client.Client
	order  grant.Order
	shown  grant.Exchange // the token of the app
	parent string
}

func newRelay(t *testing.T, settings gatehouse.RealmSettings, rules ...client.Exchange) *relay {
	t.Helper()
	a := newApp(t, settings)
	a.code.Resources = []string{api}
	r := &relay{app: a, api: a.service("cli_api", rules...)}
	got, err := a.svc.Redeem(t.Context(), a.app(), grant.Redemption{Code: a.allow(), RedirectURI: back, Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	r.parent, r.order, r.shown = got.GrantID, r.ordered(r.api), r.token(got)
	return r
}

func (a *app) app() grant.Order { return a.order() }

// service registers a program that may exchange by rules, and is the API at [api].
func (h *house) service(id string, rules ...client.Exchange) client.Client {
	c := client.Client{Realm: "main", ID: id, Secret: client.Secret{Hash: []byte(id), SetAt: h.now()}, CreatedAt: h.now(), UpdatedAt: h.now(), Version: 1,
		Metadata: client.Metadata{Name: id, AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantTokenExchange}, Scope: "read write openid offline_access", Audiences: []string{api}, Exchanges: rules}}
	h.setup(func(ctx context.Context, tx setupTx) error { return tx.InsertClient(ctx, c) })
	return c
}

func (h *house) ordered(c client.Client) grant.Order {
	return grant.Order{Realm: "main", Client: c.ID, By: &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindClient, ID: c.ID, IssuedAt: c.Secret.SetAt}}
}

// token is what a checker says of a token that was just issued.
func (h *house) token(t grant.Tokens) grant.Exchange {
	g, err := h.db.Grant(h.t.Context(), "main", t.GrantID)
	if err != nil {
		h.t.Fatal(err)
	}
	return grant.Exchange{Subject: &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: g.Subject, ClientID: g.ClientID, GrantID: g.ID, Scopes: t.Scopes, Act: g.Act},
		Audience: g.Audience, Ends: h.now().Add(t.ExpiresIn)}
}

func rule(change func(*client.Exchange)) client.Exchange {
	r := client.Exchange{From: []string{"cli_app"}, Audiences: []string{"https://b.example", "https://c.example"}, Scope: "read write"}
	change(&r)
	return r
}

func plainRule(*client.Exchange) {}

// TestExchangeRefused: a token is exchanged for what a rule of the client says, while all that it stands on does; nothing is had by a token
// that was not shown to whoever has it.
func TestExchangeRefused(t *testing.T) {
	shared := newRelay(t, exchangeSettings, rule(plainRule))
	for name, c := range map[string]struct {
		rule   func(r *client.Exchange)
		before func(r *relay)
		show   func(r *relay, o *grant.Order, e *grant.Exchange)
		want   string // the code of the error; "": it is good
	}{
		"good":             {},
		"no rule":          {before: func(r *relay) { r.change(func(c *client.Client) { c.Metadata.Exchanges = nil }) }, want: "exchange_not_allowed"},
		"another's tokens": {rule: func(r *client.Exchange) { r.From = []string{"cli_other"} }, want: "exchange_not_allowed"},
		"the grant type was taken back": {before: func(r *relay) {
			r.change(func(c *client.Client) { c.Metadata.GrantTypes = []string{client.GrantClientCredentials} })
		}, want: "exchange_not_allowed"},
		"a public client":                        {before: func(r *relay) { r.change(func(c *client.Client) { c.Metadata.AuthMethod = client.AuthNone }) }, want: "exchange_not_allowed"},
		"another audience":                       {show: func(_ *relay, o *grant.Order, _ *grant.Exchange) { o.Resource = api }, want: "invalid_target"},
		"the second one":                         {show: func(_ *relay, o *grant.Order, _ *grant.Exchange) { o.Resource = "https://c.example" }},
		"an audience that the realm has no more": {rule: func(r *client.Exchange) { r.Audiences = []string{"https://gone.example"} }, want: "invalid_target"},
		"more than the token has": {show: func(_ *relay, o *grant.Order, e *grant.Exchange) {
			e.Subject.Scopes, o.Scopes = []string{"read"}, []string{"write"}
		}, want: "invalid_scope"},
		"more than the rule says":  {rule: func(r *client.Exchange) { r.Scope = "read" }, show: func(_ *relay, o *grant.Order, _ *grant.Exchange) { o.Scopes = []string{"write"} }, want: "invalid_scope"},
		"more than the client has": {before: func(r *relay) { r.change(func(c *client.Client) { c.Metadata.Scope = "read" }) }, show: func(_ *relay, o *grant.Order, _ *grant.Exchange) { o.Scopes = []string{"write"} }, want: "invalid_scope"},
		"a token for another API":  {show: func(_ *relay, _ *grant.Order, e *grant.Exchange) { e.Audience = []string{"https://b.example"} }, want: "subject_token_invalid"},
		"the ID token of another":  {rule: func(r *client.Exchange) { r.IDTokens = true }, show: func(_ *relay, _ *grant.Order, e *grant.Exchange) { e.IDToken = true }, want: "subject_token_invalid"},
		"a token that is over":     {show: func(r *relay, _ *grant.Order, e *grant.Exchange) { e.Ends = r.now() }, want: "subject_token_invalid"},
		"of no grant":              {show: func(_ *relay, _ *grant.Order, e *grant.Exchange) { e.Subject.GrantID = "grt_none" }, want: "subject_token_invalid"},
		"of somebody else's grant": {show: func(_ *relay, _ *grant.Order, e *grant.Exchange) { e.Subject.ID = "usr_other" }, want: "subject_token_invalid"},
		"of a foreign subject":     {show: func(_ *relay, _ *grant.Order, e *grant.Exchange) { e.Subject.Foreign = true }, want: "subject_token_invalid"},
		"of another realm":         {show: func(_ *relay, _ *grant.Order, e *grant.Exchange) { e.Subject.Realm = "acme" }, want: "subject_token_invalid"},
		"of nobody":                {show: func(_ *relay, _ *grant.Order, e *grant.Exchange) { e.Subject = nil }, want: "subject_token_invalid"},
		"by nobody":                {show: func(_ *relay, o *grant.Order, _ *grant.Exchange) { o.By = nil }, want: "subject_token_invalid"},
		"by another's name":        {show: func(r *relay, o *grant.Order, _ *grant.Exchange) { o.By = r.robot("main", "") }, want: "invalid_client"},
		"the grant ended":          {before: func(r *relay) { r.finish(r.parent) }, want: "subject_token_invalid"},
		"the session ended":        {before: func(r *relay) { r.end() }, want: "subject_token_invalid"},
		"the person is disabled":   {before: func(r *relay) { r.disable() }, want: "subject_token_invalid"},
		"another password":         {before: func(r *relay) { r.pass(time.Second); r.password() }, want: "subject_token_invalid"},
		"all of the person":        {before: func(r *relay) { r.cut(revocation.CutoffSubject, r.user.ID) }, want: "subject_token_invalid"},
		"all of the app":           {before: func(r *relay) { r.cut(revocation.CutoffClient, "cli_app") }, want: "subject_token_invalid"},
		"a bound token, unproven":  {show: func(_ *relay, _ *grant.Order, e *grant.Exchange) { e.Subject.Confirmation.JKT = "k1" }, want: "exchange_needs_proof"},
		"a bound token, at the API": {show: func(_ *relay, o *grant.Order, e *grant.Exchange) {
			e.Subject.Confirmation.JKT, o.Confirmation.JKT = "k1", "k2"
		}},
		"its own bound token, by another key": {before: func(r *relay) { r.swap() }, rule: func(r *client.Exchange) { r.From = []string{"cli_app", "cli_api"} },
			show: func(_ *relay, o *grant.Order, e *grant.Exchange) {
				e.Subject.Confirmation.JKT, o.Confirmation.JKT = "k1", "k2"
			}, want: "exchange_needs_proof"},
		"its own bound token": {before: func(r *relay) { r.swap() }, rule: func(r *client.Exchange) { r.From = []string{"cli_app", "cli_api"} },
			show: func(_ *relay, o *grant.Order, e *grant.Exchange) {
				e.Subject.Confirmation.JKT, o.Confirmation.JKT = "k1", "k1"
			}},
		"another client's actor": {show: func(r *relay, _ *grant.Order, e *grant.Exchange) { e.Actor = r.actor("cli_other") }, want: "actor_token_not_own"},
		"an actor who is acted for": {show: func(r *relay, _ *grant.Order, e *grant.Exchange) {
			e.Actor = r.actor("cli_api")
			e.Actor.Act = &gatehouse.Act{Subject: "usr_x"}
		}, want: "actor_token_not_own"},
		"an actor's bound token": {show: func(r *relay, _ *grant.Order, e *grant.Exchange) {
			e.Actor = r.actor("cli_api")
			e.Actor.Confirmation.JKT = "k1"
		}, want: "actor_token_not_own"},
		"an actor whose grant ended": {show: func(r *relay, _ *grant.Order, e *grant.Exchange) {
			e.Actor = r.actor("cli_api")
			r.finish(e.Actor.GrantID)
		}, want: "actor_token_not_own"},
		"an actor of no grant": {show: func(r *relay, _ *grant.Order, e *grant.Exchange) {
			e.Actor = r.actor("cli_api")
			e.Actor.GrantID = "grt_none"
		}, want: "actor_token_not_own"},
		"an actor of another's grant": {show: func(r *relay, _ *grant.Order, e *grant.Exchange) {
			e.Actor = r.actor("cli_api")
			e.Actor.ID = "usr_other"
		}, want: "actor_token_not_own"},
		"all of the actor": {before: func(r *relay) { r.cut(revocation.CutoffSubject, "usr_admin") }, show: func(r *relay, _ *grant.Order, e *grant.Exchange) {
			e.Actor = r.actor("cli_api")
			e.Actor.IssuedAt = r.now().Add(-time.Second)
		}, want: "actor_token_not_own"},
		"its own actor": {show: func(r *relay, _ *grant.Order, e *grant.Exchange) { e.Actor = r.actor("cli_api") }},
	} {
		r := shared
		if c.rule != nil || c.before != nil {
			change := plainRule
			if c.rule != nil {
				change = c.rule
			}
			r = newRelay(t, exchangeSettings, rule(change))
		}
		if c.before != nil {
			c.before(r)
		}
		o, e := r.order, r.shown
		p := *e.Subject
		e.Subject = &p
		if c.show != nil {
			c.show(r, &o, &e)
		}
		got, err := r.svc.Exchange(t.Context(), o, e)
		if (err != nil || c.want != "") && gatehouse.CodeOf(err) != c.want || (got.AccessToken == "") != (c.want != "") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// actor is somebody by a token of a client, whose grant stands.
func (h *house) actor(of string) *gatehouse.Principal {
	g := gatehouse.Grant{ID: gatehouse.NewID("grt", h.now()), Realm: "main", Subject: "usr_admin", ClientID: of, CreatedAt: h.now(), ExpiresAt: h.now().Add(time.Hour), Audience: []string{api}}
	h.actors++
	g.StatusList, g.StatusIdx = 99, h.actors
	h.setup(func(ctx context.Context, tx setupTx) error { return tx.InsertIssued(ctx, grant.Issued{Grant: &g}) })
	return &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: g.Subject, ClientID: of, GrantID: g.ID, IssuedAt: h.now()}
}

func (r *relay) change(change func(c *client.Client)) {
	r.t.Helper()
	c := r.api
	change(&c)
	r.setup(func(ctx context.Context, tx setupTx) error { return tx.UpdateClient(ctx, c) })
}

// swap has the API hold a token that was issued to itself.
func (r *relay) swap() {
	r.t.Helper()
	got, err := r.svc.Exchange(r.t.Context(), r.order, r.shown)
	if err != nil {
		r.t.Fatal(err)
	}
	r.shown = r.token(got)
}

func (r *relay) finish(id string) {
	r.t.Helper()
	if _, err := r.svc.End(r.t.Context(), "main", id, "test"); err != nil {
		r.t.Fatal(err)
	}
}

// TestExchanged: the token is for the person, names its client and who acts, is worth what token, client and rule have in common, ends no later than
// the token, and with its grant.
func TestExchanged(t *testing.T) {
	for _, format := range []string{"signed", "opaque"} {
		settings := exchangeSettings
		settings.TokenFormat, settings.Audience = format, api
		r := newRelay(t, settings, rule(func(r *client.Exchange) { r.Audiences = []string{issuer} }))
		r.pass(7 * time.Minute)
		e := r.shown
		e.Actor = r.actor("cli_api")
		got, err := r.svc.Exchange(t.Context(), r.order, e)
		if err != nil {
			t.Fatal(err)
		}
		g, err := r.db.Grant(t.Context(), "main", got.GrantID)
		if err != nil || got.RefreshToken != "" || got.IDToken != "" || got.ExpiresIn != 3*time.Minute || strings.Join(got.Scopes, " ") != "read write" ||
			g.Parent != r.parent || g.Subject != r.user.ID || g.ClientID != "cli_api" || g.SessionID != "ses_1" || g.ACR != "aal1" || !slices.Equal(g.Audience, []string{issuer}) ||
			fmt.Sprint(g.Act.Subjects()) != "[usr_admin]" {
			t.Fatalf("%s: %+v %+v %v", format, got, g, err)
		}
		r.finish(r.parent)
		if g, err = r.db.Grant(t.Context(), "main", got.GrantID); err != nil || g.EndedAt.IsZero() || g.EndReason != grant.ReasonParent {
			t.Errorf("%s: it goes on: %+v %v", format, g, err)
		}
		if cut, _ := r.view.Revoked(revocation.Ref{Realm: "main", Subject: g.Subject, Client: g.ClientID, IssuedAt: r.now(), HasStatus: true, List: g.StatusList, Index: g.StatusIdx}); !cut {
			t.Errorf("%s: its tokens go on", format)
		}
	}
}

// TestExchangeOfEverything: a token for all of the person's own becomes one for what the rule names.
func TestExchangeOfEverything(t *testing.T) {
	r := newRelay(t, exchangeSettings, rule(func(r *client.Exchange) { r.From, r.Scope = []string{grant.FirstPartyClient}, "read" }))
	e := r.token(r.issue())
	e.Audience = []string{api}
	got, err := r.svc.Exchange(t.Context(), r.order, e)
	if err != nil || strings.Join(got.Scopes, " ") != "read" {
		t.Errorf("%v %v", got.Scopes, err)
	}
}

// TestExchangeChain: each who exchanges stands before those that did before it, to a bound; who leaves itself out leaves out nobody else; and what
// says who may act next is obeyed.
func TestExchangeChain(t *testing.T) {
	again := rule(func(r *client.Exchange) { r.From = []string{"cli_app", "cli_api", "cli_second"} })
	hidden := again
	hidden.Impersonate = true
	only := again
	only.MayAct = "cli_second"
	r := newRelay(t, exchangeSettings, again)
	chain := func(want string, err error, e grant.Exchange) {
		t.Helper()
		if err != nil || fmt.Sprint(e.Subject.Act.Subjects()) != want {
			t.Errorf("%v, want %s: %v", e.Subject.Act.Subjects(), want, err)
		}
	}
	step := func(o grant.Order, e grant.Exchange) (grant.Exchange, error) {
		e.Audience = []string{api} // as if it were for whoever has it
		got, err := r.svc.Exchange(t.Context(), o, e)
		if err != nil {
			return e, err
		}
		return r.token(got), nil
	}
	e, err := step(r.order, r.shown)
	chain("[cli_api]", err, e)
	second := r.ordered(r.service("cli_second", again))
	e2, err := step(second, e)
	chain("[cli_second cli_api]", err, e2)
	e3, err := step(r.ordered(r.service("cli_hidden", hidden)), e2)
	chain("[cli_second cli_api]", err, e3)
	e3, err = step(second, e2)
	chain("[cli_second cli_second cli_api]", err, e3)
	e3, err = step(r.order, e3)
	chain("[cli_api cli_second cli_second cli_api]", err, e3)
	if _, err := step(second, e3); gatehouse.CodeOf(err) != "actor_chain_too_long" {
		t.Errorf("a fifth: %v", err)
	}
	limited, err := step(r.ordered(r.service("cli_limited", only)), r.shown)
	chain("[cli_limited]", err, limited)
	limited.Subject.ClientID = "cli_limited"
	from := again
	from.From = []string{"cli_limited"}
	if _, err := step(r.ordered(r.service("cli_third", from)), limited); gatehouse.CodeOf(err) != "actor_not_allowed" {
		t.Errorf("who may not: %v", err)
	}
	r.setup(func(ctx context.Context, tx setupTx) error {
		c, err := r.db.Client(ctx, "main", "cli_second")
		c.Metadata.Exchanges = []client.Exchange{from}
		if err == nil {
			err = tx.UpdateClient(ctx, c)
		}
		return err
	})
	e, err = step(second, limited)
	chain("[cli_second cli_limited]", err, e)
	r.finish(r.parent)
	for _, ended := range []grant.Exchange{e, e2, e3, limited} {
		if g, err := r.db.Grant(t.Context(), "main", ended.Subject.GrantID); err != nil || g.EndedAt.IsZero() {
			t.Errorf("it goes on: %+v %v", g, err)
		}
	}
}
