package pages

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/rar"
)

const (
	pageAuthorize = "/authorize"
	pageConsent   = pageAuthorize + "/consent"
)

// Authorizations judges and answers what clients ask for in a person's browser; *authorize.Service does.
type Authorizations interface {
	Read(ctx context.Context, realm gatehouse.Realm, query string) (*authorize.Request, error)
	Next(ctx context.Context, r *authorize.Request, who *gatehouse.Principal, now time.Time) (authorize.Need, *authorize.Refusal, error)
	Allow(ctx context.Context, r *authorize.Request, who *gatehouse.Principal) (authorize.Answer, error)
	AllowSome(ctx context.Context, r *authorize.Request, who *gatehouse.Principal, ticked []string) (authorize.Answer, error)
	Deny(ctx context.Context, r *authorize.Request, who *gatehouse.Principal) (authorize.Answer, error)
	Finish(ctx context.Context, a authorize.Answer) (authorize.Answer, error)
	// Leave judges what a client wants that has a person sign out.
	Leave(ctx context.Context, realm gatehouse.Realm, query string) (authorize.Leaving, error)
}

// registerAuthorize adds the authorization endpoint (RFC 6749 §3.1). The CSRF defence guards our form and not the endpoint, which
// other sites are there to send people to.
func (h *Handler) registerAuthorize(mux *http.ServeMux) {
	for _, prefix := range []string{"", "/realms/{realm}"} {
		mux.Handle("GET "+prefix+pageAuthorize, h.page((*visit).authorize))
		mux.Handle("POST "+prefix+pageAuthorize, h.pageFromElsewhere((*visit).authorizePosted))
		mux.Handle("POST "+prefix+pageConsent, h.page((*visit).consentSent))
		mux.Handle("GET "+prefix+pageLogout, h.page((*visit).logOut))
		mux.Handle("POST "+prefix+pageLogout, h.pageFromElsewhere((*visit).logOutPosted))
		mux.Handle("POST "+prefix+pageLogoutSure, h.page((*visit).logOutSent))
	}
}

// authorizePosted takes a request that came in a form (OpenID Connect Core §3.1.2.1). Our cookies do not come with what another site
// posts (SameSite=Lax), so nothing is decided here: the browser is sent on to the same request by GET, with which they do.
func (v *visit) authorizePosted() error {
	v.w.Header()["Referrer-Policy"] = []string{"no-referrer"}
	return v.redirect(v.to(pageAuthorize) + "?" + v.posted.Encode())
}

// authorize answers a request, or has the person do first what that takes.
func (v *visit) authorize() error {
	query := v.r.URL.RawQuery
	r, need, err := v.next(query)
	if err != nil || r == nil {
		return err
	}
	if begun := r.Begun(v.who); need == authorize.Consent && begun != "" { // so that the page can be loaded again
		return v.redirect(v.to(pageAuthorize) + "?" + begun)
	}
	if need == authorize.Consent {
		return v.askConsent(http.StatusOK, query, r)
	}
	answer, err := v.h.c.Authorizations.Allow(v.r.Context(), r, v.who)
	if err != nil {
		return err
	}
	return v.answerClient(answer)
}

// next reads a request, and sends the person on where something else comes before an answer: then there is no request. An answer
// that gives the client nothing is not for people who are not signed in, either: nobody shall be led through here to an address
// of a stranger's choice (RFC 9700 §4.11.2).
func (v *visit) next(query string) (*authorize.Request, authorize.Need, error) {
	r, err := v.h.c.Authorizations.Read(v.r.Context(), v.realm, query)
	var refused *authorize.Refusal
	if errors.As(err, &refused) {
		if v.who == nil && !refused.Silent {
			return nil, 0, v.redirect(v.signInFor(query))
		}
		return nil, 0, v.answerClient(refused.Answer)
	}
	if err != nil {
		return nil, 0, err
	}
	need, refused, err := v.h.c.Authorizations.Next(v.r.Context(), r, v.who, v.h.c.Now())
	switch {
	case err != nil:
		return nil, 0, err
	case refused != nil:
		return nil, 0, v.answerClient(refused.Answer)
	case need == authorize.SignIn:
		return nil, 0, v.redirect(v.signInFor(r.Again(v.h.c.Now())))
	case need == authorize.SignInAgain:
		return nil, 0, v.redirect(v.signInFor(r.Again(v.h.c.Now())) + "&again=1")
	}
	return r, need, nil
}

