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
		x := p.Begin(r)
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
		x := p.Begin(r)
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
