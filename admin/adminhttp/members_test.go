package adminhttp_test

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// schema is what the tests read of a JSON Schema.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Additional json.RawMessage   `json:"additionalProperties"`
	Required   []string          `json:"required"`
	Enum       []any             `json:"enum"`
	Format     string            `json:"format"`
	Pattern    string            `json:"pattern"`
}

// bodySchemas gives each operation's schema of its body, by operation id.
func bodySchemas(t *testing.T) (ops map[string]struct {
	method, path string
	body         schema
}, named map[string]schema) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			ID   string `json:"operationId"`
			Body struct {
				Content map[string]struct{ Schema schema } `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
		Parts struct{ Schemas map[string]schema } `json:"components"`
	}
	if err := json.Unmarshal(testadmin.Must(admin.Document("test")), &doc); err != nil {
		t.Fatal(err)
	}
	ops = map[string]struct {
		method, path string
		body         schema
	}{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			for _, c := range op.Body.Content {
				ops[op.ID] = struct {
					method, path string
					body         schema
				}{strings.ToUpper(method), path, c.Schema}
			}
		}
	}
	return ops, doc.Parts.Schemas
}

// sample makes a value of a schema, with every member that it has when full.
func sample(s schema, named map[string]schema, full bool) any {
	if s.Ref != "" {
		return sample(named[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]], named, full)
	}
	kind, _ := s.Type.(string)
	if list, ok := s.Type.([]any); ok && len(list) > 0 {
		kind, _ = list[0].(string)
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Format == "date-time":
		return "2026-01-01T00:00:00Z"
	case s.Pattern != "":
		return "1h"
	case kind == "object":
		out := map[string]any{}
		for name, p := range s.Properties {
			if full || slices.Contains(s.Required, name) {
				out[name] = sample(p, named, full)
			}
		}
		return out
	case kind == "array":
		return []any{sample(*s.Items, named, full)}
	case kind == "boolean":
		return true
	case kind == "integer", kind == "number":
		return 1
	}
	return "x"
}

// respelled yields v again and again, each time with one member in another letter
// case, and the name that it then has.
func respelled(v any, yield func(name string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			for _, other := range []string{strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:], strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(name, "_", "")} {
				if other == name {
					continue
				}
				changed := maps.Clone(v)
				delete(changed, name)
				changed[other] = inner
				yield(other, changed)
			}
			respelled(inner, func(other string, x any) {
				changed := maps.Clone(v)
				changed[name] = x
				yield(other, changed)
			})
		}
	case []any:
		for i := range v {
			respelled(v[i], func(name string, x any) {
				changed := slices.Clone(v)
				changed[i] = x
				yield(name, changed)
			})
		}
	}
}

// TestMembersInAnotherCase: every member of every body, in another spelling that a
// lenient parser takes for it, is refused by name. {"Disabled":true} answered with
// 200 would be a restriction that nobody enforces.
func TestMembersInAnotherCase(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	ops, named := bodySchemas(t)
	tried := 0
	for id, op := range ops {
		respelled(sample(op.body, named, true), func(name string, body any) {
			tried++
			who := root
			if slices.Contains(public, id) {
				who = ""
			}
			r := h.Call(who, op.method, fill(op.path), body)
			named := func() bool {
				fields, _ := r.JSON["fields"].(map[string]any)
				for f := range fields {
					if f == name || strings.HasSuffix(f, "."+name) {
						return true
					}
				}
				return false
			}
			if r.Status != 422 || !named() {
				t.Errorf("%s with %s: %d %s", id, name, r.Status, r.Body)
			}
		})
	}
	if tried < 150 {
		t.Fatalf("only %d spellings were tried", tried)
	}
}

// TestNumbersStayExact: what the management API stores and judges is what was sent.
func TestNumbersStayExact(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	const big = "1234567890123456789" // as a float64: …768
	send := func(method, path, body string) testadmin.Reply {
		r := httptest.NewRequest(method, adminhttp.Prefix+"/realms/main"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+root)
		return h.Send(r)
	}
	h.Person(root, "main", "bob")
	for path, body := range map[string]string{"/users/bob": `{"attributes":{"n":` + big + `}}`, "/entities/Team/blue": `{"attributes":{"n":` + big + `}}`} {
		method := "PUT"
		if strings.HasPrefix(path, "/users") {
			method = "PATCH"
		}
		if r := send(method, path, body); r.Status != 200 || !strings.Contains(r.Body, big) {
			t.Errorf("%s %s: %d %s", method, path, r.Status, r.Body)
		}
		if r := send("GET", path, ""); !strings.Contains(r.Body, big) {
			t.Errorf("%s is stored as %s", path, r.Body)
		}
		for _, bad := range []string{"9223372036854775808", "1.5", "1e400", "01"} {
			if r := send(method, path, strings.Replace(body, big, bad, 1)); r.Status != 422 && r.Status != 400 {
				t.Errorf("%s of %s: %d %s", path, bad, r.Status, r.Body)
			}
		}
	}
	h.Want(200, root, "PUT", "/realms/main/policies/own", map[string]any{"text": `permit (principal, action, resource) when { resource.owner == ` + big + ` };`})
	question := `{"principal":"bob","action":"read","resource":{"type":"Team","id":"x","attributes":{"owner":` + big + `}}}`
	if r := send("POST", "/decisions", question); r.JSON["allowed"] != true {
		t.Errorf("the owner: %s", r.Body)
	}
	// The neighbour that a float64 cannot tell apart.
	if r := send("POST", "/decisions", strings.Replace(question, big, "1234567890123456768", 1)); r.JSON["allowed"] != false {
		t.Errorf("a neighbour of the owner: %s", r.Body)
	}
	// {"alg":"none"} . {"n":1234567890123456789} . nothing
	if r := send("POST", "/tokens/inspect", `{"token":"eyJhbGciOiJub25lIn0.eyJuIjoxMjM0NTY3ODkwMTIzNDU2Nzg5fQ."}`); !strings.Contains(r.Body, big) {
		t.Errorf("an inspected claim: %s", r.Body)
	}
}
