package authz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// world is a store and a directory in memory, with switches to break it.
type world struct {
	mu       sync.Mutex
	realms   map[string]gatehouse.Realm
	roles    map[string][]policy.Role
	docs     map[string][]policy.Document
	schemas  map[string]policy.Schema
	entities map[string]policy.EntityRecord
	subjects map[string]gatehouse.Subject
	rules    error // Roles fails
	lookups  error // Entity fails
	people   error // gatehouse.Subject fails
	loads    atomic.Int64
}

func notFound() error { return gatehouse.E(gatehouse.NotFound, "not_found", "Not found.") }

func (w *world) Realm(_ context.Context, name string) (gatehouse.Realm, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.realms[name]
	if !ok {
		return r, notFound()
	}
	return r, nil
}

func (w *world) Realms(context.Context) ([]gatehouse.Realm, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []gatehouse.Realm
	for _, r := range w.realms {
		out = append(out, r)
	}
	return out, nil
}

func (w *world) Roles(_ context.Context, realm string) ([]policy.Role, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.roles[realm]), w.rules
}

func (w *world) Policies(_ context.Context, realm string) ([]policy.Document, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.docs[realm]), nil
}

func (w *world) Policy(_ context.Context, realm, id string) (policy.Document, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.docs[realm] {
		if d.ID == id {
			return d, w.rules
		}
	}
	return policy.Document{}, notFound()
}

func (w *world) Schema(_ context.Context, realm string) (policy.Schema, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.schemas[realm]
	if !ok {
		return s, notFound()
	}
	return s, nil
}

func (w *world) Entity(_ context.Context, realm, typ, id string) (policy.EntityRecord, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads.Add(1)
	if w.lookups != nil {
		return policy.EntityRecord{}, w.lookups
	}
	e, ok := w.entities[realm+"|"+typ+"|"+id]
	if !ok {
		return e, notFound()
	}
	return e, nil
}

func (w *world) Subject(_ context.Context, realm, id string) (gatehouse.Subject, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads.Add(1)
	if w.people != nil {
		return gatehouse.Subject{}, w.people
	}
	s, ok := w.subjects[realm+"|"+id]
	if !ok {
		return s, notFound()
	}
	return s, nil
}

func (w *world) set(f func()) { w.mu.Lock(); defer w.mu.Unlock(); f() }

