package authn

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

const sampleJWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"

func mint(prefix string) string {
	text, _, _ := credential.MintKey(prefix, gatehouse.EnvironmentLive)
	return text.Reveal()
}

// ASVS: 6.3.4, 14.2.1
func TestExtract(t *testing.T) {
	key, access, refresh := mint("ghk"), mint("ght"), mint("ghr")
	basic := base64.StdEncoding.EncodeToString([]byte("alice:pa:ss"))
	auth := func(lines ...string) http.Header { return http.Header{"Authorization": lines} }
	tests := []struct {
		name   string
		target string
		header http.Header
		scheme gatehouse.Scheme
		code   string
	}{
		{"nothing", "/", nil, "", ""},
		{"basic", "/", auth("Basic " + basic), "basic", ""},
		{"basic, scheme in any case", "/", auth("bASIC " + basic), "basic", ""},
		{"basic, two blanks", "/", auth("Basic  " + basic), "basic", ""},
		{"basic, broken base64", "/", auth("Basic !!"), "basic", "basic_malformed"},
		{"basic, no colon", "/", auth("Basic " + base64.StdEncoding.EncodeToString([]byte("alice"))), "basic", "basic_no_colon"},
		{"basic, control", "/", auth("Basic " + base64.StdEncoding.EncodeToString([]byte("a\x00:b"))), "basic", "basic_control_character"},
		{"basic joined", "/", auth("Basic " + basic + ", Bearer " + key), "basic", "credentials_conflict"},
		{"key", "/", auth("Bearer " + key), "api_key", ""},
		{"key, scheme in any case", "/", auth("BEARER " + key), "api_key", ""},
		{"opaque", "/", auth("Bearer " + access), "opaque", ""},
		{"refresh token", "/", auth("Bearer " + refresh), "", "refresh_token_presented"},
		{"jwt", "/", auth("Bearer " + sampleJWT), "jwt", ""},
		{"bad checksum", "/", auth("Bearer " + key[:len(key)-1] + "!"), "", "authorization_malformed"},
		{"typing error", "/", auth("Bearer " + flip(key)), "api_key", "key_checksum"},
		{"some other token", "/", auth("Bearer abcdef"), "", "token_unrecognized"},
		{"no token", "/", auth("Bearer"), "", "authorization_malformed"},
		{"only padding", "/", auth("Bearer ==="), "", "authorization_malformed"},
		{"blank inside", "/", auth("Bearer a b"), "", "authorization_malformed"},
		{"tab for blank", "/", auth("Bearer\t" + key), "", "authorization_malformed"},
		{"empty", "/", auth(""), "", "authorization_malformed"},
		{"digest", "/", auth(`Digest username="a"`), "", "scheme_unsupported"},
		{"key without scheme", "/", auth(key), "", "scheme_unsupported"},
		{"four parts", "/", auth("Bearer " + sampleJWT + ".x"), "", "token_unrecognized"},
		{"empty part", "/", auth("Bearer a..b"), "", "token_unrecognized"},
		{"too long", "/", auth("Bearer " + strings.Repeat("a", MaxTokenBytes+1)), "", "token_too_large"},
		{"two lines", "/", auth("Bearer "+key, "Bearer "+key), "", "authorization_repeated"},
		{"two lines, one empty", "/", auth("", "Bearer "+key), "", "authorization_repeated"},
		{"joined", "/", auth("Bearer " + key + ",Bearer " + key), "", "credentials_conflict"},
		{"both fields", "/", http.Header{"Authorization": {"Bearer " + key}, "X-Api-Key": {key}}, "", "credentials_conflict"},
		{"both fields, one empty", "/", http.Header{"Authorization": {"Bearer " + key}, "X-Api-Key": {""}}, "", "credentials_conflict"},
		{"x-api-key", "/", http.Header{"X-Api-Key": {key}}, "api_key", ""},
		{"x-api-key twice", "/", http.Header{"X-Api-Key": {key, key}}, "", "credentials_conflict"},
		{"x-api-key joined", "/", http.Header{"X-Api-Key": {key + "," + key}}, "api_key", "credentials_conflict"},
		{"x-api-key with opaque token", "/", http.Header{"X-Api-Key": {access}}, "api_key", "key_malformed"},
		{"x-api-key with jwt", "/", http.Header{"X-Api-Key": {sampleJWT}}, "api_key", "key_malformed"},
		{"x-api-key empty", "/", http.Header{"X-Api-Key": {""}}, "api_key", "key_malformed"},
		{"query by name", "/?access_token=abc", nil, "", "credential_in_url"},
		{"query by name, any case", "/?API_KEY=abc", nil, "", "credential_in_url"},
		{"query by escaped name", "/?access%5Ftoken=abc", nil, "", "credential_in_url"},
		{"query, later", "/?a=1&b=%zz&password=x", nil, "", "credential_in_url"},
		{"query, after semicolon", "/?a=1;token=x", nil, "", "credential_in_url"},
		{"query by value", "/?q=" + key, nil, "", "credential_in_url"},
		{"query by value, as a name", "/?" + key, nil, "", "credential_in_url"},
		{"query by value, jwt", "/?q=" + sampleJWT, nil, "", "credential_in_url"},
		{"query by value, with scheme", "/?q=Bearer+" + key, nil, "", "credential_in_url"},
		{"query with a good header", "/?token=x", auth("Bearer " + key), "", "credential_in_url"},
		{"path", "/keys/" + key + "/x", nil, "", "credential_in_url"},
		{"user in url", "http://alice:pw@api.test/", nil, "", "credential_in_url"},
		{"plain query", "/?key=a&page_token=b&tokens=3&q=eyJ.a", nil, "", ""},
		{"empty value", "/?token=", nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tt.target, nil)
			r.Header = tt.header
			p, err := Extract(r)
			if tt.code == "" && err != nil || tt.code != "" && (err == nil || gatehouse.CodeOf(err) != tt.code) {
				t.Fatalf("error %v, want %q", err, tt.code)
			}
			if p.Scheme != tt.scheme {
				t.Errorf("scheme %q, want %q", p.Scheme, tt.scheme)
			}
			if err != nil && p.Secret != "" {
				t.Error("a refused credential was handed on")
			}
			for _, secret := range []string{key, access, refresh} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Error("the error holds the credential")
				}
			}
		})
	}
}

