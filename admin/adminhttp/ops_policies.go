package adminhttp

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/policy"
)

type RolePath struct {
	RealmPath
	Role string `path:"role" maxLength:"128" doc:"Role name"`
}

type PolicyPath struct {
	RealmPath
	Policy string `path:"policy" maxLength:"128" doc:"Policy id"`
}

type EntityPath struct {
	RealmPath
	Type string `path:"type" maxLength:"200" doc:"Entity type"`
	ID   string `path:"id" maxLength:"200" doc:"Entity id"`
}

func (a *api) policies() {
	a.roles()
	a.documents()
	a.entities()
}

func (a *api) roles() {
	s := a.c.Service
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/roles", id: "list-roles", tag: "policies", summary: "The roles of a realm, built-in ones included"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RealmPath) (*out[admin.List[admin.RoleView]], error) {
			items, err := s.Roles(ctx, actor, in.Realm)
			return answer(admin.List[admin.RoleView]{Items: items}, err)
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/roles/{role}", id: "get-role", tag: "policies", summary: "One role"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RolePath) (*out[admin.RoleView], error) {
			return answer(s.Role(ctx, actor, in.Realm, in.Role))
		})
	handle(a, operation{method: http.MethodPut, path: "/realms/{realm}/roles/{role}", id: "put-role", tag: "policies", conflicts: true, maxBody: maxBody,
		summary: "Make or replace a role; it is compiled with everything else first"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RolePath
			Body admin.RoleInput
		}) (*out[admin.RoleView], error) {
			r := policy.Role{Name: in.Role, Description: in.Body.Description, Parents: in.Body.Parents, Permissions: in.Body.Permissions}
			return answer(s.PutRole(ctx, actor, in.Realm, r))
		})
	handle(a, operation{method: http.MethodDelete, path: "/realms/{realm}/roles/{role}", id: "delete-role", tag: "policies", conflicts: true,
		summary: "Remove a role that nobody holds"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RolePath) (*none, error) {
			return &none{}, s.DeleteRole(ctx, actor, in.Realm, in.Role)
		})
}

func (a *api) documents() {
	s := a.c.Service
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/policies", id: "list-policies", tag: "policies", summary: "The policy documents of a realm"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RealmPath) (*out[admin.List[policy.Document]], error) {
			items, err := s.Policies(ctx, actor, in.Realm)
			return answer(admin.List[policy.Document]{Items: items}, err)
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/policies/{policy}", id: "get-policy", tag: "policies", summary: "One policy document"},
		func(ctx context.Context, actor *gatehouse.Principal, in *PolicyPath) (*out[policy.Document], error) {
			return answer(s.Policy(ctx, actor, in.Realm, in.Policy))
		})
	handle(a, operation{method: http.MethodPut, path: "/realms/{realm}/policies/{policy}", id: "put-policy", tag: "policies", conflicts: true, maxBody: maxBody,
		summary: "Make or replace a policy document; what does not compile is refused"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			PolicyPath
			Body admin.PolicyInput
		}) (*out[policy.Document], error) {
			return answer(s.PutPolicy(ctx, actor, in.Realm, policy.Document{ID: in.Policy, Text: in.Body.Text, Disabled: in.Body.Disabled}))
		})
	handle(a, operation{method: http.MethodDelete, path: "/realms/{realm}/policies/{policy}", id: "delete-policy", tag: "policies", conflicts: true,
		summary: "Remove a policy document"},
		func(ctx context.Context, actor *gatehouse.Principal, in *PolicyPath) (*none, error) {
			return &none{}, s.DeletePolicy(ctx, actor, in.Realm, in.Policy)
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/schema", id: "get-schema", tag: "policies", summary: "The schema that policies are checked against"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RealmPath) (*out[policy.Schema], error) {
			return answer(s.Schema(ctx, actor, in.Realm))
		})
	handle(a, operation{method: http.MethodPut, path: "/realms/{realm}/schema", id: "put-schema", tag: "policies", conflicts: true, maxBody: maxBody,
		summary: "Replace the schema; every policy and role has to fit it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body admin.SchemaInput
		}) (*out[policy.Schema], error) {
			return answer(s.PutSchema(ctx, actor, in.Realm, in.Body.Text))
		})
}

func (a *api) entities() {
	s := a.c.Service
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/entities/{type}", id: "list-entities", tag: "policies", summary: "Pushed entities of one type"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Paging
			Type string `path:"type" maxLength:"200" doc:"Entity type"`
		}) (*out[admin.Page[policy.EntityRecord]], error) {
			return answer(s.Entities(ctx, actor, in.Realm, in.Type, in.After, in.Limit))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/entities/{type}/{id}", id: "get-entity", tag: "policies", summary: "One pushed entity"},
		func(ctx context.Context, actor *gatehouse.Principal, in *EntityPath) (*out[policy.EntityRecord], error) {
			return answer(s.Entity(ctx, actor, in.Realm, in.Type, in.ID))
		})
	handle(a, operation{method: http.MethodPut, path: "/realms/{realm}/entities/{type}/{id}", id: "put-entity", tag: "policies", conflicts: true,
		summary: "Make or replace an entity that policies can read"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			EntityPath
			Body admin.EntityInput
		}) (*out[policy.EntityRecord], error) {
			return answer(s.PutEntity(ctx, actor, in.Realm, policy.EntityRecord{Type: in.Type, ID: in.ID, Attributes: in.Body.Attributes, Parents: in.Body.Parents}))
		})
	handle(a, operation{method: http.MethodDelete, path: "/realms/{realm}/entities/{type}/{id}", id: "delete-entity", tag: "policies", conflicts: true,
		summary: "Remove a pushed entity"},
		func(ctx context.Context, actor *gatehouse.Principal, in *EntityPath) (*none, error) {
			return &none{}, s.DeleteEntity(ctx, actor, in.Realm, in.Type, in.ID)
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/decisions", id: "decide", tag: "policies",
		summary: "What may a user do, and why"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body admin.Question
		}) (*out[admin.Answer], error) {
			return answer(s.Decide(ctx, actor, in.Realm, in.Body))
		})
}
