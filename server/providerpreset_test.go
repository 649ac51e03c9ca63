package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/token"
)

// hub answers as GitHub documents that it does: no metadata, no ID token, errors with status 200, a form unless JSON is
// asked for, and an API that says whose an access token is.
type hub struct {
	*httptest.Server
	mu     sync.Mutex
	asked  map[string]url.Values // by code
	user   string                // what its API says
	emails string
	status int // of the list of addresses
	used   []string
}

func newHub(t *testing.T) *hub {
	t.Helper()
	g := &hub{asked: map[string]url.Values{}, status: 200}
	mux := http.NewServeMux()
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	mux.HandleFunc("POST /login/oauth/access_token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		g.mu.Lock()
		q, ok := g.asked[r.PostForm.Get("code")]
		g.mu.Unlock()
		challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		answer := url.Values{"access_token": {"gho_1"}, "token_type": {"bearer"}, "scope": {"user:email"}}
		switch {
		case r.PostForm.Get("client_id") != "Iv1" || r.PostForm.Get("client_secret") != "hub secret" || r.Header.Get("Authorization") != "":
			answer = url.Values{"error": {"incorrect_client_credentials"}}
		case !ok || base64.RawURLEncoding.EncodeToString(challenge[:]) != q.Get("code_challenge") || r.PostForm.Get("redirect_uri") != q.Get("redirect_uri"):
			answer = url.Values{"error": {"bad_verification_code"}, "error_description": {"The code passed is incorrect or expired."}}
		}
		if r.Header.Get("Accept") != "application/json" {
			_, _ = w.Write([]byte(answer.Encode()))
			return
		}
		flat := map[string]string{}
		for name := range answer {
			flat[name] = answer.Get(name)
		}
		_ = json.NewEncoder(w).Encode(flat)
	})
	api := func(w http.ResponseWriter, r *http.Request, status int, body *string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.used = append(g.used, r.URL.Path)
		if r.Header.Get("Authorization") != "Bearer gho_1" || r.Header.Get("User-Agent") == "" || r.Header.Get("X-Github-Api-Version") == "" {
			status = 401
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(*body))
	}
	mux.HandleFunc("GET /api/v3/user", func(w http.ResponseWriter, r *http.Request) { api(w, r, 200, &g.user) })
	mux.HandleFunc("GET /api/v3/user/emails", func(w http.ResponseWriter, r *http.Request) { api(w, r, g.status, &g.emails) })
	return g
}

// there is the browser at the provider: it agrees, and is sent back.
func (g *hub) there(t *testing.T, address, code string, more ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, g.URL+"/login/oauth/authorize?") {
		t.Fatalf("the way there: %s %v", address, err)
	}
	q := u.Query()
	if q.Get("scope") != "user:email" || q.Has("nonce") || q.Has("response_mode") || q.Get("code_challenge") == "" {
		t.Errorf("asked %v", q)
	}
	g.mu.Lock()
	g.asked[code] = q
	g.mu.Unlock()
	answer := url.Values{"state": {q.Get("state")}, "code": {code}}
	for i := 0; i < len(more); i += 2 {
		answer.Set(more[i], more[i+1])
	}
	return strings.TrimPrefix(q.Get("redirect_uri"), "http://") + "?" + answer.Encode()
}

// provide sets the providers of the realm main, and the secret of one.
func (h *house) provide(key string, p map[string]any, secret string) {
	h.t.Helper()
	set, _ := json.Marshal(map[string]any{"settings": map[string]any{"providers": []any{p}}})
	h.want("settings", "PATCH", "/admin/v1/realms/main", key, string(set), 200)
	body, _ := json.Marshal(map[string]string{"secret": secret})
	h.want("secret", "PUT", "/admin/v1/realms/main/providers/"+p["id"].(string)+"/secret", key, string(body), 204)
}

