package authorize

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/oauth/rar"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Clients finds registered clients. An unknown one is [gatehouse.NotFound].
type Clients interface {
	Client(ctx context.Context, realm, id string) (client.Client, error)
	// Keep stores a client that is known by a document alone, before it is given something: all nodes have to know it then.
	Keep(ctx context.Context, c client.Client) error
}

// Codes makes authorization codes, and records and remembers what people decide; *grant.Service does.
type Codes interface {
	Authorize(ctx context.Context, c grant.Code, w grant.Wish, how grant.Asking) (gatehouse.Secret, error)
	Consent(ctx context.Context, realm, user, client string) (grant.Consent, error)
	Deny(ctx context.Context, c grant.Code) error
	Audiences(realm gatehouse.Realm) []string
}

// Config is what a [Service] needs. Every field is required.
type Config struct {
	// Key binds what is added to a request here to that request: KeySize random bytes, the same on all nodes.
	Key     []byte
	Clients Clients
	Codes   Codes
	Devices Devices
	Issuer  func(realm string) string
	// Run keeps requests that clients push, Find reads one: invented ones must not cost a write. Box seals them.
	Run  gatehouse.Runner[Tx]
	Find func(ctx context.Context, kind once.Kind, key []byte) (once.Record, error)
	Box  *seal.Box
	Now  func() time.Time
	// Objects verifies what clients sign.
	Objects Objects
	// Keys verify what the realm signed.
	Keys func(realm string) token.KeySource
	// Listeners are the clients that were told of a session, and want to be told of its end, as they are stored: nobody's document is
	// fetched while a person signs out.
	Listeners func(ctx context.Context, realm, session string) ([]client.Client, error)
	// Signer signs answers by an algorithm.
	Signer func(ctx context.Context, realm string, alg token.Algorithm) (*token.Key, error)
}

// Service judges and answers authorization requests.
type Service struct {
	c       Config
	details rar.Reader
}

// New checks c and returns the service.
func New(c Config) (*Service, error) {
	if c.Clients == nil || c.Codes == nil || c.Devices == nil || c.Issuer == nil || len(c.Key) != KeySize || c.Run == nil || c.Find == nil || c.Box == nil || c.Now == nil || c.Objects == nil || c.Keys == nil || c.Signer == nil || c.Listeners == nil {
		return nil, errors.New("oauth/authorize: Clients, Codes, Devices, Issuer, a Key, Run, Find, Box, Now, Objects, Keys, Signer and Listeners are required")
	}
	return &Service{c: c}, nil
}

// Request is what a client asks for, found good.
type Request struct {
	Client      client.Client
	RedirectURI string   // where the browser will be sent
	Scopes      []string // what it will have, in the order in which it asked
	Resources   []string // for whom its tokens shall be (RFC 8707); none: the realm's default

	Details gatehouse.Details // what it will have beyond scopes (RFC 9396)

	audience  string // that default
	realm     gatehouse.Realm
	issuer    string
	key       []byte
	named     bool // the redirect URI, by the request
	mode      string
	state     string
	challenge string
	nonce     string
	asked     openid.Asked
	prompt    []string
	maxAge    time.Duration
	hasMaxAge bool
	after     time.Time
	query     url.Values // as it stands in the address
	values    url.Values // what counts: the same, or what the client pushed
	pushed    []byte     // key of that; nil for a request that came in the address
	signed    bool       // the client signed it (RFC 9101)
	jkt       string     // of the key that the code will be bound to
}

// Need is what has to happen before a request is answered.
type Need int

// What a person has to do. The zero value gives nobody anything.
const (
	SignIn      Need = iota
	SignInAgain      // prove anew who it is (OpenID Connect Core §3.1.2.1: prompt, max_age)
	Consent          // say whether the client may
	Nothing
)

// Next says what who, nil for nobody, has to do. Where the client wants nobody to be asked (prompt=none), that is an answer.
func (s *Service) Next(ctx context.Context, r *Request, who *gatehouse.Principal, now time.Time) (Need, *Refusal, error) {
	need, refused := Nothing, ""
	switch {
	case who == nil:
		need, refused = SignIn, "login_required"
	case r.unmet(who) != "" && r.signedInFor(who): // and it is no more than that
		return SignInAgain, r.refusal(r.unmet(who), "The person signed in for this request, and is not the one, or not by the means, that it demands."), nil
	case r.proveAgain(who, now):
		need, refused = SignInAgain, "login_required"
	default:
		asks, err := s.asks(ctx, r, who, now)
		if err != nil {
			return SignIn, nil, err
		}
		if asks {
			need, refused = Consent, "consent_required"
		}
	}
	if need != Nothing && r.silent() {
		return need, r.refusal(refused, "The person would have to be asked, and prompt=none is set."), nil
	}
	return need, nil, nil
}

// proveAgain reports whether who signed in too long ago for the request.
func (r *Request) proveAgain(who *gatehouse.Principal, now time.Time) bool {
	if r.signedInFor(who) {
		return false
	}
	return r.unmet(who) != "" || r.below(who) || slices.Contains(r.prompt, "login") || slices.Contains(r.prompt, "select_account") ||
		r.hasMaxAge && now.Sub(who.AuthTime) >= r.maxAge
}

// signedInFor reports whether who signed in because r asked for that.
func (r *Request) signedInFor(who *gatehouse.Principal) bool {
	return !r.after.IsZero() && !who.AuthTime.Before(r.after)
}

func (r *Request) silent() bool { return slices.Contains(r.prompt, "none") }

// code is what who allows by r.
func (r *Request) code(who *gatehouse.Principal) grant.Code {
	return grant.Code{Realm: r.realm.Name, Client: r.Client.ID, RedirectURI: r.RedirectURI, Named: r.named, Challenge: r.challenge,
		Scopes: r.Scopes, Resources: r.Resources, Details: r.Details, User: who.ID, Username: who.Name, Session: who.SessionID, SessionEnds: who.ExpiresAt,
		AuthTime: who.AuthTime, AMR: who.AMR, ACR: who.ACR, Nonce: r.nonce, Claims: r.asked.Claims, JKT: r.jkt, Request: r.pushed}
}

// Allow gives the client what it asks for: nobody need be asked, or the person said so before. The code is in the answer.
func (s *Service) Allow(ctx context.Context, r *Request, who *gatehouse.Principal) (Answer, error) {
	how := grant.Remembered
	if r.spared() {
		how = grant.Spared
	}
	return s.give(ctx, r, who, r.code(who), r.wish(), how)
}

// give gives c, which answers r, to a person by a session.
func (s *Service) give(ctx context.Context, r *Request, who *gatehouse.Principal, c grant.Code, w grant.Wish, how grant.Asking) (Answer, error) {
	if !decides(who) || who.Realm != r.realm.Name {
		return Answer{}, gatehouse.ErrInternal // whoever calls has looked
	}
	if err := s.c.Clients.Keep(ctx, r.Client); err != nil {
		return Answer{}, err
	}
	code, err := s.c.Codes.Authorize(ctx, c, w, how)
	if err != nil {
		return Answer{}, err
	}
	return r.answer("code", code.Reveal()), nil
}

// Deny tells the client that the person does not allow it.
func (s *Service) Deny(ctx context.Context, r *Request, who *gatehouse.Principal) (Answer, error) {
	if err := s.c.Codes.Deny(ctx, r.code(who)); err != nil {
		return Answer{}, err
	}
	return r.refusal("access_denied", "The person said no.").Answer, nil
}
