package authn

import (
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestKinds says every column of every row once more, so that a change of one
// is a decision; and that nothing is lost on a scheme that has no row.
func TestKinds(t *testing.T) {
	type columns struct {
		challenge                 string
		by                        Carrier
		needsTLS, login, fromALog bool
		record                    Record
	}
	want := map[gatehouse.Scheme]columns{
		gatehouse.SchemeJWT:    {"Bearer", ByBearer | ByDPoP | BySubprotocol, false, false, true, RecordGrant},
		gatehouse.SchemeOpaque: {"Bearer", ByBearer | ByDPoP | BySubprotocol, false, false, true, RecordGrant},
		gatehouse.SchemeAPIKey: {"Bearer", ByBearer | ByBasic | ByKeyScheme | ByKeyField | BySubprotocol, false, false, false, RecordKey},
		gatehouse.SchemeBasic:  {"Basic", ByBasic, true, true, true, RecordNone},
		// Not a login: presenting it proves nothing about a password.
		gatehouse.SchemeSession: {"Cookie", ByCookie, true, false, true, RecordSession},
	}
	of := func(k Kind) columns {
		return columns{k.Challenge, k.By, k.NeedsTLS, k.Login, k.FromLogin(), k.Record}
	}
	all := Schemes(nil)
	if len(all) != len(want) {
		t.Errorf("%d rows, %d expected", len(all), len(want))
	}
	for s, w := range want {
		k, known := KindOf(s)
		if !known || k.verify == nil || k.Scheme != s || of(k) != w {
			t.Errorf("%s: %+v, want %+v", s, of(k), w)
		}
		if k.Named != (s == gatehouse.SchemeSession) || k.accepted(nil) == k.Named || !k.accepted([]gatehouse.Scheme{"x", s}) || k.accepted([]gatehouse.Scheme{"x"}) {
			t.Errorf("%s is accepted where it is not named: %t", s, k.accepted(nil))
		}
		if !slices.Contains(all, s) {
			t.Errorf("%s is not listed", s)
		}
	}
	for _, s := range []gatehouse.Scheme{"", "cookie", "Basic", "jwt "} {
		if k, known := KindOf(s); known || k.By != 0 || !k.NeedsTLS || k.FromLogin() || k.Record != RecordNone {
			t.Errorf("%q: %+v", s, k)
		}
		if p := (Presented{Scheme: s}); p.Ambient() == p.None() {
			t.Errorf("%q: a credential from nobody knows where counts as meant by the user", s)
		}
		if new(Authenticator).Supports(s) {
			t.Errorf("%q is supported", s)
		}
	}
	for c, want := range map[Carrier]bool{ByBearer: false, ByBasic: true, ByKeyScheme: false, ByKeyField: false, BySubprotocol: false, ByCookie: true, ByDPoP: false} {
		if got := (Presented{Scheme: gatehouse.SchemeAPIKey, By: c}).Ambient(); got != want {
			t.Errorf("carrier %d: added unasked: %t", c, got)
		}
	}
	if got := Schemes(func(k Kind) bool { return k.Login }); !slices.Equal(got, []gatehouse.Scheme{gatehouse.SchemeBasic}) {
		t.Errorf("logins: %v", got)
	}
}
