package pages

import (
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

const (
	pageEnrol        = "/signin/enrol"
	pageEnrolPasskey = pageEnrol + "/passkey"
)

// enrolView is what enrol.html shows to whoever must have a second factor and has none: that it
// is so, and then, Begun, an app to be confirmed.
type enrolView struct {
	frame
	Action, Again string
	Form          string // the token of the form
	Return        string
	Passkey       string // where the question for a new passkey is; "": none can be used
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
	if v.takesPasskeys() && !view.Begun && len(view.Codes) == 0 {
		view.Passkey = v.to(pageEnrolPasskey)
	}
	if view.Passkey != "" {
		view.run(v.w.Header(), v.script())
	}
	return v.show(status, "enrol.html", view)
}

// enrolling is whose sign-in waits in this browser for a first second factor. Whoever knows the password and began before the
// owner added a passkey must not add one more of theirs after it.
func (v *visit) enrolling() (*gatehouse.Principal, error) {
	who, err := v.h.c.HalfDone.Enrolling(v.r.Context(), v.realm.Name, v.halfDone(), v.device())
	if err != nil {
		return nil, err
	}
	has, err := v.hasPasskeys(who.ID)
	if err == nil && has {
		err = gatehouse.ErrSecondFactor
	}
	return who, err
}

// offerFirstPasskey is what the script of the page has the browser make a passkey for.
func (v *visit) offerFirstPasskey() error {
	who, err := v.enrolling()
	if err != nil {
		return err
	}
	u, err := v.h.c.Users.User(v.r.Context(), who.Realm, who.ID)
	if err != nil {
		return err
	}
	offer, err := v.h.c.OwnKeys.OfferTo(v.r.Context(), who, u.Subject(), title(v.realm), v.formKey())
	if err != nil {
		return err
	}
	return v.answer(offer)
}

// addFirstPasskey adds the passkey that the browser has made for that.
func (v *visit) addFirstPasskey(view enrolView, who *gatehouse.Principal) error {
	ctx := v.r.Context()
	u, err := v.h.c.Users.User(ctx, who.Realm, who.ID)
	if err != nil {
		return err
	}
	name, err := v.language.text("enrol.passkey_name")
	if err != nil {
		return err
	}
	key, _ := v.hasFormKey() // sentFrom has seen it
	_, err = v.h.c.OwnKeys.Add(gatehouse.WithPrincipal(ctx, who), who, u.Subject(), name, key, []byte(v.form["answer"]))
	if e := web.Classify(err); err != nil && (e.Code == passkey.ErrRefused.Code || e.Code == "passkey_exists") {
		if view.Problem, err = v.language.text("error." + e.Code); err != nil {
			return err
		}
		return v.askToEnrol(http.StatusUnprocessableEntity, view)
	}
	if err != nil {
		return v.notEnrolled(view, err)
	}
	return v.enrolled(view, nil, passkey.Methods()...)
}

// enrolSent adds a passkey or an authenticator app in the middle of a sign-in, and opens the session when that has
// answered: the app by a code.
func (v *visit) enrolSent() error {
	if err := v.sentFrom(pageEnrol, "return", "do", "factor", "code", "answer"); err != nil {
		return err
	}
	view := enrolView{Return: ownReturn(v.form["return"]), ID: v.form["factor"]}
	ctx := v.r.Context()
	who, err := v.enrolling()
	if err != nil {
		return v.notEnrolled(view, err)
	}
	if v.form["do"] == "passkey" && v.takesPasskeys() {
		return v.addFirstPasskey(view, who)
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
		return v.enrolled(view, codes, "otp")
	}
	return errForm
}

// enrolled opens the session of somebody who has just added a second factor, and shows the recovery codes, which come with an app.
func (v *visit) enrolled(view enrolView, codes []gatehouse.Secret, methods ...string) error {
	device := v.device()
	done, err := v.h.c.HalfDone.Enrolled(v.r.Context(), v.realm.Name, v.halfDone(), device, methods...)
	if err == nil {
		err = v.open(done, device)
	}
	if err != nil {
		return v.notEnrolled(view, err)
	}
	v.setCookie(cookieHalfDone+v.realm.Name, "", -1)
	if len(codes) == 0 {
		return v.redirect(v.orAccount(view.Return))
	}
	for _, c := range codes {
		view.Codes = append(view.Codes, c.Reveal())
	}
	return v.askToEnrol(http.StatusOK, view)
}

// notEnrolled has somebody begin anew where nothing waits any more, or an app was added meanwhile.
func (v *visit) notEnrolled(view enrolView, err error) error {
	switch gatehouse.CodeOf(err) {
	case factor.ErrCode.Code, credential.ErrInvalidCredentials.Code, "factor_not_found", gatehouse.ErrSecondFactor.Code, gatehouse.ErrSignInAgain.Code, "version_conflict":
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
		{"passkey", func(v *visit) error {
			return v.askToEnrol(http.StatusOK, enrolView{Passkey: v.to(pageEnrolPasskey)})
		}},
		{"refused", func(v *visit) (err error) {
			view := enrolView{Passkey: v.to(pageEnrolPasskey)}
			if view.Problem, err = v.language.text("error." + passkey.ErrRefused.Code); err != nil {
				return err
			}
			return v.askToEnrol(http.StatusUnprocessableEntity, view)
		}},
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
