package pages

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// password signs amy, who has a second factor, in as far as her password goes.
func (b *browser) password(prefix, query string) page {
	b.h.t.Helper()
	first := b.get(prefix + "/signin" + query)
	return b.send(prefix+"/signin", first.fields("identifier", "amy", "password", rightPassword, "step", "password").Encode())
}

// TestCodeAtSignIn: who has a second factor gets a page for the code after the password, and no session before it is right.
func TestCodeAtSignIn(t *testing.T) {
	for _, tls := range []bool{true, false} {
		for _, prefix := range []string{"", "/realms/shop"} {
			h := newHouse(t, tls)
			b := h.browser()
			half := b.password(prefix, "?return=/account?x=1")
			half.want(t, "after the password", 303, prefix+"/signin/factor?return=%2Faccount%3Fx%3D1")
			realm, host, secure := "main", "", ""
			if prefix != "" {
				realm = "shop"
			}
			if tls {
				host, secure = "__Host-", "; Secure"
			}
			if got := half.cookieOf(host + "gatehouse-signin-" + realm); !strings.HasSuffix(got, "; Path=/; Max-Age=600; HttpOnly"+secure+"; SameSite=Lax") {
				t.Errorf("the cookie is %q", got)
			}
			if h.open() != 0 || half.cookieOf(host+"gatehouse-session-"+realm) != "" {
				t.Fatal("a session by the password alone")
			}
			b.get(prefix+"/account").want(t, "the account by the password alone", 303, prefix+"/signin")
			asked := b.get(half.header.Get("Location"))
			asked.want(t, "the page for the code", 200, `name="code"`, `autocomplete="one-time-code"`, `href="`+prefix+`/signin/factor?return=%2Faccount%3Fx%3D1&amp;with=recovery"`)
			recovery := b.get(prefix + "/signin/factor?with=recovery&return=/account?x=1")
			recovery.want(t, "with a recovery code", 200, `name="with" value="recovery"`, `id="other"`)
			b.send(prefix+"/signin/factor", asked.fields("code", "").Encode()).want(t, "no code", 422, `id="code-error"`)
			b.send(prefix+"/signin/factor", recovery.fields("code", "654321").Encode()).want(t, "a wrong code", 422, `aria-invalid="true"`, `name="with" value="recovery"`)
			in := b.send(prefix+"/signin/factor", asked.fields("code", rightCode).Encode())
			in.want(t, "the right code", 303, "/account?x=1")
			if h.open() != 1 || !strings.Contains(in.cookieOf(host+"gatehouse-signin-"+realm), "Max-Age=0") {
				t.Errorf("%d sessions, %v", h.open(), in.header)
			}
			for _, p := range h.sessions {
				if p.ACR != "aal2" || strings.Join(p.AMR, " ") != "pwd otp mfa" {
					t.Errorf("the session says %s %q", p.ACR, p.AMR)
				}
			}
			b.get(prefix+"/account").want(t, "the account", 200)
			b.get(prefix+"/signin/factor").want(t, "who is signed in is asked for nothing", 303, prefix+"/account")
			b.send(prefix+"/signin/factor", asked.fields("code", rightCode).Encode()).want(t, "the form of before", 403, "form_expired")
		}
	}
}

// TestCodesAreAlike: a wrong code, a sign-in that is gone, of another browser or realm: one status, one text.
func TestCodesAreAlike(t *testing.T) {
	h := newHouse(t, true)
	b, other := h.browser(), h.browser()
	asked := b.get(b.password("", "").header.Get("Location"))
	b.get("/realms/shop/signin/factor").want(t, "at another realm", 303, "/realms/shop/signin")
	other.get("/signin/factor").want(t, "in another browser", 303, "/signin")
	plain := func(p page) string {
		return strings.NewReplacer(p.fields().Get("form"), "TOKEN").Replace(p.body)
	}
	wrong := b.send("/signin/factor", asked.fields("code", "000000").Encode())
	wrong.want(t, "a wrong code", 422)
	h.mu.Lock()
	h.wrongCode = credential.ErrInvalidCredentials // the account was disabled meanwhile
	h.mu.Unlock()
	disabled := b.send("/signin/factor", asked.fields("code", rightCode).Encode())
	h.mu.Lock()
	clear(h.halves)
	h.wrongCode = nil
	h.mu.Unlock()
	gone := b.send("/signin/factor", asked.fields("code", rightCode).Encode())
	for what, p := range map[string]page{"gone": gone, "disabled": disabled} {
		if p.status != wrong.status || plain(p) != plain(wrong) {
			t.Errorf("%s: %d %s", what, p.status, p.body)
		}
	}
	if h.open() != 0 {
		t.Errorf("%d sessions", h.open())
	}
	// What is not the form is refused before a code is looked at.
	for what, p := range map[string]page{
		"another site": b.send("/signin/factor", asked.fields("code", rightCode).Encode(), "Sec-Fetch-Site", "cross-site"),
		"no token":     b.send("/signin/factor", url.Values{"code": {rightCode}}.Encode()),
		"a choice":     b.send("/signin/factor", asked.fields("code", rightCode, "with", "mail").Encode()),
		"a field":      b.send("/signin/factor", asked.fields("code", rightCode, "step", "code").Encode()),
	} {
		if p.status != 403 && p.status != 400 {
			t.Errorf("%s: %d", what, p.status)
		}
	}
}

// TestCodesWait: whoever tried too often is told when to come back, and what breaks is an error.
func TestCodesWait(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	asked := b.get(b.password("", "").header.Get("Location")).fields("code", rightCode).Encode()
	slow := *gatehouse.ErrRateLimited
	slow.RetryAfter = 90 * time.Second
	h.wrongCode = &slow
	p := b.send("/signin/factor", asked)
	p.want(t, "too many", 429, `id="notice"`, "90 s")
	if p.header.Get("Retry-After") != "90" {
		t.Errorf("%v", p.header)
	}
	h.wrongCode = gatehouse.ErrInternal
	b.send("/signin/factor", asked).want(t, "broken", 500, "internal")
	h.wrongCode = nil
	b.send("/signin/factor", asked).want(t, "afterwards", 303, "/account")
}
