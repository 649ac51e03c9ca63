package enforce

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestOutcomes: the record of an exchange tells what became of it, by the first step
// that did not succeed; what was never judged is told by its status.
func TestOutcomes(t *testing.T) {
	ok, bad := gatehouse.OutcomeSuccess, gatehouse.OutcomeFailure
	for _, tt := range []struct {
		name    string
		target  string // "" is never judged
		after   []gatehouse.Step
		status  int
		outcome gatehouse.Outcome
		reason  string
	}{
		{name: "never judged", status: 204, outcome: ok},
		{name: "never judged, redirected", status: 399, outcome: ok},
		{name: "never judged, refused", status: 400, outcome: bad},
		{name: "never judged, failed", status: 500, outcome: bad},
		{name: "never judged, a step says why", after: []gatehouse.Step{{Name: "receive", Outcome: gatehouse.OutcomeError, Code: "boom"}}, status: 204,
			outcome: gatehouse.OutcomeError, reason: "boom"},
		{name: "allowed", target: "/x", status: 200, outcome: ok, reason: "permitted"},
		{name: "allowed, and the API refuses", target: "/x", status: 404, outcome: ok, reason: "permitted"}, // its own affair
		{name: "allowed, and then two things go wrong", target: "/x", status: 502, outcome: gatehouse.OutcomeError, reason: "first",
			after: []gatehouse.Step{{Name: "a", Outcome: ok, Code: "fine"}, {Name: "b", Outcome: gatehouse.OutcomeError, Code: "first"}, {Name: "c", Outcome: bad, Code: "second"}}},
		{name: "refused", target: "/nowhere", status: 404, outcome: bad, reason: "no_route"},
		{name: "refused and answered as if it were not", target: "/nowhere", status: 200, outcome: bad, reason: "no_route"},
	} {
		f := newFakes()
		p := f.pipeline(t, Route{Pattern: "/x", Anonymous: true})
		r := request("GET", "/x", "")
		if tt.target != "" {
			r = request("GET", tt.target, "")
		}
		x := p.Begin(AtGateway, r)
		if tt.target != "" {
			x.Check(r)
		}
		for _, s := range tt.after {
			x.Step(s)
		}
		x.Finish(tt.status, 7)
		if e := f.events[0]; e.Outcome != tt.outcome || e.Reason != tt.reason || e.Status != tt.status || e.Bytes != 7 {
			t.Errorf("%s: %+v", tt.name, e)
		}
	}
}

// A request whose steps all pass is refused all the same where none of them allowed it.
func TestPassingIsNotPermission(t *testing.T) {
	f := newFakes()
	f.decide = func(gatehouse.AccessRequest) gatehouse.Decision { return gatehouse.Decision{Code: "permitted"} }
	p := f.pipeline(t, Route{Pattern: "/x", Action: "read", Resource: &ResourceRule{Type: "D"}})
	r := request("GET", "/x", "", "Authorization", bearer)
	x := p.Begin(AtGateway, r)
	v := x.Check(r)
	x.Finish(403, 0)
	if v.Allowed || v.Err == nil || v.Err.Code != "access_denied" || f.events[0].Outcome != gatehouse.OutcomeFailure {
		t.Errorf("%+v, %+v", v, f.events[0])
	}
	// Whoever was let in and whose decision has gone since is kept out as well.
	y := p.Begin(AtGateway, r)
	y.allowed = true
	if err := y.Recheck(r); err == nil {
		t.Error("let in again without a decision")
	}
	z := p.Begin(AtGateway, r)
	if err := z.Recheck(r); !errors.Is(err, gatehouse.Denied) {
		t.Errorf("judged again although it was never let in: %v", err)
	}
}