func newWorld() *world {
	user := func(name string, attrs map[string]any, roles ...string) gatehouse.Subject {
		return gatehouse.Subject{Kind: gatehouse.KindUser, Name: name, Roles: roles, Attributes: attrs}
	}
	return &world{
		realms: map[string]gatehouse.Realm{"main": {Name: "main"}, "shop": {Name: "shop"}},
		roles:  map[string][]policy.Role{"main": policy.ExampleRoles(), "shop": {{Name: "clerk"}}},
		docs: map[string][]policy.Document{"main": {{ID: "documents", Text: policy.ExampleDocuments()}},
			"shop": {{ID: "all", Text: `permit(principal, action, resource);`}}},
		schemas:  map[string]policy.Schema{"main": {Text: policy.ExampleDocumentsSchema()}},
		entities: map[string]policy.EntityRecord{},
		subjects: map[string]gatehouse.Subject{
			"main|alice": user("alice", nil, "admin"), "main|bob": user("bob", nil, "user"), "main|carol": user("carol", nil, "viewer"),
			"main|dave":  user("dave", map[string]any{"managed_teams": []any{"blue"}}, "manager"),
			"main|root":  user("root", nil, policy.RoleAdmin),
			"main|oper":  user("oper", nil, policy.RoleOperator),
			"shop|chief": user("chief", nil, policy.RoleRealmAdmin, "clerk"),
			"shop|fake":  user("fake", nil, policy.RoleAdmin),
		},
	}
}

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_800_000_000, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func newDecider(t testing.TB, w *world) (*Decider, *clock, *bytes.Buffer) {
	t.Helper()
	c, log := &clock{}, &bytes.Buffer{}
	d, err := New(context.Background(), Config{Store: w, Directory: w, Now: c.now, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return d, c, log
}

func who(realm, id string) *gatehouse.Principal {
	return &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindUser, ID: id, Scheme: gatehouse.SchemeBasic, Scopes: []string{gatehouse.ScopeAll}}
}

func document(owner, team, vis string) gatehouse.Resource {
	return gatehouse.Resource{Type: "Document", ID: "d", Attributes: map[string]any{
		"owner": gatehouse.EntityRef{Type: "User", ID: owner}, "team": team, "visibility": vis}}
}

func ask(d *Decider, p *gatehouse.Principal, action string, r gatehouse.Resource) gatehouse.Decision {
	return d.Decide(context.Background(), gatehouse.AccessRequest{Principal: p, Action: action, Resource: r})
}

// TestTable is the documents example through the decision point.
//
// ASVS: 8.2.2
func TestTable(t *testing.T) {
	d, _, _ := newDecider(t, newWorld())
	anonymous := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindAnonymous}
	for _, c := range []struct {
		p      *gatehouse.Principal
		action string
		r      gatehouse.Resource
		code   string
	}{
		{who("main", "alice"), "delete", document("bob", "red", "private"), "permitted"},
		{who("main", "bob"), "read", document("bob", "red", "private"), "permitted"},
		{who("main", "bob"), "delete", document("bob", "red", "private"), "permitted"},
		{who("main", "bob"), "read", document("carol", "red", "private"), "no_permit"},
		{who("main", "bob"), "delete", document("carol", "red", "public"), "no_permit"},
		{who("main", "carol"), "read", document("bob", "red", "private"), "no_permit"},
		{who("main", "carol"), "list", document("bob", "red", "private"), "permitted"},
		{who("main", "carol"), "update", document("carol", "red", "private"), "no_permit"},
		{who("main", "dave"), "read", document("bob", "blue", "private"), "permitted"},
		{who("main", "dave"), "read", document("bob", "red", "private"), "no_permit"},
		{who("main", "dave"), "delete", document("bob", "blue", "private"), "no_permit"},
		{who("main", "bob"), "create", gatehouse.Resource{Type: "Document"}, "permitted"},
		{who("main", "carol"), "create", gatehouse.Resource{Type: "Document"}, "no_permit"},
		{who("main", "bob"), "read", document("x", "x", "public"), "permitted"},
		{anonymous, "read", document("x", "x", "public"), "no_permit"},
		{who("main", "ghost"), "read", document("x", "x", "public"), CodeSubjectDisabled},
		{nil, "read", document("x", "x", "public"), CodeUnauthenticated},
		{&gatehouse.Principal{Realm: "main"}, "read", document("x", "x", "public"), CodeUnauthenticated},
		{&gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser}, "read", document("x", "x", "public"), CodeUnauthenticated},
		{who("nowhere", "alice"), "read", document("x", "x", "public"), codeRealmUnknown},
		{who("main", "alice"), "shred", document("x", "x", "public"), "no_permit"},
		{who("main", "alice"), "read", gatehouse.Resource{Type: "not a type", ID: "x"}, "evaluation_error"},
		{who("main", "alice"), "read", gatehouse.Resource{Type: "Document", ID: strings.Repeat("x", 5000)}, "evaluation_error"},
		{who("main", "alice"), "read", gatehouse.Resource{Type: "Document", ID: "x", Attributes: map[string]any{"owner": "bob"}}, "evaluation_error"},
	} {
		got := ask(d, c.p, c.action, c.r)
		if got.Code != c.code || got.Allowed != (c.code == "permitted") {
			t.Errorf("%+v %s: %+v, want %s", c.p, c.action, got, c.code)
		}
	}
}

