package policyfuzz

import (
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

func entity(t *testing.T, typ, id string, attrs map[string]any, parents ...gatehouse.EntityRef) policy.Entity {
	e, err := policy.NewEntity(gatehouse.EntityRef{Type: typ, ID: id}, attrs, parents)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// FuzzPolicy: no text panics; a text that compiles prints to a text that
// compiles and decides the same.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{
		policy.ExampleDocuments(),
		`permit(principal, action, resource);`,
		`@id("a") @reason("r") forbid(principal is User in Role::"user", action in [Action::"read"], resource == Document::"1") unless { context.x < 3 };`,
		`permit(principal, action, resource) when { if principal has n then principal.n * -2 <= 7 else resource.tags.containsAny(["a", "\u{1F600}"]) };`,
		`permit(principal, action, resource) when { ip("10.0.0.1").isInRange(ip("10.0.0.0/8")) && decimal("1.5").lessThan(decimal("2.0")) && "a*b" like "a\*b*" };`,
		`permit(principal, action, resource) when { {"a": 1, b: [1,2]}.b.contains(2) && principal in [User::"u", Role::"user"] && !(principal is N::User) };`,
		`permit(principal, action, resource) when { resource.a["b c"].d has e.f.g };`,
		"permit(principal,action,resource) when {" + strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60) + "};",
		"permit(principal", "\x00", `"`, `@id`, "//", `permit(principal,action,resource) when {"` + `\u{0}"};`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := policy.Compile(policy.Input{Documents: []policy.Document{{ID: "p", Text: text}}})
		if err != nil {
			return
		}
		docs := make([]policy.Document, 0, first.Len())
		for i, id := range first.PolicyIDs() {
			printed, _ := first.PolicyText(id)
			docs = append(docs, policy.Document{ID: "d" + strings.Repeat("x", i%50) + string(rune('a'+i%26)), Text: printed})
			if i >= 20 {
				return
			}
		}
		second, err := policy.Compile(policy.Input{Documents: docs})
		if err != nil {
			t.Fatalf("accepted, but not when printed: %v\n%+v", err, docs)
		}
		for _, q := range []policy.Request{
			{Principal: entity(t, "User", "u", map[string]any{"n": 1, "managed_teams": []string{"a"}}, gatehouse.EntityRef{Type: "Role", ID: "user"}), Action: "read",
				Resource: entity(t, "Document", "1", map[string]any{"owner": gatehouse.EntityRef{Type: "User", ID: "u"}, "tags": []string{"a"}, "visibility": "public"}),
				Context:  map[string]any{"x": 1, "authenticated": true}},
			{Principal: entity(t, "Anonymous", "anonymous", nil), Action: "delete", Resource: entity(t, "Thing", "", nil)},
		} {
			a, b := first.Evaluate(q), second.Evaluate(q)
			if a.Allowed != b.Allowed || a.Code != b.Code || len(a.Reasons) != len(b.Reasons) || len(a.Errors) != len(b.Errors) {
				t.Fatalf("%+v\n%+v\n%+v", a, b, docs)
			}
			if x := first.Explain(q); !reflect.DeepEqual(x.Decision, a) || x.String() == "" {
				t.Fatalf("explained: %+v, decided: %+v", x.Decision, a)
			}
		}
	})
}

// FuzzSchema: no schema text panics, alone or with policies to check.
func FuzzSchema(f *testing.F) {
	for _, s := range []string{
		policy.ExampleDocumentsSchema(), "", "entity User;", `entity A in [A] { a?: Set<{b: Long}> } tags String; action "x y" in [z] appliesTo { principal: A, resource: [A] }; action z;`,
		`namespace N { entity User enum ["a"]; type T = {a: T2}; type T2 = __cedar::Long; action a appliesTo { principal: User, resource: User, context: T }; }`,
		`type T = {t: T}; entity E {t: T};`, `entity E { a: Set<Set<Set<`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := policy.Input{Schema: &policy.Schema{Text: text}}
		if _, err := policy.Compile(in); err != nil {
			return
		}
		in.Roles = policy.ExampleRoles()
		in.Documents = []policy.Document{{ID: "d", Text: policy.ExampleDocuments()}}
		set, err := policy.Compile(in)
		if err != nil {
			return
		}
		q := policy.Request{Principal: entity(t, "User", "u", nil), Action: "read", Resource: entity(t, "Document", "1", nil)}
		if d := set.Evaluate(q); d.Allowed {
			t.Fatalf("nothing is known of the document, and yet: %+v", d)
		}
	})
}
