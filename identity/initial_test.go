package identity

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// TestInitialPassword: a password that somebody else has made opens nothing, whatever is proved beside it, is no new password, and is as
// wrong as any other after its time, also where it was right a moment ago.
//
// ASVS: 6.4.1
func TestInitialPassword(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Policy = credential.NewPasswordPolicy() })
	own := h.users["alice"]
	u := own
	u.PasswordAt = h.clock.now
	u.InitialAt = u.PasswordAt
	h.users["alice"] = u
	realm := gatehouse.Realm{Name: "main"}

	got, err := h.try("alice", alicePassword, addr(1))
	if err != nil || !got.Initial() || !got.InitialUntil().Equal(u.PasswordAt.Add(InitialFor)) {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, amr := range [][]string{{"pwd"}, {"pwd", "otp", gatehouse.AMRMultiFactor}} {
		p := &gatehouse.Principal{Scheme: gatehouse.SchemeBasic, AMR: amr}
		if err := u.Owes(p, gatehouse.RealmSettings{}); gatehouse.CodeOf(err) != gatehouse.ErrInitialPassword.Code {
			t.Errorf("by %v: %v", amr, err)
		}
		if err := own.Owes(p, gatehouse.RealmSettings{}); err != nil {
			t.Errorf("the own one, by %v: %v", amr, err)
		}
	}
	if err := u.Owes(&gatehouse.Principal{Scheme: gatehouse.SchemeSession, AMR: []string{"hwk"}}, gatehouse.RealmSettings{}); err != nil {
		t.Errorf("by a passkey: %v", err)
	}
	if _, err := h.NewPasswordHash(t.Context(), realm, u, alicePassword); len(ProblemsOf(err)) != 1 || ProblemsOf(err)[0] != credential.PasswordInitial {
		t.Errorf("the same again: %v", err)
	}
	for _, new := range []User{u, own} {
		if _, err := h.NewPasswordHash(t.Context(), realm, new, "nine herons by an empty mill"); err != nil {
			t.Errorf("another one: %v", err)
		}
	}

	h.clock.advance(InitialFor - time.Second)
	if _, err := h.try("alice", alicePassword, addr(1)); err != nil {
		t.Errorf("a moment before its end: %v", err)
	}
	h.clock.advance(time.Second) // remembered as right
	before := h.hasher.Stats().Evaluations
	if _, err := h.try("alice", alicePassword, addr(1)); err != error(credential.ErrInvalidCredentials) || h.last().Reason != ReasonInitialOver {
		t.Errorf("over: %v, %+v", err, h.last())
	}
	if n := h.hasher.Stats().Evaluations - before; n != 1 {
		t.Errorf("over: %d evaluations", n)
	}
}
