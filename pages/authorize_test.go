package pages

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// codes is what people decided.
type codes struct {
	mu            sync.Mutex
	allowed, said []grant.Code
	how           []grant.Asking
	consents      map[string]grant.Consent // by user and client
}

func (c *codes) Consent(_ context.Context, _, user, client string) (grant.Consent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.consents[user+client], nil
}

func (c *codes) Authorize(_ context.Context, code grant.Code, w grant.Wish, how grant.Asking) (gatehouse.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allowed, c.how = append(c.allowed, code), append(c.how, how)
	if how == grant.Asked {
		if c.consents == nil {
			c.consents = map[string]grant.Consent{}
		}
		c.consents[code.User+code.Client] = grant.Consent{ID: "con_1", Print: w.Print, Allowed: []grant.Allowed{{Resource: w.Resources[0], Scopes: code.Scopes, At: time.Now()}}}
	}
	return "gha_made_up", nil
}

func (c *codes) Deny(_ context.Context, code grant.Code) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, code)
	return nil
}

func (c *codes) Audiences(gatehouse.Realm) []string { return []string{"https://id.example"} }

// unsigned has no client sign anything.
type unsigned struct{}

func (unsigned) VerifyRequest(client.Client, string) (jsontext.Value, error) {
	return nil, gatehouse.E(gatehouse.Unauthenticated, "forged", "")
}

// pushed is what clients pushed.
type pushed struct{ kept sync.Map }

func (p *pushed) PutOnce(_ context.Context, r once.Record) error {
	p.kept.Store(string(r.Key), r)
	return nil
}

func (p *pushed) find(_ context.Context, _ once.Kind, key []byte) (once.Record, error) {
	r, ok := p.kept.Load(string(key))
	if !ok {
		return once.Record{}, gatehouse.ErrNotFound
	}
	return r.(once.Record), nil
}

// clientsOf are the clients of the house.
type clientsOf map[string]client.Client

func (c clientsOf) Keep(context.Context, client.Client) error { return nil }

func (c clientsOf) Client(_ context.Context, realm, id string) (client.Client, error) {
	found, ok := c[realm+" "+id]
	if !ok {
		return client.Client{}, gatehouse.ErrNotFound
	}
	return found, nil
}

