package pages

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/session"
)

// SignIn is the page on which people sign in.
const SignIn = "/signin"

// maxIdentifier bounds what is taken for a name, in bytes; no account has a longer one.
const maxIdentifier = 512

// signInView is what signin.html shows: first the question for the name, then, Asked, the one
// for the password.
type signInView struct {
	frame
	Action, Other string
	Form          string // the token of the form
	Return        string // where to go afterwards: a path of this server, or ""
	Identifier    string
	Initials      string
	Forgot        string // the page for who has forgotten the password; "" where no mail is sent
	Register      string // the page for who has no account; "" where none is made so
	Asked         bool
	Problem       string // with the field that is asked for
	Notice, Tone  string // with the whole of it
	Passkey       string // where the answer of a passkey goes; "": none can be used
	Providers     []choice
}

// signIn shows the door. Whoever is signed in already goes on, unless he is to prove again who
// he is ("again").
func (v *visit) signIn() error {
	to := returnOf(v.r)
	switch {
	case v.who != nil && one(v.r, "again") != "":
		return v.ask(http.StatusOK, signInView{Return: to, Identifier: v.who.Name, Asked: true})
	case v.who != nil:
		return v.redirect(v.orAccount(to))
	}
	return v.ask(http.StatusOK, signInView{Return: to, Identifier: v.asked(to, "login_hint")}) // OpenID Connect Core §3.1.2.1
}

// ownReturn is where somebody wants to go after signing in, or "" when a browser that is
// sent there might leave this server: then it is somebody else's wish (an open redirect).
func ownReturn(to string) string {
	if !markup.OwnPath(to) {
		return ""
	}
	return to
}

func (v *visit) orAccount(to string) string {
	if to == "" {
		return v.to("/account")
	}
	return to
}

// ask shows the page to sign in.
func (v *visit) ask(status int, view signInView) (err error) {
	keep := url.Values{}
	if view.Return != "" {
		keep["return"] = []string{view.Return}
	}
	if view.frame, err = v.frame(SignIn, "signin.title", keep); err != nil {
		return err
	}
	v.leadsTo(view.Return)
	view.Action, view.Other, view.Form = v.to(SignIn), v.to(SignIn), v.token(SignIn)
	view.Initials = initials(view.Identifier)
	if v.h.c.Mail() {
		view.Forgot = v.to(pageRecover)
	}
	if !view.Asked && v.realm.Settings.Open() && v.h.c.Mail() {
		view.Register = v.to(Register)
	}
	if len(keep) > 0 {
		view.Other += "?" + keep.Encode()
	}
	if !view.Asked || v.who != nil {
		view.Providers = v.providers(view.Return)
	}
	if v.takesPasskeys() && (!view.Asked || v.who != nil) {
		view.Passkey = v.to(pagePasskey)
	}
	if view.Passkey != "" {
		view.run(v.w.Header(), v.script())
	}
	return v.show(status, "signin.html", view)
}

// signInSent takes the name, and then name and password. The page after the name is the same
// whether there is such an account or not: nothing is looked up for it.
func (v *visit) signInSent() error {
	if err := v.sentFrom(SignIn, "return", "step", "identifier", "password"); err != nil {
		return err
	}
	view := signInView{Return: ownReturn(v.form["return"]), Identifier: strings.TrimSpace(v.form["identifier"])}
	if len(view.Identifier) > maxIdentifier {
		return errForm
	}
	password, step := gatehouse.Secret(v.form["password"]), v.form["step"]
	var err error
	switch {
	case step != "identifier" && step != "password":
		return errForm
	case view.Identifier == "":
		view.Problem, err = v.language.text("signin.no_identifier")
	case step == "identifier":
		view.Asked = true
		return v.ask(http.StatusOK, view)
	case password == "":
		view.Asked = true
		view.Problem, err = v.language.text("signin.no_password")
	default:
		return v.verify(view, password)
	}
	if err != nil {
		return err
	}
	return v.ask(http.StatusUnprocessableEntity, view)
}

