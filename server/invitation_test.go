package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

var invitationLink = regexp.MustCompile(`/register\?code=(inv_[a-z0-9]+\.[A-Z2-7]{26})`)

// TestInvitation: who was invited makes the account by a link in a mail, on any node, once, with the roles of the invitation and a
// verified address, and is not signed in by that. What is refused uses nothing up; one that was taken back is nothing, at any node
// and in any realm, and what the list shows lets nobody in.
//
// ASVS: 6.4.1
func TestInvitation(t *testing.T) {
	server.InOrder(t)
	box := &letterbox{t.TempDir(), map[string]bool{}}
	a, b, _ := twoNodes(t, nil)
	a.KeepMail(box.dir)
	nodes := []string{a.Issuer, b.AuthURL()}
	admin := []string{"bearer", a.AdminToken}
	realm := a.Issuer + "/admin/v1/realms/main"
	invite := func(address string) (id, code string) {
		t.Helper()
		made := call(t, "POST", realm+"/invitations", append(admin, "body", fmt.Sprintf(`{"email":%q,"roles":["viewer"]}`, address))...).want(t, "invited", 201)
		id, _ = made.json["id"].(string)
		m := invitationLink.FindStringSubmatch(box.next(t, address, "invites you"))
		if m == nil || !strings.HasPrefix(m[1], id+".") || strings.Contains(fmt.Sprint(made.json), strings.TrimPrefix(m[1], id+".")) {
			t.Fatalf("%s: %q %v", address, m, made.json)
		}
		return id, m[1]
	}
	open := func(node, code string) (*visitor, int, string) {
		t.Helper()
		v := newVisitor(t)
		if status, to := v.get(node + "/register?code=" + code); status != 303 || to != "/register" {
			t.Fatalf("the link: %d %s", status, to)
		}
		status, page := v.get(node + "/register")
		return v, status, page
	}
	refused := func(what, code, problem string) {
		t.Helper()
		for _, node := range nodes {
			testwait.Until(t, soon, what, func() bool {
				_, status, page := open(node, code)
				return status == 403 && strings.Contains(page, problem)
			})
		}
	}
	dead := func(what, code string) { t.Helper(); refused(what, code, "invitation_invalid") }
	const password = "eleven swifts under a red bridge"
	send := func(v *visitor, node, name, password string) (int, string) {
		return v.send(node+"/register", url.Values{"identifier": {name}, "password": {password}})
	}

	id, code := invite("new@example.com")
	refused("the id alone", id, "registration_link_invalid")
	dead("the id with another secret", id+".AAAAAAAAAAAAAAAAAAAAAAAAAA")
	var visitors [4]*visitor
	for i := range visitors {
		var status int
		var page string
		if visitors[i], status, page = open(nodes[i%2], code); status != 200 || !strings.Contains(page, "new@<wbr>example.<wbr>com") {
			t.Fatalf("%d %s", status, page)
		}
	}
	if status, page := send(visitors[0], nodes[0], "bob", password); status != 422 || !strings.Contains(page, "is taken") {
		t.Errorf("a name of somebody else: %d %s", status, page)
	}
	if status, page := send(visitors[0], nodes[0], "newcomer", "short"); status != 422 || !strings.Contains(page, "too short") {
		t.Errorf("a short password: %d %s", status, page)
	}
	var won atomic.Int64
	var all sync.WaitGroup
	for i, v := range visitors {
		all.Go(func() {
			if status, to := send(v, nodes[i%2], fmt.Sprintf("newcomer-%d", i), password); status == 303 && to == "/register/done" {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d accounts were made by one invitation", won.Load())
	}
	dead("used", code)
	found := 0
	for i := range visitors {
		got := call(t, "GET", fmt.Sprintf("%s/users/newcomer-%d", realm, i), admin...)
		if got.status != 200 {
			continue
		}
		found++
		if got.json["email"] != "new@example.com" || got.json["email_verified"] != true || fmt.Sprint(got.json["roles"]) != "[viewer]" {
			t.Errorf("%v", got.json)
		}
		for _, node := range nodes {
			call(t, "POST", node+"/tokens", "basic", fmt.Sprintf("newcomer-%d:%s", i, password)).want(t, "the new account", 200)
		}
	}
	if found != 1 {
		t.Errorf("%d accounts", found)
	}
	for i, v := range visitors {
		if status, to := v.get(nodes[i%2] + "/account"); status != 303 || !strings.HasPrefix(to, "/signin") {
			t.Errorf("an invitation signed somebody in: %d %s", status, to)
		}
	}

	// Who came takes along what is kept, and leaves.
	newcomer := ""
	for i := range visitors {
		if name := fmt.Sprintf("newcomer-%d", i); call(t, "GET", realm+"/users/"+name, admin...).status == 200 {
			newcomer = name
		}
	}
	v := newVisitor(t)
	v.password(nodes[0], newcomer, password)
	v.get(nodes[0] + "/account/data")
	status, data := v.send(nodes[0]+"/account/data", url.Values{"do": {"export"}})
	var kept struct {
		Profile struct {
			Username, Email string
		}
		Sessions, Events []map[string]any
	}
	if err := json.Unmarshal([]byte(data), &kept); status != 200 || err != nil || kept.Profile.Username != newcomer || kept.Profile.Email != "new@example.com" || len(kept.Sessions) != 1 ||
		!strings.Contains(data, `"user.create"`) || strings.Contains(data, "$argon2") || strings.Contains(data, `"erased"`) {
		t.Errorf("%d %v %s", status, err, data)
	}
	if status, to := v.send(nodes[0]+"/account/data", url.Values{"do": {"delete"}, "confirm": {newcomer}}); status != 303 || to != "/signedout" {
		t.Errorf("%d %s", status, to)
	}
	box.next(t, "new@example.com", "deleted")
	for _, node := range nodes {
		testwait.Until(t, soon, "the account is gone", func() bool {
			return call(t, "POST", node+"/tokens", "basic", newcomer+":"+password).status == 401
		})
	}

	id, code = invite("other@example.com")
	if list, _ := call(t, "GET", realm+"/invitations", admin...).want(t, "list", 200).json["items"].([]any); len(list) != 1 || list[0].(map[string]any)["id"] != id || list[0].(map[string]any)["email"] != "other@example.com" {
		t.Errorf("%v", list)
	}
	call(t, "POST", a.Issuer+"/admin/v1/realms", append(admin, "body", `{"name":"shop"}`)...).want(t, "another realm", 201)
	elsewhere := newVisitor(t)
	elsewhere.get(a.Issuer + "/realms/shop/register?code=" + code)
	if status, page := elsewhere.get(a.Issuer + "/realms/shop/register"); status != 403 || !strings.Contains(page, "invitation_invalid") {
		t.Errorf("in another realm: %d %s", status, page)
	}
	call(t, "DELETE", realm+"/invitations/"+id, admin...).want(t, "taken back", 204)
	dead("taken back", code)
	if got := call(t, "DELETE", realm+"/invitations/"+id, admin...).want(t, "once more", 404).code(); got != "invitation_not_found" {
		t.Errorf("%s", got)
	}
	if got := call(t, "POST", realm+"/invitations", append(admin, "body", `{"email":"x@example.com","roles":["no-such-role"]}`)...).want(t, "an unknown role", 422).code(); got != "role_unknown" {
		t.Errorf("%s", got)
	}
	if got := call(t, "POST", b.AuthURL()+"/admin/v1/realms/main/invitations", append(admin, "body", `{"email":"x@example.com"}`)...).want(t, "where no mail is sent", 422).code(); got != "mail_off" {
		t.Errorf("%s", got)
	}
}
