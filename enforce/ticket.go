package enforce

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// ticketer is an [Authenticator] that gives one-time tickets; *authn.Authenticator is one.
type ticketer interface {
	IssueTicket(ctx context.Context, realm string, p authn.Presented, target string) (text gatehouse.Secret, id string, err error)
}

// ticketRate is how many tickets one principal gets: each is a write to the store.
var ticketRate = limit.Rate{Limit: 60, Window: time.Minute}

// IssueTicket gives a ticket for the request that x allowed at [AtTickets]: to be sent
// with GET and the path of r, once. It stands for the credential of x.
func (x *Exchange) IssueTicket(r *http.Request) (gatehouse.Secret, error) {
	t, ok := x.p.cfg.Authenticator.(ticketer)
	if !ok || !x.allowed || !x.point.Tickets || !x.principal.Authenticated() {
		return "", gatehouse.ErrInternal.With(errors.New("enforce: a ticket was asked for that nobody may have"))
	}
	res := x.p.cfg.Limiter.AllowIn("tickets\x00"+x.principal.Realm, x.principal.ID, ticketRate)
	if err := x.limited(1, limit.Item{Name: "tickets", Rate: ticketRate, Result: res}); err != nil {
		return "", err
	}
	text, id, err := t.IssueTicket(x.ctx, x.route.Realm, x.presented, authn.TicketTarget(http.MethodGet, r))
	if err != nil {
		return "", err
	}
	x.pass("ticket", "issued", id)
	return text, nil
}
