package admin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

var (
	errTokenForm   = gatehouse.E(gatehouse.Unprocessable, "token_unreadable", "This is no signed token, opaque token or API key.")
	errNotOurs     = gatehouse.E(gatehouse.Unprocessable, "token_not_revocable", "Only tokens that this realm issued under a grant, and its API keys, can be revoked here.")
	errGrantGone   = gatehouse.E(gatehouse.NotFound, "grant_not_found", "There is no such grant in this realm.")
	errBackupNone  = gatehouse.E(gatehouse.Unprocessable, "backup_unsupported", "This database is backed up with its own tools.")
	errCutoffKind  = gatehouse.E(gatehouse.Unprocessable, "revocation_kind_unknown", "The kind is one of subject, client, session, key and realm, with an id for all but realm.")
	errCutoffAhead = gatehouse.E(gatehouse.Unprocessable, "revocation_in_future", "A cut-off cannot lie in the future: it would refuse tokens that do not exist yet.")
)

// InspectToken decodes a token without trusting it: nothing is verified, nothing
// looked up, and the answer says so.
func (s *Service) InspectToken(ctx context.Context, actor *gatehouse.Principal, realm string, text gatehouse.Secret) (TokenInspection, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminToken, realm, ""); err != nil {
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
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminToken, realm, ""); err != nil {
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
		Scopes: some(p.Scopes), GrantID: p.GrantID, TokenID: p.TokenID, IssuedAt: p.IssuedAt, ExpiresAt: p.ExpiresAt}, nil
}

func (s *Service) verified(ctx context.Context, realm string, text gatehouse.Secret) (*gatehouse.Principal, error) {
	p, err := s.c.Verify.VerifyToken(ctx, realm, text)
	if err == nil && (!p.Authenticated() || p.Realm != realm) {
		err = errTokenForm
	}
	return p, err
}

// RevokeToken ends what a token came from: its grant, or the API key itself. A
// token that is not valid any more needs no revoking, and is no error.
func (s *Service) RevokeToken(ctx context.Context, actor *gatehouse.Principal, realm string, text gatehouse.Secret) error {
	if err := s.authorize(ctx, actor, policy.AdminRevoke, policy.AdminToken, realm, ""); err != nil {
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
		_, err := s.RevokeKey(ctx, actor, realm, p.CredentialID)
		return err
	case p.GrantID == "" || p.Foreign:
		return errNotOurs
	}
	return s.endGrant(ctx, actor, realm, p.GrantID)
}

func (s *Service) endGrant(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	_, err := s.c.Grants.End(gatehouse.WithPrincipal(ctx, actor), realm, id, "ended_by_administrator")
	return orMissing(err, errGrantGone)
}

// Grants lists the logins of a realm, or of one user (id, username, "me").
func (s *Service) Grants(ctx context.Context, actor *gatehouse.Principal, realm, user, after string, limit int) (Page[Grant], error) {
	if user != "" {
		user = s.resolve(ctx, actor, realm, user)
	}
	if err := s.authorizeOwn(ctx, actor, policy.AdminRead, policy.AdminGrants, realm, user, user); err != nil {
		return Page[Grant]{}, err
	}
	limit = limitOf(limit)
	list, err := s.c.Grants.List(ctx, realm, user, after, limit+1)
	if err != nil {
		return Page[Grant]{}, err
	}
	if len(list) == 0 && user != "" {
		if _, err := findUser(ctx, s.c.Store, realm, user); err != nil {
			return Page[Grant]{}, err
		}
	}
	same := func(g Grant) Grant { return g }
	return paged(list, limit, func(g Grant) string { return g.ID }, same), nil
}

// EndGrant ends one login with all its tokens.
func (s *Service) EndGrant(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	if err := s.authorize(ctx, actor, policy.AdminRevoke, policy.AdminGrants, realm, id); err != nil {
		return err
	}
	return s.endGrant(ctx, actor, realm, id)
}

