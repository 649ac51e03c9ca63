package tokens_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestTokens: a token is looked at, checked, and ended with the grant that it came from.
func TestTokens(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	id := h.Person(root, "main", "bob")
	p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()}
	tokens, err := h.Grants.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, p)
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]any{"token": tokens.AccessToken.Reveal()}
	if r := h.Want(200, root, "POST", "/realms/main/tokens/inspect", text); r.JSON["trusted"] != false || r.Str("claims", "sub") != id {
		t.Fatalf("%s", r.Body)
	}
	if r := h.Want(200, root, "POST", "/realms/main/tokens/verify", text); r.JSON["active"] != true || r.Str("grant_id") != tokens.GrantID {
		t.Fatalf("%s", r.Body)
	}
	h.Want(204, root, "POST", "/realms/main/tokens/revoke", text)
	if r := h.Want(200, root, "POST", "/realms/main/tokens/verify", text); r.JSON["active"] != false || r.Str("reason") == "" {
		t.Fatalf("%s", r.Body)
	}
	h.Want(204, root, "POST", "/realms/main/tokens/revoke", text) // nothing left to end
	h.Want(422, root, "POST", "/realms/main/tokens/inspect", map[string]any{"token": "hello"})
}

// TestRevokeKeyAsToken: an API key that is revoked like a token ends as by its own operation, with its event, and only
// for whom that would end it.
func TestRevokeKeyAsToken(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "bob")
	text, id := h.Key(root, "main", "bob", "*")
	body := map[string]any{"token": text}
	auditor, _ := h.Key(root, "main", h.Person(root, "main", "uma", "gatehouse-auditor"), "*")
	h.Want(403, auditor, "POST", "/realms/main/tokens/revoke", body)
	h.Want(200, text, "GET", "/me", nil)
	h.Want(204, root, "POST", "/realms/main/tokens/revoke", body)
	h.Want(401, text, "GET", "/me", nil)
	if r := h.Want(200, root, "GET", "/realms/main/keys/"+id, nil); r.Str("status") != "revoked" {
		t.Errorf("the key is %s", r.Str("status"))
	}
	if ended := h.Events(root, "key.revoke"); len(ended) != 1 || ended[0] != id {
		t.Errorf("events: %q", ended)
	}
}

// TestPanicClient: what a client was given ends; one's own token is of it only when that is
// said.
func TestPanicClient(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	id := h.Person(root, "main", "ada", "gatehouse-admin")
	tokens, err := h.Grants.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient},
		&gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	text := tokens.AccessToken.Reveal()
	path := "/realms/main/clients/" + grant.FirstPartyClient + "/panic"
	for _, body := range []any{nil, map[string]any{"including_me": false}} {
		if r := h.Want(409, text, "POST", path, body); r.Str("code") != "panic_including_me" {
			t.Errorf("%s", r.Body)
		}
	}
	h.Want(200, text, "POST", "/realms/main/clients/another/panic", nil)
	h.Want(200, text, "GET", "/me", nil)
	h.Want(422, root, "POST", "/realms/main/clients/a%20b/panic", nil)
	h.Want(404, root, "POST", "/realms/none/clients/another/panic", nil)
	if r := h.Want(200, root, "POST", path, nil); r.Str("kind") != "client" || r.Str("id") != grant.FirstPartyClient {
		t.Errorf("%s", r.Body)
	}
	h.Want(401, text, "GET", "/me", nil)
}

// TestCutOffsOutliveLogins: what was opened before its realm's grant_ttl was made short lives on, and stays ended for
// as long.
func TestCutOffsOutliveLogins(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(200, root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"grant_ttl": "5m"}})
	for _, body := range []map[string]any{{"kind": "client", "id": "app"}, {"kind": "subject", "id": "sub"}, {"kind": "realm"}} {
		r := h.Want(201, root, "POST", "/realms/main/revocations", body)
		ends, err := time.Parse(time.RFC3339Nano, r.Str("expires_at"))
		if err != nil || time.Until(ends) < gatehouse.MaxGrantTTL {
			t.Errorf("%v ends at %v, %v", body, ends, err)
		}
	}
}
