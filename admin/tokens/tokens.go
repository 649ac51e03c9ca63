package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

var (
	errTokenForm   = gatehouse.E(gatehouse.Unprocessable, "token_unreadable", "This is no signed token, opaque token or API key.")
	errNotOurs     = gatehouse.E(gatehouse.Unprocessable, "token_not_revocable", "Only tokens that this realm issued under a grant, and its API keys, can be revoked here.")
	errGrantGone   = gatehouse.E(gatehouse.NotFound, "grant_not_found", "There is no such grant in this realm.")
	errCutoffKind  = gatehouse.E(gatehouse.Unprocessable, "revocation_kind_unknown", "The kind is one of subject, client, session, key and realm, with an id for all but realm.")
	errCutoffAhead = gatehouse.E(gatehouse.Unprocessable, "revocation_in_future", "A cut-off cannot lie in the future: it would refuse tokens that do not exist yet.")
)

// InspectToken decodes a token without trusting it: nothing is verified, nothing
// looked up, and the answer says so.
func (s *Service) InspectToken(ctx context.Context, actor *gatehouse.Principal, realm string, text gatehouse.Secret) (TokenInspection, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminToken, realm, ""); err != nil {
		return TokenInspection{}, err
	}
	out := TokenInspection{Note: "Decoded, not verified: whoever made this text chose every word of it."}
	if p, err := credential.ParseKey(text.Reveal()); err == nil {
		out.ID = p.ID
		switch {
		case p.IsAccessToken():
			out.Kind = "access_token"
		case p.IsRefreshToken():
			out.Kind = "refresh_token"
		case p.Prefix == credential.PrefixClient:
			out.Kind = "client_secret"
		default:
			out.Kind = "api_key"
		}
		return out, nil
	}
	u, err := token.Peek(text.Reveal())
	if err != nil {
		return out, errTokenForm
	}
	out.Kind = "jwt"
	if out.Header, err = exactjson.Object(u.Header); err == nil {
		out.Claims, err = exactjson.Object(u.Claims)
	}
	if err != nil {
		return out, errTokenForm
	}
	return out, nil
}

// VerifyToken checks a token or key as a request with it would be, apart from
// where that request comes from. A token that fails is an answer, not an error.
func (s *Service) VerifyToken(ctx context.Context, actor *gatehouse.Principal, realm string, text gatehouse.Secret) (TokenVerification, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminToken, realm, ""); err != nil {
		return TokenVerification{}, err
	}
	p, err := s.verified(ctx, realm, text)
	if err != nil {
		if k := gatehouse.KindOf(err); k == gatehouse.Internal || k == gatehouse.Unavailable {
			return TokenVerification{}, err // nothing was found out about the token
		}
		return TokenVerification{Reason: authn.Reason(err), Detail: authn.Detail(err), Scopes: []string{}}, nil
	}
	return TokenVerification{Active: true, Subject: p.ID, Name: p.Name, Scheme: string(p.Scheme), Issuer: p.Issuer,
		Scopes: kernel.Some(p.Scopes), GrantID: p.GrantID, TokenID: p.TokenID, IssuedAt: p.IssuedAt, ExpiresAt: p.ExpiresAt}, nil
}

func (s *Service) verified(ctx context.Context, realm string, text gatehouse.Secret) (*gatehouse.Principal, error) {
	p, err := s.c.Verify(ctx, realm, text)
	if err == nil && (!p.Authenticated() || p.Realm != realm) {
		err = errTokenForm
	}
	return p, err
}

// RevokeToken ends what a token came from: its grant, or the API key itself. A
// token that is not valid any more needs no revoking, and is no error.
func (s *Service) RevokeToken(ctx context.Context, actor *gatehouse.Principal, realm string, text gatehouse.Secret) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminRevoke, policy.AdminToken, realm, ""); err != nil {
		return err
	}
	p, err := s.verified(ctx, realm, text)
	if errors.Is(err, gatehouse.Unauthenticated) {
		return nil
	}
	if err != nil {
		return err
	}
	kind, _ := authn.KindOf(p.Scheme)
	switch {
	case kind.Record == authn.RecordKey && !p.Foreign:
		return s.c.EndKey(ctx, actor, realm, p.CredentialID)
	case p.GrantID == "" || p.Foreign:
		return errNotOurs
	}
	return s.endGrant(ctx, actor, realm, p.GrantID)
}

func (s *Service) endGrant(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	_, err := s.c.End(gatehouse.WithPrincipal(ctx, actor), realm, id, "ended_by_administrator")
	return kernel.OrMissing(err, errGrantGone)
}

