package pages

import (
	"strings"
	"testing"
)

// TestInitialPasswordPage: whoever signs in by a password that somebody else has made gets no session but the page that takes another
// one, and gets to where he wanted to go by signing in with that.
//
// ASVS: 6.4.1
func TestInitialPasswordPage(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	sent := b.send("/signin", b.get("/signin?return=/account/keys").fields("identifier", "newcomer", "password", rightPassword, "step", "password").Encode())
	sent.want(t, "the password", 303, "/recover/new?given=1&return=%2Faccount%2Fkeys")
	if h.open() != 0 || strings.Join(h.resets.exchanged, " ") != "newcomer" || !strings.Contains(sent.cookieOf("__Host-gatehouse-reset-main"), rightLink) {
		t.Fatalf("%d sessions, exchanged %v, %v", h.open(), h.resets.exchanged, sent.header)
	}
	asked := b.get("/recover/new?given=1&return=%2Faccount%2Fkeys")
	asked.want(t, "the question", 200, `id="given"`, `action="/recover/new?given=1&amp;return=%2Faccount%2Fkeys"`)
	b.send("/recover/new?given=1&return=%2Faccount%2Fkeys", asked.fields("password", "").Encode()).want(t, "no password", 422, `id="given"`)
	b.send("/recover/new?given=1&return=%2Faccount%2Fkeys", asked.fields("password", rightPassword).Encode()).want(t, "set", 303, "/recover/done?return=%2Faccount%2Fkeys")
	b.get("/recover/done?return=%2Faccount%2Fkeys").want(t, "done", 200, `href="/signin?return=%2Faccount%2Fkeys"`)
	if done := b.get("/recover/done?return=https://evil.example/"); done.status != 200 || strings.Contains(done.body, "evil") {
		t.Errorf("to another server: %s", done.body)
	}
}
