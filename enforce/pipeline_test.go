package enforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// fakes of everything around the pipeline.
type fakes struct {
	principal *gatehouse.Principal
	authErr   error
	decide    func(gatehouse.AccessRequest) gatehouse.Decision
	asked     []gatehouse.AccessRequest
	ctx       context.Context // of the last decision
	roles     []string
	rolesErr  error
	entity    func(path string) (map[string]any, error)
	events    []gatehouse.Event
	rule      authn.Rule
	authCalls int
	panicOn   string
}

func (f *fakes) Authenticate(_ context.Context, realm string, p authn.Presented, rule authn.Rule) (*gatehouse.Principal, error) {
	f.authCalls++
	f.rule = rule
	if f.panicOn == "authenticate" {
		panic("boom")
	}
	return f.principal, f.authErr
}
func (f *fakes) Supports(s gatehouse.Scheme) bool { return s != gatehouse.SchemeOpaque }
func (f *fakes) Decide(ctx context.Context, r gatehouse.AccessRequest) gatehouse.Decision {
	f.asked, f.ctx = append(f.asked, r), ctx
	if f.panicOn == "decide" {
		panic("boom")
	}
	return f.decide(r)
}
func (f *fakes) Roles(context.Context, *gatehouse.Principal) ([]string, error) {
	return f.roles, f.rolesErr
}
func (f *fakes) FetchEntity(_ context.Context, _ *Route, path string) (map[string]any, error) {
	return f.entity(path)
}
func (f *fakes) Record(e *gatehouse.Event) { f.events = append(f.events, *e) }

var alice = &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_alice", Name: "alice", Scopes: []string{"read"}, Scheme: gatehouse.SchemeAPIKey}

func allow(gatehouse.AccessRequest) gatehouse.Decision {
	return gatehouse.Decision{Allowed: true, Code: "permitted", Reasons: []gatehouse.Reason{{PolicyID: "p1", Effect: "permit"}}}
}
func refuse(gatehouse.AccessRequest) gatehouse.Decision { return gatehouse.Decision{Code: "no_permit"} }

func newFakes() *fakes { return &fakes{principal: alice, decide: allow} }

