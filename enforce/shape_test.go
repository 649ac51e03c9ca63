package enforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestTemplates: parameters stand in braces, as the pattern names them; braces that
// are no pairs are refused rather than taken as text.
func TestTemplates(t *testing.T) {
	params := map[string]string{"id": "7", "tenant": "a b/c"}
	names := []string{"id", "tenant"}
	for in, want := range map[string]string{"": "", "x": "x", "{id}": "7", "x-{id}": "x-7", "{id}-x": "7-x", "{tenant}:{id}": "a b/c:7", "{id}{id}": "77"} {
		tpl, err := parseTemplate(in, names)
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		if got := tpl.expand(params); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	for in, says := range map[string]string{"{": "not closed", "x{id": "not closed", "}": "not opened", "x}": "not opened", "a}b{id}": "not opened", "{id}}": "not opened", "{other}": `no parameter "other"`, "{}": `no parameter ""`, "{{id}}": "no parameter"} {
		if _, err := parseTemplate(in, names); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", in, err, says)
		}
	}
}

// TestReferences: what may be an id of an entity, or a list of ids; anything else is
// an error and never left out, since a policy may forbid by it.
func TestReferences(t *testing.T) {
	ref := func(id string) gatehouse.EntityRef { return gatehouse.EntityRef{Type: "User", ID: id} }
	for _, tt := range []struct {
		in   any
		want any // nil is an error
	}{
		{"usr_1", ref("usr_1")}, {"", ref("")}, {int64(7), ref("7")}, {int64(-7), ref("-7")}, {decimal.Number("98765432109876543210"), ref("98765432109876543210")},
		{decimal.Number("0.5"), nil}, {true, nil}, {map[string]any{}, nil}, {7.0, nil}, {nil, nil},
		{[]any{}, []any{}}, {[]any{"a", int64(2)}, []any{ref("a"), ref("2")}}, {[]any{"a", true}, nil}, {[]any{"a", []any{"b"}}, nil}, {[]any{[]any{}}, nil}, {[]any{nil}, nil},
	} {
		got, err := reference("User", tt.in)
		if (err != nil) != (tt.want == nil) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%#v: %#v, %v", tt.in, got, err)
		}
	}
}

