package users

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Operations puts the use cases about people and services into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/bootstrap", ID: "bootstrap", Tag: "system", Public: true, Secret: true, Status: http.StatusCreated, Conflicts: true,
		Summary: "Make the first administrator with the one-time secret of the first start"},
		func(ctx context.Context, _ *gatehouse.Principal, in *struct{ Body NewBootstrap }) (*adminhttp.Out[Bootstrapped], error) {
			return adminhttp.Answer(s.Bootstrap(ctx, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/users", ID: "list-users", Tag: "users", Summary: "Users and services, by id"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			adminhttp.Paging
		}) (*adminhttp.Out[kernel.Page[User]], error) {
			return adminhttp.Answer(s.List(ctx, actor, in.Realm, in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/users", ID: "create-user", Tag: "users", Status: http.StatusCreated, Conflicts: true,
		Summary: "Make a user or a service; a hash of another system can be imported"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body NewUser
		}) (*adminhttp.Out[CreatedUser], error) {
			return adminhttp.Answer(s.Create(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/users/{user}", ID: "get-user", Tag: "users", Summary: "One user; everybody may read himself"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.Out[User], error) {
			return adminhttp.Answer(s.Get(ctx, actor, in.Realm, in.User))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPatch, Path: "/realms/{realm}/users/{user}", ID: "update-user", Tag: "users", Conflicts: true,
		Summary: "Change the members that are present, everybody his own display_name; disabling ends every login and token"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Body UserPatch
		}) (*adminhttp.Out[User], error) {
			return adminhttp.Answer(s.Update(ctx, actor, in.Realm, in.User, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/users/{user}", ID: "delete-user", Tag: "users", Conflicts: true,
		Summary: "Remove a user, with logins, tokens and keys"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Delete(ctx, actor, in.Realm, in.User)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPut, Path: "/realms/{realm}/users/{user}/password", ID: "set-password", Tag: "users", Conflicts: true,
		Summary: "Change one's own password; every login ends"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Body PasswordChange
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.SetPassword(ctx, actor, in.Realm, in.User, in.Body)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/users/{user}/password/reset-link", ID: "send-reset-link", Tag: "users", Conflicts: true,
		Summary: "Have a person set a new password by a link, which is sent, or answered where there is nowhere to send it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Body *ResetOrder
		}) (*adminhttp.Out[ResetStarted], error) {
			return adminhttp.Answer(s.StartReset(ctx, actor, in.Realm, in.User, adminhttp.Given(in.Body)))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/users/{user}/factors/reset-link", ID: "send-factors-link", Tag: "factors", Conflicts: true,
		Summary: "Have a person who has lost every second factor replace them by a link, which is sent, or answered where there is nowhere to send it; the password is asked for"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.Out[ResetStarted], error) {
			return adminhttp.Answer(s.StartFactorsReset(ctx, actor, in.Realm, in.User))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/users/{user}/email/link", ID: "send-address-link", Tag: "users", Conflicts: true,
		Summary: "Send a link to the e-mail address of an account, by which it is verified"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.SendAddressLink(ctx, actor, in.Realm, in.User)
		})
	s.invitationOperations(a)
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/users/{user}/revoke", ID: "revoke-user", Tag: "users", Conflicts: true,
		Summary: "End every login and token of a user; keys and password stay"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Revoke(ctx, actor, in.Realm, in.User)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/users/{user}/panic", ID: "panic-user", Tag: "users", Conflicts: true,
		Summary: "End everything that a user holds, and disable the account: logins, tokens, keys, password"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Body *kernel.PanicOrder
		}) (*adminhttp.Out[Panicked], error) {
			return adminhttp.Answer(s.Panic(ctx, actor, in.Realm, in.User, adminhttp.Given(in.Body)))
		})
}

func (s *Service) invitationOperations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/invitations", ID: "list-invitations", Tag: "users",
		Summary: "Invitations that wait; there are at most 200"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[kernel.Page[Invitation]], error) {
			return adminhttp.Answer(s.Invitations(ctx, actor, in.Realm))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/invitations", ID: "invite", Tag: "users", Status: http.StatusCreated, Conflicts: true,
		Summary: "Send a link by which a person makes an account with these roles, within a week"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body NewInvitation
		}) (*adminhttp.Out[Invitation], error) {
			return adminhttp.Answer(s.Invite(ctx, actor, in.Realm, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/realms/{realm}/invitations/{invitation}", ID: "revoke-invitation", Tag: "users", Conflicts: true,
		Summary: "Take an invitation back"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Invitation string `path:"invitation" maxLength:"64" doc:"Id of the invitation"`
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Uninvite(ctx, actor, in.Realm, in.Invitation)
		})
}