// TestBegin: what the record knows of every request, whatever becomes of it.
func TestBegin(t *testing.T) {
	f := newFakes()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p, err := New(Config{Authenticator: f, Decider: f, Recorder: f, Limiter: limit.New(limit.Config{}), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	r := request("GET", "/x/y?secret=1", "")
	r.Method, r.Host = strings.Repeat("M", 40), strings.Repeat("h", 300)
	x := p.Begin(AtGateway, r)
	now = now.Add(1500 * time.Microsecond)
	x.Finish(404, 0)
	e := f.events[0]
	if e.Method != strings.Repeat("M", 32) || e.Host != strings.Repeat("h", 255) || e.Path != "/x/y" || e.Address != "192.0.2.7" ||
		e.Micros != 1500 || !e.Time.Equal(now.Add(-1500*time.Microsecond)) || e.Detail != nil || e.RequestID == "" || e.RequestID != x.RequestID() {
		t.Errorf("%+v", e)
	}
	// An id that our own middleware gave stays; one from outside is a detail.
	r = request("GET", "/x", "", "X-Request-Id", "theirs")
	r = r.WithContext(gatehouse.WithRequestID(r.Context(), "req_ours"))
	x = p.Begin(AtGateway, r)
	x.detail("more", "1")
	x.Finish(404, 0)
	if e := f.events[1]; e.RequestID != "req_ours" || !reflect.DeepEqual(e.Detail, map[string]string{"client_request_id": "theirs", "more": "1"}) {
		t.Errorf("%+v", e)
	}
	// Nobody knows the address of a peer on a UNIX socket.
	r = request("GET", "/x", "")
	r.RemoteAddr = "@"
	p.Begin(AtGateway, r).Finish(404, 0)
	if e := f.events[2]; e.Address != "" {
		t.Errorf("%q", e.Address)
	}
}

// TestFactsOfTheRequest: whoever decides learns from the context which request it is,
// and whose.
func TestFactsOfTheRequest(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "POST /x/{id}", Authenticated: true})
	r := request("POST", "/x/1?a=b", "", "Authorization", bearer)
	x := p.Begin(AtGateway, r)
	x.Check(r)
	if got, want := gatehouse.RequestFrom(x.ctx), (gatehouse.RequestFacts{ID: x.RequestID(), Address: "192.0.2.7", Method: "POST", Path: "/x/1"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if who := gatehouse.PrincipalFrom(x.ctx); who != alice {
		t.Errorf("the caller is %+v", who)
	}
}

// TestRefusalKeepsItsReason: a refusal by the route or by the point is recorded as what
// it is, also where a decision had allowed the request before.
func TestRefusalKeepsItsReason(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/cors", Authenticated: true, CORS: &CORS{Origins: []string{"https://app.example"}}},
		Route{Pattern: "/judged", Action: "read", Resource: &ResourceRule{Type: "D"}, CORS: &CORS{Origins: []string{"https://app.example"}}})
	for _, target := range []string{"/cors", "/judged"} {
		f.events = nil
		r := request("GET", target, "", "Authorization", bearer)
		x := p.Begin(AtHandler, r)
		v := x.Check(r)
		x.Finish(403, 0)
		e := f.events[0]
		if s := e.Chain[len(e.Chain)-1]; v.Allowed || v.Decision.Allowed || e.Reason != "route_needs_gateway" || s.Note != "guard cannot follow the route: cors" || s.Reasons != nil {
			t.Errorf("%s: %+v, %+v", target, v, s)
		}
	}
}

// TestErrorsAreNoRefusals: what broke is recorded as an error, what was refused as a
// failure.
func TestErrorsAreNoRefusals(t *testing.T) {
	for kind, want := range map[gatehouse.Kind]gatehouse.Outcome{
		gatehouse.Internal: "error", gatehouse.Unavailable: "error", gatehouse.BadGateway: "error", gatehouse.GatewayTimeout: "error",
		gatehouse.Invalid: "failure", gatehouse.Unauthenticated: "failure", gatehouse.Denied: "failure", gatehouse.RateLimited: "failure",
	} {
		f := newFakes()
		f.authErr = gatehouse.E(kind, "some_code", "")
		p := f.pipeline(t, Route{Pattern: "/x", Authenticated: true})
		f.do(p, request("GET", "/x", "", "Authorization", bearer))
		if e := f.events[0]; e.Outcome != want || e.Reason != "some_code" {
			t.Errorf("%s: %s %s", kind, e.Outcome, e.Reason)
		}
	}
}

// TestVerdictTells: what the answer needs is in the verdict, and nothing that no step
// put there.
func TestVerdictTells(t *testing.T) {
	f := newFakes()
	rate := limit.Rate{Limit: 5, Window: time.Minute}
	p := f.pipeline(t, Route{Pattern: "/free", Authenticated: true}, Route{Pattern: "/address", Authenticated: true, RateAddress: rate},
		Route{Pattern: "/principal", Authenticated: true, RatePrincipal: rate}, Route{Pattern: "/both", Authenticated: true, RateAddress: rate, RatePrincipal: rate},
		Route{Pattern: "/own", Anonymous: true, Credentials: []string{"X-Acme-Key"}})
	for target, want := range map[string]string{"/free": "", "/address": `"address";q=5;w=60`, "/principal": `"principal";q=5;w=60`,
		"/both": `"address";q=5;w=60, "principal";q=5;w=60`, "/nowhere": ""} {
		v := f.do(p, request("GET", target, "", "Authorization", bearer))
		h := http.Header{}
		v.SetHeader(h)
		if h.Get("Ratelimit-Policy") != want || (len(v.Limits) > 0) != (want != "") || h.Get("Retry-After") != "" {
			t.Errorf("%s: %v, %v", target, h, v.Limits)
		}
	}
	// The lines of a refusal go on the answer with the limits.
	h := http.Header{}
	v := f.do(p, request("GET", "/address", ""))
	v.SetHeader(h)
	if len(h["Www-Authenticate"]) != 2 || h.Get("Ratelimit") == "" {
		t.Errorf("%v", h)
	}
	// A stranger is bounded by its address alone.
	v = f.do(f.pipeline(t, Route{Pattern: "/x", Anonymous: true, RatePrincipal: limit.Rate{Limit: 1, Window: time.Hour}}), request("GET", "/x", ""))
	if !v.Allowed || v.Limits != nil {
		t.Errorf("%+v", v)
	}
	// Which header lines end here, and which are the API's own.
	v = f.do(p, request("GET", "/own", "", "Authorization", "Digest theirs", "X-Api-Key", "theirs"))
	if !v.Allowed || !slices.Equal(v.Credentials, []string{"X-Acme-Key"}) || !slices.Equal(v.Foreign, []string{"Authorization", "X-Api-Key"}) || v.InURL || v.Subprotocol != "" {
		t.Errorf("%+v", v)
	}
	v = f.do(p, request("GET", "/own", "", "Authorization", bearer)) // a key of ours must not reach the API
	if !v.Allowed || len(v.Foreign) > 0 {
		t.Errorf("%+v", v)
	}
	if v = f.do(p, request("GET", "/free", "", "X-Api-Key", sampleKey.Reveal())); !slices.Equal(v.Credentials, []string{authn.FieldAuthorization, authn.FieldAPIKey}) || len(v.Foreign) > 0 {
		t.Errorf("%+v", v)
	}
}

// TestRetryAfter: a refusal that passes with time says when; others do not.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "", -time.Second: "", 1: "1", 1500 * time.Millisecond: "2"} {
		f := newFakes()
		e := *gatehouse.ErrRateLimited
		e.RetryAfter = after
		f.authErr = &e
		v := f.do(f.pipeline(t, Route{Pattern: "/x", Authenticated: true}), request("GET", "/x", "", "Authorization", bearer))
		if got := v.Header.Get("Retry-After"); got != want {
			t.Errorf("%s: %q, want %q", after, got, want)
		}
	}
}
