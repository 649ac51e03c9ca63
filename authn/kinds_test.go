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
		challenge                          string
		ambient, needsTLS, login, fromALog bool
		record                             Record
	}
	want := map[gatehouse.Scheme]columns{
		gatehouse.SchemeJWT:    {"Bearer", false, false, false, true, RecordGrant},
		gatehouse.SchemeOpaque: {"Bearer", false, false, false, true, RecordGrant},
		gatehouse.SchemeAPIKey: {"Bearer", false, false, false, false, RecordKey},
		gatehouse.SchemeBasic:  {"Basic", true, true, true, true, RecordNone},
	}
	of := func(k Kind) columns {
		return columns{k.Challenge, k.Ambient, k.NeedsTLS, k.Login, k.FromLogin(), k.Record}
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
		if !slices.Contains(all, s) {
			t.Errorf("%s is not listed", s)
		}
	}
	for _, s := range []gatehouse.Scheme{"", "session", "Basic", "jwt "} {
		if k, known := KindOf(s); known || !k.Ambient || !k.NeedsTLS || k.FromLogin() || k.Record != RecordNone {
			t.Errorf("%q: %+v", s, k)
		}
		if new(Authenticator).Supports(s) {
			t.Errorf("%q is supported", s)
		}
	}
	if got := Schemes(func(k Kind) bool { return k.Login }); !slices.Equal(got, []gatehouse.Scheme{gatehouse.SchemeBasic}) {
		t.Errorf("logins: %v", got)
	}
}
