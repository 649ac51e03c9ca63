package session_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

// house is a real house with an administrator and bob.
type house struct {
	*testadmin.House
	t        *testing.T
	root, id string
}

func newHouse(t *testing.T) *house {
	h := &house{House: testadmin.New(t), t: t}
	h.root = h.Bootstrap()
	h.id = h.Person(h.root, "main", "bob")
	return h
}

// sessions are those of bob as the management API shows them.
func (h *house) sessions() (list []map[string]any) {
	h.t.Helper()
	for _, s := range h.Want(200, h.root, "GET", "/realms/main/users/bob/sessions", nil).JSON["items"].([]any) {
		list = append(list, s.(map[string]any))
	}
	return list
}

// refused insists that a session is worth nothing.
func (h *house) refused(what string, text gatehouse.Secret) {
	h.t.Helper()
	if p, err := h.Session(text, ""); gatehouse.CodeOf(err) != "invalid_token" {
		h.t.Errorf("%s: %+v, %v", what, p, err)
	}
}

func (h *house) accepted(what string, text gatehouse.Secret) {
	h.t.Helper()
	if p, err := h.Session(text, ""); err != nil || p.ID != h.id {
		h.t.Errorf("%s: %+v, %s", what, p, authn.Reason(err))
	}
}

// TestLife: a session is opened, gets another secret with each proof, and ends; the store holds no
// text of it, and each change has its event.
//
// ASVS: 7.2.2, 7.2.4, 7.4.1
func TestLife(t *testing.T) {
	h := newHouse(t)
	from := session.Browser{Device: "a-device", Address: "192.0.2.7", UserAgent: "Fire\x1bfox\n" + strings.Repeat("ü", 200)}
	text, s := h.SignIn(h.id, from)
	if p, err := h.Session(text, from.Device); err != nil || p.SessionID != s.ID || p.ID != h.id || !slices.Equal(p.AMR, []string{"pwd"}) {
		t.Fatalf("%+v, %v", p, err)
	}
	h.refused("without its device cookie", text)
	if shown := h.sessions()[0]; shown["open"] != true || shown["bound"] != true || shown["address"] != "192.0.2.7" ||
		strings.ContainsAny(shown["user_agent"].(string), "\x1b\n�") || len(shown["user_agent"].(string)) > 256 {
		t.Errorf("shown as %v", shown)
	}

	more := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: h.id, SessionID: s.ID, AMR: []string{"pwd", "otp"}, ACR: "aal2", IssuedAt: time.Now()}
	next, rotated, err := h.Sessions.Rotate(t.Context(), more, session.Browser{})
	if err != nil || rotated.ID != s.ID || !rotated.CreatedAt.Equal(s.CreatedAt) && rotated.CreatedAt.UnixMicro() != s.CreatedAt.UnixMicro() || rotated.AuthTime.Before(s.AuthTime) {
		t.Fatalf("%+v, %v", rotated, err)
	}
	if p, err := h.Session(text, from.Device); err == nil {
		t.Errorf("the secret of before still speaks for %s", p.ID)
	}
	if p, err := h.Session(next, ""); err != nil || p.ACR != "aal2" {
		t.Errorf("%+v, %v", p, err)
	}
	stranger := *more
	stranger.ID = h.Person(h.root, "main", "eve")
	if _, _, err := h.Sessions.Rotate(t.Context(), &stranger, session.Browser{}); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("somebody else's: %v", err)
	}

	for range 2 { // to end what has ended is no error, and no event
		if err := h.Sessions.End(t.Context(), "main", h.id, s.ID, session.ReasonSignOut); err != nil {
			t.Fatal(err)
		}
	}
	h.refused("after its end", next)
	if _, _, err := h.Sessions.Rotate(t.Context(), more, session.Browser{}); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("rotated after its end: %v", err)
	}
	if shown := h.sessions()[0]; shown["open"] != false || shown["end_reason"] != "signed_out" || shown["ended_at"] == nil {
		t.Errorf("shown as %v", shown)
	}
	for _, kind := range []string{"session.open", "session.rotate", "session.end"} {
		if got := h.Events(h.root, kind); !slices.Equal(got, []string{s.ID}) {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// TestSecondFactor: the password alone opens no session for who has a second factor, whatever the
// node knew that looked at the password.
func TestSecondFactor(t *testing.T) {
	h := newHouse(t)
	u, err := h.DB.User(t.Context(), "main", h.id)
	if err != nil {
		t.Fatal(err)
	}
	p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: h.id, Scheme: gatehouse.SchemeBasic, IssuedAt: u.PasswordAt,
		AuthTime: time.Now(), AMR: []string{"pwd"}, ACR: gatehouse.AAL1}
	if _, _, err := h.Sessions.Open(t.Context(), p, session.Browser{}); err != nil {
		t.Fatal(err)
	}
	u.SecondFactor = true
	if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, u) }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Sessions.Open(t.Context(), p, session.Browser{}); gatehouse.CodeOf(err) != "second_factor_required" {
		t.Errorf("by the password alone: %v", err)
	}
	p.AMR, p.ACR = []string{"pwd", "otp", "mfa"}, gatehouse.AAL2
	if _, _, err := h.Sessions.Open(t.Context(), p, session.Browser{}); err != nil {
		t.Errorf("by both: %v", err)
	}
}

