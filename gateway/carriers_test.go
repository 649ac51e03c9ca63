package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestForeignCredentials: lines that the route does not read reach the API, ours never do.
func TestForeignCredentials(t *testing.T) {
	key, _, _ := credential.MintKey("ghk", "live")
	api := httptest.NewServer(http.HandlerFunc(echo))
	defer api.Close()
	ups, err := gateway.NewUpstreams([]gateway.Upstream{{Name: "api", URL: api.URL}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := enforce.New(enforce.Config{Authenticator: keyed{world}, Decider: noDecider{}, Recorder: &tape{}, Limiter: limit.New(limit.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes([]enforce.Route{
		{Pattern: "/usual/{rest...}", Anonymous: true, Upstream: "api"},
		{Pattern: "/usual", Anonymous: true, Upstream: "api"},
		{Pattern: "/public", Anonymous: true, Upstream: "api", Credentials: []string{"none"}},
		{Pattern: "/own", Authenticated: true, Upstream: "api", Credentials: []string{"X-Acme-Key"}},
		{Pattern: "/named", Authenticated: true, Upstream: "api", QueryNames: []string{"token"}},
	}); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Enforcer: gateway.Pipeline(p), Upstreams: ups, Asserter: newAsserter(t)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(g)
	defer srv.Close()
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.c2lnbmF0dXJl"
	for _, c := range []struct {
		name, method, target, line, value string
		want                              int
		passes                            bool
	}{
		{"unread, wrong everywhere", "GET", "/usual", "Authorization", "Bearer abc", 401, false},
		{"foreign on a public route", "GET", "/public", "Authorization", "Bearer abc", 200, true},
		{"foreign on a public route, with a body", "POST", "/public", "Authorization", "Basic YTpi", 200, true},
		{"ours on a public route", "GET", "/public", "Authorization", "Bearer " + key.Reveal(), 200, false},
		{"ours on a public route, with a body", "POST", "/public", "X-Api-Key", key.Reveal(), 200, false},
		{"ours behind another scheme", "GET", "/public", "Authorization", "Token " + key.Reveal(), 200, false},
		{"only the other line", "GET", "/own", "Authorization", "Bearer abc", 401, false},
		{"reset link", "GET", "/usual?token=abc", "", "", 200, false},
		{"our key in a link", "GET", "/usual?token=" + key.Reveal(), "", "", 400, false},
		{"named parameter", "GET", "/named?token=abc", "", "", 401, false},
		{"our key in its own line beside the API's Authorization", "GET", "/own", "Authorization", "Bearer abc", 200, true},
		{"our key in a list of parameters", "GET", "/public", "Authorization", "Token token=" + key.Reveal(), 200, false},
		{"a signed token in the path", "GET", "/usual/" + jwt, "", "", 400, false},
		{"a signed token under another name", "GET", "/named?x=" + jwt, "", "", 400, false},
		{"other parameter", "GET", "/named?access_token=abc", "", "", 400, false},
	} {
		req, _ := http.NewRequest(c.method, srv.URL+c.target, nil)
		if c.line != "" {
			req.Header.Set(c.line, c.value)
		}
		if strings.HasPrefix(c.name, "our key in its own line") {
			req.Header.Set("X-Acme-Key", key.Reveal())
		}
		res, body := do(t, req)
		if res.StatusCode != c.want {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, body)
		} else if c.want == 200 && c.line != "" && (seen(t, body).Get(c.line) != "") != c.passes {
			t.Errorf("%s: the API saw %q", c.name, seen(t, body).Get(c.line))
		}
	}
}

type noDecider struct{}

func (noDecider) Decide(context.Context, gatehouse.AccessRequest) gatehouse.Decision {
	return gatehouse.Decision{}
}
func (noDecider) Roles(context.Context, *gatehouse.Principal) ([]string, error) { return nil, nil }

// keyed also takes every API key for alice's.
type keyed struct{ people }

func (k keyed) Authenticate(ctx context.Context, realm string, c authn.Presented, rule authn.Rule) (*gatehouse.Principal, error) {
	if len(rule.Schemes) > 0 && !slices.Contains(rule.Schemes, c.Scheme) {
		return nil, gatehouse.E(gatehouse.Unauthenticated, "scheme_not_accepted", "")
	}
	if c.Scheme == gatehouse.SchemeAPIKey {
		return &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindUser, ID: "usr_alice", Scopes: []string{"*"}, Scheme: c.Scheme}, nil
	}
	return k.people.Authenticate(ctx, realm, c, rule)
}