// TestForeignAndClient: who is not in the directory holds what its claims say,
// as far as the realm knows the roles.
func TestForeignAndClient(t *testing.T) {
	w := newWorld()
	d, _, _ := newDecider(t, w)
	f := who("main", "ext_1")
	f.Foreign, f.Roles = true, []string{"viewer", "made-up", policy.RoleAdmin}
	f.Attributes = map[string]any{"username": "root", "realm": "shop", "roles": []string{"admin"}}
	if got := ask(d, f, "list", document("x", "x", "private")); !got.Allowed {
		t.Errorf("%+v", got)
	}
	roles, err := d.Roles(context.Background(), f)
	if err != nil || slices.Contains(roles, "made-up") || slices.Contains(roles, "admin") {
		t.Errorf("%v %v", roles, err)
	}
	if got := d.DecideAdmin(context.Background(), f, policy.AdminRead, policy.AdminRealm, "main", ""); got.Code != "forbidden" {
		t.Errorf("a foreign subject administers: %+v", got)
	}
	root := who("main", "root") // even one whose id is that of somebody local
	root.Foreign = true
	if got := d.DecideAdmin(context.Background(), root, policy.AdminRead, policy.AdminRealm, "main", ""); got.Code != "forbidden" {
		t.Errorf("a foreign subject administers: %+v", got)
	}
	// Reserved attributes are ours.
	w.set(func() {
		delete(w.schemas, "main")
		w.docs["main"] = []policy.Document{{ID: "p", Text: `permit(principal, action, resource) when { principal.realm == "shop" || principal.roles.contains("admin") };`}}
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main", ID: "p"})
	if got := ask(d, f, "list", document("x", "x", "private")); len(got.Reasons) != 1 || got.Reasons[0].PolicyID != "role:viewer#1" {
		t.Errorf("%+v", got)
	}
	// An account's free attribute is not its verified address.
	w.set(func() {
		w.docs["main"] = []policy.Document{{ID: "p", Text: `permit(principal, action, resource) when { principal has email };`}}
		w.subjects["main|carol"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "carol", Attributes: map[string]any{"email": "root@example.com"}}
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main", ID: "p"})
	if got := ask(d, who("main", "carol"), "read", document("x", "x", "private")); got.Allowed {
		t.Errorf("%+v", got)
	}
}

// TestRoleLimit: a key narrowed to roles never holds more, and keeps what the
// narrower role inherits.
func TestRoleLimit(t *testing.T) {
	d, _, _ := newDecider(t, newWorld())
	p := who("main", "alice")
	for _, c := range []struct {
		limit, want []string
	}{
		{nil, []string{"admin", "user", "viewer"}},
		{[]string{}, []string{}},
		{[]string{"viewer"}, []string{"viewer"}},
		{[]string{"manager"}, []string{"user", "viewer"}}, // manager is not alice's, but its parents are
		{[]string{"ghost"}, []string{}},
		{[]string{policy.RoleAdmin}, []string{}},
	} {
		p.RoleLimit = c.limit
		got, err := d.Roles(context.Background(), p)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("limit %v: %v %v", c.limit, got, err)
		}
	}
	p.RoleLimit = []string{"viewer"}
	if got := ask(d, p, "delete", document("bob", "red", "private")); got.Allowed {
		t.Errorf("%+v", got)
	}
	root := who("main", "root")
	root.RoleLimit = []string{"viewer"}
	if got := d.DecideAdmin(context.Background(), root, policy.AdminRead, policy.AdminRealm, "main", ""); got.Allowed {
		t.Errorf("%+v", got)
	}
}

// TestChangesCount: a change is in force when Apply returns.
//
// ASVS: 8.3.2
func TestChangesCount(t *testing.T) {
	w := newWorld()
	d, _, _ := newDecider(t, w)
	bob, doc := who("main", "bob"), document("carol", "red", "private")
	if ask(d, bob, "read", doc).Allowed {
		t.Fatal("bob reads carol's")
	}
	w.set(func() {
		w.subjects["main|bob"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "bob", Roles: []string{"admin"}}
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "bob"})
	if got := ask(d, bob, "read", doc); !got.Allowed {
		t.Fatalf("role given: %+v", got)
	}
	w.set(func() {
		w.docs["main"] = append(w.docs["main"], policy.Document{ID: "stop", Text: `forbid(principal, action, resource);`})
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main", ID: "stop"})
	if got := ask(d, bob, "read", doc); got.Code != "forbidden" {
		t.Fatalf("forbid: %+v", got)
	}
	w.set(func() { w.docs["main"] = w.docs["main"][:1]; w.roles["main"] = nil })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRole, Realm: "main"})
	if got := ask(d, bob, "read", doc); got.Allowed {
		t.Fatalf("the role is gone: %+v", got)
	}
	if roles, err := d.Roles(context.Background(), bob); err != nil || len(roles) != 0 {
		t.Fatalf("the role is gone: %v %v", roles, err)
	}
	w.set(func() {
		w.subjects["main|bob"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "bob", Disabled: true}
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "bob"})
	if got := ask(d, bob, "read", document("bob", "", "public")); got.Code != CodeSubjectDisabled {
		t.Fatalf("disabled: %+v", got)
	}
	if _, err := d.Roles(context.Background(), bob); gatehouse.CodeOf(err) != CodeSubjectDisabled || !errors.Is(err, gatehouse.Denied) {
		t.Fatal(err)
	}
	w.set(func() { w.realms["main"] = gatehouse.Realm{Name: "main", Disabled: true} })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "main", ID: "main"})
	if got := ask(d, who("main", "alice"), "read", doc); got.Code != CodeRealmDisabled {
		t.Fatalf("realm: %+v", got)
	}
	if got := d.DecideAdmin(context.Background(), who("main", "root"), policy.AdminRead, policy.AdminRealm, "main", ""); got.Code != CodeRealmDisabled {
		t.Fatalf("realm: %+v", got)
	}
	w.set(func() { w.realms["new"] = gatehouse.Realm{Name: "new"}; delete(w.realms, "shop") })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "new", ID: "new"})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "shop", ID: "shop"})
	compiled := func(realm string) *snapshot { return (*d.realms.Load())[realm] }
	if compiled("new") == nil || compiled("shop") != nil {
		t.Fatal("realms were not followed")
	}
}