// TestAttributesOfAMember: which members become attributes, under which names.
func TestAttributesOfAMember(t *testing.T) {
	members := map[string]any{"owner": "u1", "size": int64(3), "gone": nil, "list": []any{"a"}, "object": map[string]any{"x": "y"}, "readers": []any{"u2"}}
	user := func(id string) gatehouse.EntityRef { return gatehouse.EntityRef{Type: "User", ID: id} }
	for _, tt := range []struct {
		name string
		rule ResourceRule
		want map[string]any
	}{
		{"all scalars", ResourceRule{}, map[string]any{"owner": "u1", "size": int64(3)}},
		{"a list that is named as ids", ResourceRule{Entities: map[string]string{"readers": "User", "owner": "User"}}, map[string]any{"owner": user("u1"), "size": int64(3), "readers": []any{user("u2")}}},
		{"named ones alone, whatever they are", ResourceRule{Attributes: map[string]string{"by": "owner", "l": "list", "o": "object", "n": "gone", "a": "absent"}}, map[string]any{"by": "u1", "l": []any{"a"}, "o": map[string]any{"x": "y"}}},
		{"an id under another name", ResourceRule{Attributes: map[string]string{"by": "owner"}, Entities: map[string]string{"by": "User"}}, map[string]any{"by": user("u1")}},
	} {
		got, err := attributes(&tt.rule, members)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
	for name, rule := range map[string]ResourceRule{"an object that should be an id": {Entities: map[string]string{"object": "User"}}, "named": {Attributes: map[string]string{"by": "object"}, Entities: map[string]string{"by": "User"}}} {
		if got, err := attributes(&rule, members); err == nil || got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	// The rule's own attributes win, and there is always a map: none would mean that
	// the entity is looked up.
	if got := withStatic(map[string]any{"a": 1, "b": 2}, map[string]any{"b": 3}); !reflect.DeepEqual(got, map[string]any{"a": 1, "b": 3}) {
		t.Errorf("%v", got)
	}
	for _, static := range []map[string]any{nil, {"a": 1}} {
		if got := withStatic(nil, static); got == nil || len(got) != len(static) {
			t.Errorf("%v: %v", static, got)
		}
	}
}

// TestCollisions: names that a reader without regard to letter case would take for one
// another, or for one that the decision reads, present or not.
func TestCollisions(t *testing.T) {
	for _, tt := range []struct {
		rule    ResourceRule
		members []string
		want    bool
	}{
		{ResourceRule{}, []string{"a", "b"}, false}, {ResourceRule{}, []string{"a", "A"}, true}, {ResourceRule{}, nil, false},
		{ResourceRule{Attributes: map[string]string{"x": "owner"}}, []string{"owner", "x"}, false}, {ResourceRule{Attributes: map[string]string{"x": "owner"}}, []string{"Owner"}, true},
		{ResourceRule{Attributes: map[string]string{"x": "owner"}}, []string{"X"}, false}, // the name in the policy, which no reader of the body looks for
		{ResourceRule{Entities: map[string]string{"owner": "User"}}, []string{"owner"}, false}, {ResourceRule{Entities: map[string]string{"owner": "User"}}, []string{"OWNER"}, true},
		{ResourceRule{Attributes: map[string]string{"owner": "by"}, Entities: map[string]string{"owner": "User"}}, []string{"OWNER", "by"}, false},
	} {
		members := map[string]any{}
		for _, m := range tt.members {
			members[m] = true
		}
		if got := collidesByCase(members, &tt.rule); got != tt.want {
			t.Errorf("%q by %+v: %v", tt.members, tt.rule, got)
		}
	}
}

// TestBoundsOfAnObject: nesting and number of members, at the last that is taken.
func TestBoundsOfAnObject(t *testing.T) {
	deep := func(n int, open, end string) string {
		return `{"a":` + strings.Repeat(open, n) + "1" + strings.Repeat(end, n) + "}"
	}
	wide := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":1`, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	for _, tt := range []struct {
		name, in string
		ok       bool
	}{
		{"as deep as may be", deep(maxDepth, "[", "]"), true}, {"deeper", deep(maxDepth+1, "[", "]"), false},
		{"objects as deep as may be", deep(maxDepth, `{"a":`, "}"), true}, {"deeper objects", deep(maxDepth+1, `{"a":`, "}"), false},
		{"brackets beside one another", `{"a":[[],[],[],[],[],[],[],[],[],[],[],[]],"b":[{},{},{},{},{},{},{},{},{},{},{}]}`, true},
		{"brackets in a text", `{"a":"` + strings.Repeat("[{", 20) + `"}`, true},
		{"brackets behind a text with an escaped quote", `{"a":"\"","b":` + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1) + "}", false},
		{"a text that ends in a backslash", `{"a":"\\","b":` + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1) + "}", false},
		{"brackets in a text behind an escaped quote", `{"a":"\"` + strings.Repeat("[", 20) + `"}`, true},
		{"as many members as may be", wide(maxMembers), true}, {"more members", wide(maxMembers + 1), false},
	} {
		if _, err := parseObject([]byte(tt.in)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestBoundsOfABody: a decision reads no more than its own bound, nor than the
// route's where that is less, and no id is longer than may be.
func TestBoundsOfABody(t *testing.T) {
	body := func(n int) string { return `{"x":"` + strings.Repeat("a", n-len(`{"x":""}`)) + `"}` }
	for _, tt := range []struct {
		name           string
		decision, own  int64
		size           int
		encoding, code string
	}{
		{"the default", 0, 0, DefaultDecisionBody, "", ""}, {"one more than the default", 0, 0, DefaultDecisionBody + 1, "", "body_too_large"},
		{"a bound", 100, 0, 100, "", ""}, {"one more than the bound", 100, 0, 101, "", "body_too_large"},
		{"a bound that makes no sense", -1, 0, 1000, "", ""},
		{"the route's", 100, 50, 50, "", ""}, {"one more than the route's", 100, 50, 51, "", "body_too_large"},
		{"the route takes more than a decision reads", 100, 500, 101, "", "body_too_large"},
		{"identity", 0, 0, 50, "identity", ""}, {"Identity", 0, 0, 50, "Identity", ""}, {"compressed", 0, 0, 50, "br", "content_encoding_unsupported"},
	} {
		for _, chunked := range []bool{false, true} {
			f := newFakes()
			p, err := New(Config{Authenticator: f, Decider: f, Recorder: f, Limiter: limit.New(limit.Config{}), MaxDecisionBody: tt.decision})
			if err == nil {
				err = p.SetRoutes([]Route{{Pattern: "POST /d", Action: "create", Resource: &ResourceRule{Type: "D", Source: "body"}, MaxBodyBytes: tt.own}})
			}
			if err != nil {
				t.Fatal(err)
			}
			in := body(tt.size)
			r := request("POST", "/d", in, "Authorization", bearer, "Content-Type", "application/json")
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			if chunked {
				r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
			}
			v := f.do(p, r)
			code := ""
			if v.Err != nil {
				code = v.Err.Code
			}
			if code != tt.code {
				t.Errorf("%s, chunked %v: %q, want %q", tt.name, chunked, code, tt.code)
			}
			if got, err := io.ReadAll(r.Body); code == "" && (err != nil || string(got) != in || r.ContentLength != int64(len(in)) || r.TransferEncoding != nil) {
				t.Errorf("%s, chunked %v: %d bytes are left, %v %v", tt.name, chunked, len(got), r.ContentLength, r.TransferEncoding)
			}
		}
	}
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "POST /d", Action: "create", Resource: &ResourceRule{Type: "D", Source: "body"}}, Route{Pattern: "GET /d/{id}", Action: "read", Resource: &ResourceRule{Type: "D", ID: "{id}"}})
	for _, encodings := range [][]string{{"identity", "identity"}, {"identity", "gzip"}, {""}} {
		r := request("POST", "/d", "{}", "Authorization", bearer, "Content-Type", "application/json")
		r.Header["Content-Encoding"] = encodings
		if v := f.do(p, r); v.Allowed || v.Err.Code != "content_encoding_unsupported" {
			t.Errorf("%q: %+v", encodings, v.Err)
		}
	}
	for n, ok := range map[int]bool{maxResourceText: true, maxResourceText + 1: false} {
		f.events = nil
		v := f.do(p, request("GET", "/d/"+strings.Repeat("a", n), "", "Authorization", bearer))
		if v.Allowed != ok || !ok && v.Err.Code != "resource_invalid" {
			t.Errorf("an id of %d bytes: %+v", n, v.Err)
		}
		if e := f.events[0]; ok && e.Target != (gatehouse.Target{Type: "D", ID: strings.Repeat("a", 255)}) { // the record's own bound
			t.Errorf("recorded as %+v", e.Target)
		}
	}
}