// signInFor is the page to sign in that leads back to a request.
func (v *visit) signInFor(query string) string {
	return v.to(SignIn) + "?" + url.Values{"return": {v.to(pageAuthorize) + "?" + query}}.Encode()
}

// asked is a parameter of the request to which a sign-in leads, if it leads to one: the person has not agreed to anything of it, so it is good
// for what is shown, and nothing else.
func (v *visit) asked(to, name string) string {
	query, ok := strings.CutPrefix(to, v.to(pageAuthorize)+"?")
	if !ok {
		return ""
	}
	q, err := url.ParseQuery(query)
	if err != nil || len(q[name]) != 1 || len(q.Get(name)) > maxIdentifier {
		return ""
	}
	return q.Get(name)
}

// demandsMore reports whether the request to which to leads, if it is one, demands more than p has proved (acr, OpenID Connect Core §5.5.1.1).
func (v *visit) demandsMore(p *gatehouse.Principal, to string) bool {
	query, ok := strings.CutPrefix(to, v.to(pageAuthorize)+"?")
	if !ok {
		return false
	}
	r, err := v.h.c.Authorizations.Read(v.r.Context(), v.realm, query)
	return err == nil && r.DemandsMore(p)
}

// answerClient sends the browser to a client.
func (v *visit) answerClient(a authorize.Answer) error {
	a, err := v.h.c.Authorizations.Finish(v.r.Context(), a)
	if err != nil {
		return err
	}
	if a.Posted() {
		return v.postToClient(a)
	}
	v.away(a.Location())
	return nil
}

// consentView is what consent.html shows.
type consentView struct {
	frame
	Action, Form, Request string
	Client                string // its name
	Host                  string // where the browser will be sent: "app.example"
	Local                 bool   // to a program on this device
	Unproved              bool   // that it is this program, nothing proves
	Unverified            bool   // nobody looked at what it says of itself
	Described             string // the host of its client_id, where a document there says what it is
	Links                 []consentLink
	Scopes                []scopeLine
	Details               []rar.Words
	Resources             []string
	Ends, Again           string // when what it gets ends at the latest; when the person is asked again: "" for each time
	WithSession           bool   // it ends with the session, if that is earlier
	Username, Initials    string
	Other                 string // to sign in as somebody else
}

// scopeLine is a scope in words. Field is that of the form by which the person lets the client have it; "": it is not to be chosen.
type scopeLine struct{ Name, Text, Field, ID string }

// fieldScope is how the name of such a field begins.
const fieldScope = "scope:"

// askConsent asks whether a client may. What is shown is bound to the form that answers it: the request, the browser and the
// session, so that nobody answers for somebody else who signed in meanwhile.
func (v *visit) askConsent(status int, query string, r *authorize.Request) error {
	now := v.h.c.Now()
	view := consentView{Request: query, Client: r.Client.Metadata.Name, Resources: r.Audiences(), Unverified: r.Client.Unverified(), Unproved: !r.Client.Metadata.Proves(r.RedirectURI), Links: linksOf(r.Client.Metadata)}
	ends, withSession := r.Ends(now)
	view.Ends, view.WithSession = moment(ends), withSession
	if again := r.AsksAgain(now); !again.IsZero() {
		view.Again = moment(again)
	}
	if u, err := url.Parse(r.Client.ID); err == nil && client.IsDocument(r.Client.ID) {
		view.Described = u.Host
	}
	if u, err := url.Parse(r.RedirectURI); err == nil { // it is registered, so it is one
		view.Host, view.Local = u.Hostname(), u.Scheme == "http"
		if view.Host == "" {
			view.Host = u.Scheme
		}
	}
	view.Scopes = v.scopeLines(r.Shown())
	view.Details = rar.Tell(v.realm.Settings.DetailTypes, r.Details)
	for i, line := range view.Scopes {
		if r.Optional(line.Name) {
			view.Scopes[i].Field, view.Scopes[i].ID = fieldScope+line.Name, "scope-"+strconv.Itoa(i+1)
		}
	}
	v.formsLeadTo(r.Forms())
	return v.showConsent(status, view)
}