// TestEnds: what must end a person's sessions ends them before the call returns, and shows it.
//
// ASVS: 7.4.2, 7.4.5
func TestEnds(t *testing.T) {
	bob := "bob:" + testadmin.Password
	h := newHouse(t)
	for _, c := range []struct {
		name string
		end  func(h *house, id string)
	}{
		{"disabled", func(h *house, _ string) {
			h.Want(200, h.root, "PATCH", "/realms/main/users/bob", map[string]any{"disabled": true})
			h.Want(200, h.root, "PATCH", "/realms/main/users/bob", map[string]any{"disabled": false})
		}},
		{"revoked", func(h *house, _ string) { h.Want(204, bob, "POST", "/realms/main/users/me/revoke", nil) }},
		{"by himself", func(h *house, id string) { h.Want(204, bob, "DELETE", "/realms/main/users/me/sessions/"+id, nil) }},
		{"all by himself", func(h *house, _ string) {
			if r := h.Want(200, bob, "DELETE", "/realms/main/users/me/sessions", nil); r.JSON["sessions"] != 1.0 {
				h.t.Errorf("%s", r.Body)
			}
		}},
		{"by an administrator", func(h *house, id string) { h.Want(204, h.root, "DELETE", "/realms/main/users/bob/sessions/"+id, nil) }},
		{"password changed", func(h *house, _ string) {
			h.Want(204, bob, "PUT", "/realms/main/users/me/password", map[string]any{"current": testadmin.Password, "new": "granite.Lantern.weasel.42"})
		}},
		{"password reset", func(h *house, _ string) {
			h.Want(200, h.root, "POST", "/realms/main/users/bob/password/reset-link", map[string]any{"end": true})
		}},
		{"panic", func(h *house, _ string) {
			if r := h.Want(200, h.root, "POST", "/realms/main/users/bob/panic", nil); r.JSON["sessions"] != 1.0 {
				h.t.Errorf("a panic counts %v sessions", r.JSON["sessions"])
			}
			h.Want(200, h.root, "PATCH", "/realms/main/users/bob", map[string]any{"disabled": false})
		}},
		{"cut-off of the user", func(h *house, _ string) {
			h.Want(201, h.root, "POST", "/realms/main/revocations", map[string]any{"kind": "subject", "id": h.id})
		}},
		{"cut-off of the session", func(h *house, id string) {
			h.Want(201, h.root, "POST", "/realms/main/revocations", map[string]any{"kind": "session", "id": id})
		}},
		{"cut-off of the realm", func(h *house, _ string) {
			h.Want(201, h.root, "POST", "/realms/main/revocations", map[string]any{"kind": "realm"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, s := h.SignIn(h.id, session.Browser{})
			h.accepted("before", text)
			c.end(h, s.ID)
			h.refused("after", text)
			cut := time.Now().UnixMilli() // a cut-off covers all of its millisecond
			testwait.Until(t, time.Second, "it is later", func() bool { return time.Now().UnixMilli() > cut })
			for _, shown := range h.sessions() {
				if shown["open"] != false || shown["end_reason"] == "" {
					t.Errorf("shown as %v", shown)
				}
			}
		})
	}
	t.Run("deleted", func(t *testing.T) {
		text, _ := h.SignIn(h.id, session.Browser{})
		h.accepted("before", text)
		h.Want(204, h.root, "DELETE", "/realms/main/users/bob", nil)
		h.refused("after", text)
	})
	t.Run("panic of the realm", func(t *testing.T) {
		h.id = h.Person(h.root, "main", "bob")
		text, _ := h.SignIn(h.id, session.Browser{})
		h.accepted("before", text)
		h.Want(200, h.root, "POST", "/realms/main/panic", map[string]any{"including_me": true})
		h.refused("after", text)
	})
}

// TestOthers: a person, or somebody who may, ends all sessions but one, and nobody else's.
//
// ASVS: 7.5.2
func TestOthers(t *testing.T) {
	h := newHouse(t)
	first, s := h.SignIn(h.id, session.Browser{})
	second, _ := h.SignIn(h.id, session.Browser{})
	eve := h.Person(h.root, "main", "eve")
	elses, of := h.SignIn(eve, session.Browser{})
	bob := "bob:" + testadmin.Password
	h.Want(403, bob, "GET", "/realms/main/users/eve/sessions", nil)
	h.Want(403, bob, "DELETE", "/realms/main/users/eve/sessions/"+of.ID, nil)
	h.Want(403, bob, "DELETE", "/realms/main/users/eve/sessions", nil)
	if r := h.Want(404, bob, "DELETE", "/realms/main/users/me/sessions/"+of.ID, nil); r.Str("code") != "session_not_found" {
		t.Errorf("%s", r.Body)
	}
	h.Want(404, h.root, "DELETE", "/realms/main/users/nobody/sessions", nil)
	h.Want(404, h.root, "GET", "/realms/main/users/nobody/sessions", nil)
	// A key that leaked may look, and end nothing.
	text, _ := h.Key(h.root, "main", "bob", "*")
	h.Want(200, text, "GET", "/realms/main/users/me/sessions", nil)
	h.Want(403, text, "DELETE", "/realms/main/users/me/sessions", nil)
	if r := h.Want(200, bob, "DELETE", "/realms/main/users/me/sessions?except="+s.ID, nil); r.JSON["sessions"] != 1.0 {
		t.Errorf("%s", r.Body)
	}
	h.accepted("the one that stays", first)
	h.refused("the other one", second)
	if _, err := h.Session(elses, ""); err != nil {
		t.Errorf("eve's: %v", err)
	}
}

// TestLimit: one session more than the realm allows ends the one that was opened, or used, first; also
// when many are opened at once.
//
// ASVS: 7.1.2
func TestLimit(t *testing.T) {
	h := newHouse(t)
	h.Want(200, h.root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"max_sessions": 2}})
	first, _ := h.SignIn(h.id, session.Browser{})
	second, _ := h.SignIn(h.id, session.Browser{})
	third, _ := h.SignIn(h.id, session.Browser{})
	h.refused("the first of three", first)
	h.accepted("the second", second)
	h.accepted("the third", third)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { h.SignIn(h.id, session.Browser{}) })
	}
	wg.Wait()
	open := 0
	for _, s := range h.sessions() {
		if s["open"] == true {
			open++
		} else if s["end_reason"] != "too_many_sessions" {
			t.Errorf("ended by %v", s["end_reason"])
		}
	}
	if open != 2 {
		t.Errorf("%d are open", open)
	}
}

