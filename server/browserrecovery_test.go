package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// linked has a letter's link opened as a mail program does, and returns what stands in it.
func linked(t *testing.T, p *testbrowser.Page, d *server.Demo, letter string) string {
	t.Helper()
	at := strings.Index(letter, d.Issuer+"/")
	if at < 0 {
		t.Fatalf("no link in %s", letter)
	}
	link := strings.Fields(letter[at:])[0]
	if status := p.Go(link); status != 200 || strings.Contains(p.URL(), "code=") {
		t.Fatalf("the link: %d at %s", status, p.URL())
	}
	return link
}

// TestResetInTheBrowser: who has forgotten the password asks for a link, in Chromium on a phone without a script, and sets another
// one by it. That signs nobody in; the link is worth nothing afterwards, neither is the old password, and the account is signed out
// everywhere. Whoever has a second factor is asked for it as before.
//
// ASVS: 6.4.3
func TestResetInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	box := &letterbox{t.TempDir(), map[string]bool{}}
	d.KeepMail(box.dir)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/users/bob", "bearer", d.AdminToken, "Content-Type", "application/merge-patch+json", "body",
		`{"email":"bob@example.com","email_verified":true}`).want(t, "an address", 200)
	old := d.Users["bob"].Password
	before := chromium.Open(t, phone)
	before.Go(d.Issuer + "/account/factors")
	names(before, "bob", old)
	before.Follow("add-app")
	before.Type("code", appOf(before)(0))
	if status := before.Follow("submit"); status != 200 || !before.Has("#recovery-codes") {
		t.Fatalf("an app: %d at %s", status, before.URL())
	}
	recovery := testbrowser.Eval[[]string](before, recoveryCodes)
	p := chromium.Open(t, phone)
	p.Go(d.Issuer + "/account")
	p.Type("identifier", "bob")
	p.Follow("continue")
	p.Follow("forgot")
	p.Type("identifier", "bob")
	if status := p.Follow("submit"); status != 200 || p.Text("sent") == "" {
		t.Fatalf("asked: %d at %s", status, p.URL())
	}
	link := linked(t, p, d, box.next(t, "bob@example.com", "/recover/new"))
	const fresh = "nine herons by an empty mill"
	p.Type("password", "short")
	if status := p.Follow("submit"); status != 422 {
		t.Errorf("a short one: %d", status)
	}
	p.Type("password", fresh)
	if status := p.Follow("submit"); status != 200 || p.URL() != d.Issuer+"/recover/done" {
		t.Fatalf("another password: %d at %s", status, p.URL())
	}
	if p.Go(d.Issuer + "/account"); shown(t, p) != "/signin" {
		t.Errorf("the link signed somebody in: at %s", p.URL())
	}
	if before.Go(d.Issuer + "/account"); shown(t, before) != "/signin" {
		t.Errorf("a session of before is open: at %s", before.URL())
	}
	if status := before.Go(link); status != 403 || problem(before) != "reset_link_invalid" {
		t.Errorf("the link once more: %d at %s", status, before.URL())
	}
	if status := names(p, "bob", old); status != 422 || p.Text("password-error") == "" {
		t.Errorf("the old password: %d at %s", status, p.URL())
	}
	p.Type("password", fresh)
	if p.Follow("submit"); shown(t, p) != "/signin/factor" {
		t.Fatalf("the new password leads to %s", p.URL())
	}
	p.Follow("other")
	p.Type("code", recovery[0])
	if status := p.Follow("submit"); status != 200 || p.Text("username") != "bob" {
		t.Errorf("with a second factor: %d at %s", status, p.URL())
	}
	quiet(t, p)
}

