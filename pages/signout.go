package pages

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/session"
)

const pageSignOut = "/signout"

type signOutView struct {
	frame
	Action string
	Form   string // the token of the form
	// Request is what a client asked for, "" where the person does.
	Request string
}

// signOut asks: a link alone ends nothing, or any page could sign people out.
func (v *visit) signOut() error {
	if v.who == nil {
		return v.redirect(v.to("/signedout"))
	}
	return v.askSignOut()
}

func (v *visit) askSignOut() error {
	f, err := v.frame(pageSignOut, "signout.title", nil)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "signout.html", signOutView{frame: f, Action: v.to(pageSignOut), Form: v.token(pageSignOut)})
}

// signOutSent ends the session on all nodes, and takes its cookie away.
func (v *visit) signOutSent() error {
	if v.who != nil {
		if err := v.sentFrom(pageSignOut); err != nil {
			return err
		}
		return v.endOwn(session.ReasonSignOut)
	}
	return v.leave()
}

// endOwn ends the session of this browser, and the visit.
func (v *visit) endOwn(reason string) error {
	frames, err := v.frames()
	if err == nil {
		err = v.endSession(reason)
	}
	if err != nil {
		return err
	}
	return v.leaveBy(frames)
}

func (v *visit) endSession(reason string) error {
	err := v.h.c.Sessions.End(v.r.Context(), v.who.Realm, v.who.ID, v.who.SessionID, reason)
	if errors.Is(err, gatehouse.NotFound) {
		return nil
	}
	return err
}

// leave ends a visit whose session has ended.
func (v *visit) leave() error {
	v.forget()
	return v.redirect(v.to("/signedout"))
}

// leaveBy is leave, after the clients were told in frames of which there are any.
func (v *visit) leaveBy(frames authorize.Frames) error {
	if len(frames.URLs) == 0 {
		return v.leave()
	}
	v.forget()
	return v.signingOut(frames, v.to("/signedout"))
}

// forget has the browser forget the session.
func (v *visit) forget() {
	v.setCookie(cookieSession+v.realm.Name, "", -1)
	// Nothing that was shown is to be found by who comes next to this browser (ASVS 14.3.1).
	v.w.Header()["Clear-Site-Data"] = []string{`"cache", "storage"`}
}

func (v *visit) signedOut() error {
	f, err := v.frame("/signedout", "signedout.title", nil)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "signedout.html", f)
}

// signOutStates are those of signout.html, signedOutStates those of signedout.html.
func signOutStates() []state { return []state{{"ask", (*visit).askSignOut}} }

func signedOutStates() []state { return []state{{"done", (*visit).signedOut}} }
