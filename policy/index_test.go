package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
)

const rapidSchema = `entity Role; entity Group in [Group];
entity User in [Role, Group] { n?: Long, boss?: User }; entity Bot in [Group];
entity Folder in [Folder]; entity Doc in [Folder] { owner?: User }; entity Photo in [Folder];
action everything; action reading in [everything]; action writing in [everything];
action read, list in [reading] appliesTo { principal: [User, Bot], resource: [Doc, Photo, Folder], context: { x?: Long } };
action edit in [writing] appliesTo { principal: [User, Bot], resource: [Doc, Photo, Folder], context: { x?: Long } };`

// drawPolicy makes a policy with any shape of scope and conditions that hold,
// fail, or are in error.
func drawPolicy(t *rapid.T, i int) string {
	pick := func(name string, from ...string) string {
		return rapid.SampledFrom(from).Draw(t, fmt.Sprintf("%s%d", name, i))
	}
	effect := pick("effect", "permit", "permit", "permit", "forbid")
	principal := pick("principal", "", "", `== User::"u1"`, `== Bot::"b1"`, `in User::"u1"`, `in Role::"r0"`, `in Role::"r1"`, `in Group::"g0"`, `in Group::"g2"`,
		`is User`, `is Bot`, `is User in Group::"g1"`, `is Bot in Group::"g1"`, `in Action::"read"`)
	action := pick("action", "", `== Action::"read"`, `== Action::"edit"`, `== Action::"reading"`, `in Action::"reading"`, `in Action::"everything"`,
		`in [Action::"read", Action::"edit", Action::"read"]`, `in [Action::"writing", Action::"list"]`, `in []`, `in [Action::"reading", Action::"read"]`)
	resource := pick("resource", "", "", `== Doc::"d1"`, `in Folder::"f0"`, `in Folder::"f2"`, `is Doc`, `is Photo`, `is Doc in Folder::"f1"`, `== User::"u1"`, `in Role::"r0"`)
	cond := pick("cond", "", "", "when { true }", "when { false }", "unless { context.x == 1 }", "when { context.x == 1 }",
		"when { context has x && context.x > 0 }", "when { principal.n + 9223372036854775807 > 0 }", "when { resource.owner == principal }",
		"when { resource has owner && resource.owner in Group::\"g0\" }", "when { principal has boss && principal.boss.n == 1 }", "when { context == {x: 1} }")
	return fmt.Sprintf("%s(principal %s, action %s, resource %s) %s;\n", effect, principal, action, resource, cond)
}

