package authn

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

func list(n int, item string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

// TestMappedAttributes: what of a foreign claim a policy can see. What is not exact, too
// much or of another form is not taken at all: half a list would be another list.
func TestMappedAttributes(t *testing.T) {
	text := strings.Repeat("a", maxMappedText)
	for claim, want := range map[string]any{
		`"red"`: "red", `""`: "", `"` + text + `"`: text, `true`: true, `false`: false,
		`0`: int64(0), `-7`: int64(-7), `9007199254740993`: int64(9007199254740993), `9223372036854775807`: int64(9223372036854775807),
		`[]`: []any{}, `["a",1,true]`: []any{"a", int64(1), true},
		`["` + text + `"]`: []any{text},
	} {
		if got, ok := attribute(jsontext.Value(claim)); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%.40s: %v, %t", claim, got, ok)
		}
	}
	if got, ok := attribute(jsontext.Value(list(maxMapped, "1"))); !ok || len(got.([]any)) != maxMapped {
		t.Errorf("a list of %d: %t", maxMapped, ok)
	}
	for _, claim := range []string{`null`, `{}`, `{"a":1}`, `1.5`, `1e3`, `9223372036854775808`, `"` + text + `a"`, `["` + text + `a"]`,
		`[null]`, `["a",{}]`, `[["a"]]`, `["a",[]]`, `[1.5]`, list(maxMapped+1, "1"), ``} {
		if got, ok := attribute(jsontext.Value(claim)); ok {
			t.Errorf("%.40s: taken as %v", claim, got)
		}
	}
}

// TestMappedTexts: scopes and roles come as a text or as a list of texts, bounded.
func TestMappedTexts(t *testing.T) {
	long := strings.Repeat("a", maxMappedText)
	for _, tt := range []struct {
		claim string
		split bool
		want  []string
	}{
		{`"a b  c"`, true, []string{"a", "b", "c"}}, {`"a b"`, false, []string{"a b"}}, {`["a b","c"]`, true, []string{"a b", "c"}},
		{`""`, false, nil}, {`""`, true, nil}, {`["","a",""]`, false, []string{"a"}}, {`[]`, true, nil},
		{`7`, false, nil}, {`null`, false, nil}, {`{"a":"b"}`, false, nil}, {`["a",7]`, false, nil}, {``, false, nil},
		{`["` + long + `","` + long + `a"]`, false, []string{long}}, {`"` + long + `a"`, false, nil}, {`"` + long + ` ` + long + `a b"`, true, []string{long, "b"}},
	} {
		if got := texts(jsontext.Value(tt.claim), tt.split); !slices.Equal(got, tt.want) {
			t.Errorf("%.40s, split %t: %.80q", tt.claim, tt.split, got)
		}
	}
	for _, n := range []int{maxMapped, maxMapped + 1} {
		if got := texts(jsontext.Value(list(n, `"a"`)), false); len(got) != maxMapped {
			t.Errorf("%d of %d texts", len(got), n)
		}
	}
}

