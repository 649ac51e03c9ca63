package authn

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestBoundTokens: what a token is bound to decides how it is to be presented, and what is not understood binds it to
// what nobody can prove.
func TestBoundTokens(t *testing.T) {
	print := strings.Repeat("A", 43)
	key, other := gatehouse.Confirmation{JKT: print}, gatehouse.Confirmation{Other: true}
	for cnf, want := range map[string]gatehouse.Confirmation{
		"": {}, `{"jkt":"` + print + `"}`: key, `{"x5t#S256":"` + print + `"}`: {X5T: print}, `{"jkt":"` + print + `","x5t#S256":"` + print + `"}`: {JKT: print, X5T: print},
		`{"jkt":"` + print + `","kid":"7"}`: key, `{"kid":"7"}`: other, `{"jwk":{"kty":"EC"}}`: other, `{}`: other, `null`: other, `[]`: other, `"jkt"`: other, `{"jkt":7}`: other,
		`{"JKT":"` + print + `"}`: other, `{"jkt":""}`: {Other: true}, `{"jkt":"short"}`: {JKT: "short", Other: true},
	} {
		raw := jsontext.Value(cnf)
		if cnf == "" {
			raw = nil
		}
		if p := FromClaims("main", &token.Claims{Subject: "s", Confirmation: raw}); p.Confirmation != want || p.Confirmation.Bound() != (cnf != "") {
			t.Errorf("%s: %+v", cnf, p.Confirmation)
		}
	}
	proves, tells := Rule{Proves: true}, Rule{Tells: true}
	certificate, both := gatehouse.Confirmation{X5T: print}, gatehouse.Confirmation{JKT: print, X5T: print}
	for _, c := range []struct {
		by   Carrier
		to   gatehouse.Confirmation
		rule Rule
		code string
	}{
		{ByBearer, gatehouse.Confirmation{}, Rule{}, ""},
		{ByBearer, gatehouse.Confirmation{}, proves, ""},
		{ByDPoP, gatehouse.Confirmation{}, proves, "token_not_bound"},
		{ByDPoP, key, proves, ""},
		{ByDPoP, key, Rule{}, "token_needs_proof"},
		{ByBearer, key, proves, "token_needs_proof"},
		{BySubprotocol, key, proves, "token_needs_proof"},
		{ByQuery, key, proves, "token_needs_proof"},
		{ByBearer, key, tells, ""},
		{ByBearer, certificate, proves, ""},
		{BySubprotocol, certificate, proves, ""},
		{ByBearer, certificate, Rule{}, "token_bound_otherwise"},
		{ByBearer, certificate, tells, ""},
		{ByDPoP, certificate, proves, "token_not_bound"},
		{ByDPoP, both, proves, "token_bound_otherwise"},
		{ByBearer, other, proves, "token_bound_otherwise"},
	} {
		if code := gatehouse.CodeOf(Fits(Presented{By: c.by}, c.to, c.rule)); code != c.code && (c.code != "" || code != "internal") {
			t.Errorf("%+v: %q", c, code)
		}
	}
	rd, err := NewReader(ReaderConfig{KeyScheme: "dpop"})
	if err == nil {
		t.Errorf("a route reads keys after DPoP: %+v", rd)
	}
}
