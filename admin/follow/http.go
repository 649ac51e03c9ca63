package follow

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
)

// Operations puts the stream into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.HandleFlow(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/revocations/events", ID: "follow-revocations", Tag: "tokens",
		Summary: "Follow what is no longer valid, as server-sent events",
		Events:  "Events status, cutoff, keys, reload and ready; docs/revocation-stream.md says what each means"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			adminhttp.RealmPath
			LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last event that was read; without it everything is sent"`
			Wait        int    `query:"wait" minimum:"1" maximum:"60" doc:"Long poll: end after the first events, or after so many seconds"`
		}) (adminhttp.Flow, error) {
			st, err := s.follow(ctx, actor, in.Realm, positionOf(in.LastEventID, in.Realm))
			if err != nil {
				return nil, err
			}
			st.wait = time.Duration(in.Wait) * time.Second
			return st.serve, nil
		})
}
