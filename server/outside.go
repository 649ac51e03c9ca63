package server

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/oauth/endpoint"
)

// longestAccess is the largest access_token_ttl that a realm can have.
const longestAccess = time.Hour

// outside says who else may go by what was true in a realm before a moment, once all nodes
// know better, and until when at the latest. No node can prove anything of them.
func (s *Server) outside(ctx context.Context, realm string, at time.Time) []adminhttp.Outside {
	tokens := longestAccess
	// Tokens of before a change of the setting live as long as it said then.
	if r, err := s.db.Realm(ctx, realm); err == nil && at.Sub(r.UpdatedAt) > longestAccess {
		tokens = r.Settings.Defaults().AccessTokenTTL
	}
	out := []adminhttp.Outside{
		{Who: "key_set", Until: at.Add(tokens)},
		{Who: "status_list", Until: at.Add(endpoint.StatusListLife)},
		{Who: "stream", Until: at.Add(guard.FollowBound)},
	}
	if check := s.live.Load().cfg.Gateway.StreamCheck; check > 0 {
		out = append(out, adminhttp.Outside{Who: "open", Until: at.Add(check)})
	}
	for i := range out {
		out[i].Until = out[i].Until.UTC()
	}
	return out
}
