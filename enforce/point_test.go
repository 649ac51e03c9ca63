package enforce

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestPointsThatLackSomething: a route is refused exactly at the points that lack what
// it needs, whatever else they have.
func TestPointsThatLackSomething(t *testing.T) {
	everything := Point{Name: "everything", Body: true, Answer: true, Header: true, Handshake: true, URL: true, CORS: true}
	without := func(change func(*Point)) Point { p := everything; change(&p); return p }
	lacking := map[string]Point{
		"filter":                 without(func(p *Point) { p.Answer = false }),
		"cors":                   without(func(p *Point) { p.CORS = false }),
		"resource from the body": without(func(p *Point) { p.Body = false }),
		"credentials in a header line of its own": without(func(p *Point) { p.Header = false }),
		"subprotocol": without(func(p *Point) { p.Handshake = false }),
		"ticket":      without(func(p *Point) { p.URL = false }),
	}
	needs := map[string]Route{
		"filter":                 {Authenticated: true, Filter: &ListFilter{IDMember: "id", Action: "read", Resource: ResourceRule{Type: "D"}}},
		"cors":                   {Authenticated: true, CORS: &CORS{Origins: []string{"https://app.example"}}},
		"resource from the body": {Action: "read", Resource: &ResourceRule{Type: "D", Source: "body"}},
		"credentials in a header line of its own": {Authenticated: true, Credentials: []string{"X-Acme-Key", "Authorization"}},
		"subprotocol": {Authenticated: true, Subprotocol: "gatehouse.bearer"},
		"ticket":      {Authenticated: true, Ticket: "ticket"},
		"nothing":     {Authenticated: true},
		"a policy":    {Action: "read", Resource: &ResourceRule{Type: "D"}},
	}
	for need, route := range needs {
		route.Pattern = "/x"
		f := newFakes()
		p := f.pipeline(t, route)
		ask := func(at Point) (string, string) {
			r := request("GET", "/x", "{}", "Authorization", bearer, "Content-Type", "application/json")
			x := p.Begin(at, r)
			v := x.Check(r)
			if v.Err == nil {
				return "", ""
			}
			return v.Err.Code, authn.Detail(v.Err)
		}
		if code, why := ask(everything); code != "" {
			t.Errorf("%s: refused where there is everything: %s, %s", need, code, why)
		}
		for lack, at := range lacking {
			code, why := ask(at)
			if lack == need && (code != "route_needs_gateway" || why != "everything cannot follow the route: "+need) {
				t.Errorf("%s: %q, %q", need, code, why)
			}
			if lack != need && code != "" {
				t.Errorf("%s: refused for want of %s: %s, %s", need, lack, code, why)
			}
		}
	}
}

