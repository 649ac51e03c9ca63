package mails_test

import (
	netmail "net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// switchOn has the house send mail, to nowhere: nobody sends.
func switchOn(h *testadmin.House) {
	h.MailSet.Store(&mail.Settings{Outbox: "/nowhere", From: netmail.Address{Address: "id@example.com"}, Language: "en", Bounds: mail.Bounds{PerAddress: 50, PerRealm: 200}})
}

// listed are the messages that wait, as "message to".
func listed(h *testadmin.House, root string) (out []string) {
	items, _ := h.Want(200, root, "GET", "/mails?state=waiting&limit=200", nil).JSON["items"].([]any)
	for _, i := range items {
		m := i.(map[string]any)
		out = append(out, m["message"].(string)+" "+m["to"].(string))
	}
	slices.Sort(out)
	return out
}

// TestNotices: who owns an account is told when its password is changed, a key is made for
// it or its logins are ended, and who makes a key for somebody else is told too: each in the
// transaction of the change, so that what is refused is told to nobody.
//
// ASVS: 6.3.7
func TestNotices(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	ann := h.Person(root, "main", "ann")
	h.Want(200, root, "PATCH", "/realms/main/users/"+ann, map[string]any{"email": "ann@example.com"})
	h.Want(200, root, "PATCH", "/realms/main/users/root", map[string]any{"email": "root@example.com"})
	h.Want(200, root, "POST", "/realms/main/users/"+ann+"/password/reset-link", nil)
	if got := listed(h, root); len(got) > 0 {
		t.Errorf("while mail is off: %q", got)
	}
	switchOn(h)
	var want []string
	step := func(what string, more ...string) {
		t.Helper()
		want = append(want, more...)
		slices.Sort(want)
		if got := listed(h, root); !slices.Equal(got, want) {
			t.Errorf("%s: %q, not %q", what, got, want)
		}
	}
	const own = "ann:" + testadmin.Password
	for kind, end := range map[string]bool{"password_reset": true, "reset_link_by": false} {
		if r := h.Want(200, root, "POST", "/realms/main/users/"+ann+"/password/reset-link", map[string]any{"end": end}); r.JSON["sent"] != true || r.Str("link") != "" {
			t.Errorf("%s", r.Body)
		}
		step(kind, kind+" ann@example.com")
	}
	h.SetPassword(root, "main", "ann", testadmin.Password)
	step("set by a link", "password_changed ann@example.com")
	h.Want(401, own, "PUT", "/realms/main/users/me/password", map[string]any{"current": "wrong", "new": testadmin.Password})
	step("a wrong current password")
	h.Want(204, own, "PUT", "/realms/main/users/me/password", map[string]any{"current": testadmin.Password, "new": "four herons on a gravel bank"})
	step("her own", "password_changed ann@example.com")
	_, key := h.Key("ann:four herons on a gravel bank", "main", "me")
	step("her own key", "key_created ann@example.com")
	_, _ = h.Key(root, "main", ann)
	step("a key by another", "key_created ann@example.com", "key_created root@example.com")
	h.Want(201, root, "POST", "/realms/main/keys/"+key+"/rotate", map[string]any{})
	step("the successor of a key", "key_created ann@example.com", "key_created root@example.com")
	h.Want(422, root, "POST", "/realms/main/keys", map[string]any{"name": "k", "owner": ann, "scopes": []string{"unknown"}})
	step("a key that was refused")
	h.Want(204, root, "POST", "/realms/main/users/"+ann+"/revoke", nil)
	step("logged out", "logins_ended ann@example.com")
	h.Want(200, root, "POST", "/realms/main/users/"+ann+"/panic", map[string]any{})
	step("everything ended", "logins_ended ann@example.com")
	h.Want(204, root, "DELETE", "/realms/main/users/"+ann, nil)
	step("deleted", "account_deleted ann@example.com")
}

// TestQueueShowsNoSecret: the list has to whom and about what, not what a message says; a
// test message goes to one bare address, within the bounds, and is recorded.
func TestQueueShowsNoSecret(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	if r := h.Want(422, root, "POST", "/mails", map[string]any{"to": "ann@example.com"}); r.Str("code") != "mail_off" {
		t.Error(r.Body)
	}
	switchOn(h)
	for _, to := range []string{"ann@example.com\r\nBcc: eve@example.com", "ann@example.com, eve@example.com", "Ann <ann@example.com>", "ann", ""} {
		if r := h.Want(422, root, "POST", "/mails", map[string]any{"to": to}); r.Str("code") != "input_invalid" {
			t.Errorf("%q: %s", to, r.Body)
		}
	}
	made := h.Want(201, root, "POST", "/mails", map[string]any{"to": "ann@example.com"})
	id := made.Str("id")
	one := h.Want(200, root, "GET", "/mails/"+id, nil)
	for _, r := range []testadmin.Reply{made, one, h.Want(200, root, "GET", "/mails", nil)} {
		if !strings.Contains(r.Body, `"ann@example.com"`) || strings.Contains(r.Body, "sealed") || strings.Contains(r.Body, "root") {
			t.Error(r.Body)
		}
	}
	if got := h.Events(root, "mail.test"); !slices.Equal(got, []string{id}) {
		t.Errorf("recorded: %q", got)
	}
	if r := h.Want(404, root, "GET", "/mails/mail_none", nil); r.Str("code") != "mail_not_found" {
		t.Error(r.Body)
	}
	set := *h.MailSet.Load()
	set.PerAddress = 1
	h.MailSet.Store(&set)
	if r := h.Want(422, root, "POST", "/mails", map[string]any{"to": "Ann+1@example.com"}); r.Str("code") != "mail_limited" {
		t.Error(r.Body)
	}
}
