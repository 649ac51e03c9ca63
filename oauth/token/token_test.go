package token_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	endpoint "github.com/gatehouse-auth/gatehouse/oauth/token"
	"github.com/gatehouse-auth/gatehouse/proof"
	"github.com/gatehouse-auth/gatehouse/token"
)

// pages are of one origin.
type pages struct{}

func (pages) HasOrigin(_ context.Context, realm, origin string) bool {
	return realm == "main" && origin == "https://app.example"
}

// site is the handler of a house, with a stand-in for authn: "bob:secret" by
// Basic, access tokens by Bearer, "ghk_key" as an API key.
func site(h *house, limited *bool) http.Handler {
	mux := http.NewServeMux()
	must(endpoint.NewHandler(endpoint.Config{Grants: h.svc, Pages: pages{}, Requests: &h.pushed, Backchannel: nobodyAsks{}, URL: func(r *http.Request) string { return issuer + r.URL.Path }, DevicePage: func(realm string) string { return issuerOf(realm) + "/device" },
		Proofs: must(proof.NewVerifier(proof.Config{Seen: proof.NewMemory(func() time.Time { return time.Now().Add(-time.Hour) }), Nonces: must(proof.NewNonces(make([]byte, proof.NonceKeySize)))})),
		Login: func(r *http.Request, realm string, code gatehouse.Secret) (*gatehouse.Principal, error) {
			user, pass, _ := r.BasicAuth()
			switch {
			case realm != "main" || pass != "secret" || user != "bob" && user != "amy":
				return nil, gatehouse.E(gatehouse.Unauthenticated, "invalid_credentials", "The user name or the password is wrong.")
			case user == "amy" && code == "":
				return nil, gatehouse.ErrSecondFactor
			case user == "amy" && code != "123456":
				return nil, factor.ErrCode
			}
			return h.principal(), nil
		},
		Authenticate: func(r *http.Request, realm string, schemes ...gatehouse.Scheme) (*gatehouse.Principal, error) {
			no := gatehouse.E(gatehouse.Unauthenticated, "invalid_credentials", "The user name or the password is wrong.")
			accepts := func(s gatehouse.Scheme) bool {
				for _, x := range schemes {
					if x == s {
						return true
					}
				}
				return false
			}
			if user, pass, ok := r.BasicAuth(); ok && accepts(gatehouse.SchemeBasic) && realm == "main" && user == "bob" && pass == "secret" {
				return h.principal(), nil
			}
			bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if bearer == "ghk_key" && accepts(gatehouse.SchemeAPIKey) {
				return &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindUser, ID: h.user.ID, Scheme: gatehouse.SchemeAPIKey}, nil
			}
			if bearer == "foreign" {
				return &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindUser, ID: "ext_1", Foreign: true, Scheme: gatehouse.SchemeJWT, GrantID: "grt_theirs"}, nil
			}
			if c, err := h.claims(gatehouse.Secret(bearer)); err == nil && accepts(gatehouse.SchemeJWT) {
				return &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindUser, ID: c.Subject, Scheme: gatehouse.SchemeJWT, GrantID: c.GrantID}, nil
			}
			return nil, no
		},
		Challenges: func(realm string, schemes ...gatehouse.Scheme) []string {
			var out []string
			for _, s := range schemes {
				if s == gatehouse.SchemeBasic {
					out = append(out, `Basic realm="`+realm+`", charset="UTF-8"`)
				} else {
					out = append(out, `Bearer realm="`+realm+`"`)
				}
			}
			return out
		},
		Inspect: h.auth.Inspect, Issuer: issuerOf,
		Signer: func(_ context.Context, _ string, alg token.Algorithm) (*token.Key, error) {
			if h.signer == nil || h.signer.Algorithm != alg {
				h.signer = must(token.GenerateKey(alg))
			}
			return h.signer, nil
		},
		IDToken: func(realm, client, text string) (*token.Claims, error) {
			return token.OpenID(text, issuerOf(realm), client, must(token.NewKeySet(h.key)), time.Now)
		},
		Clients: client.Authenticator{Clients: h.db, Assertions: h.assertions(), Record: func(*gatehouse.Event) {}, Now: time.Now}, Secure: func(*http.Request) bool { return !h.away },
		Allow: func(context.Context, string) (time.Duration, bool) { return 7 * time.Second, !*limited },
	})).Register(mux)
	return mux
}

type answer struct {
	code   int
	header http.Header
	json   map[string]any
	raw    string
}

func (a answer) str(name string) string { s, _ := a.json[name].(string); return s }

func call(h http.Handler, method, path, body string, header ...string) answer {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, in)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{code: w.Code, header: w.Header(), raw: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.json)
	return a
}

const (
	basic   = "Basic Ym9iOnNlY3JldA==" // bob:secret
	jsonCT  = "application/json"
	formCT  = "application/x-www-form-urlencoded"
	problem = "application/problem+json"
)

