package users_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/store"
)

// ASVS: 6.3.2, 13.2.3
func TestBootstrapWorksOnce(t *testing.T) {
	h := testadmin.New(t)
	if r := h.Call("", "POST", "/bootstrap", map[string]any{"secret": "guess", "username": "root", "password": testadmin.Password}); r.Status != 401 || r.Str("code") != "bootstrap_refused" {
		t.Fatalf("a guess: %d %s", r.Status, r.Body)
	}
	key := h.Bootstrap()
	me := h.Want(200, key, "GET", "/me", nil)
	if me.Str("name") != "root" || !strings.Contains(me.Body, "gatehouse-admin") {
		t.Fatalf("me: %s", me.Body)
	}
	if r := h.Call("", "POST", "/bootstrap", map[string]any{"secret": h.Secret.Reveal(), "username": "second", "password": testadmin.Password}); r.Status != 401 {
		t.Fatalf("the secret worked twice: %d %s", r.Status, r.Body)
	}
	if v, err := h.DB.Setting(t.Context(), "bootstrap"); !errors.Is(err, gatehouse.NotFound) {
		t.Fatalf("the used secret is kept: %q %v", v, err)
	}
	if s, _, err := h.Admin.Users.NewBootstrapSecret(t.Context()); err != nil || s != "" {
		t.Fatalf("another secret although there is an administrator: %v", err)
	}
	if r := h.Want(200, "root:"+testadmin.Password, "GET", "/me", nil); r.Str("scheme") != "basic" {
		t.Fatalf("the testadmin.Password does not log in: %s", r.Body)
	}
}

// TestBootstrapSecretOfAllNodes: as long as there is no administrator, every start tells the
// same secret until it ends, and then a new one; the old one is good for nothing.
func TestBootstrapSecretOfAllNodes(t *testing.T) {
	h := testadmin.New(t)
	now := time.Now()
	c := testadmin.Config(h)
	c.Now = func() time.Time { return now }
	told := func() (gatehouse.Secret, time.Time) {
		t.Helper()
		secret, end, err := testadmin.Must(admin.New(c)).Users.NewBootstrapSecret(t.Context())
		if err != nil || len(secret) != 43 {
			t.Fatalf("%d characters, %v", len(secret), err)
		}
		return secret, end
	}
	refused := func(secret gatehouse.Secret) {
		t.Helper()
		_, err := testadmin.Must(admin.New(c)).Users.Bootstrap(t.Context(), users.NewBootstrap{Secret: secret, Username: "late", Password: testadmin.Password})
		if gatehouse.CodeOf(err) != "bootstrap_refused" {
			t.Errorf("it works: %v", err)
		}
	}
	first, end := told()
	if first != h.Secret || end.Sub(now).Round(time.Minute) != users.BootstrapTTL {
		t.Errorf("another secret, or until %v", end)
	}
	now = end.Add(-time.Nanosecond)
	if again, until := told(); again != first || !until.Equal(end) {
		t.Error("another one a moment before its end")
	}
	now = end
	refused(first)
	second, until := told()
	if second == first || until != end.Add(users.BootstrapTTL) {
		t.Errorf("the one that has ended, or until %v", until)
	}
	refused(first)
	c.BootstrapKey = bytes.Repeat([]byte{1}, 32) // nobody can tell the one that is stored
	third, _ := told()
	refused(second)
	for name, value := range map[string]string{"without an end": "abc", "of another form": "abc tomorrow"} {
		if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.PutSetting(ctx, users.SettingBootstrap, value)
		}); err != nil {
			t.Fatal(err)
		}
		refused(third)
		if s, _ := told(); s == "" {
			t.Errorf("none for what is stored %s", name)
		}
	}
	last, _ := told()
	if _, err := testadmin.Must(admin.New(c)).Users.Bootstrap(t.Context(), users.NewBootstrap{Secret: last, Username: "root", Password: testadmin.Password}); err != nil {
		t.Fatal(err)
	}
}

