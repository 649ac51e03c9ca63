package pages

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// TestSignInAndOut goes through the pages as a person does, over TLS and on this machine
// without it, in two realms.
//
// ASVS: 14.3.1, 6.2.7
func TestSignInAndOut(t *testing.T) {
	for _, tls := range []bool{true, false} {
		for _, prefix := range []string{"", "/realms/shop"} {
			h := newHouse(t, tls)
			b := h.browser()
			b.get(prefix+"/account").want(t, "nobody's account", 303, prefix+"/signin?return="+url.QueryEscape(prefix+"/account"))
			in := b.signIn(prefix)
			in.want(t, "signed in", 303, prefix+"/account")
			realm, host, secure := "main", "", ""
			if prefix != "" {
				realm = "shop"
			}
			if tls {
				host, secure = "__Host-", "; Secure"
			}
			got := in.cookieOf(host + "gatehouse-session-" + realm)
			if want := regexp.MustCompile(`^[^;]+; Path=/; Max-Age=3(600|599); HttpOnly` + secure + `; SameSite=Lax$`); !want.MatchString(got) {
				t.Errorf("the session's cookie is %q", got)
			}
			if got := in.cookieOf(host + "gatehouse-device-" + realm); !strings.Contains(got, "; HttpOnly"+secure+"; SameSite=Lax") {
				t.Errorf("the device's cookie is %q", got)
			}
			b.get(prefix+"/account").want(t, "the account", 200, `<bdi id="username">bob</bdi>`, `Bob &lt;b&gt;Builder&lt;/b&gt;`, "bob@example.org", `id="signout"`)
			b.get(prefix+"/signin").want(t, "who is signed in is not asked again", 303, prefix+"/account")
			out := b.get(prefix + "/signout")
			out.want(t, "sign out?", 200, `id="submit"`)
			if h.open() != 1 {
				t.Error("a link signed somebody out")
			}
			old := b.client.Jar
			gone := b.send(prefix+"/signout", out.fields().Encode())
			gone.want(t, "signed out", 303, prefix+"/signedout")
			if h.open() != 0 || !strings.Contains(gone.cookieOf(host+"gatehouse-session-"+realm), "Max-Age=0") || gone.header.Get("Clear-Site-Data") != `"cache", "storage"` {
				t.Errorf("after signing out: %d sessions, %v", h.open(), gone.header)
			}
			b.get(prefix+"/signedout").want(t, "signed out", 200, `id="again"`)
			b.client.Jar = old
			b.get(prefix+"/account").want(t, "the account after that", 303, prefix+"/signin")
			b.get(prefix+"/signout").want(t, "nobody to sign out", 303, "/signedout")
		}
	}
}

// TestOneSessionABrowser: a new sign-in ends the one before it, and a browser keeps its device.
func TestOneSessionABrowser(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	page := b.get("/signin") // shown before anybody signed in
	first := b.signIn("")
	b.send("/signin", page.fields("identifier", "bob", "password", rightPassword, "step", "password").Encode()).want(t, "a form from before the sign-in", 403, "form_expired")
	if h.open() != 1 {
		t.Fatalf("%d sessions", h.open())
	}
	out := b.get("/signout").fields()
	b.send("/signout", out.Encode())
	second := b.signIn("")
	if first.cookieOf("__Host-gatehouse-device-main") == "" || second.cookieOf("__Host-gatehouse-device-main") != "" {
		t.Error("a browser gets its device cookie once")
	}
	// A realm's session is nobody in another one.
	b.get("/realms/shop/account").want(t, "at the shop", 303, "/realms/shop/signin")
	b.send("/signout", out.Encode()).want(t, "the form of a session that is over", 403, "form_expired")
}

// TestProvenAgain: whoever proves once more who he is keeps his session, with another secret; whoever else signs in in
// that browser has another one, and the one before is over.
//
// ASVS: 7.2.4
func TestProvenAgain(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	const name = "__Host-gatehouse-session-main"
	secret := func(p page) string {
		value, _, _ := strings.Cut(strings.TrimPrefix(p.cookieOf(name), name+"="), ";")
		return value
	}
	again := func(who string) page {
		t.Helper()
		return b.send("/signin", b.get("/signin?again=1").fields("identifier", who, "password", rightPassword, "step", "password").Encode())
	}
	first := secret(b.signIn(""))
	id := h.sessions[first].SessionID
	second := secret(again("bob"))
	if second == "" || second == first || h.sessions[first] != nil || h.sessions[second] == nil || h.sessions[second].SessionID != id || h.open() != 1 {
		t.Fatalf("%q after %q: %v", second, first, h.sessions)
	}
	third := secret(again("carl"))
	if third == "" || h.sessions[second] != nil || h.sessions[third].ID != "usr_carl" || h.sessions[third].SessionID == id || h.open() != 1 {
		t.Fatalf("somebody else: %q after %q: %v", third, second, h.sessions)
	}
}

