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

var letterLink = regexp.MustCompile(`(https?://[^\s"<>]+)(/[a-z/]+)\?code=([A-Z2-7]{26})`)

// letterbox reads what a server put into its outbox.
type letterbox struct {
	dir  string
	seen map[string]bool
}

// next waits for a letter to somebody that was not seen before, whose text holds words, and returns the text.
func (l *letterbox) next(t *testing.T, to, words string) (text string) {
	t.Helper()
	testwait.Until(t, soon, "a letter to "+to+": "+words, func() bool {
		names, _ := filepath.Glob(filepath.Join(l.dir, "*.eml"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := strings.NewReplacer("=\r\n", "", "=\n", "", "=3D", "=").Replace(string(b))
			if !l.seen[name] && strings.Contains(s, "To: <"+to+">") && strings.Contains(s, words) {
				l.seen[name], text = true, s
				return true
			}
		}
		return false
	})
	return text
}

// link is the text of the link in a letter, which leads to page at issuer.
func linkOf(t *testing.T, letter, issuer, page string) string {
	t.Helper()
	m := letterLink.FindStringSubmatch(letter)
	if m == nil || m[1] != issuer || m[2] != page {
		t.Fatalf("no link to %s%s: %q", issuer, page, m)
	}
	return m[3]
}

// TestAddressVerified: an address is verified by a link in a mail to it, on any node, once. A person who is signed in gets
// another one so, of which the one of before hears twice; nobody else does by that link, and it dies with another wish, another
// password and the account.
//
// ASVS: 6.3.7
func TestAddressVerified(t *testing.T) {
	server.InOrder(t)
	box := &letterbox{t.TempDir(), map[string]bool{}}
	a, b, _ := twoNodes(t, nil)
	a.KeepMail(box.dir)
	nodes := []string{a.Issuer, b.AuthURL()}
	admin := []string{"bearer", a.AdminToken}
	bob := a.Issuer + "/admin/v1/realms/main/users/bob"
	password := a.Users["bob"].Password
	patch := func(body string) answer {
		t.Helper()
		return call(t, "PATCH", bob, append(admin, "Content-Type", "application/merge-patch+json", "body", body)...).want(t, "changed", 200)
	}
	is := func(what, email, waiting string, verified bool) {
		t.Helper()
		got := call(t, "GET", bob, admin...).want(t, what, 200).json
		if w, _ := got["new_email"].(string); got["email"] != email || w != waiting || got["email_verified"] != verified {
			t.Errorf("%s: %v, %v waits, verified %v", what, got["email"], got["new_email"], got["email_verified"])
		}
	}
	signedIn := func(node, name, password string) *visitor {
		t.Helper()
		v := newVisitor(t)
		if status, to := v.password(node, name, password); status != 303 || !strings.Contains(to, "/account") {
			t.Fatalf("signing in: %d %s", status, to)
		}
		return v
	}
	open := func(v *visitor, node, code string) (int, string) {
		t.Helper()
		if status, to := v.get(node + "/verify?code=" + code); status != 303 || to != "/verify" {
			t.Fatalf("the link: %d %s", status, to)
		}
		return v.get(node + "/verify")
	}
	dead := func(what, code string) {
		t.Helper()
		for _, node := range nodes {
			testwait.Until(t, soon, what, func() bool {
				status, page := open(newVisitor(t), node, code)
				return status == 403 && strings.Contains(page, "address_link_invalid")
			})
		}
	}

	// The address that an administrator gave: by whoever reads it, once.
	patch(`{"email":"bob@example.com"}`)
	box.next(t, "bob@example.com", "was changed")
	is("given", "bob@example.com", "", false)
	call(t, "POST", bob+"/email/link", admin...).want(t, "a link", 204)
	code := linkOf(t, box.next(t, "bob@example.com", "open this page"), a.Issuer, "/verify")
	var visitors [4]*visitor
	for i := range visitors {
		visitors[i] = newVisitor(t)
		if status, page := open(visitors[i], nodes[i%2], code); status != 200 || !strings.Contains(page, "bob@<wbr>example.<wbr>com") {
			t.Fatalf("%d %s", status, page)
		}
	}
	is("looked at", "bob@example.com", "", false)
	var won atomic.Int64
	var all sync.WaitGroup
	for i, v := range visitors {
		all.Go(func() {
			if status, _ := v.send(nodes[i%2]+"/verify", url.Values{}); status == 303 {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d verified an address by one link", won.Load())
	}
	is("verified", "bob@example.com", "", true)
	dead("used", code)

	// Another one, by the person.
	ask := func(v *visitor, address string) (int, string) {
		t.Helper()
		v.get(a.Issuer + "/account/email")
		return v.send(a.Issuer+"/account/email", url.Values{"do": {"change"}, "email": {address}})
	}
	me := signedIn(a.Issuer, "bob", password)
	call(t, "POST", bob+"/email/link", admin...).want(t, "a link", 204)
	nobody := newVisitor(t)
	if status, _ := open(nobody, a.Issuer, linkOf(t, box.next(t, "bob@example.com", "open this page"), a.Issuer, "/verify")); status != 200 {
		t.Fatalf("a link to the address of now: %d", status)
	}
	if status, page := ask(me, "bob@new.example"); status != 200 || !strings.Contains(page, "A link is on its way") {
		t.Fatalf("%d %s", status, page)
	}
	box.next(t, "bob@example.com", "was asked for")
	code = linkOf(t, box.next(t, "bob@new.example", "open this page"), a.Issuer, "/verify")
	is("asked for", "bob@example.com", "bob@new.example", true)
	if status, to := open(newVisitor(t), a.Issuer, code); status != 303 || !strings.HasPrefix(to, "/signin?") {
		t.Errorf("somebody who is not signed in: %d %s", status, to)
	}
	nobody.client.Get(a.Issuer + "/verify?code=" + code) // the form of before, with the other link
	if status, page := nobody.send(a.Issuer+"/verify", url.Values{}); status != 403 || !strings.Contains(page, "address_link_invalid") {
		t.Errorf("a form of somebody who is not signed in: %d %s", status, page)
	}
	other := signedIn(a.Issuer, "carol", a.Users["carol"].Password)
	if status, page := open(other, a.Issuer, code); status != 403 || !strings.Contains(page, "address_link_invalid") {
		t.Errorf("somebody else: %d %s", status, page)
	}
	other.get(a.Issuer + "/account")
	if status, _ := open(me, a.Issuer, code); status != 200 {
		t.Fatalf("the person: %d", status)
	}
	if status, to := me.send(a.Issuer+"/verify", url.Values{}); status != 303 || to != "/verify/done" {
		t.Fatalf("%d %s", status, to)
	}
	is("changed", "bob@new.example", "", true)
	box.next(t, "bob@example.com", "was changed")
	box.next(t, "bob@new.example", "was changed")
	dead("used", code)

	refused := 0
	for range 3 {
		status, page := ask(me, "bob@new.example")
		if status == 422 && strings.Contains(page, "No link was sent") {
			refused++
		}
	}
	if refused < 2 {
		t.Errorf("three links at once: %d were refused", refused)
	}

	// What ends a link.
	send := func() string {
		t.Helper()
		call(t, "POST", bob+"/email/link", admin...).want(t, "a link", 204)
		return linkOf(t, box.next(t, "bob@new.example", "open this page"), a.Issuer, "/verify")
	}
	code = send()
	patch(`{"email":"bob@third.example","email_verified":true}`)
	is("by an administrator", "bob@third.example", "", true)
	dead("another address", code)
	patch(`{"email":"bob@new.example"}`)
	is("back", "bob@new.example", "", false)
	code = send()
	patch(`{"disabled":true}`)
	dead("a disabled account", code)
	if got := call(t, "POST", b.AuthURL()+"/admin/v1/realms/main/users/bob/email/link", admin...).want(t, "where no mail is sent", 422).code(); got != "mail_off" {
		t.Errorf("%s", got)
	}
	patch(`{"email":""}`)
	if got := call(t, "POST", bob+"/email/link", admin...).want(t, "without an address", 422).code(); got != "no_email" {
		t.Errorf("%s", got)
	}
}
