package authn

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestBearerForms: what RFC 6750 §2.1 allows after Bearer, byte by byte, and which of that
// is in the form of a JWT (RFC 7515 §3.1).
func TestBearerForms(t *testing.T) {
	const url = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	for i := range 256 {
		b := string([]byte{byte(i)})
		one, part := formNone, formNone
		switch {
		case strings.Contains(url, b):
			one, part = formToken, formJWT
		case strings.Contains(".~+/", b):
			one, part = formToken, formToken
		}
		if got := bearerForm(b); got != one {
			t.Errorf("%q alone: %d, want %d", b, got, one)
		}
		if got := bearerForm("a." + b + ".c"); got != part {
			t.Errorf("%q as the part of three: %d, want %d", b, got, part)
		}
	}
	for text, want := range map[string]form{"": formNone, "=": formNone, "==": formNone, "a=": formToken, "a==": formToken, "a=b": formNone, "=a": formNone, "a=b=": formNone,
		"..": formToken, "a.b": formToken, "a.b.": formToken, ".b.c": formToken, "a..c": formToken, "a.b.c": formJWT, "a.b.c=": formToken, "a.b.c.d": formToken, "a.b.c.": formToken} {
		if got := bearerForm(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// TestTokens: token of RFC 9110 §5.6.2.
func TestTokens(t *testing.T) {
	for i := range 256 {
		c := byte(i)
		want := c > ' ' && c < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, rune(c))
		if isToken(string([]byte{'a', c})) != want {
			t.Errorf("%q: %t", c, !want)
		}
	}
}

// TestAuthorizationBounds: a token of the greatest length is looked at, and a longer one
// before anything looks at it, under each name that it can stand after.
func TestAuthorizationBounds(t *testing.T) {
	read := func(line string) (Presented, error) {
		r, _ := http.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{line}
		return Extract(r)
	}
	token := sampleJWT + strings.Repeat("a", MaxTokenBytes-len(sampleJWT))
	if p, err := read("Bearer " + token); err != nil || p.Secret.Reveal() != token {
		t.Errorf("%d bytes: %v", len(token), err)
	}
	for _, line := range []string{"Bearer " + token + "a", "Bearer  " + token, "Digest " + token + "a", token + strings.Repeat("a", 8)} {
		if _, err := read(line); gatehouse.CodeOf(err) != "token_too_large" {
			t.Errorf("%.20s…: %v", line, err)
		}
	}
}

// TestForeignSchemes: an operator is told the auth-scheme where it is one of those in use,
// and never the first word of the line, which may be a secret.
func TestForeignSchemes(t *testing.T) {
	key := mint("ghk")
	for scheme, want := range map[string]string{"Digest": "Digest", "apikey": "ApiKey", "PRIVATETOKEN": "PrivateToken", "hunter2": errOtherScheme.Error(),
		key: errNoScheme.Error(), sampleJWT: errNoScheme.Error()} {
		if got := foreignScheme(scheme).Error(); !strings.Contains(got, want) || strings.Contains(got, "hunter2") || strings.Contains(got, key) {
			t.Errorf("%s: %s", scheme, got)
		}
	}
}

// TestRedactedPaths: of a path that the record keeps, each segment with a credential of
// ours is gone, whatever stands before it, and no other.
func TestRedactedPaths(t *testing.T) {
	key := mint("ghk")
	for path, want := range map[string]string{
		"": "", "/": "/", "/a/b": "/a/b", "/a/" + key: "/a/[redacted]", key + "/a/": "[redacted]/a/", "/" + key + "/" + sampleJWT + "/c": "/[redacted]/[redacted]/c",
		"/Bearer " + key + "/b": "/[redacted]/b", "/" + flip(key): "/" + flip(key), "/a.b.c/" + strings.Repeat("x", 30): "/a.b.c/" + strings.Repeat("x", 30),
	} {
		if got := RedactPath(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// TestChallengesOfReaders: a 401 invites what the route reads, once each, and keys under the
// names that the route chose only where keys are accepted.
func TestChallengesOfReaders(t *testing.T) {
	jwt, key, basic := gatehouse.SchemeJWT, gatehouse.SchemeAPIKey, gatehouse.SchemeBasic
	wide := gatehouse.E(gatehouse.Denied, "insufficient_scope", "")
	for name, tt := range map[string]struct {
		cfg     ReaderConfig
		realm   string
		schemes []gatehouse.Scheme
		err     error
		want    string
	}{
		"everything":                   {ReaderConfig{KeyScheme: "ApiKey", KeyAsUser: true}, "r", nil, nil, `Bearer realm="r"|Basic realm="r", charset="UTF-8"|ApiKey realm="r"`},
		"keys as user":                 {ReaderConfig{KeyAsUser: true}, "r", []gatehouse.Scheme{key}, nil, `Bearer realm="r"|Basic realm="r", charset="UTF-8"`},
		"keys after a scheme":          {ReaderConfig{KeyScheme: "ApiKey"}, "r", []gatehouse.Scheme{key, jwt}, ErrInvalidToken, `Bearer realm="r", error="invalid_token"|ApiKey realm="r"`},
		"no keys":                      {ReaderConfig{KeyScheme: "ApiKey", KeyAsUser: true}, "r", []gatehouse.Scheme{jwt}, nil, `Bearer realm="r"`},
		"passwords alone":              {ReaderConfig{KeyScheme: "ApiKey", KeyAsUser: true}, "r", []gatehouse.Scheme{basic}, nil, `Basic realm="r", charset="UTF-8"`},
		"opaque alone":                 {ReaderConfig{KeyScheme: "ApiKey"}, "r", []gatehouse.Scheme{gatehouse.SchemeOpaque}, nil, `Bearer realm="r"`},
		"a ticket invites nothing":     {ReaderConfig{Ticket: "ticket"}, "r", []gatehouse.Scheme{gatehouse.SchemeTicket}, nil, ``},
		"no name":                      {ReaderConfig{}, "", []gatehouse.Scheme{jwt}, nil, `Bearer realm=""`},
		"signs at the bounds":          {ReaderConfig{}, "\x1f !~\x7f\x00é", []gatehouse.Scheme{jwt}, nil, `Bearer realm=" !~é"`},
		"too few scopes, none to tell": {ReaderConfig{}, "r", []gatehouse.Scheme{jwt}, wide, `Bearer realm="r", error="insufficient_scope"`},
	} {
		rd, err := NewReader(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(rd.Challenges(tt.realm, tt.schemes, tt.err), "|"); got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, tt.want)
		}
	}
}
