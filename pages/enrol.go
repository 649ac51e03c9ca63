package pages

import (
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
)

const pageEnrol = "/signin/enrol"

// enrolView is what enrol.html shows to whoever must have a second factor and has none: that it
// is so, and then, Begun, an app to be confirmed.
type enrolView struct {
	frame
	Action, Again string
	Form          string // the token of the form
	Return        string
	Begun         bool
	ID            string      // of the app
	Secret        string      // in groups; "" where it was shown before
	QR            markup.HTML // drawn by the program
	Problem       string
	Codes         []string // shown once, after the sign-in
	Next          string
}

func (v *visit) askToEnrol(status int, view enrolView) (err error) {
	keep := url.Values{}
	if view.Return != "" {
		keep["return"] = []string{view.Return}
	}
	if view.frame, err = v.frame(pageFactor, "enrol.title", keep); err != nil {
		return err
	}
	v.leadsTo(view.Return)
	view.Action, view.Form, view.Again = v.to(pageEnrol), v.token(pageEnrol), v.to(SignIn)+query(view.Return, "")
	view.Next = v.orAccount(view.Return)
	return v.show(status, "enrol.html", view)
}

// enrolSent adds an authenticator app in the middle of a sign-in, and opens the session when a code
// of it was right.
func (v *visit) enrolSent() error {
	if err := v.sentFrom(pageEnrol, "return", "do", "factor", "code"); err != nil {
		return err
	}
	view := enrolView{Return: ownReturn(v.form["return"]), ID: v.form["factor"]}
	ctx := v.r.Context()
	who, err := v.h.c.HalfDone.Enrolling(ctx, v.realm.Name, v.halfDone(), v.device())
	if err != nil {
		return v.notEnrolled(view, err)
	}
	switch v.form["do"] {
	case "add":
		made, err := v.h.c.Factors.Add(ctx, who, "")
		if err != nil {
			return v.notEnrolled(view, err)
		}
		view.Begun, view.ID, view.Secret, view.QR = true, made.ID, grouped(made.Secret.Reveal()), markup.HTML(made.QR.Reveal())
		return v.askToEnrol(http.StatusOK, view)
	case "confirm":
		codes, err := v.h.c.Factors.Confirm(ctx, who, view.ID, gatehouse.Secret(v.form["code"]))
		if gatehouse.KindOf(err) == gatehouse.Unprocessable {
			if view.Problem, err = v.language.text("factors.wrong_code"); err != nil {
				return err
			}
			view.Begun = true
			return v.askToEnrol(http.StatusUnprocessableEntity, view)
		}
		if err != nil {
			return v.notEnrolled(view, err)
		}
		return v.enrolled(view, codes)
	}
	return errForm
}

// enrolled opens the session of somebody who has just added a second factor, and shows the recovery codes.
func (v *visit) enrolled(view enrolView, codes []gatehouse.Secret) error {
	device := v.device()
	done, err := v.h.c.HalfDone.Enrolled(v.r.Context(), v.realm.Name, v.halfDone(), device)
	if err == nil {
		err = v.open(done, device)
	}
	if err != nil {
		return v.notEnrolled(view, err)
	}
	v.setCookie(cookieHalfDone+v.realm.Name, "", -1)
	for _, c := range codes {
		view.Codes = append(view.Codes, c.Reveal())
	}
	return v.askToEnrol(http.StatusOK, view)
}

// notEnrolled has somebody begin anew where nothing waits any more, or an app was added meanwhile.
func (v *visit) notEnrolled(view enrolView, err error) error {
	switch gatehouse.CodeOf(err) {
	case factor.ErrCode.Code, credential.ErrInvalidCredentials.Code, "factor_not_found", gatehouse.ErrSecondFactor.Code, "version_conflict":
		return v.redirect(v.to(SignIn) + query(view.Return, ""))
	}
	return err
}

// enrolStates are those of enrol.html.
func enrolStates() []state {
	shown := func(view enrolView) func(*visit) error {
		return func(v *visit) error { return v.askToEnrol(http.StatusOK, view) }
	}
	return []state{
		{"must", shown(enrolView{})},
		{"scan", func(v *visit) error {
			app, err := madeUpApp()
			if err != nil {
				return err
			}
			return v.askToEnrol(http.StatusOK, enrolView{Begun: true, ID: app.ID, Secret: grouped(app.Secret.Reveal()), QR: markup.HTML(app.QR.Reveal())})
		}},
		{"wrong", func(v *visit) (err error) {
			view := enrolView{Begun: true, ID: "app"}
			if view.Problem, err = v.language.text("factors.wrong_code"); err != nil {
				return err
			}
			return v.askToEnrol(http.StatusUnprocessableEntity, view)
		}},
		{"codes", shown(enrolView{Codes: []string{"k7f29-qmx3h-tpw4d-nx8sa-5vzep", "w4dnx-8sa5v-zep3b-c2rgy-8knut", "p3bc2-rgy8k-nut9j-w6mfe-4cqak", "t9jw6-mfe4c-qak7f-29qmx-3htpw"}})},
	}
}
