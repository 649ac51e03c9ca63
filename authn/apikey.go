package authn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

var (
	errKeyUnknown     = gatehouse.E(gatehouse.Unauthenticated, "key_unknown", "")
	errKeyMismatch    = gatehouse.E(gatehouse.Unauthenticated, "key_secret_mismatch", "")
	errKeyRealm       = gatehouse.E(gatehouse.Unauthenticated, "key_wrong_realm", "")
	errKeyRevoked     = gatehouse.E(gatehouse.Unauthenticated, "key_revoked", "")
	errKeyLeaked      = gatehouse.E(gatehouse.Unauthenticated, "key_leaked", "")
	errKeyDisabled    = gatehouse.E(gatehouse.Unauthenticated, "key_disabled", "")
	errKeyExpired     = gatehouse.E(gatehouse.Unauthenticated, "key_expired", "")
	errKeyEnvironment = gatehouse.E(gatehouse.Unauthenticated, "key_environment_mismatch", "")
	errOpaqueUnknown  = gatehouse.E(gatehouse.Unauthenticated, "token_unknown", "")
)

// verifyKey checks an API key. The text's form and checksum were checked when it
// was extracted. The secret is compared first: whoever has not the whole key
// learns nothing from the order of the checks after it.
func (a *Authenticator) verifyKey(ctx context.Context, t *trust, p Presented, rule Rule) (*gatehouse.Principal, error) {
	id, load := p.Key.ID, a.loadKey
	switch {
	case id == "": // no form of ours
		if !credential.ImportableKey(p.Secret.Reveal()) {
			return nil, errKeyUnknown
		}
		realm, text := t.realm.Name, p.Secret.Reveal()
		id, load = importedID(realm, credential.HashKey(text)), a.loadImported(realm, text)
	case !p.Key.IsAPIKey(a.cfg.KeyPrefix):
		return nil, errKeyUnknown
	}
	k, err := lookup(ctx, a, a.keys, id, rule.Address, load)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return nil, errKeyUnknown
	case err != nil:
		return nil, err
	case !credential.MatchKey(k.hash[:], p.Secret.Reveal()):
		return nil, a.missed(rule.Address, errKeyMismatch)
	}
	now := a.cfg.Now()
	env := rule.Environment
	if env == "" {
		env = gatehouse.EnvironmentLive
	}
	if err := k.ends(t, now); err != nil {
		return nil, err
	}
	switch {
	case k.environment != env:
		return nil, errKeyEnvironment.With(fmt.Errorf("it is a %s key, and %s keys count here", k.environment, env))
	case !credential.AllowsAddress(k.nets, rule.Address):
		return nil, errKeyAddress.With(errors.New(place(rule.Address) + ", and it is for " + prefixes(k.nets) + " alone"))
	}
	s, err := a.subject(ctx, k.realm, k.owner)
	if err != nil {
		return nil, err
	}
	if !rule.Uncounted {
		if k.quota != nil {
			if err := a.useQuota(ctx, k, now); err != nil {
				return nil, err
			}
		}
		a.usage.count(k.id, k.realm, now)
	}
	return &gatehouse.Principal{
		Realm: k.realm, Kind: s.Kind, ID: s.ID, Name: s.Name,
		Scopes: k.scopes, RoleLimit: k.roleLimit, Scheme: gatehouse.SchemeAPIKey, Environment: k.environment,
		CredentialID: k.id, Issuer: t.issuer, IssuedAt: fromMicro(k.created), ExpiresAt: fromMicro(k.expires),
	}, nil
}

// ends is why a key is good for nothing in a realm, whoever shows it and from where.
func (k *keyEntry) ends(t *trust, now time.Time) error {
	switch {
	case k.realm != t.realm.Name: // whose name is none of this realm's business
		return errKeyRealm.With(errors.New("it belongs to another realm than " + t.realm.Name))
	case k.ended != nil:
		return k.ended
	case k.expires != 0 && now.UnixMicro() >= k.expires:
		return errKeyExpired.With(errors.New("it ended on " + instant(fromMicro(k.expires))))
	}
	return t.cutOff(fromMicro(k.created)) // before it counts as a use
}

