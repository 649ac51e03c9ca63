package token_test

import (
	"context"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// TestRevocation: a client ends its own tokens at once, however wrong the hint, and no others; whatever was
// sent, the answer is the same (RFC 7009 §2.1, §2.2).
func TestRevocation(t *testing.T) {
	for _, format := range []string{"signed", "opaque"} {
		h := newIntrospected(t, format)
		active := func(text string) bool {
			t.Helper()
			return h.post("/introspect", h.api, "token", text).json["active"] == true
		}
		end := func(auth, text string, pairs ...string) {
			t.Helper()
			if a := h.post("/revoke", auth, append(pairs, "token", text)...); a.code != 200 || a.raw != "" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %s", format, a.code, a.raw)
			}
		}
		text := h.token(t)
		end(h.api, text) // the API knows it, and it is not the API's
		end(h.other, text)
		first := call(h.site, "POST", "/tokens", "", "Authorization", basic)
		end(h.asker, first.str("access_token"))
		end(h.asker, first.str("refresh_token"))
		if !active(text) || !active(first.str("access_token")) {
			t.Fatalf("%s: a client ended another's token", format)
		}
		end(h.asker, text, "token_type_hint", "refresh_token")
		if active(text) {
			t.Errorf("%s: it still counts", format)
		}
		end(h.asker, text)
		end(h.asker, "hunter2")
		end(h.asker, text+"x", "token_type_hint", "no_such_type")
	}
}

// TestRefreshTokensOfClients: a refresh token is what its client may ask about and end, and nobody else; ending it ends the grant
// with what came from it, by a used one as well.
func TestRefreshTokensOfClients(t *testing.T) {
	h := newIntrospected(t, "signed")
	who := h.principal()
	open := func() (access, refresh string) {
		t.Helper()
		got, err := h.svc.Open(t.Context(), h.order(), who)
		if err != nil {
			t.Fatal(err)
		}
		return got.AccessToken.Reveal(), got.RefreshToken.Reveal()
	}
	access, refresh := open()
	if a := h.post("/introspect", h.asker, "token", refresh, "token_type_hint", "access_token"); a.json["active"] != true || a.str("client_id") != h.askerID ||
		a.str("scope") != "read" || a.json["token_type"] != nil || a.json["exp"] == nil || a.json["sub"] != nil {
		t.Fatalf("%d %s", a.code, a.raw)
	}
	h.inactive(t, "the API", h.api, refresh)
	next, err := h.svc.Renew(t.Context(), h.order(), gatehouse.Secret(refresh))
	if err != nil {
		t.Fatal(err)
	}
	h.inactive(t, "used", h.asker, refresh)
	if a := h.post("/revoke", h.api, "token", next.RefreshToken.Reveal()); a.code != 200 {
		t.Fatal(a.raw)
	}
	if a := h.post("/introspect", h.asker, "token", next.RefreshToken.Reveal()); a.json["active"] != true {
		t.Fatal("another client ended it")
	}
	if a := h.post("/revoke", h.asker, "token", refresh); a.code != 200 { // a used one, of the same family
		t.Fatal(a.raw)
	}
	h.inactive(t, "ended", h.asker, next.RefreshToken.Reveal())
	h.inactive(t, "ended with its grant", h.api, access)
	if _, err := h.svc.Renew(t.Context(), h.order(), next.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Error(err)
	}
}

// TestPublicClientsEndTheirTokens: by their name alone, and they ask about nothing (RFC 7009 §2.1, RFC 7662 §2.1).
func TestPublicClientsEndTheirTokens(t *testing.T) {
	h := newIntrospected(t, "signed")
	id, _ := h.register(client.AuthNone, "read", func(c *client.Client) {
		c.Secret, c.Metadata.GrantTypes, c.Metadata.Audiences = client.Secret{SetAt: c.CreatedAt}, []string{client.GrantAuthorizationCode}, []string{api}
	})
	post := func(path string, pairs ...string) answer {
		return call(h.site, "POST", path, form(append(pairs, "client_id", id)...), "Content-Type", formCT)
	}
	text := h.token(t)
	if a := post("/introspect", "token", text); a.code != 401 || a.str("error") != "invalid_client" {
		t.Errorf("%d %s", a.code, a.raw)
	}
	if a := post("/revoke", "token", text); a.code != 200 {
		t.Errorf("%d %s", a.code, a.raw)
	}
	if a := h.post("/introspect", h.api, "token", text); a.json["active"] != true {
		t.Error("it ended another client's token")
	}
}

// order is that of the asking client, as it proves itself.
func (h *introspected) order() grant.Order {
	c := must(h.db.Client(context.Background(), "main", h.askerID))
	return grant.Order{Realm: "main", Client: c.ID, Scopes: []string{"read"},
		By: &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindClient, ID: c.ID, ClientID: c.ID, IssuedAt: c.Secret.SetAt}}
}

// TestIntrospectionOfBoundTokens: an API is told what a token is bound to, so that it asks for the proof (RFC 9449 §6.2).
func TestIntrospectionOfBoundTokens(t *testing.T) {
	const key = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	for _, format := range []string{"signed", "opaque"} {
		h := newIntrospected(t, format)
		o := h.order()
		o.Confirmation.JKT, o.Public = key, true
		got := must(h.svc.Open(t.Context(), o, h.principal()))
		a := h.post("/introspect", h.api, "token", got.AccessToken.Reveal())
		if cnf, _ := a.json["cnf"].(map[string]any); a.json["active"] != true || a.str("token_type") != "DPoP" || cnf["jkt"] != key {
			t.Errorf("%s: %s", format, a.raw)
		}
		if a := h.post("/introspect", h.asker, "token", got.RefreshToken.Reveal()); a.json["active"] != true {
			t.Errorf("%s: %s", format, a.raw)
		}
	}
}
