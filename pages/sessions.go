package pages

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
)

// Own is what people do with their own sign-ins, which is recorded. Every method is about the account of who, and who is
// signed in by a session.
type Own interface {
	// OpenSessions lists the sessions whose cookies are accepted, what was used last first.
	OpenSessions(ctx context.Context, who *gatehouse.Principal) ([]gatehouse.Session, error)
	// EndSession ends one. One that is not there, or is somebody else's, is gatehouse.NotFound.
	EndSession(ctx context.Context, who *gatehouse.Principal, id string) error
	// Session is one of the account's, and whether its cookie is accepted. One that was over more than a day ago, was never there, or is
	// somebody else's, is gatehouse.NotFound.
	Session(ctx context.Context, who *gatehouse.Principal, id string) (s gatehouse.Session, open bool, err error)
	// Disown ends one that somebody else opened, and has all browsers be unknown to the account. One that is not there is no error.
	Disown(ctx context.Context, who *gatehouse.Principal, id string) error
	// EndOthers ends all but the one of who, and returns how many.
	EndOthers(ctx context.Context, who *gatehouse.Principal) (n int, err error)
	// SignOutEverywhere ends every session and every token.
	SignOutEverywhere(ctx context.Context, who *gatehouse.Principal) error
}

// maxSessionID bounds what is taken for the id of a session, in bytes.
const maxSessionID = 64

// sessionRow is a session as account.html shows it.
type sessionRow struct {
	ID, Device, Address string
	Last, LastISO       string
	Current             bool
}

// sessionRows are the sessions of who is signed in.
func (v *visit) sessionRows(open []gatehouse.Session, current string) ([]sessionRow, error) {
	rows := make([]sessionRow, 0, len(open))
	for _, s := range open {
		device, err := v.browserName(s.UserAgent)
		if err != nil {
			return nil, err
		}
		rows = append(rows, sessionRow{ID: s.ID, Device: device, Address: s.Address, Last: moment(s.LastUsedAt), LastISO: instant(s.LastUsedAt), Current: s.ID == current})
	}
	return rows, nil
}

// browserName is what people know a browser by.
func (v *visit) browserName(userAgent string) (string, error) {
	browser, system := deviceOf(userAgent)
	switch {
	case browser != "" && system != "":
		return v.language.text("account.on", browser, system)
	case browser != "" || system != "":
		return browser + system, nil
	}
	return v.language.text("account.unknown")
}

// accountSent ends sessions of the person, on all nodes: one, all others, or everything.
func (v *visit) accountSent() error {
	if v.who == nil {
		return v.showAccount("")
	}
	if err := v.sentFrom(pageAccount, "session", "do", "name"); err != nil {
		return err
	}
	ctx := gatehouse.WithPrincipal(v.r.Context(), v.who)
	id, do := v.form["session"], v.form["do"]
	switch {
	case do == "rename" && id == "":
		return v.rename(ctx)
	case do == "" && id != "" && len(id) <= maxSessionID:
		frames, err := v.frames()
		if err == nil {
			err = v.h.c.Own.EndSession(ctx, v.who, id)
		}
		switch {
		case errors.Is(err, gatehouse.NotFound):
			return v.say("account.gone")
		case err != nil:
			return err
		case id == v.who.SessionID:
			return v.leaveBy(frames)
		}
		return v.say("account.ended_one")
	case do == "others" && id == "":
		n, err := v.h.c.Own.EndOthers(ctx, v.who)
		if err != nil {
			return err
		}
		return v.say("account.ended", n)
	case do == "everywhere" && id == "":
		frames, err := v.frames()
		if err == nil {
			err = v.h.c.Own.SignOutEverywhere(ctx, v.who)
		}
		if err != nil {
			return err
		}
		return v.leaveBy(frames)
	}
	return errForm
}

// say shows the account with what was done.
func (v *visit) say(key string, args ...any) error {
	said, err := v.language.text(key, args...)
	if err != nil {
		return err
	}
	return v.showAccount(said)
}
