package pages

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// keyring is made-up API keys, by their ids.
type keyring struct{ all []Key }

func (k *keyring) List(context.Context, *gatehouse.Principal) ([]Key, error) { return k.all, nil }

func (k *keyring) Make(_ context.Context, _ *gatehouse.Principal, n NewKey) (gatehouse.Secret, error) {
	k.all = append(k.all, Key{ID: "key_" + n.Name, Name: n.Name, Scopes: n.Scopes, Ends: n.Ends})
	return gatehouse.Secret("ghk_live_" + n.Name), nil
}

func (k *keyring) Revoke(_ context.Context, _ *gatehouse.Principal, id string) error {
	for i := range k.all {
		if k.all[i].ID == id {
			k.all = append(k.all[:i], k.all[i+1:]...)
			return nil
		}
	}
	return gatehouse.ErrNotFound
}

// TestOwnKeys: a key is made by the form of the page, a moment after signing in; it is shown once, and revoked at any time.
func TestOwnKeys(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.get("/account/keys").want(t, "nobody's keys", 303, "/signin?return=%2Faccount%2Fkeys")
	b.signIn("")
	page := b.get("/account/keys")
	page.want(t, "no keys", 200, `id="none"`, `id="make-key"`)
	order := page.fields("do", "make", "name", "backup", "days", "30")
	b.send("/account/keys", order.Encode(), "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "cross_origin_refused")
	b.send("/account/keys", page.fields("do", "make", "name", "x", "days", "30", "form", "").Encode()).want(t, "no token", 403, "form_expired")
	b.send("/account/keys", page.fields("do", "make", "name", " ", "days", "30").Encode()).want(t, "no name", 422, "Enter a name for the key.")
	for what, pairs := range map[string][]string{
		"any lifetime": {"do", "make", "name", "x", "days", "4000"}, "no lifetime": {"do", "make", "name", "x"}, "a long name": {"do", "make", "name", strings.Repeat("x", maxKeyName+1), "days", "30"},
		"a scope of no catalogue": {"do", "make", "name", "x", "days", "30", "scope.admin:write", "yes"}, "something else": {"do", "x"}, "no key": {"do", ""}, "a long id": {"key", strings.Repeat("x", maxKeyID+1)},
	} {
		p := b.get("/account/keys").fields()
		p.Del("do")
		for i := 0; i+1 < len(pairs); i += 2 {
			p.Set(pairs[i], pairs[i+1])
		}
		b.send("/account/keys", p.Encode()).want(t, what, 400, "form_invalid")
	}
	if len(h.keyring.all) != 0 {
		t.Fatalf("%+v", h.keyring.all)
	}
	b.send("/account/keys", order.Encode()).want(t, "made", 200, `<code id="key">ghk_live_backup</code>`, "Authorization: Bearer $API_KEY")
	listed := b.get("/account/keys")
	listed.want(t, "listed", 200, "backup", "Never used", `value="key_backup"`)
	if strings.Contains(listed.body, "ghk_live_") {
		t.Error("the key is shown again")
	}
	revoke := listed.fields("key", "key_backup")
	revoke.Del("do")
	b.send("/account/keys", revoke.Encode()).want(t, "revoked", 200, "The key was revoked.")
	b.send("/account/keys", revoke.Encode()).want(t, "again", 422, "There is no such key any more.")
	for _, p := range h.sessions { // a screen that was left open
		p.AuthTime = p.AuthTime.Add(-time.Hour)
	}
	b.get("/account/keys").want(t, "later", 200, `id="stale"`)
	b.send("/account/keys", order.Encode()).want(t, "a key much later", 303, "/signin?")
	if len(h.keyring.all) != 0 {
		t.Errorf("%+v", h.keyring.all)
	}
}
