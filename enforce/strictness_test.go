package enforce

import (
	"reflect"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestNarrow: an empty list of schemes accepts all, so only two lists that are not
// empty can have nothing in common.
func TestNarrow(t *testing.T) {
	type list = []gatehouse.Scheme
	for _, tt := range []struct {
		a, b, want list
		ok         bool
	}{
		{nil, nil, nil, true}, {list{"jwt"}, nil, list{"jwt"}, true}, {nil, list{"jwt"}, list{"jwt"}, true}, {list{"jwt"}, list{"jwt"}, list{"jwt"}, true},
		{list{"jwt", "basic", "api_key"}, list{"api_key", "jwt"}, list{"jwt", "api_key"}, true}, {list{"jwt"}, list{"basic"}, nil, false},
	} {
		if got, ok := narrow(tt.a, tt.b); !slices.Equal(got, tt.want) || ok != tt.ok {
			t.Errorf("%v, %v: %v, %v", tt.a, tt.b, got, ok)
		}
	}
}

// TestAcceptedByAlternatives: what any alternative accepts, each once; one that accepts
// all schemes makes the route accept all.
func TestAcceptedByAlternatives(t *testing.T) {
	type list = []gatehouse.Scheme
	for _, tt := range []struct {
		route Route
		want  list
	}{
		{Route{}, nil}, {Route{Schemes: list{"jwt", "basic"}}, list{"jwt", "basic"}},
		{Route{AnyOf: []Requirement{{Schemes: list{"jwt"}}, {Schemes: list{"basic", "jwt"}}}}, list{"jwt", "basic"}},
		{Route{AnyOf: []Requirement{{Schemes: list{"jwt"}}, {Scopes: []string{"a"}}}}, nil},
		{Route{Schemes: list{"jwt"}, AnyOf: []Requirement{{Schemes: list{"jwt"}}, {Scopes: []string{"a"}}}}, list{"jwt"}},
	} {
		if got := acceptedBy(tt.route.alternatives()); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.route, got, tt.want)
		}
	}
	// The route's own scopes are asked in every alternative.
	r := Route{Scopes: []string{"base"}, AnyOf: []Requirement{{Scopes: []string{"a"}}, {}}}
	if got, want := r.alternatives(), []Requirement{{Scopes: []string{"base", "a"}}, {Scopes: []string{"base"}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestNearestAlternative: whoever lacks scopes is told those of the alternative that
// is nearest, of those that take the caller's scheme.
func TestNearestAlternative(t *testing.T) {
	jwt := []gatehouse.Scheme{"jwt"}
	key := []gatehouse.Scheme{"api_key"}
	for _, tt := range []struct {
		name    string
		ways    []Requirement
		held    []string
		missing []string
		asked   []string
	}{
		{"the first of equals", []Requirement{{Scopes: []string{"a"}}, {Scopes: []string{"b"}}}, nil, []string{"a"}, []string{"a"}},
		{"the one that lacks less", []Requirement{{Scopes: []string{"a", "b"}}, {Scopes: []string{"c"}}}, nil, []string{"c"}, []string{"c"}},
		{"the one that lacks less, by what is held", []Requirement{{Scopes: []string{"x"}}, {Scopes: []string{"a", "b", "c"}}, {Scopes: []string{"a", "b", "d", "e"}}}, []string{"b", "d", "a"}, []string{"x"}, []string{"x"}},
		{"more is held of the second", []Requirement{{Scopes: []string{"x", "y"}}, {Scopes: []string{"a", "b"}}}, []string{"a"}, []string{"b"}, []string{"a", "b"}},
		{"another scheme does not count", []Requirement{{Schemes: key, Scopes: []string{"a"}}, {Schemes: jwt, Scopes: []string{"b", "c"}}}, nil, []string{"b", "c"}, []string{"b", "c"}},
		{"met", []Requirement{{Scopes: []string{"x"}}, {Schemes: jwt}}, nil, nil, nil},
		{"no alternative takes the scheme", []Requirement{{Schemes: key, Scopes: []string{"a"}}}, nil, nil, nil},
	} {
		who := *alice
		who.Scheme, who.Scopes = "jwt", tt.held
		c := &compiled{ways: tt.ways}
		var missing []string
		if met := c.nearest(&who); met != nil {
			missing = lacking(&who, met.Scopes)
		}
		if !slices.Equal(missing, tt.missing) || !slices.Equal(c.scopesAsked(&who), tt.asked) {
			t.Errorf("%s: lacks %q, asked for %q", tt.name, missing, c.scopesAsked(&who))
		}
	}
}

// TestLetsInNoMore: a route asks as much as another one when everybody whom it lets in
// would be let in there too, and no faster. Each pair differs in one thing.
func TestLetsInNoMore(t *testing.T) {
	type list = []gatehouse.Scheme
	slow, fast := limit.Rate{Limit: 1, Window: 1e9}, limit.Rate{Limit: 2, Window: 1e9}
	read, other := &ResourceRule{Type: "D", ID: "{id}"}, &ResourceRule{Type: "D", ID: "{id}", Static: map[string]any{"a": "b"}}
	filter := &ListFilter{IDMember: "id", Action: "read", Resource: ResourceRule{Type: "D"}}
	for _, tt := range []struct {
		name string
		c, o Route
		want bool
	}{
		{"the same", Route{Authenticated: true}, Route{Authenticated: true}, true},
		{"closed asks most", Route{Closed: true}, Route{Roles: []string{"x"}}, true},
		{"both closed", Route{Closed: true}, Route{Closed: true}, true},
		{"nothing asks as much as closed", Route{Roles: []string{"x"}}, Route{Closed: true}, false},
		{"anonymous asks least", Route{Anonymous: true}, Route{Anonymous: true}, true},
		{"anybody, and a caller", Route{Anonymous: true}, Route{Authenticated: true}, false},
		{"a caller, and anybody", Route{Authenticated: true}, Route{Anonymous: true}, true},

		{"the same rate by address", Route{Anonymous: true, RateAddress: slow}, Route{Anonymous: true, RateAddress: slow}, true},
		{"a rate by address too much", Route{Anonymous: true, RateAddress: slow}, Route{Anonymous: true}, true},
		{"no rate by address", Route{Anonymous: true}, Route{Anonymous: true, RateAddress: slow}, false},
		{"another rate by address", Route{Anonymous: true, RateAddress: fast}, Route{Anonymous: true, RateAddress: slow}, false},
		{"the same rate by principal", Route{Authenticated: true, RatePrincipal: slow}, Route{Authenticated: true, RatePrincipal: slow}, true},
		{"a rate by principal too much", Route{Authenticated: true, RatePrincipal: slow}, Route{Authenticated: true}, true},
		{"another rate by principal", Route{Authenticated: true, RatePrincipal: fast}, Route{Authenticated: true, RatePrincipal: slow}, false},

		{"the same body", Route{Anonymous: true, MaxBodyBytes: 10}, Route{Anonymous: true, MaxBodyBytes: 10}, true},
		{"a smaller body", Route{Anonymous: true, MaxBodyBytes: 9}, Route{Anonymous: true, MaxBodyBytes: 10}, true},
		{"a larger body", Route{Anonymous: true, MaxBodyBytes: 11}, Route{Anonymous: true, MaxBodyBytes: 10}, false},
		{"any body", Route{Anonymous: true}, Route{Anonymous: true, MaxBodyBytes: 10}, false},
		{"a bound where there is none", Route{Anonymous: true, MaxBodyBytes: 10}, Route{Anonymous: true}, true},
		{"fewer types", Route{Anonymous: true, ContentTypes: []string{"a/b"}}, Route{Anonymous: true, ContentTypes: []string{"a/b", "c/d"}}, true},
		{"more types", Route{Anonymous: true, ContentTypes: []string{"a/b", "c/d"}}, Route{Anonymous: true, ContentTypes: []string{"a/b"}}, false},
		{"types where any is taken", Route{Anonymous: true, ContentTypes: []string{"a/b"}}, Route{Anonymous: true}, true},
		{"any type", Route{Anonymous: true}, Route{Anonymous: true, ContentTypes: []string{"a/b"}}, false},
		{"the same filter", Route{Authenticated: true, Filter: filter}, Route{Authenticated: true, Filter: &ListFilter{IDMember: "id", Action: "read", Resource: ResourceRule{Type: "D"}}}, true},
		{"a filter too much", Route{Authenticated: true, Filter: filter}, Route{Authenticated: true}, true},
		{"another filter", Route{Authenticated: true, Filter: &ListFilter{IDMember: "no", Action: "read", Resource: ResourceRule{Type: "D"}}}, Route{Authenticated: true, Filter: filter}, false},

		{"the same action", Route{Action: "read", Resource: read}, Route{Action: "read", Resource: &ResourceRule{Type: "D", ID: "{id}"}}, true},
		{"an action too much", Route{Action: "read", Resource: read}, Route{Authenticated: true}, true},
		{"another action", Route{Action: "list", Resource: read}, Route{Action: "read", Resource: read}, false},
		{"another realm's policies", Route{Anonymous: true, Action: "read", Resource: read, Realm: "r"}, Route{Anonymous: true, Action: "read", Resource: read}, false},
		{"another rule of the resource", Route{Action: "read", Resource: other}, Route{Action: "read", Resource: read}, false},
		{"the same rule of another parameter", Route{Pattern: "/{x}/{id}", Action: "read", Resource: read}, Route{Action: "read", Resource: read}, false},
		{"anonymous with the same action", Route{Action: "read", Resource: read, Authenticated: true}, Route{Anonymous: true, Action: "read", Resource: read}, true},

		{"another realm", Route{Authenticated: true, Realm: "r"}, Route{Authenticated: true}, false},
		{"another realm of anybody's", Route{Authenticated: true, Realm: "r"}, Route{Anonymous: true}, true},
		{"keys of another environment", Route{Authenticated: true, Environment: "test"}, Route{Authenticated: true}, false},
		{"the same environment", Route{Authenticated: true, Environment: "test"}, Route{Authenticated: true, Environment: "test"}, true},

		{"the same roles", Route{Roles: []string{"x", "y"}}, Route{Roles: []string{"y", "x"}}, true},
		{"fewer roles", Route{Roles: []string{"x"}}, Route{Roles: []string{"x", "y"}}, true}, // any of them lets in
		{"more roles", Route{Roles: []string{"x", "y"}}, Route{Roles: []string{"x"}}, false},
		{"no roles", Route{Authenticated: true}, Route{Roles: []string{"x"}}, false},
		{"roles too much", Route{Roles: []string{"x"}}, Route{Authenticated: true}, true},

		{"the same scopes", Route{Scopes: []string{"a", "b"}}, Route{Scopes: []string{"b", "a"}}, true},
		{"more scopes", Route{Scopes: []string{"a", "b"}}, Route{Scopes: []string{"a"}}, true}, // all of them are asked
		{"fewer scopes", Route{Scopes: []string{"a"}}, Route{Scopes: []string{"a", "b"}}, false},
		{"fewer schemes", Route{Authenticated: true, Schemes: list{"jwt"}}, Route{Authenticated: true, Schemes: list{"jwt", "basic"}}, true},
		{"more schemes", Route{Authenticated: true, Schemes: list{"jwt", "basic"}}, Route{Authenticated: true, Schemes: list{"jwt"}}, false},
		{"every scheme", Route{Authenticated: true}, Route{Authenticated: true, Schemes: list{"jwt"}}, false},
		{"schemes where any is taken", Route{Authenticated: true, Schemes: list{"jwt"}}, Route{Authenticated: true}, true},
		{"the right scopes by another scheme", Route{Scopes: []string{"a"}, Schemes: list{"basic"}}, Route{AnyOf: []Requirement{{Scopes: []string{"a"}, Schemes: list{"jwt"}}, {Scopes: []string{"b"}, Schemes: list{"basic"}}}}, false},
		{"each alternative has one there", Route{AnyOf: []Requirement{{Scopes: []string{"a", "c"}}, {Scopes: []string{"b"}}}}, Route{AnyOf: []Requirement{{Scopes: []string{"b"}}, {Scopes: []string{"a"}}}}, true},
		{"the last alternative has none there", Route{AnyOf: []Requirement{{Scopes: []string{"a"}}, {Scopes: []string{"c"}}}}, Route{AnyOf: []Requirement{{Scopes: []string{"b"}}, {Scopes: []string{"a"}}}}, false},
	} {
		compile := func(r Route) *compiled {
			if r.Pattern == "" {
				r.Pattern = "/{id}"
			}
			c, err := newFakes().pipeline(t).compileRoute(r)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			return c
		}
		if got := compile(tt.c).asksAsMuchAs(compile(tt.o)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestNothingButTheSchemeIsMissing: a principal by a scheme that no alternative takes
// is refused, also should the authenticator have let it through.
func TestNothingButTheSchemeIsMissing(t *testing.T) {
	f := newFakes()
	who := *alice
	who.Scheme = "basic"
	f.principal = &who
	v := f.do(f.pipeline(t, Route{Pattern: "/x", Authenticated: true, Schemes: []gatehouse.Scheme{"jwt", "api_key"}}), request("GET", "/x", "", "Authorization", bearer))
	if v.Allowed || v.Err.Code != "access_denied" || f.events[0].Reason != "scheme_not_accepted" {
		t.Errorf("%+v, recorded %q", v.Err, f.events[0].Reason)
	}
}

// TestRolesThatCannotBeTold: whose roles are refused by the directory is denied; where
// the directory is away, nobody can say, and later is another try.
func TestRolesThatCannotBeTold(t *testing.T) {
	for kind, code := range map[gatehouse.Kind]string{gatehouse.Denied: "access_denied", gatehouse.Unavailable: "decision_unavailable", gatehouse.Internal: "decision_unavailable",
		gatehouse.NotFound: "decision_unavailable"} {
		f := newFakes()
		f.roles, f.rolesErr = []string{"x"}, gatehouse.E(kind, "why", "")
		v := f.do(f.pipeline(t, Route{Pattern: "/x", Roles: []string{"x"}}), request("GET", "/x", "", "Authorization", bearer))
		if v.Allowed || v.Err.Code != code || f.events[0].Reason != "why" {
			t.Errorf("%s: %+v, recorded %q", kind, v.Err, f.events[0].Reason)
		}
	}
}