// TestTokenEndpoint is the life of a login over HTTP.
func TestTokenEndpoint(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{Scopes: map[string]string{"documents:read": "Read"}})
	limited := false
	s := site(h, &limited)

	first := call(s, "POST", "/tokens", "", "Authorization", basic)
	if first.code != 200 || first.str("token_type") != "Bearer" || first.json["expires_in"] != 600.0 || first.str("scope") != "*" ||
		first.header.Get("Cache-Control") != "no-store" || first.header.Get("Content-Type") != jsonCT {
		t.Fatalf("%d %v %s", first.code, first.header, first.raw)
	}
	narrow := call(s, "POST", "/tokens", "scope=documents%3Aread", "Authorization", basic, "Content-Type", formCT)
	if narrow.str("scope") != "documents:read" {
		t.Fatalf("%d %s", narrow.code, narrow.raw)
	}
	second := call(s, "POST", "/tokens/refresh", `{"refresh_token":"`+first.str("refresh_token")+`"}`, "Content-Type", jsonCT)
	if second.code != 200 || second.str("refresh_token") == first.str("refresh_token") {
		t.Fatalf("%d %s", second.code, second.raw)
	}
	third := call(s, "POST", "/tokens/refresh", url.Values{"refresh_token": {second.str("refresh_token")}}.Encode(), "Content-Type", formCT)
	if third.code != 200 {
		t.Fatalf("as a form: %d %s", third.code, third.raw)
	}
	if a := call(s, "DELETE", "/tokens", "", "Authorization", "Bearer "+third.str("access_token")); a.code != 204 || a.raw != "" {
		t.Fatalf("%d %s", a.code, a.raw)
	}
	for name, text := range map[string]string{"first": first.str("access_token"), "third": third.str("access_token")} {
		if _, err := h.claims(gatehouse.Secret(text)); gatehouse.CodeOf(err) != "token_revoked" {
			t.Errorf("the %s access token lives: %v", name, err)
		}
		if a := call(s, "DELETE", "/tokens", "", "Authorization", "Bearer "+text); a.code != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("ending it again: %d %v", a.code, a.header)
		}
	}
	if a := call(s, "POST", "/tokens/refresh", `{"refresh_token":"`+third.str("refresh_token")+`"}`, "Content-Type", jsonCT); a.code != 400 || a.str("code") != "invalid_grant" {
		t.Fatalf("%d %s", a.code, a.raw)
	}
	if _, err := h.claims(gatehouse.Secret(narrow.str("access_token"))); err != nil {
		t.Fatalf("another login ended too: %v", err)
	}
	limited = true
	if a := call(s, "POST", "/tokens", "", "Authorization", basic); a.code != 429 || a.header.Get("Retry-After") != "7" {
		t.Fatalf("%d %v", a.code, a.header)
	}
}

func TestTokenEndpointRefusals(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	limited := false
	s := site(h, &limited)
	token := call(s, "POST", "/tokens", "", "Authorization", basic)
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		code               string
	}{
		"no credential":          {"POST", "/tokens", "", nil, 401, "invalid_credentials"},
		"wrong password":         {"POST", "/tokens", "", []string{"Authorization", "Basic Ym9iOndyb25n"}, 401, "invalid_credentials"},
		"token in place of it":   {"POST", "/tokens", "", []string{"Authorization", "Bearer " + token.str("access_token")}, 401, "invalid_credentials"},
		"other realm":            {"POST", "/realms/acme/tokens", "", []string{"Authorization", basic}, 401, "invalid_credentials"},
		"query":                  {"POST", "/tokens?scope=x", "", []string{"Authorization", basic}, 400, "query_not_allowed"},
		"refresh token in query": {"POST", "/tokens/refresh?refresh_token=x", "", nil, 400, "query_not_allowed"},
		"unknown scope":          {"POST", "/tokens", "scope=x", []string{"Authorization", basic, "Content-Type", formCT}, 400, "invalid_scope"},
		"scope twice":            {"POST", "/tokens", "scope=x&scope=y", []string{"Authorization", basic, "Content-Type", formCT}, 400, "invalid_request"},
		"JSON":                   {"POST", "/tokens", "{}", []string{"Authorization", basic, "Content-Type", jsonCT}, 415, "content_type_unsupported"},
		"long body":              {"POST", "/tokens", "scope=" + strings.Repeat("x", 20<<10), []string{"Authorization", basic, "Content-Type", formCT}, 413, "body_too_large"},
		"GET":                    {"GET", "/tokens", "", nil, 405, "method_not_allowed"},
		"GET refresh":            {"GET", "/tokens/refresh", "", nil, 405, "method_not_allowed"},
		"key":                    {"DELETE", "/tokens", "", []string{"Authorization", "Bearer ghk_key"}, 403, "not_a_token"},
		"foreign token":          {"DELETE", "/tokens", "", []string{"Authorization", "Bearer foreign"}, 403, "not_a_token"},
		"delete with Basic":      {"DELETE", "/tokens", "", []string{"Authorization", basic}, 401, "invalid_credentials"},
		"two credentials":        {"POST", "/tokens/refresh", `{"refresh_token":"x"}`, []string{"Authorization", basic, "Content-Type", jsonCT}, 400, "unexpected_credential"},
		"no refresh token":       {"POST", "/tokens/refresh", `{}`, []string{"Content-Type", jsonCT}, 400, "refresh_token_missing"},
		"twice":                  {"POST", "/tokens/refresh", `{"refresh_token":"x","refresh_token":"y"}`, []string{"Content-Type", jsonCT}, 400, "json_invalid"},
		"nonsense":               {"POST", "/tokens/refresh", `{"refresh_token":"hunter2"}`, []string{"Content-Type", jsonCT}, 400, "invalid_grant"},
	} {
		a := call(s, c.method, c.path, c.body, c.header...)
		if a.code != c.status || a.str("code") != c.code || a.header.Get("Content-Type") != problem || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", name, a.code, a.header, a.raw)
		}
		if strings.Contains(a.raw, "hunter2") {
			t.Errorf("%s: the answer repeats the input", name)
		}
		if lines := a.header.Values("WWW-Authenticate"); (c.status == 401) != (len(lines) == 1) {
			t.Errorf("%s: challenges %v", name, lines)
		} else if c.status == 401 && c.method == "POST" && !strings.HasPrefix(lines[0], `Basic realm="`) {
			t.Errorf("%s: challenge %s", name, lines[0])
		}
		if c.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", name)
		}
	}
}

