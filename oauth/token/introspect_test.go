package token_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

const api, other = "https://api.example", "https://other.example"

type cutoffTx interface {
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
}

// introspected is a house with two APIs that are registered as clients, and one client that gets tokens.
type introspected struct {
	*house
	site                    http.Handler
	limited                 bool
	api, other, asker       string // Basic credentials
	apiID, otherID, askerID string
}

func newIntrospected(t *testing.T, format string) *introspected {
	t.Helper()
	h := &introspected{house: newHouse(t, gatehouse.RealmSettings{TokenFormat: format, Audience: api, Scopes: map[string]string{"read": "Read"},
		Audiences: map[string]gatehouse.AudienceRules{other: {}}})}
	h.site = site(h.house, &h.limited)
	serve := func(audiences ...string) (id, basic string) {
		id, secret := h.register(client.AuthBasic, "read", func(c *client.Client) { c.Metadata.Audiences = audiences })
		return id, basicOf(id, secret)
	}
	h.apiID, h.api = serve(api)
	h.otherID, h.other = serve(other, issuer)
	h.askerID, h.asker = serve()
	return h
}

func (h *introspected) post(path, auth string, pairs ...string) answer {
	return call(h.site, "POST", path, form(pairs...), "Content-Type", formCT, "Authorization", auth)
}

// token gets an access token for the asking client.
func (h *introspected) token(t *testing.T, pairs ...string) string {
	t.Helper()
	a := h.post("/token", h.asker, append(pairs, "grant_type", "client_credentials")...)
	if a.code != 200 {
		t.Fatalf("%d %s", a.code, a.raw)
	}
	return a.str("access_token")
}

// inactive is exactly what is said of what does not count.
func (h *introspected) inactive(t *testing.T, name, auth, text string) {
	t.Helper()
	if a := h.post("/introspect", auth, "token", text); a.code != 200 || strings.TrimSpace(a.raw) != `{"active":false}` {
		t.Errorf("%s: %d %s", name, a.code, a.raw)
	}
}

// TestIntrospection: an API learns of a token for it what the token says, the client that has it what it was told when it
// got it, and nobody else that it counts (RFC 7662 §2.2, §4).
func TestIntrospection(t *testing.T) {
	for _, format := range []string{"signed", "opaque"} {
		h := newIntrospected(t, format)
		text := h.token(t)
		for range 2 { // from the store, and from memory
			a := h.post("/introspect", h.api, "token", text, "token_type_hint", "refresh_token")
			if a.code != 200 || a.header.Get("Content-Type") != jsonCT || a.header.Get("Cache-Control") != "no-store" || a.json["active"] != true ||
				a.str("sub") != h.askerID || a.str("client_id") != h.askerID || a.str("scope") != "read" || a.str("iss") != issuer ||
				a.str("token_type") != "Bearer" || a.str("jti") == "" || a.json["exp"].(float64)-a.json["iat"].(float64) != 600 || a.json["auth_time"] != nil {
				t.Fatalf("%s: %d %v %s", format, a.code, a.header, a.raw)
			}
			if aud := a.json["aud"]; aud != api && aud.([]any)[0] != api {
				t.Errorf("%s: aud %v", format, aud)
			}
			own := h.post("/introspect", h.asker, "token", text)
			if own.json["active"] != true || own.str("scope") != "read" || own.json["exp"] == nil || own.json["sub"] != nil || own.json["aud"] != nil || own.json["jti"] != nil {
				t.Errorf("%s: the client itself: %s", format, own.raw)
			}
			h.inactive(t, format+", another API", h.other, text)
		}
		h.inactive(t, format+", in another realm", h.api, text+"x")
		// The first party's: of a person.
		first := call(h.site, "POST", "/tokens", "", "Authorization", basic)
		a := h.post("/introspect", h.api, "token", first.str("access_token"))
		if a.json["active"] != true || a.str("sub") != h.user.ID || a.str("client_id") != grant.FirstPartyClient || a.json["auth_time"] == nil || a.str("acr") != "1" {
			t.Errorf("%s, of a person: %s", format, a.raw)
		}
		h.inactive(t, format+", refresh token of another client", h.api, first.str("refresh_token"))
		must(0, must(store.Run[cutoffTx](h.db))(t.Context(), func(ctx context.Context, tx cutoffTx) error {
			return tx.PutCutoff(ctx, revocation.CutoffNow("main", revocation.CutoffClient, h.askerID, time.Now()))
		}))
		h.inactive(t, format+", after a cut-off", h.api, text)
		seen := must(h.auth.Inspect(t.Context(), "main", gatehouse.Secret(first.str("access_token")), netip.Addr{}))
		must(h.svc.End(t.Context(), "main", seen.Principal.GrantID, grant.ReasonLogout))
		h.inactive(t, format+", after logout", h.api, first.str("access_token"))
	}
	h := newIntrospected(t, "signed")
	text := h.token(t, "resource", other)
	h.inactive(t, "for another", h.api, text)
	if a := h.post("/introspect", h.other, "token", text); a.json["active"] != true || a.str("aud") != other {
		t.Errorf("%s", a.raw)
	}
	for name, text := range map[string]string{"nothing of ours": "hunter2", "a key": "ghk_live_x", "a client's secret": strings.Split(h.asker, " ")[1],
		"too long": strings.Repeat("e", 15<<10), "another's signature": must(must(token.GenerateKey("ES256")).SignAccess(h.access(time.Minute))),
		"over": must(h.key.SignAccess(h.access(-time.Second))), "not an access token": must(h.key.Sign("JWT", must(h.access(time.Minute).AppendJSON(nil)))),
		"another issuer": must(h.key.SignAccess(&token.Access{Issuer: issuerOf("acme"), Subject: h.askerID, Audience: []string{api}, ClientID: h.askerID,
			ID: gatehouse.NewID("tok", time.Now()), IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute)})),
		"an audience that the realm does not have": must(h.key.SignAccess(&token.Access{Issuer: issuer, Subject: h.askerID, Audience: []string{"https://x.example"}, ClientID: h.askerID,
			ID: gatehouse.NewID("tok", time.Now()), IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute)}))} {
		h.inactive(t, name, h.api, text)
		h.inactive(t, name, h.asker, text)
	}
}

