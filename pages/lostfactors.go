package pages

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// LostFactors is the page on which somebody who has lost every second factor replaces them: its address with the text of the link as
// ?code=.
const LostFactors = "/recover/factors"

const (
	pageLost           = "/signin/factor/lost"
	pageReplace        = LostFactors + "/new"
	pageReplacePasskey = LostFactors + "/passkey"
)

// Replacements replaces lost second factors of who comes by a link and proves the password (admin/users). browser is what ties
// forms to it.
type Replacements interface {
	// LinkOf tells whose factors a link replaces, and uses nothing up.
	LinkOf(ctx context.Context, realm string, link gatehouse.Secret) (username string, err error)
	// Prove takes the password, and returns what the browser brings from then on.
	Prove(ctx context.Context, realm string, link, password gatehouse.Secret, browser []byte) (gatehouse.Secret, error)
	Waits(ctx context.Context, realm string, text gatehouse.Secret, browser []byte) (who *gatehouse.Principal, app factor.Shown, err error)
	ByApp(ctx context.Context, realm string, text gatehouse.Secret, browser []byte, code gatehouse.Secret) (codes []gatehouse.Secret, err error)
	ByPasskey(ctx context.Context, realm string, text gatehouse.Secret, browser []byte, name string, answer []byte) error
	Offer(who *gatehouse.Principal, title string, browser []byte) (passkey.Offer, error)
}

// lostView is what lost.html shows: whom to ask, the question for the password of who came by a link, or that the factors are
// replaced.
type lostView struct {
	frame
	Action, Form       string
	Username, Initials string
	Ask, Done          bool
	Problem, Notice    string
}

// lost says what somebody can do who has lost every second factor.
func (v *visit) lost() error { return v.showLost(http.StatusOK, pageLost, lostView{}) }

func (v *visit) showLost(status int, page string, view lostView) (err error) {
	heading := "lost.title"
	switch {
	case view.Done:
		heading = "lost.done_title"
	case view.Ask:
		heading = "lost.ask_title"
	}
	if view.frame, err = v.frame(page, heading, nil); err != nil {
		return err
	}
	view.Action, view.Form, view.Initials = v.to(LostFactors), v.token(LostFactors), initials(view.Username)
	return v.show(status, "lost.html", view)
}

// lostLink takes the text of a link out of the address, as [visit.newPassword] does, and asks for the password. To look at a
// link uses nothing up.
func (v *visit) lostLink() error {
	if code := one(v.r, "code"); code != "" && len(code) <= maxCookie {
		v.setCookie(cookieLost+v.realm.Name, code, int(time.Hour/time.Second))
		return v.redirect(v.to(LostFactors))
	}
	return v.askLost(http.StatusOK, lostView{})
}

func (v *visit) askLost(status int, view lostView) (err error) {
	view.Ask = true
	if view.Username, err = v.h.c.Replacements.LinkOf(v.r.Context(), v.realm.Name, gatehouse.Secret(v.cookie(cookieLost+v.realm.Name))); err != nil {
		return err
	}
	return v.showLost(status, LostFactors, view)
}

// lostSent takes the password: reading somebody's mail is not enough.
func (v *visit) lostSent() error {
	if err := v.sentFrom(LostFactors, "identifier", "password"); err != nil {
		return err
	}
	var err error
	view := lostView{}
	if v.form["password"] == "" {
		if view.Problem, err = v.language.text("signin.no_password"); err != nil {
			return err
		}
		return v.askLost(http.StatusUnprocessableEntity, view)
	}
	key, _ := v.hasFormKey() // sentFrom has seen it
	ctx := identity.WithDevice(v.r.Context(), v.device())
	text, err := v.h.c.Replacements.Prove(ctx, v.realm.Name, gatehouse.Secret(v.cookie(cookieLost+v.realm.Name)), gatehouse.Secret(v.form["password"]), key)
	switch {
	case err == nil:
		v.setCookie(cookieReplace+v.realm.Name, text.Reveal(), int(factor.EnrolFor/time.Second))
		return v.redirect(v.to(pageReplace))
	case gatehouse.CodeOf(err) == credential.ErrInvalidCredentials.Code:
		if view.Problem, err = v.language.text("lost.wrong"); err != nil {
			return err
		}
		return v.askLost(http.StatusUnprocessableEntity, view)
	}
	status, notice, err := v.notNow(err)
	if err != nil {
		return err
	}
	view.Notice = notice
	return v.askLost(status, view)
}

// replaceView is what replace.html shows: a new app to be confirmed, a passkey in its place, and then the recovery codes, once.
type replaceView struct {
	frame
	Action, Form string
	Passkey      string // where the question for a new passkey is; "": none can be used
	Secret       string // in groups
	QR           markup.HTML
	Problem      string // with the code
	Refused      string // with the passkey
	Codes        []string
}

// replaceText is what this browser got for the password.
func (v *visit) replaceText() gatehouse.Secret {
	return gatehouse.Secret(v.cookie(cookieReplace + v.realm.Name))
}

func (v *visit) replace() error { return v.askReplace(http.StatusOK, replaceView{}) }

func (v *visit) askReplace(status int, view replaceView) error {
	_, app, err := v.h.c.Replacements.Waits(v.r.Context(), v.realm.Name, v.replaceText(), v.formKey())
	if err != nil {
		return err
	}
	view.Secret, view.QR = grouped(app.Text.Reveal()), markup.HTML(app.QR.Reveal())
	if v.takesPasskeys() {
		view.Passkey = v.to(pageReplacePasskey)
	}
	return v.showReplace(status, view)
}

