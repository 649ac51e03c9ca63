package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/token"
)

// opening is an OpenID provider that does as a test says.
type opening struct {
	*httptest.Server
	t   *testing.T
	key *token.Key

	mu       sync.Mutex
	path     string // below its host
	metadata map[string]any
	// claims are those of the next ID token, beside or in place of the right ones; nil takes one away.
	claims map[string]any
	signs  *token.Key // ID tokens, which have this typ
	typ    string
	// token is the answer of the token endpoint in the place of the right one.
	token func(w http.ResponseWriter, r *http.Request)
	// userinfo is the answer of that endpoint; nil: 404.
	userinfo func(w http.ResponseWriter, r *http.Request)
	// asked is what the browser brought, forms what the token endpoint was asked, by code.
	asked  map[string]url.Values
	forms  []url.Values
	logins []string // Basic at the token endpoint
}

func newOpening(t *testing.T) *opening {
	t.Helper()
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	o := &opening{t: t, key: key, signs: key, typ: token.TypeJWT, asked: map[string]url.Values{}}
	mux := http.NewServeMux()
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		path := o.path
		o.mu.Unlock()
		http.StripPrefix(path, mux).ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	o.metadata = map[string]any{"issuer": o.URL, "authorization_endpoint": o.URL + "/authorize?tenant=t", "token_endpoint": o.URL + "/token", "jwks_uri": o.URL + "/jwks",
		"authorization_response_iss_parameter_supported": true}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		_ = json.NewEncoder(w).Encode(o.metadata)
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(token.MarshalJWKSet([]*token.Key{o.key})) })
	mux.HandleFunc("POST /token", o.exchange)
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.userinfo == nil {
			w.WriteHeader(404)
			return
		}
		o.userinfo(w, r)
	})
	return o
}

// set changes what the provider does.
func (o *opening) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

