package pages

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// Setup is the page on which the first administrator is made. The one-time secret of the first start stands behind the # of
// the link to it, which no browser sends: so it is in no log and no history of a server, and comes as a field of the form.
const Setup = "/setup"

const pageSetupPasskey = Setup + "/passkey"

// First makes the first administrator, of main.
type First interface {
	// Missing reports whether nobody administers yet.
	Missing(ctx context.Context) (bool, error)
	NewID() string
	Offer(id, username, title string, browser []byte) (passkey.Offer, error)
	Make(ctx context.Context, in FirstForm) (apiKey gatehouse.Secret, err error)
}

// FirstForm is what was sent to make the first administrator.
type FirstForm struct {
	Secret              gatehouse.Secret
	ID, Username, Email string
	Password            gatehouse.Secret
	Browser, Answer     []byte // of a passkey in the place of the password; Answer is empty for none
}

// setupView is what setup.html shows: the questions, or the key of who is the administrator now.
type setupView struct {
	frame
	Action, Form      string
	ID                string
	Ask               string // for a passkey; "": none can be used
	Kept              bool   // this browser has sent the secret, and keeps it while something else is mended
	Identifier, Email string
	Least             int
	BadSecret         string
	BadName, BadMail  string
	BadPasskey        string
	Problems          []string // with the password
	BadPw             bool
	Notice            string
	Key               string
	Server            string // the address for commands
}

// noSetup hides the page once somebody administers: it has nothing to say then.
func (v *visit) noSetup() error {
	missing, err := v.h.c.First.Missing(v.r.Context())
	if err == nil && !missing {
		err = gatehouse.ErrNotFound
	}
	return err
}

func (v *visit) setup() error {
	if err := v.noSetup(); err != nil {
		return err
	}
	return v.askSetup(http.StatusOK, setupView{ID: v.h.c.First.NewID(), Identifier: "admin"})
}

func (v *visit) askSetup(status int, view setupView) error {
	view.Server = v.h.c.Issuer(gatehouse.MainRealm)
	if v.takesPasskeys() {
		view.Ask = v.to(pageSetupPasskey) + "?" + url.Values{"id": {view.ID}}.Encode()
	}
	return v.showSetup(status, view)
}

func (v *visit) showSetup(status int, view setupView) (err error) {
	heading := "setup.title"
	if view.Key != "" {
		heading = "setup.done_title"
	}
	if view.frame, err = v.frame(Setup, heading, nil); err != nil {
		return err
	}
	view.Action, view.Form, view.Least = v.to(Setup), v.token(Setup), v.realm.Settings.Defaults().PasswordMinLength
	view.BadPw = len(view.Problems) > 0
	view.run(v.w.Header(), v.script())
	return v.show(status, "setup.html", view)
}

// askSetupPasskey is what the script of the page has the browser make a passkey for. Without the secret its answer is worth
// nothing.
func (v *visit) askSetupPasskey() error {
	if err := v.noSetup(); err != nil {
		return err
	}
	name, _, err := identity.NormalizeUsername(one(v.r, "identifier"))
	if err != nil {
		return err
	}
	offer, err := v.h.c.First.Offer(one(v.r, "id"), name, title(v.realm), v.formKey())
	if err != nil {
		return err
	}
	return v.answer(offer)
}

// setupSent makes the administrator, which uses the secret up, and shows the key. It signs nobody in: the realm may demand
// a second factor, which is asked for there.
func (v *visit) setupSent() error {
	if err := v.noSetup(); err != nil {
		return err
	}
	if err := v.sentFrom(Setup, "secret", "id", "identifier", "email", "password", "answer"); err != nil {
		return err
	}
	key, _ := v.hasFormKey() // sentFrom has seen it
	in := FirstForm{Secret: gatehouse.Secret(strings.TrimSpace(v.form["secret"])), ID: v.form["id"], Username: strings.TrimSpace(v.form["identifier"]),
		Email: strings.TrimSpace(v.form["email"]), Password: gatehouse.Secret(v.form["password"]), Browser: key, Answer: []byte(v.form["answer"])}
	if in.Secret == "" {
		in.Secret = v.setupSecret()
	}
	view := setupView{ID: in.ID, Identifier: in.Username, Email: in.Email}
	if len(in.Username) > maxIdentifier || len(in.Email) > maxIdentifier || len(in.Secret) > maxIdentifier {
		return errForm
	}
	var err error
	switch {
	case in.Secret == "":
		view.BadSecret, err = v.language.text("setup.no_secret")
	case in.Username == "":
		view.BadName, err = v.language.text("register.no_name")
	case in.Password == "" && len(in.Answer) == 0:
		var text string
		text, err = v.language.text("setup.no_password")
		view.Problems = []string{text}
	default:
		var made gatehouse.Secret
		if made, err = v.h.c.First.Make(v.r.Context(), in); err == nil {
			v.setCookie(cookieSetup, "", -1)
			return v.askSetup(http.StatusOK, setupView{Key: made.Reveal(), Identifier: in.Username})
		}
		err = v.setupProblem(&view, err)
		if view.Notice != "" && err == nil {
			v.keepSetupSecret(&view, in.Secret)
			return v.askSetup(http.StatusServiceUnavailable, view)
		}
	}
	if err != nil {
		return err
	}
	v.keepSetupSecret(&view, in.Secret)
	return v.askSetup(http.StatusUnprocessableEntity, view)
}

