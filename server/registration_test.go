package server_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestRegistration: where a realm is open to a domain, whoever reads an address there makes one account, on any node, named by the
// address and without roles. The page answers the same for an address that has an account, which is told so by mail; one mailbox gets one
// message, an address elsewhere none, and a link dies with its use, another account of the address, and the realm's being closed.
//
// ASVS: 6.3.8
func TestRegistration(t *testing.T) {
	server.InOrder(t)
	box := &letterbox{t.TempDir(), map[string]bool{}}
	a, b, _ := twoNodes(t, nil)
	a.KeepMail(box.dir)
	nodes := []string{a.Issuer, b.AuthURL()}
	admin := []string{"bearer", a.AdminToken}
	realm := a.Issuer + "/admin/v1/realms/main"
	patch := func(at, body string) {
		t.Helper()
		call(t, "PATCH", at, append(admin, "Content-Type", "application/merge-patch+json", "body", body)...).want(t, body, 200)
	}
	ask := func(address string) (int, string) {
		t.Helper()
		v := newVisitor(t)
		v.get(a.Issuer + "/register")
		return v.send(a.Issuer+"/register", url.Values{"email": {address}})
	}
	open := func(node, code string) (*visitor, int, string) {
		t.Helper()
		v := newVisitor(t)
		v.get(node + "/register?code=" + code)
		status, page := v.get(node + "/register")
		return v, status, page
	}
	if _, status, page := open(a.Issuer, ""); status != 403 || !strings.Contains(page, "invitation_invalid") {
		t.Errorf("closed: %d %s", status, page)
	}
	for _, wrong := range []string{`{"settings":{"registration":"everybody"}}`, `{"settings":{"registration":"domain"}}`, `{"settings":{"registration":"open","registration_domains":["example.com"]}}`,
		`{"settings":{"registration":"domain","registration_domains":["Example.com"]}}`, `{"settings":{"registration":"domain","registration_domains":["bücher.example"]}}`} {
		call(t, "PATCH", realm, append(admin, "Content-Type", "application/merge-patch+json", "body", wrong)...).want(t, wrong, 422)
	}
	patch(realm, `{"settings":{"registration":"domain","registration_domains":["example.com"]}}`)
	patch(realm+"/users/bob", `{"email":"Bob.B@EXAMPLE.com"}`)

	status, page := ask("new@example.com")
	if status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	for _, address := range []string{"bob.b@example.com", "n.ew+2@example.com", "new@example.com"} {
		if s, p := ask(address); s != status || p != page {
			t.Errorf("%s: another answer, %d\n%s\n%s", address, s, p, page)
		}
	}
	for address, code := range map[string]string{"new@sub.example.com": "cannot be used", "new@example.org": "cannot be used", "new": "no e-mail address", "a/b@example.com": "no e-mail address"} {
		if s, p := ask(address); s != 422 || !strings.Contains(p, code) {
			t.Errorf("%s: %d %s", address, s, p)
		}
	}
	code := linkOf(t, box.next(t, "new@example.com", "open this page"), a.Issuer, "/register")
	if letter := box.next(t, "bob.b@example.com", "There is one already"); strings.Contains(letter, "code=") || !strings.Contains(letter, a.Issuer+"/signin") {
		t.Errorf("who has an account got a link: %s", letter)
	}
	events, _ := call(t, "GET", realm+"/audit/events?kind=user.register_link", admin...).want(t, "events", 200).json["items"].([]any)
	if text := fmt.Sprint(events); len(events) != 2 || strings.Contains(text, "@") || strings.Count(text, "registered") != 1 {
		t.Errorf("of five asked for: %v", events)
	}

	const password = "nine herons above a quiet weir"
	send := func(v *visitor, node string, password string) (int, string) {
		return v.send(node+"/register", url.Values{"identifier": {"admin"}, "password": {password}})
	}
	dead := func(what, node, code, want string) {
		t.Helper()
		testwait.Until(t, soon, what, func() bool {
			_, status, page := open(node, code)
			return status == 403 && strings.Contains(page, want)
		})
	}
	call(t, "POST", a.Issuer+"/admin/v1/realms", append(admin, "body", `{"name":"shop","settings":{"registration":"open"}}`)...).want(t, "another realm", 201)
	dead("in another realm", a.Issuer+"/realms/shop", code, "registration_link_invalid")
	var visitors [4]*visitor
	for i := range visitors {
		testwait.Until(t, soon, "the link on each node", func() bool {
			var status int
			var page string
			visitors[i], status, page = open(nodes[i%2], code)
			return status == 200 && strings.Contains(page, "new@<wbr>example.<wbr>com")
		})
	}
	if status, page := send(visitors[0], nodes[0], "new@example.com"); status != 422 {
		t.Errorf("the address as the password: %d %s", status, page)
	}
	var won atomic.Int64
	var all sync.WaitGroup
	for i, v := range visitors {
		all.Go(func() {
			if status, to := send(v, nodes[i%2], password); status == 303 && to == "/register/done?by=email" {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d accounts were made by one link", won.Load())
	}
	got := call(t, "GET", realm+"/users/new@example.com", admin...).want(t, "the account", 200)
	if got.json["email"] != "new@example.com" || got.json["email_verified"] != true || fmt.Sprint(got.json["roles"]) != "[]" {
		t.Errorf("%v", got.json)
	}
	for _, node := range nodes {
		call(t, "POST", node+"/tokens", "basic", "new@example.com:"+password).want(t, "the new account", 200)
		dead("used", node, code, "registration_link_invalid")
	}
	if status, to := visitors[0].get(nodes[0] + "/account"); status != 303 || !strings.HasPrefix(to, "/signin") {
		t.Errorf("the link signed somebody in: %d %s", status, to)
	}

	ask("third@example.com")
	third := linkOf(t, box.next(t, "third@example.com", "open this page"), a.Issuer, "/register")
	call(t, "POST", realm+"/users", append(admin, "body", `{"username":"third","email":"Third@Example.com"}`)...).want(t, "another account", 201)
	v, _, _ := open(a.Issuer, third)
	if status, page := send(v, a.Issuer, password); status != 403 || !strings.Contains(page, "registration_link_invalid") {
		t.Errorf("a second account of the address: %d %s", status, page)
	}
	ask("fourth@example.com")
	fourth := linkOf(t, box.next(t, "fourth@example.com", "open this page"), a.Issuer, "/register")
	patch(realm, `{"settings":{"registration":"off","registration_domains":null}}`)
	v, _, _ = open(a.Issuer, fourth)
	if status, page := send(v, a.Issuer, password); status != 403 || !strings.Contains(page, "registration_closed") {
		t.Errorf("closed since: %d %s", status, page)
	}
	if got := call(t, "POST", realm+"/invitations", append(admin, "body", `{"email":"x@example.com"}`)...).want(t, "an invitation", 403).code(); got != "registration_closed" {
		t.Errorf("%s", got)
	}
}

// TestBrowserRegister: somebody makes an account in Chromium by an address, at a desk with scripts and on a phone without, and signs in with it.
func TestBrowserRegister(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	box := &letterbox{t.TempDir(), map[string]bool{}}
	d.KeepMail(box.dir)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "Content-Type", "application/merge-patch+json", "body", `{"settings":{"registration":"open"}}`).want(t, "open", 200)
	for name, view := range map[string]testbrowser.View{"desk": {}, "phone": {Width: 390, Height: 844, NoScript: true}} {
		t.Run(name, func(t *testing.T) {
			p := chromium.Open(t, view)
			address := name + "@example.com"
			p.Go(d.Issuer + "/signin")
			if status := p.Follow("register"); status != 200 {
				t.Fatalf("%d at %s", status, p.URL())
			}
			p.Type("email", address)
			if status := p.Follow("submit"); status != 200 || p.Text("sent") == "" {
				t.Fatalf("%d at %s", status, p.URL())
			}
			code := linkOf(t, box.next(t, address, "open this page"), d.Issuer, "/register")
			if status := p.Go(d.Issuer + "/register?code=" + code); status != 200 || p.URL() != d.Issuer+"/register" || strings.ReplaceAll(p.Text("email"), "\u200b", "") != address {
				t.Fatalf("%d at %s: %q", status, p.URL(), p.Text("email"))
			}
			const password = "eight egrets beside a green lock"
			p.Type("password", password)
			if status := p.Follow("submit"); status != 200 || p.URL() != d.Issuer+"/register/done?by=email" {
				t.Fatalf("%d at %s", status, p.URL())
			}
			p.Follow("again")
			p.Type("identifier", address)
			p.Follow("continue")
			p.Type("password", password)
			if status := p.Follow("submit"); status != 200 || p.Text("username") != address {
				t.Errorf("%d at %s: %q", status, p.URL(), p.Text("username"))
			}
			if said := p.Complaints(); len(said) != 0 {
				t.Errorf("the browser complains: %q", said)
			}
		})
	}
}
