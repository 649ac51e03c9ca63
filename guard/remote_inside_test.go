package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestPrincipalOfClaims: who calls is what the issuer signed, and a claim of another
// form than ours counts as none.
func TestPrincipalOfClaims(t *testing.T) {
	const user, service, client = gatehouse.KindUser, gatehouse.KindService, gatehouse.KindClient
	for _, c := range []struct {
		what            string
		subject, client string
		claims          string
		want            gatehouse.Principal // Kind, Name, Roles
	}{
		{"a user", "usr_a", "", `{}`, gatehouse.Principal{Kind: user}},
		{"a user with a client", "usr_a", "cli_a", `{}`, gatehouse.Principal{Kind: user}},
		{"a service", "svc_a", "cli_a", `{}`, gatehouse.Principal{Kind: service}},
		{"a client for itself", "cli_a", "cli_a", `{}`, gatehouse.Principal{Kind: client}},
		{"said: a service", "a", "cli_a", `{"kind":"service"}`, gatehouse.Principal{Kind: service}},
		{"said: a client", "a", "", `{"kind":"client"}`, gatehouse.Principal{Kind: client}},
		{"said: a user with the name of a service", "svc_a", "cli_a", `{"kind":"user"}`, gatehouse.Principal{Kind: user}},
		{"said: a user with the name of its client", "a", "a", `{"kind":"user"}`, gatehouse.Principal{Kind: user}},
		{"said in another form", "svc_a", "", `{"kind":["user"]}`, gatehouse.Principal{Kind: service}},
		{"a name", "usr_a", "", `{"name":"Alice"}`, gatehouse.Principal{Kind: user, Name: "Alice"}},
		{"a name in another form", "usr_a", "", `{"name":{"first":"Alice"}}`, gatehouse.Principal{Kind: user}},
		{"roles", "usr_a", "", `{"groups":["manager","clerk"],"roles":["boss"]}`, gatehouse.Principal{Kind: user, Roles: []string{"manager", "clerk"}}},
		{"roles of another claim", "usr_a", "", `{"roles":["boss"]}`, gatehouse.Principal{Kind: user}},
		{"roles as one text", "usr_a", "", `{"groups":"manager"}`, gatehouse.Principal{Kind: user}},
		{"roles of which one is a number", "usr_a", "", `{"groups":["manager",1]}`, gatehouse.Principal{Kind: user}},
	} {
		a := &remoteAuthenticator{cfg: RemoteConfig{RolesClaim: "groups"}}
		got := a.principal("r", &token.Claims{Subject: c.subject, ClientID: c.client, GrantID: "grt_1", Raw: []byte(c.claims)})
		if got.Kind != c.want.Kind || got.Name != c.want.Name || !slices.Equal(got.Roles, c.want.Roles) {
			t.Errorf("%s: %s %q %q", c.what, got.Kind, got.Name, got.Roles)
		}
		if got.ID != c.subject || got.Realm != "r" || !got.Foreign || got.CredentialID != "grt_1" {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
	// An assertion says with which credential the caller came to the gateway.
	a := &remoteAuthenticator{cfg: RemoteConfig{Assertions: true}}
	for claims, want := range map[string]string{`{"credential":"key_1"}`: "key_1", `{}`: "", `{"credential":1}`: ""} {
		if got := a.principal("r", &token.Claims{Subject: "usr_a", GrantID: "grt_1", Raw: []byte(claims)}); got.CredentialID != want {
			t.Errorf("%s: credential %q", claims, got.CredentialID)
		}
	}
}

// TestRolesOfRoutes: a role that a route asks for is defined once, and not in place of
// what somebody described or of what Gatehouse reserves.
func TestRolesOfRoutes(t *testing.T) {
	described := policy.Role{Realm: "main", Name: "manager", Permissions: []policy.Permission{{Actions: []string{"read"}, ResourceType: "*"}}}
	given := []policy.Role{described}
	got := withRoles(given, []enforce.Route{
		{Realm: "main", Roles: []string{"manager", "clerk"}}, {Realm: "main"}, {Realm: "main", Roles: []string{"clerk", policy.RoleAdmin}},
	})
	want := []policy.Role{described, {Realm: "main", Name: "clerk"}}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(given) != 1 {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestRulesOfAProgram: the store of a remote guard has what it was given and nothing else.
func TestRulesOfAProgram(t *testing.T) {
	ctx := t.Context()
	full := remoteRules{realm: "main", cfg: RemoteConfig{Policies: "permit (principal, action, resource);", Schema: "entity User;"}}
	if d, err := full.Policy(ctx, "main", "guard"); err != nil || d.Text != full.cfg.Policies || d.Realm != "main" {
		t.Errorf("%+v %v", d, err)
	}
	if list, err := full.Policies(ctx, "main"); err != nil || len(list) != 1 || list[0].ID != "guard" {
		t.Errorf("%+v %v", list, err)
	}
	if s, err := full.Schema(ctx, "main"); err != nil || s.Text != "entity User;" || s.Realm != "main" {
		t.Errorf("%+v %v", s, err)
	}
	if in := full.input(); in.Schema == nil || in.Schema.Text != "entity User;" || len(in.Documents) != 1 {
		t.Errorf("%+v", in)
	}
	none := remoteRules{realm: "main"}
	if in := none.input(); in.Schema != nil || len(in.Documents) != 0 {
		t.Errorf("%+v", in)
	}
	if list, err := none.Policies(ctx, "main"); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	_, noPolicy := none.Policy(ctx, "main", "guard")
	_, otherPolicy := full.Policy(ctx, "main", "other")
	_, noSchema := none.Schema(ctx, "main")
	_, otherRealm := full.Realm(ctx, "other")
	_, entity := full.Entity(ctx, "main", "User", "usr_a")
	_, subject := full.Subject(ctx, "main", "usr_a")
	for what, err := range map[string]error{"no policy": noPolicy, "another policy": otherPolicy, "no schema": noSchema, "another realm": otherRealm,
		"an entity": entity, "a subject": subject} {
		if !errors.Is(err, gatehouse.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if r, err := full.Realm(ctx, "main"); err != nil || r.Name != "main" {
		t.Errorf("%+v %v", r, err)
	}
}

// TestLogOfRefusals: without a recorder refusals are logged, and what was let through is not.
func TestLogOfRefusals(t *testing.T) {
	var log bytes.Buffer
	r := logRecorder{slog.New(slog.NewTextHandler(&log, nil))}
	e := &gatehouse.Event{RequestID: "req_1", Reason: "insufficient_scope", Method: "GET", Path: "/private", Status: 403, Address: "192.0.2.1"}
	e.Actor.ID = "usr_a"
	e.Outcome = gatehouse.OutcomeSuccess
	if r.Record(e); log.Len() != 0 {
		t.Errorf("logged: %s", log.String())
	}
	for _, outcome := range []gatehouse.Outcome{gatehouse.OutcomeFailure, gatehouse.OutcomeError} {
		log.Reset()
		e.Outcome = outcome
		r.Record(e)
		for _, want := range []string{"request refused", "req_1", "insufficient_scope", "usr_a", "/private", "403", "192.0.2.1"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: %q is not in the log: %s", outcome, want, log.String())
			}
		}
	}
}

// local is a guard that fetches nothing, as a program with a pipeline of its own has it.
func local(t *testing.T, change func(*Config), routes ...enforce.Route) *Guard {
	t.Helper()
	key, err := token.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	made, err := NewRemote(RemoteConfig{Issuer: "https://auth.example", Audience: "a", Routes: routes, Logger: slog.New(slog.DiscardHandler),
		JWKS: fmt.Appendf(nil, `{"keys":[%s]}`, key.PublicJWK())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	cfg := Config{Pipeline: made.pipeline, Decider: made.decider}
	if change != nil {
		change(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestNew(t *testing.T) {
	g := local(t, nil, enforce.Route{Pattern: "GET /", Anonymous: true})
	for what, cfg := range map[string]Config{"nothing": {}, "no decider": {Pipeline: g.pipeline}, "no pipeline": {Decider: g.decider}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	for given, want := range map[int64]int64{0: DefaultMaxBody, -1: DefaultMaxBody, 1: 1, 5: 5} {
		if g := local(t, func(c *Config) { c.MaxBodyBytes = given }, enforce.Route{Pattern: "GET /", Anonymous: true}); g.maxBody != want {
			t.Errorf("a bound of %d became %d", given, g.maxBody)
		}
	}
	// What a handler panics with is in the log that was given, and without one the guard
	// still answers.
	var log bytes.Buffer
	for what, logger := range map[string]*slog.Logger{"a log": slog.New(slog.NewTextHandler(&log, nil)), "no log": nil} {
		g := local(t, func(c *Config) { c.Logger = logger }, enforce.Route{Pattern: "GET /", Anonymous: true})
		w := httptest.NewRecorder()
		g.Protect(func(http.ResponseWriter, *http.Request) { panic("boom") }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 500 || strings.Contains(w.Body.String(), "boom") {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	if !strings.Contains(log.String(), "boom") {
		t.Errorf("logged: %s", log.String())
	}
}

// rash is a decision point that says yes, and with an error.
type rash struct{ errors []string }

func (r rash) Decide(context.Context, gatehouse.AccessRequest) gatehouse.Decision {
	return gatehouse.Decision{Allowed: true, Errors: r.errors}
}

// TestAllowedDeniesOnErrors: an error denies, whatever else the decision says.
func TestAllowedDeniesOnErrors(t *testing.T) {
	for want, d := range map[bool]rash{true: {}, false: {[]string{"policy x fails"}}} {
		g := local(t, func(c *Config) { c.Decider = d }, enforce.Route{Pattern: "GET /", Anonymous: true})
		var got gatehouse.Decision
		g.Protect(func(_ http.ResponseWriter, r *http.Request) { got = Allowed(r.Context(), "read", gatehouse.Resource{}) }).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if got.Allowed != want {
			t.Errorf("with the errors %q: %+v", d.errors, got)
		}
	}
}

// TestLinesOfTheGateway: what only the gateway may write never reaches a handler from a
// caller, and behind the gateway the assertion alone says who calls.
func TestLinesOfTheGateway(t *testing.T) {
	for name, want := range map[string]bool{"X-Gatehouse-": true, "X_Gatehouse_": true, "x-gatehouse_subject": true, "X-GATEHOUSE-Assertion": true,
		"X-Gatehouse": false, "X-Gatehous-E": false, "Gatehouse-Subject": false, "X-Gatehouser-A": false, "": false} {
		if got := ours(name); got != want {
			t.Errorf("ours(%q) = %v", name, got)
		}
	}
	all := http.Header{"X-Gatehouse-": {"a"}, "X_gatehouse_Roles": {"admin"}, "Authorization": {"Basic YTpi"}, "X-Api-Key": {"k"}, "Accept": {"x"}}
	for _, c := range []struct {
		what       string
		assertions bool
		lines      []string
		want       string
		refused    bool
	}{
		{"a guard of tokens", false, []string{"t"}, "Accept: x, Authorization: Basic YTpi, X-Api-Key: k", false},
		{"a guard of assertions", true, []string{"t"}, "Accept: x, Authorization: Bearer t", false},
		{"without one", true, nil, "Accept: x", false},
		{"with an empty one", true, []string{""}, "Accept: x", false},
		{"with two", true, []string{"t", "t"}, "Accept: x", true},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = all.Clone()
		if c.lines != nil {
			r.Header[assertionHeader] = c.lines
		}
		before := len(r.Header)
		got, err := (&Guard{assertion: c.assertions}).clean(r)
		var lines []string
		for name, values := range got.Header {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
		slices.Sort(lines)
		if strings.Join(lines, ", ") != c.want || (err != nil) != c.refused {
			t.Errorf("%s: %q %v", c.what, lines, err)
		}
		if len(r.Header) != before {
			t.Errorf("%s: the request itself was changed", c.what)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	if got, err := (&Guard{}).clean(r); got != r || err != nil {
		t.Errorf("a request without such lines was copied: %v", err)
	}
}
