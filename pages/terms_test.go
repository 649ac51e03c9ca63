package pages

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestTerms: whoever has not accepted the present version is asked before any page of the account and the way back to a gateway, and
// sees what was wanted afterwards; another version asks anew; who declines is signed out.
func TestTerms(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.signIn("")
	b.get("/account").want(t, "no terms", 200)
	if page := b.get("/account"); strings.Contains(page.body, "terms-link") {
		t.Error("a link to nothing")
	}
	h.settings = gatehouse.RealmSettings{TermsURL: "https://shop.example/terms?a=b", TermsVersion: "2026-11"}
	for _, at := range []string{"/account", "/account/keys", "/handover?to=x&browser=y"} {
		b.get(at).want(t, at, 303, "/terms?return="+url.QueryEscape(at))
	}
	b.send("/account", url.Values{"do": {"everywhere"}}.Encode()).want(t, "a form that is sent", 303, "/terms?return=%2Faccount")
	b.get("/signout").want(t, "signing out", 200)
	h.browser().get("/account").want(t, "nobody", 303, "/signin")
	h.browser().get("/terms").want(t, "nobody is asked", 303, "/signin")

	asked := b.get("/terms?return=/account/keys")
	asked.want(t, "the question", 200, `value="2026-11"`, `href="/terms/text"`, `id="decline"`, "have not accepted them yet", `id="terms-link"`)
	b.get("/terms/text").want(t, "the text", 303, "https://shop.example/terms?a=b")
	b.get("/privacy").want(t, "what there is not", 404)
	send := func(pairs ...string) page { return b.send("/terms", asked.fields(pairs...).Encode()) }
	send("do", "").want(t, "neither", 400)
	b.send("/terms", url.Values{"do": {"accept"}, "version": {"2026-11"}}.Encode()).want(t, "without a token", 403)
	h.profile.refuse = gatehouse.ErrVersionConflict
	send("do", "accept").want(t, "they have changed", 409, `id="notice"`, "Nothing was accepted")
	h.profile.refuse = nil
	if h.profile.terms != "" {
		t.Fatalf("accepted %q", h.profile.terms)
	}
	send("do", "accept").want(t, "accepted", 303, "/account/keys")
	if h.profile.terms != "2026-11" {
		t.Errorf("accepted %q", h.profile.terms)
	}
	b.get("/account").want(t, "afterwards", 200)
	b.get("/terms?return=//evil.example").want(t, "asked again", 303, "/account")

	h.settings.TermsVersion = "2027-01"
	b.get("/account").want(t, "another version", 303, "/terms?return=%2Faccount")
	asked = b.get("/terms")
	asked.want(t, "the other one", 200, "have changed since you accepted", `value="2027-01"`)
	send("do", "decline").want(t, "declined", 303, "/signedout")
	b.get("/account").want(t, "signed out", 303, "/signin")
	if h.profile.terms != "2026-11" {
		t.Errorf("declined, and accepted %q", h.profile.terms)
	}
	h.settings.TermsURL = "javascript:alert(1)"
	b.get("/terms/text").want(t, "what is stored and no address", 404)
}
