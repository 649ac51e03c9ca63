package grant

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// CodeLife is how long an authorization code can be redeemed: the client does it at once (RFC 6749 §4.1.2).
const CodeLife = time.Minute

// keepUsed is for how long a code that was redeemed is known as one.
const keepUsed = time.Hour

// Code is what an authorization code stands for (RFC 6749 §4.1.2): what a person allowed, and all that it is bound to.
type Code struct {
	Realm       string            `json:"r"`
	Client      string            `json:"c"`
	RedirectURI string            `json:"u"`           // where the browser was sent with it
	Named       bool              `json:"n,omitempty"` // by the request, and not by the registration alone
	Challenge   string            `json:"p,omitempty"` // S256 (RFC 7636 §4.2); "" where the client need not have one
	Scopes      []string          `json:"s,omitempty"`
	Details     gatehouse.Details `json:"x,omitempty"` // RFC 9396
	Resources   []string          `json:"a,omitempty"` // RFC 8707; none: the realm's default
	User        string            `json:"w"`
	Username    string            `json:"-"` // for the record
	Session     string            `json:"i"`
	SessionEnds time.Time         `json:"e"`
	AuthTime    time.Time         `json:"t"`
	AMR         []string          `json:"m,omitempty"`
	ACR         string            `json:"l,omitempty"`
	Nonce       string            `json:"o,omitempty"` // of OpenID Connect
	JKT         string            `json:"k,omitempty"` // thumbprint of the one key by which it can be redeemed (RFC 9449 §10); "" for any
	Request     []byte            `json:"-"`           // key of the pushed request that it answers, which that uses up (RFC 9126 §4)
	// Claims are those that the client asked for one by one.
	Claims   gatehouse.Claims `json:"q,omitzero"`
	IssuedAt time.Time        `json:"b"`
	// Consent is the one by which it is given.
	Consent string `json:"f"`
}

// spent is a code that was redeemed, with the grant that it gave.
type spent struct {
	Code
	Grant  string    `json:"g"`
	Denied bool      `json:"d,omitempty"` // to a device: the person said no
	ends   time.Time // until when it can be redeemed
}

// way is how what a person allowed gets to the client: by the browser, or because the client asks.
type way struct {
	unused, used once.Kind
	grantType    string
	prefix       string    // of what the client shows
	waits        once.Kind // while the person has not decided; "" where a browser brings the answer
	// proven: nobody shows it but the client that it was given to, which has proved itself. Who shows it again has lost an answer, or asks
	// twice at once, and what it gave stays.
	proven bool
}

func byBrowser() way {
	return way{unused: once.KindCode, used: once.KindSpentCode, grantType: client.GrantAuthorizationCode, prefix: credential.PrefixCode}
}

func byDevice() way {
	return way{unused: once.KindDeviceAnswer, used: once.KindSpentDevice, grantType: client.GrantDeviceCode, prefix: credential.PrefixDevice, waits: once.KindDevice}
}

func byAsking() way {
	return way{unused: once.KindBackchannelAnswer, used: once.KindSpentBackchannel, grantType: client.GrantBackchannel, prefix: credential.PrefixAsked,
		waits: once.KindBackchannel, proven: true}
}

// denied is what a client is told whose person said no.
func (w way) denied() error {
	if w == byDevice() {
		return errDenied
	}
	return errPersonDenied
}

var (
	errVerifier = gatehouse.E(gatehouse.Invalid, "code_verifier_wrong", "The code_verifier is not the one of the code_challenge of the authorization request: it is another one, is missing, or is there although no challenge was.")
	errCodeKey  = gatehouse.E(gatehouse.Invalid, "code_key_mismatch", "The code was asked for with a key (dpop_jkt, or a DPoP proof with the pushed request), and is redeemed without a DPoP proof by that key.")
	errRedirect = gatehouse.E(gatehouse.Invalid, "redirect_uri_mismatch", "The redirect_uri is not the one of the authorization request, which has to be repeated.")
)

// ErrRequestOver refuses a request that a client pushed (RFC 9126) and that counts no more.
var ErrRequestOver = gatehouse.E(gatehouse.Invalid, "request_over", "The request of the program that sent you here is not known here any more: it was answered, or it took too long. Go back to the program, and begin there again.")

// codePlace binds what is sealed of a code to the code itself.
func codePlace(kind once.Kind, key []byte) seal.Place {
	return seal.Place{Purpose: "authorization code, " + string(kind), ID: hex.EncodeToString(key)}
}

