package users_test

import (
	netmail "net/mail"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestAskAddress: to ask for another address takes the person, a moment after signing in, with the second factor where the account
// has one, and an address that can be written to.
func TestAskAddress(t *testing.T) {
	h := testadmin.New(t)
	id := h.Person(h.Bootstrap(), "main", "bob")
	who := gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, Name: "bob", Scopes: []string{gatehouse.ScopeAll},
		Scheme: gatehouse.SchemeSession, AuthTime: time.Now(), AMR: []string{"pwd"}}
	ask := func(what, code, address string, change func(p *gatehouse.Principal)) {
		t.Helper()
		p := who
		change(&p)
		err := h.Admin.Users.AskAddress(t.Context(), &p, address)
		if got := gatehouse.CodeOf(err); (err == nil) != (code == "") || err != nil && got != code {
			t.Errorf("%s: %v, want %q", what, err, code)
		}
	}
	same := func(*gatehouse.Principal) {}
	ask("without mail", "mail_off", "bob@example.com", same)
	h.MailSet.Store(&mail.Settings{Outbox: "/nowhere", From: netmail.Address{Address: "id@example.com"}, Language: "en", Bounds: mail.Bounds{PerAddress: 50, PerRealm: 200}})
	ask("an hour ago", "address_needs_sign_in", "bob@example.com", func(p *gatehouse.Principal) { p.AuthTime = p.AuthTime.Add(-time.Hour) })
	ask("an API key", "address_needs_sign_in", "bob@example.com", func(p *gatehouse.Principal) { p.Scheme = gatehouse.SchemeAPIKey })
	ask("somebody of another issuer", "address_needs_sign_in", "bob@example.com", func(p *gatehouse.Principal) { p.Foreign = true })
	for _, bad := range []string{"", "bob", "Bob <bob@example.com>", "bob@example.com\r\nBcc: eve@example.com", "bob@example.com,eve@example.com", "böb@example.com"} {
		ask("the address "+bad, "email_invalid", bad, same)
	}
	ask("as it should be", "", "bob@example.com", same)
	u, err := h.DB.User(t.Context(), "main", id)
	if err != nil || u.Email != "" || u.NewEmail != "bob@example.com" || u.EmailVerified() {
		t.Errorf("%+v %v", u, err)
	}
}
