package identity

import (
	"context"
	"errors"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// leaked is a list of one password, or one that cannot be read.
type leaked struct {
	password gatehouse.Secret
	err      error
}

func (l leaked) Known(_ context.Context, p gatehouse.Secret) (bool, error) {
	return l.err == nil && p == l.password, l.err
}

// TestBreachedPassword: a password that is known from a breach cannot be set, and logs in
// all the same, which is recorded.
//
// ASVS: 6.2.12
func TestBreachedPassword(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.CacheTTL, c.Policy = -1, credential.NewPasswordPolicy() })
	realm := gatehouse.Realm{Name: "main"}
	set := func() string {
		_, err := h.NewPasswordHash(t.Context(), realm, h.users["alice"], alicePassword)
		if err == nil {
			return ""
		}
		return gatehouse.CodeOf(err)
	}
	login := func() string {
		t.Helper()
		if _, err := h.VerifyPassword(t.Context(), Attempt{Realm: "main", Username: "alice", Password: alicePassword, Address: "192.0.2.1"}); err != nil {
			t.Fatal(err)
		}
		return h.last().Reason
	}
	for _, tc := range []struct {
		name                    string
		list                    BreachedList
		set, login              string
		refused, breachedLogins int64
	}{
		{"no list", nil, "", "", 0, 0},
		{"another password", leaked{password: "velvet otter canyon 48"}, "", "", 0, 0},
		{"this one", leaked{password: alicePassword}, "password_refused", "password_breached", 1, 1},
		{"a list that cannot be read", leaked{password: alicePassword, err: errors.New("disk")}, "breached_list_unreadable", "", 1, 1},
		{"no list any more", nil, "", "", 1, 1},
	} {
		h.UseBreached(tc.list)
		if got := set(); got != tc.set {
			t.Errorf("%s: set: %q, want %q", tc.name, got, tc.set)
		}
		if got := login(); got != tc.login {
			t.Errorf("%s: login: %q, want %q", tc.name, got, tc.login)
		}
		if st := h.Stats(); st.BreachedNew != tc.refused || st.BreachedLogins != tc.breachedLogins {
			t.Errorf("%s: %+v", tc.name, st)
		}
	}
	// What a rule refuses already is not looked up.
	h.UseBreached(leaked{err: errors.New("asked")})
	if _, err := h.NewPasswordHash(t.Context(), realm, h.users["alice"], "short"); gatehouse.CodeOf(err) != "password_refused" {
		t.Errorf("a short one: %v", err)
	}
}
