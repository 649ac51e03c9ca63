package guard_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestRefusedConfigurationIsNamed: who starts a program with a rule that it cannot follow
// is told which.
func TestRefusedConfigurationIsNamed(t *testing.T) {
	jwks := jwksOf(t, newKey(t))
	const required = "Issuer, Audience and Routes are required"
	for what, c := range map[string]struct {
		change func(*guard.RemoteConfig)
		want   string
	}{
		"no issuer":   {func(c *guard.RemoteConfig) { c.Issuer = "" }, required},
		"no audience": {func(c *guard.RemoteConfig) { c.Audience = "" }, required},
		"no routes":   {func(c *guard.RemoteConfig) { c.Routes = nil }, required},
		"CORS": {func(c *guard.RemoteConfig) { c.Routes[0].CORS = &enforce.CORS{Origins: []string{"https://a.example"}} },
			"route GET /a: CORS and Filter are the gateway's"},
		"a filter":   {func(c *guard.RemoteConfig) { c.Routes[0].Filter = &enforce.ListFilter{} }, "route GET /a: CORS and Filter are the gateway's"},
		"two realms": {func(c *guard.RemoteConfig) { c.Routes[1].Realm = "other" }, "of one realm"},
		"a stored resource": {func(c *guard.RemoteConfig) {
			c.Routes[0].Resource = &enforce.ResourceRule{Type: "Document", Source: "stored"}
		}, "no stored resources"},
		"two sorts of callers": {func(c *guard.RemoteConfig) { c.Assertions, c.Routes[0].Credentials = true, []string{"Authorization"} }, "takes the place of every other credential"},
		"lists of assertions":  {func(c *guard.RemoteConfig) { c.Assertions, c.StatusURL = true, "https://a.example/status/" }, "assertions have no status lists"},
		"no address of keys":   {func(c *guard.RemoteConfig) { c.JWKS, c.JWKSURL = nil, "keys" }, "the address of the keys"},
		"no address of lists":  {func(c *guard.RemoteConfig) { c.StatusURL = "status" }, "the address of the status lists"},
		"a type of no token":   {func(c *guard.RemoteConfig) { c.Type = "id+jwt" }, "Type is at+jwt or JWT"},
		"a policy about an attribute that the schema does not have": {func(c *guard.RemoteConfig) {
			c.Schema, c.Policies = schema, `permit (principal, action == Action::"read", resource is Document) when { resource.secret };`
		}, "secret"},
	} {
		cfg := guard.RemoteConfig{Issuer: issuer, Audience: audience, JWKS: jwks, Logger: slog.New(slog.DiscardHandler),
			Routes: []enforce.Route{{Pattern: "GET /a", Authenticated: true}, {Pattern: "GET /b", Authenticated: true}}}
		c.change(&cfg)
		if _, err := guard.NewRemote(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

const schema = `entity User; entity Document { title: String };
action reading; action read, list in [reading] appliesTo { principal: [User], resource: [Document] };`

// within runs a handler behind a guard of tokens, for one request of alice, who has the
// role reader, with this body,
// and returns how it was answered.
func within(t *testing.T, cfg guard.RemoteConfig, method string, body io.Reader, handler http.HandlerFunc) (status int, answer string) {
	t.Helper()
	key := newKey(t)
	cfg.Issuer, cfg.Audience, cfg.JWKS, cfg.Logger, cfg.Record = issuer, audience, jwksOf(t, key), slog.New(slog.DiscardHandler), unread{}
	g, err := guard.NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	srv := httptest.NewServer(g.Protect(handler))
	defer srv.Close()
	r, err := http.NewRequest(method, srv.URL+"/a", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = bearer(access(t, key, func(a *token.Access) { a.More = []token.Claim{{Name: "roles", List: []string{"reader"}}} }))
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// TestRolesAndSchema: roles that are described give what they say, and a schema's groups
// of actions hold their members.
func TestRolesAndSchema(t *testing.T) {
	routes := []enforce.Route{{Pattern: "GET /a", Authenticated: true}}
	asked := func(cfg guard.RemoteConfig, action string) (d gatehouse.Decision) {
		cfg.Routes = routes
		status, body := within(t, cfg, "GET", nil, func(_ http.ResponseWriter, r *http.Request) {
			d = guard.Allowed(r.Context(), action, gatehouse.Resource{Type: "Document", ID: "1", Attributes: map[string]any{"title": "x"}})
		})
		if status != 200 {
			t.Errorf("%d %s", status, body)
		}
		return d
	}
	group := guard.RemoteConfig{Schema: schema, Policies: `permit (principal, action in Action::"reading", resource is Document);`}
	for action, want := range map[string]bool{"read": true, "list": true, "write": false} {
		if d := asked(group, action); d.Allowed != want {
			t.Errorf("%s: %+v", action, d)
		}
	}
	described := []policy.Role{{Name: "reader", Realm: "main", Permissions: []policy.Permission{{Actions: []string{"read"}, ResourceType: "Document"}}}}
	for what, c := range map[string]struct {
		cfg  guard.RemoteConfig
		want bool
	}{
		"described":               {guard.RemoteConfig{Roles: described}, true},
		"not described":           {guard.RemoteConfig{}, false},
		"held by another's claim": {guard.RemoteConfig{Roles: described, RolesClaim: "groups"}, false},
	} {
		if d := asked(c.cfg, "read"); d.Allowed != c.want {
			t.Errorf("a role that is %s: %+v", what, d)
		}
	}
}

// TestTimeOfARoute: a handler has the time that its route names, and where it names none,
// no end is set.
func TestTimeOfARoute(t *testing.T) {
	for d, bounded := range map[time.Duration]bool{0: false, time.Minute: true} {
		began := time.Now()
		status, body := within(t, guard.RemoteConfig{Routes: []enforce.Route{{Pattern: "GET /a", Authenticated: true, Timeout: d}}},
			"GET", nil, func(w http.ResponseWriter, r *http.Request) {
				end, has := r.Context().Deadline()
				fmt.Fprint(w, has, r.Context().Err(), has && (end.Before(began.Add(d)) || end.After(time.Now().Add(d))))
			})
		if status != 200 || body != fmt.Sprint(bounded, error(nil), false) {
			t.Errorf("a time of %s: %d %q", d, status, body)
		}
	}
}

// TestBoundOfABody: a body whose length is not told is bounded like one whose length is,
// by the route, or by the guard where the route says nothing.
func TestBoundOfABody(t *testing.T) {
	for _, c := range []struct {
		route, guard int64
		body         string
		want         string
	}{
		{0, 5, "12345", "12345 <nil>"}, {0, 5, "123456", "too large"},
		{7, 5, "1234567", "1234567 <nil>"}, {7, 5, "12345678", "too large"},
		{3, 5, "123", "123 <nil>"}, {3, 5, "1234", "too large"},
	} {
		for _, told := range []bool{true, false} {
			var body io.Reader = strings.NewReader(c.body)
			if !told {
				body = io.MultiReader(body)
			}
			status, text := within(t, guard.RemoteConfig{MaxBodyBytes: c.guard, Routes: []enforce.Route{{Pattern: "POST /a", Authenticated: true, MaxBodyBytes: c.route}}},
				"POST", body, func(w http.ResponseWriter, r *http.Request) {
					got, err := io.ReadAll(r.Body)
					if err != nil {
						http.Error(w, "too large", http.StatusRequestEntityTooLarge)
						return
					}
					fmt.Fprint(w, string(got), " ", err)
				})
			if !strings.Contains(text, c.want) || (status == 413) != (c.want == "too large") {
				t.Errorf("%d bytes, told %v, route %d, guard %d: %d %s", len(c.body), told, c.route, c.guard, status, text)
			}
		}
	}
}

// TestAnswersOfCallersAreNotKept: what a known caller was answered stays in no cache
// unless the handler says so; what everybody may have is the handler's own affair.
func TestAnswersOfCallersAreNotKept(t *testing.T) {
	key := newKey(t)
	srv, _ := remote(t, guard.RemoteConfig{JWKS: jwksOf(t, key)})
	if res, _ := call(t, "GET", srv.URL+"/private", "", bearer(access(t, key, nil))); res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("for a known caller: %v", res.Header)
	}
	if res, _ := call(t, "GET", srv.URL+"/public", "", nil); res.Header.Get("Cache-Control") != "" {
		t.Errorf("for everybody: %v", res.Header)
	}
}