// verify checks name and password as every way to log in does, and opens a session; who has a
// second factor gets none, and is asked for a code on the next page, or for one to be added where it must be.
func (v *visit) verify(view signInView, password gatehouse.Secret) error {
	ctx := v.r.Context()
	u, err := v.h.c.Passwords.VerifyPassword(ctx, identity.Attempt{Realm: v.realm.Name, Username: view.Identifier, Password: password,
		Address: gatehouse.AddressFrom(ctx), Device: v.device()})
	if err != nil {
		return v.refuse(view, err)
	}
	if u.Initial() {
		return v.exchange(u, view.Return)
	}
	proven := &gatehouse.Principal{Realm: u.Realm, Kind: u.Kind, ID: u.ID, Name: u.Username, Scheme: gatehouse.SchemeBasic,
		IssuedAt: u.PasswordAt, AuthTime: v.h.c.Now(), AMR: []string{"pwd"}, ACR: gatehouse.AAL1}
	done, err := v.enter(proven, &u, view.Return)
	if done {
		return err
	}
	return v.refuse(view, err)
}

// enter opens a session for p, who has proved one factor, and has the browser go on to where that leads; or to the page of the second
// factor, where the account u or the place asks for it. done: there is nothing more to do, but for the error.
func (v *visit) enter(p *gatehouse.Principal, u *identity.User, to string) (done bool, err error) {
	has, err := v.hasPasskeys(p.ID)
	if err != nil {
		return true, err
	}
	asked := v.asksForTwo(p, to) || has && v.asksForPasskey(u, to)
	device := v.newDevice()
	if asked && !u.SecondFactor { // else the account asks for it itself
		return true, v.halfWay(p, device, to, !has)
	}
	err = v.open(p, device)
	switch code := gatehouse.CodeOf(err); { // by the account as it is stored
	case err == nil:
		return true, v.redirect(v.orAccount(to))
	case code == gatehouse.ErrSecondFactor.Code, code == gatehouse.ErrNoSecondFactor.Code:
		// Where one is demanded, a passkey is one. Who has one adds no app by the password alone.
		return true, v.halfWay(p, device, to, code == gatehouse.ErrNoSecondFactor.Code && !has)
	}
	return false, err
}

// asksForPasskey reports whether u, who has passkeys and has proved something else, is to show one although nothing demands two
// factors of the account: in a browser that has had no session of his, where a stolen password would be used, and on the way to
// another password.
func (v *visit) asksForPasskey(u *identity.User, to string) bool {
	return to == v.to(pagePassword) || !v.h.c.Passwords.KnowsDevice(v.r.Context(), u, v.device())
}

// open opens a session for p, who has just proved who it is, and ends the one that this
// browser had. Where that was his already it goes on with another secret, to its end of
// before: at every host, what was known of it before he proved more is worth nothing.
func (v *visit) open(p *gatehouse.Principal, device gatehouse.Secret) error {
	ctx, was := v.r.Context(), v.who
	from := session.Browser{Device: device, Address: gatehouse.AddressFrom(ctx), UserAgent: v.r.UserAgent(), Name: browserTitle(v.r.UserAgent())}
	if was == nil || was.ID != p.ID { // else this browser has a session of the account, or has just had
		from.Odd = v.h.c.Passwords.Odd(ctx, p, device)
	}
	var text gatehouse.Secret
	var opened gatehouse.Session
	var err error = gatehouse.NotFound
	if was != nil && was.ID == p.ID {
		more := *p
		more.SessionID = was.SessionID
		text, opened, err = v.h.c.Sessions.Rotate(ctx, &more, from)
	}
	if errors.Is(err, gatehouse.NotFound) { // there was none of his, or it has just ended
		text, opened, err = v.h.c.Sessions.Open(ctx, p, from)
	}
	if err != nil {
		return err
	}
	if was != nil && was.SessionID != opened.ID {
		// A new sign-in replaces the one before it in this browser (ASVS 7.2.4).
		if err := v.h.c.Sessions.End(ctx, was.Realm, was.ID, was.SessionID, session.ReasonSignOut); err != nil {
			return err
		}
	}
	v.h.c.Passwords.SignedIn(ctx, p, device)
	v.setCookie(cookieSession+v.realm.Name, text.Reveal(), max(int(opened.ExpiresAt.Sub(v.h.c.Now())/time.Second), 1))
	return nil
}

