package grant

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// maxActors bounds the chain of those who act for one another: as long as one is, it is in every token.
const maxActors = 4

// Exchange is what a client shows for another token (RFC 8693 §2.1). All of it was verified.
type Exchange struct {
	// Subject is what the token says that is exchanged: whom it speaks for, its grant and scopes, and what it is bound to.
	Subject *gatehouse.Principal
	// Audience is whom that is for, and Ends when it ends.
	Audience []string
	Ends     time.Time
	// IDToken: it is an ID token of the client that shows it, and not an access token.
	IDToken bool
	// Actor is who acts, by a token of the client's own; nil: the client itself.
	Actor *gatehouse.Principal
}

// ErrSubjectToken refuses what is to be exchanged; whoever shows it is not told why (RFC 8693 §2.2.2).
var ErrSubjectToken = gatehouse.E(gatehouse.Invalid, "subject_token_invalid", "The subject_token does not count here: it is unknown or has ended, or there is no person behind it, or it was issued neither to this client nor for an API that this client is.")

var (
	errExchange   = gatehouse.E(gatehouse.Invalid, "exchange_not_allowed", "No rule of this client's registration (token_exchange) lets it exchange a token of this client and this type.")
	errMayAct     = gatehouse.E(gatehouse.Invalid, "actor_not_allowed", "The subject_token says who may act by it (may_act), and that is somebody else.")
	errActorToken = gatehouse.E(gatehouse.Invalid, "actor_token_not_own", "The actor_token was issued to another client, was exchanged itself, or is bound to another key than that of the proof.")
	errActors     = gatehouse.E(gatehouse.Invalid, "actor_chain_too_long", "More than four would act for one another by this token.")
	errLoosened   = gatehouse.E(gatehouse.Invalid, "exchange_needs_proof", "The subject_token is bound to a key, so the request needs a DPoP proof: by that key where the token was issued to this client, else by one of its own.")
)

// Exchange gives a token for one that a client has (RFC 8693), by a rule of the client's registration. It is never worth more: its scopes are
// those of the token, of the client and of the rule, it ends no later, and with the grant that the token is of. By it the client acts for the
// person, and it says so, unless the rule has it otherwise.
func (s *Service) Exchange(ctx context.Context, o Order, e Exchange) (Tokens, error) {
	if !e.Subject.Authenticated() || e.Subject.Foreign || e.Subject.Realm != o.Realm || o.By == nil {
		return Tokens{}, ErrSubjectToken
	}
	t, err := s.run(ctx, o, &exchange{s: s, e: e})
	if err == error(errInvalidGrant) {
		err = ErrSubjectToken
	}
	return t, err
}

// exchange is the kind of grant that begins with a token of another one.
type exchange struct {
	s *Service
	e Exchange
}

func (k *exchange) who() string  { return k.e.Subject.ID }
func (k *exchange) begins() bool { return true }

// origin judges the token by its grant as that is now, and by the registration of the client as that is now.
func (k *exchange) origin(ctx context.Context, tx Tx, i *issue) error {
	e, m := k.e, i.client.Metadata
	parent, err := tx.Grant(ctx, i.realm.Name, e.Subject.GrantID)
	if errors.Is(err, gatehouse.NotFound) {
		return ErrSubjectToken
	}
	if err != nil {
		return err
	}
	own := parent.ClientID == i.order.Client
	addressed := own || !e.IDToken && slices.ContainsFunc(e.Audience, m.Serves) // or every API could act by what it is shown
	if !addressed || parent.Subject != e.Subject.ID || parent.OfClient() || !parent.EndedAt.IsZero() || !i.now.Before(parent.ExpiresAt) || !i.now.Before(e.Ends) {
		return ErrSubjectToken
	}
	rule, ok, known := m.Exchange(parent.ClientID, e.IDToken, i.order.Resource)
	switch {
	case !known:
		return errExchange
	case !ok:
		return errInvalidTarget
	}
	if err := k.proven(i, own); err != nil {
		return err
	}
	if err := k.actor(ctx, tx, i); err != nil {
		return err
	}
	act, err := k.act(i, parent, rule)
	if err != nil {
		return err
	}
	if i.audiences = both(rule.Audiences, k.s.Audiences(i.realm)); len(i.audiences) == 0 {
		return errInvalidTarget
	}
	if i.cutOff, err = tx.CutOff(ctx, i.realm.Name, parent.Subject, parent.ClientID, parent.SessionID); err != nil {
		return err
	}
	i.available = k.scopes(i, parent, rule)
	i.kind = audit.KindTokenExchange
	i.grant = gatehouse.Grant{
		ID: gatehouse.NewID("grt", i.now), Realm: i.realm.Name, Subject: parent.Subject, ClientID: i.order.Client, SessionID: parent.SessionID,
		AuthTime: parent.AuthTime, AMR: parent.AMR, ACR: parent.ACR,
		CreatedAt: parent.CreatedAt, // what ends tokens of that ends these
		ExpiresAt: earlier(earlier(e.Ends, parent.ExpiresAt), i.now.Add(i.realm.Settings.Defaults().AccessTokenTTL)),
		Parent:    parent.ID, Act: act, MayAct: rule.MayAct,
	}
	i.grant.StatusList, i.grant.StatusIdx = k.s.c.NewStatus(i.grant.ExpiresAt)
	return nil
}

