package enforce_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/token"
)

// house stands for everything around the pipelines of the enforcement points: it
// knows two people, and answers what the words in a request ask it to.
type house struct {
	full    bool // the record has no room
	refused string
	last    gatehouse.Event
}

var (
	key, _, _     = credential.MintKey("ghk", gatehouse.EnvironmentLive)
	cookie, _, _  = credential.MintSession()
	refresh, _, _ = credential.MintKey(credential.PrefixRefresh, gatehouse.EnvironmentLive)
)

const signed = "eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl"

func (h *house) Supports(gatehouse.Scheme) bool { return true }

func (h *house) Authenticate(_ context.Context, realm string, p authn.Presented, rule authn.Rule) (*gatehouse.Principal, error) {
	switch {
	case len(rule.Schemes) > 0 && !slices.Contains(rule.Schemes, p.Scheme):
		return nil, gatehouse.E(gatehouse.Unauthenticated, "scheme_not_accepted", "")
	case p.Scheme == gatehouse.SchemeBasic && p.Secret.Reveal() == "wrong":
		return nil, gatehouse.E(gatehouse.Unauthenticated, "invalid_credentials", "")
	case p.Scheme == gatehouse.SchemeBasic && p.Secret.Reveal() == "tried too often":
		return nil, gatehouse.E(gatehouse.RateLimited, "login_throttled", "")
	case p.Scheme == gatehouse.SchemeBasic && !rule.Secure:
		return nil, gatehouse.E(gatehouse.Invalid, "https_required", "")
	case p.Scheme == gatehouse.SchemeJWT:
		return nil, gatehouse.E(gatehouse.Unavailable, "authentication_unavailable", "")
	}
	who := &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindUser, ID: "usr_alice", Scopes: []string{"*"}, Scheme: p.Scheme}
	if p.Scheme == gatehouse.SchemeAPIKey {
		who.ID, who.Scopes = "usr_bob", []string{"read"}
	}
	return who, nil
}

func (h *house) Decide(_ context.Context, r gatehouse.AccessRequest) gatehouse.Decision {
	switch {
	case r.Resource.ID == "broken":
		return gatehouse.Decision{Code: "policy_unavailable"}
	case r.Resource.ID == "error":
		return gatehouse.Decision{Allowed: true, Errors: []string{"a policy failed"}}
	case r.Resource.ID == "panic":
		panic("boom")
	}
	return gatehouse.Decision{Allowed: r.Resource.ID == "mine", Code: "asked"}
}

func (h *house) Roles(_ context.Context, p *gatehouse.Principal) ([]string, error) {
	if p.ID == "usr_alice" {
		return []string{"admin"}, nil
	}
	return nil, nil
}

func (h *house) FetchEntity(_ context.Context, _ *enforce.Route, path string) (map[string]any, error) {
	if strings.HasSuffix(path, "/none") {
		return nil, gatehouse.NotFound
	}
	return map[string]any{}, nil
}

func (h *house) Record(e *gatehouse.Event)         { h.refused, h.last = e.Reason, *e }
func (h *house) RecordAdmitted(e *gatehouse.Event) { h.refused, h.last = e.Reason, *e }
func (h *house) Admit(context.Context) error {
	if h.full {
		return gatehouse.E(gatehouse.Unavailable, "audit_unavailable", "")
	}
	return nil
}