// TestNamesAreNotTold: what follows a name is the same for a name nobody has, and so is a
// refusal.
//
// ASVS: 6.3.8
func TestNamesAreNotTold(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	first := b.get("/signin")
	asked, refused := map[string]string{}, map[string]string{}
	for _, name := range []string{"bob", "eve"} {
		p := b.send("/signin", first.fields("identifier", name, "step", "identifier").Encode())
		p.want(t, name, 200)
		asked[name] = strings.NewReplacer(name, "NAME", `aria-hidden="true">`+name[:2], "").Replace(p.body)
		p = b.send("/signin", p.fields("password", "wrong", "step", "password").Encode())
		p.want(t, name, 422, "do not belong together", `aria-invalid="true"`)
		if strings.Contains(p.body, "wrong\"") || p.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s %v", name, p.body, p.header)
		}
		refused[name] = strings.NewReplacer(name, "NAME", `aria-hidden="true">`+name[:2], "").Replace(p.body)
	}
	if asked["bob"] != asked["eve"] || refused["bob"] != refused["eve"] {
		t.Errorf("pages differ by whether there is such a name:\n%s\n%s", refused["bob"], refused["eve"])
	}
	if len(h.tried) != 2 || h.tried[0].Realm != "main" || h.tried[0].Address != "127.0.0.1" {
		t.Errorf("passwords were checked so: %+v", h.tried)
	}
}

// TestForged: a form counts that this server showed to this browser, on that page, in that session.
func TestForged(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	first := b.get("/signin")
	body := first.fields("identifier", "bob", "password", rightPassword, "step", "password")
	with := func(name, value string) string {
		v := url.Values{}
		for k, all := range body {
			v[k] = all
		}
		v.Set(name, value)
		return v.Encode()
	}
	for what, p := range map[string]page{
		"another site":              b.send("/signin", body.Encode(), "Sec-Fetch-Site", "cross-site"),
		"another host of the site":  b.send("/signin", body.Encode(), "Sec-Fetch-Site", "same-site"),
		"an old browser, elsewhere": b.send("/signin", body.Encode(), "Sec-Fetch-Site", "", "Origin", "https://evil.example"),
		"a page without origin":     b.send("/signin", body.Encode(), "Sec-Fetch-Site", "", "Origin", "null"),
	} {
		p.want(t, what, 403, "cross_origin_refused")
	}
	other := h.browser()
	theirs := other.get("/signin").fields().Get("form")
	for what, p := range map[string]page{
		"no token":                   b.send("/signin", with("form", "")),
		"a token of another browser": b.send("/signin", with("form", theirs)),
		"a browser without cookies":  h.browser().send("/signin", body.Encode()),
		"a token of another realm":   b.send("/signin", with("form", b.get("/realms/shop/signin").fields().Get("form"))),
	} {
		p.want(t, what, 403, "form_expired")
	}
	if h.open() != 0 || len(h.tried) != 0 {
		t.Fatalf("%d sessions, %d passwords tried", h.open(), len(h.tried))
	}
	b.signIn("")
	b.send("/signout", url.Values{"form": {b.get("/realms/shop/signin").fields().Get("form")}}.Encode()).want(t, "the token of another page", 403, "form_expired")
	b.send("/signout", "").want(t, "no token", 403, "form_expired")
	b.send("/signout", b.get("/signout").fields().Encode(), "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "cross_origin_refused")
	if h.open() != 1 {
		t.Error("somebody was signed out")
	}
	// A cookie that stands there twice was planted: it is as none.
	twice := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Cookie": {"__Host-gatehouse-form=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}
	b.do("POST", "/signin", strings.NewReader(b.get("/signin").fields("step", "identifier", "identifier", "x").Encode()), twice).want(t, "two cookies", 403, "form_expired")
}

