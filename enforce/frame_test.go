package enforce

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// framed is a judgement and a handling whose parts a test chooses.
type framed struct {
	t        *web.Tracked
	receive  func() (bool, *gatehouse.Error)
	verdict  Verdict
	serve    func(t *web.Tracked)
	unsent   int
	steps    []gatehouse.Step
	served   int
	refused  []error
	finished []int
}

func (f *framed) RequestID() string           { return "req_1" }
func (f *framed) Check(*http.Request) Verdict { return f.verdict }
func (f *framed) Step(s gatehouse.Step)       { f.steps = append(f.steps, s) }
func (f *framed) Finish(status int, _ int64)  { f.finished = append(f.finished, status) }
func (f *framed) Receive(*http.Request) (bool, *gatehouse.Error) {
	if f.receive == nil {
		return false, nil
	}
	return f.receive()
}
func (f *framed) Serve(*http.Request, Verdict) {
	f.served++
	if f.serve != nil {
		f.serve(f.t)
	}
}
func (f *framed) Refuse(_ *http.Request, _ Verdict, err error) {
	f.refused = append(f.refused, err)
	f.t.WriteHeader(web.StatusOf(err))
}
func (f *framed) Unsent(panicked bool) int {
	if panicked && f.unsent == http.StatusOK {
		return 0
	}
	return f.unsent
}

// TestFrame: each way that a request can take is answered and recorded once, and
// only an allowed verdict about a route is served.
func TestFrame(t *testing.T) {
	allowed := Verdict{Allowed: true, Route: &Route{}}
	ok := func(t *web.Tracked) { t.WriteHeader(http.StatusOK) }
	for _, c := range []struct {
		name    string
		f       framed
		served  int
		refused string // code
		status  int
		step    string
		cut     bool
	}{
		{name: "served", f: framed{verdict: allowed, serve: ok}, served: 1, status: 200},
		{name: "refused", f: framed{verdict: Verdict{Err: errDenied, Route: &Route{}}}, refused: "access_denied", status: 403},
		{name: "zero verdict", f: framed{}, refused: "no_verdict", status: 500},
		{name: "allowed without a route", f: framed{verdict: Verdict{Allowed: true}}, refused: "no_verdict", status: 500},
		{name: "refused before it was judged", f: framed{verdict: allowed, receive: func() (bool, *gatehouse.Error) { return true, ErrPath }}, refused: "path_ambiguous", status: 400, step: "path_ambiguous"},
		{name: "panic", f: framed{verdict: allowed, serve: func(*web.Tracked) { panic("boom") }}, served: 1, refused: "internal", status: 500, step: "internal"},
		{name: "panic while it was received", f: framed{verdict: allowed, receive: func() (bool, *gatehouse.Error) { panic("boom") }}, refused: "internal", status: 500, step: "internal"},
		{name: "panic after the status", f: framed{verdict: allowed, serve: func(t *web.Tracked) { ok(t); panic("boom") }}, served: 1, status: 200, step: "internal", cut: true},
		{name: "panic after an upgrade", f: framed{verdict: allowed, unsent: 101, serve: func(*web.Tracked) { panic("boom") }}, served: 1, status: 101, step: "internal", cut: true},
		{name: "aborted", f: framed{verdict: allowed, serve: func(*web.Tracked) { panic(http.ErrAbortHandler) }}, served: 1, status: 499, cut: true},
		{name: "aborted where silence means 200", f: framed{verdict: allowed, unsent: 200, serve: func(*web.Tracked) { panic(http.ErrAbortHandler) }}, served: 1, status: 499, cut: true},
		{name: "nobody answered", f: framed{verdict: allowed}, served: 1, status: 499, cut: true},
		{name: "silence means 200", f: framed{verdict: allowed, unsent: 200}, served: 1, status: 200},
		{name: "upgraded", f: framed{verdict: allowed, unsent: 101}, served: 1, status: 101},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			f := &c.f
			f.t = web.Track(httptest.NewRecorder())
			cut := false
			func() {
				defer func() { cut = recover() == http.ErrAbortHandler }()
				Run(f, f, f.t, httptest.NewRequest("GET", "/", nil), slog.New(slog.NewTextHandler(&log, nil)))
			}()
			code := ""
			if len(f.refused) > 0 {
				code = gatehouse.CodeOf(errors.Join(f.refused...))
			}
			step := ""
			for _, s := range f.steps {
				step += s.Code
			}
			if f.served != c.served || code != c.refused || step != c.step || cut != c.cut || len(f.finished) != 1 || f.finished[0] != c.status {
				t.Errorf("served %d, refused %q, steps %q, cut %t, finished %v", f.served, code, step, cut, f.finished)
			}
			if strings.Contains(c.name, "panic") != strings.Contains(log.String(), "boom") {
				t.Errorf("the log says %s", log.String())
			}
		})
	}
	answered := framed{verdict: allowed, receive: func() (bool, *gatehouse.Error) { return true, nil }, unsent: 204}
	answered.t = web.Track(httptest.NewRecorder())
	Run(&answered, &answered, answered.t, httptest.NewRequest("OPTIONS", "/", nil), slog.New(slog.DiscardHandler))
	if answered.served != 0 || len(answered.refused) != 0 || len(answered.finished) != 1 {
		t.Errorf("a preflight was judged: %+v", answered)
	}
}
