package telemetry

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// Recorder takes the events of decisions; audit.Recorder is one.
type Recorder interface {
	Admit(ctx context.Context) error
	RecordAdmitted(e *gatehouse.Event)
	Record(e *gatehouse.Event)
}

// Events counts what it passes on to the audit log. What is counted is thus what is
// recorded, and nothing is counted twice.
type Events struct {
	Next    Recorder
	Metrics *Metrics
}

// Admit asks Next.
func (c *Events) Admit(ctx context.Context) error { return c.Next.Admit(ctx) }

// RecordAdmitted counts e and passes it on.
func (c *Events) RecordAdmitted(e *gatehouse.Event) {
	c.count(e)
	c.Next.RecordAdmitted(e)
}

// Record counts e and passes it on.
func (c *Events) Record(e *gatehouse.Event) {
	c.count(e)
	c.Next.Record(e)
}

func (c *Events) count(e *gatehouse.Event) {
	switch e.Kind {
	case audit.KindRequestDecide:
		outcome := "allowed"
		if e.Outcome != gatehouse.OutcomeSuccess {
			outcome = outcomeOfStatus(e.Status)
		}
		c.Metrics.request(e.Route, outcome, e.Actor.Scheme, time.Duration(e.Micros)*time.Microsecond)
		// A wrong password is an event of its own, counted below.
		if outcome == "unauthenticated" && e.Actor.Scheme != gatehouse.SchemeBasic {
			c.Metrics.authnFailure(e.Reason)
		}
	case audit.KindLoginFailure, audit.KindLoginThrottled, audit.KindFactorFailure, audit.KindFactorThrottled, audit.KindPasskeyFailure, audit.KindProviderFailure:
		c.Metrics.authnFailure(e.Reason)
	}
}

func outcomeOfStatus(status int) string {
	switch {
	case status == 401:
		return "unauthenticated"
	case status == 403:
		return "denied"
	case status == 404:
		return "not_found"
	case status == 429:
		return "limited"
	case status >= 400 && status < 500:
		return "invalid"
	}
	return "error"
}
