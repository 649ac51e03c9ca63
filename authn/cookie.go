package authn

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// MaxCookieBytes bounds the value of a cookie of ours.
const MaxCookieBytes = 512

// HostCookie is the name of the cookie by which a host of the gateway knows a session of
// realm. The prefix has browsers take it over TLS only, and from that host alone: a host
// beside it, or one that speaks for its domain, can plant none. On this machine there may be no
// TLS; the name is another there, so that such a cookie never counts over TLS.
func HostCookie(realm string, https bool) string {
	if https {
		return "__Host-gatehouse-gate-" + realm
	}
	return "gatehouse-gate-" + realm
}

var errSessionForm = gatehouse.E(gatehouse.Unauthenticated, "session_malformed", "The cookie is not in the form of a session.")

// besideCookie returns the session in the cookie of the host, or p where there is none. Both are
// one too many, although nobody but the browser may mean the cookie: whose request it is
// must not follow from an order.
func (rd *Reader) besideCookie(p Presented, r *http.Request, https bool) (Presented, error) {
	name := rd.cookie
	if !https {
		name = rd.plainCookie
	}
	value, n := Cookie(r, name)
	switch {
	case n == 0:
		return p, nil
	case n > 1:
		return Presented{Scheme: gatehouse.SchemeSession, By: ByCookie}, ErrConflict.With(errors.New("the cookie " + name + " is there more than once"))
	case !p.None():
		return p, ErrConflict.With(errors.New("the cookie " + name + " stands beside another credential"))
	}
	p = Presented{Scheme: gatehouse.SchemeSession, By: ByCookie}
	if len(value) > MaxCookieBytes {
		return p, errSessionForm
	}
	k, err := credential.ParseKey(value)
	if err != nil || !k.IsSession() {
		return p, errSessionForm
	}
	p.ID, p.Secret, p.Key, p.host = k.ID, gatehouse.Secret(value), k, web.HostName(r.Host)
	return p, nil
}

// Cookie returns the first value of a cookie of r, as it was sent, and how many cookies of
// that name there are. With more than one, somebody else had a hand in it.
func Cookie(r *http.Request, name string) (value string, n int) {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			key, v, _ := strings.Cut(pair, "=")
			if strings.TrimSpace(key) != name {
				continue
			}
			if n++; n == 1 {
				value = strings.TrimSpace(v)
			}
		}
	}
	return value, n
}
