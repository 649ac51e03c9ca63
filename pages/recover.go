package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
)

const pageRecover = "/recover"

// NewPassword is the page that takes a new password from who comes by a link, which is
// its address with the link's text as ?code=.
const NewPassword = "/recover/new"

// recoverView is what recover.html shows: the question for the name, that a link was sent, or
// that the password is set.
type recoverView struct {
	frame
	Action          string
	Form            string // the token of the form
	Problem         string
	Return          string // where to go after signing in
	Off, Sent, Done bool
}

// recover asks whose password is forgotten. Without mail it says whom to ask instead.
func (v *visit) recover() error {
	return v.showRecover(http.StatusOK, recoverView{Off: !v.h.c.Mail()})
}

// recovered is where somebody is after setting a new password: not signed in.
func (v *visit) recovered() error {
	return v.showRecover(http.StatusOK, recoverView{Done: true, Return: returnOf(v.r)})
}

func (v *visit) showRecover(status int, view recoverView) (err error) {
	key := "recover.title"
	if view.Done {
		key = "recover.done_title"
	}
	if view.frame, err = v.frame(pageRecover, key, nil); err != nil {
		return err
	}
	if view.Return != "" {
		view.SignIn += "?" + url.Values{"return": {view.Return}}.Encode()
	}
	view.Action, view.Form = v.to(pageRecover), v.token(pageRecover)
	return v.show(status, "recover.html", view)
}

// recoverSent has a link sent to whoever has the name. The answer is the same in its words
// and in its time whether there is such an account, it has an address, or it got a link
// a moment ago: it comes at the next quarter of a second, counted from the request, so that
// what an account costs more than none is not to be seen.
func (v *visit) recoverSent() error {
	began := time.Now()
	if err := v.sentFrom(pageRecover, "identifier"); err != nil {
		return err
	}
	name := strings.TrimSpace(v.form["identifier"])
	if len(name) > maxIdentifier {
		return errForm
	}
	if name == "" {
		text, err := v.language.text("signin.no_identifier")
		if err != nil {
			return err
		}
		return v.showRecover(http.StatusUnprocessableEntity, recoverView{Problem: text})
	}
	if !v.h.c.Mail() {
		return v.recover()
	}
	err := v.h.c.Resets.AskReset(v.r.Context(), v.realm.Name, name)
	untilNext(began)
	if err != nil {
		return err
	}
	return v.showRecover(http.StatusOK, recoverView{Sent: true})
}

// untilNext waits for the next quarter of a second since began.
func untilNext(began time.Time) {
	const step = 250 * time.Millisecond
	time.Sleep(step - time.Since(began)%step)
}

// newPasswordView is what newpassword.html shows: the question for the new password.
type newPasswordView struct {
	frame
	Action             string
	Form               string
	Username, Initials string
	Least              int // characters
	Problems           []string
	Bad                bool
	Notice             string
	Given              bool // in the place of a password that somebody else has made
	Return             string
}

// exchange has who proved u by the password that somebody else has made choose another one, and sign in by that.
func (v *visit) exchange(u identity.User, to string) error {
	text, err := v.h.c.Resets.ExchangeInitial(v.r.Context(), u)
	if err != nil {
		return err
	}
	v.setCookie(cookieReset+v.realm.Name, text.Reveal(), int(time.Hour/time.Second))
	return v.redirect(v.to(NewPassword) + newPasswordView{Given: true, Return: to}.query())
}

