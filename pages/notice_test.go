package pages

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestNotice: who is signed in says whether a sign-in was the own one. Yes changes nothing; no ends that session, by its person's
// form alone, and leads to another password. Of a session that is nobody's, or somebody else's, nothing is shown.
//
// ASVS: 6.3.5
func TestNotice(t *testing.T) {
	h := newHouse(t, true)
	here, there, carl := h.browser(), h.browser(), h.browser()
	here.signIn("")
	there.header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0")
	there.signIn("")
	carl.send("/signin", carl.get("/signin").fields("identifier", "carl", "password", rightPassword, "step", "password").Encode()).want(t, "carl", 303)
	if len(h.odd) != 3 || h.odd[1].Name != "Firefox, Windows" || !h.odd[1].Odd.Unknown || h.odd[0].Device == h.odd[1].Device {
		t.Fatalf("opened from %+v", h.odd)
	}
	var own, other string
	for text, p := range h.sessions {
		switch {
		case p.ID != "usr_bob":
		case h.device[text] == h.odd[1].Device:
			other = p.SessionID
		default:
			own = p.SessionID
		}
	}
	page := "/account/notice?session=" + other
	h.browser().get(page).want(t, "nobody", 303, "/signin?return="+url.QueryEscape(page))
	page2 := here.get(page)
	page2.want(t, "the question", 200, "Was this you?", "Firefox on Linux", "192.0.2.7", `id="yes"`, `id="no"`)
	here.get("/account/notice?session="+own).want(t, "of this browser", 200, "This browser")
	for what, id := range map[string]string{"nobody's": "ses_none", "none": "", "too long": strings.Repeat("x", maxSessionID+1)} {
		if got := here.get("/account/notice?session=" + id); got.status != 200 || strings.Contains(got.body, "192.0.2.7") || !strings.Contains(got.body, `id="no"`) {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	if got := carl.get(page); got.status != 200 || strings.Contains(got.body, "192.0.2.7") {
		t.Errorf("somebody else sees %s", got.body)
	}

	no := page2.fields("session", other, "do", "no").Encode()
	here.send("/account/notice", no, "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "cross_origin_refused")
	here.send("/account/notice", carl.get(page).fields("session", other, "do", "no").Encode()).want(t, "the form of another browser", 403, "form_expired")
	h.browser().send("/account/notice", no).want(t, "nobody's no", 303, "/signin")
	for what, pairs := range map[string][]string{"nothing": {"do", ""}, "something else": {"do", "x"}, "a long id": {"do", "no", "session", strings.Repeat("x", maxSessionID+1)}} {
		here.send("/account/notice", page2.fields(pairs...).Encode()).want(t, what, 400, "form_invalid")
	}
	here.send("/account/notice", page2.fields("do", "yes").Encode()).want(t, "yes", 200, "Nothing was changed.")
	carl.send("/account/notice", carl.get(page).fields("do", "no").Encode()).want(t, "somebody else's no", 200)
	if h.open() != 3 || !slices.Equal(h.disowned, []string{"usr_carl " + other}) {
		t.Fatalf("%d sessions, %q", h.open(), h.disowned)
	}
	here.send("/account/notice", no).want(t, "no", 200, `id="change-password"`, `href="/account/password"`, "signed out")
	if h.open() != 2 || there.get("/account").status != 303 || !slices.Contains(h.disowned, "usr_bob "+other) {
		t.Errorf("%d sessions, %q", h.open(), h.disowned)
	}
	there.signIn("")
	here.send("/account/notice", no).want(t, "another one is open", 200, `id="end-others"`)
	h.profile.noPassword = true
	if got := here.send("/account/notice", no); got.status != 200 || strings.Contains(got.body, "/account/password") {
		t.Errorf("without a password: %d %s", got.status, got.body)
	}
	here.send("/account/notice", page2.fields("session", own, "do", "no").Encode()).want(t, "of this browser", 303, "/signedout")

	// Who proves again in a browser that has a session is in no other one.
	h.odd = nil
	here.signIn("")
	here.send("/signin", here.get("/signin?again=1").fields("identifier", "bob", "password", rightPassword, "step", "password").Encode()).want(t, "again", 303)
	if len(h.odd) != 1 || h.odd[0].Odd.Unknown {
		t.Errorf("opened from %+v", h.odd)
	}
}
