package authz

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// TestRememberedDecisions: whatever happens between two equal questions, a
// remembered decision is the one that would be made now. Each rule depends on
// one thing that an answer may not be kept across.
func TestRememberedDecisions(t *testing.T) {
	ctx := context.Background()
	covered := map[string]bool{}
	for _, c := range []struct {
		name, rule string
		change     func(w *world, d *Decider, c *clock, r *gatehouse.AccessRequest, ctx *context.Context)
	}{
		{"time", `permit(principal, action, resource) when { context.time < datetime("2027-01-15T08:01:00Z") };`,
			func(_ *world, _ *Decider, c *clock, _ *gatehouse.AccessRequest, _ *context.Context) {
				c.advance(time.Hour)
			}},
		{"address", `permit(principal, action, resource) when { context has address && context.address == ip("192.0.2.1") };`,
			func(_ *world, _ *Decider, _ *clock, _ *gatehouse.AccessRequest, ctx *context.Context) {
				facts := gatehouse.RequestFrom(*ctx)
				facts.Address = "192.0.2.2"
				*ctx = gatehouse.WithRequest(*ctx, facts)
			}},
		{"the whole context", `permit(principal, action, resource) when { context == context && (if context has address then context["address"] == ip("192.0.2.1") else false) };`,
			func(_ *world, _ *Decider, _ *clock, _ *gatehouse.AccessRequest, ctx *context.Context) {
				facts := gatehouse.RequestFrom(*ctx)
				facts.Address = "192.0.2.2"
				*ctx = gatehouse.WithRequest(*ctx, facts)
			}},
		{"scopes", `permit(principal, action, resource) when { context.scopes.contains("a") };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.Scopes = []string{"b"}
			}},
		{"scheme", `permit(principal, action, resource) when { context.scheme == "basic" };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.Scheme = gatehouse.SchemeAPIKey
			}},
		{"environment", `permit(principal, action, resource) when { context has environment && context.environment == "live" };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.Environment = gatehouse.EnvironmentTest
			}},
		{"acr", `permit(principal, action, resource) when { context has acr && context.acr == "2" };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.ACR = "1"
			}},
		{"amr", `permit(principal, action, resource) when { context has amr && context.amr.contains("otp") };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.AMR = []string{"pwd"}
			}},
		{"auth_time", `permit(principal, action, resource) when { context has auth_time && context.auth_time == datetime("1970-01-01T00:01:40Z") };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.AuthTime = time.Unix(50, 0)
			}},
		{"auth_time of 1970", `permit(principal, action, resource) when { context has auth_time };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.AuthTime = time.Time{}
			}},
		{"scopes, narrowed in place", `permit(principal, action, resource) when { context.scopes.contains("a") };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.Scopes[0] = "b"
			}},
		{"client_id", `permit(principal, action, resource) when { context has client_id && context.client_id == "one" };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.ClientID = "two"
			}},
		{"actor", `permit(principal, action, resource) unless { context has actor };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.Act = &gatehouse.Act{Subject: "cli_x"}
			}},
		{"what is simulated", `permit(principal, action, resource) when { !(context.scopes.contains("b")) };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Simulated = map[string]any{"scopes": []string{"b"}}
			}},
		{"method", `permit(principal, action, resource) when { context.method == "GET" };`,
			func(_ *world, _ *Decider, _ *clock, _ *gatehouse.AccessRequest, ctx *context.Context) {
				*ctx = gatehouse.WithRequest(*ctx, gatehouse.RequestFacts{Address: "192.0.2.1", Method: "PUT", Path: "/a"})
			}},
		{"path", `permit(principal, action, resource) when { context.path == "/a" };`,
			func(_ *world, _ *Decider, _ *clock, _ *gatehouse.AccessRequest, ctx *context.Context) {
				*ctx = gatehouse.WithRequest(*ctx, gatehouse.RequestFacts{Address: "192.0.2.1", Method: "GET", Path: "/b"})
			}},
		{"action", `permit(principal, action == Action::"read", resource);`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Action = "write"
			}},
		{"resource", `permit(principal, action, resource == Document::"d");`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Resource.ID = "e"
			}},
		{"type", `permit(principal, action, resource is Document);`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Resource.Type = "Other"
			}},
		{"other attributes", `permit(principal, action, resource) when { resource.n == 1 };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Resource.Attributes = map[string]any{"n": int64(2)}
			}},
		{"attributes that change", `permit(principal, action, resource) when { resource.n == 1 };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Resource.Constant = false
				r.Resource.Attributes["n"] = int64(2)
			}},
		{"parents", `forbid(principal, action, resource in Folder::"secret"); permit(principal, action, resource);`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Resource.Parents = []gatehouse.EntityRef{{Type: "Folder", ID: "secret"}}
			}},
		{"principal", `permit(principal == User::"bob", action, resource);`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.ID = "carol"
			}},
		{"narrowed roles", `permit(principal in Role::"user", action, resource);`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.RoleLimit = []string{"viewer"}
			}},
		{"authenticated", `permit(principal, action, resource) when { context.authenticated };`,
			func(_ *world, _ *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				r.Principal.Kind, r.Principal.ID = gatehouse.KindAnonymous, ""
			}},
		{"realm", `permit(principal, action, resource) when { principal.realm == "main" };`,
			func(w *world, d *Decider, _ *clock, r *gatehouse.AccessRequest, _ *context.Context) {
				w.set(func() {
					w.subjects["shop|bob"] = w.subjects["main|bob"]
					w.docs["shop"] = nil
				})
				d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "shop"})
				r.Principal.Realm = "shop"
			}},
		{"account", `permit(principal in Role::"user", action, resource);`,
			func(w *world, d *Decider, _ *clock, _ *gatehouse.AccessRequest, _ *context.Context) {
				w.set(func() { w.subjects["main|bob"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "bob"} })
				d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "bob"})
			}},
		{"disabled", `permit(principal, action, resource);`,
			func(w *world, d *Decider, _ *clock, _ *gatehouse.AccessRequest, _ *context.Context) {
				w.set(func() {
					w.subjects["main|bob"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "bob", Disabled: true}
				})
				d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "bob"})
			}},
		{"policy", `permit(principal, action, resource);`,
			func(w *world, d *Decider, _ *clock, _ *gatehouse.AccessRequest, _ *context.Context) {
				w.set(func() { w.docs["main"] = nil })
				d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main"})
			}},
		{"role", `permit(principal in Role::"viewer", action, resource);`,
			func(w *world, d *Decider, _ *clock, _ *gatehouse.AccessRequest, _ *context.Context) {
				w.set(func() { w.roles["main"] = []policy.Role{{Name: "user"}, {Name: "viewer"}} })
				d.Apply(gatehouse.Change{Topic: gatehouse.TopicRole, Realm: "main"})
			}},
		{"another entity", `permit(principal, action, resource) when { resource.folder has open && resource.folder.open };`,
			func(w *world, d *Decider, _ *clock, _ *gatehouse.AccessRequest, _ *context.Context) {
				w.set(func() {
					w.entities["main|Folder|f"] = policy.EntityRecord{Realm: "main", Type: "Folder", ID: "f", Attributes: map[string]any{"open": false}}
				})
				d.Apply(gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "main"})
			}},
		{"a group above", `permit(principal in Group::"top", action, resource);`,
			func(w *world, d *Decider, _ *clock, _ *gatehouse.AccessRequest, _ *context.Context) {
				w.set(func() {
					w.entities["main|Group|team"] = policy.EntityRecord{Realm: "main", Type: "Group", ID: "team"}
				})
				d.Apply(gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "main"})
			}},
	} {
		covered[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			delete(w.schemas, "main")
			w.roles["main"] = []policy.Role{{Name: "viewer"}, {Name: "user", Parents: []string{"viewer"}}}
			w.docs["main"] = []policy.Document{{ID: "p", Text: c.rule}}
			bob := w.subjects["main|bob"]
			bob.Groups = []string{"team"}
			w.subjects["main|bob"] = bob
			w.entities["main|Folder|f"] = policy.EntityRecord{Realm: "main", Type: "Folder", ID: "f", Attributes: map[string]any{"open": true}}
			w.entities["main|Group|team"] = policy.EntityRecord{Realm: "main", Type: "Group", ID: "team", Parents: []policy.ParentRef{{Type: "Group", ID: "top"}}}
			d, clk, _ := newDecider(t, w)
			p := who("main", "bob")
			p.Scopes, p.ACR, p.AMR, p.ClientID, p.Environment, p.AuthTime = []string{"a"}, "2", []string{"otp"}, "one", gatehouse.EnvironmentLive, time.Unix(100, 0)
			if c.name == "auth_time of 1970" {
				p.AuthTime = time.Unix(0, 0)
			}
			r := gatehouse.AccessRequest{Principal: p, Action: "read", Resource: gatehouse.Resource{Type: "Document", ID: "d", Constant: true,
				Attributes: map[string]any{"n": int64(1), "folder": gatehouse.EntityRef{Type: "Folder", ID: "f"}}}}
			ctx := gatehouse.WithRequest(ctx, gatehouse.RequestFacts{Address: "192.0.2.1", Method: "GET", Path: "/a"})
			for i := range 3 {
				if got := d.Decide(ctx, r); !got.Allowed {
					t.Fatalf("%d: %+v", i, got)
				}
			}
			next := r
			q := *p
			next.Principal = &q
			c.change(w, d, clk, &next, &ctx)
			for i := range 3 {
				if got := d.Decide(ctx, next); got.Allowed || len(got.Reasons) > 0 && got.Code == policy.CodePermitted {
					t.Errorf("%d: remembered across a change: %+v", i, got)
				}
			}
		})
	}
	// Who adds a fact says here what becomes of decisions that read it.
	for _, f := range policy.Facts() {
		if !covered[f.Name] {
			t.Errorf("context.%s has no row here", f.Name)
		}
	}
}

// TestRecall: a question about a constant resource is evaluated once, a refusal
// too, whatever else is asked in between.
func TestRecall(t *testing.T) {
	d, _, _ := newDecider(t, newWorld())
	constant := gatehouse.Resource{Type: "Document", ID: "d", Attributes: document("carol", "red", "private").Attributes, Constant: true}
	for name, want := range map[string]bool{"alice": true, "bob": false} {
		r := gatehouse.AccessRequest{Principal: who("main", name), Action: "read", Resource: constant}
		first := d.Decide(t.Context(), r)
		if first.Allowed != want {
			t.Fatalf("%s: %+v", name, first)
		}
		again := testing.AllocsPerRun(100, func() {
			if got := d.Decide(t.Context(), r); fmt.Sprint(got) != fmt.Sprint(first) {
				t.Errorf("%+v, then %+v", first, got)
			}
		})
		copied := r
		copied.Resource.Attributes = maps.Clone(constant.Attributes)
		copied.Resource.Constant = false
		anew := testing.AllocsPerRun(100, func() {
			if got := d.Decide(t.Context(), copied); fmt.Sprint(got) != fmt.Sprint(first) {
				t.Errorf("%+v, then %+v", first, got)
			}
		})
		if again+10 > anew {
			t.Errorf("%s: %v allocations for a remembered decision, %v for a new one", name, again, anew)
		}
	}
}

// TestRecallKeepsNoPath: the id of a resource is a piece of the request's path,
// of which nothing else may stay in memory.
func TestRecallKeepsNoPath(t *testing.T) {
	d, _, _ := newDecider(t, newWorld())
	path := "/documents/d1/" + strings.Repeat("x", 30<<10)
	r := gatehouse.AccessRequest{Principal: who("main", "alice"), Action: "read", Resource: gatehouse.Resource{Type: "Document",
		ID: path[11:13], Attributes: document("carol", "red", "private").Attributes, Constant: true}}
	if got := d.Decide(t.Context(), r); !got.Allowed {
		t.Fatalf("%+v", got)
	}
	snap, subj, _ := d.asker(t.Context(), r.Principal)
	if snap == nil {
		t.Fatal("no subject")
	}
	k := subj.answers.slot(&r).Load()
	if k == nil || k.resource.ID != "d1" {
		t.Fatalf("%+v is kept", k)
	}
	if unsafe.StringData(k.resource.ID) == unsafe.StringData(r.Resource.ID) {
		t.Error("the whole path is kept")
	}
}

// TestRecallSlots: questions that share a slot do not share an answer.
func TestRecallSlots(t *testing.T) {
	w := newWorld()
	delete(w.schemas, "main")
	w.docs["main"] = []policy.Document{{ID: "p", Text: `permit(principal, action == Action::"read", resource == Document::"d");`}}
	w.roles["main"] = []policy.Role{{Name: "user"}}
	d, _, _ := newDecider(t, w)
	attributes := map[string]any{}
	question := func(action, id string) gatehouse.AccessRequest {
		return gatehouse.AccessRequest{Principal: who("main", "bob"), Action: action,
			Resource: gatehouse.Resource{Type: "Document", ID: id, Attributes: attributes, Constant: true}}
	}
	for i := range 32 {
		if got := d.Decide(t.Context(), question("read", "d")); !got.Allowed {
			t.Fatalf("%+v", got)
		}
		for _, r := range []gatehouse.AccessRequest{question(fmt.Sprint("a", i), "d"), question("read", fmt.Sprint("d", i))} {
			if got := d.Decide(t.Context(), r); got.Allowed {
				t.Errorf("%s %s: %+v", r.Action, r.Resource.ID, got)
			}
		}
	}
}
