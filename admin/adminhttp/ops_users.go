package adminhttp

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
)

type UserPath struct {
	RealmPath
	User string `path:"user" maxLength:"256" doc:"Id, username, or me for the caller"`
}

func (a *api) users() {
	s := a.c.Service
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/users", id: "list-users", tag: "users", summary: "Users and services, by id"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Paging
		}) (*out[admin.Page[admin.User]], error) {
			return answer(s.Users(ctx, actor, in.Realm, in.After, in.Limit))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/users", id: "create-user", tag: "users", status: http.StatusCreated, conflicts: true,
		summary: "Make a user or a service; a hash of another system can be imported"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body admin.NewUser
		}) (*out[admin.CreatedUser], error) {
			return answer(s.CreateUser(ctx, actor, in.Realm, in.Body))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/users/{user}", id: "get-user", tag: "users", summary: "One user; everybody may read himself"},
		func(ctx context.Context, actor *gatehouse.Principal, in *UserPath) (*out[admin.User], error) {
			return answer(s.User(ctx, actor, in.Realm, in.User))
		})
	handle(a, operation{method: http.MethodPatch, path: "/realms/{realm}/users/{user}", id: "update-user", tag: "users", conflicts: true,
		summary: "Change the members that are present; disabling ends every login and token"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			UserPath
			Body admin.UserPatch
		}) (*out[admin.User], error) {
			return answer(s.UpdateUser(ctx, actor, in.Realm, in.User, in.Body))
		})
	handle(a, operation{method: http.MethodDelete, path: "/realms/{realm}/users/{user}", id: "delete-user", tag: "users", conflicts: true,
		summary: "Remove a user, with logins, tokens and keys"},
		func(ctx context.Context, actor *gatehouse.Principal, in *UserPath) (*none, error) {
			return &none{}, s.DeleteUser(ctx, actor, in.Realm, in.User)
		})
	handle(a, operation{method: http.MethodPut, path: "/realms/{realm}/users/{user}/password", id: "set-password", tag: "users", conflicts: true,
		summary: "Change one's own password, or reset somebody's to a random one; every login ends"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			UserPath
			Body admin.PasswordChange
		}) (*out[admin.PasswordChanged], error) {
			return answer(s.SetPassword(ctx, actor, in.Realm, in.User, in.Body))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/users/{user}/grants", id: "list-user-grants", tag: "users", summary: "The logins of a user"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			UserPath
			Paging
		}) (*out[admin.Page[admin.Grant]], error) {
			return answer(s.Grants(ctx, actor, in.Realm, in.User, in.After, in.Limit))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/users/{user}/revoke", id: "revoke-user", tag: "users", conflicts: true,
		summary: "End every login and token of a user; keys and password stay"},
		func(ctx context.Context, actor *gatehouse.Principal, in *UserPath) (*none, error) {
			return &none{}, s.RevokeUser(ctx, actor, in.Realm, in.User)
		})
}

type KeyPath struct {
	RealmPath
	Key string `path:"key" maxLength:"64" doc:"Key id"`
}

func (a *api) keys() {
	s := a.c.Service
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/keys", id: "list-keys", tag: "keys", summary: "API keys; everybody may list his own with owner=me"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Paging
			Owner string `query:"owner" maxLength:"256" doc:"Id, username or me; absent: of everybody"`
		}) (*out[admin.Page[admin.Key]], error) {
			return answer(s.Keys(ctx, actor, in.Realm, in.Owner, in.After, in.Limit))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/keys", id: "create-key", tag: "keys", status: http.StatusCreated, conflicts: true,
		summary: "Make an API key; its text is in this answer only"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body admin.NewKey
		}) (*out[admin.CreatedKey], error) {
			return answer(s.CreateKey(ctx, actor, in.Realm, in.Body))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/keys/import", id: "import-key", tag: "keys", status: http.StatusCreated, conflicts: true,
		summary: "Take over a key that another system made, by its hash"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body admin.ImportedKey
		}) (*out[admin.Key], error) {
			return answer(s.ImportKey(ctx, actor, in.Realm, in.Body))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/keys/{key}", id: "get-key", tag: "keys", summary: "One API key, without its secret"},
		func(ctx context.Context, actor *gatehouse.Principal, in *KeyPath) (*out[admin.Key], error) {
			return answer(s.Key(ctx, actor, in.Realm, in.Key))
		})
	handle(a, operation{method: http.MethodPatch, path: "/realms/{realm}/keys/{key}", id: "update-key", tag: "keys", conflicts: true,
		summary: "Rename or narrow an API key"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			KeyPath
			Body admin.KeyPatch
		}) (*out[admin.Key], error) {
			return answer(s.UpdateKey(ctx, actor, in.Realm, in.Key, in.Body))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/keys/{key}/rotate", id: "rotate-key", tag: "keys", status: http.StatusCreated, conflicts: true,
		summary: "Replace an API key; the old one goes on working for the overlap"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			KeyPath
			Body *admin.KeyRotation
		}) (*out[admin.CreatedKey], error) {
			return answer(s.RotateKey(ctx, actor, in.Realm, in.Key, given(in.Body)))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/keys/{key}/revoke", id: "revoke-key", tag: "keys", conflicts: true,
		summary: "End an API key at once"},
		func(ctx context.Context, actor *gatehouse.Principal, in *KeyPath) (*out[admin.Key], error) {
			return answer(s.RevokeKey(ctx, actor, in.Realm, in.Key))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/keys/{key}/usage", id: "key-usage", tag: "keys", summary: "Uses per day"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			KeyPath
			Days int `query:"days" minimum:"1" maximum:"400" default:"31" doc:"How many days back"`
		}) (*out[admin.List[admin.KeyUsage]], error) {
			items, err := s.KeyUsage(ctx, actor, in.Realm, in.Key, in.Days)
			return answer(admin.List[admin.KeyUsage]{Items: items}, err)
		})
	handle(a, operation{method: http.MethodPost, path: "/keys/leaked", id: "report-leaked-key", tag: "keys", public: true, conflicts: true,
		summary: "Disable an API key that was found where it should not be; holding it is the proof"},
		func(ctx context.Context, _ *gatehouse.Principal, in *struct{ Body admin.LeakedKey }) (*none, error) {
			return &none{}, s.ReportLeaked(ctx, in.Body.Key)
		})
}
