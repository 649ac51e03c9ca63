package enforce

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestRouteErrors: each wrong route of a list is named by its place, as its events
// would show it, with the route that stands in its way.
func TestRouteErrors(t *testing.T) {
	err := CheckRoutes([]Route{
		{Pattern: "/a", Authenticated: true},
		{Pattern: "/b"},
		{ID: "twin", Host: "api.test", Pattern: "/c", Authenticated: true},
		{ID: "GET /d", Pattern: "GET /d", Anonymous: true, Authenticated: true},
		{ID: "other", Pattern: "/a", Authenticated: true},
		{Host: "api.test", Pattern: "/c", Authenticated: true},
		{ID: "twin", Pattern: "/e", Authenticated: true},
	})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v", err)
	}
	type wrong struct {
		index                int
		name, beside, begins string
	}
	var got []wrong
	for _, e := range joined.Unwrap() {
		r, ok := e.(*RouteError)
		if !ok || !errors.Is(r, r.Err) {
			t.Fatalf("%v", e)
		}
		begins, _, _ := strings.Cut(r.Error(), ": "+r.Err.Error())
		got = append(got, wrong{r.Index, r.Name, r.Beside, begins})
	}
	if want := []wrong{
		{1, "/b", "", "route 2 (/b)"},
		{3, "GET /d", "", "route 4 (GET /d)"},
		{4, "other: /a", "/a", "route 5 (other: /a)"},
		{5, "/c on api.test", "twin", "route 6 (/c on api.test)"},
		{6, "twin: /e", "", "route 7 (twin: /e)"},
	}; !slices.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if !strings.Contains(err.Error(), "matches requests that /a matches too") || !strings.Contains(err.Error(), "twin: /c on api.test matches too") {
		t.Errorf("a conflict does not name the other route: %v", err)
	}
}

