package pages

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// resets knows one link.
type resets struct {
	off   bool
	asked []string
	set   gatehouse.Secret
	err   error // of the next ask

	exchanged []string
}

const rightLink = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (r *resets) AskReset(_ context.Context, realm, username string) error {
	r.asked = append(r.asked, realm+" "+username)
	return r.err
}

func (r *resets) ResetOf(_ context.Context, realm string, text gatehouse.Secret) (string, error) {
	if realm != "main" || text != rightLink || r.set != "" {
		return "", gatehouse.E(gatehouse.Denied, "reset_link_invalid", "no")
	}
	return "amy", nil
}

func (r *resets) ExchangeInitial(_ context.Context, u identity.User) (gatehouse.Secret, error) {
	r.exchanged = append(r.exchanged, u.Username)
	return rightLink, nil
}

func (r *resets) Reset(ctx context.Context, realm string, text, password gatehouse.Secret) error {
	_, err := r.ResetOf(ctx, realm, text)
	if err == nil {
		r.set = password
	}
	return err
}

// TestRecover: the page takes any name and says the same of each; without mail it takes none.
func TestRecover(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	in := b.send("/signin", b.get("/signin").fields("identifier", "amy", "step", "identifier").Encode())
	in.want(t, "the way there", 200, `href="/recover"`)
	asked := b.get("/recover")
	asked.want(t, "the question", 200, `name="identifier"`)
	b.send("/recover", asked.fields("identifier", " ").Encode()).want(t, "no name", 422, `id="identifier-error"`)
	b.send("/recover", asked.fields("identifier", strings.Repeat("x", maxIdentifier+1)).Encode()).want(t, "a long name", 400)
	sent := b.send("/recover", asked.fields("identifier", " amy ").Encode())
	sent.want(t, "sent", 200, `id="sent"`)
	if other := b.send("/recover", asked.fields("identifier", "nobody").Encode()); other.body != sent.body || other.status != sent.status {
		t.Errorf("%d %s", other.status, other.body)
	}
	if got := strings.Join(h.resets.asked, ", "); got != "main amy, main nobody" {
		t.Errorf("asked for: %s", got)
	}
	h.browser().send("/recover", "identifier=amy&form=x").want(t, "a form that nobody was shown", 403, "form_expired")
	h.resets.off = true
	b.get("/recover").want(t, "without mail", 200, "No mail is sent here")
	b.send("/recover", asked.fields("identifier", "amy").Encode()).want(t, "without mail, sent", 200, "No mail is sent here")
	if got := b.send("/signin", b.get("/signin").fields("identifier", "amy", "step", "identifier").Encode()); strings.Contains(got.body, "/recover") || len(h.resets.asked) != 2 {
		t.Errorf("without mail: %d asked, %s", len(h.resets.asked), got.body)
	}
}

// TestNewPassword: the text of a link leaves the address at once, for a cookie that only this host gets, and goes when it
// was used; to look at it uses nothing up, and nobody is signed in.
func TestNewPassword(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.get("/recover/new").want(t, "without a link", 403, "reset_link_invalid")
	came := b.get("/recover/new?code=" + rightLink)
	came.want(t, "the link", 303, "/recover/new")
	if strings.Contains(came.header.Get("Location"), rightLink) {
		t.Errorf("%v", came.header)
	}
	if got := came.cookieOf("__Host-gatehouse-reset-main"); !strings.HasSuffix(got, "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("the cookie is %q", got)
	}
	asked := b.get("/recover/new")
	asked.want(t, "the question", 200, `autocomplete="new-password"`, `<bdi id="name">amy</bdi>`, "At least 15")
	b.get("/realms/shop/recover/new?code="+rightLink).want(t, "at another realm", 303, "/realms/shop/recover/new")
	b.get("/realms/shop/recover/new").want(t, "at another realm", 403, "reset_link_invalid")
	b.send("/recover/new", asked.fields("password", "").Encode()).want(t, "no password", 422)
	if h.resets.set != "" {
		t.Fatal("set without a password")
	}
	done := b.send("/recover/new", asked.fields("password", rightPassword).Encode())
	done.want(t, "set", 303, "/recover/done")
	if h.resets.set != rightPassword || h.open() != 0 || !strings.Contains(done.cookieOf("__Host-gatehouse-reset-main"), "Max-Age=0") {
		t.Errorf("%d sessions, %v", h.open(), done.header)
	}
	b.get("/recover/done").want(t, "done", 200, `href="/signin"`)
	b.get("/recover/new").want(t, "once more", 403, "reset_link_invalid")
}