// Authorize makes the code that lets a client have what c says, once, of what it wished, and records that the person allowed it,
// and remembers it. An answer of before has to cover the wish as it is now.
func (s *Service) Authorize(ctx context.Context, c Code, w Wish, how Asking) (gatehouse.Secret, error) {
	now := s.c.Now()
	c.IssuedAt = now
	m := mint(credential.PrefixCode)
	return m.text, s.c.Run(ctx, func(ctx context.Context, tx Tx) (err error) {
		if err := c.answers(ctx, tx, now); err != nil {
			return err
		}
		c := c
		if c.Consent, err = c.consents(ctx, tx, w, how, now); err != nil {
			return err
		}
		record, err := s.sealed(once.KindCode, m.hash, now.Add(CodeLife), c)
		if err == nil {
			err = tx.PutOnce(ctx, record)
		}
		if err != nil {
			return err
		}
		e := c.event(ctx, now, audit.KindAuthorizationGrant)
		e.Detail["consent"] = askings[how]
		return tx.AppendEvents(ctx, e)
	})
}

// Deny records that the person did not allow what c says.
func (s *Service) Deny(ctx context.Context, c Code) error {
	now := s.c.Now()
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := c.answers(ctx, tx, now); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, c.event(ctx, now, audit.KindAuthorizationDeny))
	})
}

// answers uses up the request that c answers, where it was pushed: of all answers to one, one is given.
func (c Code) answers(ctx context.Context, tx Tx, now time.Time) error {
	if len(c.Request) == 0 {
		return nil
	}
	_, err := tx.TakeOnce(ctx, once.KindRequest, c.Request, now)
	if errors.Is(err, gatehouse.NotFound) {
		return ErrRequestOver
	}
	return err
}

// event is what a person decided about a client.
func (c Code) event(ctx context.Context, now time.Time, kind string) gatehouse.Event {
	return gatehouse.Event{
		Time: now, Realm: c.Realm, Kind: kind,
		Actor:  gatehouse.Actor{Kind: gatehouse.KindUser, ID: c.User, Name: c.Username, Credential: c.Session, Scheme: gatehouse.SchemeSession},
		Target: gatehouse.Target{Type: "client", ID: c.Client}, Outcome: gatehouse.OutcomeSuccess,
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx),
		Detail: map[string]string{"subject": c.User, "client_id": c.Client, "scopes": strings.Join(c.Scopes, " "), "resources": strings.Join(c.Resources, " ")},
	}
}

func (s *Service) sealed(kind once.Kind, key []byte, ends time.Time, value any) (once.Record, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return once.Record{}, err
	}
	blob, err := s.c.Box.Seal(plain, codePlace(kind, key))
	return once.Record{Kind: kind, Key: key, Sealed: blob, ExpiresAt: ends}, err
}

// finder is [Config.Find], or the same inside a transaction.
type finder func(context.Context, once.Kind, []byte) (once.Record, error)

// find reads a code by its hash, or what is left of one that was redeemed: then its grant is set.
func (s *Service) find(ctx context.Context, find finder, w way, key []byte) (c spent, err error) {
	for _, kind := range [...]once.Kind{w.unused, w.used} {
		r, err := find(ctx, kind, key)
		if errors.Is(err, gatehouse.NotFound) {
			continue
		}
		if err != nil {
			return c, err
		}
		plain, err := s.unsealed(r, key)
		if err == nil {
			err = json.Unmarshal(plain, &c)
		}
		c.ends = r.ExpiresAt
		return c, err
	}
	return c, errInvalidGrant
}

// unsealed is the value of what was put under a key.
func (s *Service) unsealed(r once.Record, key []byte) ([]byte, error) {
	return s.c.Box.Open(r.Sealed, codePlace(r.Kind, key))
}

// shownBy checks that whoever redeems a code is the one that it was given to, by what the code is bound to. Only then does
// it matter whether it was used: nobody ends what another has by a code that he could not have redeemed.
func (c Code) shownBy(o Order, r Redemption) error {
	switch {
	case c.Realm != o.Realm || c.Client != o.Client: // RFC 6749 §4.1.3: a code that was stolen for another client
		return errInvalidGrant
	case !verifies(c.Challenge, r.Verifier): // RFC 7636 §4.6, RFC 9700 §4.8
		return errVerifier
	case c.JKT != "" && c.JKT != o.Confirmation.JKT: // RFC 9449 §10: a thief has the code, and not the key
		return errCodeKey
	case r.RedirectURI != "" && r.RedirectURI != c.RedirectURI, // RFC 6749 §4.1.3
		r.RedirectURI == "" && c.Named && c.Challenge == "": // OAuth 2.1 leaves it out where PKCE does its work
		return errRedirect
	}
	return nil
}

// verifies reports whether verifier is that of a challenge by S256 (RFC 7636 §4.6). Without a challenge there must be none: a
// verifier says that the client sent one, and somebody took it out of the request (RFC 9700 §2.1.1).
func verifies(challenge string, verifier gatehouse.Secret) bool {
	if challenge == "" {
		return verifier == ""
	}
	text := verifier.Reveal()
	if len(text) < 43 || len(text) > 128 { // RFC 7636 §4.1
		return false
	}
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
