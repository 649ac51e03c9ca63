package enforce

import (
	"net/http"
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
