package apps

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/session"
)

var errApp = gatehouse.E(gatehouse.NotFound, "app_not_found", "This user lets no such client have anything.")

// List lists the clients that a user (id, username, "me") lets have something: what counts now, or tokens that still do. What was
// used last comes first.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm, user string) (Page, error) {
	id := s.c.Users.Resolve(ctx, actor, realm, user)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminGrants, realm, id, id); err != nil {
		return Page{}, err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return Page{}, err
	}
	if _, err = s.c.Users.Find(ctx, realm, id); err != nil {
		return Page{}, err
	}
	l := list{realm: rl, now: s.k.Now(), apps: map[string]*App{}, clients: map[string]client.Client{}, read: s.c.Apps.Client}
	consents, err := s.c.Apps.Consents(ctx, realm, id)
	if err != nil {
		return Page{}, err
	}
	for _, c := range consents {
		if err := l.consent(ctx, c); err != nil {
			return Page{}, err
		}
	}
	held, err := s.c.Apps.HeldGrants(ctx, realm, id, l.now)
	if err != nil {
		return Page{}, err
	}
	for _, h := range held {
		if s.counts(rl, h.Grant) {
			if err := l.held(ctx, h); err != nil {
				return Page{}, err
			}
		}
	}
	return Page{Items: l.all()}, nil
}

// counts reports whether no cut-off has ended g, as those see it who check its tokens.
func (s *Service) counts(rl gatehouse.Realm, g gatehouse.Grant) bool {
	revoked, _ := s.c.Revoked(revocation.Ref{Realm: g.Realm, Subject: g.Subject, Client: g.ClientID, Session: g.SessionID, IssuedAt: g.CreatedAt,
		HasStatus: true, List: g.StatusList, Index: g.StatusIdx})
	return !revoked && !rl.CutOff(g.CreatedAt)
}

// Revoke takes back all that a user lets a client have: what is remembered, and every login of it with its tokens, on all nodes.
// Everybody may do that for the own account. Errors: app_not_found.
func (s *Service) Revoke(ctx context.Context, actor *gatehouse.Principal, realm, user, clientID string) (out Revoked, err error) {
	id := s.c.Users.Resolve(ctx, actor, realm, user)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRevoke, policy.AdminGrants, realm, id, id); err != nil {
		return out, err
	}
	if _, err := s.c.Users.Find(ctx, realm, id); err != nil {
		return out, err
	}
	if clientID == grant.FirstPartyClient { // the person's own logins are no app
		return out, errApp
	}
	reason := session.ReasonAdmin
	if kernel.IsSelf(actor, realm, id) {
		reason = session.ReasonOwner
	}
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		// Whoever redeems a code holds the consent: it is removed first, so that what came of it is seen and ended.
		there, err := tx.DeleteConsent(ctx, realm, id, clientID)
		if err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, realm, audit.KindConsentRevoke, "client", clientID)
		if out.Grants, err = tx.EndGrantsOfClient(ctx, realm, id, clientID, e.Time, grant.ReasonConsent); err != nil {
			return err
		}
		if !there && out.Grants == 0 {
			return errApp
		}
		e.Reason = reason
		e.Detail = map[string]string{"subject": id, "grants": strconv.Itoa(out.Grants)}
		return tx.AppendEvents(ctx, e)
	})
	return out, err
}

// list is the apps of one person as they are found.
type list struct {
	realm   gatehouse.Realm
	now     time.Time
	read    func(ctx context.Context, realm, id string) (client.Client, error)
	clients map[string]client.Client
	apps    map[string]*App
}

// app is that of a client, which need not be registered any more.
func (l *list) app(ctx context.Context, id string, since time.Time) (*App, client.Client, error) {
	if a := l.apps[id]; a != nil {
		if since.Before(a.Since) {
			a.Since = since
		}
		return a, l.clients[id], nil
	}
	c, err := l.read(ctx, l.realm.Name, id)
	if err != nil && !errors.Is(err, gatehouse.NotFound) {
		return nil, c, err
	}
	a := &App{ClientID: id, ClientName: c.Metadata.Name, Hosts: kernel.Some(c.Metadata.Hosts()), FirstParty: c.Metadata.FirstParty, Unverified: c.Dynamic() || client.IsDocument(id), Access: []Access{}, Since: since}
	l.apps[id], l.clients[id] = a, c
	return a, c, nil
}

// consent adds what counts of a person's answers. One about a client that looked otherwise is none.
func (l *list) consent(ctx context.Context, c grant.Consent) error {
	allowed := c.Standing(l.realm.Settings.Defaults().ConsentTTL, l.now)
	if len(allowed) == 0 {
		return nil
	}
	a, program, err := l.app(ctx, c.Client, c.CreatedAt)
	if err != nil {
		return err
	}
	if !bytes.Equal(c.Print, program.Metadata.Print()) {
		delete(l.apps, c.Client)
		return nil
	}
	a.Remembered = true
	for _, w := range allowed {
		a.may(w.Resource, w.Scopes)
	}
	return nil
}

// held adds a grant.
func (l *list) held(ctx context.Context, h grant.Held) error {
	a, _, err := l.app(ctx, h.Grant.ClientID, h.Grant.CreatedAt)
	if err != nil {
		return err
	}
	a.Grants++
	if h.UsedAt.After(a.LastUsedAt) {
		a.LastUsedAt = h.UsedAt
	}
	for _, resource := range h.Grant.Audience {
		a.may(resource, h.Grant.Scopes)
	}
	return nil
}

// may adds scopes at a resource.
func (a *App) may(resource string, scopes []string) {
	i := slices.IndexFunc(a.Access, func(w Access) bool { return w.Resource == resource })
	if i < 0 {
		i = len(a.Access)
		a.Access = append(a.Access, Access{Resource: resource, Scopes: []string{}})
	}
	for _, name := range scopes {
		if !slices.Contains(a.Access[i].Scopes, name) {
			a.Access[i].Scopes = append(a.Access[i].Scopes, name)
		}
	}
	slices.Sort(a.Access[i].Scopes)
}

// all are the apps, what was used last first.
func (l *list) all() []App {
	out := make([]App, 0, len(l.apps))
	for _, a := range l.apps {
		out = append(out, *a)
	}
	sorted.Slice(out, func(a, b App) int {
		return cmp.Or(b.LastUsedAt.Compare(a.LastUsedAt), b.Since.Compare(a.Since), cmp.Compare(a.ClientID, b.ClientID))
	})
	return out
}
