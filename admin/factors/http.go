package factors

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// FactorPath names one factor of a user.
type FactorPath struct {
	adminhttp.UserPath
	Factor string `path:"factor" maxLength:"64" doc:"Factor id"`
}

// Operations puts the use cases about second factors into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	const all = "/realms/{realm}/users/{user}/factors"
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: all, ID: "list-factors", Tag: "factors",
		Summary: "Second factors of a user, without secrets; everybody may list his own"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.UserPath) (*adminhttp.Out[kernel.List[Factor]], error) {
			items, err := s.List(ctx, actor, in.Realm, in.User)
			return adminhttp.Answer(kernel.List[Factor]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: all + "/totp", ID: "begin-totp", Tag: "factors", Status: http.StatusCreated, Secret: true, Conflicts: true,
		Summary: "Begin to add an authenticator app of one's own; its secret is in this answer only"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Body NewTOTP
		}) (*adminhttp.Out[BegunTOTP], error) {
			return adminhttp.Answer(s.BeginTOTP(ctx, actor, in.Realm, in.User, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: all + "/{factor}/confirm", ID: "confirm-totp", Tag: "factors", Conflicts: true,
		Summary: "Have an authenticator app count, by a code that it shows"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			FactorPath
			Body Confirmation
		}) (*adminhttp.Out[ConfirmedTOTP], error) {
			return adminhttp.Answer(s.ConfirmTOTP(ctx, actor, in.Realm, in.User, in.Factor, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPatch, Path: all + "/{factor}", ID: "rename-factor", Tag: "factors", Conflicts: true,
		Summary: "Give one of one's own factors another name"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			FactorPath
			Body FactorName
		}) (*adminhttp.Out[Factor], error) {
			return adminhttp.Answer(s.Rename(ctx, actor, in.Realm, in.User, in.Factor, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: all + "/{factor}/remove", ID: "remove-factor", Tag: "factors", Secret: true, Conflicts: true,
		Summary: "Remove one's own factor after a proof, or somebody's who has lost it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			FactorPath
			Body *Proof
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Remove(ctx, actor, in.Realm, in.User, in.Factor, adminhttp.Given(in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: all + "/recovery", ID: "new-recovery-codes", Tag: "factors", Secret: true, Conflicts: true,
		Summary: "Make new recovery codes of one's own; those of before are worth nothing"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.UserPath
			Body Proof
		}) (*adminhttp.Out[RecoveryCodes], error) {
			return adminhttp.Answer(s.NewCodes(ctx, actor, in.Realm, in.User, in.Body))
		})
}