// TestFormsAreExact: a form is read once and in one way.
func TestFormsAreExact(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	good := b.get("/signin").fields("identifier", "bob", "password", rightPassword, "step", "password").Encode()
	for what, c := range map[string]struct {
		body, kind, code string
		status           int
	}{
		"a field twice":        {good + "&identifier=eve", "", "form_invalid", 400},
		"the same field twice": {good + "&step=password", "", "form_invalid", 400},
		"a field of ours not":  {good + "&admin=1", "", "form_invalid", 400},
		"a bad escape":         {good + "&x=%zz", "", "form_invalid", 400},
		"a semicolon":          {good + ";x=1", "", "form_invalid", 400},
		"not UTF-8":            {strings.Replace(good, "identifier=bob", "identifier=%ff", 1), "", "form_invalid", 400},
		"a long name":          {strings.Replace(good, "identifier=bob", "identifier="+strings.Repeat("b", maxIdentifier+1), 1), "", "form_invalid", 400},
		"no such step":         {strings.Replace(good, "step=password", "step=x", 1), "", "form_invalid", 400},
		"large":                {good + "&x=" + strings.Repeat("x", maxForm), "", "body_too_large", 413},
		"JSON":                 {`{"identifier":"bob"}`, "application/json", "content_type_unsupported", 415},
		"parts":                {good, "multipart/form-data; boundary=x", "content_type_unsupported", 415},
	} {
		kind := c.kind
		if kind == "" {
			kind = "application/x-www-form-urlencoded"
		}
		p := b.send("/signin", c.body, "Content-Type", kind)
		p.want(t, what, c.status, c.code)
		if p.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %v", what, p.header)
		}
	}
	// The query is no form.
	b.send("/signin?"+good, "").want(t, "a form in the address", 403, "form_expired")
	if h.open() != 0 || len(h.tried) != 0 {
		t.Fatalf("%d sessions, %d passwords tried", h.open(), len(h.tried))
	}
	for what, c := range map[string][3]string{
		"no name":     {"", "x", "Enter your user name."},
		"blanks":      {"  ", "x", "Enter your user name."},
		"no password": {"bob", "", "Enter your password."},
	} {
		b.send("/signin", b.get("/signin").fields("identifier", c[0], "password", c[1], "step", "password").Encode()).want(t, what, 422, c[2], `aria-invalid="true"`)
	}
}

// TestReturnAddress: after signing in somebody is sent to a path of this server or to the account.
func TestReturnAddress(t *testing.T) {
	h := newHouse(t, true)
	for to, want := range map[string]string{
		"/account?x=1": "/account?x=1", "/realms/shop/account": "/realms/shop/account",
		"https://evil.example/": "/account", "//evil.example": "/account", `/\evil.example`: "/account", "/\t/evil.example": "/account",
		"javascript:alert(1)": "/account", "": "/account", "/" + strings.Repeat("a", 14<<10): "/account",
	} {
		b := h.browser()
		first := b.get("/signin?return=" + url.QueryEscape(to))
		first.want(t, to, 200)
		in := first.fields("identifier", "bob", "password", rightPassword, "step", "password")
		b.send("/signin", in.Encode())
		if p := b.get("/signin?return=" + url.QueryEscape(to)); p.header.Get("Location") != want {
			t.Errorf("%q, signed in: sent to %q", to, p.header.Get("Location"))
		}
		b = h.browser()
		in = b.get("/signin").fields("identifier", "bob", "password", rightPassword, "step", "password", "return", to)
		if p := b.send("/signin", in.Encode()); p.status != 303 || p.header.Get("Location") != want {
			t.Errorf("%q in the form: %d, sent to %q", to, p.status, p.header.Get("Location"))
		}
	}
	h.browser().get("/signin?return=/a&return=/b").want(t, "two", 200, `name="return" value=""`)
}

