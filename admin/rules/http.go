package rules

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// RolePath names one role.
type RolePath struct {
	adminhttp.RealmPath
	Role string `path:"role" maxLength:"128" doc:"Role name"`
}

// PolicyPath names one policy document.
type PolicyPath struct {
	adminhttp.RealmPath
	Policy string `path:"policy" maxLength:"128" doc:"Policy id"`
}

// EntityPath names one pushed entity.
type EntityPath struct {
	adminhttp.RealmPath
	Type string `path:"type" maxLength:"200" doc:"Entity type"`
	ID   string `path:"id" maxLength:"200" doc:"Entity id"`
}

// Operations puts the use cases about what decides into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	s.roleOperations(a)
	s.policyOperations(a)
	s.entityOperations(a)
}

func (s *Service) roleOperations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/roles", ID: "list-roles", Tag: "policies", Summary: "The roles of a realm, built-in ones included"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[kernel.List[RoleView]], error) {
			items, err := s.Roles(ctx, actor, in.Realm)
			return adminhttp.Answer(kernel.List[RoleView]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/roles/{role}", ID: "get-role", Tag: "policies", Summary: "One role"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RolePath) (*adminhttp.Out[RoleView], error) {
			return adminhttp.Answer(s.Role(ctx, actor, in.Realm, in.Role))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPut, Path: "/realms/{realm}/roles/{role}", ID: "put-role", Tag: "policies", Conflicts: true, MaxBody: adminhttp.MaxBody,
		Summary: "Make or replace a role; it is compiled with everything else first"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RolePath
			Body RoleInput
		}) (*adminhttp.Out[RoleView], error) {
			return adminhttp.Answer(s.PutRole(ctx, actor, in.Realm, in.Body.Role(in.Role)))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/roles/{role}", ID: "delete-role", Tag: "policies", Conflicts: true,
		Summary: "Remove a role that nobody holds"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RolePath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.DeleteRole(ctx, actor, in.Realm, in.Role)
		})
}

func (s *Service) policyOperations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/policies", ID: "list-policies", Tag: "policies", Summary: "The policy documents of a realm"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[kernel.List[policy.Document]], error) {
			items, err := s.Policies(ctx, actor, in.Realm)
			return adminhttp.Answer(kernel.List[policy.Document]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/policies/{policy}", ID: "get-policy", Tag: "policies", Summary: "One policy document"},
		func(ctx context.Context, actor *gatehouse.Principal, in *PolicyPath) (*adminhttp.Out[policy.Document], error) {
			return adminhttp.Answer(s.Policy(ctx, actor, in.Realm, in.Policy))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPut, Path: "/realms/{realm}/policies/{policy}", ID: "put-policy", Tag: "policies", Conflicts: true, MaxBody: adminhttp.MaxBody,
		Summary: "Make or replace a policy document; what does not compile is refused"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			PolicyPath
			Body PolicyInput
		}) (*adminhttp.Out[policy.Document], error) {
			return adminhttp.Answer(s.PutPolicy(ctx, actor, in.Realm, policy.Document{ID: in.Policy, Text: in.Body.Text, Disabled: in.Body.Disabled}))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/policies/{policy}", ID: "delete-policy", Tag: "policies", Conflicts: true,
		Summary: "Remove a policy document"},
		func(ctx context.Context, actor *gatehouse.Principal, in *PolicyPath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.DeletePolicy(ctx, actor, in.Realm, in.Policy)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/schema", ID: "get-schema", Tag: "policies", Summary: "The schema that policies are checked against"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[policy.Schema], error) {
			return adminhttp.Answer(s.Schema(ctx, actor, in.Realm))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPut, Path: "/realms/{realm}/schema", ID: "put-schema", Tag: "policies", Conflicts: true, MaxBody: adminhttp.MaxBody,
		Summary: "Replace the schema; every policy and role has to fit it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body SchemaInput
		}) (*adminhttp.Out[policy.Schema], error) {
			return adminhttp.Answer(s.PutSchema(ctx, actor, in.Realm, in.Body.Text))
		})
}

func (s *Service) entityOperations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/entities/{type}", ID: "list-entities", Tag: "policies", Summary: "Pushed entities of one type"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			adminhttp.Paging
			Type string `path:"type" maxLength:"200" doc:"Entity type"`
		}) (*adminhttp.Out[kernel.Page[policy.EntityRecord]], error) {
			return adminhttp.Answer(s.Entities(ctx, actor, in.Realm, in.Type, in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/entities/{type}/{id}", ID: "get-entity", Tag: "policies", Summary: "One pushed entity"},
		func(ctx context.Context, actor *gatehouse.Principal, in *EntityPath) (*adminhttp.Out[policy.EntityRecord], error) {
			return adminhttp.Answer(s.Entity(ctx, actor, in.Realm, in.Type, in.ID))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPut, Path: "/realms/{realm}/entities/{type}/{id}", ID: "put-entity", Tag: "policies", Conflicts: true,
		Summary: "Make or replace an entity that policies can read"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			EntityPath
			Body EntityInput
		}) (*adminhttp.Out[policy.EntityRecord], error) {
			return adminhttp.Answer(s.PutEntity(ctx, actor, in.Realm, policy.EntityRecord{Type: in.Type, ID: in.ID, Attributes: in.Body.Attributes, Parents: in.Body.Parents}))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/entities/{type}/{id}", ID: "delete-entity", Tag: "policies", Conflicts: true,
		Summary: "Remove a pushed entity"},
		func(ctx context.Context, actor *gatehouse.Principal, in *EntityPath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.DeleteEntity(ctx, actor, in.Realm, in.Type, in.ID)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/decisions", ID: "decide", Tag: "policies", Asks: true,
		Summary: "What may a user do, and why"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body Question
		}) (*adminhttp.Out[Answer], error) {
			return adminhttp.Answer(s.Decide(ctx, actor, in.Realm, in.Body))
		})
}