// TestFetchKeepsTheRest: {name...} in the path that is asked keeps its slashes, each
// segment escaped for itself; as a part of the query it is one value.
func TestFetchKeepsTheRest(t *testing.T) {
	names := []string{"id", "rest"}
	for _, tt := range []struct{ fetch, want string }{
		{"/x/{rest}", "/x/a%20b/c%3Fd"}, {"/x/{rest}/meta", "/x/a%20b/c%3Fd/meta"}, {"/x/{id}/{rest}?of={rest}", "/x/i%2Fd/a%20b/c%3Fd?of=a%20b%2Fc%3Fd"}, {"/x?p={id}/{rest}", "/x?p=i%2Fd/a%20b%2Fc%3Fd"},
		{"/x/{id}", "/x/i%2Fd"},
	} {
		tpl, err := parseTemplate(tt.fetch, names)
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.expandURL(map[string]string{"id": "i/d", "rest": "a b/c?d"}, "rest", "a%20b/c%3Fd"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.fetch, got, tt.want)
		}
	}
}

// TestListsThatCannotBeFiltered: what is no list of objects is an error, and never
// passed on; what cannot be judged is left out.
func TestListsThatCannotBeFiltered(t *testing.T) {
	rule := ListFilter{Items: "items", IDMember: "id", Action: "read", Resource: ResourceRule{Type: "Document", Entities: map[string]string{"owner": "User"}, Static: map[string]any{"kind": "k"}}}
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "GET /d", Authenticated: true, Filter: &rule})
	r := request("GET", "/d", "", "Authorization", bearer)
	x := p.Begin(AtGateway, r)
	v := x.Check(r)
	for in, want := range map[string]string{
		`{"items":[]}`: `{"items":[]}`,
		` { "a" : 1 , "items" : [ {"id":1} , {"id":2} ] , "b\n" : "x" } `: `{"a":1,"items":[{"id":1},{"id":2}],"b\n":"x"}`,
		`{"items":[{"id":1,"owner":true},{"id":2}]}`:                      `{"items":[{"id":2}]}`,                                                           // of the wrong form
		`{"items":[1,{"id":2}]}`:                                          `{"items":[{"id":2}]}`, `{"items":[{"id":{}},{"id":2}]}`: `{"items":[{"id":2}]}`, // what stands behind is judged all the same
		`{"items":[{"id":1.5},{"id":{}},{}]}`: `{"items":[]}`,
		`{"items":{}}`:                        "", `{"items":null}`: "", `{"items":"x"}`: "", `[]`: "", `x`: "", ``: "", `{`: "", `{"a"`: "", `{"a":}`: "", `{"items":[]`: "", `{"items":[1,]}`: "", `{"items":[]}x`: "", `{}`: "",
		`{"items":[` + strings.Repeat(`{"id":1},`, MaxListElements-1) + `{"id":1}]}`: `{"items":[` + strings.Repeat(`{"id":1},`, MaxListElements-1) + `{"id":1}]}`,
	} {
		got, err := p.FilterList(r.Context(), x, v, []byte(in))
		if string(got) != want || (err != nil) != (want == "") || err != nil && gatehouse.CodeOf(err) != "list_unreadable" {
			t.Errorf("%.80s: %.80s, %v", in, got, err)
		}
	}
	if _, err := p.FilterList(r.Context(), x, v, []byte(`{"items":[`+strings.Repeat(`{"id":1},`, MaxListElements)+`{"id":1}]}`)); gatehouse.CodeOf(err) != "list_too_long" {
		t.Errorf("%v", err)
	}
	// Each element is judged by its own members and the rule's, as the caller, who may
	// have been asked for in another context than that of the request.
	f.asked = nil
	if _, err := p.FilterList(r.Context(), x, v, []byte(`{"items":[{"id":"a","n":1}]}`)); err != nil {
		t.Fatal(err)
	}
	if got := gatehouse.RequestFrom(f.ctx); got.ID != x.RequestID() || got.Method != "GET" || got.Path != "/d" {
		t.Errorf("the policies are told of the request %+v", got)
	}
	want := gatehouse.AccessRequest{Principal: alice, Action: "read", Resource: gatehouse.Resource{Type: "Document", ID: "a", Attributes: map[string]any{"id": "a", "n": int64(1), "kind": "k"}}}
	if !reflect.DeepEqual(f.asked[0], want) {
		t.Errorf("%+v, want %+v", f.asked[0], want)
	}
	x.Finish(200, 0)
	if s := f.events[0].Chain[len(f.events[0].Chain)-1]; s.Name != "filter" || s.Note != "1 of 1 elements" {
		t.Errorf("%+v", s)
	}
	// A permit beside an error, and a decision point without one of its parts, permit nothing.
	for code, wrong := range map[string]bool{"policy_unavailable": true, "directory_unavailable": true, "evaluation_error": false} {
		f.decide = func(gatehouse.AccessRequest) gatehouse.Decision {
			return gatehouse.Decision{Allowed: true, Code: code, Errors: []string{"broken"}}
		}
		got, err := p.FilterList(r.Context(), nil, v, []byte(`{"items":[{"id":1}]}`))
		if wrong && (!errors.Is(err, gatehouse.Unavailable) || got != nil) || !wrong && (err != nil || string(got) != `{"items":[]}`) {
			t.Errorf("%s: %s, %v", code, got, err)
		}
	}
	ended, end := context.WithCancel(r.Context())
	end()
	if got, err := p.FilterList(ended, nil, v, []byte(`{"items":[{"id":1}]}`)); !errors.Is(err, context.Canceled) || got != nil {
		t.Errorf("%s, %v", got, err)
	}
	// Each verdict that is no permission for a list.
	for name, change := range map[string]func(*Verdict){"denied": func(v *Verdict) { v.Allowed = false }, "nobody": func(v *Verdict) { v.Principal = nil },
		"no route": func(v *Verdict) { v.Route = nil }, "no filter": func(v *Verdict) { v.Route = &Route{} }} {
		bad := v
		change(&bad)
		if got, err := p.FilterList(r.Context(), nil, bad, []byte(`{"items":[]}`)); !errors.Is(err, gatehouse.Denied) || got != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// TestDenials: how a refused decision is answered, by what is secret and by who asks.
func TestDenials(t *testing.T) {
	rule := &ResourceRule{Type: "D"}
	for _, tt := range []struct {
		name, decision string
		hidden, known  bool
		code           string
	}{
		{"a caller", "no_permit", false, true, "access_denied"}, {"a stranger", "no_permit", false, false, "credential_missing"},
		{"hidden from a caller", "no_permit", true, true, "not_found"}, {"hidden from a stranger", "no_permit", true, false, "not_found"},
		{"no policies", "policy_unavailable", true, true, "decision_unavailable"}, {"no directory", "directory_unavailable", true, false, "decision_unavailable"},
		{"no directory for a caller", "directory_unavailable", false, true, "decision_unavailable"},
	} {
		f := newFakes()
		f.decide = func(gatehouse.AccessRequest) gatehouse.Decision { return gatehouse.Decision{Code: tt.decision} }
		var header []string
		if tt.known {
			header = []string{"Authorization", bearer}
		}
		v := f.do(f.pipeline(t, Route{Pattern: "/x", Anonymous: true, Action: "read", Resource: rule, HideExistence: tt.hidden}), request("GET", "/x", "", header...))
		if v.Allowed || v.Err.Code != tt.code || f.events[0].Reason != tt.decision {
			t.Errorf("%s: %+v, recorded %q", tt.name, v.Err, f.events[0].Reason)
		}
		if lines, invited := v.Header["Www-Authenticate"]; invited != (tt.code == "credential_missing") || invited && len(lines) == 0 {
			t.Errorf("%s: %v", tt.name, v.Header)
		}
	}
}

// TestWhatMayBeRemembered: only a resource that follows from the route and its path
// alone makes an answer that may be remembered; one from a body, an API or the store
// can be another one the next time.
func TestWhatMayBeRemembered(t *testing.T) {
	for source, constant := range map[string]bool{"": true, "upstream": false, "body": false, "stored": false} {
		rule := &ResourceRule{Type: "D", ID: "{id}", Source: source}
		if source == "upstream" {
			rule.Fetch = "/d/{id}"
		}
		f := newFakes()
		f.entity = func(string) (map[string]any, error) { return map[string]any{}, nil }
		r := request("POST", "/d/1", "{}", "Authorization", bearer, "Content-Type", "application/json")
		v := f.do(f.pipeline(t, Route{Pattern: "/d/{id}", Action: "read", Resource: rule}), r)
		if !v.Allowed || f.asked[0].Resource.Constant != constant {
			t.Errorf("source %q: %+v, %+v", source, v.Err, f.asked)
		}
	}
}

// TestEveryDemandCounts: what a route asks beside its policies is asked as well, and
// before them.
func TestEveryDemandCounts(t *testing.T) {
	rule := &ResourceRule{Type: "D"}
	for name, tt := range map[string]struct {
		route Route
		roles []string
		code  string
	}{
		"role and policy":            {Route{Roles: []string{"x"}, Action: "read", Resource: rule}, []string{"x"}, ""},
		"policy without the role":    {Route{Roles: []string{"x"}, Action: "read", Resource: rule}, []string{"y"}, "access_denied"},
		"one of the roles":           {Route{Roles: []string{"x", "y"}}, []string{"y", "z"}, ""},
		"scope and policy":           {Route{Scopes: []string{"read"}, Action: "read", Resource: rule}, nil, ""},
		"policy without the scope":   {Route{Scopes: []string{"write"}, Action: "read", Resource: rule}, nil, "insufficient_scope"},
		"scope without the role":     {Route{Scopes: []string{"read"}, Roles: []string{"x"}}, nil, "access_denied"},
		"role without the scope":     {Route{Scopes: []string{"write"}, Roles: []string{"x"}}, []string{"x"}, "insufficient_scope"},
		"scope of an alternative":    {Route{Scopes: []string{"read"}, AnyOf: []Requirement{{Scopes: []string{"write"}}}}, nil, "insufficient_scope"},
		"authenticated, and a scope": {Route{Authenticated: true, Scopes: []string{"write"}}, nil, "insufficient_scope"},
	} {
		f := newFakes()
		f.roles = tt.roles
		tt.route.Pattern = "/x"
		v := f.do(f.pipeline(t, tt.route), request("GET", "/x", "", "Authorization", bearer))
		if v.Allowed != (tt.code == "") || v.Err != nil && v.Err.Code != tt.code || tt.code != "" && len(f.asked) > 0 {
			t.Errorf("%s: %+v; the policies were asked %d times", name, v.Err, len(f.asked))
		}
	}
}
