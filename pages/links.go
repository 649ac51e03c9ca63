package pages

import (
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/session"
)

const pageLinks = "/account/links"

// linksView is what links.html shows: the accounts elsewhere that open this one.
type linksView struct {
	ownView
	Action string
	Again  string // where to sign in again; "" while that was a moment ago
	Links  []linkView
	Ways   []choice // the ways to providers that an account can be linked of
}

type linkView struct {
	ID, Name    string
	Added, Used string // Used is "" for never
	Off         bool   // it opens nothing
}

// links shows somebody the accounts elsewhere that open the account. They are changed only a moment after signing in.
func (v *visit) links() error {
	said := ""
	if one(v.r, "said") == "linked" {
		said = "links.linked"
	}
	return v.showLinks(http.StatusOK, said, "")
}

func (v *visit) showLinks(status int, said, problem string) error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageLinks))
	}
	var view linksView
	list, err := v.h.c.Providers.Links(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	u, err := v.subject()
	if err != nil {
		return err
	}
	for _, l := range list {
		shown := linkView{ID: l.ID(), Name: l.Provider, Added: moment(l.CreatedAt), Off: !l.OpensBy(v.realm.Settings)}
		if p, ok := v.realm.Settings.Provider(l.Provider); ok {
			shown.Name = p.Name()
		}
		if !l.UsedAt.IsZero() {
			shown.Used = moment(l.UsedAt)
		}
		view.Links = append(view.Links, shown)
	}
	for _, p := range v.realm.Settings.Providers {
		view.Ways = append(view.Ways, choice{Tag: p.ID, Name: p.Name(), URL: v.to(pageLinks+"/"+p.ID) + "?" + url.Values{"form": {v.token(pageLinks + "/" + p.ID)}}.Encode()})
	}
	if !session.Fresh(v.who, u.SecondFactor, v.h.c.Now()) {
		view.Again = v.toSignIn(pageLinks)
	}
	return v.drawLinks(status, view, said, problem)
}

func (v *visit) drawLinks(status int, view linksView, said, problem string) (err error) {
	if view.ownView, err = v.own(pageLinks, "links.title"); err != nil {
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
	view.Action = v.to(pageLinks)
	return v.show(status, "links.html", view)
}

// toLink sends a browser to a provider to link an account there. It is a link and no form: the content policy lets forms
// lead to no other site. That it was followed on our page says a token that is good for nothing else: another site that
// could begin this would have an account of its own linked.
func (v *visit) toLink() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageLinks))
	}
	if err := v.allowed(); err != nil { // the provider may have to be asked
		return err
	}
	id := v.r.PathValue("provider")
	v.form = form{"form": one(v.r, "form")}
	if err := v.sentFrom(pageLinks + "/" + id); err != nil {
		return err
	}
	key, _ := v.hasFormKey() // sentFrom has seen it
	address, err := v.h.c.Providers.BeginLink(v.r.Context(), v.realm, id, v.who, key)
	if err != nil {
		return v.notLinked(err)
	}
	v.away(address)
	return nil
}

// linksSent removes a link.
func (v *visit) linksSent() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageLinks))
	}
	if err := v.sentFrom(pageLinks, "link", "sure"); err != nil {
		return err
	}
	if v.form["sure"] != "yes" {
		return errForm
	}
	if err := v.h.c.Providers.Unlink(v.r.Context(), v.realm, v.who, v.form["link"]); err != nil {
		return v.notLinked(err)
	}
	return v.showLinks(http.StatusOK, "links.unlinked", "")
}

// notLinked shows why no link was made or removed.
func (v *visit) notLinked(err error) error {
	e := web.Classify(err)
	switch e.Kind {
	case gatehouse.Denied: // too long ago
		return v.redirect(v.toSignIn(pageLinks))
	case gatehouse.Internal, gatehouse.Unavailable, gatehouse.Invalid, gatehouse.RateLimited:
		return err
	}
	problem := "error." + e.Code
	if e.Code == "provider_cancelled" {
		problem = "links.cancelled" // that nobody was signed in is not what matters
	}
	return v.showLinks(http.StatusUnprocessableEntity, "", problem)
}

// linksStates are those of links.html.
func linksStates() []state {
	acme := linkView{ID: "l1", Name: "Acme", Added: "2026-11-20 10:00 UTC", Used: "2026-11-28 08:12 UTC"}
	old := linkView{ID: "l2", Name: "contoso", Added: "2026-02-01 17:30 UTC", Off: true}
	ways := []choice{{Tag: "acme", Name: "Acme", URL: "/account/links/acme"}, {Tag: "example", Name: "Example University", URL: "/account/links/example"}}
	show := func(view linksView, said, problem string) func(*visit) error {
		return func(v *visit) error {
			v.who = &gatehouse.Principal{Name: "alice"}
			return v.drawLinks(http.StatusOK, view, said, problem)
		}
	}
	return []state{
		{"none", show(linksView{Ways: ways}, "", "")},
		{"two", show(linksView{Links: []linkView{acme, old}, Ways: ways}, "links.linked", "")},
		{"last", show(linksView{Links: []linkView{acme}, Ways: ways}, "", "error.provider_link_last")},
		{"stale", show(linksView{Links: []linkView{acme}, Ways: ways, Again: "/signin?again=1"}, "", "")},
	}
}
