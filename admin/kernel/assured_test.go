package kernel_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestAdministratorsProveTwice: where the realm asks for it, people administer by a sign-in with a second factor, which may
// be only so old, and make no key of their own by less, which would administer too. Everybody else, the own account, and API keys go on.
//
// ASVS: 6.3.3
func TestAdministratorsProveTwice(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	otto, bob := h.Person(root, "main", "otto", "gatehouse-operator"), h.Person(root, "main", "bob")
	backup := h.Person(root, "main", "bea", "gatehouse-backup")
	login := func(id, acr string, ago time.Duration) string { return h.Login("main", id, acr, ago) }
	weak, strong, early, unsaid := login(otto, "aal1", 0), login(otto, "aal2", 0), login(otto, "aal2", time.Hour), login(otto, "", 0)
	person, saver := login(bob, "aal1", 0), login(backup, "aal1", 0)
	const others, own, keys = "/realms/main/users/bob", "/realms/main/users/me", "/realms/main/keys"
	key := map[string]any{"name": "mine", "scopes": []string{"*"}}
	made, _ := h.Key(root, "main", "otto", "*")
	set := func(status int, settings map[string]any) {
		t.Helper()
		h.Want(status, root, "PATCH", "/realms/main", map[string]any{"settings": settings})
	}
	challenged := func(who, method, path string, body any, want string) {
		t.Helper()
		r := h.Call(who, method, path, body)
		if line := r.Header.Get("WWW-Authenticate"); r.Status != 401 || r.Str("code") != "insufficient_user_authentication" || line != `Bearer realm="main", error="insufficient_user_authentication"`+want {
			t.Errorf("%s %s: %d %q %s", method, path, r.Status, line, r.Body)
		}
	}
	h.Want(200, weak, "GET", others, nil) // nothing is asked
	h.Want(200, "otto:"+testadmin.Password, "GET", others, nil)
	for _, settings := range []map[string]any{{"admin_mfa": "sometimes"}, {"admin_max_auth_age": "10m"}, {"admin_mfa": "optional", "admin_max_auth_age": "10m"}, {"admin_mfa": "required", "admin_max_auth_age": "1m"}} {
		set(422, settings)
	}

	set(200, map[string]any{"admin_mfa": "required"})
	const two = `, acr_values="aal2"`
	for _, who := range []string{weak, unsaid} {
		challenged(who, "GET", others, nil, two)
		challenged(who, "GET", "/realms", nil, two)
		challenged(who, "PATCH", others, map[string]any{"disabled": true}, two)
		challenged(who, "POST", keys, key, two)
		h.Want(200, who, "GET", own, nil)
	}
	challenged(saver, "POST", keys, key, two)
	if r := h.Call("otto:"+testadmin.Password, "GET", others, nil); r.Status != 401 || r.Str("code") != "second_factor_missing" {
		t.Errorf("by the password: %d %s", r.Status, r.Body)
	}
	for _, who := range []string{strong, early, made, root} {
		h.Want(200, who, "GET", others, nil)
	}
	h.Want(201, strong, "POST", keys, key)
	h.Want(201, person, "POST", keys, key)
	h.Want(200, "bob:"+testadmin.Password, "GET", own, nil)
	h.Want(403, person, "GET", "/realms/main/users/otto", nil)

	set(200, map[string]any{"admin_mfa": "required", "admin_max_auth_age": "10m"})
	challenged(early, "GET", others, nil, two+`, max_age="600"`)
	h.Want(200, strong, "GET", others, nil)
	h.Want(200, made, "GET", others, nil)
	denied := 0
	for _, e := range h.Recorded() {
		if e.Kind == "admin.denied" && e.Reason == "insufficient_user_authentication" && strings.HasPrefix(e.Actor.ID, "usr_") {
			denied++
		}
	}
	if denied < 6 {
		t.Errorf("%d refusals are in the record", denied)
	}
}

// TestOwnPasswordTakesTheFactor: who has a second factor changes the password by a sign-in with it, of a moment ago; the current
// password beside an older token is not enough.
//
// ASVS: 7.5.1
func TestOwnPasswordTakesTheFactor(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := h.Person(root, "main", "bob")
	login := func(acr string, ago time.Duration) string { return h.Login("main", bob, acr, ago) }
	weak, old, strong := login("aal1", 0), login("aal2", 6*time.Minute), login("aal2", 0)
	if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		u, err := tx.User(ctx, "main", bob)
		if err != nil {
			return err
		}
		u.SecondFactor = true
		return tx.UpdateUser(ctx, u)
	}); err != nil {
		t.Fatal(err)
	}
	change := map[string]any{"current": testadmin.Password, "new": "olive-Tractor-pencil-88-dune"}
	for _, who := range []string{weak, old} {
		r := h.Want(401, who, "PUT", "/realms/main/users/me/password", change)
		if line := r.Header.Get("WWW-Authenticate"); !strings.HasSuffix(line, `acr_values="aal2", max_age="300"`) {
			t.Errorf("%q", line)
		}
	}
	h.Want(204, strong, "PUT", "/realms/main/users/me/password", change)
}
