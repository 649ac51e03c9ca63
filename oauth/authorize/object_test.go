package authorize

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// signed are the request objects that clients signed: the text of one is its claims, in parts.
type signed struct{ err error }

var errForged = gatehouse.E(gatehouse.Unauthenticated, "forged", "The token's signature is wrong.")

func (s signed) VerifyRequest(c client.Client, compact string) (jsontext.Value, error) {
	claims, mine := strings.CutSuffix(compact, "."+c.ID+".good")
	switch {
	case s.err != nil:
		return nil, s.err
	case !mine:
		return nil, errForged
	}
	return jsontext.Value(claims), nil
}

const claims = `{"iss":"app","aud":"` + issuer + `","exp":1,"client_id":"app","response_type":"code","redirect_uri":"` + back + `","state":"signed","scope":"write","code_challenge":"` + challenge + `","code_challenge_method":"S256","max_age":60,"resource":["https://api.example","` + issuer + `"]}`

// TestRequestObjects: of a request that was signed, what was signed counts and nothing beside it; one that was not signed by the client is
// nobody's request (RFC 9101 §6).
func TestRequestObjects(t *testing.T) {
	b, s := newBooks(t)
	kept := &shelf{}
	s.c, kept = shelved(s.c)
	s.c.Objects = signed{}
	query := func(object string, more ...string) string {
		return url.Values{"client_id": {"app"}, "request": {object}}.Encode() + strings.Join(more, "")
	}
	good := claims + ".app.good"
	for _, q := range []string{query(good), query(good, "&scope=read&state=x&state=y&redirect_uri=https://evil.example&nonce=x&prompt=none&response_type=token&resource=x")} {
		r, err := s.Read(t.Context(), realm, q)
		if err != nil {
			t.Fatal(err)
		}
		if r.state != "signed" || strings.Join(r.Scopes, " ") != "write" || r.RedirectURI != back || len(r.Resources) != 2 || !r.hasMaxAge || r.maxAge.Seconds() != 60 || r.nonce != "" || r.silent() {
			t.Errorf("%+v", r)
		}
	}
	change := func(old, with string) string { return strings.Replace(claims, old, with, 1) + ".app.good" }
	for name, c := range map[string]struct{ object, shown, sent, text string }{
		"forged":                {claims + ".app.bad", "invalid_request_object", "", "signature"},
		"another client's":      {claims + ".two.good", "invalid_request_object", "", "signature"},
		"encrypted":             {"a.b.c.d.e", "invalid_request_object", "", "encrypted"},
		"a request inside":      {change(`"exp":1`, `"request":"x"`), "invalid_request_object", "", "parameter"},
		"a reference inside":    {change(`"exp":1`, `"request_uri":"x"`), "invalid_request_object", "", "parameter"},
		"null":                  {change(`"signed"`, `null`), "invalid_request_object", "", "parameter"},
		"resource of numbers":   {change(`["https://api.example"`, `[1`), "invalid_request_object", "", "parameter"},
		"NUL":                   {change(`"signed"`, `"a\u0000"`), "authorization_request_invalid", "", ""},
		"an address":            {change(back, "https://evil.example"), "redirect_uri_refused", "", ""},
		"a fraction":            {change(`60`, `6.5`), "", "invalid_request", "max_age"},
		"a list for one":        {change(`"write"`, `["write"]`), "", "invalid_scope", ""},
		"implicit":              {change(`"code"`, `"token"`), "", "unsupported_response_type", ""},
		"a challenge taken out": {change(`"code_challenge":"`+challenge+`","code_challenge_method":"S256",`, ``), "", "invalid_request", "PKCE"},
	} {
		_, err := s.Read(t.Context(), realm, query(c.object, "&redirect_uri="+url.QueryEscape(back)))
		var refused *Refusal
		switch {
		case c.shown != "" && (errors.As(err, &refused) || gatehouse.CodeOf(err) != c.shown):
			t.Errorf("%s: %v", name, err)
		case c.sent != "" && (!errors.As(err, &refused) || refused.code != c.sent || refused.Answer.Params[2].Value != "signed"):
			t.Errorf("%s: %v", name, err)
		}
		_, _, err = s.Push(t.Context(), realm, b.clients["main app"], url.Values{"request": {c.object}}, "")
		var e *gatehouse.Error
		if !errors.As(err, &e) || e.Code != c.shown+c.sent || !strings.Contains(e.Public, c.text) {
			t.Errorf("%s, pushed: %v", name, err)
		}
	}
	if _, err := s.Read(t.Context(), realm, query(good, "&request=x")); gatehouse.CodeOf(err) != "invalid_request_object" {
		t.Errorf("two: %v", err)
	}
	if len(kept.kept) != 0 {
		t.Error("what was refused is kept")
	}
	s.c.Objects = signed{gatehouse.E(gatehouse.Unavailable, "away", "")}
	if _, err := s.Read(t.Context(), realm, query(good)); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("keys that could not be had: %v", err)
	}
	s.c.Objects = signed{}

	// A client that has to sign.
	must := b.clients["main app"]
	must.Metadata.RequireSignedRequest = true
	b.clients["main app"] = must
	var refused *Refusal
	if _, err := s.Read(t.Context(), realm, with()); !errors.As(err, &refused) || !strings.Contains(refused.text, "signed") {
		t.Errorf("unsigned: %v", err)
	}
	if _, _, err := s.Push(t.Context(), realm, must, form(), ""); gatehouse.CodeOf(err) != "invalid_request" {
		t.Errorf("unsigned, pushed: %v", err)
	}
	if _, err := s.Read(t.Context(), realm, query(good)); err != nil {
		t.Error(err)
	}
	uri, _, err := s.Push(t.Context(), realm, must, url.Values{"request": {good}, "scope": {"read"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Read(t.Context(), realm, url.Values{"client_id": {"app"}, "request_uri": {uri}, "request": {"x"}}.Encode())
	if err != nil || r.state != "signed" || strings.Join(r.Scopes, " ") != "write" {
		t.Errorf("%v", err)
	}
}