// scopeLines are scopes in words.
func (v *visit) scopeLines(names []string) (lines []scopeLine) {
	for _, name := range names {
		line := scopeLine{Name: name, Text: v.realm.Settings.Scopes[name]}
		if text, err := v.language.text("scope." + name); err == nil && line.Text == "" {
			line.Text = text
		}
		lines = append(lines, line)
	}
	return lines
}

func (v *visit) showConsent(status int, view consentView) (err error) {
	keep, err := url.ParseQuery(view.Request)
	if err != nil {
		return errForm
	}
	if view.frame, err = v.frame(pageAuthorize, "consent.title", keep); err != nil {
		return err
	}
	view.Action, view.Form = v.to(pageConsent), v.token(consentOf(view.Request))
	view.Username, view.Initials = v.who.Name, initials(v.who.Name)
	view.Other = v.signInFor(view.Request) + "&again=1"
	return v.show(status, "consent.html", view)
}

// consentOf names the form about one request.
func consentOf(query string) string { return pageConsent + " " + query }

// consentSent takes what the person says. The request is judged anew: the client may have lost what it was shown with.
func (v *visit) consentSent() error {
	query := v.form["request"]
	ticked := v.ticked()
	if err := v.sentFrom(consentOf(query), "request", "do"); err != nil {
		return err
	}
	if v.who == nil {
		return errExpired
	}
	r, _, err := v.next(query)
	if err != nil || r == nil {
		return err
	}
	if slices.ContainsFunc(ticked, func(name string) bool { return !r.Optional(name) }) {
		return errForm // what was not asked cannot be allowed
	}
	var answer authorize.Answer
	switch v.form["do"] {
	case "allow":
		answer, err = v.h.c.Authorizations.AllowSome(v.r.Context(), r, v.who, ticked)
	case "deny":
		answer, err = v.h.c.Authorizations.Deny(v.r.Context(), r, v.who)
	default:
		return errForm
	}
	if err != nil {
		return err
	}
	return v.answerClient(answer)
}

// ticked takes the scopes that the person lets a client have out of the form.
func (v *visit) ticked() (names []string) {
	for field, value := range v.form {
		if name, ok := strings.CutPrefix(field, fieldScope); ok && value == "yes" {
			names = append(names, name)
			delete(v.form, field)
		}
	}
	return names
}

// formsLeadTo lets the forms of this page end at a client.
func (v *visit) formsLeadTo(targets string) {
	h := v.w.Header()
	h["Content-Security-Policy"] = []string{strings.Replace(h.Get("Content-Security-Policy"), "form-action 'self'", "form-action 'self' "+targets, 1)}
}

// authorizes finds where the forms may end on a way to a client that begins at to, a page of ours, and on which perhaps nothing more is asked.
func (v *visit) authorizes(to string) (targets string, ok bool) {
	query, ok := strings.CutPrefix(to, v.to(pageAuthorize)+"?")
	if !ok {
		return "", false
	}
	r, err := v.h.c.Authorizations.Read(v.r.Context(), v.realm, query)
	var refused *authorize.Refusal
	switch {
	case err == nil:
		return r.Forms(), r.AtOnce()
	case errors.As(err, &refused):
		return refused.Answer.Forms, true
	}
	return "", false
}

// postView is what formpost.html shows.
type postView struct {
	frame
	To     string
	Params []authorize.Param
}

