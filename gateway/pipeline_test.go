package gateway_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/examples/documents"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// people is a small world: accounts with the password "pw", and the example
// policies. It takes the place of the directory and the store.
type people map[string]gatehouse.Subject

var world = people{
	"usr_alice": {Kind: gatehouse.KindUser, Name: "alice", Roles: []string{"admin"}},
	"usr_bob":   {Kind: gatehouse.KindUser, Name: "bob", Roles: []string{"user"}},
	"usr_carol": {Kind: gatehouse.KindUser, Name: "carol", Roles: []string{"viewer"}},
	"usr_mona":  {Kind: gatehouse.KindUser, Name: "mona", Roles: []string{"manager"}, Attributes: map[string]any{"managed_teams": []string{"red"}}},
}

func (p people) Authenticate(_ context.Context, realm string, c authn.Presented, _ authn.Rule) (*gatehouse.Principal, error) {
	s, ok := p["usr_"+c.User]
	if c.Scheme != gatehouse.SchemeBasic || !ok || c.Secret.Reveal() != "pw" {
		return nil, gatehouse.E(gatehouse.Unauthenticated, "invalid_credentials", "The username or the password is wrong.")
	}
	return &gatehouse.Principal{Realm: realm, Kind: s.Kind, ID: "usr_" + c.User, Name: c.User, Scopes: []string{"*"}, Scheme: c.Scheme}, nil
}
func (people) Supports(gatehouse.Scheme) bool { return true }
func (p people) Subject(_ context.Context, _, id string) (gatehouse.Subject, error) {
	s, ok := p[id]
	if !ok {
		return s, gatehouse.NotFound
	}
	return s, nil
}
func (people) Realms(context.Context) ([]gatehouse.Realm, error) {
	return []gatehouse.Realm{{Name: "main"}}, nil
}
func (people) Realm(_ context.Context, name string) (gatehouse.Realm, error) {
	return gatehouse.Realm{Name: name}, nil
}
func (people) Roles(context.Context, string) ([]policy.Role, error) {
	return policy.ExampleRoles(), nil
}
func (people) Policies(context.Context, string) ([]policy.Document, error) {
	return []policy.Document{{Realm: "main", ID: "documents", Text: policy.ExampleDocuments()}}, nil
}
func (people) Policy(context.Context, string, string) (policy.Document, error) {
	return policy.Document{}, gatehouse.NotFound
}
func (people) Schema(context.Context, string) (policy.Schema, error) {
	return policy.Schema{Realm: "main", Text: policy.ExampleDocumentsSchema()}, nil
}
func (people) Entity(context.Context, string, string, string) (policy.EntityRecord, error) {
	return policy.EntityRecord{}, gatehouse.NotFound
}

// tape keeps the events.
type tape struct {
	mu     sync.Mutex
	events []*gatehouse.Event
}

func (t *tape) Record(e *gatehouse.Event) { t.mu.Lock(); t.events = append(t.events, e); t.mu.Unlock() }
func (t *tape) find(id string) (found *gatehouse.Event) {
	testwait.For(5*time.Second, func() bool { // the record is written after the answer
		t.mu.Lock()
		defer t.mu.Unlock()
		i := slices.IndexFunc(t.events, func(e *gatehouse.Event) bool { return e.RequestID == id })
		if i >= 0 {
			found = t.events[i]
		}
		return i >= 0
	})
	return found
}

var documentRule = enforce.ResourceRule{Type: "Document", ID: "{id}", Source: "upstream", Fetch: "/documents/{id}",
	Attributes: map[string]string{"owner": "owner", "team": "team", "visibility": "visibility"}, Entities: map[string]string{"owner": "User"}}

// sharedWith is the CORS rule of what pages of one other site may use.
var sharedWith = enforce.CORS{Origins: []string{"https://app.example"}, Methods: []string{"PUT"}, Headers: []string{"Authorization", "Content-Type"}, MaxAge: time.Hour}

// documentRoutes protect the example API as the demo does.
func documentRoutes() []enforce.Route {
	made := documentRule
	made.ID, made.Source, made.Fetch = "", "body", ""
	listed := documentRule
	listed.Source, listed.Fetch = "", ""
	list := &enforce.ResourceRule{Type: "Document", ID: "all"}
	routes := []enforce.Route{
		{Pattern: "GET /public", Anonymous: true},
		{Pattern: "GET /private", Authenticated: true},
		{Pattern: "GET /shared/{id}", Authenticated: true, CORS: &sharedWith},
		{Pattern: "PUT /shared/{id}", Authenticated: true, CORS: &sharedWith},
		{Pattern: "GET /documents", Action: "list", Resource: list, Filter: &enforce.ListFilter{Items: "documents", IDMember: "id", Action: "read", Resource: listed}},
		{Pattern: "POST /documents", Action: "create", Resource: &made},
		{Pattern: "GET /documents/{id}", Action: "read", Resource: &documentRule, HideExistence: true},
		{Pattern: "PUT /documents/{id}", Action: "update", Resource: &documentRule, HideExistence: true},
		{Pattern: "DELETE /documents/{id}", Action: "delete", Resource: &documentRule, HideExistence: true},
	}
	for i := range routes {
		routes[i].Upstream = "documents"
	}
	return routes
}

// site is the documents API behind a gateway with the real pipeline.
type site struct {
	gateway, forward http.Handler
	tape             *tape
	api              string
}

