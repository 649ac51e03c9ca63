package pages

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/session"
)

const pageHandOver = "/handover"

// HandOverRefused is the page of a realm that tells somebody who came back to a host of the gateway by a ticket that does not
// count: the program there has no pages, and knows no languages.
const HandOverRefused = pageHandOver + "/refused"

// errAddress stands before everything else of a hand-over: whoever can choose where a browser goes
// after signing in has it show what it brings (an open redirect).
var errAddress = gatehouse.E(gatehouse.Invalid, "handover_address_refused", "The address to go back to is none of a program behind this gateway that takes sign-ins.")

// errBeyond is the answer where an address asks for more than a sign-in here ever is.
var errBeyond = gatehouse.E(gatehouse.Denied, "sign_in_not_enough", "The page that you want asks for a sign-in of a kind that there is none of here.")

// browserLength is that of the name of a browser that the gateway sent here, in characters.
const browserLength = 43

// handOver sends a browser, with its session, back to the host of the gateway that it came from.
// Whoever is not signed in does that first.
func (v *visit) handOver() error {
	to, browser, _, ok := v.way(v.r.URL.Query())
	if !ok {
		return errAddress
	}
	if v.who == nil {
		here := v.to(pageHandOver) + "?" + url.Values{"to": {one(v.r, "to")}, "browser": {browser}}.Encode()
		return v.redirect(v.to(SignIn) + "?" + url.Values{"return": {here}}.Encode())
	}
	if enough, acr := v.h.c.HandOvers.Enough(v.who, to); !enough {
		if acr != "" && acr != gatehouse.AAL1 && acr != gatehouse.AAL2 {
			return errBeyond // no sign-in here is more, and to ask for one again would never end
		}
		here := v.to(pageHandOver) + "?" + url.Values{"to": {one(v.r, "to")}, "browser": {browser}}.Encode()
		return v.redirect(v.to(SignIn) + "?" + url.Values{"again": {"1"}, "return": {here}}.Encode())
	}
	address, err := v.h.c.HandOvers.Begin(v.r.Context(), v.who, to, browser)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h["Referrer-Policy"] = []string{"no-referrer"} // this address and the next say which browser, and hold a ticket
	h["Location"] = []string{address}
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// handOverRefused says so, and why: anybody can ask for each of these pages, so that nothing is logged of it.
func (v *visit) handOverRefused() error {
	switch one(v.r, "why") {
	case gatehouse.ErrRateLimited.Code:
		return gatehouse.ErrRateLimited
	case gatehouse.ErrInternal.Code:
		return v.showError(http.StatusServiceUnavailable, errorView{Code: gatehouse.ErrInternal.Code, Request: gatehouse.RequestIDFrom(v.r.Context())})
	}
	return session.ErrHandOver
}

// way reads where a browser came from: the address, in base64url so that no other program reads it
// on its way, and what that host knows the browser by.
func (v *visit) way(q url.Values) (to, browser, origin string, ok bool) {
	if v.h.c.HandOvers == nil || len(q["to"]) != 1 || len(q["browser"]) != 1 || len(q.Get("browser")) != browserLength {
		return "", "", "", false
	}
	text, err := base64.RawURLEncoding.DecodeString(q.Get("to"))
	if err != nil {
		return "", "", "", false
	}
	origin, ok = v.h.c.HandOvers.Admits(v.realm.Name, string(text))
	return string(text), q.Get("browser"), origin, ok
}

// asksForTwo reports whether the place where p wants to go after signing in takes two factors, and p, who has just
// proved the password, has proved one.
func (v *visit) asksForTwo(p *gatehouse.Principal, to string) bool {
	query, ok := strings.CutPrefix(to, v.to(pageHandOver)+"?")
	if !ok {
		return v.demandsMore(p, to)
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	address, _, _, ok := v.way(q)
	if !ok {
		return false
	}
	enough, acr := v.h.c.HandOvers.Enough(p, address)
	return !enough && acr == gatehouse.AAL2
}

// leadsTo lets the forms of this page end at a host of the gateway, where to is the way there:
// browsers hold the content policy against each redirect that follows a form.
func (v *visit) leadsTo(to string) {
	if targets, ok := v.authorizes(to); ok {
		v.formsLeadTo(targets)
		return
	}
	query, ok := strings.CutPrefix(to, v.to(pageHandOver)+"?")
	if !ok {
		return
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return
	}
	if _, _, origin, ok := v.way(q); ok {
		policy := v.w.Header()["Content-Security-Policy"]
		policy[0] = strings.Replace(policy[0], "form-action 'self'", "form-action 'self' "+origin, 1)
	}
}
