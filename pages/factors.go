package pages

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/internal/qr"
	"github.com/gatehouse-auth/gatehouse/session"
)

const pageFactors = "/account/factors"

// maxFactorName bounds the name of a factor that is typed here, in characters.
const maxFactorName = 64

// ownView is what every page of an account shows above and beside its matter.
type ownView struct {
	frame
	Username, Initials string
	Form               string // the token of the form
	Said               string // what the form did
	Problem            string // why it did nothing
	Elsewhere          string // the token of a form that ends all other sessions; "" where it is not offered
}

// factorsView is what factors.html shows.
type factorsView struct {
	ownView
	Action string
	Again  string // where to sign in again; "" while that was a moment ago
	Apps   []appView
	Codes  bool // there are recovery codes
	Left   int  // how many
}

type appView struct {
	ID, Name, Used string
	Last           bool // with it the second factor goes
}

// newAppView is what factoradd.html shows: an app that waits for a code of its own.
type newAppView struct {
	ownView
	Action, ID, Back string
	Secret           string      // in groups; "" where it was shown before
	QR               markup.HTML // drawn by the program
}

// codesView is what factorcodes.html shows, once.
type codesView struct {
	ownView
	Codes []string
	Back  string
}

// own is what all pages of an account share.
func (v *visit) own(path, heading string) (ownView, error) {
	f, err := v.frame(path, heading, nil)
	return ownView{frame: f, Username: v.who.Name, Initials: initials(v.who.Name), Form: v.token(path), Elsewhere: v.offered}, err
}

// offerEnd has the next page offer to end all other sessions: whoever signed in with a factor that was changed or removed
// may still be signed in.
func (v *visit) offerEnd() error {
	open, err := v.h.c.Own.OpenSessions(v.r.Context(), v.who)
	if err == nil && len(open) > 1 {
		v.offered = v.token(pageAccount)
	}
	return err
}

// toSignIn has somebody sign in and come back. Who is signed in proves again who it is.
func (v *visit) toSignIn(back string) string {
	q := url.Values{"return": {v.to(back)}}
	if v.who != nil {
		q.Set("again", "1")
	}
	return v.to(SignIn) + "?" + q.Encode()
}

// factors shows somebody the second factors of the account. They are changed only a moment after signing in.
func (v *visit) factors() error { return v.showFactors(http.StatusOK, "", "") }

func (v *visit) showFactors(status int, said, problem string) error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageFactors))
	}
	list, err := v.h.c.Factors.List(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	own, err := v.own(pageFactors, "factors.title")
	if err != nil {
		return err
	}
	view := factorsView{ownView: own, Action: v.to(pageFactors)}
	view.Said, view.Problem = said, problem
	for _, f := range list {
		switch {
		case f.App && f.Confirmed:
			app := appView{ID: f.ID, Name: f.Name}
			if !f.UsedAt.IsZero() {
				app.Used = moment(f.UsedAt)
			}
			view.Apps = append(view.Apps, app)
		case !f.App:
			view.Codes, view.Left = true, f.CodesLeft
		}
	}
	if len(view.Apps) == 1 {
		view.Apps[0].Last = true
	}
	if !session.Fresh(v.who, len(view.Apps) > 0, v.h.c.Now()) {
		view.Again = v.toSignIn(pageFactors)
	}
	return v.show(status, "factors.html", view)
}

// factorsSent changes the second factors of the person who is signed in.
func (v *visit) factorsSent() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageFactors))
	}
	if err := v.sentFrom(pageFactors, "do", "factor", "name", "code", "sure"); err != nil {
		return err
	}
	name := v.form["name"]
	if utf8.RuneCountInString(name) > maxFactorName {
		return errForm
	}
	list, err := v.h.c.Factors.List(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	has := slices.ContainsFunc(list, func(f Factor) bool { return f.App && f.Confirmed })
	// What was begun freshly may be confirmed as long as it waits.
	if v.form["do"] != "confirm" && !session.Fresh(v.who, has, v.h.c.Now()) {
		return v.redirect(v.toSignIn(pageFactors))
	}
	ctx, id := v.r.Context(), v.form["factor"]
	switch v.form["do"] {
	case "add":
		made, err := v.h.c.Factors.Add(ctx, v.who, name)
		if err != nil {
			return v.notChanged(err)
		}
		return v.showNewApp(http.StatusOK, made, "")
	case "confirm":
		return v.confirmApp(id)
	case "rename":
		if name == "" {
			return v.notSo("factors.no_name")
		}
		return v.changed(factorRenamed, v.h.c.Factors.Rename(ctx, v.who, id, name))
	case "remove":
		if v.form["sure"] != "yes" {
			return v.notSo("factors.not_sure")
		}
		return v.changed("factors.removed", v.h.c.Factors.Remove(ctx, v.who, id))
	case "codes":
		codes, err := v.h.c.Factors.NewCodes(ctx, v.who)
		if err != nil {
			return v.notChanged(err)
		}
		return v.showCodes(codes)
	}
	return errForm
}

// confirmApp has an app count, and shows the recovery codes that come with the first one.
func (v *visit) confirmApp(id string) error {
	codes, err := v.h.c.Factors.Confirm(v.r.Context(), v.who, id, gatehouse.Secret(v.form["code"]))
	switch {
	case gatehouse.KindOf(err) == gatehouse.Unprocessable:
		problem, terr := v.language.text("factors.wrong_code")
		if terr != nil {
			return terr
		}
		return v.showNewApp(http.StatusUnprocessableEntity, NewApp{ID: id}, problem)
	case err != nil:
		return v.notChanged(err)
	case len(codes) > 0:
		return v.showCodes(codes)
	}
	return v.changed("factors.added", nil)
}