// keyEntry is what is kept in memory of a key in use. There may be very many, so
// what keys have in common is kept once, and times are Unix microseconds, 0 for
// none.
type keyEntry struct {
	*keyRights
	hash             [sha256.Size]byte
	id, owner        string
	created, expires int64
	ended            error // why the key is good for nothing; nil for one that is
	quota            *keyQuota
}

// keyQuota is how often a key was used and may be.
type keyQuota struct {
	*tally
	perDay, perMonth int64
}

// keyRights is what many keys have in common. It is shared and never changed.
type keyRights struct {
	realm             string
	environment       gatehouse.Environment
	scopes, roleLimit []string
	nets              []netip.Prefix
}

func (a *Authenticator) loadKey(ctx context.Context, id string) (*keyEntry, error) {
	k, err := a.cfg.Store.Key(ctx, id)
	if err != nil {
		return nil, err
	}
	if k.Imported || k.ID != id { // the id of an imported key is no part of its text
		return nil, gatehouse.NotFound
	}
	k.ID = id // one copy for the record and the place where it is found
	return a.entryOf(ctx, k)
}

func (a *Authenticator) entryOf(ctx context.Context, k credential.Key) (*keyEntry, error) {
	e := &keyEntry{id: k.ID, owner: k.OwnerID, created: toMicro(k.CreatedAt), expires: toMicro(k.ExpiresAt)}
	if len(k.Hash) == len(e.hash) {
		copy(e.hash[:], k.Hash)
	} // else it stays all zeros, which nobody knows a text for
	switch {
	case !k.LeakedAt.IsZero():
		e.ended = errKeyLeaked.With(errors.New("reported on " + instant(k.LeakedAt)))
	case !k.RevokedAt.IsZero():
		e.ended = errKeyRevoked.With(errors.New("revoked on " + instant(k.RevokedAt)))
	case !k.DisabledAt.IsZero():
		e.ended = errKeyDisabled.With(errors.New("disabled on " + instant(k.DisabledAt)))
	}
	if k.QuotaDay > 0 || k.QuotaMonth > 0 {
		t, err := a.quotas.of(ctx, a, &k)
		if err != nil {
			return nil, err
		}
		e.quota = &keyQuota{t, k.QuotaDay, k.QuotaMonth}
	}
	rights := &keyRights{realm: k.Realm, environment: k.Environment, scopes: k.Scopes, roleLimit: k.RoleLimit, nets: k.AllowedNets}
	// %#v tells nil, which is all roles, from an empty list, which is none.
	same := fmt.Sprintf("%q %q %#v %#v %v", rights.realm, rights.environment, rights.scopes, rights.roleLimit, rights.nets)
	if known, ok := a.rights.Get(same); ok {
		e.keyRights = known
	} else {
		e.keyRights = rights
		a.rights.Set(same, rights)
	}
	return e, nil
}

// instant writes a time for an operator who asks why a credential was refused.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func place(a netip.Addr) string {
	if !a.IsValid() {
		return "no address is known from which it came"
	}
	return "it came from " + a.String()
}

func prefixes(nets []netip.Prefix) string {
	out := make([]string, len(nets))
	for i, n := range nets {
		out[i] = n.String()
	}
	return strings.Join(out, ", ")
}

func audiences(theirs, ours []string) string {
	return "it is for " + strings.Join(theirs, ", ") + "; accepted here: " + strings.Join(ours, ", ")
}

func toMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicro(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n)
}

// opaqueEntry is a random access token with what its principal is made of.
type opaqueEntry struct {
	hash      []byte
	audience  []string
	principal *gatehouse.Principal
	ref       revocation.Ref
	expires   time.Time
	ended     bool
}

