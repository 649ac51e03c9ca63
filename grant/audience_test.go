package grant_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

const outside = "https://api.example"

// claimsFor reads a token as a checker of that audience and typ would.
func (h *house) claimsFor(text gatehouse.Secret, audience, typ string) (*token.Claims, error) {
	v := must(token.NewVerifier(token.VerifierConfig{Issuer: issuer, Audience: []string{audience}, Algorithms: []token.Algorithm{"ES256"},
		Types: []string{typ}, Keys: must(token.NewKeySet(h.key)), Now: h.now}))
	return v.Verify(text.Reveal())
}

// TestAudiences: a token is for the audience that was asked for and no other; for
// an outside one it lists what it may do, and says of the user what the realm
// wants it to say.
func TestAudiences(t *testing.T) {
	scopes := map[string]string{"documents:read": "Read", "documents:write": "Write"}
	for name, c := range map[string]struct {
		settings        gatehouse.RealmSettings
		resource, aud   string
		asked           []string
		scope, username string
		code            string
	}{
		"the house":                       {gatehouse.RealmSettings{Scopes: scopes}, "", issuer, nil, "*", "", ""},
		"the house by name":               {gatehouse.RealmSettings{Scopes: scopes, Audience: outside}, issuer, issuer, nil, "*", "", ""},
		"the default, outside":            {gatehouse.RealmSettings{Scopes: scopes, Audience: outside}, "", outside, nil, "documents:read documents:write", "", ""},
		"outside, asked":                  {gatehouse.RealmSettings{Scopes: scopes, Audience: outside}, "", outside, []string{"documents:read"}, "documents:read", "", ""},
		"outside, * asked":                {gatehouse.RealmSettings{Scopes: scopes, Audience: outside}, "", outside, []string{"*"}, "documents:read documents:write", "", ""},
		"outside, no catalogue":           {gatehouse.RealmSettings{Audience: outside}, "", outside, nil, "", "", ""},
		"one of several":                  {gatehouse.RealmSettings{Scopes: scopes, Audiences: map[string]gatehouse.AudienceRules{outside: {Claims: []string{"preferred_username"}}}}, outside, outside, []string{"documents:read"}, "documents:read", "bob", ""},
		"rules of another audience":       {gatehouse.RealmSettings{Scopes: scopes, Audiences: map[string]gatehouse.AudienceRules{outside: {Claims: []string{"preferred_username"}}}}, "", issuer, nil, "*", "", ""},
		"unknown":                         {gatehouse.RealmSettings{Scopes: scopes, Audiences: map[string]gatehouse.AudienceRules{outside: {}}}, outside + "/x", "", nil, "", "", "invalid_target"},
		"unknown, opaque":                 {gatehouse.RealmSettings{TokenFormat: "opaque", Audiences: map[string]gatehouse.AudienceRules{outside: {}}}, outside, "", nil, "", "", "invalid_target"},
		"administration is asked for":     {gatehouse.RealmSettings{Audience: outside}, "", outside, []string{"admin:read"}, "admin:read", "", ""},
		"the scope is not the resource's": {gatehouse.RealmSettings{Audience: outside}, "", "", []string{"documents:read"}, "", "", "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, c.settings)
			tokens, err := h.svc.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient, Scopes: c.asked, Resource: c.resource}, h.principal())
			if c.code != "" {
				if gatehouse.CodeOf(err) != c.code {
					t.Fatalf("%v, want %s", err, c.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 { // opened, and renewed
				got, err := h.claimsFor(tokens.AccessToken, c.aud, token.TypeAccess)
				if err != nil || !slices.Equal(got.Audience, []string{c.aud}) || got.Scope != c.scope {
					t.Fatalf("exchange %d: %+v, %v", i, got, err)
				}
				if name := string(got.Lookup("preferred_username")); name != "" && name != `"`+c.username+`"` || (name == "") != (c.username == "") {
					t.Errorf("exchange %d: preferred_username %s", i, name)
				}
				h.pass(time.Minute)
				if tokens, err = h.renew("main", tokens.RefreshToken); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := h.svc.Renew(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient, Resource: "https://other.example"}, tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_target" {
				t.Errorf("renewed for another audience: %v", err)
			}
		})
	}
}

// TestClaimsAboutTheUser: what the realm lists for the audience, and nothing that
// the user does not have.
func TestClaimsAboutTheUser(t *testing.T) {
	for _, typ := range []string{"", token.TypeAccess, token.TypeJWT} {
		h := newHouse(t, gatehouse.RealmSettings{AccessTokenType: typ, Audiences: map[string]gatehouse.AudienceRules{issuer: {Claims: gatehouse.AudienceClaims()}}})
		tokens := h.issue()
		want := token.TypeAccess
		if typ == token.TypeJWT {
			want = typ
		}
		c, err := h.claimsFor(tokens.AccessToken, issuer, want)
		if err != nil {
			t.Fatalf("typ %q: %v", typ, err)
		}
		for claim, want := range map[string]string{"preferred_username": `"bob"`, "name": "", "email": "", "roles": `["editor"]`, "groups": ""} {
			if got := string(c.Lookup(claim)); got != want {
				t.Errorf("%s is %s, want %s", claim, got, want)
			}
		}
	}
}

// TestOtherClient: a refresh token serves the client it was given to.
func TestOtherClient(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	tokens := h.issue()
	for _, client := range []string{"", "another"} {
		if _, err := h.svc.Renew(t.Context(), grant.Order{Realm: "main", Client: client}, tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("client %q: %v", client, err)
		}
	}
	if _, err := h.refresh(tokens.RefreshToken); err != nil {
		t.Errorf("the attempt used the token up: %v", err)
	}
}

