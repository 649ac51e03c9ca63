package authn

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http/httptest"
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
	known := func(text string) bool { return text == ours }
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
		"/?token=abc":                {true, false, false},
		"/?TOKEN=abc":                {true, false, false},
		"/?access_token=abc":         {true, true, false},
		"/?token=" + theirs:          {true, false, false},
		"/?x=" + theirs:              {true, true, false},
		"/?token=" + ours:            {true, true, true},
		"/?x=" + ours:                {true, true, true},
		"/?token=" + key.Reveal():    {true, true, true},
		"/?" + theirs + "=1":         {true, true, true},
		"/" + theirs:                 {true, true, true},
		"/" + key.Reveal():           {true, true, true},
		"/?x=1&y=2;token=" + theirs:  {true, false, false},
		"/?token=Bearer%20" + theirs: {true, false, false},
		"/?token=Bearer%20" + ours:   {true, true, true},
		"/?q=plain":                  {false, false, false},
	} {
		for i, rd := range []*Reader{plain, named, anonymous} {
			_, err := rd.Read(httptest.NewRequest("GET", target, nil))
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
	rd, err := NewReader(ReaderConfig{Fields: []string{NoCarrier}, Ours: func(text string) bool { return text == ours }})
	if err != nil {
		t.Fatal(err)
	}
	for line, passes := range map[string]bool{
		"Bearer abc": true, "Basic YTpi": true, "Bearer " + tokenOf("https://other.example"): true, "Token token=abc": true,
		"Bearer " + key: false, key: false, "Token token=" + key: false, `Token token="` + key + `", nonce="x"`: false,
		"Bearer " + ours: false, "Key x;k=" + ours: false, "Digest a='" + key + "'": false,
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
