package pages

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/provider"
)

// elsewhere is a provider that always says who it was told to say.
type elsewhere struct {
	who, to string
	err     error
	anew    bool
	browser string
	answer  url.Values
}

func (e *elsewhere) Begin(_ context.Context, realm gatehouse.Realm, id, to string, browser []byte, anew bool) (string, error) {
	e.to, e.anew, e.browser = to, anew, string(browser)
	if id != "acme" {
		return "", provider.ErrNone
	}
	return "https://acme.example/authorize?state=" + realm.Name, e.err
}

func (e *elsewhere) Finish(_ context.Context, realm gatehouse.Realm, id string, browser []byte, answer url.Values) (*gatehouse.Principal, string, error) {
	e.answer = answer
	switch {
	case id != "acme":
		return nil, "", provider.ErrNone
	case e.err != nil:
		return nil, e.to, e.err
	case string(browser) != e.browser:
		return nil, "", provider.ErrRefused
	}
	return &gatehouse.Principal{Realm: realm.Name, Kind: gatehouse.KindUser, ID: e.who, Scheme: gatehouse.SchemeProvider, AuthTime: time.Now()}, e.to, nil
}

// TestProviderPages: the page to sign in has a link for each provider of the realm; the way there and back opens a session,
// asks for a second factor where one is owed, and leads to nowhere but this server.
func TestProviderPages(t *testing.T) {
	h := newHouse(t, true)
	h.settings.Providers = []gatehouse.Provider{{ID: "acme", Title: "Acme <&>"}}
	h.providers.who = "usr_bob"
	b := h.browser()
	b.get("/signin?return=%2Faccount%2Fkeys").want(t, "the link", 200, `href="/signin/with/acme?return=%2Faccount%2Fkeys"`, `id="with-acme"`, "Continue with Acme &lt;&amp;&gt;")
	if p := b.get("/realms/shop/signin"); strings.Contains(p.body, "providers") {
		t.Errorf("a realm without providers: %s", p.body)
	}
	p := b.get("/signin/with/acme?return=%2Faccount%2Fkeys")
	if p.status != 303 || p.header.Get("Location") != "https://acme.example/authorize?state=main" || p.header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("the way there: %d %v", p.status, p.header)
	}
	if h.providers.to != "/account/keys" || h.providers.anew || h.providers.browser == "" {
		t.Errorf("begun with %+v", h.providers)
	}
	back := b.get("/signin/with/acme/back?state=s&code=c")
	if back.status != 303 || back.header.Get("Location") != "/account/keys" || back.header.Get("Referrer-Policy") != "no-referrer" || h.providers.answer.Get("code") != "c" {
		t.Fatalf("the way back: %d %v", back.status, back.header)
	}
	b.get("/account").want(t, "signed in", 200, `id="signout"`)
	b.get("/signin?again=1").want(t, "to prove it again", 200, `href="/signin/with/acme"`)
	if b.get("/signin/with/acme"); !h.providers.anew {
		t.Error("who is signed in is not asked anew")
	}
	h.providers.to = "https://evil.example/"
	if p := b.get("/signin/with/acme/back?state=s"); p.header.Get("Location") != "/account" {
		t.Errorf("led away: %v", p.header)
	}
	other := h.browser()
	other.get("/signin/with/acme/back?state=s&code=c").want(t, "another browser", 422, "What came back from there was not accepted.")
	for err, phrase := range map[error]string{gatehouse.E(gatehouse.Unauthenticated, "provider_cancelled", ""): "not completed", gatehouse.E(gatehouse.Unauthenticated, "provider_account_unknown", ""): "No account here", credential.ErrInvalidCredentials: "not accepted",
		gatehouse.E(gatehouse.BadGateway, "provider_unavailable", ""): "cannot be used"} {
		h.providers.err = err
		other.get("/signin/with/acme/back?state=s&code=c").want(t, "refused", 422, phrase, `id="identifier"`)
	}
	other.get("/signin/with/none").want(t, "another provider", 404, "There is no such way to sign in.")
	h.providers.err, h.providers.who = nil, "usr_amy" // she has a second factor
	amy := h.browser()
	amy.get("/signin/with/acme")
	if p := amy.get("/signin/with/acme/back?state=s&code=c"); p.status != 303 || !strings.HasPrefix(p.header.Get("Location"), "/signin/factor") {
		t.Errorf("a second factor that is owed: %d %v", p.status, p.header)
	}
	h.limited = true
	b.get("/signin/with/acme").want(t, "too often", 429)
	b.get("/signin/with/acme/back?state=s&code=c").want(t, "too often", 429)
}