// Revoke sets a cut-off: nothing that was issued until then for the subject,
// client, session, signing key or realm is valid any more.
func (s *Service) Revoke(ctx context.Context, actor *gatehouse.Principal, realm string, in NewRevocation) (Revocation, error) {
	if err := s.authorize(ctx, actor, policy.AdminRevoke, policy.AdminToken, realm, in.ID); err != nil {
		return Revocation{}, err
	}
	kind := revocation.CutoffKind(in.Kind)
	switch kind {
	case revocation.CutoffSubject, revocation.CutoffClient, revocation.CutoffSession, revocation.CutoffKey, revocation.CutoffRealm:
	default:
		return Revocation{}, errCutoffKind
	}
	if (kind == revocation.CutoffRealm) != (in.ID == "") || in.ID != "" && !nameForm(in.ID) {
		return Revocation{}, errCutoffKind
	}
	var c revocation.Cutoff
	err := s.c.Revoke(ctx, func(ctx context.Context, tx RevokeTx) error {
		rl, err := readRealm(ctx, tx, realm)
		if err != nil {
			return err
		}
		e := s.event(ctx, actor, realm, audit.KindCutoffSet, in.Kind, in.ID)
		before := in.Before
		if before.IsZero() {
			before = e.Time
		}
		if before.After(e.Time) {
			return errCutoffAhead
		}
		c = cutoff(rl, kind, in.ID, e.Time)
		c.Before = before
		e.Detail = changes(e.Detail)
		e.Detail["before"] = before.UTC().Format(time.RFC3339Nano)
		if err := tx.PutCutoff(ctx, c); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	return Revocation{Kind: in.Kind, ID: in.ID, Before: c.Before, ExpiresAt: c.ExpiresAt}, err
}

func signingKeyView(k keyring.Info) SigningKey {
	return SigningKey{KID: k.KID, Algorithm: k.Algorithm, State: string(k.State), CreatedAt: k.CreatedAt,
		ActivatedAt: k.ActivatedAt, RetiredAt: k.RetiredAt}
}

// SigningKeys lists a realm's signing keys.
func (s *Service) SigningKeys(ctx context.Context, actor *gatehouse.Principal, realm string) ([]SigningKey, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminSigningKey, realm, ""); err != nil {
		return nil, err
	}
	list, err := s.c.Signing.List(ctx, realm)
	if err != nil {
		return nil, orMissing(err, gatehouse.ErrRealmNotFound)
	}
	out := make([]SigningKey, 0, len(list))
	for _, k := range list {
		out = append(out, signingKeyView(k))
	}
	return out, nil
}

func (s *Service) keyCommand(ctx context.Context, actor *gatehouse.Principal, realm, kid string, now bool) keyring.Command {
	e := s.event(ctx, actor, realm, "", "", "")
	return keyring.Command{Realm: realm, KID: kid, Actor: e.Actor, RequestID: e.RequestID, Now: now}
}

// RotateSigningKey publishes a new key that takes over after the propagation
// time, or at once.
func (s *Service) RotateSigningKey(ctx context.Context, actor *gatehouse.Principal, realm string, now bool) (kid string, err error) {
	if err := s.authorize(ctx, actor, policy.AdminWrite, policy.AdminSigningKey, realm, ""); err != nil {
		return "", err
	}
	kid, err = s.c.Signing.Rotate(ctx, s.keyCommand(ctx, actor, realm, "", now))
	return kid, err
}

// RetireSigningKey stops signing with a key; its tokens live until they expire.
func (s *Service) RetireSigningKey(ctx context.Context, actor *gatehouse.Principal, realm, kid string) error {
	if err := s.authorize(ctx, actor, policy.AdminWrite, policy.AdminSigningKey, realm, kid); err != nil {
		return err
	}
	return s.c.Signing.Retire(ctx, s.keyCommand(ctx, actor, realm, kid, false))
}

// RemoveSigningKey removes a key at once: every token that it signed is refused.
func (s *Service) RemoveSigningKey(ctx context.Context, actor *gatehouse.Principal, realm, kid string) error {
	if err := s.authorize(ctx, actor, policy.AdminManage, policy.AdminSigningKey, realm, kid); err != nil {
		return err
	}
	return s.c.Signing.Remove(ctx, s.keyCommand(ctx, actor, realm, kid, true))
}

// Me tells the caller who he is. Every verified credential may ask.
func (s *Service) Me(ctx context.Context, actor *gatehouse.Principal) (Me, error) {
	if !actor.Authenticated() {
		return Me{}, authn.ErrNone
	}
	roles, err := s.c.Roles(ctx, actor)
	if err != nil {
		return Me{}, err
	}
	return Me{Realm: actor.Realm, ID: actor.ID, Kind: string(actor.Kind), Name: actor.Name, Scheme: string(actor.Scheme),
		Scopes: some(actor.Scopes), Roles: some(roles), CredentialID: actor.CredentialID, GrantID: actor.GrantID,
		ACR: actor.ACR, AMR: some(actor.AMR), AuthTime: actor.AuthTime, ExpiresAt: actor.ExpiresAt}, nil
}

// maxTried bounds the documents that one question may bring.
const maxTried = 20

// Decide answers what a user of the realm may do, with the reasons, as if he had
// asked with a credential of his own that carries all scopes.
func (s *Service) Decide(ctx context.Context, actor *gatehouse.Principal, realm string, q Question) (Answer, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminDecision, realm, ""); err != nil {
		return Answer{}, err
	}
	f := faults{}
	f.text("action", q.Action, true)
	f.text("resource.type", q.Resource.Type, true)
	f.text("resource.id", q.Resource.ID, true)
	simulated := f.simulated("context", q.Context)
	if len(q.Policies) > maxTried {
		f.add("policies", "has more than %d entries", maxTried)
	}
	if err := f.err(); err != nil {
		return Answer{}, err
	}
	p := &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindAnonymous}
	if q.Principal != "" {
		u, err := findUser(ctx, s.c.Store, realm, q.Principal)
		if err != nil {
			return Answer{}, err
		}
		p = &gatehouse.Principal{Realm: realm, Kind: u.Kind, ID: u.ID, Name: u.Username, Scopes: []string{gatehouse.ScopeAll}}
	}
	r := gatehouse.Resource{Type: q.Resource.Type, ID: q.Resource.ID, Attributes: q.Resource.Attributes}
	for _, parent := range q.Resource.Parents {
		r.Parents = append(r.Parents, gatehouse.EntityRef(parent))
	}
	// The question is about a request of the principal: nothing of the one that asks
	// may count, its address least of all.
	about := gatehouse.WithRequest(ctx, gatehouse.RequestFacts{ID: gatehouse.RequestIDFrom(ctx)})
	tried := make([]policy.Document, 0, len(q.Policies))
	for _, id := range slices.Sorted(maps.Keys(q.Policies)) {
		tried = append(tried, policy.Document{Realm: realm, ID: id, Text: q.Policies[id]})
	}
	x, err := s.c.Explain(about, gatehouse.AccessRequest{Principal: p, Action: q.Action, Resource: r, Simulated: simulated}, tried...)
	if err != nil {
		return Answer{}, err
	}
	d := x.Decision
	return Answer{Allowed: d.Allowed, Code: d.Code, Reasons: some(d.Reasons), Errors: some(d.Errors), Missing: some(d.Missing),
		Considered: x.Considered, Total: x.Total, Policies: some(x.Policies)}, nil
}

