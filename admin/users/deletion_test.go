package users_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// ownPrincipal is somebody who signed in a moment ago.
func ownPrincipal(id, name string) gatehouse.Principal {
	return gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, Name: name, Scopes: []string{gatehouse.ScopeAll},
		Scheme: gatehouse.SchemeSession, AuthTime: time.Now(), AMR: []string{"pwd"}}
}

// TestDeleteOwn: a person ends the own account by a sign-in of a moment ago and by nothing else; the last administrator does not.
func TestDeleteOwn(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := ownPrincipal(h.Person(root, "main", "bob"), "bob")
	end := func(what, code string, change func(p *gatehouse.Principal)) {
		t.Helper()
		p := bob
		change(&p)
		if err := h.Admin.Users.DeleteOwn(t.Context(), &p); (err == nil) != (code == "") || err != nil && gatehouse.CodeOf(err) != code {
			t.Errorf("%s: %v, want %q", what, err, code)
		}
	}
	end("an hour ago", "address_needs_sign_in", func(p *gatehouse.Principal) { p.AuthTime = p.AuthTime.Add(-time.Hour) })
	end("an API key", "address_needs_sign_in", func(p *gatehouse.Principal) { p.Scheme = gatehouse.SchemeAPIKey })
	end("somebody of another issuer", "address_needs_sign_in", func(p *gatehouse.Principal) { p.Foreign = true })
	end("the last administrator", "last_administrator", func(p *gatehouse.Principal) {
		p.ID, p.Name = h.Want(200, root, "GET", "/me", nil).Str("id"), "root"
	})
	h.Want(200, "bob:"+testadmin.Password, "GET", "/me", nil)
	end("bob himself", "", func(*gatehouse.Principal) {})
	h.Want(401, "bob:"+testadmin.Password, "GET", "/me", nil)
}