// people are the accounts of the realm main by username.
func (h *house) named(key string) map[string]map[string]any {
	h.t.Helper()
	out := map[string]map[string]any{}
	for _, u := range h.want("users", "GET", "/admin/v1/realms/main/users", key, "", 200)["items"].([]any) {
		u := u.(map[string]any)
		out[u["username"].(string)] = u
	}
	return out
}

// TestProviderGitHub: who signs in there is known by the number of the account, whatever its name is by then; the primary address
// is kept when it is verified, and what the API does not say opens nothing.
func TestProviderGitHub(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	g := newHub(t)
	h.provide(key, map[string]any{"id": "github", "preset": "github", "issuer": g.URL + "/login/oauth", "client_id": "Iv1", "create_accounts": true, "allow_private_address": true}, "hub secret")
	item := h.want("providers", "GET", "/admin/v1/realms/main/providers", key, "", 200)["items"].([]any)[0].(map[string]any)
	if item["title"] != "GitHub" || item["preset"] != "github" || item["has_secret"] != true {
		t.Errorf("%v", item)
	}
	n := 0
	visit := func(more ...string) (int, string) {
		n++
		v := h.visitor(nil)
		return v.back(g.there(t, v.to("/signin/with/github"), fmt.Sprint("c", n), more...))
	}
	g.user = `{"login":"octocat","id":583231,"name":"Mona \"O\"","email":"public@example.org","two_factor_authentication":true}`
	g.emails = `[{"email":"spare@example.org","primary":false,"verified":true,"visibility":null},{"email":"mona@example.org","primary":true,"verified":true,"visibility":"private"}]`
	if status, page := visit("iss", g.URL+"/login/oauth"); status != 303 {
		t.Fatalf("%d %s %s", status, page, h.why(key, ""))
	}
	made := h.named(key)["octocat"]
	if made == nil || made["email"] != "mona@example.org" || made["display_name"] != `Mona "O"` {
		t.Fatalf("%v", made)
	}
	// The name goes to somebody else, who has the number of nobody here.
	g.user = `{"login":"mona-renamed","id":583231,"name":null}`
	if status, page := visit(); status != 303 || len(h.named(key)) != 2 {
		t.Errorf("renamed: %d %s %v", status, page, h.named(key))
	}
	g.user, g.emails = `{"login":"octocat","id":9007199254740993,"name":null}`, `[{"email":"mona@example.org","primary":true,"verified":false}]`
	if status, page := visit(); status != 303 || len(h.named(key)) != 3 {
		t.Errorf("who took the name: %d %s %v", status, page, h.named(key))
	}
	for name, u := range h.named(key) {
		if name != "octocat" && u["email"] != nil && u["email"] != "" {
			t.Errorf("an address that nobody has verified: %v", u)
		}
	}
	g.user, g.status = `{"login":"shy","id":7}`, 404 // the scope was taken away
	if status, page := visit(); status != 303 || h.named(key)["shy"] == nil {
		t.Errorf("without addresses: %d %s", status, page)
	}
	g.status = 200
	before := len(h.named(key))
	for what, c := range map[string]struct{ user, emails, why string }{
		"no number":        {`{"login":"x"}`, `[]`, "whose the access token is"},
		"a number as text": {`{"login":"x","id":"583231"}`, `[]`, "whose the access token is"},
		"a fraction":       {`{"login":"x","id":583231.5}`, `[]`, "whose the access token is"},
		"a number twice":   {`{"login":"x","id":1,"id":583231}`, `[]`, "whose the access token is"},
		"no JSON":          {`<html>`, `[]`, "whose the access token is"},
		"no list":          {`{"login":"x","id":8}`, `{}`, "addresses of e-mail"},
	} {
		g.user, g.emails = c.user, c.emails
		status, page := visit()
		if got := h.why(key, c.why); status != 422 || !strings.Contains(got, c.why) {
			t.Errorf("%s: %d %q %s", what, status, got, page)
		}
	}
	g.user = `{"login":"octocat","id":583231}`
	status, page := visit("iss", "https://github.com")
	if got := h.why(key, "this issuer"); status != 422 || !strings.Contains(got, "this issuer") {
		t.Errorf("another issuer: %d %q %s", status, got, page)
	}
	status, page = visit("code", "c0")
	if got := h.why(key, "refused the code"); status != 422 || !strings.Contains(got, "provider_refused: the token endpoint refused the code") {
		t.Errorf("another code: %d %q %s", status, got, page)
	}
	h.want("secret", "PUT", "/admin/v1/realms/main/providers/github/secret", key, `{"secret":"old"}`, 204)
	status, page = visit()
	if got := h.why(key, "incorrect_client"); status != 422 || !strings.Contains(got, "the provider said incorrect_client_credentials at the token endpoint") {
		t.Errorf("an old secret: %d %q %s", status, got, page)
	}
	if after := len(h.named(key)); after != before {
		t.Errorf("%d accounts, %d before", after, before)
	}
}

