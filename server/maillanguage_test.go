package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestMailSpeaksAsThePage: who asks for a link on a French page gets a French message; the notice of what was done by it is in the
// language of the installation, which the owner of the account reads, whoever did it.
func TestMailSpeaksAsThePage(t *testing.T) {
	server.InOrder(t)
	d := demo(t)
	box := &letterbox{t.TempDir(), map[string]bool{}}
	d.KeepMail(box.dir)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/users/bob", "bearer", d.AdminToken, "Content-Type", "application/merge-patch+json", "body",
		`{"email":"bob@example.com","email_verified":true}`).want(t, "an address", 200)
	v := newVisitor(t)
	v.get(d.Issuer + "/recover?lang=fr")
	v.get(d.Issuer + "/recover")
	if status, page := v.send(d.Issuer+"/recover", url.Values{"identifier": {"bob"}}); status != 200 || !strings.Contains(page, `lang="fr"`) {
		t.Fatalf("asked: %d %s", status, page)
	}
	letter := box.next(t, "bob@example.com", "/recover/new")
	if !strings.Contains(letter, `lang="fr"`) {
		t.Errorf("the link: %s", letter)
	}
	v.get(strings.TrimSpace(d.Issuer + "/recover/new?code=" + resetLink.FindStringSubmatch(letter)[2]))
	v.get(d.Issuer + "/recover/new")
	if status, to := v.send(d.Issuer+"/recover/new", url.Values{"password": {"nine herons by an empty mill"}}); status != 303 {
		t.Fatalf("set: %d %s", status, to)
	}
	if letter := box.next(t, "bob@example.com", "password"); !strings.Contains(letter, `lang="en"`) {
		t.Errorf("the notice: %s", letter)
	}
}
