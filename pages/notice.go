package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// Whoever signs in to an account in a browser that it does not know has its person told by mail. The link in that leads here: the
// name of the session that was opened, which is no secret, and the person signs in to answer.

const pageNotice = "/account/notice"

// Notice is the page on which somebody says whether a sign-in was the own one: its address with the id of the session
// appended.
const Notice = pageNotice + "?session="

// noticeView is what notice.html shows: the question, or, Done, what is to be done after a no.
type noticeView struct {
	ownView
	Action                     string
	ID                         string // of the session
	Device, Address, Time, ISO string // "": the session is not listed any more
	Over                       bool   // it has ended
	Here                       bool   // it is the one of this browser
	Done                       bool
	Password                   string // the page of the password; "": the account has none here
	Factors, Keys, Passkeys    string // pages; Passkeys is "" where there are none
}

// notice asks somebody whether a sign-in was the own one.
func (v *visit) notice() error {
	id := one(v.r, "session")
	if len(id) > maxSessionID {
		id = ""
	}
	if v.who == nil {
		return v.redirect(v.toSignIn(pageNotice + "?" + url.Values{"session": {id}}.Encode()))
	}
	view := noticeView{ID: id}
	s, open, err := v.h.c.Own.Session(v.r.Context(), v.who, id)
	switch {
	case gatehouse.KindOf(err) == gatehouse.NotFound: // it was over more than a day ago, or is nobody's
		view.Over = true
	case err != nil:
		return err
	default:
		if view, err = v.noticeOf(s, open); err != nil {
			return err
		}
	}
	return v.drawNotice(view)
}

// noticeOf tells of a session what the message told of it.
func (v *visit) noticeOf(s gatehouse.Session, open bool) (view noticeView, err error) {
	view = noticeView{ID: s.ID, Address: s.Address, Time: moment(s.CreatedAt), ISO: instant(s.CreatedAt), Over: !open, Here: s.ID == v.who.SessionID}
	view.Device, err = v.browserName(s.UserAgent)
	return view, err
}

func (v *visit) drawNotice(view noticeView) error {
	own, err := v.own(pageNotice, "notice.title")
	if err != nil {
		return err
	}
	own.Said = view.Said
	view.ownView, view.Action = own, v.to(pageNotice)
	view.Factors, view.Keys = v.to(pageFactors), v.to(pageKeys)
	if v.takesPasskeys() {
		view.Passkeys = v.to(pagePasskeys)
	}
	return v.show(http.StatusOK, "notice.html", view)
}

// noticeSent takes the answer. Yes changes nothing. No ends that session, has every browser be a new one, and leads to another
// password: by the page that asks for the one of now, and for the second factor where there is one.
func (v *visit) noticeSent() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageAccount))
	}
	if err := v.sentFrom(pageNotice, "session", "do"); err != nil {
		return err
	}
	id := v.form["session"]
	if len(id) > maxSessionID {
		return errForm
	}
	switch v.form["do"] {
	case "yes":
		return v.say("notice.yes_done")
	case "no":
	default:
		return errForm
	}
	ctx := gatehouse.WithPrincipal(v.r.Context(), v.who)
	if err := v.h.c.Own.Disown(ctx, v.who, id); err != nil {
		return err
	}
	if id == v.who.SessionID {
		return v.leave()
	}
	u, err := v.h.c.Users.User(ctx, v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	if err := v.offerEnd(); err != nil {
		return err
	}
	return v.showDisowned(u)
}

// showDisowned tells somebody who has said no what is to be done next.
func (v *visit) showDisowned(u *identity.User) (err error) {
	view := noticeView{Done: true}
	if u.PasswordHash != "" {
		view.Password = v.to(pagePassword)
	}
	if view.Said, err = v.language.text("notice.no_done"); err != nil {
		return err
	}
	return v.drawNotice(view)
}

// browserTitle is what a message calls a browser by: in no language, as the reader's may be another than that of whoever signs in.
func browserTitle(userAgent string) string {
	browser, system := deviceOf(userAgent)
	if browser != "" && system != "" {
		return browser + ", " + system
	}
	return browser + system
}

// noticeStates are those of notice.html.
func noticeStates() []state {
	day := time.Date(2026, 11, 28, 9, 14, 0, 0, time.UTC)
	phone := gatehouse.Session{ID: "ses_phone", Address: "2001:db8:85a3:8d3:1319:8a2e:370:7348", CreatedAt: day, UserAgent: "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"}
	here, long := phone, phone
	here.ID, here.Address = "here", "203.0.113.24"
	long.UserAgent = strings.Repeat("x", 256)
	ask := func(s gatehouse.Session, open bool) func(*visit) error {
		return func(v *visit) error {
			view, err := v.noticeOf(s, open)
			if err != nil {
				return err
			}
			return v.drawNotice(view)
		}
	}
	no := func(u identity.User, offered string) func(*visit) error {
		return func(v *visit) error {
			v.offered = offered
			return v.showDisowned(&u)
		}
	}
	return []state{{"ask", ask(phone, true)}, {"here", ask(here, true)}, {"over", ask(long, false)},
		{"gone", func(v *visit) error { return v.drawNotice(noticeView{ID: "ses_gone", Over: true}) }},
		{"no", no(identity.User{PasswordHash: "$made up"}, "")}, {"no-others", no(identity.User{PasswordHash: "$made up"}, "made up")}, {"no-password", no(identity.User{}, "")}}
}