func (f *fakes) pipeline(t testing.TB, routes ...Route) *Pipeline {
	t.Helper()
	p, err := New(Config{Authenticator: f, Decider: f, Recorder: f, Resolver: f, Limiter: limit.New(limit.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes(routes); err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	sampleKey, _, _ = credential.MintKey("ghk", gatehouse.EnvironmentLive)
	bearer          = "Bearer " + sampleKey.Reveal()
)

func request(method, target, body string, header ...string) *http.Request {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, rd)
	r.RemoteAddr = "192.0.2.7:1234"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// do runs one request and finishes its exchange as a caller would.
func (f *fakes) do(p *Pipeline, r *http.Request) Verdict {
	x := p.Begin(AtGateway, r)
	v := p.Check(x, r)
	status := 200
	if v.Err != nil {
		status = web.StatusOf(v.Err)
	}
	x.Finish(status, 0)
	x.Finish(999, 999)
	return v
}

// ASVS: 16.3.1, 16.3.2
func TestVerdicts(t *testing.T) {
	doc := &ResourceRule{Type: "Document", ID: "{id}"}
	tests := []struct {
		name   string
		route  Route
		with   func(f *fakes)
		header []string
		target string
		status int
		code   string // for the caller
		reason string // in the record
		lines  []string
	}{
		{name: "authenticated", route: Route{Authenticated: true}, header: []string{"Authorization", bearer}, status: 200, reason: "permitted"},
		{name: "nothing presented", route: Route{Authenticated: true}, status: 401, code: "credential_missing", reason: "credential_missing",
			lines: []string{`Bearer realm="main"`, `Basic realm="main", charset="UTF-8"`}},
		{name: "one challenge line per accepted scheme", route: Route{Authenticated: true, Schemes: []gatehouse.Scheme{"basic"}}, status: 401,
			code: "credential_missing", reason: "credential_missing", lines: []string{`Basic realm="main", charset="UTF-8"`}},
		{name: "anonymous", route: Route{Anonymous: true}, status: 200, reason: "permitted"},
		{name: "wrong credential where none is needed", route: Route{Anonymous: true}, header: []string{"Authorization", bearer},
			with: func(f *fakes) {
				f.authErr = gatehouse.E(gatehouse.Unauthenticated, "invalid_token", "").With(gatehouse.E(gatehouse.Unauthenticated, "key_revoked", ""))
			},
			status: 401, code: "invalid_token", reason: "key_revoked", lines: []string{`Bearer realm="main", error="invalid_token"`, `Basic realm="main", charset="UTF-8"`}},
		{name: "unknown scheme where none is needed", route: Route{Anonymous: true}, header: []string{"Authorization", "Digest x"},
			status: 401, code: "scheme_unsupported", reason: "scheme_unsupported"},
		{name: "store away", route: Route{Anonymous: true}, header: []string{"Authorization", bearer},
			with:   func(f *fakes) { f.authErr = gatehouse.E(gatehouse.Unavailable, "authentication_unavailable", "") },
			status: 503, code: "authentication_unavailable", reason: "authentication_unavailable"},
		{name: "authenticator returns nobody", route: Route{Authenticated: true}, header: []string{"Authorization", bearer},
			with: func(f *fakes) { f.principal = nil }, status: 500, code: "internal", reason: "internal"},
		{name: "authenticator returns anonymous", route: Route{Authenticated: true}, header: []string{"Authorization", bearer},
			with:   func(f *fakes) { f.principal = &gatehouse.Principal{Realm: "main", Kind: "anonymous", ID: "x"} },
			status: 500, code: "internal", reason: "internal"},
		{name: "principal of another realm", route: Route{Authenticated: true}, header: []string{"Authorization", bearer},
			with:   func(f *fakes) { p := *alice; p.Realm = "other"; f.principal = &p },
			status: 500, code: "internal", reason: "internal"},
		{name: "two credentials", route: Route{Anonymous: true}, header: []string{"Authorization", bearer, "X-API-Key", sampleKey.Reveal()},
			status: 400, code: "credentials_conflict", reason: "credentials_conflict"},
		{name: "credential in the query", route: Route{Authenticated: true}, target: "/x/1?access_token=a", status: 400, code: "credential_in_url", reason: "credential_in_url"},
		{name: "scope held", route: Route{Scopes: []string{"read"}}, header: []string{"Authorization", bearer}, status: 200, reason: "permitted"},
		{name: "scope missing", route: Route{Scopes: []string{"read", "write"}}, header: []string{"Authorization", bearer},
			status: 403, code: "insufficient_scope", reason: "insufficient_scope",
			lines: []string{`Bearer realm="main", error="insufficient_scope", scope="read write"`, `Basic realm="main", charset="UTF-8"`}},
		{name: "role held", route: Route{Roles: []string{"a", "b"}}, header: []string{"Authorization", bearer},
			with: func(f *fakes) { f.roles = []string{"b"} }, status: 200, reason: "permitted"},
		{name: "role missing", route: Route{Roles: []string{"a"}}, header: []string{"Authorization", bearer},
			with: func(f *fakes) { f.roles = []string{"b"} }, status: 403, code: "access_denied", reason: "role_required"},
		{name: "roles unknown", route: Route{Roles: []string{"a"}}, header: []string{"Authorization", bearer},
			with:   func(f *fakes) { f.roles, f.rolesErr = []string{"a"}, errors.New("away") },
			status: 503, code: "decision_unavailable", reason: "internal"},
		{name: "policy permits", route: Route{Action: "read", Resource: doc}, header: []string{"Authorization", bearer}, status: 200, reason: "permitted"},
		{name: "policy refuses", route: Route{Action: "read", Resource: doc}, header: []string{"Authorization", bearer},
			with: func(f *fakes) { f.decide = refuse }, status: 403, code: "access_denied", reason: "no_permit"},
		{name: "policy refuses, existence hidden", route: Route{Action: "read", Resource: doc, HideExistence: true}, header: []string{"Authorization", bearer},
			with: func(f *fakes) { f.decide = refuse }, status: 404, code: "not_found", reason: "no_permit"},
		{name: "error beside a permit", route: Route{Action: "read", Resource: doc}, header: []string{"Authorization", bearer},
			with: func(f *fakes) {
				f.decide = func(gatehouse.AccessRequest) gatehouse.Decision {
					return gatehouse.Decision{Allowed: true, Code: "evaluation_error", Errors: []string{"p2"}}
				}
			}, status: 403, code: "access_denied", reason: "evaluation_error"},
		{name: "policies away", route: Route{Action: "read", Resource: doc, HideExistence: true}, header: []string{"Authorization", bearer},
			with: func(f *fakes) {
				f.decide = func(gatehouse.AccessRequest) gatehouse.Decision {
					return gatehouse.Decision{Code: "policy_unavailable"}
				}
			}, status: 503, code: "decision_unavailable", reason: "policy_unavailable"},
		{name: "action without credential", route: Route{Action: "read", Resource: doc}, status: 401, code: "credential_missing", reason: "credential_missing"},
		{name: "anonymous and policy permits", route: Route{Anonymous: true, Action: "read", Resource: doc}, status: 200, reason: "permitted"},
		{name: "anonymous and policy refuses", route: Route{Anonymous: true, Action: "read", Resource: doc},
			with: func(f *fakes) { f.decide = refuse }, status: 401, code: "credential_missing", reason: "no_permit"},
		{name: "policy does not replace scopes", route: Route{Action: "read", Resource: doc, Scopes: []string{"write"}}, header: []string{"Authorization", bearer},
			status: 403, code: "insufficient_scope", reason: "insufficient_scope"},
		{name: "panic while authenticating", route: Route{Anonymous: true}, header: []string{"Authorization", bearer},
			with: func(f *fakes) { f.panicOn = "authenticate" }, status: 500, code: "internal", reason: "internal"},
		{name: "panic while deciding", route: Route{Action: "read", Resource: doc}, header: []string{"Authorization", bearer},
			with: func(f *fakes) { f.panicOn = "decide" }, status: 500, code: "internal", reason: "internal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakes()
			if tt.with != nil {
				tt.with(f)
			}
			tt.route.Pattern = "GET /x/{id}"
			p := f.pipeline(t, tt.route)
			if tt.target == "" {
				tt.target = "/x/1"
			}
			v := f.do(p, request("GET", tt.target, "", tt.header...))
			if v.Allowed != (tt.status == 200) || v.Allowed == (v.Err != nil) || v.Decision.Allowed && !v.Allowed {
				t.Fatalf("%+v", v)
			}
			if v.Err != nil && (v.Err.Code != tt.code || web.StatusOf(v.Err) != tt.status) {
				t.Errorf("%d %s, want %d %s", web.StatusOf(v.Err), v.Err.Code, tt.status, tt.code)
			}
			if got := v.Header["Www-Authenticate"]; tt.lines != nil && !reflect.DeepEqual(got, tt.lines) {
				t.Errorf("challenges %q", got)
			}
			if tt.status == 401 && len(v.Header["Www-Authenticate"]) == 0 {
				t.Error("401 without a challenge")
			}
			if len(f.events) != 1 {
				t.Fatalf("%d events", len(f.events))
			}
			e := f.events[0]
			if e.Reason != tt.reason || e.Status != tt.status || e.Realm != "main" || e.Kind != audit.KindRequestDecide || e.Address != "192.0.2.7" ||
				(e.Outcome == gatehouse.OutcomeSuccess) != v.Allowed || len(e.Chain) == 0 || e.RequestID == "" {
				t.Errorf("event %+v", e)
			}
			if tt.status >= 500 != (e.Outcome == gatehouse.OutcomeError) {
				t.Errorf("outcome %s of status %d", e.Outcome, tt.status)
			}
		})
	}
}

// A route that requires nothing denies, even if it got past SetRoutes.
//
// ASVS: 8.2.1
func TestRouteWithoutRuleDenies(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t)
	if err := p.SetRoutes([]Route{{Pattern: "/x"}}); err == nil {
		t.Error("accepted by SetRoutes")
	}
	bare := &compiled{Route: Route{Pattern: "/x", Realm: "main"}}
	bare.pattern, _ = parsePattern("/x")
	routes := newTable()
	if err := routes.add(bare); err != nil {
		t.Fatal(err)
	}
	p.routes.Store(routes)
	v := f.do(p, request("GET", "/x", "", "Authorization", bearer))
	if v.Allowed || v.Err == nil || f.events[0].Reason != "route_without_rule" {
		t.Errorf("%+v", v)
	}
}

// ASVS: 16.5.3
func TestZeroVerdictAndSecondCheck(t *testing.T) {
	if (Verdict{}).Allowed {
		t.Error("the zero verdict allows")
	}
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/x", Anonymous: true})
	r := request("GET", "/x", "")
	x := p.Begin(AtGateway, r)
	if !p.Check(x, r).Allowed {
		t.Fatal("denied")
	}
	if v := p.Check(x, r); v.Allowed || v.Decision.Allowed || v.Err == nil {
		t.Errorf("an exchange can be checked twice: %+v", v)
	}
	// Never checked: recorded all the same, in the main realm.
	p.Begin(AtGateway, r).Finish(204, 0)
	if e := f.events[0]; len(f.events) != 1 || e.Realm != "main" || e.Outcome != gatehouse.OutcomeSuccess {
		t.Errorf("%+v", f.events)
	}
}

func TestRecordAfterForwarding(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{ID: "docs", Pattern: "GET /x/{id}", Action: "read", Resource: &ResourceRule{Type: "Document", ID: "{id}"}})
	r := request("GET", "/x/7", "", "Authorization", bearer, "X-Request-Id", "theirs-1")
	x := p.Begin(AtGateway, r)
	v := p.Check(x, r)
	x.Step(gatehouse.Step{Name: "forward", Outcome: gatehouse.OutcomeError, Code: "upstream_failed"})
	x.Finish(502, 12)
	x.Step(gatehouse.Step{Name: "late"})
	x.detail("late", "x")
	e := f.events[0]
	if !v.Allowed || e.Outcome != gatehouse.OutcomeError || e.Reason != "upstream_failed" || e.Bytes != 12 || e.Route != "docs" ||
		e.Target != (gatehouse.Target{Type: "Document", ID: "7"}) || e.Detail["client_request_id"] != "theirs-1" || e.RequestID == "theirs-1" {
		t.Errorf("%+v", e)
	}
	var names []string
	for _, s := range e.Chain {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "match extract authenticate authorize forward" {
		t.Error(got)
	}
	if !reflect.DeepEqual(e.Chain[3].Reasons, []gatehouse.Reason{{PolicyID: "p1", Effect: "permit"}}) || v.Params["id"] != "7" {
		t.Errorf("%+v", e.Chain[3])
	}
}

// admitting is a recorder that may have no room.
type admitting struct {
	*fakes
	err      error
	asked    int
	admitted []gatehouse.Event
}

func (a *admitting) Admit(context.Context) error       { a.asked++; return a.err }
func (a *admitting) RecordAdmitted(e *gatehouse.Event) { a.admitted = append(a.admitted, *e) }

// TestNothingPassesUnrecorded: the record is asked last, of what would pass, and
// its refusal is a denial.
func TestNothingPassesUnrecorded(t *testing.T) {
	for _, full := range []bool{false, true} {
		f := newFakes()
		rec := &admitting{fakes: f}
		if full {
			rec.err = gatehouse.E(gatehouse.Unavailable, "audit_unavailable", "")
		}
		p, err := New(Config{Authenticator: f, Decider: f, Recorder: rec, Limiter: limit.New(limit.Config{})})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.SetRoutes([]Route{{Pattern: "GET /a", Authenticated: true}}); err != nil {
			t.Fatal(err)
		}
		v := f.do(p, request("GET", "/a", "", "Authorization", bearer))
		if v.Allowed == full || v.Decision.Allowed == full || rec.asked != 1 {
			t.Errorf("full %v: %+v, asked %d", full, v, rec.asked)
		}
		if full && (v.Err == nil || web.StatusOf(v.Err) != 503 || len(rec.admitted) != 0 || len(f.events) != 1 || f.events[0].Reason != "audit_unavailable") {
			t.Errorf("refused as %v, recorded %+v", v.Err, f.events)
		}
		if !full && (len(rec.admitted) != 1 || len(f.events) != 0) {
			t.Errorf("recorded as admitted %d times, otherwise %d times", len(rec.admitted), len(f.events))
		}
		// What is denied anyway needs no room.
		if v := f.do(p, request("GET", "/absent", "", "Authorization", bearer)); v.Allowed || rec.asked != 1 {
			t.Errorf("a denied request asked for room")
		}
	}
}

// ASVS: 16.2.5
func TestCredentialNeverInTheRecord(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/", Anonymous: true})
	for _, r := range []*http.Request{
		request("GET", "/a/"+sampleKey.Reveal()+"/b?x="+sampleKey.Reveal(), ""),
		request("GET", "/nowhere/"+sampleKey.Reveal(), "", "Authorization", bearer, "X-Api-Key", sampleKey.Reveal()),
	} {
		f.do(p, r)
	}
	for _, e := range f.events {
		if s := fmt.Sprintf("%+v", e); strings.Contains(s, sampleKey.Reveal()) {
			t.Error(s)
		}
	}
}

func TestLimits(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{ID: "a", Pattern: "/a", Authenticated: true, RateAddress: limit.Rate{Limit: 2, Window: time.Hour}},
		Route{ID: "p", Pattern: "/p", Authenticated: true, RatePrincipal: limit.Rate{Limit: 1, Window: time.Hour}},
		Route{ID: "a2", Pattern: "/a2", Authenticated: true, RateAddress: limit.Rate{Limit: 2, Window: time.Hour}},
		Route{ID: "p2", Pattern: "/p2", Authenticated: true, RatePrincipal: limit.Rate{Limit: 1, Window: time.Hour}})
	get := func(path, remote string) Verdict {
		r := request("GET", path, "", "Authorization", bearer, "X-Forwarded-For", fmt.Sprint(f.authCalls)+".2.3.4")
		r.RemoteAddr = remote
		return f.do(p, r)
	}
	h := http.Header{}
	v := get("/a", "192.0.2.1:1")
	if v.SetHeader(h); !v.Allowed || h.Get("RateLimit") != `"address";r=1;t=1800` {
		t.Errorf("%+v", v)
	}
	get("/a", "192.0.2.1:1")
	calls := f.authCalls
	v = get("/a", "192.0.2.1:2")
	if v.Allowed || v.Err.Code != "rate_limited" || v.Header.Get("Retry-After") != "1800" || f.authCalls != calls {
		t.Errorf("%+v; authenticated %d times", v, f.authCalls-calls)
	}
	if !get("/a", "192.0.2.2:1").Allowed {
		t.Error("another address shares the limit")
	}
	get("/p", "192.0.2.1:1")
	if v := get("/p", "198.51.100.1:1"); v.Allowed || v.Err.Kind != gatehouse.RateLimited {
		t.Error("a principal escapes its limit by its address")
	}
	if !get("/p2", "198.51.100.1:1").Allowed || !get("/a2", "192.0.2.1:1").Allowed {
		t.Error("two routes share a budget")
	}
	// The same id in another realm is somebody else.
	other := *alice
	other.Realm = "other"
	f.principal = &other
	if err := p.SetRoutes([]Route{{ID: "p", Realm: "other", Pattern: "/p", Authenticated: true, RatePrincipal: limit.Rate{Limit: 1, Window: time.Hour}}}); err != nil {
		t.Fatal(err)
	}
	if !get("/p", "192.0.2.1:1").Allowed {
		t.Error("two realms share a budget")
	}
}

