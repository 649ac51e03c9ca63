package pages

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestEnrolAtSignIn: who must have a second factor and has none adds one in the middle of the sign-in, and has no session before.
func TestEnrolAtSignIn(t *testing.T) {
	for _, prefix := range []string{"", "/realms/shop"} {
		h := newHouse(t, true)
		h.demands = true
		b := h.browser()
		at := prefix + "/signin/enrol"
		b.password(prefix, "?return=/hello").want(t, "after the password", 303, prefix+"/signin/factor?return=%2Fhello")
		asked := b.get(prefix + "/signin/factor?return=/hello")
		asked.want(t, "an app is asked for", 200, `action="`+at+`"`, `name="do" value="add"`)
		b.get(prefix+"/account").want(t, "the account before", 303, "/signin")
		b.send(prefix+"/signin/factor", b.get(prefix+"/signin/factor").fields("code", rightCode).Encode()).want(t, "the page for codes", 400, "form_invalid")
		begun := b.send(at, asked.fields().Encode())
		begun.want(t, "an app", 200, `<svg id="image"></svg>`, `<code id="secret">ABCD EFGH IJ</code>`, `name="return" value="/hello"`)
		wrong := b.send(at, begun.fields("code", "000000").Encode())
		wrong.want(t, "a wrong code", 422, `id="code-error"`, `name="factor" value="fac_new"`)
		if h.open() != 0 || strings.Contains(wrong.body, "ABCD") {
			t.Errorf("%d sessions, %s", h.open(), wrong.body)
		}
		done := b.send(at, wrong.fields("code", rightCode).Encode())
		done.want(t, "the right code", 200, `<code>aaaa-bbbb</code>`, `href="/hello" id="done"`)
		if h.open() != 1 || !strings.Contains(done.cookieOf("__Host-gatehouse-signin-"+map[bool]string{true: "main", false: "shop"}[prefix == ""]), "Max-Age=0") {
			t.Errorf("%d sessions, %v", h.open(), done.header)
		}
		b.get(prefix+"/account").want(t, "the account", 200)
		b.send(at, wrong.fields("code", rightCode).Encode()).want(t, "the form of before", 403, "form_expired")
	}
}

// TestEnrolNeedsASignIn: nobody adds a second factor without a password of a moment ago in this browser, nor in the place of a code.
func TestEnrolNeedsASignIn(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.password("", "")
	h.demands = true
	other := h.browser()
	other.password("", "")
	form := other.get("/signin/factor").fields()
	h.demands = false
	for what, p := range map[string]page{
		"another site":         other.send("/signin/enrol", form.Encode(), "Sec-Fetch-Site", "cross-site"),
		"another browser":      b.send("/signin/enrol", form.Encode()),
		"something else to do": other.send("/signin/enrol", func() string { f := other.get("/signin/factor").fields("do", "all"); return f.Encode() }()),
	} {
		if p.status != 403 && p.status != 400 {
			t.Errorf("%s: %d", what, p.status)
		}
	}
	h.mu.Lock()
	for text, w := range h.halves {
		w.enrols = false // it waits for a code
		h.halves[text] = w
	}
	h.mu.Unlock()
	other.send("/signin/enrol", form.Encode()).want(t, "in the place of a code", 303, "/signin")
	h.mu.Lock()
	clear(h.halves)
	h.mu.Unlock()
	other.send("/signin/enrol", form.Encode()).want(t, "nothing waits", 303, "/signin")
	if h.open() != 0 || len(h.apps.done) != 0 {
		t.Errorf("%d sessions, %q", h.open(), h.apps.done)
	}
	h.demands = true
	other.password("", "")
	h.apps.refuse = gatehouse.E(gatehouse.NotFound, "factor_not_found", "")
	form = other.get("/signin/factor").fields()
	form.Set("do", "confirm")
	form.Set("factor", "fac_of_before")
	form.Set("code", rightCode)
	other.send("/signin/enrol", form.Encode()).want(t, "an app that waits no more", 303, "/signin")
}
