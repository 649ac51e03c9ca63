package pages

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/session"
)

// errorView is what error.html shows.
type errorView struct {
	frame
	Phrase  string
	English bool // the phrase is, whatever the page is in
	Code    string
	Doc     string // the page about the code
	Request string
	Time    string
}

// fail shows an error as a page: the same status and code that a program gets, and what is
// so and how to mend it, in the language of the page.
func (v *visit) fail(err error) error {
	id := gatehouse.RequestIDFrom(v.r.Context())
	p := v.h.c.Problems.ProblemOf(err, id)
	if p.Status == http.StatusInternalServerError {
		v.h.c.Problems.Log(v.r, "internal error", err)
	}
	if after := web.Classify(err).RetryAfter; after > 0 {
		v.w.Header()["Retry-After"] = []string{web.RetryAfter(after)}
	}
	return v.showError(p.Status, errorView{Phrase: p.Detail, Code: p.Code, Request: id})
}

// showError shows an error, in the language of the page where that has words for its code.
func (v *visit) showError(status int, view errorView) (err error) {
	if view.frame, err = v.frame(SignIn, "error.title", nil); err != nil {
		return err
	}
	view.Doc, view.Time, view.English = v.site.base+"/errors/"+view.Code, v.h.c.Now().UTC().Format(time.RFC3339), true
	if text, terr := v.language.text("error." + view.Code); terr == nil {
		view.Phrase, view.English = text, false
	}
	return v.show(status, "error.html", view)
}

// errorStates are those of error.html.
func errorStates() []state {
	failed := func(status int, code, phrase string) func(*visit) error {
		return func(v *visit) error {
			return v.showError(status, errorView{Phrase: phrase, Code: code, Request: "req_01kb5n8q3wd7y2f6h9m4t0xzrv"})
		}
	}
	return []state{
		{"nothing-here", failed(http.StatusNotFound, gatehouse.ErrRealmNotFound.Code, "")},
		{"expired", failed(http.StatusForbidden, errExpired.Code, "")},
		{"other-site", failed(http.StatusForbidden, web.ErrCrossOrigin.Code, "")},
		{"no-tls", failed(http.StatusBadRequest, errPlain.Code, "")},
		{"broken", failed(http.StatusInternalServerError, gatehouse.ErrInternal.Code, "")},
		{"in-english", failed(http.StatusServiceUnavailable, "temporarily_unavailable", "The server cannot do this at the moment.")},
		{"way-back", failed(http.StatusForbidden, session.ErrHandOver.Code, "")},
	}
}
