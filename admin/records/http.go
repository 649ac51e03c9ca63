package records

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// Operations puts the use cases about the record into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/audit/events", ID: "list-events", Tag: "audit", Summary: "Recorded events, newest first"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Kind    string    `query:"kind" maxLength:"64" doc:"Exact kind, or a prefix that ends in a dot"`
			Actor   string    `query:"actor" maxLength:"128" doc:"Id of who did it"`
			Target  string    `query:"target" maxLength:"256" doc:"Id of what it was done to"`
			Outcome string    `query:"outcome" enum:"success,failure,error"`
			From    time.Time `query:"from" doc:"Not before"`
			To      time.Time `query:"to" doc:"Not after"`
			Oldest  bool      `query:"oldest_first" doc:"Oldest first"`
			After   string    `query:"after" maxLength:"64" doc:"next of the page before"`
			Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		}) (*adminhttp.Out[kernel.Page[audit.Entry]], error) {
			return adminhttp.Answer(s.Events(ctx, actor, in.Realm, audit.Query{Kind: in.Kind, ActorID: in.Actor, TargetID: in.Target,
				Outcome: gatehouse.Outcome(in.Outcome), From: in.From, To: in.To, OldestFirst: in.Oldest, Cursor: in.After, Limit: in.Limit}))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/audit/checkpoint", ID: "get-checkpoint", Tag: "audit", Summary: "The newest signed checkpoint, to be kept elsewhere"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[Checkpoint], error) {
			note, err := s.Checkpoint(ctx, actor, in.Realm)
			return adminhttp.Answer(Checkpoint{Note: string(note)}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/audit/proof", ID: "get-proof", Tag: "audit", Summary: "Proof that one event is in the log"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Index int64 `query:"index" required:"true" minimum:"0" doc:"Index of the event"`
		}) (*adminhttp.Out[audit.Inclusion], error) {
			return adminhttp.Answer(s.Proof(ctx, actor, in.Realm, in.Index))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodPost, Path: "/realms/{realm}/audit/verify", ID: "verify-log", Tag: "audit", Asks: true, MaxBody: adminhttp.MaxBody,
		Summary: "Recompute the log and compare it with everything stored and saved"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Body *LogVerification
		}) (*adminhttp.Out[LogReport], error) {
			return adminhttp.Answer(s.VerifyLog(ctx, actor, in.Realm, adminhttp.Given(in.Body)))
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/explain/{request}", ID: "explain", Tag: "audit",
		Summary: "The chain from credential to rule of one request"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			Request string `path:"request" maxLength:"64" doc:"Request id"`
		}) (*adminhttp.Out[Explanation], error) {
			return adminhttp.Answer(s.Explain(ctx, actor, in.Realm, in.Request))
		})
}
