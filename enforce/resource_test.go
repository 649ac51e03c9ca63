package enforce

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

func TestBodyResource(t *testing.T) {
	rule := &ResourceRule{Type: "Document", Source: "body", Attributes: map[string]string{"owner": "owner", "size": "size", "tags": "tags"},
		Entities: map[string]string{"owner": "User"}, Static: map[string]any{"kind": "new"}}
	tests := []struct {
		name, body, ctype, encoding string
		code                        string
		attrs                       map[string]any
	}{
		{name: "good", body: ` {"owner":"usr_1", "size":9007199254740993,"tags":["a"],"other":{"x":1}} `,
			attrs: map[string]any{"owner": gatehouse.EntityRef{Type: "User", ID: "usr_1"}, "size": int64(9007199254740993), "tags": []any{"a"}, "kind": "new"}},
		{name: "numeric owner", body: `{"owner":1234567890123456789}`, attrs: map[string]any{"owner": gatehouse.EntityRef{Type: "User", ID: "1234567890123456789"}, "kind": "new"}},
		{name: "owner as 1e0", body: `{"owner":12e1}`, attrs: map[string]any{"owner": gatehouse.EntityRef{Type: "User", ID: "120"}, "kind": "new"}},
		{name: "owner beyond int64", body: `{"owner":98765432109876543210}`, attrs: map[string]any{"owner": gatehouse.EntityRef{Type: "User", ID: "98765432109876543210"}, "kind": "new"}},
		{name: "owner is a fraction", body: `{"owner":1234567890123456789.5}`, code: "resource_invalid"},
		{name: "static wins", body: `{"kind":"old"}`, attrs: map[string]any{"kind": "new"}},
		{name: "null is absent", body: `{"owner":null}`, attrs: map[string]any{"kind": "new"}},
		{name: "other case of a name that counts", body: `{"Owner":"usr_2"}`, code: "body_ambiguous"},
		{name: "both cases", body: `{"owner":"usr_1","OWNER":"usr_2"}`, code: "body_ambiguous"},
		{name: "long s folds", body: `{"tag` + "\u017f" + `":1}`, code: "body_ambiguous"},
		{name: "two others", body: `{"x":1,"X":2}`, code: "body_ambiguous"},
		{name: "duplicate", body: `{"owner":"usr_1","owner":"usr_2"}`, code: "json_invalid"},
		{name: "escaped duplicate", body: `{"owner":"usr_1","\u006fwner":"usr_2"}`, code: "json_invalid"},
		{name: "owner is no id", body: `{"owner":true}`, code: "resource_invalid"},
		{name: "owner is an object", body: `{"owner":{"id":1}}`, code: "resource_invalid"},
		{name: "array", body: `[]`, code: "json_invalid"},
		{name: "null", body: `null`, code: "json_invalid"},
		{name: "trailing", body: `{}{}`, code: "json_invalid"},
		{name: "deep", body: `{"tags":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, code: "json_invalid"},
		{name: "empty", body: ``, code: "body_missing"},
		{name: "form", body: `{}`, ctype: "application/x-www-form-urlencoded", code: "content_type_unsupported"},
		{name: "charset UTF-8", body: `{}`, ctype: "application/json; charset=UTF-8", attrs: map[string]any{"kind": "new"}},
		{name: "quoted charset", body: `{}`, ctype: `application/vnd.x+json;charset="utf-8"`, attrs: map[string]any{"kind": "new"}},
		{name: "utf-7", body: `{}`, ctype: "application/json; charset=utf-7", code: "content_type_unsupported"},
		{name: "latin", body: `{}`, ctype: "application/json; charset=iso-8859-1", code: "content_type_unsupported"},
		{name: "utf-16", body: `{}`, ctype: "application/json;charset=UTF-16", code: "content_type_unsupported"},
		{name: "empty charset", body: `{}`, ctype: "application/json; charset=", code: "content_type_unsupported"},
		{name: "two charsets", body: `{}`, ctype: "application/json; charset=utf-8; charset=utf-7", code: "content_type_unsupported"},
		{name: "charset in parts", body: `{}`, ctype: "application/json; charset*0=utf-; charset*1=8", code: "content_type_unsupported"},
		{name: "extended charset", body: `{}`, ctype: "application/json; charset*=us-ascii''utf-8", code: "content_type_unsupported"},
		{name: "other parameter", body: `{}`, ctype: "application/json; version=1", code: "content_type_unsupported"},
		{name: "charset beside another", body: `{}`, ctype: "application/json; charset=utf-8; encoding=utf-7", code: "content_type_unsupported"},
		{name: "byte order mark", body: "\ufeff{}", code: "json_invalid"},
		{name: "method override", body: `{"_method":"DELETE"}`, code: "method_override"},
		{name: "method override as PHP folds it", body: `{" .METHOD":"DELETE"}`, code: "method_override"},
		{name: "gzip", body: `{}`, encoding: "gzip", code: "content_encoding_unsupported"},
		{name: "too large", body: `{"x":"` + strings.Repeat("a", DefaultDecisionBody) + `"}`, code: "body_too_large"},
	}
	for _, tt := range tests {
		for _, chunked := range []bool{false, true} {
			f := newFakes()
			// Whether the route lists content types makes no difference.
			var listed []string
			if chunked {
				listed = []string{"*/*"}
			}
			p := f.pipeline(t, Route{Pattern: "POST /documents", Action: "create", Resource: rule, ContentTypes: listed})
			r := request("POST", "/documents", tt.body, "Authorization", bearer)
			r.Header.Set("Content-Type", "application/json")
			if tt.ctype != "" {
				r.Header.Set("Content-Type", tt.ctype)
			}
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			if chunked {
				r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
			}
			v := f.do(p, r)
			if tt.code != "" {
				if v.Allowed || v.Err.Code != tt.code || len(f.asked) != 0 {
					t.Errorf("%s: %+v", tt.name, v.Err)
				}
				continue
			}
			if !v.Allowed || !reflect.DeepEqual(f.asked[0].Resource.Attributes, tt.attrs) {
				t.Errorf("%s: %+v %+v", tt.name, v.Err, f.asked)
			}
			if got, err := io.ReadAll(r.Body); err != nil || string(got) != tt.body || r.ContentLength != int64(len(tt.body)) {
				t.Errorf("%s: the body is not the same: %q", tt.name, got)
			}
		}
	}
}

func TestBodyIsNotReadForStrangers(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "POST /d", Action: "create", Resource: &ResourceRule{Type: "D", Source: "body"}, Scopes: []string{"write"}})
	r := request("POST", "/d", `{}`, "Content-Type", "application/json", "Authorization", bearer)
	if v := f.do(p, r); v.Allowed {
		t.Fatal("allowed")
	}
	if b, _ := io.ReadAll(r.Body); string(b) != "{}" {
		t.Error("the body was read before the scopes were checked")
	}
}

func TestUpstreamResource(t *testing.T) {
	rule := &ResourceRule{Type: "Document", ID: "{id}", Source: "upstream", Fetch: "/documents/{id}", Entities: map[string]string{"owner": "User"}}
	var asked string
	f := newFakes()
	f.entity = func(path string) (map[string]any, error) {
		asked = path
		return map[string]any{"owner": "usr_1", "public": true, "n": 3.0, "nested": map[string]any{}, "list": []any{}, "null": nil}, nil
	}
	p := f.pipeline(t, Route{Pattern: "GET /documents/{id}", Action: "read", Resource: rule})
	if v := f.do(p, request("GET", "/documents/a%20b", "", "Authorization", bearer)); !v.Allowed || asked != "/documents/a%20b" {
		t.Errorf("%+v, asked for %q", v.Err, asked)
	}
	want := gatehouse.Resource{Type: "Document", ID: "a b", Attributes: map[string]any{
		"owner": gatehouse.EntityRef{Type: "User", ID: "usr_1"}, "public": true, "n": 3.0}}
	if !reflect.DeepEqual(f.asked[0].Resource, want) {
		t.Errorf("%+v", f.asked[0].Resource)
	}
	tests := []struct {
		name   string
		result map[string]any
		err    error
		code   string
	}{
		{"absent", nil, gatehouse.E(gatehouse.NotFound, "entity_not_found", ""), "not_found"},
		{"away", nil, gatehouse.E(gatehouse.BadGateway, "upstream_failed", ""), "upstream_failed"},
		{"slow", nil, gatehouse.E(gatehouse.GatewayTimeout, "upstream_timeout", ""), "upstream_timeout"},
		{"broken", nil, errors.New("boom"), "internal"},
		{"odd form", map[string]any{"owner": true}, nil, "resource_unreadable"},
	}
	for _, tt := range tests {
		f.asked = nil
		f.entity = func(string) (map[string]any, error) { return tt.result, tt.err }
		v := f.do(p, request("GET", "/documents/1", "", "Authorization", bearer))
		if v.Allowed || v.Err.Code != tt.code || len(f.asked) != 0 {
			t.Errorf("%s: %+v", tt.name, v.Err)
		}
	}
}

// Where existence is secret, the answer to "you may not" is the answer to "there
// is none", in every part that the caller sees.
func TestHiddenIsTheSameAsAbsent(t *testing.T) {
	f := newFakes()
	rule := &ResourceRule{Type: "Document", ID: "{id}", Source: "upstream", Fetch: "/documents/{id}"}
	p := f.pipeline(t, Route{Pattern: "GET /documents/{id}", Action: "read", Resource: rule, HideExistence: true})
	f.decide = refuse
	f.entity = func(path string) (map[string]any, error) {
		if path == "/documents/1" {
			return map[string]any{}, nil
		}
		return nil, gatehouse.NotFound
	}
	hidden := f.do(p, request("GET", "/documents/1", "", "Authorization", bearer))
	absent := f.do(p, request("GET", "/documents/2", "", "Authorization", bearer))
	a, b := *hidden.Err, *absent.Err
	a.Cause, b.Cause = nil, nil
	if !reflect.DeepEqual(a, b) || !reflect.DeepEqual(hidden.Header, absent.Header) {
		t.Errorf("%+v %v\n%+v %v", a, hidden.Header, b, absent.Header)
	}
}

func TestNoSourceMeansNoLookup(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{ID: "a", Pattern: "GET /a/{id}", Action: "read", Resource: &ResourceRule{Type: "D", ID: "x-{id}", Static: map[string]any{"n": 1}}},
		Route{ID: "c", Pattern: "GET /c/{id}", Action: "read", Resource: &ResourceRule{Type: "D", ID: "{id}"}},
		Route{ID: "b", Pattern: "GET /b/{id}", Action: "read", Resource: &ResourceRule{Type: "D", ID: "{id}", Source: "stored"}})
	f.do(p, request("GET", "/a/1", "", "Authorization", bearer))
	f.do(p, request("GET", "/b/1", "", "Authorization", bearer))
	if r := f.asked[0].Resource; r.ID != "x-1" || !reflect.DeepEqual(r.Attributes, map[string]any{"n": 1}) {
		t.Errorf("%+v", r)
	}
	f.do(p, request("GET", "/c/1", "", "Authorization", bearer))
	if r := f.asked[2].Resource; r.Attributes == nil {
		t.Errorf("a rule without a source has the entity looked up: %+v", r)
	}
	if r := f.asked[1].Resource; r.Attributes != nil || r.Parents != nil {
		t.Errorf("attributes that are not the stored ones: %+v", r)
	}
}

func TestFilterList(t *testing.T) {
	rule := ListFilter{IDMember: "id", Action: "read", Resource: ResourceRule{Type: "Document", Entities: map[string]string{"owner": "User"}}}
	mine := func(r gatehouse.AccessRequest) gatehouse.Decision {
		return gatehouse.Decision{Allowed: r.Resource.Attributes["owner"] == gatehouse.EntityRef{Type: "User", ID: r.Principal.ID} && r.Action == "read"}
	}
	tests := []struct {
		name, items, in, want, code string
	}{
		{"array", "", `[{"id":1,"owner":"usr_alice", "x": 1.0},{"id":2,"owner":"bob"},{"id":"c","owner":"usr_alice"}]`,
			`[{"id":1,"owner":"usr_alice", "x": 1.0},{"id":"c","owner":"usr_alice"}]`, ""},
		{"member", "items", `{"total":2,"items":[{"id":1,"owner":"bob"}],"next":null}`, `{"total":2,"items":[],"next":null}`, ""},
		{"no id", "", `[{"owner":"usr_alice"},{"id":null,"owner":"usr_alice"},{"id":["a"],"owner":"usr_alice"}]`, `[]`, ""},
		{"not objects", "", `[1,"a",null,["x"]]`, `[]`, ""},
		{"duplicate member", "", `[{"id":1,"owner":"usr_alice","owner":"bob"}]`, "", "list_unreadable"},
		{"no list", "", `{"id":1}`, "", "list_unreadable"},
		{"no such member", "items", `{"data":[]}`, "", "list_unreadable"},
		{"member twice", "items", `{"items":[],"items":[{"id":1}]}`, "", "list_unreadable"},
		{"not json", "", `[{"id":1}`, "", "list_unreadable"},
		{"trailing", "", `[] [{"id":1}]`, "", "list_unreadable"},
		{"trailing after object", "items", `{"items":[]} {}`, "", "list_unreadable"},
		{"too long", "", "[" + strings.Repeat("1,", MaxListElements) + "1]", "", "list_too_long"},
	}
	for _, tt := range tests {
		f := newFakes()
		f.decide = mine
		fl := rule
		fl.Items = tt.items
		p := f.pipeline(t, Route{Pattern: "GET /d", Authenticated: true, Filter: &fl})
		r := request("GET", "/d", "", "Authorization", bearer)
		x := p.Begin(AtGateway, r)
		v := p.Check(x, r)
		got, err := p.FilterList(r.Context(), x, v, []byte(tt.in))
		if tt.code != "" {
			if err == nil || gatehouse.CodeOf(err) != tt.code || got != nil {
				t.Errorf("%s: %s %v", tt.name, got, err)
			}
			continue
		}
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s %v", tt.name, got, err)
		}
	}
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "GET /d", Authenticated: true, Filter: &rule})
	if _, err := p.FilterList(t.Context(), nil, Verdict{}, []byte(`[]`)); err == nil {
		t.Error("filtered for nobody")
	}
	r := request("GET", "/d", "", "Authorization", bearer)
	x := p.Begin(AtGateway, r)
	v := p.Check(x, r)
	f.decide = func(gatehouse.AccessRequest) gatehouse.Decision {
		return gatehouse.Decision{Code: "policy_unavailable"}
	}
	if _, err := p.FilterList(t.Context(), x, v, []byte(`[{"id":1}]`)); gatehouse.KindOf(err) != gatehouse.Unavailable {
		t.Errorf("%v", err)
	}
}

// A parameter of the path is escaped for the place in fetch where it is put.
func TestFetchEscapesByPosition(t *testing.T) {
	var asked string
	f := newFakes()
	f.entity = func(path string) (map[string]any, error) { asked = path; return map[string]any{}, nil }
	for _, tt := range []struct{ pattern, fetch, target, want string }{
		{"/t/{tenant}/doc/{id}", "/x?tenant={tenant}&id={id}", "/t/a&id=mine/doc/victim", "/x?tenant=a%26id%3Dmine&id=victim"},
		{"/d/{id}", "/x?id={id}", "/d/a+b", "/x?id=a%2Bb"},
		{"/d/{id}", "/x?id={id}", "/d/a%20b", "/x?id=a%20b"},
		{"/d/{id}", "/x?id={id}&all=1", "/d/%26%3D", "/x?id=%26%3D&all=1"},
		{"/d/{id}", "/x?{id}=1", "/d/a=b", "/x?a%3Db=1"},
		{"/d/{id}", "/x?id=?{id}", "/d/a&b", "/x?id=?a%26b"},
		{"/d/{path...}", "/x?path={path}", "/d/a/b&c", "/x?path=a%2Fb%26c"},
		{"/d/{path...}", "/x/{path}", "/d/a/b&c", "/x/a/b&c"},
		{"/d/{id}", "/x/{id}?full={id}", "/d/a%25b", "/x/a%25b?full=a%25b"},
	} {
		asked = ""
		p := f.pipeline(t, Route{Pattern: tt.pattern, Action: "read", Resource: &ResourceRule{Type: "D", Source: "upstream", Fetch: tt.fetch}})
		if v := f.do(p, request("GET", tt.target, "", "Authorization", bearer)); !v.Allowed || asked != tt.want {
			t.Errorf("%s for %s: %+v, asked %q, want %q", tt.fetch, tt.target, v.Err, asked, tt.want)
		}
	}
}
