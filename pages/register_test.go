package pages

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// invitations are made up: there is one, of main.
type invitations struct {
	made    string
	err     error
	named   bool     // it is no invitation
	asked   []string // addresses that a link was asked for
	limited bool
}

func (i *invitations) AskRegistration(_ context.Context, realm, address string) error {
	i.asked = append(i.asked, realm+" "+address)
	return i.err
}

func (i *invitations) InvitationOf(_ context.Context, realm string, text gatehouse.Secret) (string, bool, error) {
	if text != rightLink || realm != "main" || i.made != "" {
		return "", false, gatehouse.E(gatehouse.Denied, "invitation_invalid", "")
	}
	return "new@example.com", i.named, nil
}

func (i *invitations) Register(ctx context.Context, realm string, text gatehouse.Secret, username string, password gatehouse.Secret) error {
	if _, _, err := i.InvitationOf(ctx, realm, text); err != nil || i.err != nil {
		return cmp.Or(err, i.err)
	}
	i.made = username + " " + password.Reveal()
	return nil
}

// TestRegisterPage: the text of an invitation leaves the address at once; nobody is let in without one, what cannot be is told
// in words, with the name that was typed and without the password, and nobody is signed in.
func TestRegisterPage(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.get("/register").want(t, "without an invitation", 403, "invitation_invalid")
	came := b.get("/register?code=" + rightLink)
	came.want(t, "the link", 303, "/register")
	if strings.Contains(came.header.Get("Location"), rightLink) || !strings.HasSuffix(came.cookieOf("__Host-gatehouse-invitation-main"), "; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("%v", came.header)
	}
	asked := b.get("/register")
	asked.want(t, "the question", 200, "new@example.com", `autocomplete="new-password"`, "At least 15")
	send := func(name, password string) page {
		return b.send("/register", asked.fields("identifier", name, "password", password).Encode())
	}
	send("", rightPassword).want(t, "no name", 422, "Enter a user name")
	send("new", "").want(t, "no password", 422, "Enter your password")
	for code, want := range map[string]string{"username_taken": "is taken", "username_invalid": "cannot be a user name"} {
		h.invitations.err = gatehouse.E(gatehouse.Unprocessable, code, "")
		got := send("new", rightPassword)
		got.want(t, code, 422, want, `value="new"`)
		if strings.Contains(got.body, rightPassword) {
			t.Errorf("%s: the page has the password", code)
		}
	}
	h.invitations.err = nil
	send(" new ", rightPassword).want(t, "sent", 303, "/register/done")
	if h.invitations.made != "new "+rightPassword || h.open() != 0 {
		t.Errorf("%q, %d sessions", h.invitations.made, h.open())
	}
	b.get("/register/done").want(t, "done", 200, `href="/signin"`)
	b.get("/register").want(t, "once more", 403, "invitation_invalid")
}

// TestRegisterByAddress: where the realm is open the page takes an address and answers the same at the same time, whatever becomes
// of it; by the link a password is chosen, and no name; a link that is worth nothing does not shut the page.
//
// ASVS: 6.3.8
func TestRegisterByAddress(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	if page := b.get("/signin"); strings.Contains(page.body, `id="register"`) {
		t.Error("a way to register in a realm that is not open")
	}
	h.settings.Registration, h.settings.RegistrationDomains = gatehouse.RegistrationDomain, []string{"example.com", "example.org"}
	b.get("/signin").want(t, "the way there", 200, `href="/register" id="register"`)
	asked := b.get("/register")
	asked.want(t, "the question", 200, `name="email" type="email"`, "At example.com, example.org.")
	send := func(address string) page {
		return b.send("/register", asked.fields("email", address).Encode())
	}
	begun := time.Now()
	first := send(" new@example.com ")
	if took := time.Since(begun); took < 250*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	first.want(t, "sent", 200, "on its way", "for one hour")
	if second := send("other@example.org"); second.body != first.body || second.status != first.status {
		t.Errorf("two addresses, two answers:\n%s\n%s", first.body, second.body)
	}
	if want := []string{"main new@example.com", "main other@example.org"}; !slices.Equal(h.invitations.asked, want) {
		t.Errorf("%q", h.invitations.asked)
	}
	for code, want := range map[string]string{"email_invalid": "no e-mail address", "registration_domain": "this domain cannot be used"} {
		h.invitations.err = gatehouse.E(gatehouse.Unprocessable, code, "")
		send("new@else.example").want(t, code, 422, want, `value="new@else.example"`, `aria-describedby="email-error"`)
	}
	h.invitations.err = gatehouse.E(gatehouse.Denied, "registration_closed", "")
	send("new@example.com").want(t, "closed meanwhile", 403, "registration_closed")
	h.invitations.err, h.invitations.limited = nil, true
	n := len(h.invitations.asked)
	send("new@example.com").want(t, "too many", 429, "rate_limited")
	if len(h.invitations.asked) != n {
		t.Error("who asks too often is served")
	}
	h.invitations.limited, h.resets.off = false, true
	b.get("/register").want(t, "no mail", 200, "No mail is sent here")
	send("new@example.com").want(t, "no mail, sent all the same", 200, "No mail is sent here")
	h.resets.off = false

	b.get("/register?code=wrong").want(t, "a wrong link", 303, "/register")
	b.get("/register").want(t, "a wrong link", 403, "invitation_invalid")
	b.get("/register").want(t, "and after it", 200, `name="email"`)
	h.invitations.named = true
	b.get("/register?code="+rightLink).want(t, "the link", 303, "/register")
	chosen := b.get("/register")
	chosen.want(t, "the password", 200, "new@example.com", `value="new@example.com" autocomplete="username"`, "is verified")
	b.send("/register", chosen.fields("password", rightPassword).Encode()).want(t, "made", 303, "/register/done?by=email")
	if !strings.HasSuffix(h.invitations.made, " "+rightPassword) || h.open() != 0 {
		t.Errorf("%q, %d sessions", h.invitations.made, h.open())
	}
	b.get("/register/done?by=email").want(t, "done", 200, "your e-mail address as the user name")
}