// TestBodiesThatARouteTakes: type and size of a body are looked at before anything
// reads it, by the route's bound or else by that of the point.
func TestBodiesThatARouteTakes(t *testing.T) {
	plain := Route{Pattern: "/plain", Authenticated: true}
	text := Route{Pattern: "/text", Authenticated: true, ContentTypes: []string{"text/plain"}}
	small := Route{Pattern: "/small", Authenticated: true, MaxBodyBytes: 4}
	bounded, proxy := AtGateway, AtProxy
	bounded.MaxBody = 8
	p := newFakes().pipeline(t, plain, text, small)
	for _, tt := range []struct {
		name   string
		at     Point
		path   string
		length int64
		ctype  string
		code   string
	}{
		{"any type", AtGateway, "/plain", 3, "image/png", ""},
		{"no bound", AtGateway, "/plain", 1 << 40, "", ""},
		{"the type", AtGateway, "/text", 3, "text/plain", ""},
		{"another type", AtGateway, "/text", 3, "image/png", "content_type_unsupported"},
		{"a body without type", AtGateway, "/text", 3, "", "content_type_unsupported"},
		{"a body of unknown length without type", AtGateway, "/text", -1, "", "content_type_unsupported"},
		{"no body", AtGateway, "/text", 0, "", ""},
		{"a type without a body", AtGateway, "/text", 0, "image/png", ""}, // GET requests of some clients
		{"a type, where the body is not seen", proxy, "/text", 0, "image/png", "content_type_unsupported"},
		{"no type, where the body is not seen", proxy, "/text", 0, "", ""},
		{"as long as the route takes", AtGateway, "/small", 4, "", ""},
		{"longer", AtGateway, "/small", 5, "", "body_too_large"},
		{"of unknown length", AtGateway, "/small", -1, "", ""}, // bounded as it is read
		{"as long as the point takes", bounded, "/plain", 8, "", ""},
		{"longer than the point takes", bounded, "/plain", 9, "", "body_too_large"},
		{"the route's bound before the point's", bounded, "/small", 5, "", "body_too_large"},
	} {
		r := request("POST", tt.path, "", "Authorization", bearer)
		r.Body, r.ContentLength = http.NoBody, tt.length
		if tt.ctype != "" {
			r.Header.Set("Content-Type", tt.ctype)
		}
		x := p.Begin(tt.at, r)
		v := x.Check(r)
		code := ""
		if v.Err != nil {
			code = v.Err.Code
		}
		if code != tt.code || v.Decision.Allowed != (code == "") {
			t.Errorf("%s: %q, want %q", tt.name, code, tt.code)
		}
	}
}

// ticketing is an authenticator that gives tickets, and knows whose tokens are whose.
type ticketing struct {
	*fakes
	err     error
	issued  []string // realm, credential, target of each
	foreign bool     // signed tokens are those of others
	texts   []string // that it was asked about
	realms  []string // that it was asked about
}

func (a *ticketing) IssueTicket(_ context.Context, realm string, p authn.Presented, target string) (gatehouse.Secret, string, error) {
	a.issued = append(a.issued, realm+" "+p.Secret.Reveal()+" "+target)
	return "the ticket", "tkt_1", a.err
}
func (a *ticketing) Recognizes(_ context.Context, text string) bool {
	a.texts = append(a.texts, text)
	return !a.foreign
}
func (a *ticketing) HasImported(_ context.Context, realm string) bool {
	a.realms = append(a.realms, realm)
	return realm == "importing"
}

