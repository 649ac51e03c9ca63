package pages

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
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
	f, ferr := v.frame(pageSignIn, "error.title", nil)
	if ferr != nil {
		return ferr
	}
	view := errorView{frame: f, Phrase: p.Detail, English: true, Code: p.Code, Doc: v.h.c.Base + "/errors/" + p.Code, Request: id,
		Time: v.h.c.Now().UTC().Format(time.RFC3339)}
	if text, terr := v.language.text("error." + p.Code); terr == nil {
		view.Phrase, view.English = text, false
	}
	if after := web.Classify(err).RetryAfter; after > 0 {
		v.w.Header()["Retry-After"] = []string{web.RetryAfter(after)}
	}
	return v.show(p.Status, "error.html", view)
}
