package enforce

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Point is a row of the table of enforcement points: what one of them has of a
// request and can do with it. A route that needs more is refused there
// ("route_needs_gateway") rather than served without its rule. Everything else is
// decided in the same way at all of them.
type Point struct {
	Name string
	// Body: it has the body, so that a decision can read it and its size is bounded.
	Body bool
	// Answer: it has the answer, so that a list in it can be filtered.
	Answer bool
	// Header: it takes credentials out of the header before the API sees it. A proxy
	// that asks does so for Authorization and X-API-Key alone.
	Header bool
	// Handshake: it has the handshake of a WebSocket and the answer to it.
	Handshake bool
	// URL: it makes the URL that the API sees, so that a ticket can be taken out.
	URL bool
	// Cookie: it takes our cookies out of the request, and gives them to browsers.
	Cookie bool
	// Tickets: it gives tickets for what is asked, to whoever would be let in, and
	// serves nothing else.
	Tickets bool
	// MaxBody bounds bodies where the route says nothing; 0 does not.
	MaxBody int64
	// CORS: somebody who follows the route's CORS rule writes the answer's lines.
	CORS bool
}

// The enforcement points.
var (
	AtGateway = Point{Name: "gateway", Body: true, Answer: true, CORS: true, Header: true, Handshake: true, URL: true, Cookie: true}
	// AtTickets is where the gateway gives one-time tickets.
	AtTickets = Point{Name: "tickets", Body: true, Answer: true, CORS: true, Header: true, Handshake: true, URL: true, Cookie: true, Tickets: true}
	// AtProxy answers proxies that keep the body, the answer, and CORS with it.
	AtProxy = Point{Name: "forward-auth", CORS: true}
	// AtHandler stands in a program, whose own affair the answer is.
	AtHandler = Point{Name: "guard", Body: true, Header: true}
)

var errNeedsGateway = gatehouse.E(gatehouse.Denied, "route_needs_gateway", "This route can only be used through the gateway itself.")

var errTicketRefused = gatehouse.E(gatehouse.Denied, "ticket_refused", "A ticket is given for a token, key or login, on a route that takes tickets.")

// fits refuses a route that the point cannot follow.
func (p *Pipeline) fits(x *Exchange, _ *http.Request) error {
	rt := x.route
	need := ""
	switch {
	case rt.Filter != nil && !x.point.Answer:
		need = "filter"
	case rt.CORS != nil && !x.point.CORS:
		need = "cors"
	case rt.Resource != nil && rt.Resource.Source == sourceBody && !x.point.Body:
		need = "resource from the body"
	case !x.point.Header && rt.reader.OwnFields():
		need = "credentials in a header line of its own"
	case !x.point.Handshake && rt.Subprotocol != "":
		need = "subprotocol"
	case !x.point.Cookie && rt.sessions:
		need = "session"
	case !x.point.URL && rt.Ticket != "":
		need = "ticket"
	case x.point.Tickets && rt.Ticket == "":
		return errTicketRefused.With(errors.New("the route takes no tickets"))
	case x.point.Tickets && x.presented.Scheme == gatehouse.SchemeSession:
		return errTicketRefused.With(errors.New("a browser sends its session with every request by itself"))
	case x.point.Tickets && x.inURL:
		return errTicketRefused.With(errors.New("a ticket was presented for a ticket"))
	}
	if need != "" {
		return errNeedsGateway.With(fmt.Errorf("%s cannot follow the route: %s", x.point.Name, need))
	}
	return nil
}

// body refuses a body that the route does not take, before anything reads it. One
// whose length is not told is bounded as it is read.
func (p *Pipeline) body(x *Exchange, r *http.Request) error {
	rt := x.route
	described := r.ContentLength != 0 || !x.point.Body && len(r.Header["Content-Type"]) > 0
	if described && len(rt.ContentTypes) > 0 {
		if err := web.ContentType(r, rt.ContentTypes...); err != nil {
			return err
		}
	}
	if limit := x.maxBody(); limit > 0 && r.ContentLength > limit {
		return web.ErrBodyTooLarge.With(fmt.Errorf("%d bytes; at most %d", r.ContentLength, limit))
	}
	return nil
}

func (x *Exchange) maxBody() int64 {
	if x.route.MaxBodyBytes > 0 {
		return x.route.MaxBodyBytes
	}
	return x.point.MaxBody
}
