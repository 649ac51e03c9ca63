package session_test

import (
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/identity"
	mails "github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/session"
)

// TestNotices: a person hears of a sign-in in a browser that the account does not know, and of one after many wrong passwords, the
// latter once a day: at the address that the person was shown to read, and not of the first browser of all. What is told, the event
// of the session says.
//
// ASVS: 6.3.5
func TestNotices(t *testing.T) {
	h := newHouse(t)
	h.MailSet.Store(&mails.Settings{Outbox: t.TempDir(), From: mail.Address{Address: "id@example.com"}, Language: "en", Bounds: mails.Bounds{PerAddress: 20, PerRealm: 100}})
	h.Want(200, h.root, "PATCH", "/realms/main/users/bob", map[string]any{"email": "bob@example.com", "email_verified": true})
	told := func() (kinds []string) {
		t.Helper()
		for _, m := range h.Want(200, h.root, "GET", "/mails?limit=100", nil).JSON["items"].([]any) {
			if kind := m.(map[string]any)["message"].(string); kind == "new_browser" || kind == "guessed_signin" {
				kinds = append(kinds, kind)
			}
		}
		slices.Sort(kinds)
		return kinds
	}
	step := func(what string, odd identity.Odd, want ...string) {
		t.Helper()
		h.SignIn(h.id, session.Browser{Device: "a-device", Name: "Firefox, Linux", Odd: odd})
		if got := told(); !slices.Equal(got, want) {
			t.Errorf("%s: told of %q, want %q", what, got, want)
		}
	}
	unknown, guessed := identity.Odd{Unknown: true}, identity.Odd{Guessed: true}
	step("the first browser", unknown)
	step("a known one", identity.Odd{})
	step("another one", unknown, "new_browser")
	step("and another one", identity.Odd{Unknown: true, Guessed: true}, "new_browser", "new_browser")
	step("guessed at", guessed, "guessed_signin", "new_browser", "new_browser")
	step("still guessed at", guessed, "guessed_signin", "new_browser", "new_browser")
	h.Want(200, h.root, "PATCH", "/realms/main/users/bob", map[string]any{"email_verified": false})
	step("nobody was shown to read the address", unknown, "guessed_signin", "new_browser", "new_browser")
	if err := h.Sequencer.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	var odd []string
	for _, e := range h.Want(200, h.root, "GET", "/realms/main/audit/events?limit=200&kind=session.open", nil).JSON["items"].([]any) {
		if why, ok := e.(map[string]any)["detail"].(map[string]any)["odd"].(string); ok {
			odd = append(odd, why)
		}
	}
	slices.Sort(odd)
	if want := "guessed guessed new_browser new_browser new_browser"; strings.Join(odd, " ") != want {
		t.Errorf("recorded as %q, want %q", odd, want)
	}

	// An account that was guessed at hears of its first browser, too.
	carl := h.Person(h.root, "main", "carl")
	h.Want(200, h.root, "PATCH", "/realms/main/users/carl", map[string]any{"email": "carl@example.com", "email_verified": true})
	h.SignIn(carl, session.Browser{Odd: identity.Odd{Unknown: true, Guessed: true}})
	if got := told(); !slices.Equal(got, []string{"guessed_signin", "guessed_signin", "new_browser", "new_browser"}) {
		t.Errorf("the first browser of an account that is guessed at: %q", got)
	}
}

// TestDisown: who says that a session is somebody else's ends it and has no browser be known to the account; what is over, or
// another's, stays as it is.
func TestDisown(t *testing.T) {
	h := newHouse(t)
	carl := h.Person(h.root, "main", "carl")
	own, _ := h.SignIn(h.id, session.Browser{})
	text, s := h.SignIn(h.id, session.Browser{})
	_, foreign := h.SignIn(carl, session.Browser{})
	since := func() int64 {
		t.Helper()
		u, err := h.DB.User(t.Context(), "main", h.id)
		if err != nil {
			t.Fatal(err)
		}
		return u.DevicesSince.UnixMicro()
	}
	first := since()
	if err := h.Sessions.Disown(t.Context(), "main", h.id, s.ID); err != nil {
		t.Fatal(err)
	}
	h.refused("disowned", text)
	h.accepted("one's own", own)
	second := since()
	if second <= first {
		t.Error("browsers of before are known")
	}
	for _, id := range []string{s.ID, foreign.ID, "ses_none", ""} { // it is over; the others are not there
		if err := h.Sessions.Disown(t.Context(), "main", h.id, id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	if since() <= second {
		t.Error("a no about what is over changes nothing")
	}
	if got := h.Want(200, h.root, "GET", "/realms/main/users/carl/sessions", nil).JSON["items"].([]any); got[0].(map[string]any)["open"] != true {
		t.Error("somebody else's session was ended")
	}
	want := []string{s.ID, s.ID, h.id, h.id, h.id}
	slices.Sort(want)
	if got := h.Events(h.root, "session.disown"); !slices.Equal(got, want) {
		t.Errorf("recorded of %q, want %q", got, want)
	}
	if err := h.Sessions.Disown(t.Context(), "main", "usr_nobody", s.ID); err == nil {
		t.Error("nobody's session was disowned")
	}
}
