package policy

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
)

// TestReplace: a set that came about by replacing documents one by one, more of
// them than are kept as differences, decides and counts like one that was compiled
// from what is stored, and the sets on the way stay what they were.
func TestReplace(t *testing.T) {
	texts := []string{
		`permit(principal, action, resource);`,
		`permit(principal == User::"u1", action == Action::"read", resource);`,
		`forbid(principal, action in [Action::"edit", Action::"read"], resource == Doc::"d1") when { context.scheme == "basic" };`,
		`permit(principal in Role::"r1", action, resource is Doc); forbid(principal, action, resource in Folder::"f1");`,
		`forbid(principal is User, action == Action::"list", resource) when { context has acr };`,
		`forbid(principal, action, resource == Doc::"d2") when { context == {} };`,
	}
	roles := []Role{{Name: "r0"}, {Name: "r1", Parents: []string{"r0"}, Permissions: []Permission{{Actions: []string{"edit"}, ResourceType: "Doc"}}}}
	rapid.Check(t, func(t *rapid.T) {
		stored := map[string]Document{}
		input := func() Input {
			in := Input{Roles: roles}
			for _, id := range slices.Sorted(maps.Keys(stored)) {
				in.Documents = append(in.Documents, stored[id])
			}
			return in
		}
		set, err := Compile(input())
		if err != nil {
			t.Fatal(err)
		}
		first := set
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id")
			var d *Document
			if rapid.IntRange(0, 3).Draw(t, "delete") > 0 {
				d = &Document{ID: id, Text: rapid.SampledFrom(texts).Draw(t, "text"), Disabled: rapid.Bool().Draw(t, "disabled")}
			}
			next, err := set.Replace(id, d, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			if delete(stored, id); d != nil {
				stored[id] = *d
			}
			if rapid.Bool().Draw(t, "crowd") { // passes the bound at which differences are merged
				for i := range maxOver / 2 {
					if next, err = next.Replace(fmt.Sprintf("x%d", i), &Document{ID: fmt.Sprintf("x%d", i), Text: texts[1]}, nil, true); err != nil {
						t.Fatal(err)
					}
				}
				for i := range maxOver / 2 {
					if next, err = next.Replace(fmt.Sprintf("x%d", i), nil, nil, true); err != nil {
						t.Fatal(err)
					}
				}
			}
			set = next
			want, err := Compile(input())
			if err != nil {
				t.Fatal(err)
			}
			same(t, set, want)
		}
		if first.Len() != 1 {
			t.Fatalf("the first set has %d policies now", first.Len())
		}
	})
}

// same compares two sets by what they tell and by what they decide.
func same(t *rapid.T, got, want *Set) {
	if got.Len() != want.Len() || !slices.Equal(got.PolicyIDs(), want.PolicyIDs()) || got.bytes != want.bytes || got.cost != want.cost {
		t.Fatalf("%d policies, %d bytes, cost %d; want %d, %d, %d", got.Len(), got.bytes, got.cost, want.Len(), want.bytes, want.cost)
	}
	a, aAll := got.ContextNames()
	b, bAll := want.ContextNames()
	if aAll != bAll || !slices.Equal(a, b) {
		t.Fatalf("context %v, want %v", a, b)
	}
	for _, user := range []string{"u1", "u2"} {
		for _, action := range []string{"read", "edit", "list"} {
			for _, doc := range []string{"d1", "d2", "d3"} {
				principal, err := NewEntity(ref("User", user), nil, []gatehouse.EntityRef{ref("Role", "r1")})
				if err != nil {
					t.Fatal(err)
				}
				resource, err := NewEntity(ref("Doc", doc), nil, []gatehouse.EntityRef{ref("Folder", "f1")})
				if err != nil {
					t.Fatal(err)
				}
				q := Request{Principal: principal, Action: action, Resource: resource, Context: map[string]any{"scheme": "basic"}}
				x, y := got.Evaluate(q), want.Evaluate(q)
				if fmt.Sprint(x) != fmt.Sprint(y) {
					t.Fatalf("%s %s %s: %+v, want %+v", user, action, doc, x, y)
				}
			}
		}
	}
}

// TestReplaceBounds: what is stored piece by piece keeps to the bounds of a whole
// set, so that it loads in one go after a restart.
func TestReplaceBounds(t *testing.T) {
	set := compile(t, Input{})
	if _, err := set.Replace("p", &Document{ID: "p", Text: "permit(principal, action, resource"}, nil, false); err == nil {
		t.Error("a broken text was taken")
	}
	if _, err := set.Replace("p", &Document{ID: "p", Text: "permit(principal, action, resource) when { context.tenant };"}, nil, false); err == nil {
		t.Error("an unknown fact was taken")
	}
	many := make([]byte, 0, MaxDocumentBytes)
	for range 2_500 {
		many = append(many, "permit(principal, action, resource);"...)
	}
	var err error
	for i := range 8 {
		if set, err = set.Replace(fmt.Sprint("m", i), &Document{ID: fmt.Sprint("m", i), Text: string(many)}, nil, false); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := set.Replace("more", &Document{ID: "more", Text: string(many)}, nil, false); err == nil || set.Len() != MaxPolicies {
		t.Errorf("%d policies and more: %v", set.Len(), err)
	}
	if next, err := set.Replace("m0", &Document{ID: "m0", Text: string(many), Disabled: true}, nil, false); err != nil || next.Len() != MaxPolicies-2_500 {
		t.Error("a disabled document still counts", err)
	}
}

// BenchmarkReplace puts one document among n.
func BenchmarkReplace(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := Input{Roles: ExampleRoles(), Schema: &Schema{Text: ExampleDocumentsSchema()}}
			for i := range n {
				in.Documents = append(in.Documents, Document{ID: fmt.Sprint("d", i),
					Text: fmt.Sprintf(`permit(principal == User::"u%d", action == Action::"read", resource is Document);`, i)})
			}
			set := compile(b, in)
			var err error
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				id := fmt.Sprint("d", i%n)
				text := fmt.Sprintf(`permit(principal == User::"v%d", action == Action::"read", resource is Document);`, i)
				if set, err = set.Replace(id, &Document{ID: id, Text: text}, nil, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
