package enforce

import (
	"cmp"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Judgement is the way of one request through the pipeline, as [Run] needs it;
// *Exchange is one.
type Judgement interface {
	RequestID() string
	// Check runs every step up to the decision. It may replace r.Body.
	Check(r *http.Request) Verdict
	// Step adds to the record; Finish closes it, exactly once.
	Step(s gatehouse.Step)
	Finish(status int, bytes int64)
}

// Handling is what an enforcement point does with one request.
type Handling interface {
	// Receive looks at the request before it is judged. An error refuses it; or it
	// may have been answered already, as a preflight is.
	Receive(r *http.Request) (answered bool, err *gatehouse.Error)
	// Serve does what an allowed request asks for.
	Serve(r *http.Request, v Verdict)
	// Refuse answers a request that goes no further; v is zero when it was not judged.
	Refuse(r *http.Request, v Verdict, err error)
	// Unsent is the status to record when nothing was sent through the writer: 101
	// when the connection belongs to another protocol now, 0 when nobody was answered.
	Unsent(panicked bool) int
}

// statusClientGone is recorded when the client left before an answer was sent. It
// never goes over the wire.
const statusClientGone = 499

var (
	errNoVerdict = gatehouse.E(gatehouse.Internal, "no_verdict", "")
)

// Run takes one request through an enforcement point, from x, which has just
// begun, to its record: receive, check, then serve or refuse, finish. It is the
// same at every point, so that none of them can forget a part.
//
// The record is closed exactly once, whatever happens. A panic becomes a 500 when
// nothing was sent yet, and a cut connection otherwise. When nobody was answered,
// the connection is cut as well: net/http would send an empty 200.
func Run(x Judgement, h Handling, t *web.Tracked, r *http.Request, log *slog.Logger) {
	defer func() { finish(x, h, t, r, log, recover()) }()
	if answered, err := h.Receive(r); err != nil {
		x.Step(gatehouse.Step{Name: "receive", Outcome: gatehouse.OutcomeFailure, Code: err.Code, Note: noteOf(err, err.Code)})
		h.Refuse(r, Verdict{}, err)
		return
	} else if answered {
		return
	}
	v := x.Check(r)
	if err := v.refusal(); err != nil {
		h.Refuse(r, v, err)
		return
	}
	h.Serve(r, v)
}

// refusal returns why the request goes no further, or nil.
func (v *Verdict) refusal() error {
	switch {
	case v.Allowed && v.Route != nil:
		return nil
	case v.Err == nil:
		return errNoVerdict // an allowed verdict without a route is no permission
	}
	return v.Err
}

func finish(x Judgement, h Handling, t *web.Tracked, r *http.Request, log *slog.Logger, panicked any) {
	status := t.Status()
	if status == 0 {
		status = h.Unsent(panicked != nil)
	}
	if panicked != nil && panicked != http.ErrAbortHandler {
		log.ErrorContext(r.Context(), "panic while a request was served", slog.String("request_id", x.RequestID()),
			slog.Any("value", panicked), slog.String("stack", string(debug.Stack())))
		x.Step(gatehouse.Step{Name: "forward", Outcome: gatehouse.OutcomeError, Code: gatehouse.ErrInternal.Code})
		if status == 0 {
			h.Refuse(r, Verdict{}, gatehouse.ErrInternal)
			status, panicked = t.Status(), nil
		}
	}
	x.Finish(cmp.Or(status, statusClientGone), t.Bytes())
	if panicked != nil || status == 0 { // nobody was answered, or not to the end
		panic(http.ErrAbortHandler)
	}
}
