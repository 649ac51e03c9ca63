package token_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/token"
)

// TestPeek: what a token says of itself is shown as it stands, without a check of the
// signature, and only when it is JSON that a verifier would read.
func TestPeek(t *testing.T) {
	k := newKey(t, token.Ed25519)
	text := signed(t, k, token.TypeAccess, claims(nil))
	head := raw(`{"alg":"none"}`)
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ text, head, claims string }{
		{text, `{"alg":"Ed25519","kid":"` + k.KID + `","typ":"at+jwt"}`, string(claims(nil))},
		{head + "." + raw(`{"iss":1}`) + ".", `{"alg":"none"}`, `{"iss":1}`}, // a person may look at what is refused
		{raw(nested(16)) + "." + raw(nested(16)) + ".?", nested(16), nested(16)},
	} {
		u, err := token.Peek(c.text)
		if err != nil || string(u.Header) != c.head || string(u.Claims) != c.claims {
			t.Errorf("Peek(%s) = %s, %s, %v", c.text, u.Header, u.Claims, err)
		}
	}
	for name, bad := range map[string]string{
		"nothing": "", "two parts": "e30.e30", "four parts": "e30.e30.e30.e30", "no base64": "!.!.!", "header of no base64": "e30=.e30.x", "claims of no base64": "e30.e30=.x",
		"header of no JSON": raw("{") + ".e30.x", "claims of no JSON": "e30." + raw("{") + ".x", "empty header": ".e30.x", "empty claims": "e30..x",
		"deep header": raw(nested(17)) + ".e30.x", "deep claims": "e30." + raw(nested(17)) + ".x", "a member twice": "e30." + raw(`{"a":1,"a":1}`) + ".x",
		"bad UTF-8": "e30." + raw("\"\xff\"") + ".x", "line break": "e3\n0.e30.x",
	} {
		if u, err := token.Peek(bad); err == nil || u.Header != nil || u.Claims != nil {
			t.Errorf("%s: %s, %s, %v", name, u.Header, u.Claims, err)
		} else {
			wantCode(t, name, err, "token_malformed")
		}
	}
	// Nobody has bounded the text before: 64 KiB are, which is the most for any verifier.
	for size, code := range map[int]string{64 << 10: "", 64<<10 + 1: "token_too_large"} {
		long := head + "." + raw(`{"iss":"a"}`) + "."
		long += strings.Repeat("A", size-len(long))
		_, err := token.Peek(long)
		wantCode(t, "Peek", err, code)
		_, err = token.UnverifiedIssuer(long)
		wantCode(t, "UnverifiedIssuer", err, code)
	}
}

// TestUnverifiedIssuer reads the issuer that a verifier would read, or none.
func TestUnverifiedIssuer(t *testing.T) {
	deep := func(n int) string {
		return `{"iss":"a","x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	for claims, want := range map[string]string{`{"iss":"a"}`: "a", ` {"x":[{"iss":"b"}],"iss":"a"} `: "a", `{"\u0069ss":"a"}`: "a", deep(16): "a"} {
		if iss, err := token.UnverifiedIssuer("?." + raw(claims) + ".?"); err != nil || iss != want {
			t.Errorf("%s: %q, %v", claims, iss, err)
		}
	}
	for claims, code := range map[string]string{`{"iss":1}`: "token_malformed", `{}`: "token_claim_missing", `{"iss":""}`: "token_claim_missing", `{"ISS":"a"}`: "token_claim_missing",
		`null`: "token_claim_missing", `{"iss":"a","iss":"b"}`: "token_malformed", `{"iss":"a"}{}`: "token_malformed", ``: "token_malformed", `[]`: "token_malformed",
		"{\"iss\":\"\xff\"}": "token_malformed", deep(17): "token_malformed"} {
		iss, err := token.UnverifiedIssuer("e30." + raw(claims) + ".x")
		wantCode(t, claims, err, code)
		if iss != "" {
			t.Errorf("%s: issuer %q beside an error", claims, iss)
		}
	}
	for _, bad := range []string{"", "a.b", "a.b.c.d", "!.!.!", "e30.e30=.x"} {
		_, err := token.UnverifiedIssuer(bad)
		wantCode(t, bad, err, "token_malformed")
	}
}