func (h *introspected) access(life time.Duration) *token.Access {
	now := time.Now()
	return &token.Access{Issuer: issuer, Subject: h.askerID, Audience: []string{api}, ClientID: h.askerID, ID: gatehouse.NewID("tok", now),
		IssuedAt: now.Add(life - time.Minute), ExpiresAt: now.Add(life)}
}

// TestAskingNeedsAClient: nobody asks or ends without proof, nor with what a client sends wrongly.
func TestAskingNeedsAClient(t *testing.T) {
	h := newIntrospected(t, "signed")
	text := h.token(t)
	for _, path := range []string{"/introspect", "/revoke", "/realms/main/introspect", "/realms/main/revoke"} {
		for name, c := range map[string]struct {
			auth, body, path string
			status           int
			code             string
		}{
			"no proof":     {"", form("token", text), path, 401, "invalid_client"},
			"an id alone":  {"", form("token", text, "client_id", h.askerID), path, 401, "invalid_client"},
			"wrong secret": {basicOf(h.askerID, "ghc_live_x"), form("token", text), path, 401, "invalid_client"},
			"the token":    {"Bearer " + text, form("token", text), path, 401, "invalid_client"},
			"no token":     {h.asker, form("token_type_hint", "access_token"), path, 400, "token_missing"},
			"twice":        {h.asker, "token=" + text + "&token=x", path, 400, "invalid_request"},
			"in the URL":   {h.asker, form("token", text), path + "?token=" + text, 400, "query_not_allowed"},
		} {
			header := []string{"Content-Type", formCT}
			if c.auth != "" {
				header = append(header, "Authorization", c.auth)
			}
			if a := call(h.site, "POST", c.path, c.body, header...); a.code != c.status || a.str("code") != c.code || a.str("error") == "" || strings.Contains(a.raw, text) {
				t.Errorf("%s, %s: %d %s", path, name, a.code, a.raw)
			}
		}
		if a := call(h.site, "GET", path, "", "Authorization", h.asker); a.code != 405 {
			t.Errorf("GET %s: %d", path, a.code)
		}
	}
	if a := h.post("/realms/acme/introspect", h.api, "token", text); a.code != 401 { // not a client of that realm
		t.Errorf("%d %s", a.code, a.raw)
	}
	h.limited = true // of an address that guesses; APIs ask as often as they are asked
	for auth, status := range map[string]int{h.api: 200, basicOf(h.apiID, "ghc_live_x"): 429} {
		if a := h.post("/introspect", auth, "token", text); a.code != status {
			t.Errorf("%d %s", a.code, a.raw)
		}
	}
	if a := h.post("/revoke", h.asker, "token", text); a.code != 429 {
		t.Errorf("%d %s", a.code, a.raw)
	}
	h.away = true
	if a := h.post("/introspect", h.api, "token", text); a.code != 400 || a.str("code") != "https_required" {
		t.Errorf("without TLS: %d %s", a.code, a.raw)
	}
}
