package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/session"
)

// ArrivalPath is the path below which, with the name of a realm behind it, a browser comes
// back from signing in, with a ticket. See [Config.SignIn].
const ArrivalPath = "/.gatehouse/session"

// maxReturn bounds the address that a browser comes back to, in bytes: it goes through addresses
// of pages that take 2048.
const maxReturn = 1400

// arrivalLife is how long somebody may take to sign in.
const arrivalLife = 30 * time.Minute

// SignIn is the way of a browser to the pages on which people sign in, and back.
type SignIn interface {
	// Page is the address of the page that hands a session of realm over to the browser that
	// the gateway knows by that name, and sends it back to the address to.
	Page(realm, to, browser string) string
	// Arrive uses up the ticket with which it came back to origin. text goes into the cookie
	// of the host, until ends.
	Arrive(ctx context.Context, ticket gatehouse.Secret, realm, origin, browser string) (text gatehouse.Secret, to string, ends time.Time, err error)
	// Refused is the address of the page of realm that tells a person that the way back is none: for that code, which is that of
	// session.ErrHandOver, gatehouse.ErrRateLimited or gatehouse.ErrInternal.
	Refused(realm, code string) string
}

// checkOrigins refuses origins that are none, or at which a cookie could be read on its way.
func checkOrigins(origins []string) error {
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme+"://"+u.Host != o || u.Host == "" || u.Hostname() == "" || o != strings.ToLower(o) {
			return fmt.Errorf("%q is no origin such as https://app.example: scheme, host and perhaps port, in lower case, and nothing behind", o)
		}
		addr, _ := netip.ParseAddr(u.Hostname())
		if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && !addr.IsLoopback()) {
			return fmt.Errorf("%q must be https", o)
		}
	}
	return nil
}

// Returns reports whether a browser that is sent to the address goes to one of the origins, and to
// which. Nothing of it is left to be read in two ways.
func (o *Options) Returns(to string) (origin string, ok bool) {
	if len(to) > maxReturn || strings.ContainsFunc(to, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' || c == '#' }) {
		return "", false
	}
	for _, origin := range o.Origins {
		if strings.HasPrefix(to, origin+"/") {
			return origin, true
		}
	}
	return "", false
}

// originOf is the origin under which r came, or "" when it is none of those under which browsers
// reach this gateway.
func (g *Gateway) originOf(r *http.Request) string {
	origin := g.cfg.Proxies.Scheme(r) + "://" + strings.ToLower(r.Host)
	if !slices.Contains(g.cfg.Origins, origin) {
		return ""
	}
	return origin
}

// toSignIn sends a browser that came for a page, and has no session that counts, to the pages
// on which people sign in. It reports whether it did.
func (e *exchange) toSignIn(r *http.Request) bool {
	g := e.g
	if g.cfg.SignIn == nil || !e.v.SignIn || !opensPage(r) {
		return false
	}
	origin := g.originOf(r)
	to := origin + r.URL.RequestURI()
	if origin == "" {
		return false
	}
	if at, ok := g.cfg.Returns(to); !ok || at != origin {
		return false
	}
	realm, https := e.v.Route.Realm, g.cfg.Proxies.Scheme(r) == "https"
	h := e.t.Header()
	web.APIHeaders(h, https)
	e.closeUnread(h)
	h[headerRequestID] = []string{e.id}
	known := arriving(r, realm, https)
	if known == "" {
		known = rand.Text() // 26 characters, 130 bits
		http.SetCookie(e.t, ourCookie(arrivalCookie(realm, https), known, https, arrivalLife))
	}
	h["Location"] = []string{g.cfg.SignIn.Page(realm, to, browserOf(realm, known))}
	e.t.WriteHeader(http.StatusFound)
	return true
}