// TestInvitedInTheBrowser: in Chromium on a phone without a script somebody follows an invitation, makes the account, signs in, has
// another address verified by the link in a mail to it, takes along all that is kept as a file, and deletes the account.
func TestInvitedInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	box := &letterbox{t.TempDir(), map[string]bool{}}
	d.KeepMail(box.dir)
	users := d.Issuer + "/admin/v1/realms/main/users"
	call(t, "POST", d.Issuer+"/admin/v1/realms/main/invitations", "bearer", d.AdminToken, "body", `{"email":"ada@example.com","roles":["viewer"]}`).want(t, "invited", 201)
	p := chromium.Open(t, phone)
	linked(t, p, d, box.next(t, "ada@example.com", "invites you"))
	const password = "eleven swifts under a red bridge"
	p.Type("identifier", "bob")
	p.Type("password", password)
	if status := p.Follow("submit"); status != 422 || p.Text("identifier-error") == "" {
		t.Errorf("the name of somebody else: %d at %s", status, p.URL())
	}
	testbrowser.Eval[string](p, `document.getElementById("identifier").value = ""`)
	p.Type("identifier", "ada")
	p.Type("password", password)
	if status := p.Follow("submit"); status != 200 || shown(t, p) != "/register/done" {
		t.Fatalf("the account: %d at %s", status, p.URL())
	}
	p.Follow("again")
	if status := names(p, "ada", password); status != 200 || p.Text("username") != "ada" || plain(p.Text("email")) != "ada@example.com" {
		t.Fatalf("signed in: %d at %s: %q", status, p.URL(), p.Text("email"))
	}
	p.Follow("email-address")
	p.Type("new-email", "ada@new.example")
	if status := p.Follow("change-email"); status != 200 || p.Text("said") == "" {
		t.Fatalf("another address: %d at %s", status, p.URL())
	}
	letter := box.next(t, "ada@new.example", "open this page")
	stranger := chromium.Open(t, phone)
	if linked(t, stranger, d, letter); shown(t, stranger) != "/signin" {
		t.Errorf("the link for somebody who is not signed in: at %s", stranger.URL())
	}
	linked(t, p, d, letter)
	if got := plain(p.Text("email")); got != "ada@new.example" {
		t.Errorf("to be verified: %q", got)
	}
	if status := p.Follow("submit"); status != 200 || p.URL() != d.Issuer+"/verify/done" {
		t.Fatalf("verified: %d at %s", status, p.URL())
	}
	if got := call(t, "GET", users+"/ada", "bearer", d.AdminToken).want(t, "ada", 200).json; got["email"] != "ada@new.example" || got["email_verified"] != true {
		t.Errorf("%v", got)
	}

	p.Follow("account")
	p.Follow("data")
	name, file := p.Download("download")
	var kept struct {
		Profile  struct{ Username, Email string }
		Sessions []map[string]any
	}
	if err := json.Unmarshal(file, &kept); err != nil || name != "account.json" || kept.Profile.Username != "ada" || kept.Profile.Email != "ada@new.example" || len(kept.Sessions) != 1 || strings.Contains(string(file), "$argon2") {
		t.Errorf("%s: %v %s", name, err, file)
	}
	p.Type("confirm", "bob")
	if status := p.Follow("delete-account"); status != 422 || p.Text("confirm-error") == "" {
		t.Errorf("by another name: %d at %s", status, p.URL())
	}
	p.Type("confirm", "ada")
	if status := p.Follow("delete-account"); status != 200 || p.URL() != d.Issuer+"/signedout" {
		t.Fatalf("deleted: %d at %s", status, p.URL())
	}
	box.next(t, "ada@new.example", "deleted")
	testwait.Until(t, soon, "the account is gone", func() bool {
		return call(t, "POST", d.Issuer+"/tokens", "basic", fmt.Sprintf("ada:%s", password)).status == 401
	})
	if p.Go(d.Issuer + "/account"); shown(t, p) != "/signin" {
		t.Errorf("the session of an account that is gone: at %s", p.URL())
	}
	quiet(t, p)
}

// problem is the stable code on a page that tells of an error, where it can be opened.
func problem(p *testbrowser.Page) string {
	return testbrowser.Eval[string](p, `document.querySelector(".support #code")?.textContent ?? ""`)
}

// plain is a text without the places at which a long word may be broken.
func plain(s string) string { return strings.ReplaceAll(s, "\u200b", "") }
