package pages

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// addresses are links to verify an address by, made up: one, by which bob gets another one.
type addresses struct {
	asked, done string
	err         error
}

func (a *addresses) SendAddressLink(context.Context, *gatehouse.Principal, string, string) error {
	a.asked = "now"
	return a.err
}

func (a *addresses) AskAddress(_ context.Context, _ *gatehouse.Principal, address string) error {
	a.asked = address
	return a.err
}

func (a *addresses) AddressOf(_ context.Context, who *gatehouse.Principal, realm string, text gatehouse.Secret) (string, string, bool, error) {
	if text != rightLink || realm != "main" || a.done != "" {
		return "", "", false, gatehouse.E(gatehouse.Denied, "address_link_invalid", "")
	}
	return "bob", "bob@new.example", who == nil, nil
}

func (a *addresses) VerifyAddress(ctx context.Context, who *gatehouse.Principal, realm string, text gatehouse.Secret) error {
	_, _, signIn, err := a.AddressOf(ctx, who, realm, text)
	if err == nil && signIn {
		err = gatehouse.E(gatehouse.Denied, "address_link_invalid", "")
	}
	if err == nil {
		a.done = who.ID
	}
	return err
}

// TestAddressPages: a link's text leaves the address at once; a look verifies nothing; who gets another address is asked to
// sign in first; what is refused is told in words.
func TestAddressPages(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.get("/account/email").want(t, "nobody", 303, "/signin?")
	came := b.get("/verify?code=" + rightLink)
	came.want(t, "the link", 303, "/verify")
	if strings.Contains(came.header.Get("Location"), rightLink) || !strings.HasSuffix(came.cookieOf("__Host-gatehouse-address-main"), "; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("%v", came.header)
	}
	b.get("/verify").want(t, "not signed in", 303, "/signin?", "return=%2Fverify")
	b.signIn("")
	asked := b.get("/verify")
	asked.want(t, "the question", 200, "bob@new.example", `<bdi id="name">bob</bdi>`)
	if h.addresses.done != "" {
		t.Fatal("verified by a look")
	}
	h.browser().send("/verify", asked.fields().Encode()).want(t, "another browser", 403, "form_expired")
	b.send("/verify", asked.fields().Encode()).want(t, "sent", 303, "/verify/done")
	b.get("/verify/done").want(t, "done", 200, `href="/account"`)
	b.get("/verify").want(t, "once more", 403, "address_link_invalid")

	page := b.get("/account/email")
	page.want(t, "the page", 200, "bob@example.org", `id="unverified"`, `id="change-email"`)
	b.send("/account/email", page.fields("do", "verify").Encode()).want(t, "verify", 200, "A link is on its way")
	b.send("/account/email", page.fields("do", "change", "email", " bob@new.example ").Encode()).want(t, "change", 200, "A link is on its way")
	if h.addresses.asked != "bob@new.example" {
		t.Errorf("asked for %q", h.addresses.asked)
	}
	for code, want := range map[string]string{"email_invalid": "no e-mail address", "no_email": "No link was sent", "version_conflict": "changed meanwhile"} {
		h.addresses.err = gatehouse.E(gatehouse.Unprocessable, code, "")
		b.send("/account/email", page.fields("do", "change", "email", "x").Encode()).want(t, code, 422, want)
	}
	h.addresses.err = gatehouse.E(gatehouse.Denied, "address_needs_sign_in", "")
	b.send("/account/email", page.fields("do", "change", "email", "x@example.com").Encode()).want(t, "stale", 303, "again=1")
	h.addresses.err = credential.ErrInvalidCredentials
	if got := b.send("/account/email", page.fields("do", "change", "email", "x@example.com").Encode()); got.status != http.StatusUnauthorized {
		t.Errorf("another failure: %d", got.status)
	}
	b.send("/account/email", page.fields("do", "x").Encode()).want(t, "no such thing", 400, "form_invalid")
	h.resets.off = true
	if got := b.get("/account/email"); got.status != 200 || strings.Contains(got.body, "change-email") || !strings.Contains(got.body, "No mail is sent here") {
		t.Errorf("without mail: %d %s", got.status, got.body)
	}
}