// opensPage reports whether a browser asks for a page to show, and not a script for data.
func opensPage(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// serveArrival gives a browser that comes back from signing in the cookie of this host, and sends
// it on to where it wanted to go: to an address without the ticket.
func (g *Gateway) serveArrival(w http.ResponseWriter, r *http.Request) {
	h, https := w.Header(), g.cfg.Proxies.Scheme(r) == "https"
	web.APIHeaders(h, https)
	err := error(nil)
	if refused := g.bounds(r); refused != nil {
		err = refused
	} else {
		err = g.arrive(w, r, https)
	}
	if err != nil {
		g.cfg.Logger.InfoContext(r.Context(), "a browser did not come back from signing in", slog.String("request_id", gatehouse.RequestIDFrom(r.Context())),
			slog.String("why", authn.Detail(err)))
		if code := told(err); code != "" && opensPage(r) { // a person reads this, in a language that the pages know
			if code == gatehouse.ErrInternal.Code {
				g.cfg.Problems.Log(r, "internal error", err)
			}
			h["Location"] = []string{g.cfg.SignIn.Refused(strings.TrimPrefix(r.URL.Path, ArrivalPath+"/"), code)}
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		g.cfg.Problems.Write(w, r, err)
	}
}

// told is the code by which the pages tell a person why there is no way back; "" for what is no person's affair.
func told(err error) string {
	switch {
	case gatehouse.CodeOf(err) == session.ErrHandOver.Code:
		return session.ErrHandOver.Code
	case errors.Is(err, gatehouse.RateLimited):
		return gatehouse.ErrRateLimited.Code
	case errors.Is(err, gatehouse.Internal), errors.Is(err, gatehouse.Unavailable):
		return gatehouse.ErrInternal.Code
	}
	return ""
}

var errNoArrival = gatehouse.ErrNotFound.With(errors.New("nobody comes back from signing in to this address"))

func (g *Gateway) arrive(w http.ResponseWriter, r *http.Request, https bool) error {
	realm, origin := strings.TrimPrefix(r.URL.Path, ArrivalPath+"/"), g.originOf(r)
	if g.cfg.SignIn == nil || origin == "" || !realmName(realm) {
		return errNoArrival
	}
	if r.Method != http.MethodGet {
		w.Header()["Allow"] = []string{http.MethodGet}
		return web.ErrMethod
	}
	ticket, ok := strings.CutPrefix(r.URL.RawQuery, "ticket=")
	if !ok || len(ticket) > authn.MaxCookieBytes {
		return errNoArrival
	}
	known := arriving(r, realm, https)
	if known == "" {
		return session.ErrHandOver.With(errors.New("the browser does not show the cookie with which it left"))
	}
	text, to, ends, err := g.cfg.SignIn.Arrive(r.Context(), gatehouse.Secret(ticket), realm, origin, browserOf(realm, known))
	if err != nil {
		return err
	}
	http.SetCookie(w, ourCookie(authn.HostCookie(realm, https), text.Reveal(), https, ends.Sub(g.cfg.Now())))
	w.Header()["Location"] = []string{to}
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// realmName keeps what cannot be the name of a realm out of the names of cookies.
func realmName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// arrivalCookie is the name of the cookie by which a host of the gateway knows the browser
// that it sent to sign in.
func arrivalCookie(realm string, https bool) string {
	if https {
		return "__Host-gatehouse-arrival-" + realm
	}
	return "gatehouse-arrival-" + realm
}

// arriving is the value of that cookie, or "" when there is none that we gave.
func arriving(r *http.Request, realm string, https bool) string {
	value, n := authn.Cookie(r, arrivalCookie(realm, https))
	if n != 1 || len(value) != len(rand.Text()) || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return ""
	}
	return value
}

// browserOf is what others may know of a browser with that cookie. Nobody can make the cookie of it.
func browserOf(realm, known string) string {
	sum := sha256.Sum256([]byte("gatehouse arrival\x00" + realm + "\x00" + known))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ourCookie is a cookie for this host alone. Lax, because a browser comes back from another site.
func ourCookie(name, value string, https bool, life time.Duration) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: max(int(life/time.Second), 1), Secure: https,
		HttpOnly: true, SameSite: http.SameSiteLaxMode}
}
