package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

// wireHandOver makes what hands sessions over from the pages to hosts of the gateway.
func (s *Server) wireHandOver(context.Context) error {
	run, err := store.Run[session.HandOverTx](s.db)
	if err != nil {
		return err
	}
	realms := newRealmCache(s.db)
	s.handOver, err = session.NewHandOver(session.HandOverConfig{Run: run, Find: s.db.Once, Box: s.box, Now: s.now,
		Idle: func(ctx context.Context, realm string) (time.Duration, error) {
			r, err := realms.Realm(ctx, realm)
			return r.Settings.Defaults().SessionIdle, err
		}})
	return err
}

// handOvers joins the gateway, which sends browsers to the pages, and the pages, which send them
// back. It is pages.HandOvers and gateway.SignIn.
type handOvers struct{ s *Server }

// Page implements gateway.SignIn.
func (h handOvers) Page(realm, to, browser string) string {
	return h.s.realmIssuer(realm) + "/handover?" + url.Values{"to": {base64.RawURLEncoding.EncodeToString([]byte(to))}, "browser": {browser}}.Encode()
}

// Refused implements gateway.SignIn.
func (h handOvers) Refused(realm, code string) string {
	return h.s.realmIssuer(realm) + pages.HandOverRefused + "?" + url.Values{"why": {code}}.Encode()
}

// Arrive implements gateway.SignIn.
func (h handOvers) Arrive(ctx context.Context, ticket gatehouse.Secret, realm, origin, browser string) (text gatehouse.Secret, to string, ends time.Time, err error) {
	if after, ok := h.s.allow("arrivals", func(l config.Limits) limit.Rate { return l.Tokens })(ctx, gatehouse.AddressFrom(ctx)); !ok {
		e := *gatehouse.ErrRateLimited
		e.RetryAfter = after
		return "", "", ends, &e
	}
	text, to, opened, err := h.s.handOver.Arrive(ctx, ticket, realm, origin, browser)
	return text, to, opened.ExpiresAt, err
}

// Admits implements pages.HandOvers.
func (h handOvers) Admits(realm, to string) (origin string, ok bool) {
	l := h.s.live.Load()
	if origin, ok = l.cfg.Gateway.Returns(to); !ok {
		return "", false
	}
	r := pageAt(to)
	return origin, r != nil && l.rules.TakesSessions(r, realm)
}

// pageAt is what a browser will ask for at an address; nil where that is none.
func pageAt(to string) *http.Request {
	u, err := url.Parse(to)
	if err != nil || u.User != nil {
		return nil
	}
	return &http.Request{Method: http.MethodGet, Host: u.Host, RequestURI: u.RequestURI(), Header: http.Header{},
		URL: &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}}
}

// Enough implements pages.HandOvers.
func (h handOvers) Enough(p *gatehouse.Principal, to string) (ok bool, acr string) {
	r := pageAt(to)
	if r == nil {
		return false, ""
	}
	a, now := h.s.live.Load().rules.Assurance(r), h.s.now()
	if !(enforce.Assurance{ACR: a.ACR}).Met(p, now) {
		return false, a.ACR
	}
	return a.Met(p, now), ""
}

// Begin implements pages.HandOvers.
func (h handOvers) Begin(ctx context.Context, p *gatehouse.Principal, to, browser string) (string, error) {
	origin, ok := h.s.live.Load().cfg.Gateway.Returns(to)
	u, err := url.Parse(origin)
	if !ok || err != nil {
		return "", gatehouse.ErrInternal // whoever calls has asked
	}
	text, err := h.s.handOver.Begin(ctx, p, session.Way{To: to, Origin: origin, Host: web.HostName(u.Host), Browser: browser})
	if err != nil {
		return "", err
	}
	return origin + gateway.ArrivalPath + "/" + p.Realm + "?ticket=" + text.Reveal(), nil
}