// setupSecret is the secret that this browser has sent before, when something else was wrong.
func (v *visit) setupSecret() gatehouse.Secret { return gatehouse.Secret(v.cookie(cookieSetup)) }

// keepSetupSecret has the browser keep a secret that may be right while something else is mended: what stood behind the # is
// gone by then, and no page shows it. A wrong one is forgotten.
func (v *visit) keepSetupSecret(view *setupView, secret gatehouse.Secret) {
	switch {
	case secret == "" || view.BadSecret != "" || strings.ContainsFunc(secret.Reveal(), notOfSecret):
		v.setCookie(cookieSetup, "", -1)
	case !view.Kept:
		v.setCookie(cookieSetup, secret.Reveal(), int(time.Hour/time.Second))
		view.Kept = true
	}
}

// notOfSecret reports whether no secret of a first start has this letter; a cookie might not carry it either.
func notOfSecret(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
}

// setupProblem puts what is wrong beside the field that it is with; an error that is no fault of a field is returned.
func (v *visit) setupProblem(view *setupView, err error) error {
	if broken := identity.ProblemsOf(err); broken != nil {
		view.Problems, err = v.problems(broken)
		return err
	}
	e := web.Classify(err)
	switch {
	case e.Code == "bootstrap_refused":
		view.BadSecret, err = v.language.text("setup.bad_secret")
	case e.Code == "user_invalid" && e.Fields["email"] != "":
		view.BadMail, err = v.language.text("email.bad")
	case e.Code == "username_invalid", e.Code == "input_invalid", e.Code == "user_invalid", e.Code == "username_taken":
		view.BadName, err = v.language.text("register.bad_name")
	case e.Code == passkey.ErrRefused.Code, e.Code == "passkey_exists":
		view.BadPasskey, err = v.language.text("error." + e.Code)
	default:
		_, view.Notice, err = v.notNow(err)
	}
	return err
}

// setupStates are those of setup.html.
func setupStates() []state {
	show := func(status int, change func(v *visit, view *setupView) error) func(*visit) error {
		return func(v *visit) error {
			view := setupView{ID: "usr_01kb5n8q3wd7y2f6h9m4t0xzrv", Identifier: "admin", Ask: v.to(pageSetupPasskey), Server: "https://auth.example.com"}
			if err := change(v, &view); err != nil {
				return err
			}
			return v.showSetup(status, view)
		}
	}
	return []state{
		{"ask", show(http.StatusOK, func(*visit, *setupView) error { return nil })},
		{"no-passkeys", show(http.StatusOK, func(_ *visit, view *setupView) error {
			view.Ask = ""
			return nil
		})},
		{"refused", show(http.StatusUnprocessableEntity, func(v *visit, view *setupView) (err error) {
			view.BadSecret, err = v.language.text("setup.bad_secret")
			return err
		})},
		{"short", show(http.StatusUnprocessableEntity, func(v *visit, view *setupView) (err error) {
			view.Problems, err = v.problems([]credential.Problem{credential.PasswordTooShort})
			return err
		})},
		{"bad-address", show(http.StatusUnprocessableEntity, func(v *visit, view *setupView) (err error) {
			view.Email, view.Kept = "alice at example", true
			view.BadMail, err = v.language.text("email.bad")
			return err
		})},
		{"passkey-refused", show(http.StatusUnprocessableEntity, func(v *visit, view *setupView) (err error) {
			view.BadPasskey, err = v.language.text("error." + passkey.ErrRefused.Code)
			return err
		})},
		{"done", show(http.StatusOK, func(_ *visit, view *setupView) error {
			view.Key = "ghk_live_made_up_for_the_gallery_and_of_no_use"
			return nil
		})},
	}
}