// flip changes one character of the secret part.
func flip(key string) string {
	c := byte('a')
	if key[25] == c {
		c = 'b'
	}
	return key[:25] + string(c) + key[26:]
}

func TestRedactPath(t *testing.T) {
	key := mint("ghk")
	if got := RedactPath("/a/" + key + "/b"); got != "/a/[redacted]/b" {
		t.Error(got)
	}
	if got := RedactPath("/a/b"); got != "/a/b" {
		t.Error(got)
	}
}

func TestChallenges(t *testing.T) {
	all := []gatehouse.Scheme(nil)
	tests := []struct {
		realm   string
		schemes []gatehouse.Scheme
		err     error
		scopes  []string
		want    []string
	}{
		{"main", all, ErrNone, nil, []string{`Bearer realm="main"`, `Basic realm="main", charset="UTF-8"`}},
		{"main", []gatehouse.Scheme{"basic"}, ErrNone, nil, []string{`Basic realm="main", charset="UTF-8"`}},
		{"main", []gatehouse.Scheme{"jwt", "api_key"}, ErrInvalidToken, nil, []string{`Bearer realm="main", error="invalid_token"`}},
		{"main", []gatehouse.Scheme{"opaque"}, errRepeated, nil, []string{`Bearer realm="main", error="invalid_request"`}},
		{"main", []gatehouse.Scheme{"jwt"}, gatehouse.E(gatehouse.Denied, "insufficient_scope", ""), []string{"a", "b"},
			[]string{`Bearer realm="main", error="insufficient_scope", scope="a b"`}},
		{"a\"b\\c\r\nX: y", []gatehouse.Scheme{"jwt"}, nil, nil, []string{`Bearer realm="a\"b\\cX: y"`}},
	}
	for _, tt := range tests {
		got := Challenges(tt.realm, tt.schemes, tt.err, tt.scopes...)
		if strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("%q\nwant %q", got, tt.want)
		}
	}
}
