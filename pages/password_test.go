package pages

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// profile is what bob may change of his account, made up.
type profile struct {
	name       *string
	password   gatehouse.Secret // "": that of before
	noPassword bool
	refuse     error  // what the next change gets
	ended      func() // all logins
	terms      string // the version that was accepted
}

func (p *profile) AcceptTerms(_ context.Context, _ *gatehouse.Principal, version string) error {
	if p.refuse != nil {
		return p.refuse
	}
	p.terms = version
	return nil
}

func (p *profile) Rename(_ context.Context, _ *gatehouse.Principal, name string) error {
	if p.refuse != nil {
		return p.refuse
	}
	p.name = &name
	return nil
}

func (p *profile) ChangePassword(_ context.Context, _ *gatehouse.Principal, current, next gatehouse.Secret) error {
	switch {
	case p.refuse != nil:
		return p.refuse
	case current != rightPassword:
		return credential.ErrInvalidCredentials
	}
	p.password = next
	p.ended()
	return nil
}

// TestChangePassword: the page says what a new password must be, takes it with the current one alone, and leaves this browser
// signed in and no other.
//
// ASVS: 6.2.2, 6.2.3
func TestChangePassword(t *testing.T) {
	h := newHouse(t, true)
	b, other := h.browser(), h.browser()
	h.profile.ended = func() { h.endBut(&gatehouse.Principal{Realm: "main", ID: "usr_bob"}, "") }
	b.get(pagePassword).want(t, "nobody's password", 303, "/signin?return=%2Faccount%2Fpassword")
	b.signIn("")
	other.signIn("")
	b.get("/account").want(t, "the way there", 200, `href="/account/password"`)
	page := b.get(pagePassword)
	page.want(t, "the question", 200, "At least 15 characters.", `autocomplete="current-password"`, `autocomplete="new-password"`, `value="bob" autocomplete="username"`)
	const next = "nine herons by a dry canal"
	right := page.fields("current", rightPassword, "password", next)
	b.send(pagePassword, right.Encode(), "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "cross_origin_refused")
	b.send(pagePassword, other.get(pagePassword).fields("current", rightPassword, "password", next).Encode()).want(t, "the form of another browser", 403, "form_expired")
	b.send(pagePassword, page.fields("current", rightPassword, "password", next, "user", "x").Encode()).want(t, "another field", 400, "form_invalid")
	b.send(pagePassword, page.fields("current", rightPassword).Encode()).want(t, "no new one", 422, "Enter a new password.")
	b.send(pagePassword, page.fields("current", "wrong", "password", next).Encode()).want(t, "a wrong one", 422, `id="current-error"`)
	h.profile.refuse = &gatehouse.Error{Kind: gatehouse.RateLimited, RetryAfter: time.Minute}
	b.send(pagePassword, right.Encode()).want(t, "too many tries", 429, `id="problem"`)
	h.profile.refuse = gatehouse.ErrVersionConflict
	b.send(pagePassword, right.Encode()).want(t, "changed meanwhile", 409, `id="problem"`)
	h.profile.refuse = nil
	if h.profile.password != "" || h.open() != 2 {
		t.Fatal("the password was changed")
	}
	b.send(pagePassword, right.Encode()).want(t, "changed", 303, "/account?said=password")
	b.get("/account?said=password").want(t, "this browser", 200, `id="said"`, "Your new password counts.")
	other.get("/account").want(t, "the other browser", 303, "/signin")
	h.browser().get("/account?said=password").want(t, "who is not signed in", 303, "/signin")
	h.profile.noPassword = true
	b.get(pagePassword).want(t, "no password", 200, `id="none"`)
}

// TestChangePasswordNow: whoever has a second factor proves it again, and by the new password proves nothing else than that.
func TestChangePasswordNow(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	h.profile.ended = func() { h.endBut(&gatehouse.Principal{Realm: "main", ID: "usr_bob"}, "") }
	b.signIn("")
	page := b.get(pagePassword)
	h.apps.list = []Factor{{ID: "phone", App: true, Confirmed: true}}
	b.get(pagePassword).want(t, "without the second factor", 200, `id="stale"`)
	form := page.fields("current", rightPassword, "password", "nine herons by a dry canal").Encode()
	b.send(pagePassword, form).want(t, "sent all the same", 303, "/signin?again=1")
	if h.profile.password != "" {
		t.Fatal("the password was changed without the second factor")
	}
	began := time.Now().Add(-time.Minute)
	for _, p := range h.sessions {
		p.AuthTime, p.AMR, p.ACR = began, []string{"pwd", "otp", gatehouse.AMRMultiFactor}, gatehouse.AAL2
	}
	b.send(pagePassword, form).want(t, "with it", 303, "/account?said=password")
	for _, p := range h.sessions {
		if !p.AuthTime.Equal(began) || p.ACR != gatehouse.AAL2 || p.Scheme != gatehouse.SchemeSession {
			t.Errorf("%+v", p)
		}
	}
}

// TestPasswordNotStaying: a password that was changed is changed, also when this browser cannot be signed in again.
func TestPasswordNotStaying(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	h.profile.ended = func() {
		h.endBut(&gatehouse.Principal{Realm: "main", ID: "usr_bob"}, "")
		h.refuse = gatehouse.ErrRateLimited
	}
	b.signIn("")
	b.send(pagePassword, b.get(pagePassword).fields("current", rightPassword, "password", "nine herons by a dry canal").Encode()).
		want(t, "changed", 303, "/signin?return=%2Faccount")
}

// TestRename: a person gives himself another display name on the page of the account.
func TestRename(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.signIn("")
	page := b.get("/account")
	page.want(t, "the name", 200, "Bob &lt;b&gt;Builder&lt;/b&gt;", `id="rename"`)
	b.send("/account", page.fields("do", "rename", "name", " Robert ").Encode()).want(t, "renamed", 200, "Your name was changed.", `<bdi id="name">Robert</bdi>`)
	h.profile.refuse = identity.ValidateUser(&identity.User{DisplayName: strings.Repeat("x", 201)})
	b.send("/account", page.fields("do", "rename", "name", "x").Encode()).want(t, "no name", 422, `id="new-name-error"`, `<details class="edit" open="open">`)
	b.send("/account", page.fields("do", "rename", "name", "x", "session", "y").Encode()).want(t, "two at once", 400, "form_invalid")
}
