package enforce

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestRecheck: everything that would keep a request out now is found, and nothing
// is recorded, used up or changed by looking.
func TestRecheck(t *testing.T) {
	route := Route{Pattern: "GET /stream/{id}", Authenticated: true, Roles: []string{"user"}, Action: "read",
		Resource: &ResourceRule{Type: "Document", ID: "{id}"}, RatePrincipal: limit.Rate{Limit: 1, Window: time.Hour}}
	for name, change := range map[string]func(f *fakes, p *Pipeline){
		"":                      func(*fakes, *Pipeline) {},
		"credential revoked":    func(f *fakes, _ *Pipeline) { f.authErr = gatehouse.E(gatehouse.Unauthenticated, "token_revoked", "") },
		"role taken away":       func(f *fakes, _ *Pipeline) { f.roles = nil },
		"policy changed":        func(f *fakes, _ *Pipeline) { f.decide = refuse },
		"route gone":            func(_ *fakes, p *Pipeline) { _ = p.SetRoutes([]Route{{Pattern: "GET /other", Authenticated: true}}) },
		"decision point broken": func(f *fakes, _ *Pipeline) { f.panicOn = "decide" },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakes()
			f.roles = []string{"user"}
			p := f.pipeline(t, route)
			r := request("GET", "/stream/7", "", "Authorization", bearer)
			x := p.Begin(AtGateway, r)
			if v := x.Check(r); !v.Allowed {
				t.Fatalf("%+v", v.Err)
			}
			x.Finish(200, 0)
			before := r.PathValue("id")
			change(f, p)
			if f.rule.Uncounted {
				t.Error("the first judgement is no use of the credential")
			}
			for range 3 { // more often than the rate allows requests
				if err := x.Recheck(r); (err != nil) != (name != "") {
					t.Fatalf("%v", err)
				}
			}
			if f.authCalls > 1 && !f.rule.Uncounted {
				t.Error("a look at an open request was counted as a use of the credential")
			}
			if len(f.events) != 1 {
				t.Errorf("%d events for one request", len(f.events))
			}
			if r.PathValue("id") != before {
				t.Error("the request was changed")
			}
			if f.asked[len(f.asked)-1].Resource.ID != "7" {
				t.Errorf("asked about %q", f.asked[len(f.asked)-1].Resource.ID)
			}
		})
	}
}

// TestRecheckWithoutBody: what a body decided is not read again; the rest is.
func TestRecheckWithoutBody(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "POST /ask", Action: "ask", Resource: &ResourceRule{Type: "Question", Source: "body", Attributes: map[string]string{"q": "q"}}})
	r := request("POST", "/ask", `{"q":"why"}`, "Authorization", bearer, "Content-Type", "application/json")
	x := p.Begin(AtGateway, r)
	if v := x.Check(r); !v.Allowed {
		t.Fatalf("%+v", v.Err)
	}
	r.Body = http.NoBody // the API has read it
	f.decide = refuse
	if err := x.Recheck(r); err != nil {
		t.Errorf("%v", err)
	}
	f.authErr = gatehouse.E(gatehouse.Unauthenticated, "token_revoked", "")
	if err := x.Recheck(r); err == nil {
		t.Error("the revoked credential was not seen")
	}
}

// TestRecheckChangesNothing: another goroutine may serve the request meanwhile, so the
// values that a later route would put on it are not put there.
func TestRecheckChangesNothing(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "GET /x/{id}", Authenticated: true})
	r := request("GET", "/x/7", "", "Authorization", bearer, "Sec-Websocket-Protocol", "chat")
	x := p.Begin(AtGateway, r)
	if v := x.Check(r); !v.Allowed {
		t.Fatalf("%+v", v.Err)
	}
	header, ctx, u := r.Header.Clone(), r.Context(), *r.URL
	if err := p.SetRoutes([]Route{{Pattern: "GET /x/{name}", Authenticated: true}}); err != nil {
		t.Fatal(err)
	}
	if err := x.Recheck(r); err != nil {
		t.Fatal(err)
	}
	if r.PathValue("id") != "7" || r.PathValue("name") != "" || !reflect.DeepEqual(r.Header, header) || r.Context() != ctx || *r.URL != u {
		t.Errorf("the request became %+v", r)
	}
	if !reflect.DeepEqual(x.params, map[string]string{"id": "7"}) || x.route.ID != "GET /x/{id}" {
		t.Errorf("the exchange became one of %s with %v", x.route.ID, x.params)
	}
}

// TestRecheckAtItsPoint: a route that has come to need what the point lacks, or to
// refuse pages of other sites, ends what is open there.
func TestRecheckAtItsPoint(t *testing.T) {
	cors := &CORS{Origins: []string{"https://app.example"}, Credentials: true}
	filter := &ListFilter{IDMember: "id", Action: "read", Resource: ResourceRule{Type: "D"}}
	saved := []string{"Authorization", "Basic YWxpY2U6cHc=", "Origin", "https://app.example", "Sec-Websocket-Version", "13"}
	for _, tt := range []struct {
		name        string
		at          Point
		first, then Route
		header      []string
		code        string
	}{
		{"a filter where there is no answer", AtProxy, Route{}, Route{Filter: filter}, []string{"Authorization", bearer}, "route_needs_gateway"},
		{"a filter where there is one", AtGateway, Route{}, Route{Filter: filter}, []string{"Authorization", bearer}, ""},
		{"an origin that is trusted no more", AtGateway, Route{CORS: cors}, Route{}, saved, "cross_origin_refused"},
		{"an origin that is still trusted", AtGateway, Route{CORS: cors}, Route{CORS: cors}, saved, ""},
		{"scopes that are asked now", AtGateway, Route{}, Route{Scopes: []string{"write"}}, []string{"Authorization", bearer}, "insufficient_scope"},
	} {
		f := newFakes()
		tt.first.Pattern, tt.first.Authenticated, tt.then.Pattern, tt.then.Authenticated = "/x", true, "/x", true
		p := f.pipeline(t, tt.first)
		r := request("GET", "/x", "", tt.header...)
		x := p.Begin(tt.at, r)
		if v := x.Check(r); !v.Allowed {
			t.Fatalf("%s: %+v", tt.name, v.Err)
		}
		if err := p.SetRoutes([]Route{tt.then}); err != nil {
			t.Fatal(err)
		}
		if err := x.Recheck(r); (err != nil) != (tt.code != "") || err != nil && gatehouse.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.code)
		}
	}
}
