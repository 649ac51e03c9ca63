package server

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/store"
)

// settingAuthorizeKey names the key by which authorization requests are marked.
const settingAuthorizeKey = "authorize.key"

// pagesHandler makes the pages that people see in a browser.
func (s *Server) pagesHandler(ctx context.Context, realm func(ctx context.Context, name string) (gatehouse.Realm, error)) (*pages.Handler, error) {
	c := pages.Config{Passwords: s.people, Users: s.directory, Sessions: s.sessions, HalfDone: s.halfDone, Factors: ownFactors{s.admin.Factors}, Own: ownAccount{s.admin}, Profile: ownAccount{s.admin}, Activity: ownAccount{s.admin}, Keys: ownKeys{s.admin.Keys}, Connected: ownApps{s.admin.Apps}, Resets: resets{s.admin.Users, s.people}, Replacements: replacements{s.admin.Users, s.passkeys}, Addresses: s.admin.Users, Invitations: s.admin.Users, Mail: s.mail.On, HandOvers: handOvers{s}, Session: s.browserSession, Realm: realm,
		Allow:             s.allow("tokens", func(l config.Limits) limit.Rate { return l.Tokens }), // a login is a login
		AllowRegistration: s.allow("registrations", func(l config.Limits) limit.Rate { return l.Registrations }),
		Proxies:           func() *web.Proxies { return s.live.Load().proxies }, Now: s.now, Issuer: s.realmIssuer, Problems: s.problems}
	c.Providers, c.First = s.providers, firstAdministrator{s}
	c.Authorizations, c.Devices, c.AllowUserCode, c.Frames = s.authorizations, s.authorizations, s.allowUserCode, s.authorizations.Frames
	if s.passkeys.On(gatehouse.MainRealm) || slices.ContainsFunc(slices.Collect(maps.Keys(s.hosts.issuer)), s.passkeys.On) {
		c.Passkeys, c.OwnKeys = s.passkeys, s.passkeys
	}
	c.Data, c.Questions = ownAccount{s.admin}, s.questions
	return pages.New(c)
}

// wireAuthorizations makes what judges and answers authorization requests.
func (s *Server) wireAuthorizations(ctx context.Context, objects authorize.Objects) error {
	key, err := s.secret(ctx, settingAuthorizeKey, authorize.KeySize)
	if err != nil {
		return err
	}
	run, err := store.Run[authorize.Tx](s.db)
	if err != nil {
		return err
	}
	s.authorizations, err = authorize.New(authorize.Config{Key: key, Clients: s.clients, Codes: s.grants, Devices: s.grants, Issuer: s.realmIssuer, Keys: s.ring.Source, Run: run, Find: s.db.Once, Box: s.box, Now: s.now, Objects: objects, Signer: s.ring.SignerOf, Listeners: s.sessionClients})
	return err
}

// browserSession finds out whose session a browser brings.
func (s *Server) browserSession(r *http.Request, realm string, text, device gatehouse.Secret) (*gatehouse.Principal, error) {
	proxies := s.live.Load().proxies
	return s.auth.Session(r.Context(), realm, text, device, authn.Rule{Environment: gatehouse.EnvironmentLive, Secure: proxies.Secure(r), Address: proxies.Client(r)})
}

// resets sends links to set a new password, and has it noted who asks for them.
type resets struct {
	*users.Service
	people *identity.Service
}

func (r resets) AskReset(ctx context.Context, realm, username string) error {
	r.people.ResetAsked(ctx, realm, username)
	return r.Service.AskReset(ctx, realm, username)
}

// allowUserCode counts the codes of devices that somebody shows, by the account and by the address: of twenty thousand million there
// are, nobody tries more than some.
func (s *Server) allowUserCode(ctx context.Context, who *gatehouse.Principal) (time.Duration, bool) {
	addr, _ := netip.ParseAddr(gatehouse.AddressFrom(ctx))
	res := s.limiter.AllowAddress("user codes", addr, limit.Rate{Limit: 60, Window: grant.DeviceLife})
	if res.OK {
		res = s.limiter.AllowIn("user codes", who.Realm+" "+who.ID, limit.Rate{Limit: 20, Window: grant.DeviceLife})
	}
	return res.RetryAfter, res.OK
}