// TestBudgetBelongsToThePrincipal: two credentials of one principal share one
// budget, and two principals behind one address do not.
func TestBudgetBelongsToThePrincipal(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/p", Authenticated: true, RatePrincipal: limit.Rate{Limit: 2, Window: time.Hour}})
	as := func(id, credential string, scheme gatehouse.Scheme) bool {
		who := *alice
		who.ID, who.CredentialID, who.GrantID, who.SessionID, who.TokenID, who.Scheme = id, credential, credential, credential, credential, scheme
		f.principal = &who
		return f.do(p, request("GET", "/p", "", "Authorization", bearer)).Allowed
	}
	if !as("usr_alice", "key_1", gatehouse.SchemeAPIKey) || !as("usr_alice", "key_2", gatehouse.SchemeAPIKey) {
		t.Fatal("refused within the rate")
	}
	for _, c := range []struct {
		credential string
		scheme     gatehouse.Scheme
	}{{"key_1", gatehouse.SchemeAPIKey}, {"key_3", gatehouse.SchemeAPIKey}, {"grt_1", gatehouse.SchemeJWT}, {"", gatehouse.SchemeBasic}} {
		if as("usr_alice", c.credential, c.scheme) {
			t.Errorf("%s %q has a budget of its own", c.scheme, c.credential)
		}
	}
	if !as("usr_bob", "key_1", gatehouse.SchemeAPIKey) { // even were ids of credentials to meet
		t.Error("another principal shares the budget")
	}
}