// TestRefusals: what stops a sign-in is said, with when to try again; what is broken is not told.
func TestRefusals(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	slow, busy := *gatehouse.ErrRateLimited, *gatehouse.E(gatehouse.Unavailable, "password_queue_full", "")
	slow.RetryAfter, busy.RetryAfter = 7*time.Minute-time.Second, 3*time.Second
	for what, c := range map[string]struct {
		err    error
		status int
		after  string
		text   string
	}{
		"throttled":   {&slow, 429, "419", "Try again in 7 min."},
		"busy":        {&busy, 503, "3", "Try again in 3 s."},
		"no database": {gatehouse.E(gatehouse.Unavailable, "directory_unavailable", "Users cannot be looked up at the moment."), 503, "", "directory_unavailable"},
		"broken":      {context.Canceled, 503, "", "client_gone"},
	} {
		h.refuse = c.err
		p := b.send("/signin", b.get("/signin").fields("identifier", "bob", "password", rightPassword, "step", "password").Encode())
		p.want(t, what, c.status, c.text)
		if p.header.Get("Retry-After") != c.after {
			t.Errorf("%s: Retry-After %q", what, p.header.Get("Retry-After"))
		}
	}
	h.refuse = nil
	b.signIn("")
	h.broken = gatehouse.E(gatehouse.Unavailable, "authentication_unavailable", "Credentials cannot be verified at the moment.")
	b.get("/account").want(t, "sessions cannot be looked up", 503, "authentication_unavailable")
	h.broken = nil
	h.limited = true
	p := b.send("/signout", "")
	p.want(t, "too many forms from one address", 429, "rate_limited")
	if p.header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After %q", p.header.Get("Retry-After"))
	}
}

// TestRealms: each realm has its pages; one that is disabled or is not there has none.
func TestRealms(t *testing.T) {
	b := newHouse(t, true).browser()
	b.get("/realms/shop/signin").want(t, "shop", 200, "Shop &lt;&amp; Sons&gt;", `action="/realms/shop/signin"`)
	b.get("/signin").want(t, "main", 200, `action="/signin"`)
	for _, path := range []string{"/realms/shut/signin", "/realms/none/signin", "/realms/none/account"} {
		b.get(path).want(t, path, 404, "realm_not_found")
	}
	if p := b.do("DELETE", "/signin", nil, http.Header{}); p.status != 405 {
		t.Errorf("DELETE: %d", p.status)
	}
}

// TestPlainHTTP: over a network there are no pages without TLS, and no cookie goes out.
func TestPlainHTTP(t *testing.T) {
	handler := (&house{t: t}).handler(nil)
	for _, r := range []*http.Request{httptest.NewRequest("GET", "/signin", nil), httptest.NewRequest("POST", "/signin", strings.NewReader("password=x"))} {
		r.RemoteAddr = "203.0.113.9:1"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "pages_need_https") || !strings.Contains(w.Body.String(), "over HTTPS only") || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %v", r.Method, w.Code, w.Header())
		}
	}
}

// TestHeaders: no page, whatever it says, can run a script, load from elsewhere or stand in a frame.
//
// ASVS: 14.3.2
func TestHeaders(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	pages := []page{b.get("/signin"), b.get("/signedout"), b.get("/realms/none/signin"), b.send("/signin", "x"), b.get("/account")}
	b.signIn("")
	pages = append(pages, b.get("/account"), b.get("/signout"), b.do("HEAD", "/account", nil, http.Header{}))
	for _, p := range pages {
		for name, want := range map[string]string{
			"Content-Security-Policy":      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "same-origin",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control":                "no-store",
			"Strict-Transport-Security":    "max-age=63072000",
		} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%d: %s: %q", p.status, name, got)
			}
		}
		if bad := regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=|data:|(?:href|src|action)="(?:[a-z]+:)?//`).FindString(p.body); bad != "" {
			t.Errorf("%d: %q is in a page", p.status, bad)
		}
	}
}

func TestTheme(t *testing.T) {
	b := newHouse(t, true).browser()
	if p := b.get("/signin"); strings.Contains(p.body, "data-theme") {
		t.Error("the system decides unless somebody chose")
	}
	b.get("/signin?theme=dark&lang=de").want(t, "chosen", 200, `data-theme="dark"`, `lang="de"`, "Anmelden")
	b.get("/signedout").want(t, "kept", 200, `data-theme="dark"`, "abgemeldet")
	b.get("/signin?theme=x%22y&lang=xx").want(t, "no such theme", 200, `<html lang="de" dir="ltr" >`)
	b.get("/signin?lang=en").want(t, "back", 200, `lang="en"`)
	b.get("/realms/none/signin").want(t, "an error", 404, "Nothing is here.")
	b.get("/signin?return=/account%3Fa%3Db").want(t, "the language does not forget the way", 200, `href="/signin?lang=de&amp;return=%2Faccount%3Fa%3Db"`)
}