// proven refuses to make of a bound token one that is bound to nothing. Who was given it has its key; an API that was called by it cannot,
// and binds what it gets to its own.
func (k *exchange) proven(i *issue, own bool) error {
	bound, proven := k.e.Subject.Confirmation, i.order.Confirmation
	if bound.Bound() && (!proven.Bound() || own && proven != bound) {
		return errLoosened
	}
	return nil
}

// scopes are what the token may have at most: of the token that is exchanged, of the client, and of the rule.
func (k *exchange) scopes(i *issue, parent gatehouse.Grant, rule client.Exchange) []string {
	may := both(rule.Scopes(), i.client.Metadata.OwnScopes(i.realm.Settings))
	have := k.e.Subject.Scopes
	if k.e.IDToken { // which has none of its own
		have = parent.Scopes
	}
	if !slices.Contains(have, gatehouse.ScopeAll) {
		may = both(may, have)
	}
	return slices.DeleteFunc(may, client.IsPersonal) // what says something of a person is the first client's to know
}

// actor judges the token of who acts by its grant as that is now, as that of the subject is: a checker elsewhere may not have heard of its end.
func (k *exchange) actor(ctx context.Context, tx Tx, i *issue) error {
	a := k.e.Actor
	if a == nil {
		return nil
	}
	g, err := tx.Grant(ctx, i.realm.Name, a.GrantID)
	if errors.Is(err, gatehouse.NotFound) {
		return errActorToken
	}
	if err != nil {
		return err
	}
	cut, err := tx.CutOff(ctx, i.realm.Name, g.Subject, g.ClientID, g.SessionID)
	if err != nil {
		return err
	}
	if g.Subject != a.ID || !g.EndedAt.IsZero() || !i.now.Before(g.ExpiresAt) || !cut.IsZero() && a.IssuedAt.UnixMilli() <= cut.UnixMilli() {
		return errActorToken
	}
	return nil
}

// act is who acts by the token. Who acted before stays in it, also where the rule leaves the client out.
func (k *exchange) act(i *issue, parent gatehouse.Grant, rule client.Exchange) (*gatehouse.Act, error) {
	actor := i.order.Client
	if a := k.e.Actor; a != nil {
		if a.Realm != i.realm.Name || a.ClientID != i.order.Client || a.Act != nil || a.Confirmation.Bound() && a.Confirmation != i.order.Confirmation {
			return nil, errActorToken
		}
		actor = a.ID
	}
	if parent.MayAct != "" && parent.MayAct != actor {
		return nil, errMayAct
	}
	act := parent.Act
	if !rule.Impersonate || k.e.Actor != nil {
		act = &gatehouse.Act{Subject: actor, Act: parent.Act}
	}
	if len(act.Subjects()) > maxActors {
		return nil, errActors
	}
	return act, nil
}

func (k *exchange) issue(ctx context.Context, tx Tx, i *issue) error {
	i.grant.Scopes, i.grant.Audience = i.scopes, []string{i.audience}
	i.detail = map[string]string{"exchanged": i.grant.Parent, "actors": strings.Join(i.grant.Act.Subjects(), " "), "scopes": strings.Join(i.scopes, " "), "resources": i.audience}
	err := k.s.store(ctx, tx, i, Issued{Grant: &i.grant})
	if errors.Is(err, gatehouse.Conflict) {
		return errStatusTaken
	}
	return err
}