// TestCheckRoutesIsOfAGateway: a list is judged as a gateway with everything would,
// which has each scheme and can ask an upstream.
func TestCheckRoutesIsOfAGateway(t *testing.T) {
	upstream := Route{Pattern: "/d/{id}", Action: "read", Resource: &ResourceRule{Type: "D", ID: "{id}", Source: "upstream", Fetch: "/d/{id}"}}
	if err := CheckRoutes([]Route{upstream, {Pattern: "/o", Authenticated: true, Schemes: []gatehouse.Scheme{"opaque"}}}); err != nil {
		t.Error(err)
	}
	f := newFakes()
	p, err := New(Config{Authenticator: f, Decider: f, Recorder: f, Limiter: limit.New(limit.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes([]Route{upstream}); err == nil || !strings.Contains(err.Error(), "needs a gateway") {
		t.Errorf("a pipeline that cannot ask an upstream takes a route that must: %v", err)
	}
}

// TestTableIsBounded: conflicts are looked for in pairs, so the number of routes is
// bounded before anything looks at one of them.
func TestTableIsBounded(t *testing.T) {
	routes := make([]Route, maxRoutes+1) // each of them wrong, which is found quickly
	tooMany := func(n int) bool {
		err := CheckRoutes(routes[:n])
		return strings.Contains(err.Error(), "are more than") && !strings.Contains(err.Error(), "route 1 ")
	}
	if tooMany(maxRoutes) || !tooMany(maxRoutes+1) {
		t.Errorf("%d routes are too many: %v; one more: %v", maxRoutes, tooMany(maxRoutes), tooMany(maxRoutes+1))
	}
}

// TestContradictions: each member that contradicts another is refused, and not only
// all of them together.
func TestContradictions(t *testing.T) {
	doc := &ResourceRule{Type: "Document"}
	scopes, jwt := []string{"x"}, []gatehouse.Scheme{"jwt"}
	any2 := []Requirement{{Scopes: scopes}}
	filter := &ListFilter{IDMember: "id", Action: "read", Resource: ResourceRule{Type: "D"}}
	rate := limit.Rate{Limit: 5}
	for name, tt := range map[string]struct {
		route Route
		says  string // "" is accepted
	}{
		"closed alone":                      {Route{Closed: true}, ""},
		"closed, anonymous":                 {Route{Closed: true, Anonymous: true}, "closed contradicts"},
		"closed, authenticated":             {Route{Closed: true, Authenticated: true}, "closed contradicts"},
		"closed, schemes":                   {Route{Closed: true, Schemes: jwt}, "closed contradicts"},
		"closed, scopes":                    {Route{Closed: true, Scopes: scopes}, "closed contradicts"},
		"closed, any_of":                    {Route{Closed: true, AnyOf: any2}, "closed contradicts"},
		"closed, roles":                     {Route{Closed: true, Roles: scopes}, "closed contradicts"},
		"closed, action":                    {Route{Closed: true, Action: "read"}, "closed contradicts"},
		"closed, resource":                  {Route{Closed: true, Resource: doc}, "closed contradicts"},
		"closed, filter":                    {Route{Closed: true, Filter: filter}, "closed contradicts"},
		"anonymous, authenticated":          {Route{Anonymous: true, Authenticated: true}, "anonymous contradicts"},
		"anonymous, roles":                  {Route{Anonymous: true, Roles: scopes}, "anonymous contradicts"},
		"anonymous, schemes":                {Route{Anonymous: true, Schemes: jwt}, ""}, // a credential may be presented
		"live":                              {Route{Authenticated: true, Environment: "live"}, ""},
		"test":                              {Route{Authenticated: true, Environment: "test"}, ""},
		"a ticket as scheme":                {Route{Authenticated: true, Schemes: []gatehouse.Scheme{"ticket"}}, "not known"}, // it stands for another one
		"scope without a name":              {Route{Scopes: []string{""}}, "scopes need names"},
		"scope without a name, any_of":      {Route{AnyOf: []Requirement{{Scopes: []string{""}}}}, "scopes need names"},
		"the second alternative":            {Route{Schemes: jwt, AnyOf: []Requirement{{Schemes: jwt}, {Schemes: []gatehouse.Scheme{"basic"}}}}, "alternative 2:"},
		"alternative that narrows":          {Route{Schemes: []gatehouse.Scheme{"jwt", "basic"}, AnyOf: []Requirement{{Schemes: jwt}}}, ""},
		"alternative for every scheme":      {Route{Schemes: jwt, AnyOf: []Requirement{{Scopes: scopes}}}, ""},
		"hidden with an action":             {Route{Action: "read", Resource: doc, HideExistence: true}, ""},
		"fetch of another source":           {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "body", Fetch: "/d"}}, "fetch belongs"},
		"fetch without a source":            {Route{Action: "read", Resource: &ResourceRule{Type: "D", Fetch: "/d"}}, "fetch belongs"},
		"fetch with a query":                {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "upstream", Fetch: "/d?x=1"}}, ""},
		"fetch without a slash":             {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "upstream", Fetch: "d"}}, "fetch must be a path"},
		"fetch of an unknown parameter":     {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "upstream", Fetch: "/d/{id}"}}, `fetch: the pattern has no parameter "id"`},
		"entity among all members":          {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "body", Entities: map[string]string{"owner": "User"}}}, ""},
		"entity among the attributes":       {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "body", Attributes: map[string]string{"owner": "o"}, Entities: map[string]string{"owner": "User"}}}, ""},
		"entity that is no attribute":       {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "body", Attributes: map[string]string{"size": "s"}, Entities: map[string]string{"owner": "User"}}}, `"owner" is not among`},
		"stored":                            {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "stored", ID: "one"}}, ""},
		"stored, static":                    {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "stored", ID: "one", Static: map[string]any{"a": "b"}}}, `source "stored"`},
		"stored, attributes":                {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "stored", ID: "one", Attributes: map[string]string{"a": "b"}}}, `source "stored"`},
		"stored, entities":                  {Route{Action: "read", Resource: &ResourceRule{Type: "D", Source: "stored", ID: "one", Entities: map[string]string{"a": "B"}}}, `source "stored"`},
		"rate by address without window":    {Route{Authenticated: true, RateAddress: rate}, "window"},
		"rate by principal without window":  {Route{Authenticated: true, RatePrincipal: rate}, "window"},
		"bounds":                            {Route{Authenticated: true, MaxBodyBytes: 1, Timeout: 1, IdleTimeout: 1, StreamLifetime: 1}, ""},
		"negative body":                     {Route{Authenticated: true, MaxBodyBytes: -1}, "negative"},
		"negative timeout":                  {Route{Authenticated: true, Timeout: -1}, "negative"},
		"negative idle timeout":             {Route{Authenticated: true, IdleTimeout: -1}, "negative"},
		"negative life of a stream":         {Route{Authenticated: true, StreamLifetime: -time.Second}, "negative"},
		"filter":                            {Route{Authenticated: true, Filter: filter}, ""},
		"filter without an action":          {Route{Authenticated: true, Filter: &ListFilter{IDMember: "id", Resource: ResourceRule{Type: "D"}}}, "filter"},
		"filter without an id":              {Route{Authenticated: true, Filter: &ListFilter{Action: "read", Resource: ResourceRule{Type: "D"}}}, "filter"},
		"filter without a type":             {Route{Authenticated: true, Filter: &ListFilter{IDMember: "id", Action: "read"}}, "filter"},
		"host that is empty without a dot":  {Route{Authenticated: true, Host: "."}, "one host name"},
		"host that is a port":               {Route{Authenticated: true, Host: ":443"}, "one host name"},
		"host with a path":                  {Route{Authenticated: true, Host: "a.test/b"}, "one host name"},
		"two hosts":                         {Route{Authenticated: true, Host: "a.test,b.test"}, "one host name"},
		"two hosts with a space":            {Route{Authenticated: true, Host: "a.test b.test"}, "one host name"},
		"host with a user":                  {Route{Authenticated: true, Host: "me@a.test"}, "one host name"},
		"every host":                        {Route{Authenticated: true, Host: "*"}, "one host name"},
		"address as host":                   {Route{Authenticated: true, Host: "[2001:db8::1]:8443"}, ""},
		"credentials nowhere":               {Route{Authenticated: true, Credentials: []string{"none"}}, "for anonymous callers"},
		"credentials nowhere, by policy":    {Route{Action: "read", Resource: doc, Credentials: []string{"none"}}, "for anonymous callers"},
		"credentials nowhere, anonymous":    {Route{Anonymous: true, Credentials: []string{"none"}}, ""},
		"credentials of two ways":           {Route{Authenticated: true, Credentials: []string{"Authorization", "authorization"}}, "twice"},
		"ticket":                            {Route{Authenticated: true, Ticket: "ticket"}, ""},
		"ticket of another method":          {Route{Pattern: "POST /x", Authenticated: true, Ticket: "ticket"}, "for GET"},
		"ticket of GET":                     {Route{Pattern: "GET /x", Authenticated: true, Ticket: "ticket"}, ""},
		"no ticket of another method":       {Route{Pattern: "POST /x", Authenticated: true}, ""},
		"method that is not upper case yet": {Route{Pattern: "Get /x", Authenticated: true}, "methods are upper-case: GET"},
	} {
		if tt.route.Pattern == "" {
			tt.route.Pattern = "/x"
		}
		err := newFakes().pipeline(t).SetRoutes([]Route{tt.route})
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

// noTickets is an authenticator that keeps no tickets.
type noTickets struct{ *fakes }

func (noTickets) Supports(s gatehouse.Scheme) bool { return s != gatehouse.SchemeTicket }

func TestTicketsNeedAKeeper(t *testing.T) {
	f := newFakes()
	p, err := New(Config{Authenticator: noTickets{f}, Decider: f, Recorder: f, Limiter: limit.New(limit.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes([]Route{{Pattern: "/x", Authenticated: true, Ticket: "ticket"}}); err == nil || !strings.Contains(err.Error(), "nobody keeps tickets") {
		t.Errorf("%v", err)
	}
	if err := p.SetRoutes([]Route{{Pattern: "/x", Authenticated: true}}); err != nil {
		t.Errorf("a route without tickets: %v", err)
	}
}

// TestAllowedSaysWhy: the record of a request that no policy judged names the rule of
// the route that let it in.
func TestAllowedSaysWhy(t *testing.T) {
	scopes, roles := []string{"read"}, []string{"user"}
	for want, r := range map[string]Route{
		"anonymous":        {Anonymous: true},
		"authenticated":    {Authenticated: true},
		"scopes":           {Scopes: scopes},
		"roles":            {Roles: roles},
		"scopes and roles": {Scopes: scopes, Roles: roles},
		"any_of":           {AnyOf: []Requirement{{Scopes: scopes}}},
	} {
		f := newFakes()
		f.roles = roles
		r.ID, r.Pattern = "it", "/x"
		p := f.pipeline(t, r)
		v := f.do(p, request("GET", "/x", "", "Authorization", bearer))
		reasons := []gatehouse.Reason{{PolicyID: "route:it", Effect: "permit", Note: want}}
		last := f.events[0].Chain[len(f.events[0].Chain)-1]
		if !v.Allowed || !reflect.DeepEqual(v.Decision.Reasons, reasons) || last.Name != "authorize" || !reflect.DeepEqual(last.Reasons, reasons) {
			t.Errorf("%s: %+v, recorded %+v", want, v, last)
		}
	}
}

// TestIDsOfRoutes: the ids in force, in their order, are what events show; one that is
// not given is made of host and pattern.
func TestIDsOfRoutes(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t)
	if got := p.RouteIDs(); len(got) != 0 {
		t.Errorf("%q without routes", got)
	}
	p = f.pipeline(t, Route{Pattern: "GET /b", Anonymous: true}, Route{Host: "Api.test", Pattern: "/a", Anonymous: true}, Route{ID: "named", Host: "api.test", Pattern: "/c", Anonymous: true})
	want := []string{"GET /b", "Api.test /a", "named"}
	if got := p.RouteIDs(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	r := request("GET", "/a", "")
	r.Host = "api.test"
	if f.do(p, r); f.events[0].Route != "Api.test /a" {
		t.Errorf("the event shows %q", f.events[0].Route)
	}
	if err := p.SetRoutes([]Route{{Pattern: "/"}}); err == nil || !slices.Equal(p.RouteIDs(), want) {
		t.Errorf("a list that was refused changed them to %q", p.RouteIDs())
	}
}

// TestUnclaimed: what no route says anything of, a closed one among them, is free for
// others to answer; what could be read in two ways never is.
func TestUnclaimed(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "GET /a/", Authenticated: true}, Route{Pattern: "/shut", Closed: true}, Route{Host: "b.test", Pattern: "/b", Authenticated: true})
	for _, tt := range []struct {
		method, host, target string
		free                 bool
	}{
		{"GET", "", "/", true}, {"GET", "", "/a", true}, {"POST", "", "/a/", true}, {"GET", "", "/b", true},
		{"GET", "", "/a/x", false}, {"HEAD", "", "/a/x", false}, {"GET", "", "/shut", false}, {"PUT", "", "/shut", false}, {"GET", "B.test:80", "/b", false},
		{"GET", "", "/a/../", false}, {"GET", "", "/?_method=PUT", false}, {"TRACE", "", "/", false},
	} {
		r := request(tt.method, tt.target, "")
		if tt.host != "" {
			r.Host = tt.host
		}
		if got := (&Rules{p, p.routes.Load()}).Unclaimed(r); got != tt.free {
			t.Errorf("%s %s%s: %v, want %v", tt.method, tt.host, tt.target, got, tt.free)
		}
	}
}
