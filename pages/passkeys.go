package pages

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

const (
	pagePasskeys   = "/account/passkeys"
	pageNewPasskey = "/account/passkeys/new"
)

// OwnPasskeys is what people do with their passkeys; *passkey.Service does it.
type OwnPasskeys interface {
	Fresh(who *gatehouse.Principal, u gatehouse.Subject) bool
	OfferTo(ctx context.Context, who *gatehouse.Principal, u gatehouse.Subject, title string, browser []byte) (passkey.Offer, error)
	Add(ctx context.Context, who *gatehouse.Principal, u gatehouse.Subject, name string, browser, answer []byte) (passkey.Passkey, error)
	List(ctx context.Context, realm, userID string) ([]passkey.Passkey, error)
	Rename(ctx context.Context, who *gatehouse.Principal, id, name string) error
	RemoveOwn(ctx context.Context, who *gatehouse.Principal, u gatehouse.Subject, id string) error
}

// passkeysView is what passkeys.html shows of somebody's passkeys.
type passkeysView struct {
	frame
	Username, Initials string
	Action, Ask        string
	Form               string // the token of the forms
	Keys               []passkeyView
	Fresh              bool   // they can be added and removed
	Again              string // where to sign in again
	Problem            string // "": none
	Said               string
	Elsewhere          string // as in ownView
}

type passkeyView struct {
	ID, Name    string
	Added, Used string // Used is "" for never
	Copied      bool   // it can be on several devices
}

// passkeys shows somebody his passkeys.
func (v *visit) passkeys() error {
	if v.who == nil {
		return v.redirect(v.to(SignIn) + "?" + url.Values{"return": {v.to(pagePasskeys)}}.Encode())
	}
	return v.showPasskeys(http.StatusOK, "", "")
}

func (v *visit) showPasskeys(status int, said, problem string) error {
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	list, err := v.h.c.OwnKeys.List(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	view := passkeysView{Username: u.Username, Fresh: v.h.c.OwnKeys.Fresh(v.who, u.Subject()), Problem: problem, Said: said}
	for _, p := range list {
		k := passkeyView{ID: p.ID, Name: p.Name, Added: moment(p.CreatedAt), Copied: p.BackupEligible}
		if !p.UsedAt.IsZero() {
			k.Used = moment(p.UsedAt)
		}
		view.Keys = append(view.Keys, k)
	}
	return v.drawPasskeys(status, view)
}

func (v *visit) drawPasskeys(status int, view passkeysView) (err error) {
	view.Elsewhere = v.offered
	view.Initials, view.Action, view.Ask, view.Form = initials(view.Username), v.to(pagePasskeys), v.to(pageNewPasskey), v.token(pagePasskeys)
	view.Again = v.to(SignIn) + "?" + url.Values{"again": {"1"}, "return": {v.to(pagePasskeys)}}.Encode()
	if view.frame, err = v.frame(pagePasskeys, "passkeys.title", nil); err != nil {
		return err
	}
	view.run(v.w.Header(), v.script())
	return v.show(status, "passkeys.html", view)
}

// passkeysStates are those of passkeys.html.
func passkeysStates() []state {
	keys := []passkeyView{{ID: "psk_1", Name: "Telephone", Added: "2026-11-20 10:00 UTC", Used: "2026-11-28 08:12 UTC", Copied: true}, {ID: "psk_2", Name: "Security key in the safe", Added: "2026-11-21 17:30 UTC"}}
	show := func(view passkeysView, said, problem string) func(*visit) error {
		view.Username = "alice"
		return func(v *visit) (err error) {
			if said != "" {
				if view.Said, err = v.language.text(said); err != nil {
					return err
				}
			}
			if problem != "" {
				if view.Problem, err = v.language.text(problem); err != nil {
					return err
				}
			}
			return v.drawPasskeys(http.StatusOK, view)
		}
	}
	return []state{
		{"none", show(passkeysView{Fresh: true}, "", "")},
		{"two", show(passkeysView{Fresh: true, Keys: keys}, "passkeys.added", "")},
		{"last", show(passkeysView{Fresh: true, Keys: keys[:1]}, "", "error.passkey_last")},
		{"stale", show(passkeysView{Keys: keys}, "", "")},
	}
}

// offerPasskey is what the script of the page has the browser make a passkey for.
func (v *visit) offerPasskey() error {
	u, err := v.subject()
	if err != nil {
		return err
	}
	offer, err := v.h.c.OwnKeys.OfferTo(v.r.Context(), v.who, u, title(v.realm), v.formKey())
	if err != nil {
		return err
	}
	return v.answer(offer)
}

// subject is the account of who is signed in; nobody has none.
func (v *visit) subject() (gatehouse.Subject, error) {
	if v.who == nil {
		return gatehouse.Subject{}, errExpired
	}
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return gatehouse.Subject{}, err
	}
	return u.Subject(), nil
}

// passkeysSent adds, names or removes a passkey.
func (v *visit) passkeysSent() error {
	u, err := v.subject()
	if err == nil {
		err = v.sentFrom(pagePasskeys, "step", "passkey", "name", "answer")
	}
	if err != nil {
		return err
	}
	ctx := gatehouse.WithPrincipal(v.r.Context(), v.who)
	said := ""
	switch v.form["step"] {
	case "add":
		key, _ := v.hasFormKey() // sentFrom has seen it
		_, err = v.h.c.OwnKeys.Add(ctx, v.who, u, v.form["name"], key, []byte(v.form["answer"]))
		said = "passkeys.added"
	case "name":
		err = v.h.c.OwnKeys.Rename(ctx, v.who, v.form["passkey"], v.form["name"])
		said = "passkeys.named"
	case "remove":
		err = v.h.c.OwnKeys.RemoveOwn(ctx, v.who, u, v.form["passkey"])
		said = "passkeys.removed"
	default:
		return errForm
	}
	if err == nil {
		renamed := said == "passkeys.named" // by its name alone nobody signs in
		said, err = v.language.text(said)
		if err == nil && !renamed {
			err = v.offerEnd()
		}
		if err != nil {
			return err
		}
		return v.showPasskeys(http.StatusOK, said, "")
	}
	e := web.Classify(err)
	problem, terr := v.language.text("error." + e.Code)
	if e.Kind == gatehouse.Internal || e.Kind == gatehouse.Unavailable || terr != nil {
		return err
	}
	return v.showPasskeys(http.StatusUnprocessableEntity, "", problem)
}
