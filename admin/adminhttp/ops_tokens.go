package adminhttp

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// TokenInput is a token in a body, never in a path or query.
type TokenInput struct {
	RealmPath
	Body admin.TokenText
}

func (a *api) tokens() {
	s := a.c.Service
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/tokens/inspect", id: "inspect-token", tag: "tokens",
		summary: "Decode a token; nothing is verified"},
		func(ctx context.Context, actor *gatehouse.Principal, in *TokenInput) (*out[admin.TokenInspection], error) {
			return answer(s.InspectToken(ctx, actor, in.Realm, in.Body.Token))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/tokens/verify", id: "verify-token", tag: "tokens",
		summary: "Check a token or key as a request with it would be"},
		func(ctx context.Context, actor *gatehouse.Principal, in *TokenInput) (*out[admin.TokenVerification], error) {
			return answer(s.VerifyToken(ctx, actor, in.Realm, in.Body.Token))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/tokens/revoke", id: "revoke-token", tag: "tokens", conflicts: true,
		summary: "End the grant that a token came from, or an API key"},
		func(ctx context.Context, actor *gatehouse.Principal, in *TokenInput) (*none, error) {
			return &none{}, s.RevokeToken(ctx, actor, in.Realm, in.Body.Token)
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/revocations", id: "revoke", tag: "tokens", status: http.StatusCreated, conflicts: true,
		summary: "Set a cut-off: nothing issued until then is valid any more"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body admin.NewRevocation
		}) (*out[admin.Revocation], error) {
			return answer(s.Revoke(ctx, actor, in.Realm, in.Body))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/grants", id: "list-grants", tag: "tokens", summary: "Logins of a realm"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Paging
		}) (*out[admin.Page[admin.Grant]], error) {
			return answer(s.Grants(ctx, actor, in.Realm, "", in.After, in.Limit))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/grants/{grant}/end", id: "end-grant", tag: "tokens", conflicts: true,
		summary: "End one login with all its tokens"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Grant string `path:"grant" maxLength:"64" doc:"Grant id"`
		}) (*none, error) {
			return &none{}, s.EndGrant(ctx, actor, in.Realm, in.Grant)
		})
	a.signingKeys()
}

type KIDPath struct {
	RealmPath
	KID string `path:"kid" maxLength:"128" doc:"Key id"`
}

func (a *api) signingKeys() {
	s := a.c.Service
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/signing-keys", id: "list-signing-keys", tag: "signing keys", summary: "Signing keys, without private halves"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RealmPath) (*out[admin.List[admin.SigningKey]], error) {
			items, err := s.SigningKeys(ctx, actor, in.Realm)
			return answer(admin.List[admin.SigningKey]{Items: items}, err)
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/signing-keys/rotate", id: "rotate-signing-key", tag: "signing keys", status: http.StatusCreated, conflicts: true,
		summary: "Publish a new key, which takes over once verifiers know it"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body *admin.SigningKeyRotation
		}) (*out[admin.SigningKeyRotated], error) {
			kid, err := s.RotateSigningKey(ctx, actor, in.Realm, given(in.Body).Now)
			return answer(admin.SigningKeyRotated{KID: kid}, err)
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/signing-keys/{kid}/retire", id: "retire-signing-key", tag: "signing keys", conflicts: true,
		summary: "Sign no more with a key; its tokens live until they expire"},
		func(ctx context.Context, actor *gatehouse.Principal, in *KIDPath) (*none, error) {
			return &none{}, s.RetireSigningKey(ctx, actor, in.Realm, in.KID)
		})
	handle(a, operation{method: http.MethodDelete, path: "/realms/{realm}/signing-keys/{kid}", id: "remove-signing-key", tag: "signing keys", conflicts: true,
		summary: "Remove a key; every token that it signed is refused at once"},
		func(ctx context.Context, actor *gatehouse.Principal, in *KIDPath) (*none, error) {
			return &none{}, s.RemoveSigningKey(ctx, actor, in.Realm, in.KID)
		})
}

func (a *api) audits() {
	s := a.c.Service
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/audit/events", id: "list-events", tag: "audit", summary: "Recorded events, newest first"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Kind    string    `query:"kind" maxLength:"64" doc:"Exact kind, or a prefix that ends in a dot"`
			Actor   string    `query:"actor" maxLength:"128" doc:"Id of who did it"`
			Target  string    `query:"target" maxLength:"256" doc:"Id of what it was done to"`
			Outcome string    `query:"outcome" enum:"success,failure,error"`
			From    time.Time `query:"from" doc:"Not before"`
			To      time.Time `query:"to" doc:"Not after"`
			Oldest  bool      `query:"oldest_first" doc:"Oldest first"`
			After   string    `query:"after" maxLength:"64" doc:"next of the page before"`
			Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		}) (*out[admin.Page[audit.Entry]], error) {
			return answer(s.Events(ctx, actor, in.Realm, audit.Query{Kind: in.Kind, ActorID: in.Actor, TargetID: in.Target,
				Outcome: gatehouse.Outcome(in.Outcome), From: in.From, To: in.To, OldestFirst: in.Oldest, Cursor: in.After, Limit: in.Limit}))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/audit/checkpoint", id: "get-checkpoint", tag: "audit", summary: "The newest signed checkpoint, to be kept elsewhere"},
		func(ctx context.Context, actor *gatehouse.Principal, in *RealmPath) (*out[admin.Checkpoint], error) {
			note, err := s.Checkpoint(ctx, actor, in.Realm)
			return answer(admin.Checkpoint{Note: string(note)}, err)
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/audit/proof", id: "get-proof", tag: "audit", summary: "Proof that one event is in the log"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Index int64 `query:"index" required:"true" minimum:"0" doc:"Index of the event"`
		}) (*out[audit.Inclusion], error) {
			return answer(s.Proof(ctx, actor, in.Realm, in.Index))
		})
	handle(a, operation{method: http.MethodPost, path: "/realms/{realm}/audit/verify", id: "verify-log", tag: "audit", maxBody: maxBody,
		summary: "Recompute the log and compare it with everything stored and saved"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Body *admin.LogVerification
		}) (*out[admin.LogReport], error) {
			return answer(s.VerifyLog(ctx, actor, in.Realm, given(in.Body)))
		})
	handle(a, operation{method: http.MethodGet, path: "/realms/{realm}/explain/{request}", id: "explain", tag: "audit",
		summary: "The chain from credential to rule of one request"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			RealmPath
			Request string `path:"request" maxLength:"64" doc:"Request id"`
		}) (*out[admin.Explanation], error) {
			return answer(s.Explain(ctx, actor, in.Realm, in.Request))
		})
}
