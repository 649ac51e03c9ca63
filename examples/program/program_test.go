package program_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/examples/program"
)

// TestProgram: what comes back counts once, in the browser that asked, with its state and of the issuer; what a token says is text.
func TestProgram(t *testing.T) {
	asked := 0
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path != "/token" || r.PostFormValue("code") != "c" || len(r.PostFormValue("code_verifier")) != 43 || !strings.HasSuffix(r.PostFormValue("redirect_uri"), "/back") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"e30.`+base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"<b>bob"}`))+`.x","expires_in":600,"scope":"read"}`)
	}))
	defer issuer.Close()
	s := httptest.NewServer(program.New(program.Config{Issuer: issuer.URL, Client: "cli_1", Scope: "read"}))
	defer s.Close()
	browser := func() *http.Client {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	get := func(c *http.Client, address string) (int, string) {
		t.Helper()
		res, err := c.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b) + res.Header.Get("Location")
	}
	bob, eve := browser(), browser()
	begin := func(c *http.Client) string {
		t.Helper()
		status, to := get(c, s.URL)
		u, err := url.Parse(to[strings.LastIndex(to, issuer.URL):])
		if err != nil || status != 303 || u.Path != "/authorize" || u.Query().Get("redirect_uri") != s.URL+"/back" || u.Query().Get("code_challenge_method") != "S256" {
			t.Fatalf("%d %s", status, to)
		}
		return u.Query().Get("state")
	}
	back := func(state, more string) string {
		return s.URL + "/back?" + url.Values{"state": {state}, "iss": {issuer.URL}}.Encode() + more
	}
	theirs := begin(eve)
	state := begin(bob)
	for name, address := range map[string]string{"another browser's": back(theirs, "&code=c"), "no state": back("", "&code=c"), "an invented one": back("x", "&code=c")} {
		if status, page := get(bob, address); status != 400 {
			t.Errorf("%s: %d %s", name, status, page)
		}
	}
	status, shown := get(bob, back(state, "&code=c"))
	if status != 200 || !strings.Contains(shown, "&lt;b&gt;bob") || strings.Contains(shown, "<b>") {
		t.Errorf("%d %s", status, shown)
	}
	if status, _ := get(bob, back(state, "&code=c")); status != 400 {
		t.Errorf("a second time: %d", status)
	}
	state = begin(bob)
	if status, _ := get(bob, strings.Replace(back(state, "&code=c"), "iss=", "iss=x", 1)); status != 400 || asked != 1 {
		t.Errorf("another issuer: %d, asked %d times", status, asked)
	}
	if status, shown := get(bob, back(begin(bob), "&error=access_denied")); status != 200 || !strings.Contains(shown, "access_denied") {
		t.Errorf("%d %s", status, shown)
	}
}
