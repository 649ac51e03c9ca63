package pages

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
)

const pageData = "/account/data"

// Data is what people do with all that is kept of them.
type Data interface {
	// Export returns it, as a JSON object without secrets.
	Export(ctx context.Context, who *gatehouse.Principal) ([]byte, error)
	// DeleteAccount removes the account and ends everything that it holds. It takes a session that is fresh ([session.Fresh]).
	DeleteAccount(ctx context.Context, who *gatehouse.Principal) error
}

// dataView is what data.html shows.
type dataView struct {
	ownView
	Action string
	Again  string // where to sign in again; "" while that was a moment ago
	Wrong  bool   // what was typed is not the name of the account
}

// data lets somebody take the data of the account along, or delete the account, both a moment after signing in.
func (v *visit) data() error { return v.showData(http.StatusOK, dataView{}) }

func (v *visit) showData(status int, view dataView) error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageData))
	}
	fresh, err := v.fresh()
	if err != nil {
		return err
	}
	if !fresh {
		view.Again = v.toSignIn(pageData)
	}
	return v.drawData(status, view)
}

func (v *visit) drawData(status int, view dataView) error {
	own, err := v.own(pageData, "data.title")
	if err != nil {
		return err
	}
	own.Problem = view.Problem
	view.ownView, view.Action = own, v.to(pageData)
	return v.show(status, "data.html", view)
}

// dataSent sends the file, or deletes the account of whoever typed its name.
func (v *visit) dataSent() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageData))
	}
	if err := v.sentFrom(pageData, "do", "confirm"); err != nil {
		return err
	}
	switch fresh, err := v.fresh(); {
	case err != nil:
		return err
	case !fresh: // whoever sits at a screen that was left open takes nothing along
		return v.redirect(v.toSignIn(pageData))
	}
	switch v.form["do"] {
	case "export":
		return v.sendData()
	case "delete":
		return v.deleteAccount()
	}
	return errForm
}

func (v *visit) sendData() error {
	b, err := v.h.c.Data.Export(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Disposition"] = []string{`attachment; filename="account.json"`}
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write(b) // the client may be gone; nothing is left to do
	return nil
}

func (v *visit) deleteAccount() error {
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	_, name, _ := identity.NormalizeUsername(u.Username)
	if _, typed, err := identity.NormalizeUsername(strings.TrimSpace(v.form["confirm"])); err != nil || typed != name {
		return v.showData(http.StatusUnprocessableEntity, dataView{Wrong: true})
	}
	switch err := v.h.c.Data.DeleteAccount(v.r.Context(), v.who); {
	case err == nil:
		return v.leave()
	case gatehouse.CodeOf(err) != "last_administrator":
		return err
	}
	view := dataView{}
	if view.Problem, err = v.language.text("data.last"); err != nil {
		return err
	}
	return v.showData(http.StatusConflict, view)
}

// dataStates are those of data.html.
func dataStates() []state {
	return []state{
		{"ask", func(v *visit) error { return v.drawData(http.StatusOK, dataView{}) }},
		{"stale", func(v *visit) error { return v.drawData(http.StatusOK, dataView{Again: "/signin?again=1"}) }},
		{"wrong", func(v *visit) error { return v.drawData(http.StatusUnprocessableEntity, dataView{Wrong: true}) }},
		{"last", func(v *visit) (err error) {
			view := dataView{}
			if view.Problem, err = v.language.text("data.last"); err != nil {
				return err
			}
			return v.drawData(http.StatusConflict, view)
		}},
	}
}