// ASVS: 6.2.2, 6.2.3
func TestUserLifecycle(t *testing.T) {
	h := testadmin.New(t)
	key := h.Bootstrap()
	made := h.Want(201, key, "POST", "/realms/main/users", map[string]any{"username": "Bob", "generate_password": true,
		"attributes": map[string]any{"level": 3, "tags": []string{"a"}}})
	first := made.Str("password")
	if len(first) < 20 || strings.Contains(made.Body, "argon2") {
		t.Fatalf("generated password: %s", made.Body)
	}
	if r := h.Call(key, "POST", "/realms/main/users", map[string]any{"username": "bob"}); r.Status != 409 || r.Str("code") != "username_taken" {
		t.Fatalf("same name in another case: %d %s", r.Status, r.Body)
	}
	h.Want(200, "bob:"+first, "GET", "/realms/main/users/me", nil)

	t.Run("own password", func(t *testing.T) {
		if r := h.Call("bob:"+first, "PUT", "/realms/main/users/me/password", map[string]any{"current": "wrong", "new": "granite.Lantern.weasel.42"}); r.Status != 401 {
			t.Fatalf("wrong current password: %d %s", r.Status, r.Body)
		}
		h.Want(204, "bob:"+first, "PUT", "/realms/main/users/me/password", map[string]any{"current": first, "new": "granite.Lantern.weasel.42"})
		h.Want(401, "bob:"+first, "GET", "/me", nil)
		h.Want(200, "bob:granite.Lantern.weasel.42", "GET", "/me", nil)
	})
	t.Run("own name", func(t *testing.T) {
		bob := "bob:granite.Lantern.weasel.42"
		if name := h.Want(200, bob, "PATCH", "/realms/main/users/me", map[string]any{"display_name": "Robert"}).Str("display_name"); name != "Robert" {
			t.Errorf("he is called %q", name)
		}
		h.Want(422, bob, "PATCH", "/realms/main/users/me", map[string]any{"display_name": "a\u202eb"})
		for member, value := range map[string]any{"email": "other@example.com", "groups": []string{"g"}, "roles": []string{"r"}, "attributes": map[string]any{"level": 9}, "disabled": false} {
			h.Want(403, bob, "PATCH", "/realms/main/users/me", map[string]any{"display_name": "Root", member: value})
		}
		h.Want(403, bob, "PATCH", "/realms/main/users/root", map[string]any{"display_name": "Nobody"})
		mine, _ := h.Key(key, "main", "bob", "*")
		h.Want(403, mine, "PATCH", "/realms/main/users/me", map[string]any{"display_name": "by a key that leaked"})
	})
	t.Run("administrators choose no passwords", func(t *testing.T) {
		if r := h.Call(key, "PUT", "/realms/main/users/bob/password", map[string]any{"current": "granite.Lantern.weasel.42", "new": "chosen-by-somebody-else"}); r.Status != 422 || r.Str("code") != "password_not_chosen_here" {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		// No mail is sent here: the link is shown, once, and then it is the person who has it.
		link := h.Want(200, key, "POST", "/realms/main/users/bob/password/reset-link", nil).Str("link")
		h.Want(200, "bob:granite.Lantern.weasel.42", "GET", "/me", nil)
		ended := h.Want(200, key, "POST", "/realms/main/users/bob/password/reset-link", map[string]any{"end": true})
		h.Want(401, "bob:granite.Lantern.weasel.42", "GET", "/me", nil)
		if ended.JSON["sent"] != false || time.Until(testadmin.Must(time.Parse(time.RFC3339, ended.Str("expires_at")))) > time.Hour {
			t.Errorf("%s", ended.Body)
		}
		const next = "seven plovers near the weir"
		code := func(link string) gatehouse.Secret {
			_, code, _ := strings.Cut(link, "?code=")
			return gatehouse.Secret(code)
		}
		for i, text := range []string{link, ended.Str("link"), ended.Str("link")} { // of before, good, used
			if err := h.Admin.Users.Reset(t.Context(), "main", code(text), next); (err == nil) != (i == 1) || err != nil && gatehouse.CodeOf(err) != "reset_link_invalid" {
				t.Errorf("link %d: %v", i, err)
			}
		}
		h.Want(200, "bob:"+next, "GET", "/me", nil)
	})
	t.Run("import", func(t *testing.T) {
		hash := string(testadmin.Must(bcrypt.GenerateFromPassword([]byte("short"), 10)))
		h.Want(422, key, "POST", "/realms/main/users", map[string]any{"username": "eve", "password_hash": "hunter2"})
		h.Want(422, key, "POST", "/realms/main/users", map[string]any{"username": "eve", "password_hash": hash, "password": testadmin.Password})
		h.Want(201, key, "POST", "/realms/main/users", map[string]any{"username": "eve", "password_hash": hash})
		h.Want(200, "eve:short", "GET", "/me", nil)
		h.Want(204, key, "DELETE", "/realms/main/users/eve", nil)
	})
	t.Run("version", func(t *testing.T) {
		u := h.Want(200, key, "GET", "/realms/main/users/bob", nil)
		v := u.JSON["version"].(float64)
		h.Want(200, key, "PATCH", "/realms/main/users/bob", map[string]any{"display_name": "Bob B.", "version": v})
		if r := h.Call(key, "PATCH", "/realms/main/users/bob", map[string]any{"display_name": "Other", "version": v}); r.Status != 409 || r.Str("code") != "version_conflict" {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	})
	t.Run("paging", func(t *testing.T) {
		p := h.Want(200, key, "GET", "/realms/main/users?limit=1", nil)
		if len(p.JSON["items"].([]any)) != 1 || p.Str("next") == "" {
			t.Fatalf("first page: %s", p.Body)
		}
		p = h.Want(200, key, "GET", "/realms/main/users?limit=1&after="+p.Str("next"), nil)
		if len(p.JSON["items"].([]any)) != 1 || p.Str("next") != "" {
			t.Fatalf("last page: %s", p.Body)
		}
	})
	t.Run("delete", func(t *testing.T) {
		text, id := h.Key(key, "main", "bob", "*")
		h.Want(200, text, "GET", "/me", nil)
		h.Want(204, key, "DELETE", "/realms/main/users/bob", nil)
		h.Want(401, text, "GET", "/me", nil)
		h.Want(404, key, "GET", "/realms/main/users/bob", nil)
		if r := h.Want(200, key, "GET", "/realms/main/keys/"+id, nil); r.Str("status") != "revoked" {
			t.Fatalf("the key of a deleted user: %s", r.Body)
		}
	})
}

// TestEndsLogins: what must end an account's tokens ends them before the call
// returns.
func TestEndsLogins(t *testing.T) {
	for name, end := range map[string]func(h *testadmin.House, key string){
		"disable": func(h *testadmin.House, key string) {
			h.Want(200, key, "PATCH", "/realms/main/users/bob", map[string]any{"disabled": true})
			// What ended stays ended when he is let in again.
			h.Want(200, key, "PATCH", "/realms/main/users/bob", map[string]any{"disabled": false})
		},
		"delete": func(h *testadmin.House, key string) { h.Want(204, key, "DELETE", "/realms/main/users/bob", nil) },
		"reset": func(h *testadmin.House, key string) {
			h.Want(200, key, "POST", "/realms/main/users/bob/password/reset-link", map[string]any{"end": true})
		},
		"revoke": func(h *testadmin.House, key string) { h.Want(204, key, "POST", "/realms/main/users/bob/revoke", nil) },
		"cut-off": func(h *testadmin.House, key string) {
			h.Want(201, key, "POST", "/realms/main/revocations", map[string]any{"kind": "realm"})
		},
		"end grant": func(h *testadmin.House, key string) {
			g := h.Want(200, key, "GET", "/realms/main/users/bob/grants", nil).JSON["items"].([]any)[0].(map[string]any)
			h.Want(204, key, "POST", "/realms/main/grants/"+g["id"].(string)+"/end", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := testadmin.New(t)
			key := h.Bootstrap()
			id := h.Person(key, "main", "bob")
			p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()}
			tokens, err := h.Grants.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, p)
			if err != nil {
				t.Fatal(err)
			}
			h.Want(200, tokens.AccessToken.Reveal(), "GET", "/me", nil)
			end(h, key)
			h.Want(401, tokens.AccessToken.Reveal(), "GET", "/me", nil)
			if _, err := h.Grants.Renew(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
				t.Fatalf("the refresh token lives on: %v", err)
			}
		})
	}
}

