package pages

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

const pageApps = "/account/apps"

// maxClientID bounds what is taken for the id of a client, in bytes.
const maxClientID = 200

// ConnectedApp is a client that a person lets have something, as it may be shown.
type ConnectedApp struct {
	ClientID, Name string
	Hosts          []string
	FirstParty     bool // it is the realm's own
	Unverified     bool // it registered itself
	Scopes         []string
	Resources      []string
	Tokens         bool // it holds some
	Since, Used    time.Time
}

// Connected lists and takes back what the person who is signed in lets clients have (admin/apps).
type Connected interface {
	List(ctx context.Context, who *gatehouse.Principal) ([]ConnectedApp, error)
	// Revoke takes back all that a client has of the person. One that has nothing is gatehouse.NotFound.
	Revoke(ctx context.Context, who *gatehouse.Principal, clientID string) error
}

// appsView is what apps.html shows.
type appsView struct {
	ownView
	Action string
	Apps   []appRow
}

type appRow struct {
	ID, Name, Hosts string
	Own, Unverified bool
	Scopes          []scopeLine
	Resources       []string
	Tokens          bool
	Since, Used     string // Used is "" for never
}

// apps shows somebody the clients that may do something, and what. Access can always be taken back.
func (v *visit) apps() error { return v.showApps(http.StatusOK, "", "") }

func (v *visit) showApps(status int, said, problem string) error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageApps))
	}
	list, err := v.h.c.Connected.List(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	view := appsView{Action: v.to(pageApps)}
	if view.ownView, err = v.own(pageApps, "apps.title"); err != nil {
		return err
	}
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
	for _, a := range list {
		row := appRow{ID: a.ClientID, Name: a.Name, Hosts: strings.Join(a.Hosts, ", "), Own: a.FirstParty, Unverified: a.Unverified,
			Scopes: v.scopeLines(a.Scopes), Resources: a.Resources, Tokens: a.Tokens, Since: moment(a.Since)}
		if row.Name == "" {
			row.Name = a.ClientID
		}
		if !a.Used.IsZero() {
			row.Used = moment(a.Used)
		}
		view.Apps = append(view.Apps, row)
	}
	return v.show(status, "apps.html", view)
}

// appsSent takes back what a client has of the person.
func (v *visit) appsSent() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageApps))
	}
	if err := v.sentFrom(pageApps, "client", "sure"); err != nil {
		return err
	}
	id := v.form["client"]
	if v.form["sure"] != "yes" || id == "" || len(id) > maxClientID {
		return errForm
	}
	err := v.h.c.Connected.Revoke(gatehouse.WithPrincipal(v.r.Context(), v.who), v.who, id)
	if gatehouse.KindOf(err) == gatehouse.NotFound {
		return v.showApps(http.StatusUnprocessableEntity, "", "apps.gone")
	}
	if err != nil {
		return err
	}
	return v.showApps(http.StatusOK, "apps.revoked", "")
}

// appList are apps that are made up.
type appList struct {
	Connected
	all []ConnectedApp
}

func (l appList) List(context.Context, *gatehouse.Principal) ([]ConnectedApp, error) {
	return l.all, nil
}

// appsStates are those of apps.html.
func appsStates() []state {
	day := time.Date(2026, 11, 27, 18, 5, 0, 0, time.UTC)
	with := func(show func(*visit) error, all ...ConnectedApp) func(*visit) error {
		return func(v *visit) error {
			h := *v.h
			h.c.Connected = appList{all: all}
			v.h = &h
			v.realm.Settings.Scopes = map[string]string{"documents:read": "Read your documents"}
			return show(v)
		}
	}
	mail := ConnectedApp{ClientID: "cli_mail", Name: "Saffron Mail", Hosts: []string{"mail.saffron.example"}, Scopes: []string{"documents:read", "offline_access"},
		Resources: []string{"https://api.saffron.example"}, Tokens: true, Since: day.AddDate(0, -3, 0), Used: day}
	return []state{
		{"none", with((*visit).apps)},
		{"some", with((*visit).apps, mail,
			ConnectedApp{ClientID: "cli_line", Name: "Saffron on the command line", FirstParty: true, Scopes: []string{"openid"}, Tokens: true, Since: day, Used: day},
			ConnectedApp{ClientID: "cli_gone", Unverified: true, Hosts: []string{"a-very-long-name-of-a-host.subsidiary.saffron-of-the-world.example"}, Scopes: []string{"a:scope-that-is-in-no-catalogue"},
				Resources: []string{"https://a-very-long-name-of-an-api.subsidiary.saffron-of-the-world.example/v1/documents"}, Since: day.AddDate(0, -1, 0)})},
		{"gone", with(func(v *visit) error { return v.showApps(http.StatusUnprocessableEntity, "", "apps.gone") }, mail)},
	}
}
