package token

import (
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// What tokens are called that are exchanged (RFC 8693 §3).
const (
	typeAccess = "urn:ietf:params:oauth:token-type:access_token"
	typeID     = "urn:ietf:params:oauth:token-type:id_token"
)

var (
	errNoSubject  = gatehouse.E(gatehouse.Invalid, "subject_token_missing", "The parameters subject_token and subject_token_type are required, and actor_token and actor_token_type go together (RFC 8693 2.1).")
	errTokenType  = gatehouse.E(gatehouse.Invalid, "token_type_unsupported", "A subject_token_type is urn:ietf:params:oauth:token-type:access_token or urn:ietf:params:oauth:token-type:id_token here, an actor_token_type or requested_token_type the first.")
	errTwoTargets = gatehouse.E(gatehouse.Invalid, "exchange_two_targets", "A token is for one audience: resource and audience, where both are given, must be the same.")
	errActorGone  = gatehouse.E(gatehouse.Invalid, "actor_token_invalid", "The actor_token does not count here: it is unknown or has ended.")
)

// tokenExchange is a registered client with a token that it wants another one for (RFC 8693).
type tokenExchange struct{ h *Handler }

func (t *tokenExchange) client(x *request) error {
	return t.h.registered(x, client.GrantTokenExchange)
}

// read refuses what is incomplete, and tokens of kinds that are not exchanged. A logical name is the name of an audience here, as a resource is.
func (t *tokenExchange) read(x *request) error {
	p := x.params
	if p["subject_token"] == "" || p["subject_token_type"] == "" || (p["actor_token"] == "") != (p["actor_token_type"] == "") {
		return errNoSubject
	}
	if s := p["subject_token_type"]; s != typeAccess && s != typeID {
		return errTokenType
	}
	for _, name := range [...]string{"actor_token_type", "requested_token_type"} {
		if p[name] != "" && p[name] != typeAccess {
			return errTokenType
		}
	}
	if p["resource"] == "" {
		p["resource"] = p["audience"]
	}
	if p["audience"] != "" && p["audience"] != p["resource"] {
		return errTwoTargets
	}
	return nil
}

func (t *tokenExchange) issue(x *request) error {
	ctx := gatehouse.WithPrincipal(x.r.Context(), x.principal)
	e, err := t.shown(x)
	if err == nil {
		x.tokens, err = t.h.c.Grants.Exchange(ctx, x.order, e)
	}
	x.issued = typeAccess
	if gatehouse.KindOf(err) == gatehouse.Invalid {
		t.refused(x, err)
	}
	return t.h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
}

// shown verifies the tokens of x.
func (t *tokenExchange) shown(x *request) (e grant.Exchange, err error) {
	if e, err = t.subject(x); err != nil || x.params["actor_token"] == "" {
		return e, err
	}
	actor, err := t.inspect(x, "actor_token", errActorGone)
	e.Actor = actor.Principal
	return e, err
}

// subject verifies the token that is to be exchanged.
func (t *tokenExchange) subject(x *request) (e grant.Exchange, err error) {
	if x.params["subject_token_type"] == typeAccess {
		in, err := t.inspect(x, "subject_token", grant.ErrSubjectToken)
		return grant.Exchange{Subject: in.Principal, Audience: in.Audience, Ends: in.ExpiresAt}, err
	}
	c, err := t.h.c.IDToken(x.order.Realm, x.order.Client, x.params["subject_token"])
	if err != nil {
		return e, unless(err, grant.ErrSubjectToken)
	}
	return grant.Exchange{Subject: authn.FromClaims(x.order.Realm, c), Audience: c.Audience, Ends: c.ExpiresAt, IDToken: true}, nil
}

// inspect verifies the access token in a parameter. One that does not count is refused as wrong.
func (t *tokenExchange) inspect(x *request, name string, wrong *gatehouse.Error) (authn.Inspected, error) {
	in, err := t.h.c.Inspect(x.r.Context(), x.order.Realm, gatehouse.Secret(x.params[name]), address(x.r))
	if err != nil {
		return authn.Inspected{}, unless(err, wrong)
	}
	return in, nil
}

// unless is wrong, unless it could not be found out whether a token counts.
func unless(err error, wrong *gatehouse.Error) error {
	switch gatehouse.KindOf(err) {
	case gatehouse.Unauthenticated, gatehouse.Invalid, gatehouse.NotFound:
		return wrong.With(err)
	}
	return err
}

// refused records what a client asked for and did not get.
func (t *tokenExchange) refused(x *request, err error) {
	c := x.principal
	t.h.c.Clients.Record(&gatehouse.Event{Time: t.h.c.Clients.Now(), Realm: x.order.Realm, Kind: audit.KindTokenExchangeFailure, Outcome: gatehouse.OutcomeFailure,
		Reason: gatehouse.CodeOf(err), Actor: gatehouse.Actor{Kind: c.Kind, ID: c.ID, Name: c.Name, Credential: c.CredentialID},
		Target: gatehouse.Target{Type: "client", ID: c.ID}, RequestID: gatehouse.RequestIDFrom(x.r.Context()), Address: gatehouse.AddressFrom(x.r.Context()),
		Detail: map[string]string{"client_id": c.ID, "scopes": strings.Join(x.order.Scopes, " "), "resources": x.order.Resource}})
}
