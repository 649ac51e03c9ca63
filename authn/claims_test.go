package authn

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestClientWithoutAUser: a token whose subject is its client needs no account, and
// the client has none of a user's.
func TestClientWithoutAUser(t *testing.T) {
	w := newWorld(t)
	p := w.access(func(a *token.Access) { a.Subject, a.ClientID = "robot", "robot" })
	for range 2 { // verified, then remembered
		if who := w.check(t, p, secure, "", ""); who.Kind != gatehouse.KindClient || who.ID != "robot" || who.Foreign || who.Name != "" {
			t.Errorf("%+v", who)
		}
	}
	w.check(t, w.access(func(a *token.Access) { a.Subject, a.ClientID = "robot", "other" }), secure, "invalid_token", "subject_unknown")
	w.check(t, w.access(func(a *token.Access) { a.Subject, a.ClientID = "usr_gone", "first-party" }), secure, "invalid_token", "subject_disabled")
}
