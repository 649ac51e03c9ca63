package mails

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Operations puts the use cases about messages into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/mails", ID: "list-mails", Tag: "mail",
		Summary: "Messages to people, of all realms: what waits, what was sent or given up in the last two weeks"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.Paging
			State string `query:"state" enum:"waiting,sent,failed" doc:"Only those"`
		}) (*adminhttp.Out[kernel.Page[Mail]], error) {
			return adminhttp.Answer(s.List(ctx, actor, in.State, in.After, in.Limit))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/mails", ID: "test-mail", Tag: "mail", Status: http.StatusCreated,
		Summary: "Queue a test message"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct{ Body NewMail }) (*adminhttp.Out[Mail], error) {
			return adminhttp.Answer(s.Test(ctx, actor, in.Body))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/mails/{mail}", ID: "get-mail", Tag: "mail", Summary: "One message"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			Mail string `path:"mail" maxLength:"64" doc:"Message id"`
		}) (*adminhttp.Out[Mail], error) {
			return adminhttp.Answer(s.Get(ctx, actor, in.Mail))
		})
}
