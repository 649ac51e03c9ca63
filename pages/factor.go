package pages

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/session"
)

const pageFactor = "/signin/factor"

// withRecovery is the choice of a recovery code in place of the app's.
const withRecovery = "recovery"

// factorView is what factor.html shows: the question for a code.
type factorView struct {
	frame
	Action, Other, Again string // Other has the other choice, Again begins anew
	Lost                 string // for who has none of them any more
	Form                 string // the token of the form
	Return               string // where to go afterwards: a path of this server, or ""
	With                 string // "", or withRecovery
	Passkey              string // where the answer of a passkey goes; "": the person has none that can be used
	Only                 bool   // there is no other factor than a passkey
	Problem              string
	Notice, Tone         string
}

// halfWay keeps a sign-in whose password was right, and asks for the code, or for a second factor
// to be added.
func (v *visit) halfWay(proven *gatehouse.Principal, device gatehouse.Secret, to string, enrols bool) error {
	text, err := v.h.c.HalfDone.Begin(v.r.Context(), proven, device, enrols)
	if err != nil {
		return err
	}
	v.setCookie(cookieHalfDone+v.realm.Name, text.Reveal(), int(session.HalfDoneFor/time.Second))
	return v.redirect(v.toFactor(to, ""))
}

// toFactor is the page that asks for a code.
func (v *visit) toFactor(to, with string) string { return v.to(pageFactor) + query(to, with) }

// query is what the addresses of the pages to sign in keep.
func query(to, with string) string {
	q := url.Values{}
	if to != "" {
		q.Set("return", to)
	}
	if with != "" {
		q.Set("with", with)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// factor asks for the code of a sign-in that waits in this browser. Where none does, there is
// nothing to ask for.
func (v *visit) factor() error {
	to, with := returnOf(v.r), one(v.r, "with")
	if with != withRecovery {
		with = ""
	}
	_, enrols, err := v.h.c.HalfDone.Waits(v.r.Context(), v.realm.Name, v.halfDone(), v.device())
	switch {
	case err == nil && enrols:
		return v.askToEnrol(http.StatusOK, enrolView{Return: to})
	case err == nil:
		return v.askFactor(http.StatusOK, factorView{Return: to, With: with})
	case gatehouse.CodeOf(err) != factor.ErrCode.Code:
		return err
	case v.who != nil:
		return v.redirect(v.orAccount(to))
	}
	return v.redirect(v.to(SignIn) + query(to, ""))
}

// askCode shows the page that asks for a code.
func (v *visit) askCode(status int, view factorView) (err error) {
	keep := url.Values{}
	if view.Return != "" {
		keep["return"] = []string{view.Return}
	}
	other := withRecovery
	if view.With != "" {
		keep["with"], other = []string{view.With}, ""
	}
	if view.frame, err = v.frame(pageFactor, "factor.title", keep); err != nil {
		return err
	}
	v.leadsTo(view.Return)
	view.Action, view.Form = v.to(pageFactor), v.token(pageFactor)
	view.Other, view.Again, view.Lost = v.toFactor(view.Return, other), v.to(SignIn)+query(view.Return, ""), v.to(pageLost)
	if view.Passkey != "" {
		view.run(v.w.Header(), v.script())
	}
	return v.show(status, "factor.html", view)
}

// factorSent takes a code, and opens the session when it is right. A wrong code, one that was
// used, a sign-in that waited too long, had too many tries or belongs to another browser get
// one answer.
func (v *visit) factorSent() error {
	if err := v.sentFrom(pageFactor, "return", "with", "code"); err != nil {
		return err
	}
	view := factorView{Return: ownReturn(v.form["return"]), With: v.form["with"], Tone: "caution"}
	if view.With != "" && view.With != withRecovery {
		return errForm
	}
	var err error
	if v.form["code"] == "" {
		if view.Problem, err = v.language.text("factor.no_code"); err != nil {
			return err
		}
		return v.askFactor(http.StatusUnprocessableEntity, view)
	}
	device := v.device()
	done, err := v.h.c.HalfDone.Finish(v.r.Context(), v.realm.Name, v.halfDone(), device, gatehouse.Secret(v.form["code"]))
	if err == nil {
		if err = v.open(done, device); err == nil {
			v.setCookie(cookieHalfDone+v.realm.Name, "", -1)
			return v.redirect(v.orAccount(view.Return))
		}
	}
	if code := gatehouse.CodeOf(err); code == factor.ErrCode.Code || code == credential.ErrInvalidCredentials.Code {
		if view.Problem, err = v.language.text("factor.wrong"); err != nil {
			return err
		}
		return v.askFactor(http.StatusUnprocessableEntity, view)
	}
	status, notice, err := v.notNow(err)
	if err != nil {
		return err
	}
	view.Notice = notice
	return v.askFactor(status, view)
}

// factorStates are those of factor.html.
func factorStates() []state {
	asked := func(view factorView) func(*visit) error {
		return func(v *visit) error { return v.askCode(http.StatusOK, view) }
	}
	return []state{
		{"code", asked(factorView{})},
		{"recovery", asked(factorView{With: withRecovery})},
		{"choice", asked(factorView{Passkey: pageFactorPasskey})},
		{"passkey", asked(factorView{Passkey: pageFactorPasskey, Only: true})},
		{"wrong", func(v *visit) (err error) {
			view := factorView{}
			if view.Problem, err = v.language.text("factor.wrong"); err != nil {
				return err
			}
			return v.askCode(http.StatusUnprocessableEntity, view)
		}},
	}
}