// TestBrokenRules: rules that cannot be read or compiled deny all, are logged,
// and come back by themselves.
func TestBrokenRules(t *testing.T) {
	w := newWorld()
	d, clock, log := newDecider(t, w)
	alice, doc := who("main", "alice"), document("bob", "red", "private")
	if !ask(d, alice, "read", doc).Allowed {
		t.Fatal("control")
	}
	w.set(func() { w.rules = errors.New("disk") })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main"})
	if got := ask(d, alice, "read", doc); got.Allowed || got.Code != CodePolicyUnavailable {
		t.Fatalf("%+v", got)
	}
	if got := ask(d, who("shop", "chief"), "read", doc); !got.Allowed {
		t.Fatalf("another realm suffers: %+v", got)
	}
	if _, err := d.Roles(context.Background(), alice); !errors.Is(err, gatehouse.Unavailable) {
		t.Fatal(err)
	}
	if got := d.DecideAdmin(context.Background(), who("main", "root"), policy.AdminWrite, policy.AdminPolicy, "main", "p"); !got.Allowed {
		t.Fatalf("who can mend it is locked out: %+v", got)
	}
	if !strings.Contains(log.String(), "denies everything") || !strings.Contains(log.String(), "disk") {
		t.Fatal(log.String())
	}
	w.set(func() { w.rules = nil })
	if got := ask(d, alice, "read", doc); got.Allowed {
		t.Fatal("retried at once: a broken store would be asked by every request")
	}
	clock.advance(2 * time.Second)
	if got := ask(d, alice, "read", doc); !got.Allowed {
		t.Fatalf("not retried: %+v", got)
	}
	// A stored text that does not compile, as after a restore by hand.
	w.set(func() { w.docs["main"] = append(w.docs["main"], policy.Document{ID: "bad", Text: "permit("}) })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main"})
	if got := ask(d, alice, "read", doc); got.Code != CodePolicyUnavailable {
		t.Fatalf("%+v", got)
	}
}