var matrixRoutes = []enforce.Route{
	{Pattern: "/any", Authenticated: true},
	{Pattern: "/public", Anonymous: true},
	{Pattern: "GET /keys", Authenticated: true, Schemes: []gatehouse.Scheme{gatehouse.SchemeAPIKey}},
	{Pattern: "GET /write", Scopes: []string{"write"}},
	{Pattern: "GET /admin", Roles: []string{"admin"}},
	{Pattern: "GET /documents/{id}", Action: "read", Resource: &enforce.ResourceRule{Type: "Document", ID: "{id}"}},
	{Pattern: "GET /hidden/{id}", Action: "read", HideExistence: true, Resource: &enforce.ResourceRule{Type: "Document", ID: "{id}", Source: "upstream", Fetch: "/documents/{id}"}},
	{Pattern: "GET /seldom", Anonymous: true, RateAddress: limit.Rate{Limit: 1, Window: time.Hour}},
	{Pattern: "GET /each", Authenticated: true, RatePrincipal: limit.Rate{Limit: 1, Window: time.Hour}},
	{Pattern: "POST /upload", Authenticated: true, MaxBodyBytes: 10, ContentTypes: []string{"text/plain"}},
	{Pattern: "POST /create", Action: "create", Resource: &enforce.ResourceRule{Type: "Document", Source: "body"}},
	{Pattern: "GET /own-line", Authenticated: true, Upstream: "api", Credentials: []string{"X-Acme-Key", "Authorization"}},
	{Pattern: "GET /socket", Authenticated: true, Upstream: "api", Subprotocol: "gatehouse.bearer"},
	{Pattern: "/people", Authenticated: true, Upstream: "api", Schemes: []gatehouse.Scheme{gatehouse.SchemeSession, gatehouse.SchemeAPIKey}},
	{Pattern: "GET /list", Authenticated: true, Filter: &enforce.ListFilter{IDMember: "id", Action: "read", Resource: enforce.ResourceRule{Type: "Document"}}},
	{Pattern: "/cors", Authenticated: true, CORS: &enforce.CORS{Origins: []string{"https://app.example"}, Credentials: true}},
	{Pattern: "/cors-plain", Authenticated: true, CORS: &enforce.CORS{Origins: []string{"https://app.example"}}},
}

// point is one enforcement point of the product with its own pipeline.
type point struct {
	name string
	// serve answers a request as the point does, or nil when it cannot be asked so.
	serve http.Handler
	// ask turns the request into the one that the point gets.
	ask func(r *http.Request) *http.Request
}

type oneKey struct{ *token.Key }

func (k oneKey) Signer(string) (*token.Key, error) { return k.Key, nil }