func newSite(t testing.TB, trusted ...string) *site {
	t.Helper()
	store, err := documents.NewStore("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []documents.Document{
		{ID: "doc_bob", Title: "Bob's", Owner: "usr_bob", Team: "red"}, {ID: "doc_public", Title: "Public", Owner: "usr_alice", Visibility: documents.Public},
		{ID: "doc_alice", Title: "Alice's", Owner: "usr_alice", Team: "blue"},
	} {
		if _, err := store.Create(d); err != nil {
			t.Fatal(err)
		}
	}
	api := httptest.NewServer(documents.NewHandler(store))
	t.Cleanup(api.Close)
	decider, err := authz.New(t.Context(), authz.Config{Store: world, Directory: world, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	proxies, err := web.NewProxies(web.ProxyConfig{Trusted: trusted})
	if err != nil {
		t.Fatal(err)
	}
	asserter, err := gateway.NewAsserter(gateway.AsserterConfig{Keys: newRing(t), Issuer: func(string) string { return "https://auth.example" }, Roles: decider})
	if err != nil {
		t.Fatal(err)
	}
	ups, err := gateway.NewUpstreams([]gateway.Upstream{{Name: "documents", URL: api.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ups.Close)
	resolver, err := gateway.NewResolver(gateway.ResolverConfig{Upstreams: ups, Asserter: asserter})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{tape: &tape{}, api: api.URL}
	p, err := enforce.New(enforce.Config{Authenticator: world, Decider: decider, Recorder: s.tape, Limiter: limit.New(limit.Config{}), Resolver: resolver, Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes(documentRoutes()); err != nil {
		t.Fatal(err)
	}
	if s.gateway, err = gateway.New(gateway.Config{Enforcer: gateway.Pipeline(p), Upstreams: ups, Asserter: asserter, Resolver: resolver, Proxies: proxies}); err != nil {
		t.Fatal(err)
	}
	if s.forward, err = gateway.NewForwardAuth(gateway.ForwardAuthConfig{Enforcer: gateway.Pipeline(p), Asserter: asserter, Upstreams: ups, Proxies: proxies}); err != nil {
		t.Fatal(err)
	}
	return s
}

func as(t *testing.T, method, url, who, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if who != "" {
		req.SetBasicAuth(who, "pw")
	}
	return do(t, req)
}

// TestDocumentsBehindTheGateway runs the seeds' rules through the whole: owner
// reads own, public is readable, managers read their team's, admins all.
//
// ASVS: 8.3.1
func TestDocumentsBehindTheGateway(t *testing.T) {
	s := newSite(t)
	srv := httptest.NewServer(s.gateway)
	defer srv.Close()
	ids := func(body string) string {
		var v struct{ Documents []struct{ ID string } }
		_ = json.Unmarshal([]byte(body), &v, json.MatchCaseInsensitiveNames(true))
		var out []string
		for _, d := range v.Documents {
			out = append(out, d.ID)
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		who, method, path, body string
		want                    int
	}{
		{"", "GET", "/public", "", 200}, {"", "GET", "/private", "", 401}, {"carol", "GET", "/private", "", 200},
		{"bob", "GET", "/documents/doc_bob", "", 200}, {"bob", "GET", "/documents/doc_alice", "", 404}, {"bob", "GET", "/documents/doc_none", "", 404},
		{"bob", "GET", "/documents/doc_public", "", 200}, {"mona", "GET", "/documents/doc_bob", "", 200}, {"mona", "GET", "/documents/doc_alice", "", 404},
		{"carol", "GET", "/documents/doc_public", "", 200}, {"carol", "GET", "/documents/doc_alice", "", 404}, {"alice", "GET", "/documents/doc_bob", "", 200}, {"", "GET", "/documents/doc_bob", "", 401},
		{"bob", "PUT", "/documents/doc_bob", `{"title":"New","team":"red"}`, 200}, {"carol", "PUT", "/documents/doc_bob", `{"title":"New"}`, 404},
		{"bob", "POST", "/documents", `{"title":"Mine","owner":"usr_bob"}`, 201}, {"carol", "POST", "/documents", `{"title":"Mine","owner":"usr_carol"}`, 403},
		{"bob", "DELETE", "/documents/doc_alice", "", 404}, {"alice", "DELETE", "/documents/doc_alice", "", 204}, {"alice", "GET", "/documents/doc_alice", "", 404},
		{"alice", "GET", "/admin", "", 404}, {"alice", "GET", "/documents%2Fdoc_bob", "", 400},
	} {
		res, body := as(t, c.method, srv.URL+c.path, c.who, c.body)
		if res.StatusCode != c.want {
			t.Errorf("%s %s %s: %d, want %d: %s", c.who, c.method, c.path, res.StatusCode, c.want, body)
		}
		e := s.tape.find(res.Header.Get("X-Request-Id"))
		if e == nil || e.Status != c.want || len(e.Chain) == 0 {
			t.Errorf("%s %s %s: recorded %+v", c.who, c.method, c.path, e)
		}
	}
	for who, want := range map[string]string{"bob": "doc_bob doc_public", "mona": "doc_bob doc_public"} {
		_, body := as(t, "GET", srv.URL+"/documents", who, "")
		var mine []string
		for _, id := range strings.Fields(ids(body)) {
			if id == "doc_bob" || id == "doc_public" || id == "doc_alice" {
				mine = append(mine, id)
			}
		}
		if strings.Join(mine, " ") != want {
			t.Errorf("%s lists %s", who, body)
		}
	}
}

func BenchmarkGateway(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }))
	defer up.Close()
	s := startURL(b, up.URL)
	go func() {
		for range s.f.ch {
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		res, err := http.Get(s.url + "/x")
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}