// simulated reads facts that somebody wrote for a question to the decision point.
// A name that is no fact is refused: ignored, it would make the answer wrong.
func (f faults) simulated(at string, given map[string]any) map[string]any {
	var out map[string]any
	for name, v := range given {
		fact, known := policy.FindFact(name)
		if !known {
			var names []string
			for _, k := range policy.Facts() {
				names = append(names, k.Name)
			}
			f.add(at, "has a member that is no fact of a request; the facts are %s", strings.Join(names, ", "))
			continue
		}
		x, err := fact.Parse(v)
		if err != nil {
			f.add(at+"."+name, "%s", err)
			continue
		}
		if out == nil {
			out = make(map[string]any, len(given))
		}
		out[name] = x
	}
	return out
}

// Backup copies the database while it runs. The server chooses where: a path from
// outside would be a way to write anywhere.
func (s *Service) Backup(ctx context.Context, actor *gatehouse.Principal) (Backup, error) {
	if err := s.authorize(ctx, actor, policy.AdminManage, policy.AdminBackup, gatehouse.MainRealm, ""); err != nil {
		return Backup{}, err
	}
	if s.c.Backup == nil {
		return Backup{}, errBackupNone
	}
	name, size, err := s.c.Backup(ctx)
	if err != nil {
		return Backup{}, err
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	err = s.c.Revoke(ctx, func(ctx context.Context, tx RevokeTx) error {
		return tx.AppendEvents(ctx, s.event(ctx, actor, gatehouse.MainRealm, audit.KindBackupCreate, "backup", base))
	})
	return Backup{Name: name, Size: size}, err
}