func (v *visit) showNewApp(status int, app NewApp, problem string) error {
	own, err := v.own(pageFactors, "factors.add_title")
	if err != nil {
		return err
	}
	own.Problem = problem
	return v.show(status, "factoradd.html", newAppView{ownView: own, Action: v.to(pageFactors), Back: v.to(pageFactors), ID: app.ID,
		Secret: grouped(app.Secret.Reveal()), QR: markup.HTML(app.QR.Reveal())})
}

func (v *visit) showCodes(codes []gatehouse.Secret) error {
	if err := v.offerEnd(); err != nil {
		return err
	}
	own, err := v.own(pageFactors, "factors.codes_title")
	if err != nil {
		return err
	}
	view := codesView{ownView: own, Back: v.to(pageFactors)}
	for _, c := range codes {
		view.Codes = append(view.Codes, c.Reveal())
	}
	return v.show(http.StatusOK, "factorcodes.html", view)
}

// factorRenamed is what is said of the one change by which nobody gets in or stays out.
const factorRenamed = "factors.renamed"

// changed shows the factors after a change, and what it was.
func (v *visit) changed(key string, err error) error {
	if err != nil {
		return v.notChanged(err)
	}
	said, err := v.language.text(key)
	if err != nil {
		return err
	}
	if key != factorRenamed { // by its name alone nobody signs in
		if err := v.offerEnd(); err != nil {
			return err
		}
	}
	return v.showFactors(http.StatusOK, said, "")
}

// notSo shows the factors, and why nothing was changed.
func (v *visit) notSo(key string) error {
	problem, err := v.language.text(key)
	if err != nil {
		return err
	}
	return v.showFactors(http.StatusUnprocessableEntity, "", problem)
}

// notChanged shows why a change was refused.
func (v *visit) notChanged(err error) error {
	switch gatehouse.CodeOf(err) {
	case "factor_limit":
		return v.notSo("factors.many")
	case "factor_needed":
		return v.notSo("factors.needed")
	case "factor_not_found":
		return v.notSo("factors.gone")
	case "factor_missing", "version_conflict":
		return v.notSo("factors.changed")
	case "input_invalid":
		return v.notSo("factors.bad_name")
	}
	return err
}

// grouped is a secret in groups of four, as people copy it.
func grouped(s string) string {
	var out []byte
	for i := range len(s) {
		if i > 0 && i%4 == 0 {
			out = append(out, ' ')
		}
		out = append(out, s[i])
	}
	return string(out)
}

// madeUpApp is an app of nobody.
func madeUpApp() (NewApp, error) {
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	image, err := qr.SVG("otpauth://totp/Gatehouse:alice?secret=" + secret + "&issuer=Gatehouse")
	return NewApp{ID: "app", Secret: secret, QR: gatehouse.Secret(image)}, err
}

// listed are factors that are made up.
type listed struct {
	Factors
	all []Factor
}

func (l listed) List(context.Context, *gatehouse.Principal) ([]Factor, error) { return l.all, nil }

// twice is somebody who is signed in twice.
type twice struct{ Own }

func (twice) OpenSessions(context.Context, *gatehouse.Principal) ([]gatehouse.Session, error) {
	return make([]gatehouse.Session, 2), nil
}

// factorsStates are those of factors.html, factorAddStates of factoradd.html, factorCodesStates of factorcodes.html.
func factorsStates() []state {
	day := time.Date(2026, 11, 27, 18, 5, 0, 0, time.UTC)
	phone, tablet := Factor{ID: "phone", Name: "Phone", App: true, Confirmed: true, UsedAt: day}, Factor{ID: "tablet", Name: "Tablet in the kitchen", App: true, Confirmed: true}
	codes := Factor{ID: "codes", CodesLeft: 8}
	with := func(show func(*visit) error, all ...Factor) func(*visit) error {
		return func(v *visit) error {
			h := *v.h
			h.c.Factors, h.c.Own = listed{all: all}, twice{}
			v.h = &h
			return show(v)
		}
	}
	return []state{
		{"none", with((*visit).factors)},
		{"one", with((*visit).factors, phone, codes)},
		{"two", with(func(v *visit) error { return v.changed("factors.removed", nil) }, phone, tablet, codes)},
		{"refused", with(func(v *visit) error { return v.notSo("factors.needed") }, phone, codes)},
		{"stale", with(func(v *visit) error {
			v.who.AuthTime = v.who.AuthTime.Add(-time.Hour)
			return v.factors()
		}, phone, codes)},
	}
}

func factorAddStates() []state {
	return []state{
		{"scan", func(v *visit) error {
			app, err := madeUpApp()
			if err != nil {
				return err
			}
			return v.showNewApp(http.StatusOK, app, "")
		}},
		{"wrong", func(v *visit) error {
			problem, err := v.language.text("factors.wrong_code")
			if err != nil {
				return err
			}
			return v.showNewApp(http.StatusUnprocessableEntity, NewApp{ID: "app"}, problem)
		}},
	}
}

func factorCodesStates() []state {
	return []state{{"shown", func(v *visit) error {
		h := *v.h
		h.c.Own = twice{}
		v.h = &h
		return v.showCodes([]gatehouse.Secret{"k7f29-qmx3h-tpw4d-nx8sa-5vzep", "w4dnx-8sa5v-zep3b-c2rgy-8knut", "p3bc2-rgy8k-nut9j-w6mfe-4cqak", "t9jw6-mfe4c-qak7f-29qmx-3htpw"})
	}}}
}
