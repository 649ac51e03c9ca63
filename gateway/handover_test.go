package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/session"
)

// door stands for the pages on which people sign in.
type door struct {
	tickets map[string]string // by their text: origin and browser
	err     error             // what the next one gets, whatever it is
}

func (d *door) Page(realm, to, browser string) string {
	return "https://auth.example/" + realm + "?" + url.Values{"to": {to}, "browser": {browser}}.Encode()
}

func (d *door) Refused(realm, code string) string {
	return "https://auth.example/" + realm + "/refused?" + code
}

func (d *door) Arrive(_ context.Context, ticket gatehouse.Secret, realm, origin, browser string) (gatehouse.Secret, string, time.Time, error) {
	if d.err != nil {
		return "", "", time.Time{}, d.err
	}
	if d.tickets[ticket.Reveal()] != origin+" "+realm+" "+browser {
		return "", "", time.Time{}, session.ErrHandOver
	}
	delete(d.tickets, ticket.Reveal())
	return "the-secret", origin + "/after", time.Now().Add(time.Hour), nil
}

// TestToSignIn: who is sent to sign in, and to which address back; everybody else is refused as programs are.
func TestToSignIn(t *testing.T) {
	proxies, err := web.NewProxies(web.ProxyConfig{Trusted: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	d, log := &door{tickets: map[string]string{}}, &bytes.Buffer{}
	s := start(t, http.HandlerFunc(echo), func(c *gateway.Config, _ *gateway.Upstream) {
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
		c.SignIn, c.Proxies, c.Origins = d, proxies, []string{"https://app.example", "https://two.example:8443"}
	})
	missing := gatehouse.E(gatehouse.Unauthenticated, "credential_missing", "This needs a credential.")
	route := &enforce.Route{Realm: "shop", ID: "r"}
	signIn := true
	s.f.verdict = func(*http.Request) enforce.Verdict {
		return enforce.Verdict{Route: route, Err: missing, SignIn: signIn, Header: http.Header{"Www-Authenticate": {`Cookie realm="shop"`}}}
	}
	ask := func(method, host, target string, lines ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("X-Forwarded-Proto", "https")
		for i := 0; i+1 < len(lines); i += 2 {
			r.Header.Set(lines[i], lines[i+1])
		}
		res, err := (&http.Transport{}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	cookie := func(res *http.Response) *http.Cookie {
		t.Helper()
		all := res.Cookies()
		if len(all) != 1 {
			t.Fatalf("%d cookies: %q", len(all), res.Header["Set-Cookie"])
		}
		return all[0]
	}
	page := []string{"Sec-Fetch-Mode", "navigate"}

	res := ask("GET", "app.example", "/a%2Fb?x=1&y=%20", page...)
	if res.StatusCode != 302 {
		t.Fatalf("a page: %d", res.StatusCode)
	}
	known := cookie(res)
	at, err := res.Location()
	if err != nil || at.Host != "auth.example" || at.Path != "/shop" || at.Query().Get("to") != "https://app.example/a%2Fb?x=1&y=%20" {
		t.Errorf("sent to %v, %v", at, err)
	}
	browser := at.Query().Get("browser")
	if known.Name != "__Host-gatehouse-arrival-shop" || !known.Secure || !known.HttpOnly || known.Path != "/" || known.SameSite != http.SameSiteLaxMode || known.Domain != "" ||
		len(browser) != 43 || strings.Contains(at.String(), known.Value) {
		t.Errorf("%+v, %s", known, at)
	}
	if res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", res.Header)
	}
	// The same browser keeps its cookie, so that two tabs do not undo each other; one of another's making is replaced.
	mine := []string{"Cookie", known.Name + "=" + known.Value}
	if again := ask("GET", "app.example", "/", append(page, mine...)...); len(again.Cookies()) != 0 || !strings.Contains(again.Header.Get("Location"), browser) {
		t.Errorf("the same browser: %v", again.Header)
	}
	for _, made := range []string{"x", strings.Repeat("a", 26), strings.Repeat("A", 27), known.Value + "; " + known.Name + "=" + known.Value} {
		if again := ask("GET", "app.example", "/", append(page, "Cookie", known.Name+"="+made)...); len(again.Cookies()) != 1 {
			t.Errorf("a cookie of somebody's making, %q, is kept", made)
		}
	}
	for name, c := range map[string]struct {
		method, host, target string
		lines                []string
		want                 int
	}{
		"by what it accepts":  {"GET", "app.example", "/", []string{"Accept", "text/html,*/*"}, 302},
		"a script":            {"GET", "app.example", "/", []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}, 401},
		"a program":           {"GET", "app.example", "/", []string{"Accept", "*/*"}, 401},
		"a form":              {"POST", "app.example", "/", page, 401},
		"another origin":      {"GET", "evil.example", "/", page, 401},
		"another port":        {"GET", "app.example:8443", "/", page, 401},
		"with its port":       {"GET", "Two.example:8443", "/", page, 302},
		"without TLS":         {"GET", "app.example", "/", append([]string{"X-Forwarded-Proto", "http"}, page...), 401},
		"too long an address": {"GET", "app.example", "/" + strings.Repeat("a", 1400), page, 401},
	} {
		if res := ask(c.method, c.host, c.target, c.lines...); res.StatusCode != c.want || c.want == 401 && (res.Header.Get("Www-Authenticate") == "" || len(res.Cookies()) > 0) {
			t.Errorf("%s: %d %v", name, res.StatusCode, res.Header)
		}
	}

	signIn = false
	if res := ask("GET", "app.example", "/", page...); res.StatusCode != 401 {
		t.Errorf("where nobody can sign in: %d", res.StatusCode)
	}

	// The way back.
	d.tickets["good"] = "https://app.example shop " + browser
	back := "/.gatehouse/session/shop?ticket=good"
	for name, c := range map[string]struct {
		method, host, target string
		lines                []string
		want                 int
	}{
		"another browser":        {"GET", "app.example", back, []string{"Cookie", known.Name + "=" + strings.Repeat("A", 26)}, 403},
		"no cookie":              {"GET", "app.example", back, nil, 403},
		"the cookie twice":       {"GET", "app.example", back, []string{"Cookie", mine[1] + "; " + mine[1]}, 403},
		"a cookie without TLS":   {"GET", "app.example", back, []string{"Cookie", "gatehouse-arrival-shop=" + known.Value}, 403},
		"another realm":          {"GET", "app.example", strings.Replace(back, "shop", "main", 1), mine, 403},
		"no realm":               {"GET", "app.example", strings.Replace(back, "shop", "Shop", 1), mine, 404},
		"another host":           {"GET", "two.example:8443", back, mine, 403},
		"no origin of this":      {"GET", "evil.example", back, mine, 404},
		"another ticket":         {"GET", "app.example", back + "x", mine, 403},
		"beside something else":  {"GET", "app.example", strings.Replace(back, "?", "?a=b&", 1), mine, 404},
		"a ticket that is large": {"GET", "app.example", back + strings.Repeat("x", 600), mine, 404},
		"by a form":              {"POST", "app.example", back, mine, 405},
		"too many lines":         {"GET", "app.example", back, append([]string{"X-A", strings.Repeat("a", 40000)}, mine...), 431},
	} {
		if res := ask(c.method, c.host, c.target, c.lines...); res.StatusCode != c.want || len(res.Cookies()) > 0 || res.Header.Get("Location") != "" {
			t.Errorf("back, %s: %d %v", name, res.StatusCode, res.Header)
		}
	}
	// A person is told by a page, from which nothing of the ticket can be learnt.
	res = ask("GET", "app.example", back, "Sec-Fetch-Mode", "navigate")
	if res.StatusCode != 303 || res.Header.Get("Location") != "https://auth.example/shop/refused?handover_refused" || len(res.Cookies()) > 0 || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("back, a person without the cookie: %d %v", res.StatusCode, res.Header)
	}
	for code, err := range map[string]error{"rate_limited": gatehouse.ErrRateLimited, "internal": gatehouse.ErrInternal.With(errors.New("the disk is full"))} {
		d.err = err
		res = ask("GET", "app.example", back, append([]string{"Sec-Fetch-Mode", "navigate"}, mine...)...)
		if res.StatusCode != 303 || res.Header.Get("Location") != "https://auth.example/shop/refused?"+code || len(res.Cookies()) > 0 {
			t.Errorf("back, %s: %d %v", code, res.StatusCode, res.Header)
		}
		if res = ask("GET", "app.example", back, mine...); res.StatusCode < 429 || res.Header.Get("Location") != "" {
			t.Errorf("back, a script, %s: %d %v", code, res.StatusCode, res.Header)
		}
	}
	d.err = nil
	res = ask("GET", "app.example", back, mine...)
	if res.StatusCode != 303 || res.Header.Get("Location") != "https://app.example/after" || res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("back: %d %v", res.StatusCode, res.Header)
	}
	if got := cookie(res); got.Name != authn.HostCookie("shop", true) || got.Value != "the-secret" || !got.Secure || !got.HttpOnly || got.Path != "/" || got.Domain != "" ||
		got.SameSite != http.SameSiteLaxMode || got.MaxAge < 3500 || got.MaxAge > 3600 {
		t.Errorf("%+v", got)
	}

	s.srv.Close() // whoever writes the log has ended
	if text := log.String(); !strings.Contains(text, "did not come back") || strings.Contains(text, "good") || strings.Contains(text, known.Value) {
		t.Errorf("the log says %s", text)
	}
}