// Orchard answers as Apple documents that it does: by a form that the browser posts from its site, for a client that signs its
// secret. Its metadata name another issuer than its tokens, as Apple's did in June 2025.
type Orchard struct {
	*httptest.Server
	Secret string // the operator's private key, in PEM
	public *ecdsa.PublicKey
	key    *token.Key

	mu      sync.Mutex
	asked   map[string]url.Values
	claims  map[string]any
	refused string // why a client secret was refused
}

// NewOrchard starts one, at the name localhost: another site than 127.0.0.1.
func NewOrchard(t *testing.T) *Orchard {
	t.Helper()
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	o := &Orchard{Secret: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), public: &private.PublicKey, key: key, asked: map[string]url.Values{}}
	mux := http.NewServeMux()
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": "https://account.example", "authorization_endpoint": "https://account.example/auth/authorize", "token_endpoint": "https://account.example/auth/token", "jwks_uri": "https://account.example/auth/keys"})
	})
	mux.HandleFunc("GET /auth/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(token.MarshalJWKSet([]*token.Key{o.key})) })
	mux.HandleFunc("GET /auth/authorize", func(w http.ResponseWriter, r *http.Request) {
		to, form := o.There(r.URL.Query(), "browser")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>Orchard</title><form method="post" action="%s">`, html.EscapeString(to))
		for name := range form {
			_, _ = fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, name, html.EscapeString(form.Get(name)))
		}
		_, _ = w.Write([]byte(`<button id="agree">Agree</button></form>`))
	})
	mux.HandleFunc("POST /auth/token", o.exchange)
	return o
}

// There is somebody who agrees to what the browser brought: the form that is posted, and where to.
func (o *Orchard) There(q url.Values, code string) (to string, form url.Values) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[code] = q
	return q.Get("redirect_uri"), url.Values{"state": {q.Get("state")}, "code": {code}, "user": {`{"name":{"firstName":"Ada","lastName":"Lovelace"},"email":"somebody@example.org"}`}}
}

func (o *Orchard) exchange(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	o.mu.Lock()
	defer o.mu.Unlock()
	q, ok := o.asked[r.PostForm.Get("code")]
	if o.refused = o.wrong(r.PostForm.Get("client_secret"), q.Get("client_id")); o.refused != "" || r.PostForm.Get("client_id") != q.Get("client_id") {
		w.WriteHeader(400)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return
	}
	if !ok || r.PostForm.Get("redirect_uri") != q.Get("redirect_uri") {
		w.WriteHeader(400)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": o.URL, "sub": "000544.5e201aec.1321", "aud": q.Get("client_id"), "exp": now + 600, "iat": now, "nonce": q.Get("nonce"), "nonce_supported": true,
		"email": "x9@privaterelay.example", "email_verified": "true", "is_private_email": "true", "auth_time": now}
	maps.Copy(claims, o.claims)
	b, _ := json.Marshal(claims)
	text, _ := o.key.Sign("", b)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt", "id_token": text})
}

// wrong tells what is wrong with a client secret, read and verified by this test alone.
func (o *Orchard) wrong(secret, client string) string {
	parts := strings.Split(secret, ".")
	if len(parts) != 3 {
		return "no JWT"
	}
	var header map[string]string
	var c struct {
		Iss, Aud, Sub string
		Iat, Exp      int64
	}
	part := func(i int) []byte { b, _ := base64.RawURLEncoding.DecodeString(parts[i]); return b }
	sum, sig, now := sha256.Sum256([]byte(parts[0]+"."+parts[1])), part(2), time.Now().Unix()
	switch {
	case json.Unmarshal(part(0), &header) != nil || json.Unmarshal(part(1), &c) != nil || len(sig) != 64:
		return "no JWT"
	case header["alg"] != "ES256" || header["kid"] != "KEY1234567" || len(header) != 2:
		return fmt.Sprint("header ", header)
	case c.Iss != "TEAM123456" || c.Aud != o.URL || c.Sub != client || c.Iat > now+1 || c.Exp <= now || c.Exp > now+15777000:
		return fmt.Sprintf("claims %+v", c)
	case !ecdsa.Verify(o.public, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])):
		return "signature"
	}
	return ""
}

// TestProviderApple: an answer that another site posts leads to a session in the browser that began alone; the client secret is
// signed for each exchange; the address is the ID token's, and the name is shown and no more.
func TestProviderApple(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	o := NewOrchard(t)
	apple := map[string]any{"id": "apple", "preset": "apple", "issuer": o.URL, "client_id": "com.example.signin", "team_id": "TEAM123456", "key_id": "KEY1234567", "create_accounts": true, "allow_private_address": true}
	h.provide(key, apple, o.Secret)
	h.want("no key", "PUT", "/admin/v1/realms/main/providers/apple/secret", key, `{"secret":"a text that signs nothing"}`, 422)
	n := 0
	// begin goes to the provider, where somebody agrees.
	begin := func(v *visitor) (string, url.Values) {
		t.Helper()
		u, err := url.Parse(v.to("/signin/with/apple?return=%2Faccount%2Fkeys"))
		if err != nil || u.Path != "/auth/authorize" || u.Query().Get("response_mode") != "form_post" || u.Query().Get("scope") != "openid name email" || u.Query().Has("prompt") {
			t.Fatalf("the way there: %v %v", u, err)
		}
		n++
		return o.There(u.Query(), fmt.Sprint("c", n))
	}
	// post is the browser that another site has post a form: without the cookies that it has for here.
	post := func(to string, form url.Values) (int, string) {
		t.Helper()
		req, err := http.NewRequest("POST", h.s.Issuer()+to[strings.Index(to, "/signin/"):], strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://appleid.apple.com", "Sec-Fetch-Site": "cross-site"} {
			req.Header.Set(name, value)
		}
		return h.visitor(nil).read((&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req))
	}
	refused := func(what, why string, status int, page string) {
		t.Helper()
		if got := h.why(key, why); status != 422 || !strings.Contains(got, why) {
			t.Errorf("%s: %d %q, not %s; %s", what, status, got, why, page)
		}
	}
	v := h.visitor(nil)
	to, form := begin(v)
	status, next := post(to, form)
	if status != 303 || !strings.HasPrefix(next, "/signin/with/apple/back?answer=") || strings.Contains(next, form.Get("code")+"&") || strings.Contains(next, "Ada") {
		t.Fatalf("posted: %d %s", status, next)
	}
	other := h.visitor(nil)
	other.to("/signin/with/apple")
	status, page := other.back(next)
	refused("in another browser", "another browser", status, page)
	if status, page := v.back(next); status != 303 || !strings.HasSuffix(page, "/account/keys") {
		t.Fatalf("%d %s %s %s", status, page, h.why(key, ""), o.refused)
	}
	status, page = v.back(next)
	refused("twice", "brought before", status, page)
	made := h.named(key)["x9@privaterelay.example"]
	if made == nil || made["email"] != "x9@privaterelay.example" || made["display_name"] != "Ada Lovelace" {
		t.Errorf("%v", h.named(key))
	}
	to, form = begin(v)
	status, page = v.back(to[strings.Index(to, "/signin/"):] + "?" + form.Encode())
	refused("as an address", "was not posted", status, page)
	status, page = v.back("/signin/with/apple/back?answer=AQEB")
	refused("of one's own making", "was not posted", status, page)
	form.Set("code", strings.Repeat("c", 2049))
	if status, page := post(to, form); status != 422 || !strings.Contains(page, "not accepted") {
		t.Errorf("a long code: %d %s", status, page)
	}
	_, form = begin(v)
	if status, page := post("/signin/with/none/back", form); status != 404 {
		t.Errorf("no such provider: %d %s", status, page)
	}
	// The name is unsigned: what it says of an address counts for nothing, and what is no name is none.
	o.claims = map[string]any{"sub": "s-2", "email": "eve@example.org", "email_verified": "false"}
	to, form = begin(other)
	form.Set("user", `{"name":{"firstName":["x"]},"email":"eve@example.org"}`)
	_, next = post(to, form)
	if status, page := other.back(next); status != 303 {
		t.Fatalf("%d %s", status, page)
	}
	for name, u := range h.named(key) {
		if strings.HasPrefix(name, "apple-") && (u["email"] != nil && u["email"] != "" || u["display_name"] != nil && u["display_name"] != "") {
			t.Errorf("%v", u)
		}
	}
	apple["team_id"] = "OTHER"
	h.provide(key, apple, o.Secret)
	to, form = begin(other)
	_, next = post(to, form)
	status, page = other.back(next)
	refused("another team", "invalid_client", status, page)
	// A provider that answers by a link has nothing posted.
	h.provide(key, map[string]any{"id": "apple", "issuer": o.URL, "client_id": "c", "allow_private_address": true}, "s")
	if status, page := post("/signin/with/apple/back", form); status != 404 {
		t.Errorf("posted to another kind: %d %s", status, page)
	}
}

// TestProviderMicrosoft: the issuer is one tenant's, and what is said of addresses counts for nothing.
func TestProviderMicrosoft(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.start()
	key := h.bootstrap()
	o := newOpening(t)
	const tenant = "/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0"
	at := o.URL
	o.set(func() { o.path, o.URL = tenant, at+tenant })
	o.metadata = map[string]any{"issuer": o.URL, "authorization_endpoint": o.URL + "/authorize?tenant=t", "token_endpoint": o.URL + "/token", "jwks_uri": o.URL + "/jwks",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"}}
	entra := map[string]any{"id": "acme", "preset": "microsoft", "issuer": o.URL, "client_id": "client 1", "create_accounts": true, "allow_private_address": true}
	h.provide(key, entra, "s")
	o.claims = map[string]any{"iss": o.URL, "preferred_username": "pat", "email": "ceo@example.org", "email_verified": true, "xms_edov": true}
	v := h.visitor(nil)
	if status, page := v.elsewhere(o, "c1", "iss", ""); status != 303 {
		t.Fatalf("%d %s %s", status, page, h.why(key, ""))
	}
	if pat := h.named(key)["pat"]; pat == nil || pat["email"] != nil && pat["email"] != "" {
		t.Errorf("%v", h.named(key))
	}
	for _, bad := range []string{"", at, at + "/common/v2.0", at + "/organizations/v2.0", at + "/contoso.onmicrosoft.com/v2.0", at + "/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0/"} {
		entra["issuer"] = bad
		set, _ := json.Marshal(map[string]any{"settings": map[string]any{"providers": []any{entra}}})
		said := h.want("issuer "+bad, "PATCH", "/admin/v1/realms/main", key, string(set), 422)
		if !strings.Contains(fmt.Sprint(said), "the id of one (a GUID)") {
			t.Errorf("%q: %v", bad, said)
		}
	}
}
