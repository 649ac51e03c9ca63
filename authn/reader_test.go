package authn

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

func tokenOf(issuer string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"ES256"}`)) + "." + part([]byte(`{"iss":"`+issuer+`"}`)) + "." + part([]byte("signature"))
}

// TestReaderURL: a route's option lets through just the names it is about, and
// nothing of ours under any name, on any route.
func TestReaderURL(t *testing.T) {
	key, _, _ := credential.MintKey("ghk", "live")
	theirs, ours := tokenOf("https://other.example"), tokenOf("https://auth.example")
	// No JWT is shorter: an object with an empty "alg", one without claims, one character.
	const shortest = "eyJhbGciOiIifQ.e30.x"
	known := func(text string) bool { return text == ours || text == shortest }
	reader := func(cfg ReaderConfig) *Reader {
		cfg.Ours = known
		rd, err := NewReader(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return rd
	}
	plain, named, anonymous := reader(ReaderConfig{}), reader(ReaderConfig{QueryNames: []string{"Token"}}), reader(ReaderConfig{AnyQueryName: true})
	for target, refused := range map[string][3]bool{ // plain, named, anonymous
		"/?token=abc":                            {true, false, false},
		"/?TOKEN=abc":                            {true, false, false},
		"/?access_token=abc":                     {true, true, false},
		"/?token=" + theirs:                      {true, false, false},
		"/?x=" + theirs:                          {true, true, false},
		"/?token=" + ours:                        {true, true, true},
		"/?x=" + ours:                            {true, true, true},
		"/?token=" + key.Reveal():                {true, true, true},
		"/?" + theirs + "=1":                     {true, true, true},
		"/" + theirs:                             {true, true, true},
		"/" + key.Reveal():                       {true, true, true},
		"/?x=1&y=2;token=" + theirs:              {true, false, false},
		"/?token=Bearer%20" + theirs:             {true, false, false},
		"/?token=Bearer%20" + ours:               {true, true, true},
		"/?token=Token%20" + ours:                {true, true, true}, // after any word, it is as exposed
		"/?q=see%20" + key.Reveal() + "%20there": {true, true, true},
		"/?token=" + theirs + "%20" + ours:       {true, true, true},
		"/?=" + key.Reveal():                     {true, true, true}, // a name of no letters is a name
		"/?=" + theirs:                           {true, true, false},
		"/see%20" + ours:                         {true, true, true},
		"/?&token=abc":                           {true, false, false}, // after an empty pair
		"/?;token=abc":                           {true, false, false},
		"/?q=" + shortest:                        {true, true, true},
		"/?q=" + shortest[:len(shortest)-2]:      {false, false, false}, // two parts are no token
		"/?host=api.internal-example.test":       {false, false, false}, // three parts, and no token
		"/?cursor=eyJpZCI6MTIzNDU2Nzg5MDEyfQ":    {false, false, false}, // base64 of JSON, and no token
		"/?q=plain":                              {false, false, false},
	} {
		for i, rd := range []*Reader{plain, named, anonymous} {
			_, err := rd.Read(httptest.NewRequest("GET", target, nil), true)
			if got := gatehouse.CodeOf(err) == errInURL.Code; got != refused[i] {
				t.Errorf("%s, reader %d: refused %t, want %t", target, i, got, refused[i])
			}
		}
	}
}

// TestForeignLines: of the lines that a route does not read, none with a credential
// of ours reaches the API, wherever in the line it stands.
func TestForeignLines(t *testing.T) {
	minted, _, _ := credential.MintKey("ghk", "live")
	key, ours := minted.Reveal(), tokenOf("https://auth.example")
	const allSigns = "eyJhbGciOiIifQ.09azAZ-_.az09AZ_-" // the first and the last of each run of characters
	rd, err := NewReader(ReaderConfig{Fields: []string{NoCarrier}, Ours: func(text string) bool { return text == ours || text == allSigns }})
	if err != nil {
		t.Fatal(err)
	}
	for line, passes := range map[string]bool{
		"Bearer abc": true, "Basic YTpi": true, "Bearer " + tokenOf("https://other.example"): true, "Token token=abc": true,
		"Bearer " + key: false, key: false, "Token token=" + key: false, `Token token="` + key + `", nonce="x"`: false,
		"Bearer " + ours: false, "Key x;k=" + ours: false, "Key x;k=" + allSigns + ";": false, "Key\t" + allSigns: false,
		"Basic\t" + base64.StdEncoding.EncodeToString([]byte("u:"+key)): false, `Key "` + base64.StdEncoding.EncodeToString([]byte("u:"+ours)) + `",x`: false, "Digest a='" + key + "'": false,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+key)): false, "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":")): false,
	} {
		if got := rd.Foreign(map[string][]string{FieldAuthorization: {line}}); (len(got) == 1) != passes {
			t.Errorf("%.40s: %v, want it to pass: %t", line, got, passes)
		}
	}
	if got := rd.Foreign(map[string][]string{FieldAuthorization: {"Bearer abc", "Bearer " + key}}); len(got) != 0 {
		t.Errorf("the second of two lines was not looked at: %v", got)
	}
}

// TestRecognizes: a token of any realm, or of an issuer that any realm trusts, is
// ours, and a change of realms counts at once. Without a list, every token is.
func TestRecognizes(t *testing.T) {
	realms := []gatehouse.Realm{{Name: "main"}, {Name: "shop", Settings: gatehouse.RealmSettings{
		TrustedIssuers: []gatehouse.TrustedIssuer{{Issuer: "https://idp.example"}}}}}
	var fail error
	a := &Authenticator{cfg: Config{Issuer: func(realm string) string { return "https://auth.example/realms/" + realm },
		Realms: func(context.Context) ([]gatehouse.Realm, error) { return realms, fail }}, trusts: newRecords[*trust](8, 0, nil)}
	ask := func(issuer string, want bool) {
		t.Helper()
		if got := a.Recognizes(t.Context(), tokenOf(issuer)); got != want {
			t.Errorf("%s: %t", issuer, got)
		}
	}
	fail = errors.New("down")
	ask("https://other.example", true)
	fail = nil
	ask("https://auth.example/realms/main", true)
	ask("https://auth.example/realms/shop", true)
	ask("https://idp.example", true)
	ask("https://other.example", false)
	realms = append(realms, gatehouse.Realm{Name: "new"})
	a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, ID: "new"})
	ask("https://auth.example/realms/new", true)
	a.cfg.Realms = nil
	a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, ID: "new"})
	ask("https://other.example", true)
}

// TestNewReader: where a route may have its credentials, and the names that are refused
// because two programs could read them differently or they mean something already.
func TestNewReader(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	fields := func(names ...string) ReaderConfig { return ReaderConfig{Fields: names} }
	for name, cfg := range map[string]ReaderConfig{
		"nothing said":                {},
		"no carrier":                  fields("none"),
		"Authorization alone":         fields("Authorization"),
		"in other letters":            fields("x-api-key"),
		"one of its own":              fields("X-Service-Key"),
		"first and last of each run":  fields("Aa-Zz-09-Az"),
		"one letter":                  fields("K"),
		"a query name":                {QueryNames: []string{"token", "auth"}},
		"a scheme":                    {KeyScheme: "ApiKey"},
		"the longest scheme":          {KeyScheme: long(32)},
		"as user":                     {KeyAsUser: true},
		"scheme and as user":          {KeyScheme: "Token", KeyAsUser: true, Fields: []string{"Authorization", "X-Key"}},
		"a scheme that begins alike":  {KeyScheme: "Bearers"},
		"a subprotocol":               {Subprotocol: "a.b"},
		"the longest subprotocol":     {Subprotocol: long(64)},
		"a ticket":                    {Ticket: "ticket", QueryNames: []string{"token"}},
		"a ticket of all that may be": {Ticket: "az_AZ-09"},
		"the longest ticket":          {Ticket: long(32)},
	} {
		if _, err := NewReader(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, cfg := range map[string]ReaderConfig{
		"none beside another":              fields("none", "X-Key"),
		"twice":                            fields("X-Key", "x-kEY"),
		"Authorization twice":              fields("authorization", "Authorization"),
		"no name":                          fields(""),
		"an underscore":                    fields("X_Key"),
		"a colon":                          fields("X:Key"),
		"a blank":                          fields("X Key"),
		"before the digits":                fields("X/"),
		"after the digits":                 fields("X;"),
		"before the capitals":              fields("X@"),
		"after the capitals":               fields("X["),
		"before the small letters":         fields("X`"),
		"after the small letters":          fields("X{"),
		"a line that means something":      fields("Cookie"),
		"a family that means something":    fields("x-forwarded-user"),
		"one of ours":                      fields("X-Gatehouse-Key"),
		"one of content":                   fields("Content-Type"),
		"a query without a name":           {QueryNames: []string{"token", ""}},
		"a scheme, and no Authorization":   {KeyScheme: "ApiKey", Fields: []string{"X-Key"}},
		"as user, and no Authorization":    {KeyAsUser: true, Fields: []string{"X-Key"}},
		"a scheme that has a meaning":      {KeyScheme: "bearer"},
		"another that has one":             {KeyScheme: "BASIC"},
		"a scheme too long":                {KeyScheme: long(33)},
		"a scheme of two words":            {KeyScheme: "Api Key"},
		"a subprotocol too long":           {Subprotocol: long(65)},
		"a subprotocol with a comma":       {Subprotocol: "a,b"},
		"a ticket too long":                {Ticket: long(33)},
		"a ticket with a sign":             {Ticket: "tick.et"},
		"a ticket whose name is the API's": {Ticket: "Ticket", QueryNames: []string{"tICKET"}},
	} {
		if rd, err := NewReader(cfg); err == nil || rd != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	own := func(want bool, names ...string) {
		t.Helper()
		rd, err := NewReader(fields(names...))
		if err != nil || rd.OwnFields() != want {
			t.Errorf("%v: a field of its own: %t, %v", names, !want, err)
		}
	}
	own(false)
	own(false, "none")
	own(false, "x-api-key")
	own(true, "Authorization", "X-Service-Key")
	if (*Reader)(nil).OwnFields() || !slices.Equal((*Reader)(nil).Fields(), []string{"Authorization", "X-Api-Key"}) {
		t.Error("no reader does not read what is read where nothing is said")
	}
}

