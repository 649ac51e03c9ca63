package grant

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Redemption is what a client shows for an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5).
type Redemption struct {
	Code        gatehouse.Secret
	RedirectURI string
	Verifier    gatehouse.Secret
}

// Redeem gives the first tokens of what a person allowed, for an authorization code that no one has used. The code is used
// up, and the grant begins, in one transaction: of all that redeem it, on any node, one does. A second use by the same client
// ends what the first one gave (RFC 6749 §4.1.2, RFC 9700 §4.5).
func (s *Service) Redeem(ctx context.Context, o Order, r Redemption) (Tokens, error) {
	p, err := credential.ParseKey(r.Code.Reveal())
	if err != nil || p.Prefix != byBrowser().prefix { // what is invented dies without a look-up
		return Tokens{}, errInvalidGrant
	}
	key := credential.HashKey(r.Code.Reveal())
	c, err := s.find(ctx, s.c.Find, byBrowser(), key)
	if err != nil {
		return Tokens{}, err
	}
	if err := c.shownBy(o, r); err != nil {
		return Tokens{}, err
	}
	if c.Grant != "" {
		return Tokens{}, s.reused(ctx, byBrowser(), c)
	}
	o.Scopes = nil // the person decided
	return s.run(ctx, o, &redemption{s: s, way: byBrowser(), key: key, code: c.Code, ends: c.IssuedAt.Add(CodeLife)})
}

// redemption is the kind of grant that begins with what a person allowed in a browser.
type redemption struct {
	s    *Service
	way  way
	key  []byte
	code Code
	ends time.Time
}

func (k *redemption) who() string  { return k.code.User }
func (k *redemption) begins() bool { return true }

// origin judges the client and the session anew: both may have changed since the person allowed it.
func (k *redemption) origin(ctx context.Context, tx Tx, i *issue) (err error) {
	c, settings := k.code, i.realm.Settings.Defaults()
	m := i.client.Metadata
	if !m.May(k.way.grantType) || k.way == byBrowser() && !m.Redirects(c.RedirectURI) || !i.now.Before(k.ends) {
		i.refused = true
		return nil
	}
	live, err := tx.LiveSessions(ctx, c.Realm, c.User, i.now, i.now.Add(-settings.SessionIdle))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(live, func(s gatehouse.Session) bool { return s.ID == c.Session }) {
		i.refused = true
		return nil
	}
	stands, err := tx.Consent(ctx, c.Realm, c.User, c.Client)
	if err != nil && !errors.Is(err, gatehouse.NotFound) {
		return err
	}
	if err != nil || c.Consent == "" || stands.ID != c.Consent { // the person took it back since, and may have begun anew
		i.refused = true
		return nil
	}
	if i.cutOff, err = tx.CutOff(ctx, c.Realm, c.User, c.Client, c.Session); err != nil {
		return err
	}
	i.kind = audit.KindTokenIssue
	i.available = both(c.Scopes, m.ScopesOf(i.realm.Settings))
	i.given = c.Details
	if i.audiences = c.Resources; len(i.audiences) == 0 {
		i.audiences = k.s.Audiences(i.realm)[:1]
	}
	i.grant = gatehouse.Grant{
		ID: gatehouse.NewID("grt", i.now), Realm: c.Realm, Subject: c.User, ClientID: c.Client,
		AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR,
		CreatedAt: c.IssuedAt, // when the person allowed it: what ended something since then ends this
		ExpiresAt: i.now.Add(settings.AccessTokenTTL),
	}
	if i.order.Public {
		i.grant.Confirmation = i.order.Confirmation
	}
	if m.May(client.GrantRefreshToken) {
		i.grant.ExpiresAt = i.now.Add(settings.GrantTTL)
	}
	if i.grant.Claims = c.Claims; i.openID() {
		i.nonce, i.sid = c.Nonce, c.Session
	}
	if !slices.Contains(i.available, client.ScopeOffline) { // it ends with the session (OpenID Connect Core §11)
		i.grant.SessionID, i.grant.ExpiresAt = c.Session, earlier(i.grant.ExpiresAt, c.SessionEnds)
	}
	i.grant.StatusList, i.grant.StatusIdx = k.s.c.NewStatus(i.grant.ExpiresAt)
	return nil
}

// both are the names of a that b has, too.
func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return !slices.Contains(b, name) })
}

// issue uses up the code and stores what begins, or finds out that the code was used already.
func (k *redemption) issue(ctx context.Context, tx Tx, i *issue) error {
	_, err := tx.TakeOnce(ctx, k.way.unused, k.key, i.now)
	if errors.Is(err, gatehouse.NotFound) {
		return k.again(ctx, tx, i)
	}
	if err != nil {
		return err
	}
	i.grant.Scopes, i.grant.Audience, i.grant.Details = i.scopes, i.audiences, i.given // a refresh token is for all of them
	used, err := k.s.sealed(k.way.used, k.key, i.now.Add(keepUsed), spent{Code: k.code, Grant: i.grant.ID})
	if err == nil {
		err = tx.PutOnce(ctx, used)
	}
	if err != nil {
		return err
	}
	made := Issued{Grant: &i.grant, Listener: k.listener(i)}
	if i.client.Metadata.May(client.GrantRefreshToken) {
		made.Refresh = k.s.newRefresh(i, mint(credential.PrefixRefresh), 0)
	}
	if err = k.s.store(ctx, tx, i, made); errors.Is(err, gatehouse.Conflict) {
		return errStatusTaken
	}
	return err
}

// listener is the client, where it learns of the session and wants to learn of its end (OpenID Connect Back-Channel Logout §2.1).
func (k *redemption) listener(i *issue) *Listener {
	if i.sid == "" || !i.client.Metadata.HearsLogout() {
		return nil
	}
	return &Listener{Realm: i.grant.Realm, Session: i.sid, Client: i.grant.ClientID, User: i.grant.Subject, Ends: k.code.SessionEnds}
}

// again is a second use of the code, at the moment of the first.
func (k *redemption) again(ctx context.Context, tx Tx, i *issue) error {
	if i.refused = true; k.way.proven {
		return nil
	}
	c, err := k.s.find(ctx, tx.Once, k.way, k.key)
	if err == error(errInvalidGrant) { // it is over, and nobody used it
		return nil
	}
	if err != nil || c.Grant == "" {
		return err
	}
	return c.end(ctx, tx, i.now)
}

// reused ends what a code gave that comes back: somebody else has it, too.
func (s *Service) reused(ctx context.Context, w way, c spent) error {
	if w.proven {
		return errInvalidGrant
	}
	if err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error { return c.end(ctx, tx, s.c.Now()) }); err != nil {
		return err
	}
	return errInvalidGrant
}

func (c spent) end(ctx context.Context, tx Tx, now time.Time) error {
	_, err := end(ctx, tx, c.Realm, c.Grant, now, audit.KindAuthorizationReuse, ReasonCodeReuse)
	return err
}