// TestOrigins: an address that a browser is sent back to is one of the origins', to the letter.
func TestOrigins(t *testing.T) {
	o := gateway.Options{Origins: []string{"https://app.example", "http://127.0.0.1:8080"}}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"https://app.example/": "https://app.example", "https://app.example/a?b=https://c": "https://app.example", "http://127.0.0.1:8080/x": "http://127.0.0.1:8080",
		"https://app.example": "", "https://app.example?x": "", "https://app.example:443/": "", "https://app.example:8443/": "", "http://app.example/": "",
		"https://app.example@evil.example/": "", "https://evil@app.example/": "", "https://app.example.evil.example/": "", "https://app.example\\@evil.example/": "",
		"https://app.example/\\evil": "", "https://app.example/#x": "", "https://app.example/ x": "", "https://app.example/\n": "", "https://app.example/ü": "",
		"//app.example/": "", "/": "", "": "", "javascript:alert(1)//https://app.example/": "", "HTTPS://APP.EXAMPLE/": "",
		"https://app.example/" + strings.Repeat("a", 1400): "",
	} {
		if got, ok := o.Returns(to); got != want || ok != (want != "") {
			t.Errorf("%q leads to %q", to, got)
		}
	}
	for _, wrong := range []string{"", "app.example", "https://", "https://app.example/", "https://app.example/x", "https://u@app.example", "https://App.example", "https://app.example?x",
		"http://app.example", "http://10.0.0.1", "ftp://127.0.0.1", "https://:8443", "https://a b"} {
		if err := (&gateway.Options{Origins: []string{wrong}}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "origins: ") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	for _, right := range []string{"http://localhost:1", "http://[::1]:80", "https://[2001:db8::1]", "https://app.example:8443"} {
		if err := (&gateway.Options{Origins: []string{right}}).Validate(); err != nil {
			t.Errorf("%q: %v", right, err)
		}
	}
}