// postToClient has the browser post an answer (OAuth 2.0 Form Post Response Mode §2): by a script, and by a button where none runs.
func (v *visit) postToClient(a authorize.Answer) error {
	v.formsLeadTo(a.Forms)
	return v.showPost(a.To, a.Params)
}

func (v *visit) showPost(to string, params []authorize.Param) error {
	view := postView{To: to, Params: params}
	var err error
	if view.frame, err = v.frame(pageAuthorize, "formpost.title", nil); err != nil {
		return err
	}
	h := v.w.Header()
	view.run(h, v.site.base+v.h.look.answer)
	h["Referrer-Policy"] = []string{"strict-origin"} // so that the client sees who posts (Origin), and no more
	return v.show(http.StatusOK, "formpost.html", view)
}

// postForm is what {{postform .To}} writes: the begin of a form to a client, whose address is registered and no path of this server.
func postForm(args ...any) (any, error) {
	to, _ := args[0].(string)
	return markup.HTML(`<form class="stack" method="post" action="` + html.EscapeString(to) + `" id="answer">`), nil
}

// consentStates are those of consent.html.
func consentStates() []state {
	whole := consentView{Client: "Saffron Mail", Host: "mail.saffron.example", Scopes: []scopeLine{{"documents:read", "Read your documents", "scope:documents:read", "scope-1"}, {"offline_access", "Act for you while you are away", "scope:offline_access", "scope-2"}},
		Resources: []string{"https://api.saffron.example"}, Ends: "2026-12-28 08:12 UTC", Again: "2027-05-27 08:12 UTC"}
	show := func(view consentView) func(*visit) error {
		return func(v *visit) error { return v.showConsent(http.StatusOK, view) }
	}
	return []state{
		{"ask", show(whole)},
		{"unverified", show(consentView{Client: "Saffron Mail", Host: "mail.saffron.example", Unverified: true, Links: []consentLink{{"client-home", "https://saffron.example/", "consent.home"}, {"client-policy", "https://saffron.example/privacy", "consent.policy"}, {"client-terms", "https://saffron.example/terms", "consent.terms"}}, Scopes: whole.Scopes, Resources: whole.Resources, Ends: whole.Ends, WithSession: true, Again: whole.Again})},
		{"described", show(consentView{Client: "Saffron Notes", Described: "notes.saffron.example", Host: "127.0.0.1", Local: true, Unproved: true, Unverified: true, Scopes: whole.Scopes, Resources: whole.Resources, Ends: whole.Ends})},
		{"details", show(consentView{Client: "Saffron Bank", Host: "bank.saffron.example", Details: []rar.Words{{Type: "payment", Description: "Make a payment", Members: []rar.Member{{Name: "amount.currency", Value: "EUR"},
			{Name: "amount.value", Value: "123.50"}, {Name: "creditor", Value: "Merchant A"}}}}, Resources: whole.Resources, Ends: whole.Ends, WithSession: true})},
		{"who-you-are", show(consentView{Client: "Saffron", Host: "saffron.example", Resources: whole.Resources, Ends: whole.Ends, WithSession: true, Again: whole.Again})},
		{"local", show(consentView{Client: "Saffron on the command line", Host: "127.0.0.1", Local: true, Unproved: true, Scopes: append([]scopeLine{{"openid", "Know who you are", "", ""}}, whole.Scopes[0]), Resources: whole.Resources, Ends: whole.Ends, WithSession: true})},
		{"long", show(consentView{Client: "Wilhelmina Featherstonehaugh-Cholmondeley's assistant for everything", Host: "a-very-long-name-of-a-host.subsidiary.saffron-of-the-world.example",
			Scopes: whole.Scopes, Resources: []string{"https://a-very-long-name-of-an-api.subsidiary.saffron-of-the-world.example/v1/documents"}, Ends: whole.Ends, Again: whole.Again})},
	}
}

// postStates are those of formpost.html.
func postStates() []state {
	return []state{{"answer", func(v *visit) error {
		return v.showPost("/client", []authorize.Param{{Name: "code", Value: "gha_made_up"}, {Name: "state", Value: "1"}})
	}}}
}
