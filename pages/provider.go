package pages

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/provider"
)

// pageProvider is before the ID of a provider; behind that, providerBack is where it sends browsers
// back to.
const (
	pageProvider = "/signin/with/"
	providerBack = "/back"
)

// Providers signs people in by accounts that they have elsewhere, and links those; *provider.Service does. browser is
// what ties forms to a browser.
type Providers interface {
	Begin(ctx context.Context, realm gatehouse.Realm, provider, to string, browser []byte, anew bool) (address string, err error)
	Finish(ctx context.Context, realm gatehouse.Realm, id string, browser []byte, in *gatehouse.Principal, answer url.Values) (provider.Arrival, error)
	// Hold keeps an answer that was posted from another site, until the browser comes with it by itself.
	Hold(realm gatehouse.Realm, id string, answer url.Values) (held string, err error)
	Links(ctx context.Context, realm, userID string) ([]provider.Link, error)
	BeginLink(ctx context.Context, realm gatehouse.Realm, id string, who *gatehouse.Principal, browser []byte) (address string, err error)
	Unlink(ctx context.Context, realm gatehouse.Realm, who *gatehouse.Principal, link string) error
}

// ProviderBack is the path to which a provider sends browsers back, below the issuer of the realm.
func ProviderBack(id string) string { return pageProvider + id + providerBack }

// registerProviders adds the ways to providers and back.
func (h *Handler) registerProviders(mux *http.ServeMux) {
	for _, prefix := range []string{"", "/realms/{realm}"} {
		mux.Handle("GET "+prefix+pageProvider+"{provider}", h.page((*visit).toProvider))
		mux.Handle("GET "+prefix+pageProvider+"{provider}"+providerBack, h.page((*visit).fromProvider))
		mux.Handle("POST "+prefix+pageProvider+"{provider}"+providerBack, h.pageFromElsewhere((*visit).postedByProvider))
		mux.Handle("GET "+prefix+pageLinks, h.page((*visit).links))
		mux.Handle("POST "+prefix+pageLinks, h.page((*visit).linksSent))
		mux.Handle("GET "+prefix+pageLinks+"/{provider}", h.page((*visit).toLink))
	}
}

// providers are the ways to sign in elsewhere that the page to sign in offers.
func (v *visit) providers(to string) (out []choice) {
	for _, p := range v.realm.Settings.Providers {
		out = append(out, choice{Tag: p.ID, Name: p.Name(), URL: v.to(pageProvider+p.ID) + query(to, "")})
	}
	return out
}

// toProvider sends a browser to a provider. It is a link and no form: nothing is changed here, and the
// content policy of the page need not name where it leads.
func (v *visit) toProvider() error {
	to := returnOf(v.r)
	if byOthers(v.r) {
		page := v.to(SignIn)
		if to != "" {
			page += "?" + url.Values{"return": {to}}.Encode()
		}
		return v.redirect(page)
	}
	if err := v.allowed(); err != nil { // the provider may have to be asked
		return err
	}
	address, err := v.h.c.Providers.Begin(v.r.Context(), v.realm, v.r.PathValue("provider"), to, v.formKey(), v.who != nil)
	if err != nil {
		return v.notSignedIn(to, err)
	}
	v.away(address)
	return nil
}

// byOthers reports whether a page of another site sent the browser here: where a provider answers without asking, such a page
// would open a session of whoever uses the browser, or of an account that its author is signed in to there. A browser that says
// nothing of it (Fetch Metadata) is taken at its word.
func byOthers(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return true
}

// away sends a browser to another server: to a provider, or to the terms of the realm.
func (v *visit) away(address string) {
	h := v.w.Header()
	h["Referrer-Policy"] = []string{"no-referrer"} // where somebody goes afterwards is no business of that server
	h["Location"] = []string{address}
	v.w.WriteHeader(http.StatusSeeOther)
}

// postedByProvider takes an answer that a provider has the browser post. Our cookies do not come with what another site posts
// (SameSite=Lax), so nothing is decided here: the browser is sent on to the same address by GET, with which they do. Whoever
// can have it posted could have it come that way as well.
func (v *visit) postedByProvider() error {
	if _, err := formOf(v.posted); err != nil {
		return err
	}
	id := v.r.PathValue("provider")
	held, err := v.h.c.Providers.Hold(v.realm, id, v.posted)
	if err != nil {
		return v.notSignedIn("", err)
	}
	v.w.Header()["Referrer-Policy"] = []string{"no-referrer"}
	return v.redirect(v.to(ProviderBack(id)) + "?" + url.Values{"answer": {held}}.Encode())
}

// fromProvider takes what a browser brings back from a provider, and opens a session or says that an account is linked.
func (v *visit) fromProvider() error {
	if err := v.allowed(); err != nil {
		return err
	}
	v.w.Header()["Referrer-Policy"] = []string{"no-referrer"} // the address holds a code
	key, _ := v.hasFormKey()                                  // without it nothing is accepted
	answer, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil {
		return errForm
	}
	a, err := v.h.c.Providers.Finish(v.r.Context(), v.realm, v.r.PathValue("provider"), key, v.who, answer)
	p, to := a.Who, ownReturn(a.To)
	switch {
	case a.Link && err == nil:
		return v.redirect(v.to(pageLinks) + "?said=linked")
	case a.Link && v.who != nil:
		return v.notLinked(err)
	case err != nil:
		return v.notSignedIn(to, err)
	}
	u, err := v.h.c.Users.User(v.r.Context(), p.Realm, p.ID)
	if err != nil {
		return v.notSignedIn(to, err)
	}
	done, err := v.enter(p, u, to)
	if done {
		return err
	}
	return v.notSignedIn(to, err)
}

// notSignedIn shows the page to sign in with why a provider did not help.
func (v *visit) notSignedIn(to string, err error) error {
	e := web.Classify(err)
	code := e.Code
	switch {
	case code == credential.ErrInvalidCredentials.Code: // the account may not sign in any more
		code = provider.ErrRefused.Code
	case e.Kind != gatehouse.Unauthenticated && e.Kind != gatehouse.BadGateway:
		return err
	}
	view := signInView{Return: to, Tone: "caution"}
	if view.Notice, err = v.language.text("error." + code); err != nil {
		return err
	}
	return v.ask(http.StatusUnprocessableEntity, view)
}

// allowed counts a request that costs as much as a form that is sent.
func (v *visit) allowed() error {
	after, ok := v.h.c.Allow(v.r.Context(), gatehouse.AddressFrom(v.r.Context()))
	if ok {
		return nil
	}
	e := *gatehouse.ErrRateLimited
	e.RetryAfter = after
	return &e
}