func (o *opening) exchange(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forms = append(o.forms, r.PostForm)
	id, secret, _ := r.BasicAuth()
	o.logins = append(o.logins, id+":"+secret)
	if o.token != nil {
		o.token(w, r)
		return
	}
	q, ok := o.asked[r.PostForm.Get("code")]
	challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || base64.RawURLEncoding.EncodeToString(challenge[:]) != q.Get("code_challenge") || r.PostForm.Get("redirect_uri") != q.Get("redirect_uri") {
		w.WriteHeader(400)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": o.idToken(q)})
}

func (o *opening) idToken(q url.Values) string {
	now := time.Now().Unix()
	claims := map[string]any{"iss": o.URL, "sub": "s-1", "aud": q.Get("client_id"), "exp": now + 60, "iat": now, "nonce": q.Get("nonce"), "auth_time": now}
	maps.Copy(claims, o.claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(claims)
	if err != nil {
		o.t.Error(err)
	}
	text, err := o.signs.Sign(o.typ, b)
	if err != nil {
		o.t.Error(err)
	}
	return text
}

// there is the browser at the provider: it signs in, and is sent back with these further parameters.
func (o *opening) there(address, code string, more ...string) (back string) {
	o.t.Helper()
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, o.URL+"/authorize?") || u.Query().Get("tenant") != "t" {
		o.t.Fatalf("the way to the provider: %s %v", address, err)
	}
	q := u.Query()
	o.set(func() { o.asked[code] = q })
	answer := url.Values{"state": {q.Get("state")}, "code": {code}, "iss": {o.URL}}
	for i := 0; i < len(more); i += 2 {
		answer.Set(more[i], more[i+1])
		if more[i+1] == "" {
			answer.Del(more[i])
		}
	}
	return strings.TrimPrefix(q.Get("redirect_uri"), "http://") + "?" + answer.Encode()
}

// acme has the realm main sign people in at o.
func (h *house) acme(o *opening, key string, more map[string]any) {
	h.t.Helper()
	p := map[string]any{"id": "acme", "issuer": o.URL, "client_id": "client 1", "create_accounts": true, "allow_private_address": true}
	maps.Copy(p, more)
	set, _ := json.Marshal(map[string]any{"settings": map[string]any{"providers": []any{p}}})
	h.want("settings", "PATCH", "/admin/v1/realms/main", key, string(set), 200)
	h.want("secret", "PUT", "/admin/v1/realms/main/providers/acme/secret", key, `{"secret":"s:e+c r%t"}`, 204)
}

// to begins a sign-in, and returns where the browser is sent.
func (v *visitor) to(path string) string {
	v.h.t.Helper()
	status, page := v.get(path)
	i := strings.Index(page, "http://")
	if status != 303 || i < 0 {
		v.h.t.Fatalf("%s: %d %s", path, status, page)
	}
	return page[i:]
}

// back brings what the provider gave; only the path of the address counts.
func (v *visitor) back(address string) (int, string) {
	v.h.t.Helper()
	return v.get(address[strings.Index(address, "/"):])
}

// elsewhere signs in at o.
func (v *visitor) elsewhere(o *opening, code string, more ...string) (int, string) {
	v.h.t.Helper()
	return v.back(o.there(v.to("/signin/with/acme?return=%2Faccount%2Fkeys"), code, more...))
}

// why waits until the newest event of a failure says part, and returns what it says at the end.
func (h *house) why(key, part string) (said string) {
	h.t.Helper()
	testwait.For(10*time.Second, func() bool {
		items, _ := h.want("events", "GET", "/admin/v1/realms/main/audit/events?limit=1&kind=provider.failure", key, "", 200)["items"].([]any)
		if len(items) == 0 {
			return false
		}
		e := items[0].(map[string]any)
		detail, _ := e["detail"].(map[string]any)
		said = fmt.Sprint(e["reason"], ": ", detail["why"])
		return strings.Contains(said, part)
	})
	return said
}

// TestProviderSignIn: who signs in at a provider gets an account of his own, once; the code is exchanged with the
// secret and the verifier, and what the account is comes from nothing but issuer and subject.
//
// ASVS: 6.8.1
func TestProviderSignIn(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	o := newOpening(t)
	h.acme(o, key, nil)
	item := h.want("providers", "GET", "/admin/v1/realms/main/providers", key, "", 200)["items"].([]any)[0].(map[string]any)
	if item["has_secret"] != true || item["redirect_uri"] != h.s.Issuer()+"/signin/with/acme/back" || strings.Contains(fmt.Sprint(item), "c r%t") {
		t.Errorf("%v", item)
	}
	// A person here has the address that the provider says, and is nobody's for it.
	h.want("user", "POST", "/admin/v1/realms/main/users", key, `{"username":"eve@example.org","email":"eve@example.org"}`, 201)
	o.claims = map[string]any{"email": "eve@example.org", "email_verified": true, "name": "Eve \u202e\nAdams", "preferred_username": "eve@example.org"}
	v := h.visitor(nil)
	status, page := v.elsewhere(o, "c1")
	if status != 303 || !strings.HasSuffix(page, "/account/keys") {
		t.Fatalf("%d %s %v", status, page, h.why(key, ""))
	}
	if form := o.forms[0]; form.Get("grant_type") != "authorization_code" || form.Has("client_secret") || o.logins[0] != "client+1:s%3Ae%2Bc+r%25t" {
		t.Errorf("the token endpoint was asked %v by %q", form, o.logins)
	}
	q := o.asked["c1"]
	if q.Get("scope") != "openid profile email" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Has("prompt") {
		t.Errorf("the provider was asked %v", q)
	}
	users := h.want("users", "GET", "/admin/v1/realms/main/users", key, "", 200)["items"].([]any)
	var made map[string]any
	for _, u := range users {
		if u := u.(map[string]any); strings.HasPrefix(u["username"].(string), "acme-") {
			made = u
		}
	}
	if made == nil || made["email"] != "eve@example.org" || made["display_name"] != "Eve Adams" || made["has_password"] != false || len(made["roles"].([]any)) != 0 {
		t.Fatalf("%v", users)
	}
	if status, page := h.visitor(nil).elsewhere(o, "c2"); status != 303 {
		t.Fatalf("again, in another browser: %d %s", status, page)
	}
	if again := h.want("users", "GET", "/admin/v1/realms/main/users", key, "", 200)["items"].([]any); len(again) != len(users) {
		t.Errorf("a second account: %v", again)
	}
	sessions := h.want("sessions", "GET", "/admin/v1/realms/main/users/"+made["id"].(string)+"/sessions", key, "", 200)["items"].([]any)
	if s := sessions[0].(map[string]any); len(sessions) != 2 || s["acr"] != "aal1" || fmt.Sprint(s["amr"]) != "[fed]" {
		t.Errorf("%v", sessions)
	}
	o.set(func() {
		o.claims = map[string]any{"sub": "s-2", "preferred_username": "frank", "email": "frank@example.org", "email_verified": "false"}
	})
	if status, page := h.visitor(nil).elsewhere(o, "c3"); status != 303 {
		t.Fatalf("another person: %d %s", status, page)
	}
	frank := h.want("frank", "GET", "/admin/v1/realms/main/users/frank", key, "", 200)
	if frank["email"] != nil && frank["email"] != "" {
		t.Errorf("an address that nobody has verified: %v", frank)
	}
	if got := v.to("/signin/with/acme"); !strings.Contains(got, "prompt=login") || !strings.Contains(got, "max_age=0") {
		t.Errorf("to prove it again: %s", got)
	}
	h.want("locked out", "PATCH", "/admin/v1/realms/main/users/frank", key, `{"disabled":true}`, 200)
	if status, page := h.visitor(nil).elsewhere(o, "c4"); status != 422 || !strings.Contains(page, `id="notice"`) {
		t.Errorf("who is locked out: %d %s", status, page)
	}
	// After a panic the account elsewhere opens nothing, also when the one here is enabled; and there is no other account for it.
	before := len(h.want("users", "GET", "/admin/v1/realms/main/users", key, "", 200)["items"].([]any))
	h.want("panic", "POST", "/admin/v1/realms/main/users/frank/panic", key, `{}`, 200)
	h.want("enabled", "PATCH", "/admin/v1/realms/main/users/frank", key, `{"disabled":false}`, 200)
	if status, page := h.visitor(nil).elsewhere(o, "c6"); status != 422 {
		t.Errorf("after a panic: %d %s", status, page)
	}
	if after := len(h.want("users", "GET", "/admin/v1/realms/main/users", key, "", 200)["items"].([]any)); after != before {
		t.Errorf("%d accounts after the panic, %d before", after, before)
	}
	h.acme(o, key, map[string]any{"create_accounts": false})
	o.set(func() { o.claims["sub"] = "s-3" })
	if status, page := h.visitor(nil).elsewhere(o, "c5"); status != 422 || h.why(key, "provider_account_unknown") != "provider_account_unknown: <nil>" {
		t.Errorf("nobody's: %d %s", status, page)
	}
	// A secret counts for the issuer that it was set for.
	evil := newOpening(t)
	set, _ := json.Marshal(map[string]any{"settings": map[string]any{"providers": []any{map[string]any{"id": "acme", "issuer": evil.URL, "client_id": "client 1", "allow_private_address": true}}}})
	h.want("another issuer", "PATCH", "/admin/v1/realms/main", key, string(set), 200)
	if status, page := h.visitor(nil).get("/signin/with/acme"); status != 422 || !strings.Contains(h.why(key, "another issuer or client"), "another issuer or client") {
		t.Errorf("the secret for another issuer: %d %s", status, page)
	}
}

// TestProviderSecondFactor: a sign-in elsewhere is one factor, unless the realm's setting says by which word of the provider
// it is two; who has or owes a second one is asked for it here.
//
// ASVS: 6.8.4
func TestProviderSecondFactor(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	o := newOpening(t)
	h.acme(o, key, nil)
	h.want("settings", "PATCH", "/admin/v1/realms/main", key, `{"settings":{"mfa":"required"}}`, 200)
	o.claims = map[string]any{"amr": []string{"pwd", "mfa"}, "acr": "phr", "preferred_username": "gil"}
	v := h.visitor(nil)
	if status, page := v.elsewhere(o, "c1"); status != 303 || !strings.Contains(page, "/signin/factor") {
		t.Fatalf("its word counts unasked: %d %s", status, page)
	}
	if status, page := v.get("/signin/factor"); status != 200 || !strings.Contains(page, "/signin/enrol") {
		t.Fatalf("to add one: %d %s", status, page)
	}
	status, page := v.send("/signin/factor", "/signin/enrol", url.Values{"do": {"add"}})
	secret := regexp.MustCompile(`<code id="secret">([A-Z2-7 ]+)</code>`).FindStringSubmatch(page)
	id := regexp.MustCompile(`name="factor" value="(fac_[^"]+)"`).FindStringSubmatch(page)
	if status != 200 || secret == nil || id == nil {
		t.Fatalf("an app: %d %s", status, page)
	}
	app := strings.ReplaceAll(secret[1], " ", "")
	code := func(at time.Duration) string { return testtotp.Code(app, time.Now().Add(at)) }
	if status, page := v.send("/signin/factor", "/signin/enrol", url.Values{"do": {"confirm"}, "factor": {id[1]}, "code": {code(-30 * time.Second)}}); status != 200 {
		t.Fatalf("its code: %d %s", status, page)
	}
	again := h.visitor(nil)
	if status, page := again.elsewhere(o, "c2"); status != 303 || !strings.Contains(page, "/signin/factor") {
		t.Fatalf("it has one now: %d %s", status, page)
	}
	if status, page := again.send("/signin/factor", "/signin/factor", url.Values{"code": {code(0)}, "return": {""}, "with": {""}}); status != 303 {
		t.Fatalf("the code: %d %s", status, page)
	}
	sessions := h.want("sessions", "GET", "/admin/v1/realms/main/users/gil/sessions", key, "", 200)["items"].([]any)
	for _, s := range sessions {
		if s := s.(map[string]any); len(sessions) != 2 || s["acr"] != "aal2" || fmt.Sprint(s["amr"]) != "[fed otp mfa]" {
			t.Errorf("%v", s)
		}
	}
	for i, by := range [][]string{{"phr"}, {"mfa"}} {
		h.acme(o, key, map[string]any{"second_factor_by": by})
		if status, page := h.visitor(nil).elsewhere(o, fmt.Sprint("d", i)); status != 303 || strings.Contains(page, "factor") {
			t.Errorf("%v: %d %s", by, status, page)
		}
	}
	h.acme(o, key, map[string]any{"second_factor_by": []string{"phrh"}})
	if status, page := h.visitor(nil).elsewhere(o, "e"); status != 303 || !strings.Contains(page, "/signin/factor") {
		t.Errorf("another word: %d %s", status, page)
	}
}

// TestProviderAnswers: what comes back counts for the sign-in that this browser began at this provider, once, and when all
// of it is right.
//
// ASVS: 6.8.2
func TestProviderAnswers(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	o, evil := newOpening(t), newOpening(t)
	h.acme(o, key, nil)
	other, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	other.KID = o.key.KID
	n := 0
	next := func() string { n++; return fmt.Sprint("c", n) }
	refused := func(what, why string, status int, page string) {
		t.Helper()
		if got := h.why(key, why); status != 422 || !strings.Contains(got, why) {
			t.Errorf("%s: %d %q, not %s; %s", what, status, got, why, page)
		}
	}
	now := time.Now().Unix()
	for what, c := range map[string]struct {
		claims map[string]any
		why    string
	}{
		"another issuer":          {map[string]any{"iss": evil.URL}, "token_wrong_issuer"},
		"no issuer":               {map[string]any{"iss": nil}, "token_claim_missing"},
		"another audience":        {map[string]any{"aud": "client 2"}, "token_wrong_audience"},
		"several audiences":       {map[string]any{"aud": []string{"client 1", "client 2"}}, "another party"},
		"another party":           {map[string]any{"azp": "client 2"}, "another party"},
		"a party that is no text": {map[string]any{"azp": 1}, "another party"},
		"no nonce":                {map[string]any{"nonce": nil}, "token_claim_missing"},
		"another nonce":           {map[string]any{"nonce": "n"}, "another sign-in"},
		"an old token":            {map[string]any{"iat": now - 3600}, "older than the sign-in"},
		"of tomorrow":             {map[string]any{"iat": now + 3600}, "token_not_yet_valid"},
		"expired":                 {map[string]any{"exp": now - 61}, "token_expired"},
		"no subject":              {map[string]any{"sub": nil}, "token_claim_missing"},
		"a long subject":          {map[string]any{"sub": strings.Repeat("s", 256)}, "too long"},
		"another access token":    {map[string]any{"at_hash": "x"}, "access token"},
	} {
		o.set(func() { o.claims = c.claims })
		status, page := h.visitor(nil).elsewhere(o, next())
		refused(what, c.why, status, page)
	}
	o.set(func() { o.claims, o.signs = nil, other })
	status, page := h.visitor(nil).elsewhere(o, next())
	refused("another key", "token_signature", status, page)
	o.set(func() { o.signs, o.typ = o.key, "at+jwt" })
	status, page = h.visitor(nil).elsewhere(o, next())
	refused("an access token", "token_wrong_type", status, page)
	o.set(func() { o.typ = token.TypeJWT })
	for what, c := range map[string]struct {
		more []string
		why  string
	}{
		"another provider's answer": {[]string{"iss", evil.URL}, "this issuer"},
		"nobody's answer":           {[]string{"iss", ""}, "this issuer"},
		"no state":                  {[]string{"state", ""}, "no state"},
		"state of one's own":        {[]string{"state", "AQEB"}, "none of ours"},
		"no code":                   {[]string{"code", ""}, "no code"},
		"a code of another":         {[]string{"code", "c0"}, "refused the code"},
	} {
		status, page := h.visitor(nil).elsewhere(o, next(), c.more...)
		refused(what, c.why, status, page)
	}
	status, page = h.visitor(nil).elsewhere(o, next(), "error", "access_denied")
	refused("denied there", "provider_cancelled: the provider said access_denied", status, page)

	v := h.visitor(nil)
	back := o.there(v.to("/signin/with/acme"), next())
	status, page = h.visitor(nil).back(back)
	refused("in a browser that began nothing", "no cookie", status, page)
	w := h.visitor(nil)
	w.to("/signin/with/acme")
	status, page = w.back(back)
	refused("in another browser", "another browser", status, page)
	if status, page := v.back(back); status != 303 {
		t.Fatalf("in its own: %d %s", status, page)
	}
	status, page = v.back(back)
	refused("again", "brought before", status, page)

	// An answer with a code of one provider at the address of another (mix-up).
	two := []any{map[string]any{"id": "acme", "issuer": o.URL, "client_id": "client 1", "allow_private_address": true},
		map[string]any{"id": "evil", "issuer": evil.URL, "client_id": "client 1", "allow_private_address": true}}
	set, _ := json.Marshal(map[string]any{"settings": map[string]any{"providers": two}})
	h.want("two", "PATCH", "/admin/v1/realms/main", key, string(set), 200)
	h.want("secret", "PUT", "/admin/v1/realms/main/providers/evil/secret", key, `{"secret":"s"}`, 204)
	back = o.there(v.to("/signin/with/acme"), next())
	status, page = v.back(strings.Replace(back, "/with/acme/", "/with/evil/", 1))
	refused("at another provider's address", "another provider", status, page)

	// What a provider answers is bounded, and nothing that it says leads elsewhere.
	for what, c := range map[string]struct {
		token func(w http.ResponseWriter, r *http.Request)
		why   string
	}{
		"without end": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"id_token":"` + strings.Repeat("x", 200<<10) + `"}`))
		}, "too large"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, evil.URL+"/token", http.StatusTemporaryRedirect)
		}, "no JSON"},
		"a page":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "no JSON"},
		"no ID token": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"access_token":"x"}`)) }, "no ID token"},
		"a name twice": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"id_token":"a","id_token":"b"}`))
		}, "no JSON"},
		"our secret is old": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		}, "invalid_client at the token endpoint"},
	} {
		o.set(func() { o.token = c.token })
		status, page := h.visitor(nil).elsewhere(o, next())
		refused(what, c.why, status, page)
	}
	if len(evil.forms) > 0 {
		t.Errorf("another server was asked: %v", evil.forms)
	}
}

// TestProviderMetadata: what a provider says of itself counts when it is of the issuer that was set, and leads to no place that
// may not be reached.
func TestProviderMetadata(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	for what, c := range map[string]struct {
		change func(o *opening)
		more   map[string]any
		why    string
	}{
		"another issuer":  {func(o *opening) { o.metadata["issuer"] = "https://evil.example" }, nil, "another issuer"},
		"a script":        {func(o *opening) { o.metadata["authorization_endpoint"] = "javascript:alert(1)" }, nil, "no address"},
		"no endpoint":     {func(o *opening) { delete(o.metadata, "token_endpoint") }, nil, "no address"},
		"a name and host": {func(o *opening) { o.metadata["token_endpoint"] = "http://a:b@127.0.0.1/" }, nil, "no address"},
		"of another type": {func(o *opening) { o.metadata["token_endpoint"] = 1 }, nil, "right types"},
		"without end":     {func(o *opening) { o.metadata["x"] = strings.Repeat("x", 200<<10) }, nil, "too large"},
		"a private place": {func(o *opening) {}, map[string]any{"allow_private_address": false, "issuer": "https://127.0.0.1:1"}, "egress_address_refused"},
		"nobody is there": {func(o *opening) { o.Close() }, nil, "egress_failed"},
	} {
		o := newOpening(t)
		c.change(o)
		h.acme(o, key, c.more)
		status, page := h.visitor(nil).get("/signin/with/acme")
		if got := h.why(key, c.why); status != 422 || !strings.Contains(got, c.why) || !strings.Contains(page, `id="identifier"`) {
			t.Errorf("%s: %d %q; %s", what, status, got, page)
		}
	}
	if r := h.want("plain", "PATCH", "/admin/v1/realms/main", key, `{"settings":{"providers":[{"id":"x","issuer":"http://acme.example","client_id":"c"}]}}`, 422); fmt.Sprint(r["code"]) != "input_invalid" {
		t.Errorf("plain HTTP: %v", r)
	}
	o := newOpening(t)
	o.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
	o.metadata["authorization_response_iss_parameter_supported"] = false
	h.acme(o, key, nil)
	if status, page := h.visitor(nil).elsewhere(o, "c", "iss", ""); status != 303 {
		t.Fatalf("%d %s %v", status, page, h.why(key, ""))
	}
	if form := o.forms[0]; form.Get("client_id") != "client 1" || form.Get("client_secret") != "s:e+c r%t" || o.logins[0] != ":" {
		t.Errorf("the secret in the form: %v %q", form, o.logins)
	}
}
