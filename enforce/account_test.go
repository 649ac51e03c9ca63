package enforce

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestNotes: what the record says beside the code of a refusal. Where the caller was
// told another code than the record has, the note names the one that was told.
func TestNotes(t *testing.T) {
	cause := errors.New("why")
	gone := gatehouse.E(gatehouse.NotFound, "entity_gone", "")
	long := strings.Repeat("a", maxNote)
	for _, tt := range []struct {
		name string
		err  *gatehouse.Error
		code string // of the step
		want string
	}{
		{"nothing more to say", ErrPath, "path_ambiguous", ""},
		{"the cause", ErrPath.With(cause), "path_ambiguous", "why"},
		{"another answer", gatehouse.ErrNotFound.With(gone), "entity_gone", "answered as not_found"},
		{"another answer and the cause", gatehouse.ErrNotFound.With(gone.With(cause)), "entity_gone", "answered as not_found; why"},
		{"as long as may be", ErrPath.With(errors.New(long)), "path_ambiguous", long},
		{"longer", ErrPath.With(errors.New(long + "b")), "path_ambiguous", long},
		{"longer with the answer", gatehouse.ErrNotFound.With(gone.With(errors.New(long))), "entity_gone", ("answered as not_found; " + long)[:maxNote]},
	} {
		if got := noteOf(tt.err, tt.code); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestClip: no character is cut in two, whatever bytes a caller sends.
func TestClip(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 0, ""}, {"ab", 3, "ab"}, {"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"abc", 0, ""},
		{"a€b", 1, "a"}, {"a€b", 2, "a"}, {"a€b", 3, "a"}, {"a€b", 4, "a€"}, // the euro sign has three bytes
		{"\x80\x80\x80", 2, ""}, // the middle of a character, and no beginning
	} {
		if got := clip(tt.in, tt.n); got != tt.want {
			t.Errorf("%q at %d: %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

// TestDecisionNotes: what would have allowed it, then what went wrong.
func TestDecisionNotes(t *testing.T) {
	for want, d := range map[string]gatehouse.Decision{
		"":                            {Code: "no_permit"},
		"missing: a":                  {Missing: []string{"a"}},
		"missing: a, b":               {Missing: []string{"a", "b"}},
		"errors: c":                   {Errors: []string{"c"}},
		"missing: a, b; errors: c, d": {Missing: []string{"a", "b"}, Errors: []string{"c", "d"}},
		"errors: " + strings.Repeat("x", maxNote-len("errors: ")): {Errors: []string{strings.Repeat("x", 2*maxNote)}}, // cut
	} {
		if got := decisionNote(d); got != want {
			t.Errorf("%+v: %q, want %q", d, got, want)
		}
	}
}

// TestRefusalsAccount: the record of a refused caller says what the route asked and
// what the caller held of it at that moment, and nothing that is not so.
func TestRefusalsAccount(t *testing.T) {
	doc := &ResourceRule{Type: "Document", ID: "{id}"}
	for _, tt := range []struct {
		name   string
		route  Route
		who    []string // the caller's scopes
		roles  []string
		broken error // of the look-up of roles
		want   map[string]string
	}{
		{"role", Route{Roles: []string{"admin"}}, []string{"read"}, []string{"user", "guest"}, nil,
			map[string]string{"asked": "a caller; role admin", "scopes": "read", "roles": "user guest"}},
		{"nothing held", Route{Roles: []string{"admin"}}, nil, nil, nil, map[string]string{"asked": "a caller; role admin"}},
		{"several scopes held", Route{Scopes: []string{"delete"}}, []string{"read", "write"}, nil, nil,
			map[string]string{"asked": "a caller; scope delete", "scopes": "read write"}},
		{"policy", Route{Action: "read", Resource: doc}, nil, []string{"user"}, nil,
			map[string]string{"asked": "a caller; policies that permit read on Document", "action": "read", "roles": "user"}},
		{"roles cannot be told", Route{Scopes: []string{"delete"}}, nil, []string{"stale"}, errors.New("away"), map[string]string{"asked": "a caller; scope delete"}},
	} {
		f := newFakes()
		f.decide, f.roles, f.rolesErr = refuse, tt.roles, tt.broken
		who := *alice
		who.Scopes = tt.who
		f.principal = &who
		tt.route.Pattern = "GET /x/{id}"
		p := f.pipeline(t, tt.route)
		if v := f.do(p, request("GET", "/x/1", "", "Authorization", bearer)); v.Allowed {
			t.Fatalf("%s: allowed", tt.name)
		}
		if got := f.events[0].Detail; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	// A stranger holds nothing, and what is refused before anybody asked who calls is
	// not accounted for either.
	f := newFakes()
	f.decide = refuse
	p := f.pipeline(t, Route{Pattern: "GET /x/{id}", Action: "read", Resource: doc, Anonymous: true}, Route{Pattern: "GET /seldom", Authenticated: true, RatePrincipal: limit.Rate{Limit: 1, Window: 1e12}})
	f.do(p, request("GET", "/x/1", ""))
	f.do(p, request("GET", "/seldom", "", "Authorization", bearer))
	f.do(p, request("GET", "/seldom", "", "Authorization", bearer))
	for _, i := range []int{0, 2} {
		if e := f.events[i]; e.Outcome != gatehouse.OutcomeFailure || e.Detail != nil {
			t.Errorf("%s %s: %v", e.Outcome, e.Reason, e.Detail)
		}
	}
}

// TestAsked: what a route asks of its callers, in words, for an operator.
func TestAsked(t *testing.T) {
	jwt, key := gatehouse.SchemeJWT, gatehouse.SchemeAPIKey
	doc := &ResourceRule{Type: "Document", ID: "{id}"}
	for _, tt := range []struct {
		route Route
		want  string
	}{
		{Route{Anonymous: true}, "nothing"},
		{Route{Anonymous: true, Action: "read", Resource: doc}, "policies that permit read on Document"},
		{Route{Authenticated: true}, "a caller"},
		{Route{Authenticated: true, Schemes: []gatehouse.Scheme{jwt, key}}, "a caller by jwt or api_key"},
		{Route{Scopes: []string{"a", "b"}, Roles: []string{"x", "y"}}, "a caller; scope a and b; role x or y"},
		{Route{AnyOf: []Requirement{{Schemes: []gatehouse.Scheme{jwt}, Scopes: []string{"a", "b"}}, {Schemes: []gatehouse.Scheme{key}}}},
			"a caller by jwt or api_key; any of: jwt with scope a and b; or api_key"},
		{Route{AnyOf: []Requirement{{Scopes: []string{"a"}}, {Scopes: []string{"b"}}}}, "a caller; any of: scope a; or scope b"},
	} {
		tt.route.Pattern = "GET /x/{id}"
		c, err := newFakes().pipeline(t).compileRoute(tt.route)
		if err != nil {
			t.Fatal(err)
		}
		if c.asked != tt.want {
			t.Errorf("%+v: %q, want %q", tt.route, c.asked, tt.want)
		}
	}
}

// TestMissingCredentialNamesTheAccepted: the record of a 401 for want of a credential
// names those that the route takes, where it does not take all.
func TestMissingCredentialNamesTheAccepted(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/any", Authenticated: true}, Route{Pattern: "/keys", Authenticated: true, Schemes: []gatehouse.Scheme{"api_key", "jwt"}})
	for path, want := range map[string]string{"/any": "", "/keys": "accepted here: api_key or jwt"} {
		f.events = nil
		f.do(p, request("GET", path, ""))
		if s := f.events[0].Chain[len(f.events[0].Chain)-1]; s.Code != "credential_missing" || s.Note != want {
			t.Errorf("%s: %+v, want the note %q", path, s, want)
		}
	}
}