// TestIndexAgreesWithScan: on random sets, the index and the scan of everything
// give the same decision, reasons and errors.
func TestIndexAgreesWithScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var doc strings.Builder
		for i := range rapid.IntRange(1, 25).Draw(t, "policies") {
			doc.WriteString(drawPolicy(t, i))
		}
		in := Input{Documents: []Document{{ID: "p", Text: doc.String()}},
			Roles: []Role{{Name: "r0"}, {Name: "r1", Parents: []string{"r0"}, Permissions: []Permission{{Actions: []string{"edit", "edit"}, ResourceType: "Doc"}}}}}
		s, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "schema") {
			// The policies are wild on purpose and would not validate; what the
			// index needs of a schema is its action groups.
			c, p := compileSchema(rapidSchema)
			if p != nil {
				t.Fatal(p)
			}
			s.schema = c
			s.index = newIndex(c)
			for p := range s.policies {
				s.index.add(p)
			}
		}
		parents := func(name string, from ...gatehouse.EntityRef) []gatehouse.EntityRef {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 3, func(r gatehouse.EntityRef) gatehouse.EntityRef { return r }).Draw(t, name)
		}
		groups := []gatehouse.EntityRef{ref("Group", "g0"), ref("Group", "g1"), ref("Group", "g2"), ref("Group", "loop"), ref("Role", "r0"), ref("Role", "r1"), ref("User", "u1")}
		folders := []gatehouse.EntityRef{ref("Folder", "f0"), ref("Folder", "f1"), ref("Folder", "f2"), ref("Folder", "loop")}
		world := map[gatehouse.EntityRef]Entity{}
		for _, g := range groups[:4] {
			world[g] = mustEntity(t, g, nil, parents("of "+g.ID, groups[:4]...))
		}
		for _, f := range folders {
			world[f] = mustEntity(t, f, nil, parents("of "+f.ID, folders...))
		}
		source := sourceFunc(func(r gatehouse.EntityRef) (Entity, bool, error) { e, ok := world[r]; return e, ok, nil })
		pr := rapid.SampledFrom([]gatehouse.EntityRef{ref("User", "u1"), ref("User", "u2"), ref("Bot", "b1")}).Draw(t, "who")
		rr := rapid.SampledFrom([]gatehouse.EntityRef{ref("Doc", "d1"), ref("Doc", "d2"), ref("Photo", "p"), ref("Folder", "f0"), ref("User", "u1")}).Draw(t, "what")
		attrs := map[string]any{}
		if rapid.Bool().Draw(t, "n") {
			attrs["n"] = 1
			attrs["boss"] = ref("User", "u1")
		}
		owner := map[string]any{}
		if rapid.Bool().Draw(t, "owned") {
			owner["owner"] = pr
		}
		ctx := map[string]any{}
		if rapid.Bool().Draw(t, "x") {
			ctx["x"] = 1
		}
		q := Request{Principal: mustEntity(t, pr, attrs, parents("parents", groups...)), Resource: mustEntity(t, rr, owner, parents("folders", folders...)),
			Action:  rapid.SampledFrom([]string{"read", "list", "edit", "reading", "other"}).Draw(t, "action"),
			Context: ctx, Source: source}
		fast, slow := evaluation{}, evaluation{full: true}
		got, want := fast.run(s, &q), slow.run(s, &q)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("index: %+v\nscan:  %+v\n%s", got, want, doc.String())
		}
		// What is remembered of a principal must not depend on what was asked, nor
		// on a world that has changed since.
		q.Principal = q.Principal.keep()
		other := q
		other.Resource = mustEntity(t, rapid.SampledFrom([]gatehouse.EntityRef{ref("Doc", "d1"), ref("Group", "g0"), ref("User", "u1")}).Draw(t, "before"),
			nil, parents("before's parents", append(folders, groups...)...))
		kept := world
		world = map[gatehouse.EntityRef]Entity{}
		_ = s.Evaluate(other)
		world = kept
		_ = s.Evaluate(other)
		for range 2 {
			if got := s.Evaluate(q); !reflect.DeepEqual(got, want) {
				t.Fatalf("kept: %+v\nscan: %+v\n%s", got, want, doc.String())
			}
		}
		bare, err := Compile(Input{Documents: []Document{{ID: "p", Text: "permit(principal, action, resource);"}}})
		if err != nil {
			t.Fatal(err)
		}
		if d := bare.Evaluate(q); !d.Allowed { // another set remembers for itself
			t.Fatalf("under another set: %+v", d)
		}
		if got := s.Evaluate(q); !reflect.DeepEqual(got, want) {
			t.Fatalf("kept, back again: %+v\nscan: %+v", got, want)
		}
		if x := s.Explain(q); !reflect.DeepEqual(x.Decision, want) {
			t.Fatalf("explain: %+v\nscan: %+v", x.Decision, want)
		}
	})
}

func mustEntity(t *rapid.T, r gatehouse.EntityRef, attrs map[string]any, parents []gatehouse.EntityRef) Entity {
	e, err := NewEntity(r, attrs, parents)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// BenchmarkEvaluate decides with the documents example among n policies: the cost
// must not depend on n.
func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := Input{Roles: ExampleRoles(), Documents: []Document{{ID: "documents", Text: ExampleDocuments()}}}
			var filler strings.Builder
			docs := 0
			flush := func() {
				in.Documents = append(in.Documents, Document{ID: fmt.Sprintf("filler%d", docs), Text: filler.String()})
				docs++
				filler.Reset()
			}
			for i := range n - 7 {
				fmt.Fprintf(&filler, "permit(principal in Role::\"team%d\", action in [Action::\"read\", Action::\"update\"], resource is Document) when { resource.team == \"t%d\" };\n", i, i)
				if filler.Len() > 200<<10 {
					flush()
				}
			}
			if filler.Len() > 0 {
				flush()
			}
			s := compile(b, in)
			if s.Len() < n {
				b.Fatal(s.Len())
			}
			p := person(b, s, "bob", nil, "user")
			r := entity(b, "Document", "1", map[string]any{"owner": ref("User", "bob"), "team": "red", "visibility": "private"})
			q := Request{Principal: p, Action: "update", Resource: r, Context: facts()}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if !s.Evaluate(q).Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkCompile compiles a large realm with a schema.
func BenchmarkCompile(b *testing.B) {
	in := Input{Roles: ExampleRoles(), Schema: &Schema{Text: ExampleDocumentsSchema()}}
	for i := range 1_000 {
		in.Documents = append(in.Documents, Document{ID: fmt.Sprintf("d%d", i), Text: ExampleDocuments()})
	}
	for range b.N {
		compile(b, in)
	}
}
