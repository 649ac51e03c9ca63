package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
)

func ref(typ, id string) gatehouse.EntityRef { return gatehouse.EntityRef{Type: typ, ID: id} }

func entity(t testing.TB, typ, id string, attrs map[string]any, parents ...gatehouse.EntityRef) Entity {
	t.Helper()
	e, err := NewEntity(ref(typ, id), attrs, parents)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func compile(t testing.TB, in Input) *Set {
	t.Helper()
	s, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text1(text string) Input { return Input{Documents: []Document{{ID: "p", Text: text}}} }

func examples(t testing.TB) *Set {
	return compile(t, Input{Roles: ExampleRoles(), Documents: []Document{{ID: "documents", Text: ExampleDocuments()}},
		Schema: &Schema{Text: ExampleDocumentsSchema()}})
}

// person builds a principal with the closure of roles, as package authz does.
func person(t testing.TB, s *Set, id string, teams []string, roles ...string) Entity {
	held := s.AuthorizedRoles(roles)
	attrs := map[string]any{"username": id, "realm": "main", "roles": held, "groups": []string{}}
	if teams != nil {
		attrs["managed_teams"] = teams
	}
	parents := make([]gatehouse.EntityRef, len(held))
	for i, r := range held {
		parents[i] = ref("Role", r)
	}
	return entity(t, "User", id, attrs, parents...)
}

func facts() map[string]any {
	return map[string]any{"authenticated": true, "scheme": "basic", "scopes": []string{"*"}, "time": int64(1)}
}

// TestExampleTable is the table of the documents example: who may do what.
func TestExampleTable(t *testing.T) {
	s := examples(t)
	people := map[string]Entity{
		"alice":     person(t, s, "alice", nil, "admin"),
		"bob":       person(t, s, "bob", nil, "user"),
		"carol":     person(t, s, "carol", nil, "viewer"),
		"dave":      person(t, s, "dave", []string{"blue"}, "manager"),
		"erin":      person(t, s, "erin", nil),
		"anonymous": entity(t, "Anonymous", "anonymous", nil),
	}
	doc := func(owner, team, vis string) Entity {
		return entity(t, "Document", owner+team+vis, map[string]any{"owner": ref("User", owner), "team": team, "visibility": vis})
	}
	docs := map[string]Entity{
		"bobs":   doc("bob", "red", "private"),
		"blue":   doc("zoe", "blue", "team"),
		"public": doc("zoe", "red", "public"),
		"new":    entity(t, "Document", "", nil),
	}
	// letters: r read, u update, d delete, c create, l list
	want := map[string]map[string]string{
		"alice":     {"bobs": "rudcl", "blue": "rudcl", "public": "rudcl", "new": "rudcl"},
		"bob":       {"bobs": "rudcl", "blue": "l", "public": "rl", "new": "cl"},
		"carol":     {"bobs": "l", "blue": "l", "public": "rl", "new": "l"},
		"dave":      {"bobs": "l", "blue": "rl", "public": "rl", "new": "cl"},
		"erin":      {"bobs": "", "blue": "", "public": "r", "new": ""},
		"anonymous": {"bobs": "", "blue": "", "public": "", "new": ""},
	}
	for who, row := range want {
		for what, letters := range row {
			for _, action := range []string{"read", "update", "delete", "create", "list"} {
				ctx := facts()
				ctx["authenticated"] = who != "anonymous"
				d := s.Evaluate(Request{Principal: people[who], Action: action, Resource: docs[what], Context: ctx})
				if d.Allowed != strings.Contains(letters, action[:1]) {
					t.Errorf("%s %s %s: %+v", who, action, what, d)
				}
				if d.Allowed != (d.Code == CodePermitted) || len(d.Errors) > 0 {
					t.Errorf("%s %s %s: code %s errors %v", who, action, what, d.Code, d.Errors)
				}
			}
		}
	}
}

// TestDenyByDefault: nothing, a nil set and a zero set permit nothing.
//
// ASVS: 8.2.1
func TestDenyByDefault(t *testing.T) {
	u, r := entity(t, "User", "u", nil), entity(t, "Thing", "x", nil)
	for name, s := range map[string]*Set{"nil": nil, "zero": {}, "empty": compile(t, Input{})} {
		if d := s.Evaluate(Request{Principal: u, Action: "read", Resource: r}); d.Allowed || d.Code != CodeNoPermit {
			t.Errorf("%s: %+v", name, d)
		}
	}
	all := compile(t, text1(`permit(principal, action, resource);`))
	if d := all.Evaluate(Request{Principal: u, Action: "read", Resource: r}); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	for name, q := range map[string]Request{"no principal": {Action: "read", Resource: r}, "no resource": {Principal: u, Action: "read"},
		"no action": {Principal: u, Resource: r}, "nothing": {}} {
		if d := all.Evaluate(q); d.Allowed || d.Code != CodeEvaluationError {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

type sourceFunc func(gatehouse.EntityRef) (Entity, bool, error)

func (f sourceFunc) Entity(r gatehouse.EntityRef) (Entity, bool, error) { return f(r) }

// TestErrorsDeny: whatever goes wrong while a permit matches, the answer is no.
//
// ASVS: 16.5.3
func TestErrorsDeny(t *testing.T) {
	const permit = `permit(principal, action, resource);`
	u, r := entity(t, "User", "u", nil), entity(t, "Thing", "x", map[string]any{"n": int64(math.MaxInt64), "friend": ref("User", "f")})
	cases := map[string]struct {
		forbid string
		ctx    map[string]any
		source Source
	}{
		"forbid reads a missing attribute": {forbid: `forbid(principal, action, resource) when { resource.locked };`},
		"forbid overflows":                 {forbid: `forbid(principal, action, resource) when { resource.n + 1 > 0 };`},
		"forbid compares types":            {forbid: `forbid(principal, action, resource) when { resource.n like "x" };`},
		"context has a float":              {forbid: `forbid(principal, action, resource) when { context has f && context.f == 1 };`, ctx: map[string]any{"f": 1.23456}},
		"lookup fails": {forbid: `forbid(principal, action, resource) when { resource.friend has blocked };`,
			source: sourceFunc(func(gatehouse.EntityRef) (Entity, bool, error) { return Entity{}, false, errors.New("down") })},
		"lookup answers another": {forbid: `forbid(principal, action, resource) when { resource.friend has blocked };`,
			source: sourceFunc(func(gatehouse.EntityRef) (Entity, bool, error) { return u, true, nil })},
		"lookup panics": {forbid: `forbid(principal, action, resource) when { resource.friend has blocked };`,
			source: sourceFunc(func(gatehouse.EntityRef) (Entity, bool, error) { panic("broken") })},
	}
	for name, c := range cases {
		s := compile(t, text1(permit+c.forbid))
		d := s.Evaluate(Request{Principal: u, Action: "read", Resource: r, Context: c.ctx, Source: c.source})
		if d.Allowed || d.Code != CodeEvaluationError || len(d.Errors) == 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestForbidWins(t *testing.T) {
	s := compile(t, text1(`@id("yes") permit(principal, action, resource);
@id("no-b") @reason("because") forbid(principal, action, resource) when { context.x == 1 };
@id("no-a") @description("locked") forbid(principal, action == Action::"read", resource);`))
	d := s.Evaluate(Request{Principal: entity(t, "User", "u", nil), Action: "read", Resource: entity(t, "T", "x", nil), Context: map[string]any{"x": 1}})
	want := []gatehouse.Reason{{PolicyID: "p#no-a", Effect: "forbid", Note: "locked"}, {PolicyID: "p#no-b", Effect: "forbid", Note: "because"}}
	if d.Allowed || d.Code != CodeForbidden || !slices.Equal(d.Reasons, want) {
		t.Fatalf("%+v", d)
	}
}

// TestRequestFitsSchema: a value of the wrong type must not slip past a forbid.
func TestRequestFitsSchema(t *testing.T) {
	const schema = `entity Role; entity User in [Role] { level: Long }; entity Doc { locked: Bool, by?: User, tags?: Set<String>, at?: { zip: String } };
action read appliesTo { principal: [User], resource: [Doc], context: { x: Bool, y?: Long } };
action all; action edit in [all] appliesTo { principal: [User], resource: [Doc] };`
	s := compile(t, Input{Schema: &Schema{Text: schema}, Documents: []Document{{ID: "p", Text: `permit(principal, action, resource);
forbid(principal, action == Action::"read", resource) when { resource.locked == true || (context has x && context.x) };
forbid(principal, action, resource) when { resource has by && resource.by.level > 3 };`}}})
	u := entity(t, "User", "u", map[string]any{"level": 1})
	ask := func(action string, p Entity, attrs, ctx map[string]any) gatehouse.Decision {
		return s.Evaluate(Request{Principal: p, Action: action, Resource: entity(t, "Doc", "d", attrs), Context: ctx,
			Source: sourceFunc(func(r gatehouse.EntityRef) (Entity, bool, error) {
				e, err := NewEntity(r, map[string]any{"level": "high"}, nil)
				return e, true, err
			})})
	}
	ok, x := map[string]any{"locked": false}, map[string]any{"x": false}
	if d := ask("read", u, ok, x); !d.Allowed {
		t.Fatalf("control: %+v", d)
	}
	for name, c := range map[string]struct {
		code       string
		action     string
		p          Entity
		attrs, ctx map[string]any
	}{
		"string for Bool":         {CodeEvaluationError, "read", u, map[string]any{"locked": "true"}, x},
		"missing attribute":       {CodeEvaluationError, "read", u, map[string]any{}, x},
		"set of the wrong type":   {CodeEvaluationError, "read", u, map[string]any{"locked": false, "tags": []any{1}}, x},
		"record of wrong type":    {CodeEvaluationError, "read", u, map[string]any{"locked": false, "at": map[string]any{"zip": 1}}, x},
		"reference to other type": {CodeEvaluationError, "read", u, map[string]any{"locked": false, "by": ref("Doc", "d")}, x},
		"context missing":         {CodeEvaluationError, "read", u, ok, nil},
		"context wrong":           {CodeEvaluationError, "read", u, ok, map[string]any{"x": "false"}},
		"principal wrong":         {CodeEvaluationError, "read", entity(t, "User", "u", map[string]any{"level": true}), ok, x},
		"looked-up entity wrong":  {CodeEvaluationError, "read", u, map[string]any{"locked": false, "by": ref("User", "f")}, x},
		"unknown action":          {CodeNoPermit, "steal", u, ok, x},
		"action group itself":     {CodeNoPermit, "all", u, ok, x},
		"principal type":          {CodeNoPermit, "read", entity(t, "Robot", "r", nil), ok, x},
	} {
		if d := ask(c.action, c.p, c.attrs, c.ctx); d.Allowed || d.Code != c.code || len(d.Errors) == 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestRolesAndActionsCannotBeRedefined: what a request or a pushed entity says
// about roles and actions is not believed.
func TestRolesAndActionsCannotBeRedefined(t *testing.T) {
	s := compile(t, Input{Roles: []Role{{Name: "admin", Permissions: []Permission{{Actions: []string{"*"}, ResourceType: "*"}}}, {Name: "low"}},
		Documents: []Document{{ID: "p", Text: `permit(principal, action in Action::"all", resource); permit(principal, action, resource) when { action in Action::"all" };`}}})
	lies := sourceFunc(func(r gatehouse.EntityRef) (Entity, bool, error) {
		e, err := NewEntity(r, nil, []gatehouse.EntityRef{ref("Role", "admin"), ref("Action", "all")})
		return e, true, err
	})
	u := entity(t, "User", "u", nil, ref("Role", "low"))
	if d := s.Evaluate(Request{Principal: u, Action: "read", Resource: entity(t, "Role", "low", nil, ref("Role", "admin")), Source: lies}); d.Allowed {
		t.Fatalf("%+v", d)
	}
	// The principal as resource keeps the principal's attributes and parents.
	fake := entity(t, "User", "u", nil, ref("Role", "admin"))
	if d := s.Evaluate(Request{Principal: u, Action: "read", Resource: fake, Source: lies}); d.Allowed {
		t.Fatalf("%+v", d)
	}
}

func TestRoleHierarchy(t *testing.T) {
	perm := func(a string) []Permission { return []Permission{{Actions: []string{a}, ResourceType: "Doc"}} }
	s := compile(t, Input{Roles: []Role{
		{Name: "viewer", Permissions: perm("read")},
		{Name: "editor", Parents: []string{"viewer"}, Permissions: perm("write")},
		{Name: "admin", Parents: []string{"editor"}, Permissions: []Permission{{Actions: []string{"*"}, ResourceType: "*"}}},
		{Name: "auditor"},
	}})
	if got := s.AuthorizedRoles([]string{"editor", "ghost", "auditor"}); !slices.Equal(got, []string{"auditor", "editor", "viewer"}) {
		t.Errorf("authorized: %v", got)
	}
	// A principal that has only the role itself as parent inherits all the same.
	u := entity(t, "User", "u", nil, ref("Role", "editor"))
	d := s.Evaluate(Request{Principal: u, Action: "read", Resource: entity(t, "Doc", "d", nil)})
	if !d.Allowed || len(d.Reasons) != 1 || d.Reasons[0].PolicyID != "role:viewer#1" {
		t.Errorf("%+v", d)
	}
	if d := s.Evaluate(Request{Principal: u, Action: "delete", Resource: entity(t, "Doc", "d", nil)}); d.Allowed {
		t.Errorf("%+v", d)
	}
}

func TestCompileRefuses(t *testing.T) {
	p := func(a, r string) []Permission { return []Permission{{Actions: []string{a}, ResourceType: r}} }
	chain := make([]Role, MaxRoleDepth+1)
	for i := range chain {
		chain[i] = Role{Name: fmt.Sprintf("r%02d", i)}
		if i > 0 {
			chain[i].Parents = []string{chain[i-1].Name}
		}
	}
	backwards := slices.Clone(chain)
	for i := range backwards {
		backwards[i].Parents = nil
		if i+1 < len(backwards) {
			backwards[i].Parents = []string{backwards[i+1].Name}
		}
	}
	cases := map[string]struct {
		in   Input
		want string
	}{
		"unknown parent":     {Input{Roles: []Role{{Name: "a", Parents: []string{"b"}}}}, "does not exist"},
		"circle":             {Input{Roles: []Role{{Name: "a", Parents: []string{"b"}}, {Name: "b", Parents: []string{"c"}}, {Name: "c", Parents: []string{"a"}}}}, "circle"},
		"itself":             {Input{Roles: []Role{{Name: "a", Parents: []string{"a"}}}}, "circle"},
		"deep":               {Input{Roles: chain}, "above each other"},
		"deep the other way": {Input{Roles: backwards}, "above each other"},
		"twice":              {Input{Roles: []Role{{Name: "a"}, {Name: "a"}}}, "two roles"},
		"role name":          {Input{Roles: []Role{{Name: `a"x`}}}, "the name"},
		"role name hash":     {Input{Roles: []Role{{Name: `a#1`}}}, "the name"},
		"inherits built-in":  {Input{Roles: []Role{{Name: "a", Parents: []string{RoleAdmin}}}}, "built in"},
		"no action":          {Input{Roles: []Role{{Name: "a", Permissions: []Permission{{ResourceType: "X"}}}}}, "between 1 and"},
		"bad type":           {Input{Roles: []Role{{Name: "a", Permissions: p("read", "X y")}}}, "not a resource type"},
		"empty document":     {text1("// nothing\n"), "holds no policy"},
		"syntax":             {text1("permit(principal,\n action, resourc);"), "policy p:2:"},
		"template":           {text1("permit(principal == ?principal, action, resource);"), "policy p:1:"},
		"document name":      {Input{Documents: []Document{{ID: "role:admin#1", Text: "permit(principal,action,resource);"}}}, "the name"},
		"document twice":     {Input{Documents: []Document{{ID: "a"}, {ID: "a", Disabled: true}}}, "two documents"},
		"same @id":           {text1(`@id("a") permit(principal,action,resource); @id("a") forbid(principal,action,resource);`), "two policies"},
		"@id is a number":    {text1(`@id("2") permit(principal,action,resource); permit(principal,action,resource);`), "two policies"},
		"bad @id":            {text1(`@id("a#b") permit(principal,action,resource);`), "@id"},
		"too long":           {text1("//" + strings.Repeat("x", MaxDocumentBytes)), "longer than"},
		"nesting":            {text1("permit(principal,action,resource) when {" + strings.Repeat("(", 100_000) + "};"), "nested deeper"},
		"not not not":        {text1("permit(principal,action,resource) when {" + strings.Repeat("!", 100_000) + "true};"), "in a row"},
		"ifs":                {text1("permit(principal,action,resource) when {" + strings.Repeat("if true then true else ", 1000) + "true};"), "if expressions"},
		"member chain":       {text1("permit(principal,action,resource) when {resource has " + strings.Repeat("a.", 1000) + "a};"), "members in a row"},
		"tokens":             {text1("permit(principal,action,resource) when {true" + strings.Repeat("&&true", 10_000) + "};"), "one policy is longer"},
		"schema syntax":      {Input{Schema: &Schema{Text: "entity User\n{ a: };"}}, "schema:2:"},
		"schema nesting":     {Input{Schema: &Schema{Text: "entity U { a: " + strings.Repeat("Set<", 50_000)}}, "nested deeper"},
		"schema growth":      {Input{Schema: &Schema{Text: growing(60)}}, "common types are expanded"},
		"schema cycle":       {Input{Schema: &Schema{Text: "type A = {b: B}; type B = {a: A}; entity U {a: A};"}}, "cycle"},
		"costly to check":    {Input{Schema: &Schema{Text: ExampleDocumentsSchema()}, Documents: []Document{{ID: "p", Text: "permit(principal, action, resource) when {" + strings.Repeat("resource has team && ", 250) + "true};"}}}, "takes too long"},
		"does not validate": {Input{Schema: &Schema{Text: ExampleDocumentsSchema()}, Documents: []Document{{ID: "p",
			Text: "\npermit(principal, action, resource is Document) when { resource.colour == \"red\" };"}}}, "policy p:2:1 (p): attribute `colour`"},
		"role does not validate": {Input{Schema: &Schema{Text: ExampleDocumentsSchema()},
			Roles: []Role{{Name: "a", Permissions: p("shred", "Document")}}}, "unrecognized action"},
	}
	for name, c := range cases {
		_, err := Compile(c.in)
		var problems Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
	// What is left out on purpose.
	s := compile(t, Input{Roles: []Role{{Name: RoleAdmin, Permissions: p("*", "*")}}, Documents: []Document{{ID: "off", Text: "nonsense", Disabled: true}}})
	if s.Len() != 0 {
		t.Errorf("%v", s.PolicyIDs())
	}
}

// growing is a schema that doubles with every line.
func growing(n int) string {
	var b strings.Builder
	b.WriteString("type T0 = {a: Long};\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "type T%d = {a: T%d, b: T%d};\n", i, i-1, i-1)
	}
	fmt.Fprintf(&b, "entity U {a: T%d};\n", n)
	return b.String()
}

func TestValues(t *testing.T) {
	deep := any("x")
	for range MaxValueDepth + 1 {
		deep = []any{deep}
	}
	many := make([]any, MaxValues+1)
	for i := range many {
		many[i] = true
	}
	for name, v := range map[string]any{"deep": deep, "many": many, "float": 1.00001, "rounded": float64(1 << 53), "rounded decimal": 12345678901234.5, "long fraction": decimal.Number("1.00001"),
		"beyond int64": decimal.Number("9223372036854775808"), "no number": json.Number("1x"), "huge": 1e300, "NaN": math.NaN(), "Inf": math.Inf(1),
		"uint64": uint64(math.MaxUint64), "struct": struct{}{}, "channel": make(chan int), "nil in a set": []any{nil},
		"not UTF-8": "\xff", "long": strings.Repeat("x", MaxValueBytes+1), "bad type": ref("no type", "x"), "no type": ref("", "x"),
		"long id": ref("User", strings.Repeat("x", 2000)), "no address": netip.Addr{}} {
		if _, err := NewEntity(ref("T", "x"), map[string]any{"v": v}, nil); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	s := compile(t, text1(`permit(principal, action, resource) when {
  resource.s == "x" && resource.b && resource.i == 7 && resource.f == 7 && resource.d == decimal("19.99") && resource.n == 1234567890123456789 && resource.t == decimal("0.1") && resource.j == 1000 &&
  resource.l.contains("a") && resource.r.x.y == 1 && resource.e == User::"u" && resource.ip.isInRange(ip("10.0.0.0/8")) &&
  !(resource has nothing) && resource.refs.contains(User::"u") && resource.plain has "__entity"};`))
	r := entity(t, "T", "x", map[string]any{"s": "x", "b": true, "i": int32(7), "f": 7.0, "d": 19.99, "n": int64(1234567890123456789), "t": decimal.Number("0.1"), "j": json.Number("1.0e3"), "l": []string{"a"},
		"r": map[string]any{"x": map[string]any{"y": 1}}, "e": ref("User", "u"), "ip": netip.MustParseAddr("::ffff:10.1.2.3"), "nothing": nil,
		"refs": []gatehouse.EntityRef{ref("User", "u")}, "plain": map[string]any{"__entity": map[string]any{"type": "User", "id": "u"}}})
	if d := s.Evaluate(Request{Principal: entity(t, "User", "u", nil), Action: "a", Resource: r}); !d.Allowed {
		t.Errorf("%+v", d)
	}
	// Escapes count in stored entities only.
	st, err := StoredEntity(EntityRecord{Type: "T", ID: "x", Attributes: map[string]any{
		"owner": map[string]any{"__entity": map[string]any{"type": "User", "id": "u"}},
		"net":   map[string]any{"__extn": map[string]any{"fn": "ip", "arg": "10.0.0.1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	s = compile(t, text1(`permit(principal, action, resource) when { resource.owner == principal && resource.net.isIpv4() };`))
	if d := s.Evaluate(Request{Principal: entity(t, "User", "u", nil), Action: "a", Resource: st}); !d.Allowed {
		t.Errorf("%+v", d)
	}
	for _, bad := range []map[string]any{{"__entity": "x"}, {"__extn": map[string]any{"fn": "exec", "arg": "x"}},
		{"__entity": map[string]any{"type": "User", "id": "u"}, "more": 1}, {"__extn": map[string]any{"fn": "ip", "arg": "x"}}} {
		if _, err := StoredEntity(EntityRecord{Type: "T", ID: "x", Attributes: map[string]any{"v": bad}}); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestReuse(t *testing.T) {
	in := Input{Roles: ExampleRoles(), Documents: []Document{{ID: "documents", Text: ExampleDocuments()}, {ID: "b", Text: "permit(principal, action, resource is Document);"}},
		Schema: &Schema{Text: ExampleDocumentsSchema()}}
	first := compile(t, in)
	in.Reuse = first
	in.Documents = []Document{in.Documents[0], {ID: "b", Text: "forbid(principal, action, resource is Document);"}}
	second := compile(t, in)
	before, _ := first.byID.get("documents#owner-reads")
	after, _ := second.byID.get("documents#owner-reads")
	if before == nil || before != after {
		t.Error("an unchanged document was compiled again")
	}
	if txt, _ := second.PolicyText("b"); !strings.HasPrefix(txt, "forbid") {
		t.Errorf("the old text of b is in force: %s", txt)
	}
	// Another schema: everything is checked again.
	in.Schema = &Schema{Text: strings.ReplaceAll(ExampleDocumentsSchema(), `"update"`, `"amend"`)}
	if _, err := Compile(in); err == nil {
		t.Error("policies were not checked against the new schema")
	}
}

func TestExplain(t *testing.T) {
	s := examples(t)
	r := entity(t, "Document", "1", map[string]any{"owner": ref("User", "zoe"), "visibility": "private"})
	x := s.Explain(Request{Principal: person(t, s, "bob", nil, "user"), Action: "delete", Resource: r, Context: facts()})
	if x.Decision.Allowed || len(x.Policies) != 2 {
		t.Fatalf("%+v", x)
	}
	if m := x.Policies[0]; m.PolicyID != "documents#owner-changes" || !slices.Equal(m.Failed, []string{"when { resource.owner == principal }"}) {
		t.Errorf("nearest: %+v", m)
	}
	if m := x.Policies[1]; m.PolicyID != "role:admin#1" || !slices.Equal(m.Failed, []string{`principal in Role::"admin"`}) {
		t.Errorf("second: %+v", m)
	}
	out := x.String()
	for _, want := range []string{"DENIED (no_permit)", `User::"bob"`, "not met: when { resource.owner == principal }", "role admin"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	x = s.Explain(Request{Principal: person(t, s, "zoe", nil), Action: "read", Resource: r, Context: facts()})
	if !x.Decision.Allowed || x.Policies[0].Outcome != "matched" || x.Policies[0].Note == "" {
		t.Errorf("%+v", x)
	}
	broken := compile(t, text1(`permit(principal, action, resource) when { resource.nope };`))
	x = broken.Explain(Request{Principal: entity(t, "User", "u", nil), Action: "read", Resource: r})
	if len(x.Policies) != 1 || x.Policies[0].Outcome != "error" || !strings.Contains(x.String(), "failed:") {
		t.Errorf("%+v", x)
	}
	var none *Set
	if x := none.Explain(Request{}); x.Decision.Allowed {
		t.Errorf("%+v", x)
	}
}

func TestAdministration(t *testing.T) {
	s, err := Administration()
	if err != nil {
		t.Fatal(err)
	}
	who := func(realm string, roles ...string) Entity {
		var parents []gatehouse.EntityRef
		for _, r := range roles {
			parents = append(parents, ref("Role", r))
		}
		return entity(t, "User", "u", map[string]any{"realm": realm, "foreign": false}, parents...)
	}
	cases := []struct {
		realm, role, action, typ, target string
		privileged, want                 bool
	}{
		{"main", RoleAdmin, AdminManage, AdminRealm, "shop", false, true},
		{"main", RoleAdmin, AdminWrite, AdminSubject, "main", true, true},
		{"main", RoleAdmin, AdminRead, AdminBackup, "main", false, true},
		{"main", RoleOperator, AdminRead, AdminPolicy, "shop", false, true},
		{"main", RoleOperator, AdminWrite, AdminSubject, "shop", false, true},
		{"main", RoleOperator, AdminWrite, AdminSubject, "shop", true, false}, // a password of an administrator
		{"main", RoleOperator, AdminGrant, AdminSubject, "shop", false, false},
		{"main", RoleOperator, AdminWrite, AdminKey, "main", false, false},
		{"main", RoleOperator, AdminWrite, AdminRole, "main", false, false},
		{"main", RoleOperator, AdminWrite, AdminPolicy, "main", false, false},
		{"main", RoleOperator, AdminWrite, AdminSigningKey, "main", false, false},
		{"main", RoleOperator, AdminRevoke, AdminKey, "shop", true, true},
		{"main", RoleOperator, AdminManage, AdminRealm, "main", false, false},
		{"main", RoleAuditor, AdminRead, AdminAudit, "shop", false, true},
		{"main", RoleAuditor, AdminRead, AdminBackup, "main", false, false},
		{"main", RoleAuditor, AdminWrite, AdminSubject, "main", false, false},
		{"main", RoleAuditor, AdminRevoke, AdminKey, "main", false, false},
		{"main", RoleBackup, AdminManage, AdminBackup, "main", false, true},
		{"main", RoleBackup, AdminManage, AdminRealm, "main", false, false},
		{"main", RoleBackup, AdminRead, AdminBackup, "main", false, false},
		{"main", RoleBackup, AdminRead, AdminSubject, "main", false, false},
		{"shop", RoleBackup, AdminManage, AdminBackup, "main", false, false},
		{"shop", RoleRealmAdmin, AdminWrite, AdminPolicy, "shop", false, true},
		{"shop", RoleRealmAdmin, AdminWrite, AdminSubject, "shop", true, true},
		{"shop", RoleRealmAdmin, AdminGrant, AdminSubject, "shop", false, true},
		{"shop", RoleRealmAdmin, AdminManage, AdminRealm, "shop", false, false},
		{"shop", RoleRealmAdmin, AdminRead, AdminBackup, "shop", false, false},
		{"shop", RoleRealmAdmin, AdminRead, AdminSubject, "main", false, false},
		{"shop", RoleRealmAdmin, AdminRead, AdminSubject, "other", false, false},
		{"shop", RoleGuard, AdminRead, AdminRevocations, "shop", false, true},
		{"main", RoleGuard, AdminRead, AdminRevocations, "main", false, true},
		{"main", RoleGuard, AdminRead, AdminRevocations, "shop", false, false}, // its own realm alone
		{"shop", RoleGuard, AdminRead, AdminRevocations, "main", false, false},
		{"shop", RoleGuard, AdminRead, AdminToken, "shop", false, false},
		{"shop", RoleGuard, AdminRevoke, AdminRevocations, "shop", false, false},
		{"shop", RoleAdmin, AdminRead, AdminSubject, "shop", false, false}, // the name means nothing outside main
		{"shop", RoleOperator, AdminRead, AdminSubject, "shop", false, false},
		{"main", RoleRealmAdmin, AdminRead, AdminSubject, "main", false, false},
		{"main", "admin", AdminRead, AdminSubject, "main", false, false},
		{"main", RoleAdmin, "dance", AdminSubject, "main", false, false},
		{"main", RoleAdmin, AdminRead, "Spaceship", "main", false, false},
	}
	for _, c := range cases {
		r := entity(t, c.typ, c.target+"/x", map[string]any{"realm": c.target, "privileged": c.privileged})
		d := s.Evaluate(Request{Principal: who(c.realm, c.role), Action: c.action, Resource: r})
		if d.Allowed != c.want || d.Code == CodeEvaluationError {
			t.Errorf("%+v: %+v", c, d)
		}
	}
	f := entity(t, "User", "u", map[string]any{"realm": "main", "foreign": true}, ref("Role", RoleAdmin))
	if d := s.Evaluate(Request{Principal: f, Action: AdminRead, Resource: entity(t, AdminRealm, "main/", map[string]any{"realm": "main", "privileged": false})}); d.Allowed {
		t.Errorf("foreign: %+v", d)
	}
}

// TestKeptPrincipalSeesTheWorldChange: groups above a principal come from the
// source, so they are not remembered with it.
func TestKeptPrincipalSeesTheWorldChange(t *testing.T) {
	s := compile(t, text1(`permit(principal in Group::"above", action, resource);`))
	above := []gatehouse.EntityRef{ref("Group", "above")}
	q := Request{Principal: entity(t, "User", "u", nil, ref("Group", "g")).keep(), Action: "read", Resource: entity(t, "Doc", "d", nil),
		Source: sourceFunc(func(r gatehouse.EntityRef) (Entity, bool, error) {
			return entity(t, r.Type, r.ID, nil, above...), true, nil
		})}
	for i, want := range []bool{false, true, false} {
		if above = nil; want {
			above = []gatehouse.EntityRef{ref("Group", "above")}
		}
		if d := s.Evaluate(q); d.Allowed != want {
			t.Errorf("%d: %+v", i, d)
		}
	}
}
