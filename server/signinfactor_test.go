package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// visitor is somebody with a browser, who keeps cookies and may ask any node.
type visitor struct {
	t      *testing.T
	client *http.Client
	form   string // the token of the last form that was shown
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

var formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// seen is an answer: the page, or where to go.
func (v *visitor) seen(res *http.Response, err error) (status int, page string) {
	v.t.Helper()
	if err != nil {
		v.t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Error(err)
	}
	return res.StatusCode, string(b) + res.Header.Get("Location")
}

func (v *visitor) get(address string) (int, string) {
	v.t.Helper()
	status, page := v.seen(v.client.Get(address))
	if m := formToken.FindStringSubmatch(page); m != nil {
		v.form = m[1]
	}
	return status, page
}

func (v *visitor) send(address string, fields url.Values) (int, string) {
	v.t.Helper()
	fields.Set("form", v.form)
	return v.seen(v.client.PostForm(address, fields))
}

// password goes as far as the password goes.
func (v *visitor) password(node, name, password string) (int, string) {
	v.t.Helper()
	v.get(node + "/signin")
	return v.send(node+"/signin", url.Values{"identifier": {name}, "password": {password}, "step": {"password"}})
}

// TestCodeAtSignInOnNodes: who has an authenticator app signs in with a code, on any node what another began; the session says how,
// no code opens two, and the password alone opens none.
//
// ASVS: 6.3.4, 6.5.1
func TestCodeAtSignInOnNodes(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		d := demo(t)
		codeAtSignIn(t, d, []string{d.Issuer})
	})
	t.Run("postgres", func(t *testing.T) {
		a, b, _ := twoNodes(t, nil)
		codeAtSignIn(t, a, []string{a.Issuer, b.AuthURL()})
	})
}

func codeAtSignIn(t *testing.T, d *server.Demo, nodes []string) {
	first, last := nodes[0], nodes[len(nodes)-1]
	bob := d.Users["bob"].Password
	login, _ := call(t, "POST", first+"/tokens", "basic", "bob:"+bob).want(t, "POST /tokens", 200).json["access_token"].(string)
	own := first + "/admin/v1/realms/main/users/me/factors"
	begun := call(t, "POST", own+"/totp", "bearer", login, "body", fmt.Sprintf(`{"password":%q}`, bob)).want(t, "an app", 201)
	secret, _ := begun.json["secret"].(string)
	about, _ := begun.json["factor"].(map[string]any)
	code := func(off time.Duration) string { return testtotp.Code(secret, time.Now().Add(off)) }
	used := code(0)
	confirmed := call(t, "POST", fmt.Sprint(own, "/", about["id"], "/confirm"), "bearer", login, "body", fmt.Sprintf(`{"code":%q}`, used)).want(t, "confirmed", 200)
	recovery, _ := confirmed.json["recovery_codes"].([]any)

	v := newVisitor(t)
	if status, to := v.password(first, "bob", bob); status != 303 || to != "/signin/factor" {
		t.Fatalf("after the password: %d %s", status, to)
	}
	for _, n := range nodes {
		if status, to := v.get(n + "/account"); status != 303 || !strings.HasPrefix(to, "/signin?") {
			t.Errorf("the account by the password alone: %d %s", status, to)
		}
	}
	// The node that did not see the password goes on.
	if status, page := v.get(last + "/signin/factor"); status != 200 || !strings.Contains(page, `name="code"`) {
		t.Fatalf("the page for the code: %d %s", status, page)
	}
	if status, page := v.send(last+"/signin/factor", url.Values{"code": {"000000"}}); status != 422 || !strings.Contains(page, `id="code-error"`) {
		t.Errorf("a wrong code: %d %s", status, page)
	}
	if status, page := v.send(last+"/signin/factor", url.Values{"code": {used}}); status != 422 {
		t.Errorf("a code that was used: %d %s", status, page)
	}
	right := code(30 * time.Second)
	if status, to := v.send(last+"/signin/factor", url.Values{"code": {right}}); status != 303 || to != "/account" {
		t.Fatalf("the right code: %d %s", status, to)
	}
	for _, n := range nodes {
		if status, page := v.get(n + "/account"); status != 200 || !strings.Contains(page, `<bdi id="username">bob</bdi>`) {
			t.Errorf("the account: %d %s", status, page)
		}
	}
	sessions := call(t, "GET", first+"/admin/v1/realms/main/users/bob/sessions", "bearer", d.AdminToken).want(t, "sessions", 200)
	list, _ := sessions.json["items"].([]any)
	if len(list) != 1 {
		t.Fatalf("%s", sessions.body)
	}
	shown, _ := list[0].(map[string]any)
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(shown["auth_time"]))
	if got := fmt.Sprint(shown["acr"], " ", shown["amr"]); got != "aal2 [pwd otp mfa]" || err != nil || time.Since(at) > time.Minute {
		t.Errorf("the session says %s, at %v (%v)", got, at, err)
	}
	for _, kind := range []string{"login.success", "factor.use", "factor.failure", "session.open"} {
		testwait.Until(t, soon, kind+" is recorded", func() bool {
			return strings.Contains(call(t, "GET", first+"/admin/v1/realms/main/audit/events?kind="+kind, "bearer", d.AdminToken).body, d.Users["bob"].ID)
		})
	}

	// A code that was used opens nothing for another browser; and of one recovery code, used in two browsers on all nodes at
	// once, one session comes. (Five wrong codes are free; more would be slowed down.)
	var opened atomic.Int64
	var all sync.WaitGroup
	browsers := []*visitor{newVisitor(t), newVisitor(t)}
	for _, w := range browsers {
		w.password(last, "bob", bob)
		w.get(first + "/signin/factor")
	}
	if status, page := browsers[0].send(first+"/signin/factor", url.Values{"code": {right}}); status != 422 {
		t.Errorf("a code that opened a session: %d %s", status, page)
	}
	for _, w := range browsers {
		for _, n := range nodes {
			all.Go(func() {
				status, _ := w.seen(w.client.PostForm(n+"/signin/factor", url.Values{"form": {w.form}, "code": {fmt.Sprint(recovery[0])}, "with": {"recovery"}}))
				if status == 303 {
					opened.Add(1)
				}
			})
		}
	}
	all.Wait()
	if opened.Load() != 1 {
		t.Errorf("one recovery code opened %d sessions", opened.Load())
	}
}