// points makes each enforcement point, with h around it.
func points(t *testing.T, h *house) []point {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("[]"))
	}))
	t.Cleanup(upstream.Close)
	signer, err := token.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	asserter, err := gateway.NewAsserter(gateway.AsserterConfig{Keys: oneKey{signer}, Issuer: func(string) string { return "https://auth.example" }})
	if err != nil {
		t.Fatal(err)
	}
	proxies, err := web.NewProxies(web.ProxyConfig{Trusted: []string{"192.0.2.0/24"}})
	if err != nil {
		t.Fatal(err)
	}
	pipeline := func(upstream string, drop func(enforce.Route) bool) *enforce.Pipeline {
		p, err := enforce.New(enforce.Config{Authenticator: h, Decider: h, Recorder: h, Resolver: h, Limiter: limit.New(limit.Config{}), Proxies: proxies})
		if err != nil {
			t.Fatal(err)
		}
		routes := slices.Clone(matrixRoutes)
		for i := range routes {
			routes[i].Upstream = upstream
		}
		if err := p.SetRoutes(slices.DeleteFunc(routes, drop)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	ups, err := gateway.NewUpstreams([]gateway.Upstream{{Name: "api", URL: upstream.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ups.Close)
	none := func(enforce.Route) bool { return false }
	same := func(r *http.Request) *http.Request { return r }
	g, err := gateway.New(gateway.Config{Enforcer: gateway.Pipeline(pipeline("api", none)), Upstreams: ups, Asserter: asserter, Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	all := []point{{"gateway", g, same}}
	for _, d := range []string{"nginx", "haproxy", "apache", "caddy", "traefik", "envoy"} {
		f, err := gateway.NewForwardAuth(gateway.ForwardAuthConfig{Enforcer: gateway.Pipeline(pipeline("api", none)), Upstreams: ups, Asserter: asserter, Proxies: proxies})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, point{d, f, func(r *http.Request) *http.Request { return questionAbout(d, r) }})
	}
	w, err := guard.New(guard.Config{Pipeline: pipeline("", none), Decider: h})
	if err != nil {
		t.Fatal(err)
	}
	return append(all, point{"guard", w.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })), same})
}

// questionAbout is what the proxy of a dialect asks about r.
func questionAbout(dialect string, r *http.Request) *http.Request {
	q := httptest.NewRequest("GET", "/.gatehouse/auth/"+dialect, nil)
	q.RemoteAddr = r.RemoteAddr
	q.Header = r.Header.Clone()
	for _, hop := range []string{"Connection", "Upgrade", "Content-Length"} { // these end at the proxy
		q.Header.Del(hop)
	}
	if dialect == "envoy" { // the request itself, behind the dialect's name
		q.Method, q.Host, q.RequestURI = r.Method, r.Host, q.RequestURI+r.RequestURI
		return q
	}
	lead := "X-Original-"
	if dialect == "caddy" || dialect == "traefik" {
		lead = "X-Forwarded-"
	}
	q.Header.Set(lead+"Method", r.Method)
	q.Header.Set(lead+"Uri", r.RequestURI)
	q.Header.Set(lead+"Host", r.Host)
	return q
}

// TestPointsAgree: gateway, forward-auth in each dialect and guard refuse the
// same requests for the same reason, or the row says why one of them does not.
func TestPointsAgree(t *testing.T) {
	basic := "Basic YWxpY2U6cHc=" // alice:pw
	secure := []string{"X-Forwarded-Proto", "https"}
	evil := []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-Websocket-Version", "13"}
	session := []string{"Cookie", "__Host-gatehouse-gate-main=" + cookie.Reveal()}
	as := func(credential string, more ...[]string) []string {
		return slices.Concat(append([][]string{{"Authorization", credential}}, more...)...)
	}
	for _, c := range []struct {
		name, method, target, body string
		header                     []string
		want                       string            // code; "" is allowed
		but                        map[string]string // by point, or by "forward-auth" for all dialects
		full                       bool
		twice                      bool
	}{
		{name: "allowed", method: "POST", target: "/any", header: as(basic, secure)},
		{name: "no route", method: "GET", target: "/nowhere", want: "no_route"},
		{name: "method override", method: "POST", target: "/any", header: as(basic, secure, []string{"X-Http-Method-Override", "DELETE"}), want: "method_override"},
		{name: "method override in the query", method: "POST", target: "/any?_method=DELETE", header: as(basic, secure), want: "method_override"},
		{name: "path", method: "GET", target: "/any/../admin", header: as(basic, secure), want: "path_ambiguous",
			but: map[string]string{"forward-auth": "original_request_unclear"}}, // what the proxy makes of the path cannot be known
		{name: "two Authorization lines", method: "GET", target: "/any", header: as(basic, secure, []string{"Authorization", "Bearer " + key.Reveal()}), want: "authorization_repeated"},
		{name: "two credentials", method: "GET", target: "/any", header: as(basic, secure, []string{"X-Api-Key", key.Reveal()}), want: "credentials_conflict"},
		{name: "in the URL", method: "GET", target: "/any?access_token=x", want: "credential_in_url"},
		{name: "malformed", method: "GET", target: "/any", header: as("Basic"), want: "basic_malformed"},
		{name: "too large", method: "GET", target: "/any", header: as("Bearer " + strings.Repeat("a", 17<<10)), want: "token_too_large"},
		{name: "unknown scheme", method: "GET", target: "/any", header: as("Digest a"), want: "scheme_unsupported"},
		{name: "unknown token", method: "GET", target: "/any", header: as("Bearer abc"), want: "token_unrecognized"},
		{name: "refresh token", method: "GET", target: "/any", header: as("Bearer " + refresh.Reveal()), want: "refresh_token_presented"},
		{name: "no key", method: "GET", target: "/any", header: []string{"X-Api-Key", "abc"}, want: "key_malformed"},
		{name: "nothing presented", method: "GET", target: "/any", want: "credential_missing"},
		{name: "other scheme", method: "GET", target: "/keys", header: as(basic, secure), want: "scheme_not_accepted"},
		{name: "no TLS", method: "GET", target: "/any", header: as(basic), want: "https_required"},
		{name: "wrong password", method: "GET", target: "/any", header: as("Basic YWxpY2U6d3Jvbmc=", secure), want: "invalid_credentials"},
		{name: "wrong password on a public route", method: "GET", target: "/public", header: as("Basic YWxpY2U6d3Jvbmc=", secure), want: "invalid_credentials"},
		{name: "throttled", method: "GET", target: "/any", header: as("Basic YWxpY2U6dHJpZWQgdG9vIG9mdGVu", secure), want: "login_throttled"},
		{name: "authenticator away", method: "GET", target: "/any", header: as("Bearer " + signed), want: "authentication_unavailable"},

		{name: "cross-site POST", method: "POST", target: "/any", header: as(basic, secure, evil), want: "cross_origin_refused"},
		{name: "cross-site DELETE by Origin alone", method: "DELETE", target: "/any", header: as(basic, secure, evil[:2]), want: "cross_origin_refused"},
		{name: "cross-site POST of an old browser's frame", method: "POST", target: "/any", header: as(basic, secure, []string{"Origin", "null"}), want: "cross_origin_refused"},
		{name: "cross-site POST with a wrong password", method: "POST", target: "/any", header: as("Basic YWxpY2U6d3Jvbmc=", secure, evil), want: "cross_origin_refused"},
		{name: "cross-site POST to a public route", method: "POST", target: "/public", header: as(basic, secure, evil), want: "cross_origin_refused"},
		{name: "POST of a neighbour on the same site", method: "POST", target: "/any", header: as(basic, secure, []string{"Sec-Fetch-Site", "same-site"}), want: "cross_origin_refused"},
		{name: "cross-site GET", method: "GET", target: "/any", header: as(basic, secure, evil)},
		{name: "cross-site WebSocket", method: "GET", target: "/any", header: as(basic, secure, evil, upgrade), want: "cross_origin_refused"},
		{name: "cross-site WebSocket by Origin alone", method: "GET", target: "/any", header: as(basic, secure, evil[:2], upgrade), want: "cross_origin_refused"},
		{name: "cross-site WebSocket without Origin", method: "GET", target: "/any", header: as(basic, secure, evil[2:], upgrade), want: "cross_origin_refused"},
		{name: "WebSocket of a frame without origin", method: "GET", target: "/any", header: as(basic, secure, []string{"Origin", "null"}, upgrade), want: "cross_origin_refused"},
		{name: "POST of the same origin", method: "POST", target: "/any", header: as(basic, secure, []string{"Origin", "https://api.example", "Sec-Fetch-Site", "same-origin"})},
		{name: "POST typed by the user", method: "POST", target: "/any", header: as(basic, secure, []string{"Sec-Fetch-Site", "none"})},
		{name: "cross-site POST with a key", method: "POST", target: "/any", header: as("Bearer "+key.Reveal(), evil)},
		{name: "cross-site POST of a trusted origin", method: "POST", target: "/cors", header: as(basic, secure, []string{"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}),
			but: map[string]string{"guard": "route_needs_gateway"}},
		{name: "cross-site POST of two origins", method: "POST", target: "/cors", header: as(basic, secure, []string{"Origin", "https://app.example", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}), want: "cross_origin_refused"},
		{name: "cross-site POST of an origin trusted without credentials", method: "POST", target: "/cors-plain", header: as(basic, secure, []string{"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}), want: "cross_origin_refused"},

		{name: "somebody else's identity", method: "GET", target: "/any", header: as(basic, secure, []string{"X-Auth-Request-User", "admin"}),
			but: map[string]string{"forward-auth": "header_name_reserved"}}, // gateway and guard take the line away
		{name: "identity in a folding spelling", method: "GET", target: "/any", header: as(basic, secure, []string{"Remote_User", "admin"}),
			but: map[string]string{"forward-auth": "header_name_ambiguous"}}, // gateway and guard have the request itself, and take the line away
		{name: "method override in a folding spelling", method: "POST", target: "/any", header: as(basic, secure, []string{"X_HTTP_Method-Override", "DELETE"}), want: "method_override",
			but: map[string]string{"forward-auth": "header_name_ambiguous"}},

		{name: "scope", method: "GET", target: "/write", header: as("Bearer " + key.Reveal()), want: "insufficient_scope"},
		{name: "role", method: "GET", target: "/admin", header: as("Bearer " + key.Reveal()), want: "access_denied"},
		{name: "policy", method: "GET", target: "/documents/theirs", header: as(basic, secure), want: "access_denied"},
		{name: "policy of nobody", method: "GET", target: "/documents/theirs", want: "credential_missing"},
		{name: "policy that fails", method: "GET", target: "/documents/error", header: as(basic, secure), want: "access_denied"},
		{name: "decision point away", method: "GET", target: "/documents/broken", header: as(basic, secure), want: "decision_unavailable"},
		{name: "panic", method: "GET", target: "/documents/panic", header: as(basic, secure), want: "internal"},
		{name: "hidden", method: "GET", target: "/hidden/theirs", header: as(basic, secure), want: "not_found"},
		{name: "hidden and absent", method: "GET", target: "/hidden/none", header: as(basic, secure), want: "not_found"},
		{name: "limit by address", method: "GET", target: "/seldom", twice: true, want: "rate_limited"},
		{name: "limit by principal", method: "GET", target: "/each", header: as(basic, secure), twice: true, want: "rate_limited"},
		{name: "no room in the record", method: "GET", target: "/any", header: as(basic, secure), full: true, want: "audit_unavailable"},
		{name: "content type", method: "POST", target: "/upload", body: "{}", header: as(basic, secure, []string{"Content-Type", "application/json"}), want: "content_type_unsupported"},
		{name: "no content type", method: "POST", target: "/upload", body: "x", header: as(basic, secure), want: "content_type_unsupported",
			but: map[string]string{"forward-auth": ""}}, // whether there is a body, the proxy alone knows
		{name: "too much", method: "POST", target: "/upload", body: strings.Repeat("a", 11), header: as(basic, secure, []string{"Content-Type", "text/plain"}), want: "body_too_large",
			but: map[string]string{"forward-auth": ""}}, // the proxy keeps the body, and has a bound of its own
		{name: "body that decides", method: "POST", target: "/create", body: `{"id":"x"}`, header: as(basic, secure, []string{"Content-Type", "application/json"}), want: "access_denied",
			but: map[string]string{"forward-auth": "route_needs_gateway"}},
		{name: "key in a line of its own", method: "GET", target: "/own-line", header: as(basic, secure),
			but: map[string]string{"forward-auth": "route_needs_gateway"}}, // which the proxy would hand to the API
		{name: "credential among subprotocols", method: "GET", target: "/socket", header: []string{"Sec-Websocket-Protocol", "chat, gatehouse.bearer." + key.Reveal()},
			but: map[string]string{"forward-auth": "route_needs_gateway", "guard": "route_needs_gateway"}}, // who takes it out has to answer the handshake
		{name: "credential among subprotocols, unread", method: "GET", target: "/any", header: []string{"Sec-Websocket-Protocol", "gatehouse.bearer." + key.Reveal()}, want: "credential_missing"},
		{name: "session", method: "POST", target: "/people", header: slices.Concat(secure, session, []string{"Sec-Fetch-Site", "same-origin"}),
			but: map[string]string{"forward-auth": "route_needs_gateway", "guard": "route_needs_gateway"}}, // the cookie is for the gateway alone to take out, and to give
		{name: "key where sessions are accepted", method: "POST", target: "/people", header: []string{"X-Api-Key", key.Reveal()},
			but: map[string]string{"forward-auth": "route_needs_gateway", "guard": "route_needs_gateway"}},
		{name: "session used by a page of another site", method: "POST", target: "/people", header: slices.Concat(secure, session, evil), want: "cross_origin_refused"},
		{name: "session used by a host beside", method: "POST", target: "/people", header: slices.Concat(secure, session, []string{"Sec-Fetch-Site", "same-site"}), want: "cross_origin_refused"},
		{name: "WebSocket by the session, of another site", method: "GET", target: "/people", header: slices.Concat(secure, session, evil, []string{"Sec-Websocket-Key", "x"}), want: "cross_origin_refused"},
		{name: "two sessions", method: "GET", target: "/people", header: slices.Concat(secure, session, session), want: "credentials_conflict"},
		{name: "session beside a key", method: "GET", target: "/people", header: slices.Concat(secure, session, []string{"X-Api-Key", key.Reveal()}), want: "credentials_conflict"},
		{name: "cookie that is no session", method: "GET", target: "/people", header: slices.Concat(secure, []string{"Cookie", "__Host-gatehouse-gate-main=x"}), want: "session_malformed"},
		{name: "session where none is named", method: "GET", target: "/any", header: slices.Concat(secure, session), want: "credential_missing"},
		{name: "list that is filtered", method: "GET", target: "/list", header: as(basic, secure),
			but: map[string]string{"forward-auth": "route_needs_gateway", "guard": "route_needs_gateway"}},
	} {
		h := &house{full: c.full}
		for _, p := range points(t, h) {
			times := 1
			if c.twice {
				times = 2
			}
			var code string
			var status int
			for range times {
				r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
				r.RequestURI, r.Host, r.RemoteAddr = c.target, "api.example", "192.0.2.1:9"
				if c.body == "" {
					r.Body, r.ContentLength = http.NoBody, 0
				}
				r.Header = http.Header{"X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Proto": {"http"}}
				for i := 0; i+1 < len(c.header); i += 2 {
					if n := c.header[i]; n == "X-Forwarded-Proto" {
						r.Header.Set(n, c.header[i+1])
					} else {
						r.Header.Add(n, c.header[i+1])
					}
				}
				code, status = answer(t, p, r)
			}
			want := c.want
			for _, n := range []string{"forward-auth", p.name} {
				if v, ok := c.but[n]; ok && (n == p.name || p.name != "gateway" && p.name != "guard") {
					want = v
				}
			}
			if code != want || (code == "") != (status < 400) {
				t.Errorf("%s: %s answers %d %q, want %q", c.name, p.name, status, code, want)
			}
			if code != "" {
				told(t, c.name+" at "+p.name, &h.last)
			}
		}
	}
}

// saysAll are the codes beside which nothing more could be told of a request, or that
// another event of the request tells (login.failure). Those of the authenticator have a
// test of their own there (authn, world.check).
var saysAll = map[string]bool{"invalid_credentials": true, "login_throttled": true, "token_too_large": true, "token_unrecognized": true,
	"key_malformed": true, "session_malformed": true, "refresh_token_presented": true, "basic_malformed": true, "authorization_repeated": true, "scheme_not_accepted": true,
	"https_required": true, "authentication_unavailable": true, "audit_unavailable": true, "internal": true, "path_ambiguous": true,
	"body_missing": true, "credential_missing": true, "policy_unavailable": true, "method_not_allowed": true}

// told checks that the record of a refusal says what an operator needs to mend it: the
// step that refused says more than a code, or the event says what was asked and held.
func told(t *testing.T, name string, e *gatehouse.Event) {
	t.Helper()
	if len(e.Chain) == 0 {
		t.Errorf("%s: no step is recorded", name)
		return
	}
	s := e.Chain[len(e.Chain)-1]
	if s.Outcome == gatehouse.OutcomeSuccess {
		t.Errorf("%s: the last step is %q, which passed", name, s.Name)
	}
	known := e.Actor.ID != ""
	switch {
	case s.Name == "authorize" && known && (e.Detail["asked"] == "" || e.Actor.ID == "usr_alice" && e.Detail["roles"] == "" || e.Detail["scopes"] == ""):
		t.Errorf("%s: what was asked and held: %v", name, e.Detail)
	case s.Note == "" && !saysAll[s.Code] && !(s.Name == "authorize" && known):
		t.Errorf("%s: step %s says %q and nothing more", name, s.Name, s.Code)
	}
}

// TestRefusalsTell: what the record of a refusal names.
func TestRefusalsTell(t *testing.T) {
	h := &house{}
	gate := points(t, h)[0]
	alice := []string{"Authorization", "Basic YWxpY2U6cHc=", "X-Forwarded-Proto", "https"}
	bob := []string{"Authorization", "Bearer " + key.Reveal()}
	for _, c := range []struct {
		method, target, body string
		header               []string
		want                 []string // each in the notes or the details
	}{
		{"GET", "/documents/other", "", bob, []string{"a caller; policies that permit read on Document", "action=read", "scopes=read", "target=Document other"}},
		{"GET", "/documents/other", "", alice, []string{"roles=admin", "scopes=*"}},
		{"GET", "/hidden/other", "", alice, []string{"action=read", "target=Document other"}},
		{"GET", "/hidden/none", "", alice, []string{"the API behind knows no such resource", "target=Document none"}},
		{"GET", "/write", "", bob, []string{"missing: write", "a caller; scope write", "scopes=read"}},
		{"GET", "/admin", "", bob, []string{"missing: admin", "a caller; role admin", "scopes=read"}},
		{"GET", "/keys", "", nil, []string{"accepted here: api_key"}},
		{"DELETE", "/keys", "", bob, []string{"the path has routes for GET only"}},
		{"GET", "/nowhere", "", bob, []string{"whatever the method"}},
		{"POST", "/any", "", append([]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, alice...), []string{`Origin "https://evil.example"`}},
		{"GET", "/any?access_token=hunter2", "", nil, []string{"the query parameter access_token"}},
		{"GET", "/any", "", []string{"Authorization", key.Reveal()}, []string{"without the word Bearer"}},
		{"GET", "/any", "", []string{"Authorization", "Negotiate hunter2"}, []string{"the auth-scheme is Negotiate"}},
		{"GET", "/any", "", []string{"Authorization", "hunter2"}, []string{"none that Gatehouse knows"}},
		{"GET", "/any", "", append([]string{"X-Api-Key", "hunter2"}, alice...), []string{"both Authorization and X-Api-Key"}},
		{"POST", "/any", "", append([]string{"X-Http-Method-Override", "hunter2"}, alice...), []string{"by the header line X-Http-Method-Override"}},
		{"POST", "/any?_method=hunter2", "", alice, []string{"by the query parameter _method"}},
		{"POST", "/upload", "hunter2", append([]string{"Content-Type", "image/png"}, alice...), []string{`it is "image/png"; accepted here: text/plain`}},
		{"POST", "/upload", "hunter2 and more", append([]string{"Content-Type", "text/plain"}, alice...), []string{"16 bytes; at most 10"}},
		{"POST", "/create", "{}", append([]string{"Content-Type", "application/json; charset=utf-7"}, alice...), []string{"charset=utf-8"}},
	} {
		r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
		r.RemoteAddr = "192.0.2.9:1"
		for i := 0; i+1 < len(c.header); i += 2 {
			r.Header.Add(c.header[i], c.header[i+1])
		}
		h.last = gatehouse.Event{}
		if code, _ := answer(t, gate, r); code == "" {
			t.Errorf("%s %s was allowed", c.method, c.target)
		}
		e := h.last
		var told []string
		for _, s := range e.Chain {
			told = append(told, s.Note)
		}
		for k, v := range e.Detail {
			told = append(told, k+"="+v)
		}
		told = append(told, "target="+e.Target.Type+" "+e.Target.ID)
		all := strings.Join(told, "\n")
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s %s: nothing says %q:\n%s", c.method, c.target, want, all)
			}
		}
		if strings.Contains(all, "hunter2") || strings.Contains(all, key.Reveal()) {
			t.Errorf("%s %s: the record repeats a secret:\n%s", c.method, c.target, all)
		}
	}
}

func answer(t *testing.T, p point, r *http.Request) (code string, status int) {
	t.Helper()
	w := httptest.NewRecorder()
	p.serve.ServeHTTP(w, p.ask(r))
	if w.Code >= 400 {
		var problem struct{ Code string }
		if err := json.Unmarshal(w.Body.Bytes(), &problem, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatalf("%s: %s", p.name, w.Body)
		}
		return problem.Code, w.Code
	}
	return "", w.Code
}
