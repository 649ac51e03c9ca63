package pages

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
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
	link    bool // what was begun is a link
	links   []provider.Link
}

func (e *elsewhere) Begin(_ context.Context, realm gatehouse.Realm, id, to string, browser []byte, anew bool) (string, error) {
	e.to, e.anew, e.browser = to, anew, string(browser)
	if id != "acme" {
		return "", provider.ErrNone
	}
	return "https://acme.example/authorize?state=" + realm.Name, e.err
}

func (e *elsewhere) Finish(_ context.Context, realm gatehouse.Realm, id string, browser []byte, in *gatehouse.Principal, answer url.Values) (provider.Arrival, error) {
	e.answer = answer
	switch {
	case id != "acme":
		return provider.Arrival{}, provider.ErrNone
	case e.err != nil:
		return provider.Arrival{To: e.to, Link: e.link}, e.err
	case string(browser) != e.browser:
		return provider.Arrival{}, provider.ErrRefused
	case e.link && in == nil:
		return provider.Arrival{Link: true}, provider.ErrRefused
	case e.link:
		return provider.Arrival{Link: true}, nil
	}
	who := &gatehouse.Principal{Realm: realm.Name, Kind: gatehouse.KindUser, ID: e.who, Scheme: gatehouse.SchemeProvider, AuthTime: time.Now()}
	return provider.Arrival{Who: who, To: e.to}, nil
}

func (e *elsewhere) Hold(_ gatehouse.Realm, id string, answer url.Values) (string, error) {
	if id != "acme" {
		return "", provider.ErrNone
	}
	return "held-" + answer.Get("code"), e.err
}

func (e *elsewhere) Links(context.Context, string, string) ([]provider.Link, error) {
	return e.links, nil
}

func (e *elsewhere) BeginLink(_ context.Context, _ gatehouse.Realm, id string, who *gatehouse.Principal, browser []byte) (string, error) {
	if id != "acme" {
		return "", provider.ErrNone
	}
	e.link, e.browser = true, string(browser)
	return "https://acme.example/authorize?state=" + who.ID, e.err
}

func (e *elsewhere) Unlink(_ context.Context, _ gatehouse.Realm, _ *gatehouse.Principal, link string) error {
	if e.err == nil {
		e.links = slices.DeleteFunc(e.links, func(l provider.Link) bool { return l.ID() == link })
	}
	return e.err
}

// TestProviderPages: the page to sign in has a link for each provider of the realm; the way there and back opens a session,
// asks for a second factor where one is owed, and leads to nowhere but this server. A page of another site does not begin it.
//
// ASVS: 7.6.2
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
	for site, want := range map[string]string{"cross-site": "/signin?return=%2Faccount%2Fkeys", "same-site": "/signin?return=%2Faccount%2Fkeys", "none": "https://acme.example/authorize?state=main", "same-origin": "https://acme.example/authorize?state=main"} {
		if p := b.do("GET", "/signin/with/acme?return=%2Faccount%2Fkeys", nil, http.Header{"Sec-Fetch-Site": {site}}); p.status != 303 || p.header.Get("Location") != want {
			t.Errorf("sent by a page that is %s: %d %v", site, p.status, p.header)
		}
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

// TestLinkPages: accounts elsewhere are linked by a form and a way there, and removed by a form; an answer to a link opens no
// session, and whoever signed in too long ago signs in first.
func TestLinkPages(t *testing.T) {
	h := newHouse(t, true)
	h.settings.Providers = []gatehouse.Provider{{ID: "acme", Title: "Acme <&>", Issuer: "https://acme.example"}}
	b := h.browser()
	if p := b.get("/account/links"); p.status != 303 || !strings.HasPrefix(p.header.Get("Location"), "/signin?return=%2Faccount%2Flinks") {
		t.Fatalf("nobody: %d %v", p.status, p.header)
	}
	b.signIn("")
	b.get("/account").want(t, "the account", 200, `id="links"`, `href="/account/links"`)
	p := b.get("/account/links")
	p.want(t, "none", 200, `id="none"`, `id="link-acme"`, "Link an account at Acme &lt;&amp;&gt;")
	there := html.UnescapeString(regexp.MustCompile(`href="(/account/links/acme\?form=[^"]+)"`).FindStringSubmatch(p.body)[1])
	if p := b.get(there); p.status != 303 || p.header.Get("Location") != "https://acme.example/authorize?state=usr_bob" || p.header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("the way there: %d %v", p.status, p.header)
	}
	for what, at := range map[string]string{"no token": "/account/links/acme", "the token of another": strings.Replace(there, "acme", "none", 1), "that of a form": "/account/links/acme?" + url.Values{"form": {p.fields().Get("form")}}.Encode()} {
		b.get(at).want(t, what, 403)
	}
	h.providers.links = []provider.Link{{Provider: "acme", Issuer: "https://acme.example", Subject: "s-1", UserID: "usr_bob", CreatedAt: time.Now()},
		{Provider: "gone", Issuer: "https://gone.example", Subject: "s-2", UserID: "usr_bob", CreatedAt: time.Now()}}
	back := b.get("/signin/with/acme/back?state=s&code=c")
	if back.status != 303 || back.header.Get("Location") != "/account/links?said=linked" || len(back.header.Values("Set-Cookie")) > 0 {
		t.Fatalf("the way back: %d %v", back.status, back.header)
	}
	p = b.get("/account/links?said=linked")
	p.want(t, "linked", 200, "The account is linked.", "Acme &lt;&amp;&gt;", "gone", "It opens nothing any more.")
	for _, c := range [][2]string{{"provider_linked", "another account here"}, {"provider_cancelled", "Nothing was linked"}, {"provider_link_last", "only way"}, {"provider_unavailable", "at the moment"}} {
		h.providers.err = gatehouse.E(gatehouse.Conflict, c[0], "")
		b.get("/signin/with/acme/back?state=s&code=c").want(t, c[0], 422, c[1], `id="link-acme"`)
	}
	id := h.providers.links[0].ID()
	remove := func(sure string) page { return b.send("/account/links", p.fields("link", id, "sure", sure).Encode()) }
	remove("yes").want(t, "not so", 422, "at the moment")
	h.providers.err = nil
	remove("").want(t, "not sure", 400)
	remove("yes").want(t, "removed", 200, "The link was removed.")
	if len(h.providers.links) != 1 {
		t.Errorf("%v", h.providers.links)
	}
	h.providers.err = gatehouse.ErrSignInAgain
	if p := b.get(there); p.status != 303 || !strings.Contains(p.header.Get("Location"), "again=1") {
		t.Errorf("too long ago: %d %v", p.status, p.header)
	}
	h.providers.err = nil
	h.limited = true
	b.get(there).want(t, "too often", 429)
	h.limited = false
	h.browser().get("/signin/with/acme/back?state=s&code=c").want(t, "nobody is signed in", 422, `id="identifier"`)
}
