package keys_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestOwnKeyTakesARecentSignIn: people make a key of their own, or the successor of one, within five minutes of signing in, by two
// factors where they have them. The answer says what to do. Whoever may write keys makes them for others as before, by an API key too.
//
// ASVS: 7.5.1, 7.5.3
func TestOwnKeyTakesARecentSignIn(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := h.Person(root, "main", "bob")
	login := func(acr string, ago time.Duration) string { return h.Login("main", bob, acr, ago) }
	const keys = "/realms/main/keys"
	key := map[string]any{"name": "mine", "scopes": []string{"*"}}
	_, id := h.Key(root, "main", "bob", "*")
	refused := func(what, who, want string) {
		t.Helper()
		for path, body := range map[string]any{keys: key, keys + "/" + id + "/rotate": map[string]any{}} {
			r := h.Call(who, "POST", path, body)
			if line := r.Header.Get("WWW-Authenticate"); r.Status != 401 || r.Str("code") != "insufficient_user_authentication" || line != `Bearer realm="main", error="insufficient_user_authentication"`+want {
				t.Errorf("%s, %s: %d %q %s", what, path, r.Status, line, r.Body)
			}
		}
	}
	const recent = `, max_age="300"`
	refused("an old login", login("aal1", 6*time.Minute), recent)
	refused("an old login by two factors", login("aal2", time.Hour), recent)
	h.Want(200, login("aal1", time.Hour), "GET", keys+"?owner=me", nil)
	mine := h.Want(201, login("aal1", 4*time.Minute), "POST", keys, key).Str("key", "id")
	h.Want(201, login("aal1", 0), "POST", keys+"/"+mine+"/rotate", nil)

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
	refused("without the second factor", login("aal1", 0), `, acr_values="aal2"`+recent)
	refused("with it, long ago", login("aal2", 6*time.Minute), `, acr_values="aal2"`+recent)
	h.Want(201, login("aal2", 0), "POST", keys, key)
	h.Want(200, login("aal2", time.Hour), "POST", keys+"/"+id+"/revoke", nil)
	h.Key(root, "main", "bob", "*")
	h.Key(root, "main", "me", "*") // root is an API key of who administers

	denied := 0
	for _, e := range h.Recorded() {
		if e.Kind == "admin.denied" && e.Reason == "insufficient_user_authentication" && e.Actor.ID == bob {
			denied++
		}
	}
	if denied != 8 {
		t.Errorf("%d refusals are in the record", denied)
	}
}
