package enforcefuzz

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// around accepts every credential as that of one user, and permits everything:
// what is refused is refused by the pipeline.
type around struct{ events int }

func (*around) Authenticate(context.Context, string, authn.Presented, authn.Rule) (*gatehouse.Principal, error) {
	return &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1"}, nil
}
func (*around) Supports(gatehouse.Scheme) bool { return true }
func (*around) Decide(context.Context, gatehouse.AccessRequest) gatehouse.Decision {
	return gatehouse.Decision{Allowed: true, Code: "permitted"}
}
func (*around) Roles(context.Context, *gatehouse.Principal) ([]string, error) { return nil, nil }
func (a *around) Record(*gatehouse.Event)                                     { a.events++ }

func pipeline(t testing.TB, a *around, routes ...enforce.Route) *enforce.Pipeline {
	p, err := enforce.New(enforce.Config{Authenticator: a, Decider: a, Recorder: a, Limiter: limit.New(limit.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes(routes); err != nil {
		t.Fatal(err)
	}
	return p
}

// FuzzPath: whatever is let through to the open part of an API does not reach the
// closed part however often the path is decoded and cleaned behind us.
func FuzzPath(f *testing.F) {
	a := &around{}
	p := pipeline(f, a,
		enforce.Route{ID: "open", Pattern: "/open/{rest...}", Anonymous: true},
		enforce.Route{ID: "admin", Pattern: "/admin/{rest...}", Roles: []string{"admin"}})
	for _, s := range []string{"/open/a", "/open/../admin/x", "/open/%2e%2e/admin/x", "/open/..%2fadmin/x", "/open/%252e%252e%252fadmin/x",
		"/open;/../admin/x", "/open/..;/admin/x", `/open/..\admin/x`, "//admin/x", "/open/%25%32%65%25%32%65/admin/x"} {
		f.Add(s, "api.test")
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: "GET", URL: u, Host: host, Header: http.Header{}, RequestURI: target, RemoteAddr: "192.0.2.1:1"}
		before := a.events
		x := p.Begin(enforce.AtGateway, r)
		v := p.Check(x, r)
		x.Finish(200, 0)
		x.Finish(200, 0)
		if a.events != before+1 {
			t.Fatalf("%d events", a.events-before)
		}
		if v.Allowed != (v.Err == nil) {
			t.Fatalf("%+v", v)
		}
		if !v.Allowed {
			return
		}
		seen := u.EscapedPath()
		for range 5 {
			plain, _, _ := strings.Cut(strings.ReplaceAll(seen, `\`, "/"), "?")
			if c := path.Clean(plain); c != "/open" && !strings.HasPrefix(c, "/open/") {
				t.Fatalf("%q may be read as %q", target, c)
			}
			next, err := url.PathUnescape(seen)
			if err != nil || next == seen {
				break
			}
			seen = next
		}
	})
}

// FuzzBody: a decision made from a body leaves the same bytes for the upstream.
func FuzzBody(f *testing.F) {
	a := &around{}
	p := pipeline(f, a, enforce.Route{Pattern: "POST /d", Action: "create", Anonymous: true,
		Resource: &enforce.ResourceRule{Type: "D", Source: "body", Attributes: map[string]string{"owner": "owner"}, Entities: map[string]string{"owner": "User"}}})
	for _, s := range []string{`{}`, `{"owner":"a"}`, `{"owner":"a","Owner":"b"}`, `{"owner":"a","owner":"b"}`, `[]`, `{"a":[[[[]]]]}`, "\xef\xbb\xbf{}"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, body string, chunked bool) {
		r := httptest.NewRequest("POST", "/d", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if chunked {
			r.ContentLength = -1
		}
		x := p.Begin(enforce.AtGateway, r)
		v := p.Check(x, r)
		if !v.Allowed {
			return
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != body || r.ContentLength != int64(len(body)) {
			t.Fatalf("%q became %q", body, got)
		}
	})
}

// FuzzRoutes: a table that is refused leaves the old one in force; one that is
// accepted has taken its place, and a route in it that requires nothing lets
// nobody through.
func FuzzRoutes(f *testing.F) {
	for _, s := range []string{"/a", "GET /a/{id}", "POST /{x...}", "/", "GET /a/{id}/{id}", "get /a", "/a b", "/{", "//a", "/a/../b", "GET  /a", "/%2e", "/a/{$}", "example.com/a", ""} {
		f.Add(s, "", "{id}", "T", "body", uint8(1))
		f.Add(s, "api.test", "", "", "upstream", uint8(0))
	}
	a := &around{}
	f.Fuzz(func(t *testing.T, pattern, host, id, typ, source string, who uint8) {
		p := pipeline(t, a, enforce.Route{ID: "kept", Pattern: "/kept", Anonymous: true})
		r := enforce.Route{ID: "new", Pattern: pattern, Host: host, Anonymous: who&1 != 0, Authenticated: who&2 != 0}
		if who&4 != 0 {
			r.Action, r.Resource = "read", &enforce.ResourceRule{Type: typ, ID: id, Source: source}
		}
		err := p.SetRoutes([]enforce.Route{r})
		ask := func(method, path, host string) (enforce.Verdict, bool) {
			q := &http.Request{Method: method, URL: &url.URL{Path: path}, Host: host, Header: http.Header{}, RequestURI: path, RemoteAddr: "192.0.2.1:1", Body: http.NoBody}
			x := p.Begin(enforce.AtGateway, q)
			defer x.Finish(200, 0)
			v := p.Check(x, q)
			return v, v.Allowed
		}
		if _, ok := ask("GET", "/kept", "x"); ok != (err != nil) && (err != nil || host != "" || !strings.HasSuffix(pattern, "}") && !strings.HasSuffix(pattern, "/") && !strings.HasSuffix(pattern, "/kept")) {
			t.Fatalf("%q: SetRoutes gives %v, and the old route answers %v", pattern, err, ok)
		}
		if err != nil {
			return
		}
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "GET", pattern
		}
		if v, ok := ask(method, strings.TrimSpace(path), host); ok && who&7 == 0 {
			t.Fatalf("%q requires nothing and lets through: %+v", pattern, v)
		}
	})
}
