package server

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/oauth/backchannel"
)

// wireBackchannel makes what judges what clients ask people for, and brings it to them.
func (s *Server) wireBackchannel(objects backchannel.Objects) (err error) {
	s.questions, err = backchannel.New(backchannel.Config{Questions: s.grants, Users: s.db, Clients: s.clients, Objects: objects, Limits: askLimits{s},
		Issuer: s.realmIssuer, Keys: s.ring.Source, Now: s.now})
	return err
}

// askLimits bound how often people are asked, and how often a client means somebody who is not here.
type askLimits struct{ s *Server }

const missedPeople = "people who are not here"

// missedRate is how often a client may mean nobody.
var missedRate = limit.Rate{Limit: 100, Window: 10 * time.Minute, Burst: 100}

// Ask lets one client have half of what a person may be asked: it cannot keep all others from asking.
func (l askLimits) Ask(_ context.Context, realm, client, user string) (time.Duration, bool) {
	rate := l.s.live.Load().cfg.Limits.Questions
	half := limit.Rate{Limit: max(rate.Limit/2, 1), Window: rate.Window, Burst: rate.Burst / 2}
	res := l.s.limiter.AllowIn("questions of a client to a person", realm+" "+client+" "+user, half)
	if res.OK {
		res = l.s.limiter.AllowIn("questions to a person", realm+" "+user, rate)
	}
	return res.RetryAfter, res.OK
}

func (l askLimits) Miss(realm, client string) {
	l.s.limiter.CountIn(missedPeople, realm+" "+client, missedRate)
}

func (l askLimits) Missed(realm, client string) bool {
	return l.s.limiter.SpentIn(missedPeople, realm+" "+client, missedRate)
}
