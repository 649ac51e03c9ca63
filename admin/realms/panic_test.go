package realms_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestPanic: everything that can be shown in a realm ends, and nothing of it comes back with
// the realm; what is made anew is good. What others have is untouched.
func TestPanic(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	const acme, me = "/realms/acme", "/realms/acme/me"
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme", "settings": map[string]any{"admin_mfa": "optional"}})
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "other"})
	id := h.Person(root, "acme", "anna", "realm-admin")
	key, keyID := h.Key(root, "acme", id, "*")
	opened := func() grant.Tokens {
		t.Helper()
		tokens, err := h.Grants.Open(t.Context(), grant.Order{Realm: "acme", Client: grant.FirstPartyClient},
			&gatehouse.Principal{Realm: "acme", Kind: gatehouse.KindUser, ID: id, IssuedAt: time.Now(), AuthTime: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return tokens
	}
	signed := opened()
	h.Want(200, root, "PATCH", acme, map[string]any{"settings": map[string]any{"token_format": "opaque"}})
	opaque := opened()
	bystander, _ := h.Key(root, "other", h.Person(root, "other", "otto", "realm-admin"), "*")
	held := map[string]string{"key": key, "signed token": signed.AccessToken.Reveal(), "opaque token": opaque.AccessToken.Reveal(), "password": "anna:" + testadmin.Password}
	for what, credential := range held {
		if r := h.Call(credential, "GET", me, nil); r.Status != 200 {
			t.Fatalf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	h.Want(403, key, "POST", acme+"/panic", nil) // it takes whoever may disable realms
	h.Want(200, key, "GET", me, nil)
	h.Want(404, root, "POST", "/realms/none/panic", nil)
	r := h.Want(200, root, "POST", acme+"/panic?wait=nodes", map[string]any{})
	done, _ := r.JSON["answer"].(map[string]any)
	if done["disabled"] != true || done["cut_off_at"] == nil || r.Str("wait", "outcome") != "proven" {
		t.Errorf("%s", r.Body)
	}
	dead := func(when string) {
		t.Helper()
		for what, credential := range held {
			if r := h.Call(credential, "GET", me, nil); r.Status != 401 {
				t.Errorf("%s, %s: %d %s", when, what, r.Status, r.Body)
			}
		}
		for what, refresh := range map[string]gatehouse.Secret{"signed": signed.RefreshToken, "opaque": opaque.RefreshToken} {
			if _, err := h.Grants.Renew(t.Context(), grant.Order{Realm: "acme", Client: grant.FirstPartyClient}, refresh); err == nil {
				t.Errorf("%s: the %s login was renewed", when, what)
			}
		}
	}
	dead("after the panic")
	h.Want(200, bystander, "GET", "/realms/other/me", nil)
	h.Want(200, root, "PATCH", acme, map[string]any{"disabled": false, "title": "Acme"})
	dead("after the realm was enabled")
	if r := h.Want(200, root, "GET", acme, nil); r.JSON["cut_off_at"] == nil {
		t.Errorf("the cut-off is gone: %s", r.Body)
	}
	for path, want := range map[string][2]any{"/keys/" + keyID: {"status", "revoked"}, "/users/anna": {"has_password", false}} {
		if r := h.Want(200, root, "GET", acme+path, nil); r.JSON[want[0].(string)] != want[1] {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	for path, want := range map[string][2]any{"/keys": {"status", "revoked"}, "/users": {"has_password", false}} {
		items := h.Want(200, root, "GET", acme+path, nil).JSON["items"].([]any)
		if got := items[0].(map[string]any)[want[0].(string)]; len(items) != 1 || got != want[1] {
			t.Errorf("%s: %v", path, items)
		}
	}
	// A dead key makes no successor, and is not narrowed or switched on.
	if r := h.Want(409, root, "POST", acme+"/keys/"+keyID+"/rotate", nil); r.Str("code") != "key_not_active" {
		t.Errorf("%s", r.Body)
	}
	if r := h.Want(409, root, "PATCH", acme+"/keys/"+keyID, map[string]any{"disabled": false}); r.Str("code") != "key_not_active" {
		t.Errorf("%s", r.Body)
	}

	h.SetPassword(root, "acme", "anna", testadmin.Password)
	held = map[string]string{"password": "anna:" + testadmin.Password}
	held["key"], _ = h.Key(root, "acme", id, "*")
	held["token"] = opened().AccessToken.Reveal()
	for what, credential := range held {
		if r := h.Call(credential, "GET", me, nil); r.Status != 200 {
			t.Errorf("new %s: %d %s", what, r.Status, r.Body)
		}
	}
	if _, err := h.Grants.Open(t.Context(), grant.Order{Realm: "acme", Client: grant.FirstPartyClient},
		&gatehouse.Principal{Realm: "acme", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()}); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Errorf("opened by what is as old as can be: %v", err)
	}
	h.Want(200, root, "POST", acme+"/panic", nil) // again: what came since ends too
	h.Want(200, root, "PATCH", acme, map[string]any{"disabled": false})
	dead("after another panic")
}

// TestPanicOfMain: nobody ends the realm of the administrators without saying so; then it
// ends as another does, and stays enabled.
func TestPanicOfMain(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	for _, body := range []any{nil, map[string]any{}, map[string]any{"including_me": false}} {
		if r := h.Want(409, root, "POST", "/realms/main/panic", body); r.Str("code") != "panic_including_me" {
			t.Errorf("%s", r.Body)
		}
	}
	h.Want(200, root, "GET", "/me", nil)
	r := h.Want(200, root, "POST", "/realms/main/panic", map[string]any{"including_me": true})
	if r.JSON["disabled"] != false {
		t.Errorf("%s", r.Body)
	}
	h.Want(401, root, "GET", "/me", nil)
	h.Want(401, "root:"+testadmin.Password, "GET", "/me", nil)
}