// TestBrokenLookups: a directory or entity store that fails denies.
//
// ASVS: 16.5.3
func TestBrokenLookups(t *testing.T) {
	w := newWorld()
	w.docs["shop"] = []policy.Document{{ID: "p", Text: `permit(principal, action, resource);
forbid(principal, action, resource) when { resource has folder && resource.folder has locked && resource.folder.locked };`}}
	d, _, _ := newDecider(t, w)
	chief := who("shop", "chief")
	r := gatehouse.Resource{Type: "File", ID: "f", Attributes: map[string]any{"folder": gatehouse.EntityRef{Type: "Folder", ID: "x"}}}
	if got := ask(d, chief, "read", r); !got.Allowed {
		t.Fatalf("control: %+v", got)
	}
	folder := policy.EntityRecord{Realm: "shop", Type: "Folder", ID: "x", Attributes: map[string]any{"locked": true}}
	w.set(func() { w.entities["shop|Folder|x"] = folder })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop", ID: "Folder/x", Value: folder})
	if got := ask(d, chief, "read", r); got.Code != "forbidden" {
		t.Fatalf("a pushed entity is not seen: %+v", got)
	}
	w.set(func() { w.lookups = errors.New("down") })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop"})
	if got := ask(d, chief, "read", r); got.Code != "evaluation_error" {
		t.Fatalf("%+v", got)
	}
	if got := ask(d, chief, "read", gatehouse.Resource{Type: "File", ID: "f"}); got.Code != "evaluation_error" {
		t.Fatalf("resource look-up: %+v", got)
	}
	w.set(func() { w.people = errors.New("down") })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "shop"})
	if got := ask(d, chief, "read", r); got.Code != CodeDirectory || got.Allowed {
		t.Fatalf("%+v", got)
	}
	if got := d.DecideAdmin(context.Background(), chief, policy.AdminRead, policy.AdminSubject, "shop", ""); got.Code != CodeDirectory {
		t.Fatalf("%+v", got)
	}
}