// TestBothForms: a client of OAuth that asks for JSON reads error and
// error_description; nobody else's answer changes.
func TestBothForms(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	limited := false
	s := site(h, &limited)
	nonsense := `{"refresh_token":"x"}`
	for accept, want := range map[string]string{"": problem, "*/*": problem, "text/html": problem, "application/problem+json": problem,
		"application/json, application/problem+json": problem, "application/json": jsonCT, "application/json, text/plain, */*": jsonCT,
		"Application/JSON;q=0.9": jsonCT, "application/jsonx": problem} {
		a := call(s, "POST", "/tokens/refresh", nonsense, "Content-Type", jsonCT, "Accept", accept)
		if a.code != 400 || a.str("code") != "invalid_grant" || a.header.Get("Content-Type") != want || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("Accept %q: %d %v %s", accept, a.code, a.header, a.raw)
		}
		if text := a.str("error_description"); (a.str("error") == "invalid_grant") != (want == jsonCT) || (text != "") != (want == jsonCT) {
			t.Errorf("Accept %q: %s", accept, a.raw)
		}
	}
	for name, c := range map[string]struct {
		body, auth string
		status     int
		want       string
	}{
		"wrong password": {"", "Basic Ym9iOndyb25n", 401, "invalid_client"},
		"unknown scope":  {"scope=x", basic, 400, "invalid_scope"},
		"unknown target": {"resource=https%3A%2F%2Fx.example", basic, 400, "invalid_target"},
		"twice":          {"scope=x&scope=y", basic, 400, "invalid_request"},
	} {
		a := call(s, "POST", "/tokens", c.body, "Content-Type", formCT, "Accept", jsonCT, "Authorization", c.auth)
		if a.code != c.status || a.str("error") != c.want || (c.status == 401) != (a.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d %v %s", name, a.code, a.header, a.raw)
		}
	}
	if a := call(s, "POST", "/tokens/refresh", "refresh_token=x&grant_type=password", "Content-Type", formCT); a.str("code") != "unsupported_grant_type" {
		t.Errorf("another grant type: %s", a.raw)
	}
	const amy = "Basic YW15OnNlY3JldA==" // amy:secret, who has a second factor
	for otp, code := range map[string]string{"": "second_factor_required", "000000": "second_factor_invalid", "123456": ""} {
		a := call(s, "POST", "/tokens", "otp="+otp, "Content-Type", formCT, "Accept", jsonCT, "Authorization", amy)
		if code == "" && a.code == 200 {
			continue
		}
		if a.code != 400 || a.str("error") != "invalid_grant" || a.str("code") != code || a.header.Get("WWW-Authenticate") != "" {
			t.Errorf("code %q: %d %v %s", otp, a.code, a.header, a.raw)
		}
	}
	limited = true
	if a := call(s, "POST", "/tokens", "", "Accept", jsonCT, "Authorization", basic); a.code != 429 || a.str("error") != "temporarily_unavailable" {
		t.Errorf("limited: %d %s", a.code, a.raw)
	}
}