// verifyOpaque checks a random access token.
func (a *Authenticator) verifyOpaque(ctx context.Context, t *trust, p Presented, rule Rule) (*gatehouse.Principal, error) {
	e, err := a.opaqueOf(ctx, t, p.Secret, rule.Address)
	if err != nil {
		return nil, err
	}
	ours := t.audience
	if rule.Audience != "" {
		ours = []string{rule.Audience}
	}
	if !slices.ContainsFunc(e.audience, func(s string) bool { return slices.Contains(ours, s) }) {
		return nil, token.ErrWrongAudience.With(errors.New(audiences(e.audience, ours)))
	}
	return a.standingOpaque(ctx, e)
}

// opaqueOf finds a random access token of the realm of t.
func (a *Authenticator) opaqueOf(ctx context.Context, t *trust, text gatehouse.Secret, from netip.Addr) (*opaqueEntry, error) {
	hash := credential.HashKey(text.Reveal())
	e, err := lookup(ctx, a, a.opaque, hex.EncodeToString(hash), from,
		func(ctx context.Context, _ string) (*opaqueEntry, error) { return a.loadOpaque(ctx, hash) })
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return nil, errOpaqueUnknown
	case err != nil:
		return nil, err
	case !credential.MatchKey(e.hash, text.Reveal()), e.principal.Realm != t.realm.Name:
		return nil, errOpaqueUnknown
	}
	return e, nil
}

// standingOpaque returns the principal of a random token as it is now. The grant is read once; that it
// has ended since is in the revocation view, under the grant's status.
func (a *Authenticator) standingOpaque(ctx context.Context, e *opaqueEntry) (*gatehouse.Principal, error) {
	switch {
	case !a.cfg.Now().Before(e.expires):
		return nil, token.ErrExpired.With(errors.New("it ended on " + instant(e.expires)))
	case e.ended:
		return nil, errRevoked.With(errors.New("its grant " + e.principal.GrantID + " was ended"))
	}
	if revoked, reason := a.cfg.Revocations.Revoked(e.ref); revoked {
		return nil, revokedBy(reason, e.principal.GrantID)
	}
	if e.principal.Kind == gatehouse.KindClient { // it has no account
		return e.principal, nil
	}
	return a.local(ctx, e.principal)
}

func (a *Authenticator) loadOpaque(ctx context.Context, hash []byte) (*opaqueEntry, error) {
	o, err := a.cfg.Store.OpaqueToken(ctx, hash)
	if err != nil {
		return nil, err
	}
	g, err := a.cfg.Grant(ctx, o.Realm, o.GrantID)
	if err != nil {
		return nil, err
	}
	s := gatehouse.Subject{Kind: gatehouse.KindClient}
	if o.Subject != g.ClientID {
		s, err = a.subject(ctx, o.Realm, o.Subject)
	}
	if err != nil && gatehouse.KindOf(err) != gatehouse.Unauthenticated {
		return nil, err
	}
	e := &opaqueEntry{hash: o.Hash, audience: o.Audience, expires: o.ExpiresAt, ended: !g.EndedAt.IsZero(),
		principal: &gatehouse.Principal{
			Realm: o.Realm, Kind: s.Kind, ID: o.Subject, Name: s.Name,
			Scopes: o.Scopes, Scheme: gatehouse.SchemeOpaque, Environment: gatehouse.EnvironmentLive,
			CredentialID: o.GrantID, GrantID: o.GrantID, ClientID: g.ClientID, SessionID: g.SessionID, TokenID: o.ID,
			Issuer: a.cfg.Issuer(o.Realm), IssuedAt: o.IssuedAt, ExpiresAt: o.ExpiresAt,
			AuthTime: g.AuthTime, ACR: g.ACR, AMR: g.AMR, Act: g.Act, Details: string(o.Details.JSON()), Confirmation: o.Confirmation,
		},
		ref: revocation.Ref{Realm: o.Realm, Subject: o.Subject, Client: g.ClientID, Session: g.SessionID,
			IssuedAt: o.IssuedAt, HasStatus: true, List: g.StatusList, Index: g.StatusIdx},
	}
	if !g.ExpiresAt.IsZero() && g.ExpiresAt.Before(e.expires) {
		e.expires = g.ExpiresAt
	}
	return e, nil
}
