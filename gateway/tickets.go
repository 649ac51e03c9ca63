package gateway

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// TicketPath is the path below which one-time tickets are given: a POST to it and the
// path of a route asks for a ticket for that path.
const TicketPath = "/.gatehouse/ticket"

// asksTicket reports whether r is about tickets, rather than for an API.
func asksTicket(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, TicketPath+"/") }

// desk answers one request for a ticket. It implements enforce.Handling.
type desk struct {
	*exchange
	asked *http.Request // the request itself; the one that is judged is what the ticket is for
}

// serveTicket judges the GET that the ticket is asked for as if it came now, with the
// credential of the POST, and gives a ticket to whoever would be let in.
func (g *Gateway) serveTicket(w http.ResponseWriter, r *http.Request) {
	u := *r.URL
	u.Path, u.RawPath = strings.TrimPrefix(u.Path, TicketPath), strings.TrimPrefix(u.RawPath, TicketPath)
	out := r.WithContext(r.Context()) // a copy
	out.Method, out.URL, out.RequestURI = http.MethodGet, &u, u.RequestURI()
	out.Body, out.ContentLength, out.TransferEncoding, out.Trailer = http.NoBody, 0, nil, nil
	x := g.cfg.Enforcer.Begin(enforce.AtTickets, out)
	d := &desk{&exchange{g: g, x: x, id: x.RequestID(), w: w, t: web.Track(w), started: g.cfg.Now()}, r}
	out = out.WithContext(gatehouse.WithRequestID(out.Context(), d.id))
	d.in = out
	d.secure = g.cfg.Proxies.Scheme(r) == "https"
	enforce.Run(x, d, d.t, out, g.cfg.Logger)
}

// Receive implements enforce.Handling.
func (d *desk) Receive(r *http.Request) (answered bool, err *gatehouse.Error) {
	if err := d.g.bounds(d.asked); err != nil {
		return false, err
	}
	about := r.WithContext(r.Context()) // a copy
	about.Method = d.asked.Method
	if preflight(d.t, about, getRoutes{d.g.cfg.Enforcer}, d.g.cfg.Proxies, d.id) {
		return true, nil
	}
	if d.asked.Method != http.MethodPost {
		d.t.Header()["Allow"] = []string{http.MethodPost}
		return false, web.ErrMethod
	}
	return false, nil
}

// getRoutes finds the route of what a ticket is for, whatever is asked about.
type getRoutes struct{ Enforcer }

func (g getRoutes) Match(r *http.Request) *enforce.Route {
	get := r.WithContext(r.Context())
	get.Method = http.MethodGet
	return g.Enforcer.Match(get)
}

// ticketAnswer is what a page gets.
type ticketAnswer struct {
	Ticket    string `json:"ticket"`
	Parameter string `json:"parameter"`
	ExpiresIn int    `json:"expires_in"` // seconds
}

// Serve implements enforce.Handling.
func (d *desk) Serve(r *http.Request, v enforce.Verdict) {
	d.v = v
	text, err := d.x.IssueTicket(r)
	if err != nil {
		e := web.Classify(err)
		d.x.Step(gatehouse.Step{Name: "ticket", Outcome: gatehouse.OutcomeFailure, Code: e.Code})
		if e.Kind == gatehouse.Internal || e.Kind == gatehouse.Unavailable {
			d.g.cfg.Logger.ErrorContext(r.Context(), "cannot give a ticket", slog.String("request_id", d.id), slog.Any("error", err))
		}
		if e.RetryAfter > 0 {
			d.t.Header()["Retry-After"] = []string{web.RetryAfter(e.RetryAfter)}
		}
		d.refuse(d.t, r, err)
		return
	}
	body, err := json.Marshal(ticketAnswer{text.Reveal(), v.Route.Ticket, int(credential.TicketLife.Seconds())})
	if err != nil {
		d.refuse(d.t, r, err)
		return
	}
	h := d.t.Header()
	web.APIHeaders(h, d.secure)
	v.SetHeader(h)
	h[headerRequestID] = []string{d.id}
	h["Content-Type"] = []string{"application/json"}
	setCORS(h, v.Route.CORS, r)
	d.t.WriteHeader(http.StatusCreated)
	_, _ = d.t.Write(body)
}

// Unsent implements enforce.Handling: a question that nobody answered.
func (d *desk) Unsent(bool) int { return 0 }
