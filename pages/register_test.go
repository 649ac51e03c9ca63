package pages

import (
	"cmp"
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// invitations are made up: there is one, of main.
type invitations struct {
	made string
	err  error
}

func (i *invitations) InvitationOf(_ context.Context, realm string, text gatehouse.Secret) (string, error) {
	if text != rightLink || realm != "main" || i.made != "" {
		return "", gatehouse.E(gatehouse.Denied, "invitation_invalid", "")
	}
	return "new@example.com", nil
}

func (i *invitations) Register(ctx context.Context, realm string, text gatehouse.Secret, username string, password gatehouse.Secret) error {
	if _, err := i.InvitationOf(ctx, realm, text); err != nil || i.err != nil {
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