func (h *house) authorizations() *authorize.Service {
	h.t.Helper()
	if h.requests != nil {
		return h.requests
	}
	flow := client.Flow{RedirectURIs: []string{"https://app.example/back"}}
	app := client.Metadata{Name: "App <b>", AuthMethod: client.AuthNone, GrantTypes: []string{client.GrantAuthorizationCode}, Scope: "offline_access", Flow: flow}
	own := app
	own.FirstParty = true
	box, err := seal.NewBox(seal.GenerateMasterKey(time.Now()))
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := authorize.New(authorize.Config{Key: make([]byte, authorize.KeySize), Codes: &h.codes, Devices: &h.devices, Issuer: func(string) string { return "https://id.example" },
		Run: func(ctx context.Context, fn func(context.Context, authorize.Tx) error) error {
			return fn(ctx, &h.pushed)
		}, Find: h.pushed.find, Box: box, Now: time.Now, Objects: unsigned{}, Signer: func(context.Context, string, token.Algorithm) (*token.Key, error) {
			return token.GenerateKey(token.ES256)
		},
		Listeners: func(context.Context, string, string) ([]client.Client, error) { return nil, nil },
		Keys:      func(string) token.KeySource { return &token.KeySet{} },
		Clients:   clientsOf{"main cli_app": {Realm: "main", ID: "cli_app", Metadata: app}, "main cli_own": {Realm: "main", ID: "cli_own", Metadata: own}}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.requests = s
	return s
}

const toApp = "https://app.example/back?"

// request is the path of a good one, with changes.
func request(client string, change ...string) string {
	q := url.Values{"response_type": {"code"}, "client_id": {client}, "redirect_uri": {"https://app.example/back"}, "scope": {"offline_access"}, "state": {"1"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(change); i += 2 {
		q.Set(change[i], change[i+1])
	}
	return pageAuthorize + "?" + q.Encode()
}

// TestConsent: a person is asked in words, by a page that no other site can frame, answer or have answered; the answer is of the person,
// the browser and the request that it was shown to.
func TestConsent(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.signIn("")
	ask := b.get(request("cli_app"))
	ask.want(t, "the question", 200, "App &lt;b&gt;", "app.example", "Act for you while you are away", `id="allow"`, `id="deny"`, ">bob<")
	if ask.cookieOf("x") != "" || strings.Contains(ask.body, "btn main") {
		t.Error("one of the two answers is made to look better")
	}
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https://app.example; base-uri 'none'; frame-ancestors 'none'",
		"X-Frame-Options": "DENY", "Cache-Control": "no-store"} {
		if got := ask.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	answer := func(change ...string) string {
		return ask.fields(append([]string{"do", "allow"}, change...)...).Encode()
	}
	b.send(pageConsent, answer(), "Sec-Fetch-Site", "cross-site").want(t, "another site's page", 403)
	b.send(pageConsent, answer(), "Origin", "https://evil.example", "Sec-Fetch-Site", "").want(t, "another site's, in an old browser", 403)
	b.send(pageConsent, answer("form", "")).want(t, "without the token", 403)
	other := strings.TrimPrefix(request("cli_app", "scope", "offline_access", "state", "2"), pageAuthorize+"?")
	b.send(pageConsent, answer("request", other)).want(t, "another request", 403)
	b.send(pageConsent, answer("do", "maybe")).want(t, "neither", 400)
	b.send(pageConsent, answer("scope", "x")).want(t, "one field more", 400)
	b.send(pageConsent, answer("scope:x", "yes")).want(t, "a scope that was not asked for", 400)
	stranger := h.browser()
	stranger.signIn("")
	stranger.send(pageConsent, answer()).want(t, "another browser", 403)
	// Somebody else signs in where the question stands: it was not put to that person.
	same := b.get("/signin?again=1")
	b.send("/signin", same.fields("identifier", "carl", "password", rightPassword, "step", "password").Encode()).want(t, "carl", 303)
	b.send(pageConsent, answer()).want(t, "another person", 403)
	if len(h.codes.allowed)+len(h.codes.said) != 0 {
		t.Fatalf("%+v", h.codes.allowed)
	}
	same = b.get("/signin?again=1")
	b.send("/signin", same.fields("identifier", "bob", "password", rightPassword, "step", "password").Encode()).want(t, "bob", 303)
	ask = b.get(request("cli_app"))
	got := b.send(pageConsent, ask.fields("do", "deny").Encode())
	got.want(t, "no", 303, toApp+"error=access_denied&", "&state=1&iss=https%3A%2F%2Fid.example")
	got = b.send(pageConsent, ask.fields("do", "allow", "scope:offline_access", "yes").Encode())
	got.want(t, "yes", 303, toApp+"code=gha_made_up&state=1&iss=https%3A%2F%2Fid.example")
	if got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", got.header)
	}
	if len(h.codes.allowed) != 1 || len(h.codes.said) != 1 || h.codes.allowed[0].User != "usr_bob" || h.codes.allowed[0].Session == "" {
		t.Errorf("%+v", h.codes.allowed)
	}
	if strings.Join(h.codes.allowed[0].Scopes, " ") != "offline_access" || h.codes.how[0] != grant.Asked {
		t.Errorf("%+v", h.codes.allowed)
	}
	b.get(request("cli_app")).want(t, "remembered", 303, toApp+"code=gha_made_up&")
	b.get(request("cli_app", "prompt", "none")).want(t, "remembered, and nobody is to be asked", 303, toApp+"code=gha_made_up&")
	ask = b.get(request("cli_app", "prompt", "consent"))
	ask.want(t, "asked all the same", 200, `name="scope:offline_access" value="yes" id="scope-1" checked`, `id="lasts"`)
	b.send(pageConsent, ask.fields("do", "allow").Encode()).want(t, "and unticked", 303, toApp+"code=gha_made_up&")
	if last := h.codes.allowed[len(h.codes.allowed)-1]; len(last.Scopes) != 0 {
		t.Errorf("allowed: %q", last.Scopes)
	}
	b.get(request("cli_app")).want(t, "what was not allowed is asked for again", 200, `id="allow"`)
	b.get(request("cli_own")).want(t, "the realm's own program", 303, toApp+"code=gha_made_up&")
}

// TestAuthorizeEndpoint: what another site posts is sent on to the same request by GET; who is not signed in does that first, also where
// the answer is an error; what is wrong with client or address stays here.
func TestAuthorizeEndpoint(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	path, query, _ := strings.Cut(request("cli_app"), "?")
	posted := b.send(path, query, "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example")
	posted.want(t, "posted", 303, request("cli_app"))
	b.send(path, query+"&state=2", "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example").want(t, "posted, twice", 303, "state=1&state=2")
	b.get(request("cli_app", "client_id", "cli_none")).want(t, "unknown", 400, "client_id_unknown")
	b.get(request("cli_app", "redirect_uri", "https://evil.example")).want(t, "elsewhere", 400, "redirect_uri_refused")
	signIn := b.get(request("cli_app", "scope", "none"))
	signIn.want(t, "wrong, and nobody is signed in", 303, "/signin?return=%2Fauthorize%3F")
	b.get(request("cli_app", "prompt", "none")).want(t, "nobody is to be asked", 303, toApp+"error=login_required&")
	b.get(request("cli_app", "prompt", "none", "scope", "none")).want(t, "nobody is to be asked, and wrong", 303, toApp+"error=invalid_scope&")

	// The way through the page to sign in, whose form may end at the program.
	first := b.get(request("cli_own"))
	first.want(t, "to sign in", 303, "/signin?return=")
	door := b.get(first.header.Get("Location"))
	if policy := door.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://app.example;") {
		t.Errorf("%s", policy)
	}
	in := b.send("/signin", door.fields("identifier", "bob", "password", rightPassword, "step", "password").Encode())
	in.want(t, "signed in", 303, "/authorize?")
	b.get(in.header.Get("Location")).want(t, "and through", 303, toApp+"code=gha_made_up&state=1&")
	b.get(request("cli_app", "scope", "none")).want(t, "wrong", 303, toApp+"error=invalid_scope&")
	again := b.get(request("cli_own", "prompt", "login"))
	again.want(t, "prove it again", 303, "/signin?return=", "&again=1")
	door = b.get(again.header.Get("Location"))
	in = b.send("/signin", door.fields("identifier", "bob", "password", rightPassword, "step", "password").Encode())
	b.get(in.header.Get("Location")).want(t, "proved", 303, toApp+"code=gha_made_up&")
	if other := b.get("/signin?again=1&return=" + url.QueryEscape(request("cli_app", "prompt", "consent"))).header.Get("Content-Security-Policy"); !strings.Contains(other, "form-action 'self';") {
		t.Errorf("a form may end elsewhere, and there is a question between: %s", other)
	}
	if other := b.get("/signin?again=1&return=%2Fauthorize%3Fclient_id%3Dcli_none").header.Get("Content-Security-Policy"); !strings.Contains(other, "form-action 'self';") {
		t.Errorf("a form may end elsewhere: %s", other)
	}
	long := b.get("/signin?again=1&return=" + url.QueryEscape(request("cli_own", "state", strings.Repeat("%", 1000))))
	if got := long.fields().Get("return"); !strings.HasPrefix(got, "/authorize?") || len(got) < 3000 {
		t.Errorf("a long request is lost: %q", got)
	}
	h.settings.TermsVersion = "1"
	b.get(request("cli_app")).want(t, "terms first", 303, "/terms?return=%2Fauthorize%3F")
}

// TestFormPost: an answer that is posted is in a form with a button, whose policy names the program alone, with nothing that a value
// could break out of.
func TestFormPost(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.signIn("")
	p := b.get(request("cli_own", "response_mode", "form_post", "state", `"><script>`))
	p.want(t, "the form", 200, `<form class="stack" method="post" action="https://app.example/back" id="answer">`, `name="code" value="gha_made_up"`, `name="state" value="&#34;&gt;&lt;script&gt;"`, `name="iss" value="https://id.example"`, `id="continue"`, `<script type="module" src="/ui/answer.`)
	want := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https://app.example; base-uri 'none'; frame-ancestors 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
	if policy := p.header.Get("Content-Security-Policy"); policy != want || p.header.Get("Cache-Control") != "no-store" || p.header.Get("Referrer-Policy") != "strict-origin" {
		t.Errorf("%v", p.header)
	}
	b.get(request("cli_own", "response_mode", "fragment")).want(t, "fragment", 303, "https://app.example/back#code=gha_made_up&")
}

// TestPushedPages: a person who comes with a request that was pushed is asked what was pushed, at an address at which the page can be
// loaded again for as long as the decision takes.
func TestPushedPages(t *testing.T) {
	h := newHouse(t, true)
	q, err := url.ParseQuery(strings.TrimPrefix(request("cli_app"), pageAuthorize+"?"))
	if err != nil {
		t.Fatal(err)
	}
	uri, _, err := h.requests.Push(t.Context(), gatehouse.Realm{Name: "main"}, client.Client{Realm: "main", ID: "cli_app"}, q, "")
	if err != nil {
		t.Fatal(err)
	}
	at := pageAuthorize + "?" + url.Values{"client_id": {"cli_app"}, "request_uri": {uri}}.Encode()
	b := h.browser()
	b.get(at).want(t, "nobody is signed in", 303, "/signin?return=", "gatehouse_after")
	b.signIn("")
	sent := b.get(at)
	sent.want(t, "sent on", 303, pageAuthorize+"?", "gatehouse_after=")
	ask := b.get(sent.header.Get("Location"))
	ask.want(t, "asked", 200, "App &lt;b&gt;", "Act for you while you are away", `id="allow"`)
	b.send(pageConsent, ask.fields("do", "allow").Encode()).want(t, "allowed", 303, toApp+"code=gha_made_up&state=1&iss=")
	if len(h.codes.allowed) != 1 || len(h.codes.allowed[0].Request) == 0 {
		t.Errorf("%+v", h.codes.allowed)
	}
	b.get(at+"x").want(t, "nobody's", 400, "request_over", "begin there again")
}
