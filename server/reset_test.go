package server_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

var resetLink = regexp.MustCompile(`(https?://[^\s"<>]+)/recover/new\?code=([A-Z2-7]{26})`)

// TestResetByMail: who has forgotten the password sets a new one by a link in a mail, on any node, once. It ends every login
// and opens none; a name that nobody has gets the same page and no mail; a link dies with what it was made for.
//
// ASVS: 6.4.3, 6.4.6, 6.6.2
func TestResetByMail(t *testing.T) {
	server.InOrder(t)
	outbox := t.TempDir()
	a, b, _ := twoNodes(t, nil) // the second one sends none
	a.KeepMail(outbox)
	admin := []string{"bearer", a.AdminToken}
	users := a.Issuer + "/admin/v1/realms/main/users"
	address := func(email string) {
		t.Helper()
		call(t, "PATCH", users+"/bob", append(admin, "Content-Type", "application/merge-patch+json", "body", `{"email":"`+email+`"}`)...).want(t, "an address", 200)
	}
	login := func(node, password string) answer {
		return call(t, "POST", node+"/tokens", "basic", "bob:"+password)
	}
	letters := func() (links []string) {
		names, _ := filepath.Glob(filepath.Join(outbox, "*.eml"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.NewReplacer("=\r\n", "", "=\n", "", "=3D", "=").Replace(string(b))
			if m := resetLink.FindStringSubmatch(text); m != nil {
				if m[1] != a.Issuer {
					t.Errorf("a link leads to %s", m[1])
				}
				links = append(links, m[2])
			}
		}
		return links
	}
	known := map[string]bool{}
	next := func() (code string) { // the link of the newest letter
		t.Helper()
		testwait.Until(t, soon, "a letter", func() bool {
			for _, l := range letters() {
				if !known[l] {
					code, known[l] = l, true
				}
			}
			return code != ""
		})
		return code
	}
	ask := func(name string) string {
		v := newVisitor(t)
		v.get(a.Issuer + "/recover")
		status, page := v.send(a.Issuer+"/recover", url.Values{"identifier": {name}})
		if status != 200 {
			t.Fatalf("%d %s", status, page)
		}
		return page
	}
	open := func(node, code string) (*visitor, int, string) {
		v := newVisitor(t)
		if status, to := v.get(node + "/recover/new?code=" + code); status != 303 || to != "/recover/new" {
			t.Fatalf("the link: %d %s", status, to)
		}
		status, page := v.get(node + "/recover/new")
		return v, status, page
	}
	dead := func(what, code string) {
		t.Helper()
		for _, node := range []string{a.Issuer, b.AuthURL()} {
			testwait.Until(t, soon, what, func() bool {
				_, status, page := open(node, code)
				return status == 403 && strings.Contains(page, "reset_link_invalid")
			})
		}
	}

	address("bob@example.com")
	old := a.Users["bob"].Password
	token := login(a.Issuer, old).want(t, "a login", 200).json["access_token"].(string)
	nobody, bob, again := ask("nobody-of-that-name"), ask("bob"), ask("bob")
	if nobody != bob || bob != again {
		t.Errorf("the pages differ:\n%s\n%s", nobody, bob)
	}
	code := next()
	v, status, page := open(a.Issuer, code)
	if status != 200 || !strings.Contains(page, ">bob<") {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := v.send(a.Issuer+"/recover/new", url.Values{"password": {"short"}}); status != 422 || !strings.Contains(page, "too short") {
		t.Errorf("a short password: %d %s", status, page)
	}
	const fresh = "nine herons by an empty mill"
	if status, to := v.send(a.Issuer+"/recover/new", url.Values{"password": {fresh}}); status != 303 || to != "/recover/done" {
		t.Fatalf("%d %s", status, to)
	}
	if status, to := v.get(a.Issuer + "/account"); status != 303 || !strings.HasPrefix(to, "/signin") {
		t.Errorf("a link signed somebody in: %d %s", status, to)
	}
	for _, node := range []string{a.Issuer, b.AuthURL()} {
		testwait.Until(t, soon, "the old password is dead", func() bool { return login(node, old).status == 401 })
		login(node, fresh).want(t, "the new one", 200)
	}
	for _, gate := range []string{a.Gateway, b.GatewayURL()} {
		testwait.Until(t, soon, "the old token is dead", func() bool { return call(t, "GET", gate+"/private", "bearer", token).status == 401 })
	}
	dead("used", code)
	if n := len(letters()); n != 1 {
		t.Errorf("%d links were sent to who asked twice in a minute", n)
	}

	// By an administrator; of many who send the form at once, on two nodes, one sets the password.
	send := func() string {
		t.Helper()
		call(t, "POST", users+"/bob/password/reset-link", admin...).want(t, "sent by an administrator", 200)
		return next()
	}
	code = send()
	var won atomic.Int64
	var all sync.WaitGroup
	nodes, visitors := []string{a.Issuer, b.AuthURL()}, [6]*visitor{}
	for i := range visitors {
		var status int
		if visitors[i], status, _ = open(nodes[i%2], code); status != 200 {
			t.Fatalf("before anybody used it: %d", status)
		}
	}
	for i, v := range visitors {
		all.Go(func() {
			if status, _ := v.send(nodes[i%2]+"/recover/new", url.Values{"password": {"ten cranes over a long field " + string(rune('a'+i))}}); status == 303 {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d set a password by one link", won.Load())
	}

	code = send()
	address("robert@example.com")
	dead("another address", code)
	code = send()
	call(t, "POST", users+"/bob/password/reset-link", append(admin, "body", `{"end":true}`)...).want(t, "no password", 200)
	dead("another password", code)
	next()
	code = send()
	call(t, "PATCH", users+"/bob", append(admin, "Content-Type", "application/merge-patch+json", "body", `{"disabled":true}`)...).want(t, "disabled", 200)
	dead("a disabled account", code)
	_ = ask("bob")
	address("")
	for what, at := range map[string]string{"without an address": users + "/bob", "where no mail is sent": b.AuthURL() + "/admin/v1/realms/main/users/alice"} {
		got := call(t, "POST", at+"/password/reset-link", admin...).want(t, what, 200)
		if link, _ := got.json["link"].(string); got.json["sent"] != false || resetLink.FindStringSubmatch(link) == nil {
			t.Errorf("%s: %v", what, got.json)
		}
	}
	if status, page := newVisitor(t).get(b.AuthURL() + "/recover"); status != 200 || !strings.Contains(page, "No mail is sent here") {
		t.Errorf("%d %s", status, page)
	}
}