func (v *visit) showReplace(status int, view replaceView) (err error) {
	heading := "lost.new_title"
	if len(view.Codes) > 0 {
		heading = "lost.done_title"
	}
	if view.frame, err = v.frame(pageReplace, heading, nil); err != nil {
		return err
	}
	view.Action, view.Form = v.to(pageReplace), v.token(pageReplace)
	if view.Passkey != "" {
		view.run(v.w.Header(), v.script())
	}
	return v.show(status, "replace.html", view)
}

// offerReplacement is what the script of the page has the browser make a passkey for.
func (v *visit) offerReplacement() error {
	key := v.formKey()
	who, _, err := v.h.c.Replacements.Waits(v.r.Context(), v.realm.Name, v.replaceText(), key)
	if err != nil {
		return err
	}
	offer, err := v.h.c.Replacements.Offer(who, title(v.realm), key)
	if err != nil {
		return err
	}
	return v.answer(offer)
}

// replaceSent replaces what was lost. It signs nobody in: what is new is asked for at the sign-in, with the password.
func (v *visit) replaceSent() error {
	if err := v.sentFrom(pageReplace, "do", "code", "answer"); err != nil {
		return err
	}
	ctx, view := v.r.Context(), replaceView{}
	key, _ := v.hasFormKey() // sentFrom has seen it
	var err error
	switch v.form["do"] {
	case "passkey":
		var name string
		if name, err = v.language.text("enrol.passkey_name"); err != nil {
			return err
		}
		err = v.h.c.Replacements.ByPasskey(ctx, v.realm.Name, v.replaceText(), key, name, []byte(v.form["answer"]))
		if code := web.Classify(err).Code; err != nil && (code == passkey.ErrRefused.Code || code == "passkey_exists") {
			if view.Refused, err = v.language.text("error." + code); err != nil {
				return err
			}
			return v.askReplace(http.StatusUnprocessableEntity, view)
		}
	case "confirm":
		var codes []gatehouse.Secret
		codes, err = v.h.c.Replacements.ByApp(ctx, v.realm.Name, v.replaceText(), key, gatehouse.Secret(v.form["code"]))
		if gatehouse.KindOf(err) == gatehouse.Unprocessable {
			if view.Problem, err = v.language.text("factors.wrong_code"); err != nil {
				return err
			}
			return v.askReplace(http.StatusUnprocessableEntity, view)
		}
		for _, c := range codes {
			view.Codes = append(view.Codes, c.Reveal())
		}
	default:
		return errForm
	}
	if err != nil {
		return err
	}
	v.setCookie(cookieReplace+v.realm.Name, "", -1)
	v.setCookie(cookieLost+v.realm.Name, "", -1)
	if len(view.Codes) == 0 {
		return v.redirect(v.to(LostFactors + "/done"))
	}
	return v.showReplace(http.StatusOK, view)
}

// replaced is where somebody is after replacing the factors by a passkey: not signed in.
func (v *visit) replaced() error {
	return v.showLost(http.StatusOK, LostFactors+"/done", lostView{Done: true})
}

// lostStates are those of lost.html, replaceStates of replace.html.
func lostStates() []state {
	asks := func(status int, problem string) func(*visit) error {
		return func(v *visit) (err error) {
			view := lostView{Ask: true, Username: "alice"}
			if problem != "" {
				if view.Problem, err = v.language.text(problem); err != nil {
					return err
				}
			}
			return v.showLost(status, LostFactors, view)
		}
	}
	return []state{
		{"whom-to-ask", func(v *visit) error { return v.lost() }},
		{"password", asks(http.StatusOK, "")},
		{"wrong", asks(http.StatusUnprocessableEntity, "lost.wrong")},
		{"slow", func(v *visit) error {
			_, notice, err := v.notNow(&gatehouse.Error{Kind: gatehouse.RateLimited, RetryAfter: 7 * time.Minute})
			if err != nil {
				return err
			}
			return v.showLost(http.StatusTooManyRequests, LostFactors, lostView{Ask: true, Username: "alice", Notice: notice})
		}},
		{"done", func(v *visit) error { return v.replaced() }},
	}
}

func replaceStates() []state {
	asks := func(passkeys bool, problem, refused string) func(*visit) error {
		return func(v *visit) error {
			app, err := madeUpApp()
			if err != nil {
				return err
			}
			view := replaceView{Secret: grouped(app.Secret.Reveal()), QR: markup.HTML(app.QR.Reveal())}
			if passkeys {
				view.Passkey = v.to(pageReplacePasskey)
			}
			for to, key := range map[*string]string{&view.Problem: problem, &view.Refused: refused} {
				if key != "" && err == nil {
					*to, err = v.language.text(key)
				}
			}
			if err != nil {
				return err
			}
			return v.showReplace(http.StatusOK, view)
		}
	}
	return []state{
		{"app", asks(false, "", "")},
		{"passkey", asks(true, "", "")},
		{"wrong", asks(true, "factors.wrong_code", "")},
		{"refused", asks(true, "", "error."+passkey.ErrRefused.Code)},
		{"codes", func(v *visit) error {
			return v.showReplace(http.StatusOK, replaceView{Codes: []string{"k7f29-qmx3h-tpw4d-nx8sa-5vzep", "w4dnx-8sa5v-zep3b-c2rgy-8knut", "p3bc2-rgy8k-nut9j-w6mfe-4cqak", "t9jw6-mfe4c-qak7f-29qmx-3htpw"}})
		}},
	}
}