// query is what the addresses of the page say of where somebody comes from.
func (view newPasswordView) query() string {
	q := url.Values{}
	if view.Given {
		q["given"] = []string{"1"}
	}
	if view.Return != "" {
		q["return"] = []string{view.Return}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// newPassword takes the text of a link out of the address, where others could read it (the
// history, the page that is opened next), into a cookie, and then asks for the password. To
// look at a link uses nothing up: programs that open every link of a message do that.
func (v *visit) newPassword() error {
	if code := one(v.r, "code"); code != "" && len(code) <= maxCookie {
		v.setCookie(cookieReset+v.realm.Name, code, int(time.Hour/time.Second))
		return v.redirect(v.to(NewPassword))
	}
	return v.askPassword(http.StatusOK, newPasswordView{})
}

func (v *visit) askPassword(status int, view newPasswordView) (err error) {
	view.Given, view.Return = one(v.r, "given") != "", returnOf(v.r)
	if view.Username, err = v.h.c.Resets.ResetOf(v.r.Context(), v.realm.Name, v.reset()); err != nil {
		return err
	}
	return v.showNewPassword(status, view)
}

func (v *visit) showNewPassword(status int, view newPasswordView) (err error) {
	if view.frame, err = v.frame(NewPassword, "newpassword.title", nil); err != nil {
		return err
	}
	view.Action, view.Form, view.Initials = v.to(NewPassword)+view.query(), v.token(NewPassword), initials(view.Username)
	view.Least, view.Bad = v.realm.Settings.Defaults().PasswordMinLength, len(view.Problems) > 0
	return v.show(status, "newpassword.html", view)
}

// reset is the text of the link by which this browser came.
func (v *visit) reset() gatehouse.Secret {
	return gatehouse.Secret(v.cookie(cookieReset + v.realm.Name))
}

// newPasswordSent sets the password, which uses the link up. It signs nobody in: there may be
// a second factor to ask for.
func (v *visit) newPasswordSent() error {
	if err := v.sentFrom(NewPassword, "identifier", "password"); err != nil {
		return err
	}
	password := gatehouse.Secret(v.form["password"])
	if password == "" {
		text, err := v.language.text("signin.no_password")
		if err != nil {
			return err
		}
		return v.askPassword(http.StatusUnprocessableEntity, newPasswordView{Problems: []string{text}})
	}
	err := v.h.c.Resets.Reset(v.r.Context(), v.realm.Name, v.reset(), password)
	if err == nil {
		v.setCookie(cookieReset+v.realm.Name, "", -1)
		return v.redirect(v.to("/recover/done") + newPasswordView{Return: returnOf(v.r)}.query())
	}
	if broken := identity.ProblemsOf(err); broken != nil {
		view := newPasswordView{}
		if view.Problems, err = v.problems(broken); err != nil {
			return err
		}
		return v.askPassword(http.StatusUnprocessableEntity, view)
	}
	status, notice, err := v.notNow(err)
	if err != nil {
		return err
	}
	return v.askPassword(status, newPasswordView{Notice: notice})
}

// problems says in words what is wrong with a new password.
func (v *visit) problems(broken []credential.Problem) ([]string, error) {
	texts := make([]string, len(broken))
	for i, p := range broken {
		var err error
		if texts[i], err = v.language.text("problem." + string(p)); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func recoverStates() []state {
	shown := func(view recoverView) func(*visit) error {
		return func(v *visit) error { return v.showRecover(http.StatusOK, view) }
	}
	return []state{
		{"name", shown(recoverView{})},
		{"no-name", func(v *visit) error {
			problem, err := v.language.text("signin.no_identifier")
			if err != nil {
				return err
			}
			return v.showRecover(http.StatusUnprocessableEntity, recoverView{Problem: problem})
		}},
		{"sent", shown(recoverView{Sent: true})},
		{"no-mail", shown(recoverView{Off: true})},
		{"done", shown(recoverView{Done: true})},
	}
}

func newPasswordStates() []state {
	return []state{
		{"ask", func(v *visit) error { return v.showNewPassword(http.StatusOK, newPasswordView{Username: "alice"}) }},
		{"given", func(v *visit) error {
			return v.showNewPassword(http.StatusOK, newPasswordView{Username: "alice", Given: true})
		}},
		{"refused", func(v *visit) error {
			texts, err := v.problems([]credential.Problem{credential.PasswordTooShort, credential.PasswordContext})
			if err != nil {
				return err
			}
			return v.showNewPassword(http.StatusUnprocessableEntity, newPasswordView{Username: "alice", Problems: texts})
		}},
		{"busy", func(v *visit) error {
			_, notice, err := v.notNow(&gatehouse.Error{Kind: gatehouse.Unavailable, RetryAfter: 4 * time.Second})
			if err != nil {
				return err
			}
			return v.showNewPassword(http.StatusServiceUnavailable, newPasswordView{Username: "alice", Notice: notice})
		}},
	}
}