func grantView(g gatehouse.Grant) Grant {
	return Grant{ID: g.ID, Realm: g.Realm, Subject: g.Subject, ClientID: g.ClientID, Scopes: g.Scopes, Parent: g.Parent, Actors: g.Act.Subjects(), AuthTime: g.AuthTime,
		AMR: kernel.Some(g.AMR), CreatedAt: g.CreatedAt, ExpiresAt: g.ExpiresAt, EndedAt: g.EndedAt, EndReason: g.EndReason}
}

// Grants lists the logins of a realm, or of one user (id, username, "me").
func (s *Service) Grants(ctx context.Context, actor *gatehouse.Principal, realm, user, after string, limit int) (kernel.Page[Grant], error) {
	if user != "" {
		user = s.c.Users.Resolve(ctx, actor, realm, user)
	}
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminGrants, realm, user, user); err != nil {
		return kernel.Page[Grant]{}, err
	}
	limit = kernel.Limit(limit)
	list, err := s.c.Grants.Grants(ctx, realm, user, after, limit+1)
	if err != nil {
		return kernel.Page[Grant]{}, err
	}
	if len(list) == 0 && user != "" {
		if _, err := s.c.Users.Find(ctx, realm, user); err != nil {
			return kernel.Page[Grant]{}, err
		}
	}
	return kernel.Paged(list, limit, func(g gatehouse.Grant) string { return g.ID }, grantView), nil
}

// EndGrant ends one login with all its tokens.
func (s *Service) EndGrant(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminRevoke, policy.AdminGrants, realm, id); err != nil {
		return err
	}
	return s.endGrant(ctx, actor, realm, id)
}

// Revoke sets a cut-off: nothing that was issued until then for the subject,
// client, session, signing key or realm is valid any more.
func (s *Service) Revoke(ctx context.Context, actor *gatehouse.Principal, realm string, in NewRevocation) (Revocation, error) {
	return s.revoke(ctx, actor, realm, in, false)
}

// revoke sets a cut-off, and disables the client that it is about when that is asked.
func (s *Service) revoke(ctx context.Context, actor *gatehouse.Principal, realm string, in NewRevocation, disable bool) (Revocation, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRevoke, policy.AdminToken, realm, in.ID); err != nil {
		return Revocation{}, err
	}
	kind := revocation.CutoffKind(in.Kind)
	switch kind {
	case revocation.CutoffSubject, revocation.CutoffClient, revocation.CutoffSession, revocation.CutoffKey, revocation.CutoffRealm:
	default:
		return Revocation{}, errCutoffKind
	}
	if (kind == revocation.CutoffRealm) != (in.ID == "") || in.ID != "" && !kernel.NameForm(in.ID) {
		return Revocation{}, errCutoffKind
	}
	var c revocation.Cutoff
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.HoldRealm(ctx, realm); err != nil {
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		// Its time is that of the cut-off, and later than whatever was issued before.
		e := s.k.Event(ctx, actor, realm, audit.KindCutoffSet, in.Kind, in.ID)
		before := in.Before
		if before.IsZero() {
			before = e.Time
		}
		if before.After(e.Time) {
			return errCutoffAhead
		}
		c = revocation.CutoffNow(realm, kind, in.ID, e.Time)
		c.Before = before
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["before"] = before.UTC().Format(time.RFC3339Nano)
		if err := tx.PutCutoff(ctx, c); err != nil {
			return err
		}
		if disable {
			disabled, err := tx.DisableClient(ctx, realm, in.ID, e.Time)
			if err != nil {
				return err
			}
			if disabled {
				e.Detail["disabled"] = "true"
			}
		}
		return tx.AppendEvents(ctx, e)
	})
	return Revocation{Kind: in.Kind, ID: in.ID, Before: c.Before, ExpiresAt: c.ExpiresAt}, err
}

// PanicClient ends everything that was issued to a client until now, and disables it if it is registered;
// what actor's own token is of only when the order says so. Errors: panic_including_me.
func (s *Service) PanicClient(ctx context.Context, actor *gatehouse.Principal, realm, client string, in kernel.PanicOrder) (Revocation, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRevoke, policy.AdminToken, realm, client); err != nil {
		return Revocation{}, err
	}
	if err := in.Refuse(actor.Realm == realm && actor.ClientID == client); err != nil {
		return Revocation{}, err
	}
	out, err := s.revoke(ctx, actor, realm, NewRevocation{Kind: string(revocation.CutoffClient), ID: client}, true)
	if err == nil {
		kernel.Ask(ctx, peers.Question{Realm: realm, Kind: "client", ID: client, Client: client, Issued: out.Before.UnixMilli()})
	}
	return out, err
}