// TestOpenIsForThoseWhoMay: whoever may not sign in any more gets no session, also when another node
// changed that a moment ago.
func TestOpenIsForThoseWhoMay(t *testing.T) {
	h := newHouse(t)
	var set time.Time
	for name, c := range map[string]func(p *gatehouse.Principal){
		"nobody":              func(p *gatehouse.Principal) { p.ID = "" },
		"no such account":     func(p *gatehouse.Principal) { p.ID = "usr_none" },
		"of another issuer":   func(p *gatehouse.Principal) { p.Foreign = true },
		"a service":           func(p *gatehouse.Principal) { p.Kind = gatehouse.KindService },
		"an earlier password": func(p *gatehouse.Principal) { p.Scheme, p.IssuedAt = gatehouse.SchemeBasic, set.Add(-time.Second) },
		"disabled": func(*gatehouse.Principal) {
			h.Want(200, h.root, "PATCH", "/realms/main/users/bob", map[string]any{"disabled": true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h = newHouse(t)
			u, err := h.DB.User(t.Context(), "main", h.id)
			if err != nil {
				t.Fatal(err)
			}
			set = u.PasswordAt
			p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: h.id, Scheme: gatehouse.SchemeBasic, IssuedAt: set}
			if _, _, err := h.Sessions.Open(t.Context(), p, session.Browser{}); err != nil {
				t.Fatalf("with all that it takes: %v", err)
			}
			c(p)
			if _, _, err := h.Sessions.Open(t.Context(), p, session.Browser{}); gatehouse.CodeOf(err) != "invalid_credentials" {
				t.Errorf("%v", err)
			}
		})
	}
}