// refuse shows why nobody was signed in, and the question for the password again.
func (v *visit) refuse(view signInView, err error) error {
	view.Asked, view.Tone = true, "caution"
	if gatehouse.CodeOf(err) == credential.ErrInvalidCredentials.Code {
		if view.Problem, err = v.language.text("signin.wrong"); err != nil {
			return err
		}
		return v.ask(http.StatusUnprocessableEntity, view)
	}
	status, notice, err := v.notNow(err)
	if err != nil {
		return err
	}
	view.Notice = notice
	return v.ask(status, view)
}

// notNow is the sentence for who has to wait, and its status. Any other error is returned.
func (v *visit) notNow(err error) (status int, notice string, _ error) {
	e := web.Classify(err)
	key := ""
	switch {
	case e.Kind == gatehouse.RateLimited:
		key = "signin.slow"
	case e.Kind == gatehouse.Unavailable && e.RetryAfter > 0:
		key = "signin.busy"
	default:
		return 0, "", err
	}
	if notice, err = v.language.text(key, wait(e.RetryAfter)); err != nil {
		return 0, "", err
	}
	v.w.Header()["Retry-After"] = []string{web.RetryAfter(e.RetryAfter)}
	return web.StatusOf(e), notice, nil
}

// wait is how long somebody has to wait, as all languages write it.
func wait(d time.Duration) string {
	if d > 2*time.Minute {
		return strconv.Itoa(int((d+time.Minute-1)/time.Minute)) + " min"
	}
	return web.RetryAfter(d) + " s"
}

// signInStates are those of signin.html.
func signInStates() []state {
	asked := signInView{Identifier: "alice", Asked: true}
	refused := func(err error) func(*visit) error { return func(v *visit) error { return v.refuse(asked, err) } }
	slow, busy := *gatehouse.ErrRateLimited, gatehouse.Error{Kind: gatehouse.Unavailable}
	slow.RetryAfter, busy.RetryAfter = 7*time.Minute, 4*time.Second
	return []state{
		{"name", func(v *visit) error { return v.ask(http.StatusOK, signInView{}) }},
		{"no-name", func(v *visit) error {
			problem, err := v.language.text("signin.no_identifier")
			if err != nil {
				return err
			}
			return v.ask(http.StatusUnprocessableEntity, signInView{Problem: problem})
		}},
		{"password", func(v *visit) error { return v.ask(http.StatusOK, asked) }},
		{"providers", func(v *visit) error {
			v.realm.Settings.Providers = []gatehouse.Provider{{ID: "acme", Title: "Acme"}, {ID: "universite", Title: "Université de Neuchâtel, Faculté des sciences"}}
			return v.ask(http.StatusOK, signInView{})
		}},
		{"passkey", func(v *visit) error { return v.ask(http.StatusOK, signInView{Passkey: v.to(pagePasskey)}) }},
		{"long-name", func(v *visit) error {
			return v.ask(http.StatusOK, signInView{Identifier: "wilhelmina.featherstonehaugh-cholmondeley@subsidiary.example.com", Asked: true})
		}},
		{"themed", func(v *visit) error {
			v.realm = themedRealm()
			return v.ask(http.StatusOK, signInView{})
		}},
		{"wrong", refused(credential.ErrInvalidCredentials)},
		{"slow", refused(&slow)},
		{"busy", refused(&busy)},
	}
}
