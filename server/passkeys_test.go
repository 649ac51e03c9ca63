package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
)

// visitor goes through the pages with a browser that has an authenticator.
type visitor struct {
	h      *house
	base   string // of the pages: the issuer
	client *http.Client
	keys   *testpasskey.Browser
}

func (h *house) visitor(keys *testpasskey.Browser) *visitor {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &visitor{h, h.s.Issuer(), &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, keys}
}

func (v *visitor) read(res *http.Response, err error) (int, string) {
	v.h.t.Helper()
	if err != nil {
		v.h.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.h.t.Fatal(err)
	}
	return res.StatusCode, string(b) + res.Header.Get("Location")
}

func (v *visitor) get(path string) (int, string) {
	v.h.t.Helper()
	return v.read(v.client.Get(v.base + path))
}

var formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// send sends a form of the page at from.
func (v *visitor) send(from, to string, fields url.Values) (int, string) {
	v.h.t.Helper()
	_, page := v.get(from)
	m := formToken.FindStringSubmatch(page)
	if m == nil {
		v.h.t.Fatalf("no form at %s: %s", from, page)
	}
	fields.Set("form", m[1])
	return v.read(v.client.PostForm(v.base+to, fields))
}

func (v *visitor) password(user string) {
	v.h.t.Helper()
	if status, page := v.send("/signin?again=1", "/signin", url.Values{"identifier": {user}, "password": {housePassword}, "step": {"password"}}); status != 303 {
		v.h.t.Fatalf("%d %s", status, page)
	}
}

// add makes a passkey, and returns what the page shows then.
func (v *visitor) add(name string) (int, string) {
	v.h.t.Helper()
	status, offer := v.get("/account/passkeys/new")
	if status != 200 {
		return status, offer
	}
	answer, err := v.keys.Create([]byte(offer))
	if err != nil {
		v.h.t.Fatal(err)
	}
	return v.send("/account/passkeys", "/account/passkeys", url.Values{"step": {"add"}, "name": {name}, "answer": {string(answer)}})
}

// answer is what the passkey says at the pages of a realm.
func (v *visitor) answer(realm string) string {
	v.h.t.Helper()
	v.get(realm + "/signin") // for the cookie of its form
	_, question := v.get(realm + "/signin/passkey")
	answer, err := v.keys.Get([]byte(question))
	if err != nil {
		v.h.t.Fatal(err)
	}
	return string(answer)
}

func (v *visitor) signIn(realm string) (int, string) {
	v.h.t.Helper()
	return v.send(realm+"/signin", realm+"/signin/passkey", url.Values{"answer": {v.answer(realm)}, "return": {"/account"}})
}

// TestPasskeyPages: a person who has signed in adds a passkey, and signs in by it in another browser, with two factors and nothing
// else; it works at no other realm of the host, and for who is gone or locked out it opens nothing.
//
// ASVS: 6.3.3
func TestPasskeyPages(t *testing.T) {
	h := newHouse(t)
	h.cfg.Issuer = "http://localhost:0"
	h.start()
	key := h.bootstrap()
	h.want("user", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"bob","password":%q}`, housePassword), 201)
	h.want("realm", "POST", "/admin/v1/realms", key, `{"name":"shop"}`, 201)
	keys := &testpasskey.Browser{Origin: h.s.Issuer()}
	first := h.visitor(keys)
	if status, page := first.get("/account/passkeys/new"); status != 403 {
		t.Errorf("an offer for nobody: %d %s", status, page)
	}
	first.password("bob")
	if status, page := first.add("telephone <b>"); status != 200 || !strings.Contains(page, `id="said"`) || !strings.Contains(page, "telephone &lt;b&gt;") {
		t.Fatalf("%d %s", status, page)
	}
	second := h.visitor(keys)
	answer := second.answer("")
	if status, page := first.send("/signin?again=1", "/signin/passkey", url.Values{"answer": {answer}}); status != 422 || !strings.Contains(page, `id="notice"`) {
		t.Errorf("in another browser: %d %s", status, page)
	}
	if status, page := second.read(second.client.PostForm(h.s.Issuer()+"/signin/passkey", url.Values{"answer": {answer}})); status != 403 || !strings.Contains(page, "form_expired") {
		t.Errorf("without its form: %d %s", status, page)
	}
	if status, page := second.send("/signin", "/signin/passkey", url.Values{"answer": {answer}, "return": {"//evil.example"}}); status != 303 || page != "/account" {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := second.get("/account"); status != 200 || !strings.Contains(page, `<bdi id="username">bob</bdi>`) {
		t.Errorf("%d %s", status, page)
	}
	_, list := h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/users/bob/sessions", key, "")
	if text := fmt.Sprint(list); !strings.Contains(text, "acr:aal2") || !strings.Contains(text, "amr:[pop user mfa]") || strings.Contains(text, "aal3") {
		t.Errorf("the session says %s", text)
	}
	third := h.visitor(keys)
	if status, page := third.signIn("/realms/shop"); status != 422 || !strings.Contains(page, "for another sign-in on this host") {
		t.Errorf("at another realm: %d %s", status, page)
	}
	h.want("off", "PATCH", "/admin/v1/realms/main/users/bob", key, `{"disabled":true}`, 200)
	if status, page := third.signIn(""); status != 422 || !strings.Contains(page, `id="notice"`) {
		t.Errorf("of an account that is disabled: %d %s", status, page)
	}
}

// TestPasskeyScript: the one script of the pages comes from this server and is all that their policy lets run; pages without passkeys have none.
func TestPasskeyScript(t *testing.T) {
	h := newHouse(t)
	h.cfg.Issuer = "http://localhost:0"
	h.start()
	res, err := http.Get(h.s.Issuer() + "/signin")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, _ := io.ReadAll(res.Body)
	m := regexp.MustCompile(`<script type="module" src="(/ui/passkey\.[0-9a-f]{16}\.js)"></script>`).FindSubmatch(page)
	if m == nil || bytes.Count(page, []byte("<script")) != 1 {
		t.Fatalf("%s", page)
	}
	policy := res.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "require-trusted-types-for 'script'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("%q is not in %s", part, policy)
		}
	}
	script, err := http.Get(h.s.Issuer() + string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer script.Body.Close()
	if script.StatusCode != 200 || script.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%d %v", script.StatusCode, script.Header)
	}
	other := newHouse(t) // at an address that is a number, for which browsers know no passkeys
	other.start()
	for _, path := range []string{"/signin", "/signin/passkey", "/account/passkeys"} {
		status, text := other.visitor(nil).get(path)
		if path != "/signin" && status != 404 || strings.Contains(text, "<script") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func TestPasskeySite(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://id.example.org": "id.example.org https://id.example.org", "https://id.example.org:443/auth": "id.example.org https://id.example.org",
		"https://ID.example.org:8443": "id.example.org https://id.example.org:8443", "http://localhost:8080": "localhost http://localhost:8080",
		"http://id.localhost": "id.localhost http://id.localhost", "http://id.example.org": "", "https://192.0.2.1": "", "https://[2001:db8::1]": "", "http://127.0.0.1:8080": "",
		"http://notlocalhost": "",
	} {
		site := passkeySite(issuer)
		if got := strings.TrimSpace(site.ID + " " + strings.Join(site.Origins, " ")); got != want {
			t.Errorf("%s: %q, want %q", issuer, got, want)
		}
	}
}