// TestCarriers: a credential is read where the route reads it, as the kind that may stand
// there, and one that stands elsewhere is not taken for the route's.
func TestCarriers(t *testing.T) {
	key, access, refresh := mint("ghk"), mint("ght"), mint("ghr")
	pair := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	yes := func() bool { return true }
	plain, imported := ReaderConfig{}, ReaderConfig{Imported: yes}
	asUser, asUserImported := ReaderConfig{KeyAsUser: true}, ReaderConfig{KeyAsUser: true, Imported: yes}
	scheme, own := ReaderConfig{KeyScheme: "ApiKey"}, ReaderConfig{Fields: []string{"X-Service-Key"}}
	for _, tt := range []struct {
		name         string
		cfg          ReaderConfig
		field, value string
		scheme       gatehouse.Scheme
		by           Carrier
		code         string
	}{
		{"key as user", asUser, "Authorization", pair(key, ""), "api_key", ByBasic, ""},
		{"key as user, where it is none", plain, "Authorization", pair(key, ""), "api_key", ByBasic, "scheme_not_accepted"},
		{"key as user, with a password", asUser, "Authorization", pair(key, "x"), "api_key", ByBasic, "credentials_conflict"},
		{"key as user, with a password, where it is none", plain, "Authorization", pair(key, "x"), "api_key", ByBasic, "scheme_not_accepted"},
		{"mistyped key as user", asUser, "Authorization", pair(flip(key), ""), "api_key", ByBasic, "key_checksum"},
		{"mistyped key as user, where imported ones may be", asUserImported, "Authorization", pair(flip(key), ""), "api_key", ByBasic, "key_checksum"},
		{"token as user", asUser, "Authorization", pair(access, ""), "opaque", ByBasic, "scheme_not_accepted"},
		{"refresh token as user", asUser, "Authorization", pair(refresh, ""), "", 0, "refresh_token_presented"},
		{"imported key as user", asUserImported, "Authorization", pair(importedText, ""), "api_key", ByBasic, ""},
		{"imported key as user, with a password", asUserImported, "Authorization", pair(importedText, "x"), "basic", ByBasic, ""},
		{"imported key as user, where there are none", asUser, "Authorization", pair(importedText, ""), "basic", ByBasic, ""},
		{"imported key as user, where it is none", imported, "Authorization", pair(importedText, ""), "basic", ByBasic, ""},
		{"user without a password", asUserImported, "Authorization", pair("alice", ""), "basic", ByBasic, ""},
		{"password", asUser, "Authorization", pair("alice", "x"), "basic", ByBasic, ""},
		{"scheme of the route", scheme, "Authorization", "ApiKey " + key, "api_key", ByKeyScheme, ""},
		{"scheme in other letters", scheme, "Authorization", "apikey " + key, "api_key", ByKeyScheme, ""},
		{"scheme with a token", scheme, "Authorization", "ApiKey " + access, "api_key", ByKeyScheme, "key_malformed"},
		{"scheme with a JWT", scheme, "Authorization", "ApiKey " + sampleJWT, "api_key", ByKeyScheme, "key_malformed"},
		{"scheme of no route", plain, "Authorization", "ApiKey " + key, "", 0, "scheme_unsupported"},
		{"Bearer beside the scheme", scheme, "Authorization", "Bearer " + access, "opaque", ByBearer, ""},
		{"field of the route", own, "X-Service-Key", key, "api_key", ByKeyField, ""},
		{"field of the route, mistyped", own, "X-Service-Key", flip(key), "api_key", ByKeyField, "key_checksum"},
		{"field of the route, refresh token", own, "X-Service-Key", refresh, "", 0, "refresh_token_presented"},
		{"field of the route, joined", own, "X-Service-Key", key + ", " + key, "api_key", ByKeyField, "credentials_conflict"},
		{"field that is not read", own, "Authorization", "Bearer " + key, "", 0, ""},
		{"Bearer", plain, "Authorization", "Bearer " + key, "api_key", ByBearer, ""},
		{"X-API-Key", plain, "X-Api-Key", key, "api_key", ByKeyField, ""},
		{"imported", imported, "Authorization", "Bearer " + importedText, "api_key", ByBearer, ""},
		{"imported, in its field", imported, "X-Api-Key", importedText3, "api_key", ByKeyField, ""},
		{"imported, where there are none", plain, "Authorization", "Bearer " + importedText, "", 0, "token_unrecognized"},
		{"imported, in its field, where there are none", plain, "X-Api-Key", importedText, "api_key", ByKeyField, "key_malformed"},
		{"imported, too short for one", imported, "Authorization", "Bearer abcdefghijklmnopqrs", "", 0, "token_unrecognized"},
		{"mistyped, where imported ones may be", imported, "Authorization", "Bearer " + flip(key), "api_key", ByBearer, "key_checksum"},
		{"refresh token, where imported ones may be", imported, "Authorization", "Bearer " + refresh, "", 0, "refresh_token_presented"},
		{"ours, where imported ones may be", imported, "Authorization", "Bearer " + access, "opaque", ByBearer, ""},
		{"in three parts", imported, "Authorization", "Bearer " + importedParts, "api_key", ByBearer, ""},
		{"in three parts, where there are none", plain, "Authorization", "Bearer " + importedParts, "jwt", ByBearer, ""},
		{"JWT, where imported ones may be", imported, "Authorization", "Bearer " + sampleJWT, "jwt", ByBearer, ""},
		{"JWT whose header begins with a line break", imported, "Authorization", "Bearer ewogImFsZyI6IkVTMjU2In0.e30.c2lnbmF0dXJl", "jwt", ByBearer, ""},
		{"JWT whose header begins with a blank", imported, "Authorization", "Bearer IHsiYWxnIjoiRVMyNTYifQ.e30.c2lnbmF0dXJl", "jwt", ByBearer, ""},
		{"three parts, whose first is text", imported, "Authorization", "Bearer aGVsbG8gd29ybGQ.e30.c2lnbmF0dXJl", "api_key", ByBearer, ""},
	} {
		rd, err := NewReader(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header[tt.field] = []string{tt.value}
		p, err := rd.Read(r, true)
		if p.Scheme != tt.scheme || p.By != tt.by || tt.code == "" && err != nil || tt.code != "" && gatehouse.CodeOf(err) != tt.code {
			t.Errorf("%s: %q in %d, %v; want %q in %d, %q", tt.name, p.Scheme, p.By, err, tt.scheme, tt.by, tt.code)
		}
		if err != nil && (p.Secret != "" || p.User != "" || p.standIn != nil) {
			t.Errorf("%s: what was refused was handed on: %+v", tt.name, p)
		}
	}
}
