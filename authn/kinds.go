package authn

import (
	"context"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
)

// Record is what the public id of a credential names, and what ending it ends.
type Record uint8

const (
	RecordNone    Record = iota // it has no record of its own: a password
	RecordKey                   // an API key
	RecordGrant                 // the grant that a token comes from
	RecordSession               // a browser session
)

// Kind is one row of the table of credential kinds. Whoever needs to treat two
// kinds differently asks a column, never the name: a new kind is a row here, a
// verifier, and a place to be read from (see [Reader]).
type Kind struct {
	Scheme gatehouse.Scheme
	// Challenge is the auth-scheme (RFC 9110 §11.1) by which a 401 invites it.
	Challenge string
	// By are the places in a request where it may stand, where the route reads them.
	By Carrier
	// NeedsTLS: it lives long enough, or opens enough, that one request which others
	// could read exposes too much.
	NeedsTLS bool
	// Login: presenting it is a login. It carries all of the user's own authority,
	// and a failure says that name or password is wrong.
	Login bool
	// Named: a route takes it only where it says so by name: browsers add it to requests for
	// routes that were made with no browser in mind.
	Named bool
	// StandIn: it stands for another credential, whose kind is the one that counts. No
	// route lists it.
	StandIn bool
	Record  Record

	verify verifyFunc
}

// FromLogin reports whether somebody logged in for it: with it, or for the grant
// that it comes from. Keys are handed to programs and can leak from there.
func (k Kind) FromLogin() bool {
	return k.Login || k.Record == RecordGrant || k.Record == RecordSession
}

// accepted reports whether k is among schemes, which are all that need not be named when
// there are none.
func (k Kind) accepted(schemes []gatehouse.Scheme) bool {
	return len(schemes) == 0 && !k.Named || slices.Contains(schemes, k.Scheme)
}

// Carrier is a place in a request where a credential can stand, or a set of them.
type Carrier uint8

// The carriers.
const (
	ByBearer      Carrier = 1 << iota // Authorization: Bearer (RFC 6750 §2.1)
	ByBasic                           // Authorization: Basic (RFC 7617)
	ByKeyScheme                       // Authorization, after an auth-scheme that a route names for keys
	ByKeyField                        // a header field for keys: X-API-Key, or what a route names
	BySubprotocol                     // Sec-WebSocket-Protocol, after a name that a route chooses
	ByCookie                          // the cookie of a gateway host: a browser session and nothing else
	ByQuery                           // a query parameter that a route names: a one-time ticket and nothing else
	ByDPoP                            // Authorization: DPoP (RFC 9449 §7.1): a token that is bound to a key

	// ambient are those that browsers add unasked to every request for a host, so that
	// their presence shows no intent of the user (CSRF).
	ambient = ByBasic | ByCookie
)

// Ambient reports whether browsers may have added what was presented unasked. So it
// is of a credential whose place is not known.
func (p Presented) Ambient() bool { return !p.None() && (p.By == 0 || p.By&ambient != 0) }

// verifyFunc turns a presented credential of one kind into a principal. Its
// errors are precise; [Authenticator.Authenticate] makes them uniform.
type verifyFunc func(a *Authenticator, ctx context.Context, t *trust, p Presented, rule Rule) (*gatehouse.Principal, error)

// kinds is the table. Its order is that of challenges and of lists that are shown.
var kinds = [...]Kind{
	{Scheme: gatehouse.SchemeJWT, Challenge: challengeBearer, By: ByBearer | ByDPoP | BySubprotocol, Record: RecordGrant, verify: (*Authenticator).verifyJWT},
	{Scheme: gatehouse.SchemeAPIKey, Challenge: challengeBearer, By: ByBearer | ByBasic | ByKeyScheme | ByKeyField | BySubprotocol, Record: RecordKey,
		verify: (*Authenticator).verifyKey},
	{Scheme: gatehouse.SchemeOpaque, Challenge: challengeBearer, By: ByBearer | ByDPoP | BySubprotocol, Record: RecordGrant, verify: (*Authenticator).verifyOpaque},
	{Scheme: gatehouse.SchemeBasic, Challenge: challengeBasic, By: ByBasic, NeedsTLS: true, Login: true, verify: (*Authenticator).verifyBasic},
	{Scheme: gatehouse.SchemeSession, Challenge: challengeCookie, By: ByCookie, NeedsTLS: true, Named: true, Record: RecordSession,
		verify: (*Authenticator).verifyCookie},
	{Scheme: gatehouse.SchemeTicket, By: ByQuery, StandIn: true},
}

// KindOf returns the row of s. A scheme without one gets the strictest answer to
// every question, and known false.
func KindOf(s gatehouse.Scheme) (k Kind, known bool) {
	for i := range kinds {
		if kinds[i].Scheme == s {
			return kinds[i], true
		}
	}
	return Kind{Scheme: s, NeedsTLS: true}, false
}

// Schemes returns the names of the kinds that count by themselves and for which keep
// is true, or of all of these when keep is nil.
func Schemes(keep func(Kind) bool) []gatehouse.Scheme {
	var out []gatehouse.Scheme
	for _, k := range kinds {
		if !k.StandIn && (keep == nil || keep(k)) {
			out = append(out, k.Scheme)
		}
	}
	return out
}