// TestFacts: every fact that docs/policies.md promises is there, and a simulation
// replaces just those that it names.
//
// ASVS: 8.2.4
func TestFacts(t *testing.T) {
	for _, c := range []struct{ name, when string }{
		{"authenticated", `context.authenticated`},
		{"scheme", `context.scheme == "api_key"`},
		{"scopes", `context.scopes == ["read"]`},
		{"time", `context.time.toTime() == duration("8h") && context.time > datetime("2027-01-15") && context.time < datetime("2027-01-16")`},
		{"method", `context.method == "GET"`},
		{"path", `context.path like "/a/*"`},
		{"address", `context.address.isInRange(ip("10.0.0.0/8"))`},
		{"environment", `context.environment == "test"`},
		{"acr", `context.acr == "2"`},
		{"amr", `context.amr.contains("pwd")`},
		{"auth_time", `context.time.durationSince(context.auth_time) < duration("1h")`},
		{"client_id", `context.client_id == "app"`},
		{"actor", `context.actor == "cli_x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.docs["shop"] = []policy.Document{{ID: "p", Text: "permit(principal, action, resource) when { context has " + c.name + " && " + c.when + " };"}}
			d, clk, _ := newDecider(t, w)
			p := &gatehouse.Principal{Realm: "shop", Kind: gatehouse.KindUser, ID: "chief", Scheme: gatehouse.SchemeAPIKey, Scopes: []string{"read"},
				Environment: gatehouse.EnvironmentTest, ACR: "2", AMR: []string{"pwd"}, AuthTime: clk.now().Add(-time.Minute), ClientID: "app", Act: &gatehouse.Act{Subject: "cli_x", Act: &gatehouse.Act{Subject: "cli_before"}}}
			ctx := gatehouse.WithRequest(t.Context(), gatehouse.RequestFacts{Address: "10.1.1.1", Method: "GET", Path: "/a/b"})
			r := gatehouse.AccessRequest{Principal: p, Action: "a", Resource: gatehouse.Resource{Type: "T", ID: "x"}}
			if got := d.Decide(ctx, r); !got.Allowed {
				t.Fatalf("%+v", got)
			}
			f, ok := policy.FindFact(c.name)
			if !ok {
				t.Fatal("no such fact")
			}
			other, err := f.Parse(map[policy.FactType]any{policy.FactBool: false, policy.FactString: "other", policy.FactStrings: []any{"other"},
				policy.FactDatetime: "2020-01-01T00:00:00+01:00", policy.FactAddress: "::ffff:192.0.2.1"}[f.Type])
			if err != nil {
				t.Fatal(err)
			}
			r.Simulated = map[string]any{c.name: other}
			if got := d.Decide(ctx, r); got.Allowed || len(got.Errors) > 0 {
				t.Errorf("simulated %v: %+v", other, got)
			}
			if _, err := f.Parse(map[string]any{}); err == nil {
				t.Error("an object was taken for a value")
			}
		})
	}
	// Without an address a policy that needs it denies.
	w := newWorld()
	w.docs["shop"] = []policy.Document{{ID: "p", Text: `permit(principal, action, resource) when { context.address.isInRange(ip("10.0.0.0/8")) };`}}
	d, _, _ := newDecider(t, w)
	got := d.Decide(t.Context(), gatehouse.AccessRequest{Principal: who("shop", "chief"), Action: "a", Resource: gatehouse.Resource{Type: "T", ID: "x"}})
	if got.Allowed || len(got.Errors) == 0 {
		t.Fatalf("%+v", got)
	}
}

// TestUnknownFacts: what reads or declares a fact that no request has is refused
// when it is stored, and what was stored before is loaded all the same.
func TestUnknownFacts(t *testing.T) {
	w := newWorld()
	d, _, _ := newDecider(t, w)
	schema := func(context string) *policy.Schema {
		return &policy.Schema{Text: "entity User; entity D; action read appliesTo { principal: [User], resource: [D], context: {" + context + "} };"}
	}
	doc := func(condition string) *policy.Document {
		return &policy.Document{ID: "p", Text: "forbid(principal, action, resource) when { " + condition + " };"}
	}
	for name, c := range map[string]struct {
		change Candidate
		says   string // empty: accepted
	}{
		"known":               {Candidate{PutPolicy: doc(`context has method && context.method == "GET"`)}, ""},
		"unknown, has":        {Candidate{PutPolicy: doc(`context has tenant && context.tenant == "a"`)}, "context.tenant"},
		"unknown, read":       {Candidate{PutPolicy: doc(`context.Method == "GET"`)}, "context.Method"},
		"unknown, in quotes":  {Candidate{PutPolicy: doc(`context["user-agent"] == "x"`)}, "context.user-agent"},
		"unknown, disabled":   {Candidate{PutPolicy: &policy.Document{ID: "p", Disabled: true, Text: doc("context.x").Text}}, "context.x"},
		"unknown, unless":     {Candidate{PutPolicy: &policy.Document{ID: "p", Text: "permit(principal, action, resource) unless { context.x };"}}, "context.x"},
		"schema, known":       {Candidate{PutSchema: schema("time: datetime, method?: String, scopes: Set<String>, address?: ipaddr")}, ""},
		"schema, wrong type":  {Candidate{PutSchema: schema("time: Long")}, "context.time is of type datetime, not Long"},
		"schema, wrong set":   {Candidate{PutSchema: schema("scopes: Set<Long>")}, "Set<String>, not Set<Long>"},
		"schema, unknown":     {Candidate{PutSchema: schema("risk?: Long")}, "context.risk"},
		"schema, not always":  {Candidate{PutSchema: schema("acr: String")}, "acr?"},
		"schema, common type": {Candidate{PutSchema: &policy.Schema{Text: "type C = {time: String}; entity User; entity D; action read appliesTo { principal: [User], resource: [D], context: C };"}}, "datetime, not String"},
	} {
		t.Run(name, func(t *testing.T) {
			err := try(t.Context(), d, "shop", c.change)
			if c.says == "" {
				if err != nil {
					t.Fatal(gatehouse.CodeOf(err), err)
				}
				return
			}
			var e *gatehouse.Error
			if !errors.As(err, &e) || e.Code != "policy_invalid" {
				t.Fatalf("%v", err)
			}
			if said := fmt.Sprint(e.Fields); !strings.Contains(said, c.says) {
				t.Errorf("says %s", said)
			}
		})
	}
	// From before the check: it loads, and other documents can be changed beside it.
	w.docs["shop"] = []policy.Document{{ID: "old", Text: `forbid(principal, action, resource) when { context has tenant };`},
		{ID: "all", Text: `permit(principal, action, resource);`}}
	d, _, _ = newDecider(t, w)
	r := gatehouse.AccessRequest{Principal: who("shop", "chief"), Action: "a", Resource: gatehouse.Resource{Type: "T", ID: "x"}}
	if got := d.Decide(t.Context(), r); !got.Allowed {
		t.Errorf("%+v", got)
	}
	if err := try(t.Context(), d, "shop", Candidate{PutPolicy: doc("context.authenticated")}); err != nil {
		t.Error(err)
	}
}

func TestExplain(t *testing.T) {
	d, _, _ := newDecider(t, newWorld())
	x, err := d.Explain(context.Background(), gatehouse.AccessRequest{Principal: who("main", "bob"), Action: "read", Resource: document("zoe", "red", "private")})
	if err != nil {
		t.Fatal(err)
	}
	if x.Decision.Allowed || len(x.Policies) == 0 || !strings.Contains(x.String(), "owner-reads") {
		t.Errorf("%s", x)
	}
	for what, r := range map[string]gatehouse.AccessRequest{
		CodeSubjectDisabled:        {Principal: who("main", "ghost"), Action: "read", Resource: gatehouse.Resource{Type: "Document", ID: "d"}},
		policy.CodeEvaluationError: {Principal: who("main", "bob"), Action: "read", Resource: gatehouse.Resource{Type: "Document", ID: strings.Repeat("x", 5000)}},
	} {
		x, err = d.Explain(context.Background(), r)
		if err != nil || x.Decision.Code != what || x.Action != "read" || x.Resource != "Document::"+r.Resource.ID || x.String() == "" {
			t.Errorf("%s: %v %+v", what, err, x)
		}
	}
}

// TestExplainWhatIf: documents that are only thought of decide as if they were
// stored, in place of those of their names, and change nothing.
func TestExplainWhatIf(t *testing.T) {
	d, _, _ := newDecider(t, newWorld())
	r := gatehouse.AccessRequest{Principal: who("shop", "chief"), Action: "read", Resource: gatehouse.Resource{Type: "T", ID: "x"}}
	for name, c := range map[string]struct {
		documents []policy.Document
		code      string
	}{
		"nothing":        {nil, "permitted"},
		"one beside":     {[]policy.Document{{ID: "stop", Text: `forbid(principal, action, resource);`}}, "forbidden"},
		"one in place":   {[]policy.Document{{ID: "all", Text: `permit(principal is Client, action, resource);`}}, "no_permit"},
		"two":            {[]policy.Document{{ID: "all", Text: `permit(principal is Client, action, resource);`}, {ID: "more", Text: `permit(principal, action, resource);`}}, "permitted"},
		"none, switched": {[]policy.Document{{ID: "all", Disabled: true, Text: `permit(principal, action, resource);`}}, "no_permit"},
	} {
		x, err := d.Explain(t.Context(), r, c.documents...)
		if err != nil || x.Decision.Code != c.code {
			t.Errorf("%s: %v %+v", name, err, x.Decision)
		}
	}
	_, err := d.Explain(t.Context(), r, policy.Document{ID: "all", Text: `permit(`})
	if gatehouse.CodeOf(err) != "policy_invalid" {
		t.Errorf("%v", err)
	}
	if got := d.Decide(t.Context(), r); !got.Allowed {
		t.Errorf("a thought came into force: %+v", got)
	}
}

// TestSubjectCache: a second decision asks nobody, and a load that began before
// a change is not used after it.
func TestSubjectCache(t *testing.T) {
	w := newWorld()
	d, _, _ := newDecider(t, w)
	ask(d, who("main", "bob"), "create", gatehouse.Resource{Type: "Document"})
	before := w.loads.Load()
	ask(d, who("main", "bob"), "create", gatehouse.Resource{Type: "Document"})
	if n := w.loads.Load() - before; n != 0 {
		t.Errorf("%d loads for a cached subject", n)
	}
	h := hash2("main", "bob")
	gen := d.subjects.generation(h)
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "bob"}) // while a load is on its way
	d.subjects.put(subjectKey{realm: "main", id: "bob"}, &subject{}, gen)
	if _, ok := d.subjects.get(subjectKey{realm: "main", id: "bob"}, h); ok {
		t.Error("a value from before the change is used after it")
	}
}

// TestRebuildUnderLoad: decisions go on while roles and people change, and each
// answer is one that some state allows; after the last change only its answer is.
func TestRebuildUnderLoad(t *testing.T) {
	w := newWorld()
	d, _, _ := newDecider(t, w)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				got := ask(d, who("main", "bob"), "read", document("zoe", "red", "private"))
				if got.Code != "permitted" && got.Code != "no_permit" && got.Code != "forbidden" {
					t.Errorf("%+v", got)
					return
				}
			}
		})
	}
	for i := range 60 {
		roles := []string{"user"}
		if i%2 == 0 {
			roles = []string{"admin"}
		}
		w.set(func() {
			w.subjects["main|bob"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "bob", Roles: roles}
		})
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "bob"})
		if got := ask(d, who("main", "bob"), "read", document("zoe", "red", "private")); got.Allowed != (i%2 == 0 && (i == 0 || (i-1)%3 != 0)) {
			t.Fatalf("round %d: %+v", i, got)
		}
		w.set(func() {
			w.docs["main"] = []policy.Document{{ID: "documents", Text: policy.ExampleDocuments()},
				{ID: "n", Text: fmt.Sprintf(`forbid(principal, action, resource) when { %t };`, i%3 == 0)}}
		})
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main"})
		if got := ask(d, who("main", "bob"), "read", document("zoe", "red", "private")); (got.Code == "forbidden") != (i%3 == 0) {
			t.Fatalf("round %d: %+v", i, got)
		}
	}
	close(stop)
	readers.Wait()
}

func TestNewRefuses(t *testing.T) {
	w := newWorld()
	for i, c := range []Config{{}, {Store: w}, {Store: w, Directory: w}, {Directory: w, Logger: slog.Default()}} {
		if _, err := New(context.Background(), c); err == nil {
			t.Errorf("%d was accepted", i)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	d, _, _ := newDecider(b, newWorld())
	ctx := gatehouse.WithRequest(context.Background(), gatehouse.RequestFacts{Address: "10.0.0.1", Method: "PUT", Path: "/documents/1"})
	r := gatehouse.AccessRequest{Principal: who("main", "bob"), Action: "update", Resource: document("bob", "red", "private")}
	b.ReportAllocs()
	for range b.N {
		if !d.Decide(ctx, r).Allowed {
			b.Fatal("denied")
		}
	}
}