func (a *ticketing) pipeline(t *testing.T, routes ...Route) *Pipeline {
	t.Helper()
	p, err := New(Config{Authenticator: a, Decider: a.fakes, Recorder: a.fakes, Limiter: limit.New(limit.Config{})})
	if err == nil {
		err = p.SetRoutes(routes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var sampleTicket, _, _ = credential.MintKey(credential.PrefixTicket, gatehouse.EnvironmentLive)

// TestTicketsAreGiven: to a caller that was let in where tickets are given, for the
// request that was asked about, and to nobody else.
func TestTicketsAreGiven(t *testing.T) {
	a := &ticketing{fakes: newFakes()}
	p := a.pipeline(t, Route{Pattern: "GET /x/{id}", Authenticated: true, Ticket: "ticket"}, Route{Pattern: "/open", Anonymous: true, Ticket: "ticket"},
		Route{Pattern: "/none", Authenticated: true})
	r := request("HEAD", "/x/1?a=b", "", "Authorization", bearer)
	r.Host = "API.example"
	x := p.Begin(AtTickets, r)
	if _, err := x.IssueTicket(r); err == nil {
		t.Error("a ticket before the request was judged")
	}
	if v := x.Check(r); !v.Allowed {
		t.Fatalf("%+v", v.Err)
	}
	text, err := x.IssueTicket(r)
	if want := "main " + sampleKey.Reveal() + " GET api.example/x/1"; err != nil || text != "the ticket" || len(a.issued) != 1 || a.issued[0] != want {
		t.Errorf("%v %q, issued %q", err, text, a.issued)
	}
	x.Finish(200, 0)
	if s := a.events[0].Chain[len(a.events[0].Chain)-1]; !reflect.DeepEqual(s, gatehouse.Step{Name: "ticket", Outcome: gatehouse.OutcomeSuccess, Code: "issued", Note: "tkt_1"}) {
		t.Errorf("%+v", s)
	}

	// Each who gets none, and why.
	for _, tt := range []struct {
		name   string
		at     Point
		target string
		header []string
		code   string // of the judgement; "" is allowed
	}{
		{"where requests are served", AtGateway, "/x/1", []string{"Authorization", bearer}, ""},
		{"a route without tickets", AtTickets, "/none", []string{"Authorization", bearer}, "ticket_refused"},
		{"a stranger, though the route takes them", AtTickets, "/open", nil, "credential_missing"},
		{"a ticket for a ticket", AtTickets, "/x/1?ticket=" + sampleTicket.Reveal(), nil, "ticket_refused"},
		{"nobody", AtTickets, "/x/1", nil, "credential_missing"},
	} {
		a.issued = nil
		r := request("GET", tt.target, "", tt.header...)
		x := p.Begin(tt.at, r)
		v := x.Check(r)
		code := ""
		if v.Err != nil {
			code = v.Err.Code
		}
		if text, err := x.IssueTicket(r); code != tt.code || !errors.Is(err, gatehouse.Internal) || text != "" || len(a.issued) > 0 {
			t.Errorf("%s: judged %q, %v, %q", tt.name, code, err, a.issued)
		}
	}
	a.err = gatehouse.E(gatehouse.Unavailable, "store_unavailable", "")
	x = p.Begin(AtTickets, r)
	x.Check(r)
	if text, err := x.IssueTicket(r); !errors.Is(err, a.err) || text != "" {
		t.Errorf("%v, %q", err, text)
	}
	// An authenticator that gives none refuses rather than panics.
	f := newFakes()
	x = f.pipeline(t, Route{Pattern: "/x/{id}", Authenticated: true, Ticket: "ticket"}).Begin(AtTickets, r)
	if v := x.Check(r); !v.Allowed {
		t.Fatalf("%+v", v.Err)
	}
	if _, err := x.IssueTicket(r); !errors.Is(err, gatehouse.Internal) {
		t.Errorf("%v", err)
	}
}

// TestTicketsAreBounded: each is a write, so one principal gets so many a minute, by
// whatever credential and route; another is not held up by it.
func TestTicketsAreBounded(t *testing.T) {
	a := &ticketing{fakes: newFakes()}
	p := a.pipeline(t, Route{Pattern: "/a", Authenticated: true, Ticket: "ticket"}, Route{Pattern: "/b", Authenticated: true, Ticket: "ticket"},
		Route{Pattern: "/other", Realm: "other", Authenticated: true, Ticket: "ticket"})
	give := func(id, realm, path string) error {
		who := *alice
		who.ID, who.Realm = id, realm
		a.principal = &who
		r := request("GET", path, "", "Authorization", bearer)
		x := p.Begin(AtTickets, r)
		if v := x.Check(r); !v.Allowed {
			t.Fatalf("%+v", v.Err)
		}
		_, err := x.IssueTicket(r)
		return err
	}
	for i := range ticketRate.Limit {
		if err := give("usr_1", "main", []string{"/a", "/b"}[i%2]); err != nil {
			t.Fatalf("ticket %d: %v", i+1, err)
		}
	}
	a.issued = nil
	var e *gatehouse.Error
	if err := give("usr_1", "main", "/a"); !errors.As(err, &e) || e.Code != "rate_limited" || e.RetryAfter <= 0 || e.RetryAfter > time.Minute || len(a.issued) > 0 ||
		authn.Detail(err) != "at most 60 in 1m0s by tickets" {
		t.Errorf("%v, issued %q", err, a.issued)
	}
	if err := give("usr_2", "main", "/a"); err != nil {
		t.Errorf("another caller: %v", err)
	}
	if err := give("usr_1", "other", "/other"); err != nil {
		t.Errorf("the same id in another realm: %v", err)
	}
}

// TestTicketInTheURL: the ticket is taken out before anything behind sees the URL, the
// authenticator learns for which request it was sent, and the answer must not repeat
// the URL.
func TestTicketInTheURL(t *testing.T) {
	a := &ticketing{fakes: newFakes()}
	p := a.pipeline(t, Route{Pattern: "GET /x", Authenticated: true, Ticket: "ticket"})
	r := request("GET", "/x?a=1&ticket="+sampleTicket.Reveal()+"&b=2", "")
	r.Host = "API.example"
	x := p.Begin(AtGateway, r)
	v := x.Check(r)
	if !v.Allowed || !v.InURL || r.URL.RawQuery != "a=1&b=2" || a.rule.Target != "GET api.example/x" {
		t.Errorf("%+v, %s, target %q", v, r.URL, a.rule.Target)
	}
	r = request("GET", "/x?a=1", "", "Authorization", bearer)
	if v := a.do(p, r); !v.Allowed || v.InURL || a.rule.Target != "" || r.URL.RawQuery != "a=1" {
		t.Errorf("%+v, %s, target %q", v, r.URL, a.rule.Target)
	}
}

// TestSubprotocolEndsHere: a credential among the subprotocols of a WebSocket's
// handshake is taken out, and what answers the handshake is in the verdict.
func TestSubprotocolEndsHere(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "GET /x", Authenticated: true, Subprotocol: "gatehouse.bearer"})
	r := request("GET", "/x", "", "Sec-Websocket-Protocol", "gatehouse.bearer, gatehouse.bearer."+sampleKey.Reveal()+", chat")
	if v := f.do(p, r); !v.Allowed || v.Subprotocol != "gatehouse.bearer" || !reflect.DeepEqual(r.Header["Sec-Websocket-Protocol"], []string{"chat"}) {
		t.Errorf("%+v, %v", v, r.Header)
	}
}

// TestWhoseTokens: whether a signed token in the URL is one of ours, and whether keys
// of another system count, the authenticator knows, by the realm of the route.
func TestWhoseTokens(t *testing.T) {
	const signed = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
	for _, foreign := range []bool{false, true} {
		a := &ticketing{fakes: newFakes(), foreign: foreign}
		p := a.pipeline(t, Route{Pattern: "GET /x", Anonymous: true})
		v := a.do(p, request("GET", "/x?token="+signed, ""))
		if v.Allowed != foreign || len(a.texts) == 0 || a.texts[0] != signed {
			t.Errorf("a token that is foreign (%v) in the URL: %+v, asked about %q", foreign, v.Err, a.texts)
		}
	}
	f := newFakes()
	if v := f.do(f.pipeline(t, Route{Pattern: "GET /x", Anonymous: true}), request("GET", "/x?token="+signed, "")); v.Allowed {
		t.Error("where nobody tells, a signed token in the URL is taken for somebody else's")
	}
	const imported = "Bearer legacy-key-of-another-system-0123456789"
	for realm, code := range map[string]string{"main": "token_unrecognized", "importing": ""} {
		a := &ticketing{fakes: newFakes()}
		who := *alice
		who.Realm = realm
		a.principal = &who
		p := a.pipeline(t, Route{Pattern: "GET /x", Realm: realm, Authenticated: true})
		v := a.do(p, request("GET", "/x", "", "Authorization", imported))
		step := a.events[0].Chain[1]
		if v.Allowed != (code == "") || step.Name != "extract" || len(a.realms) == 0 || a.realms[0] != realm {
			t.Errorf("%s: %+v, %+v, asked about %q", realm, v.Err, step, a.realms)
		}
		if v.Allowed && step.Code != string(gatehouse.SchemeAPIKey) || !v.Allowed && v.Err.Code != code {
			t.Errorf("%s: %+v, %+v", realm, v.Err, step)
		}
	}
}
