package server

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/limit"
)

var linkWay = regexp.MustCompile(`href="(/account/links/acme\?form=[^"]+)"`)

// toLink begins to link an account, and returns where the browser is sent.
func (v *visitor) toLink() string {
	v.h.t.Helper()
	_, page := v.get("/account/links")
	m := linkWay.FindStringSubmatch(page)
	if m == nil {
		v.h.t.Fatalf("no way to link: %s", page)
	}
	return v.to(html.UnescapeString(m[1]))
}

var unlinkField = regexp.MustCompile(`name="link" value="([^"]+)"`)

// unlink removes the first link.
func (v *visitor) unlink() (int, string) {
	v.h.t.Helper()
	_, page := v.get("/account/links")
	m := unlinkField.FindStringSubmatch(page)
	if m == nil {
		v.h.t.Fatalf("no link: %s", page)
	}
	return v.send("/account/links", "/account/links", url.Values{"link": {m[1]}, "sure": {"yes"}})
}

// TestProviderLinks: whoever has an account links one elsewhere by proving both, in one session, and signs in by it; the last way
// in stays, and what is another's is not taken.
func TestProviderLinks(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	o := newOpening(t)
	h.acme(o, key, nil)
	for _, name := range []string{"ann", "bob"} {
		h.want("user", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":%q,"password":%q}`, name, housePassword), 201)
	}
	v := h.visitor(nil)
	v.password("ann")
	refused := func(what, why string, status int, page string) {
		t.Helper()
		if got := h.why(key, why); status != 422 || !strings.Contains(got, why) {
			t.Errorf("%s: %d %q; %s", what, status, got, page)
		}
	}
	o.claims = map[string]any{"auth_time": time.Now().Unix() - 600}
	status, page := v.back(o.there(v.toLink(), "c1"))
	refused("left signed in there", "asked nobody", status, page)
	o.set(func() { o.claims = nil })
	there := v.toLink()
	if !strings.Contains(there, "prompt=login") || !strings.Contains(there, "max_age=0") {
		t.Errorf("the provider is not told to ask: %s", there)
	}
	back := o.there(there, "c2")
	v.password("bob") // in the same browser
	status, page = v.back(back)
	refused("another person has come back", "another session", status, page)
	v.password("ann")
	if status, page := v.back(o.there(v.toLink(), "c3")); status != 303 || !strings.HasSuffix(page, "/account/links?said=linked") {
		t.Fatalf("linked: %d %s", status, page)
	}
	w := h.visitor(nil)
	if status, page := w.elsewhere(o, "c4"); status != 303 {
		t.Fatalf("a sign-in by it: %d %s", status, page)
	}
	if _, page := w.get("/account"); !strings.Contains(page, `<bdi id="username">ann</bdi>`) {
		t.Errorf("not ann: %s", page)
	}
	if links := h.want("ann's", "GET", "/admin/v1/realms/main/users/ann/links", key, "", 200)["items"].([]any); len(links) != 1 || links[0].(map[string]any)["opens"] != true {
		t.Errorf("an administrator sees %v", links)
	}
	if status, file := v.send("/account/data", "/account/data", url.Values{"do": {"export"}}); status != 200 || !strings.Contains(file, `"links":[{"id":`) {
		t.Errorf("what ann takes along: %d %s", status, file)
	}
	o.set(func() { o.claims = map[string]any{"sub": "s-2", "preferred_username": "eve"} })
	eve := h.visitor(nil) // made by the sign-in there; she has no password
	if status, page := eve.elsewhere(o, "c5"); status != 303 {
		t.Fatalf("%d %s", status, page)
	}
	status, page = v.back(o.there(v.toLink(), "c6"))
	refused("hers", "provider_linked", status, page)
	if status, page := eve.unlink(); status != 422 || !strings.Contains(page, "only way") {
		t.Errorf("the last way in: %d %s", status, page)
	}
	if status, page := v.unlink(); status != 200 || !strings.Contains(page, `id="none"`) {
		t.Errorf("ann has a password: %d %s", status, page)
	}
	if _, page := v.get("/account/activity"); !strings.Contains(page, "An account elsewhere was linked") || !strings.Contains(page, "The link with an account elsewhere was removed") {
		t.Errorf("a thief could link an account and nobody would see it: %s", page)
	}
	o.set(func() { o.claims = nil })
	if status, page := h.visitor(nil).elsewhere(o, "c7"); status != 303 {
		t.Fatalf("%d %s", status, page)
	}
	if users := h.want("users", "GET", "/admin/v1/realms/main/users", key, "", 200)["items"].([]any); !strings.Contains(fmt.Sprint(users), "acme-") {
		t.Errorf("who was unlinked is ann still: %v", users)
	}
}
