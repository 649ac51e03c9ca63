package pages

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestOwnSessions: somebody sees where the account is signed in, and ends one session, all others or everything: by the form of
// the account alone, and never anybody else's.
//
// ASVS: 7.5.2
func TestOwnSessions(t *testing.T) {
	h := newHouse(t, true)
	here, there, third, shop := h.browser(), h.browser(), h.browser(), h.browser()
	for _, b := range []*browser{here, there, third} {
		b.signIn("")
	}
	shop.signIn("/realms/shop")
	page := here.get("/account")
	page.want(t, "the account", 200, "Firefox on Linux", "192.0.2.7", "This browser", `id="end-others"`, `id="everywhere"`)
	ids := regexp.MustCompile(`name="session" value="([^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(ids) != 2 {
		t.Fatalf("%d sessions can be ended, want the two others: %s", len(ids), page.body)
	}
	form := page.fields()
	with := func(pairs ...string) string {
		v := url.Values{"form": form["form"]}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	for _, do := range [][]string{{"session", ids[0][1]}, {"do", "others"}, {"do", "everywhere"}} {
		here.send("/account", with(do...), "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "cross_origin_refused")
		here.send("/account", there.get("/account").fields(do...).Encode()).want(t, "the form of another browser", 403, "form_expired")
		here.send("/account", url.Values{do[0]: {do[1]}}.Encode()).want(t, "no token", 403, "form_expired")
		h.browser().send("/account", with(do...)).want(t, "nobody", 303, "/signin")
	}
	for what, pairs := range map[string][]string{
		"nothing": {}, "two at once": {"do", "others", "session", ids[0][1]}, "something else": {"do", "x"}, "a long id": {"session", strings.Repeat("x", maxSessionID+1)},
	} {
		here.send("/account", with(pairs...)).want(t, what, 400, "form_invalid")
	}
	if h.open() != 4 {
		t.Fatalf("%d sessions", h.open())
	}
	here.send("/account", with("session", ids[0][1])).want(t, "one is ended", 200, "The session was ended.")
	here.send("/account", with("session", ids[0][1])).want(t, "again", 200, "That session was over already.")
	if h.open() != 3 {
		t.Fatalf("%d sessions", h.open())
	}
	here.send("/account", with("do", "others")).want(t, "the others are ended", 200, "Other sessions that were ended: 1", "This browser")
	if there.get("/account").status != 303 || third.get("/account").status != 303 {
		t.Error("another browser is still signed in")
	}
	if body := here.get("/account").body; strings.Contains(body, `id="end-others"`) {
		t.Errorf("others can be ended where there are none: %s", body)
	}
	there.signIn("")
	gone := here.send("/account", with("do", "everywhere"))
	gone.want(t, "everywhere", 303, "/signedout")
	if !strings.Contains(gone.cookieOf("__Host-gatehouse-session-main"), "Max-Age=0") || gone.header.Get("Clear-Site-Data") != `"cache", "storage"` {
		t.Errorf("%v", gone.header)
	}
	here.get("/account").want(t, "this browser", 303, "/signin")
	there.get("/account").want(t, "the other browser", 303, "/signin")
	shop.get("/realms/shop/account").want(t, "another realm", 200)
}

// TestOwnSessionEnded: who ends the session of this browser by its id is signed out here.
func TestOwnSessionEnded(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.signIn("")
	var own string
	for _, p := range h.sessions {
		own = p.SessionID
	}
	b.send("/account", b.get("/account").fields("session", own).Encode()).want(t, "one's own", 303, "/signedout")
	if h.open() != 0 {
		t.Errorf("%d sessions", h.open())
	}
}

func TestDeviceOf(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0":                                                                     "Firefox, Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":              "Edge, Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":                      "Safari, macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1": "Chrome, iPhone",
		"Mozilla/5.0 (Linux; Android 15; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36": "Samsung Internet, Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                             "Chrome, ChromeOS",
		"curl/8.5.0": ", ", "": ", ",
	} {
		browser, system := deviceOf(agent)
		if got := browser + ", " + system; got != want {
			t.Errorf("%s: %s, want %s", agent, got, want)
		}
	}
}
