package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// asBrowser says of each request which browser it is from.
type asBrowser struct{ name string }

func (a asBrowser) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.name)
	return http.DefaultTransport.RoundTrip(r)
}

var noticeLink = regexp.MustCompile(`(?m)^(http\S+/account/notice\?session=(ses_[0-9a-z]+))\r?$`)

// TestNewBrowserIsTold: who signs in to an account in a browser that it does not know, on any node, has its person told by mail. By the
// link in that the person, and nobody else, says that it was somebody else: that session is over on all nodes, and neither browser
// is known any more. The first browser of an account, and one that it knows, are told to nobody.
//
// ASVS: 6.3.5
func TestNewBrowserIsTold(t *testing.T) {
	box := &letterbox{t.TempDir(), map[string]bool{}}
	a, b, _ := twoNodes(t, nil)
	a.KeepMail(box.dir)
	server.KeepMail(b, box.dir)
	nodes := []string{a.Issuer, b.AuthURL()}
	admin := []string{"bearer", a.AdminToken}
	call(t, "PATCH", a.Issuer+"/admin/v1/realms/main/users/bob", append(admin, "Content-Type", "application/merge-patch+json", "body", `{"email":"bob@example.com","email_verified":true}`)...).want(t, "an address", 200)
	const firefox, edge = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"
	browser := func(name string) *visitor {
		v := newVisitor(t)
		v.client.Transport = asBrowser{name}
		return v
	}
	signIn := func(v *visitor, node, name string) {
		t.Helper()
		if status, to := v.password(node, name, a.Users[name].Password); status != 303 || !strings.Contains(to, "/account") {
			t.Fatalf("signing in: %d %s", status, to)
		}
	}
	in := func(v *visitor, node string) bool {
		t.Helper()
		status, _ := v.get(node + "/account")
		return status == 200
	}
	told := func() (n int) {
		t.Helper()
		for _, m := range call(t, "GET", a.Issuer+"/admin/v1/mails?limit=200", admin...).want(t, "messages", 200).json["items"].([]any) {
			if m.(map[string]any)["message"] == "new_browser" {
				n++
			}
		}
		return n
	}
	home := browser(firefox)
	for i := range 3 { // the first one, and known ones, on both nodes
		signIn(home, nodes[i%2], "bob")
		home.get(nodes[i%2] + "/signout")
		if status, _ := home.send(nodes[i%2]+"/signout", url.Values{}); status != 303 {
			t.Fatalf("signing out: %d", status)
		}
	}
	if n := told(); n != 0 {
		t.Fatalf("told %d times of the browser that the account has", n)
	}

	thief := browser(edge)
	signIn(thief, nodes[1], "bob")
	letter := box.next(t, "bob@example.com", "from another browser")
	m := noticeLink.FindStringSubmatch(letter)
	if m == nil || !strings.HasPrefix(m[1], a.Issuer) || !strings.Contains(letter, "Edge, Windows") || !strings.Contains(letter, "127.0.0.1") {
		t.Fatalf("%v\n%s", m, letter)
	}
	if n := told(); n != 1 {
		t.Errorf("told %d times of one sign-in", n)
	}
	page, id := "/account/notice?session="+m[2], m[2]
	if status, to := home.get(nodes[0] + page); status != 303 || !strings.HasPrefix(to, "/signin?return="+url.QueryEscape(page)) {
		t.Fatalf("nobody is asked: %d %s", status, to)
	}
	other := browser(edge)
	signIn(other, nodes[0], "alice")
	if status, shown := other.get(nodes[0] + page); status != 200 || strings.Contains(shown, "Edge on Windows") {
		t.Errorf("somebody else is shown %d %s", status, shown)
	}
	if status, _ := other.send(nodes[0]+"/account/notice", url.Values{"session": {id}, "do": {"no"}}); status != 200 || !in(thief, nodes[1]) {
		t.Errorf("somebody else's no: %d, the session is over", status)
	}
	signIn(home, nodes[0], "bob")
	if status, shown := home.get(nodes[0] + page); status != 200 || !strings.Contains(shown, "Edge on Windows") || !strings.Contains(shown, "127.0.0.1") {
		t.Fatalf("the question: %d %s", status, shown)
	}
	if status, shown := home.send(nodes[0]+"/account/notice", url.Values{"session": {id}, "do": {"yes"}}); status != 200 || !strings.Contains(shown, "Nothing was changed") || !in(thief, nodes[0]) {
		t.Errorf("yes: %d %s", status, shown)
	}
	home.get(nodes[0] + page)
	if status, shown := home.send(nodes[0]+"/account/notice", url.Values{"session": {id}, "do": {"no"}}); status != 200 || !strings.Contains(shown, `id="change-password"`) {
		t.Fatalf("no: %d %s", status, shown)
	}
	for _, node := range nodes {
		testwait.Until(t, soon, "the session is over", func() bool { return !in(thief, node) })
	}
	if !in(home, nodes[0]) {
		t.Error("the person is signed out")
	}
	for n, v := range []*visitor{thief, home} { // neither is known at the other node, when that has heard of it
		v.get(nodes[n] + "/signout")
		v.send(nodes[n]+"/signout", url.Values{})
		testwait.Until(t, soon, "the browser is another one", func() bool {
			signIn(v, nodes[n], "bob")
			v.get(nodes[n] + "/signout")
			v.send(nodes[n]+"/signout", url.Values{})
			return told() == n+2
		})
	}
	var kinds []string
	for _, kind := range []string{"session.open", "session.disown"} {
		for _, e := range call(t, "GET", a.Issuer+"/admin/v1/realms/main/audit/events?limit=200&kind="+kind, admin...).want(t, kind, 200).json["items"].([]any) {
			if detail, _ := e.(map[string]any)["detail"].(map[string]any); detail["odd"] != nil || kind == "session.disown" {
				kinds = append(kinds, kind)
			}
		}
	}
	slices.Sort(kinds)
	if want := []string{"session.disown", "session.disown", "session.open", "session.open", "session.open"}; !slices.Equal(kinds, want) {
		t.Errorf("recorded as %q", kinds)
	}
}