func TestAuthenticatorSeesTheRule(t *testing.T) {
	f := newFakes()
	proxies, err := web.NewProxies(web.ProxyConfig{Trusted: []string{"192.0.2.7"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{Authenticator: f, Decider: f, Recorder: f, Limiter: limit.New(limit.Config{}), Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes([]Route{{Pattern: "/x", Authenticated: true, Schemes: []gatehouse.Scheme{"jwt"}, Environment: "test"}}); err != nil {
		t.Fatal(err)
	}
	f.do(p, request("GET", "/x", "", "Authorization", bearer, "X-Forwarded-For", "203.0.113.5", "X-Forwarded-Proto", "https"))
	if f.rule.Address.String() != "203.0.113.5" || !f.rule.Secure || f.rule.Environment != "test" || len(f.rule.Schemes) != 1 {
		t.Errorf("%+v", f.rule)
	}
}

func TestConfigRefused(t *testing.T) {
	f := newFakes()
	l := limit.New(limit.Config{})
	for i, c := range []Config{{Decider: f, Recorder: f, Limiter: l}, {Authenticator: f, Recorder: f, Limiter: l},
		{Authenticator: f, Decider: f, Limiter: l}, {Authenticator: f, Decider: f, Recorder: f}} {
		if _, err := New(c); err == nil {
			t.Errorf("config %d accepted", i)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	f := newFakes()
	p := f.pipeline(b, Route{Pattern: "GET /documents/{id}", Action: "read", Resource: &ResourceRule{Type: "Document", ID: "{id}"},
		RateAddress: limit.Rate{Limit: 1 << 20, Window: time.Second}}, Route{Pattern: "GET /documents", Authenticated: true})
	r := request("GET", "/documents/42", "", "Authorization", bearer)
	b.ReportAllocs()
	for b.Loop() {
		f.asked, f.events = f.asked[:0], f.events[:0]
		x := p.Begin(AtGateway, r)
		if v := p.Check(x, r); !v.Allowed {
			b.Fatal(v.Err)
		}
		x.Finish(200, 10)
	}
}
