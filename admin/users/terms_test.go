package users_test

import (
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestAcceptTerms: a person accepts, by a session, the version that counts now and no other; it is recorded once, and API keys go on
// without.
func TestAcceptTerms(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := ownPrincipal(h.Person(root, "main", "bob"), "bob")
	accept := func(what, version, code string, change func(p *gatehouse.Principal)) {
		t.Helper()
		p := bob
		change(&p)
		if err := h.Admin.Users.AcceptTerms(t.Context(), &p, version); gatehouse.CodeOf(err) != code && !(err == nil && code == "") {
			t.Errorf("%s: %v, want %q", what, err, code)
		}
	}
	same := func(*gatehouse.Principal) {}
	accept("there are none", "1", gatehouse.ErrVersionConflict.Code, same)
	accept("none, and none is accepted", "", gatehouse.ErrVersionConflict.Code, same)
	terms := func(version string) {
		h.Want(200, root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"terms_url": "https://example.com/terms", "terms_version": version}})
	}
	terms("2026-11")
	accept("another version", "2026-10", gatehouse.ErrVersionConflict.Code, same)
	accept("by an API key", "2026-11", "address_needs_sign_in", func(p *gatehouse.Principal) { p.Scheme = gatehouse.SchemeAPIKey })
	accept("by a token", "2026-11", "address_needs_sign_in", func(p *gatehouse.Principal) { p.Scheme = gatehouse.SchemeJWT })
	accept("somebody of another issuer", "2026-11", "address_needs_sign_in", func(p *gatehouse.Principal) { p.Foreign = true })
	accept("a service", "2026-11", "address_needs_sign_in", func(p *gatehouse.Principal) { p.Kind = gatehouse.KindService })
	if got := h.Events(root, "user.terms"); len(got) != 0 {
		t.Errorf("recorded: %v", got)
	}
	h.Want(200, "bob:"+testadmin.Password, "GET", "/me", nil) // programs are not asked
	accept("bob", "2026-11", "", same)
	accept("bob again", "2026-11", "", same)
	if got := h.Events(root, "user.terms"); !slices.Equal(got, []string{bob.ID}) {
		t.Errorf("recorded: %v", got)
	}
	if u, err := h.DB.User(t.Context(), "main", bob.ID); err != nil || u.TermsVersion != "2026-11" {
		t.Errorf("%+v %v", u, err)
	}
	terms("2027-01")
	accept("the version of before", "2026-11", gatehouse.ErrVersionConflict.Code, same)
	accept("the next", "2027-01", "", same)
}
