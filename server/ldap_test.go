package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/internal/ldap"
	"github.com/gatehouse-auth/gatehouse/internal/testldap"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// ldapHouse is an installation whose realm main has a directory.
func ldapHouse(t *testing.T, s *testldap.Server) *house {
	h := newHouse(t)
	h.cfg.LDAP = map[string]config.LDAP{"main": {CheckEvery: time.Hour, CAFile: s.CAFile, PasswordFile: s.PasswordFile, Search: ldap.Search{URL: "ldap://" + s.Plain, BindDN: testldap.BindDN,
		Base: testldap.Base, Filter: "(|(uid={username})(mail={username}))", UsernameAttribute: "uid", NameAttribute: "cn", EmailAttribute: "mail",
		GroupAttribute: "memberOf", Timeout: 2 * time.Second},
		Groups: []config.LDAPGroup{{DN: "CN=ops, " + testldap.Base, Role: "gatehouse-auditor", Group: "operators"}, {DN: "cn=dev," + testldap.Base, Group: "developers"}}}}
	h.start()
	return h
}

// TestLDAP: people of a directory sign in with its passwords wherever a password counts, and get an account
// of the realm; accounts that are kept here stay what they are, whatever stands in the directory. While it
// is away nobody new is let in, whoever is remembered is for a minute, and the others go on.
//
// ASVS: 6.3.8
func TestLDAP(t *testing.T) {
	InOrder(t)
	s := testldap.Start(t, testldap.Person("alice", "velvet otter canyon", "")+testldap.Person("eve", "copper lantern meadow", "")+
		testldap.Person("local", "the directory has this one", ""))
	h := ldapHouse(t, s)
	key := h.bootstrap()
	h.want("an account of its own", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"local","password":%q}`, housePassword), 201)
	for _, c := range []struct {
		name, password string
		status         int
	}{
		{"alice", "wrong", 401}, {"nobody", "velvet otter canyon", 401}, {"alice", "", 401}, {"al*", "velvet otter canyon", 401},
		{"alice@example.com", "velvet otter canyon", 401}, // found, and called otherwise
		{"local", "the directory has this one", 401},
		{"alice", "velvet otter canyon", 200}, {"ALICE", "velvet otter canyon", 200}, {"local", housePassword, 200},
	} {
		for _, at := range []struct{ method, path string }{{"POST", "/tokens"}, {"GET", "/admin/v1/me"}} {
			if status, out := h.call(at.method, h.s.AuthURL()+at.path, c.name+":"+c.password, ""); status != c.status || status == 401 && out["code"] != "invalid_credentials" {
				t.Errorf("%s with %q, %q: %d %v, not %d", at.path, c.name, c.password, status, out, c.status)
			}
		}
	}
	alice := h.want("her account", "GET", "/admin/v1/realms/main/users/alice", key, "", 200)
	if alice["username"] != "alice" || alice["display_name"] != "alice of the directory" || alice["email"] != "alice@example.com" || alice["has_password"] != false || len(alice["directory_id"].(string)) != 36 {
		t.Errorf("%v", alice)
	}
	if local := h.want("the other", "GET", "/admin/v1/realms/main/users/local", key, "", 200); local["directory_id"] != nil || local["has_password"] != true {
		t.Errorf("%v", local)
	}
	if status, page := h.visitor(nil).send("/signin?again=1", "/signin", url.Values{"identifier": {"alice"}, "password": {"velvet otter canyon"}, "step": {"password"}}); status != 303 {
		t.Errorf("the page: %d %s", status, page)
	}
	token := h.want("a login", "POST", "/tokens", "alice:velvet otter canyon", "", 200)["access_token"].(string)
	h.want("a password from here", "POST", "/admin/v1/realms/main/users/alice/password/reset-link", key, `{}`, 422)
	h.want("a link to set one", "POST", "/admin/v1/realms/main/users/alice/password/reset-link", key, "", 422)

	out := func(why string, status int, f users.Followed) {
		t.Helper()
		got, err := h.s.followDirectory(t.Context(), "main")
		if err != nil || got != f {
			t.Errorf("%s: %+v %v, not %+v", why, got, err, f)
		}
		if got, out := h.call("GET", h.s.AuthURL()+"/admin/v1/me", token, ""); got != status {
			t.Errorf("%s: %d %v, not %d", why, got, out, status)
		}
	}
	out("all is well", 200, users.Followed{Asked: 1})
	s.Set("uid=alice", "pwdAccountLockedTime", "000001010000Z")
	out("locked in the directory", 401, users.Followed{Asked: 1, Out: 1})
	out("still", 401, users.Followed{Asked: 1})
	if status, _ := h.call("POST", h.s.AuthURL()+"/tokens", "alice:velvet otter canyon", ""); status != 401 {
		t.Errorf("whoever is locked got in: %d", status)
	}
	s.Set("uid=alice", "pwdAccountLockedTime")
	out("unlocked: what was issued before stays ended", 401, users.Followed{Asked: 1, Back: 1})
	token = h.want("again", "POST", "/tokens", "alice:velvet otter canyon", "", 200)["access_token"].(string)
	h.want("by an administrator", "PATCH", "/admin/v1/realms/main/users/alice", key, `{"disabled":true}`, 200)
	out("what an administrator disabled stays so", 401, users.Followed{Asked: 1})
	s.Set("uid=alice", "pwdAccountLockedTime", "000001010000Z")
	out("nothing to add", 401, users.Followed{Asked: 1})
	s.Set("uid=alice", "pwdAccountLockedTime")
	out("and nothing to undo", 401, users.Followed{Asked: 1})
	h.want("by an administrator", "PATCH", "/admin/v1/realms/main/users/alice", key, `{"disabled":false}`, 200)
	s.Set("uid=alice", "pwdAccountLockedTime", "000001010000Z")
	out("by the directory", 401, users.Followed{Asked: 1, Out: 1})
	h.want("and by an administrator", "PATCH", "/admin/v1/realms/main/users/alice", key, `{"disabled":true}`, 200)
	s.Set("uid=alice", "pwdAccountLockedTime")
	out("whose word stays", 401, users.Followed{Asked: 1})
	h.want("by an administrator", "PATCH", "/admin/v1/realms/main/users/alice", key, `{"disabled":false}`, 200)
	h.want("again", "POST", "/tokens", "alice:velvet otter canyon", "", 200)

	s.Kill()
	if f, err := h.s.followDirectory(t.Context(), "main"); err == nil || f != (users.Followed{}) {
		t.Errorf("asked a directory that is away: %+v", f)
	}
	away := func(what, name, password string, status int) {
		t.Helper()
		if got, out := h.call("POST", h.s.AuthURL()+"/tokens", name+":"+password, ""); got != status || status == 503 && out["code"] != "authentication_unavailable" {
			t.Errorf("away: %s: %d %v, not %d", what, got, out, status)
		}
	}
	away("somebody new", "eve", "copper lantern meadow", 503)
	away("a wrong password of the directory's", "alice", "wrong", 503)
	away("a name of nobody", "nobody", "wrong", 503)
	testwait.Until(t, 10*time.Second, "a wrong password of an account kept here is answered so, too", func() bool {
		away("a name of nobody", "nobody", "wrong", 503) // a slow machine may have forgotten by the next
		status, _ := h.call("POST", h.s.AuthURL()+"/tokens", "local:wrong", "")
		return status == 503
	})
	away("an account kept here", "local", housePassword, 200)
	away("somebody who is remembered", "alice", "velvet otter canyon", 200)
	s.Up()
	testwait.Until(t, 10*time.Second, "it is asked again", func() bool {
		status, _ := h.call("POST", h.s.AuthURL()+"/tokens", "eve:copper lantern meadow", "")
		return status == 200
	})
	testwait.Until(t, 10*time.Second, "why somebody was refused is recorded", func() bool {
		_, out := h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/audit/events?kind=login.failure", key, "")
		all, _ := json.Marshal(out["items"])
		for _, why := range []string{"directory_refused", "directory_unknown", "directory_empty_password", "directory_other_name", "wrong_password", "ldap_unavailable"} {
			if !strings.Contains(string(all), `"`+why+`"`) {
				return false
			}
		}
		return true
	})
	h.stop()
	if _, err := Recover(t.Context(), h.cfg, "alice"); gatehouse.CodeOf(err) != "password_in_directory" {
		t.Errorf("whoever has a password in the directory recovers: %v", err)
	}
}