// Each key that ends with its owner leaves one event of its own; those that had
// ended before leave none.
func TestDeletedUserEndsEachKey(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "bob")
	h.Person(root, "main", "eve")
	_, first := h.Key(root, "main", "bob", "*")
	_, second := h.Key(root, "main", "bob")
	_, disabled := h.Key(root, "main", "bob", "*")
	h.Want(200, root, "PATCH", "/realms/main/keys/"+disabled, map[string]any{"disabled": true})
	_, revoked := h.Key(root, "main", "bob", "*")
	h.Want(200, root, "POST", "/realms/main/keys/"+revoked+"/revoke", nil)
	leakedText, leaked := h.Key(root, "main", "bob", "*")
	h.Want(204, "", "POST", "/keys/leaked", map[string]any{"key": leakedText})
	elseText, _ := h.Key(root, "main", "eve", "*")

	h.Want(204, root, "DELETE", "/realms/main/users/bob", nil)
	want := []string{first, second, disabled, revoked}
	slices.Sort(want)
	if got := h.Events(root, "key.revoke"); !slices.Equal(got, want) {
		t.Errorf("events of keys that ended: %q, want %q", got, want)
	}
	for id, status := range map[string]string{first: "revoked", second: "revoked", disabled: "revoked", revoked: "revoked", leaked: "leaked"} {
		if r := h.Want(200, root, "GET", "/realms/main/keys/"+id, nil); r.Str("status") != status {
			t.Errorf("%s: %s, want %s", id, r.Str("status"), status)
		}
	}
	h.Want(200, elseText, "GET", "/me", nil)
}