// TestClientWithoutAUser: a registered client that acts for itself needs no account, goes
// through the same phases, and is nobody but itself. Its grant ends with its one token.
func TestClientWithoutAUser(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{Scopes: map[string]string{"a": "A", "b": "B", "d": "D"}})
	robot := h.robot("main", "a b c")
	order := grant.Order{Realm: "main", Client: robot.ID}
	tokens, err := h.svc.Open(t.Context(), order, robot)
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.claims(tokens.AccessToken)
	if err != nil || c.Subject != robot.ID || c.ClientID != robot.ID || c.Scope != "a b" || !c.AuthTime.IsZero() || tokens.RefreshToken != "" {
		t.Fatalf("%+v, %v", c, err)
	}
	if g := must(h.db.Grant(t.Context(), "main", tokens.GrantID)); !g.ExpiresAt.Equal(h.now().Add(tokens.ExpiresIn)) {
		t.Errorf("the grant lives until %v", g.ExpiresAt)
	}
	for scope, want := range map[string]string{"a": "", "c": "invalid_scope", "d": "invalid_scope", "*": "invalid_scope"} {
		order := order
		order.Scopes = []string{scope}
		if _, err := h.svc.Open(t.Context(), order, robot); (err != nil) != (want != "") || err != nil && gatehouse.CodeOf(err) != want {
			t.Errorf("scope %s: %v", scope, err)
		}
	}
	if _, err := h.svc.Open(t.Context(), grant.Order{Realm: "main", Client: "other"}, robot); gatehouse.KindOf(err) != gatehouse.Unauthenticated {
		t.Errorf("a client for another one: %v", err)
	}
	if e := h.events()[0]; e.Actor.Kind != gatehouse.KindClient {
		t.Errorf("the event names a %s", e.Actor.Kind)
	}
	if _, err := h.svc.End(t.Context(), "main", tokens.GrantID, grant.ReasonLogout); err != nil {
		t.Fatal(err)
	}
	if _, err := h.claims(tokens.AccessToken); gatehouse.CodeOf(err) != "token_revoked" {
		t.Errorf("after the end: %v", err)
	}
}

// TestClientAsItIsNow: what a client proved a moment ago is judged again in the transaction that
// issues: another node may have disabled or removed it meanwhile, or ended its secret.
func TestClientAsItIsNow(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context, tx setupTx, c client.Client) error{
		"disabled": func(ctx context.Context, tx setupTx, c client.Client) error {
			c.Disabled = true
			return tx.UpdateClient(ctx, c)
		},
		"removed": func(ctx context.Context, tx setupTx, c client.Client) error {
			return tx.DeleteClient(ctx, c.Realm, c.ID)
		},
		"another secret": func(ctx context.Context, tx setupTx, c client.Client) error {
			c.Secret = client.Secret{Hash: []byte{2}, SetAt: c.CreatedAt.Add(time.Second)}
			return tx.UpdateClient(ctx, c)
		},
	} {
		h := newHouse(t, gatehouse.RealmSettings{})
		robot := h.robot("main", "")
		order := grant.Order{Realm: "main", Client: robot.ID}
		if _, err := h.svc.Open(t.Context(), order, robot); err != nil {
			t.Fatal(err)
		}
		h.setup(func(ctx context.Context, tx setupTx) error {
			return change(ctx, tx, must(h.db.Client(ctx, "main", robot.ID)))
		})
		if _, err := h.svc.Open(t.Context(), order, robot); gatehouse.CodeOf(err) != "invalid_client" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCutoffsEndRenewals: every kind of cut-off that can name a grant ends it at its
// next renewal; one that names somebody else, or was before its opening, does not.
func TestCutoffsEndRenewals(t *testing.T) {
	for _, kind := range []revocation.CutoffKind{revocation.CutoffRealm, revocation.CutoffSubject, revocation.CutoffClient, revocation.CutoffSession} {
		h := newHouse(t, gatehouse.RealmSettings{})
		p := h.principal()
		p.SessionID = "session-1"
		tokens, err := h.open("main", p)
		if err != nil {
			t.Fatal(err)
		}
		opened := h.now()
		id := map[revocation.CutoffKind]string{revocation.CutoffRealm: "", revocation.CutoffSubject: h.user.ID,
			revocation.CutoffClient: grant.FirstPartyClient, revocation.CutoffSession: "session-1"}[kind]
		cut := func(realm, id string, before time.Time) {
			h.setup(func(ctx context.Context, tx setupTx) error {
				return tx.PutCutoff(ctx, revocation.Cutoff{Realm: realm, Kind: kind, ID: id, Before: before, ExpiresAt: before.Add(time.Hour)})
			})
		}
		cut("acme", id, opened.Add(time.Hour))
		cut("main", id, opened.Add(-time.Millisecond))
		if kind != revocation.CutoffRealm {
			cut("main", "somebody-else", opened.Add(time.Hour))
		}
		h.pass(time.Second)
		if tokens, err = h.renew("main", tokens.RefreshToken); err != nil {
			t.Fatalf("%s: a cut-off that does not name it: %v", kind, err)
		}
		cut("main", id, opened)
		if _, err := h.renew("main", tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := h.claims(tokens.AccessToken); gatehouse.CodeOf(err) != "token_revoked" {
			t.Errorf("%s: the grant did not end: %v", kind, err)
		}
	}
}