// TestForeignScopes: a scope is of the characters of RFC 6749 §3.3, and never "everything".
func TestForeignScopes(t *testing.T) {
	for scope, want := range map[string]bool{"read": true, "!": true, "~": true, "a:b/c": true, "#": true, "[": true, "]": true,
		"": false, " ": false, "a b": false, "a\"": false, `a\`: false, "\x7f": false, "é": false, "\t": false} {
		if validScope(scope) != want {
			t.Errorf("%q: %t", scope, !want)
		}
	}
	f := &gatehouse.TrustedIssuer{Issuer: "https://idp.test", RolesClaim: "roles", RoleMap: map[string]string{"boss": "manager", "chief": "manager", "dev": "developer"},
		NameClaim: "name", AttributeClaims: map[string]string{"team": "t"}}
	of := func(raw string) *gatehouse.Principal {
		return foreignPrincipal("main", f, &token.Claims{Issuer: "https://idp.test", Subject: "x", GrantID: "grt_1", SessionID: "ses_1", Scope: "own", Raw: jsontext.Value(raw)})
	}
	p := of(`{"scope":["read","*","write","read","a b"],"scp":"other","roles":["boss","chief","nobody","dev"],"name":["A","B"],"t":{}}`)
	if !slices.Equal(p.Scopes, []string{"read", "write"}) || !slices.Equal(p.Roles, []string{"manager", "developer"}) || p.Name != "" || p.Attributes != nil {
		t.Errorf("%+v", p)
	}
	if p.GrantID != "" || p.SessionID != "" || p.CredentialID != "" || !p.Foreign { // those are ours to give
		t.Errorf("%+v", p)
	}
	f.ScopeClaim, f.RolesClaim = "scp", ""
	p = of(`{"scope":"read","scp":"other","":"boss","name":["A"],"t":7}`)
	if !slices.Equal(p.Scopes, []string{"other"}) || p.Roles != nil || p.Name != "A" || p.Attributes["team"] != int64(7) {
		t.Errorf("%+v", p)
	}
}

// TestForeignIssuersApart: which tokens of a foreign issuer count is what its entry says,
// and an entry that cannot be used takes nothing down but itself.
func TestForeignIssuersApart(t *testing.T) {
	w := newWorld(t)
	var unreachable error
	cfg := w.config()
	source := cfg.ForeignKeys
	cfg.ForeignKeys = func(realm string, f gatehouse.TrustedIssuer) (token.KeySource, error) {
		if unreachable != nil {
			return nil, unreachable
		}
		return source(realm, f)
	}
	var err error
	if w.a, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	trust := func(f gatehouse.TrustedIssuer) {
		f.Issuer = "https://idp.test"
		w.realms["main"] = gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{TrustedIssuers: []gatehouse.TrustedIssuer{f}}}
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "main"})
	}
	sign := func(k *token.Key, typ, claims string) Presented {
		text, err := k.Sign(typ, fmt.Appendf(nil, `{"iat":%d,"exp":%d,%s}`, w.now.Unix(), w.now.Add(time.Minute).Unix(), claims))
		if err != nil {
			t.Fatal(err)
		}
		return Presented{Scheme: gatehouse.SchemeJWT, Secret: gatehouse.Secret(text)}
	}
	const theirs = `"iss":"https://idp.test","sub":"x","aud":"api"`
	es := []string{"ES256"}
	trust(gatehouse.TrustedIssuer{Audience: "api", Algorithms: es})
	for _, typ := range []string{"JWT", "at+jwt", ""} {
		w.check(t, sign(w.foreign, typ, theirs), secure, "", "")
	}
	// Who is right about the key is not asked where the issuer is none.
	w.check(t, sign(w.foreign, "at+jwt", strings.Replace(theirs, "idp", "evil", 1)), secure, "invalid_token", "token_wrong_issuer")
	w.check(t, Presented{Scheme: gatehouse.SchemeJWT, Secret: "eyJhbGciOiJFUzI1NiJ9.e30.x"}, secure, "invalid_token", "token_claim_missing")

	trust(gatehouse.TrustedIssuer{Audience: "api", Algorithms: es, Type: "JWT"})
	w.check(t, sign(w.foreign, "JWT", theirs), secure, "", "")
	w.check(t, sign(w.foreign, "at+jwt", theirs), secure, "invalid_token", "token_wrong_type")

	trust(gatehouse.TrustedIssuer{Audiences: []string{"web", "api"}, Algorithms: es, RequiredClaims: []string{"jti"}})
	w.check(t, sign(w.foreign, "JWT", theirs), secure, "invalid_token", "token_claim_missing")
	w.check(t, sign(w.foreign, "JWT", theirs+`,"jti":"1"`), secure, "", "")

	for _, algorithms := range [][]string{{"ES256", "HS256"}, {"none"}, {"es256"}, {"ES256", ""}, nil} {
		trust(gatehouse.TrustedIssuer{Audience: "api", Algorithms: algorithms})
		w.check(t, sign(w.foreign, "JWT", theirs), secure, "authentication_unavailable", "authentication_unavailable")
		w.check(t, w.access(nil), secure, "", "")
	}
	unreachable = errors.New("no CA file")
	trust(gatehouse.TrustedIssuer{Audience: "api", Algorithms: es})
	w.check(t, sign(w.foreign, "JWT", theirs), secure, "authentication_unavailable", "authentication_unavailable")
	w.check(t, w.access(nil), secure, "", "")

	// With one issuer there is nothing to choose, and the reason is as good.
	w.realms["main"] = gatehouse.Realm{Name: "main"}
	w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "main"})
	w.check(t, sign(w.foreign, "at+jwt", theirs), secure, "invalid_token", "token_wrong_issuer")
	w.check(t, sign(w.foreign, "at+jwt", strings.Replace(theirs, "https://idp.test", issuerURL, 1)), secure, "invalid_token", "token_key_unknown")
	w.check(t, Presented{Scheme: gatehouse.SchemeJWT, Secret: "eyJhbGciOiJFUzI1NiJ9.e30.x"}, secure, "invalid_token", "token_wrong_type") // it names no issuer that could be wrong
}
