package server_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// TestPagesSignIn: a person signs in with a browser, sees the account and signs out, on the
// server itself: by the password that Basic takes, with its events, and a session that
// is over when the account's logins are ended.
func TestPagesSignIn(t *testing.T) {
	t.Parallel()
	d := demo(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	read := func(res *http.Response, err error) (path, page string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.Request.URL.Path, string(b)
	}
	token := regexp.MustCompile(`name="form" value="([^"]+)"`)
	send := func(at, page string, fields url.Values) (string, string) {
		t.Helper()
		m := token.FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no form in %s", page)
		}
		fields.Set("form", m[1])
		return read(client.PostForm(d.Issuer+at, fields))
	}
	signIn := func(password string) (string, string) {
		t.Helper()
		_, page := read(client.Get(d.Issuer + "/account"))
		_, page = send("/signin", page, url.Values{"identifier": {"bob"}, "step": {"identifier"}, "return": {"/account"}})
		return send("/signin", page, url.Values{"identifier": {"bob"}, "password": {password}, "step": {"password"}, "return": {"/account"}})
	}
	if path, page := signIn("wrong"); path != "/signin" || !strings.Contains(page, `id="password-error"`) {
		t.Fatalf("a wrong password: %s %s", path, page)
	}
	if path, page := signIn(d.Users["bob"].Password); path != "/account" || !strings.Contains(page, `<bdi id="username">bob</bdi>`) {
		t.Fatalf("the right one: %s %s", path, page)
	}
	for _, kind := range []string{"login.failure", "login.success", "session.open"} {
		testwait.Until(t, 5*time.Second, kind+" is recorded", func() bool {
			return strings.Contains(call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind="+kind, "bearer", d.AdminToken).body, d.Users["bob"].ID)
		})
	}
	_, page := read(client.Get(d.Issuer + "/signout"))
	if path, page := send("/signout", page, url.Values{}); path != "/signedout" {
		t.Fatalf("signing out: %s %s", path, page)
	}
	if path, _ := read(client.Get(d.Issuer + "/account")); path != "/signin" {
		t.Errorf("after signing out the account is at %s", path)
	}
	signIn(d.Users["bob"].Password)
	call(t, "DELETE", d.Issuer+"/admin/v1/realms/main/users/bob/sessions", "bearer", d.AdminToken).want(t, "end his sessions", 200)
	if path, _ := read(client.Get(d.Issuer + "/account")); path != "/signin" {
		t.Errorf("after an administrator ended the session the account is at %s", path)
	}
}
