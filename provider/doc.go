// Package provider signs people in by accounts that they have elsewhere: at an OpenID provider, by
// the authorization code flow with PKCE (OpenID Connect Core 1.0 §3.1, RFC 7636, RFC 9700).
//
// It serves no path; the pages do. Package token verifies what providers sign, package jwks keeps
// their keys, package egress reaches them.
//
// # From the button to the session
//
//	begin ──▶ the browser at the provider ──▶ finish: state, issuer, code, ID token ──▶ link ──▶ account
//
// The server keeps nothing of a sign-in that has begun. All of it travels in state, sealed, and
// bound to realm and browser: any node can take the answer, and pages that are opened and left cost
// nothing. Of all answers with one state, on any node, one is looked at (package once), before the
// provider is asked anything.
//
// # Whose account
//
// A link joins an account of the realm with a subject of a provider: with its ID here, its issuer
// and its "sub", and with nothing else. Addresses of e-mail are never looked at to find an account:
// a provider may give one to another person, or may not have asked whose it is. Without a link
// somebody gets an account of his own where the realm has set so, or is turned away. Who has an account
// links another by proving both within minutes, in one session.
//
// # Threats
//
// An answer made for another browser or taken from one (state is bound to a cookie of this host,
// and the code to the verifier that state holds), one that is sent again (once), the answer of
// another provider (mix-up: each has an address of its own to answer to, its "iss" is compared when
// it says one and demanded when it said that it would, and state names it), a token that was made
// for another program or for another sign-in (audience, azp, nonce, time, at_hash), a key that is
// not the provider's (the key says which algorithm), a provider that leads the server into its
// own network (egress), that answers without end (bounds), or whose metadata speak for another one.
// A client secret is sealed for one issuer and one client: who may change the settings of a
// realm cannot have it sent elsewhere.
//
// What the provider says of its own strength counts only where the realm's settings say by which
// word; else a sign-in is one factor, and whoever has or owes a second one is asked for it here.
//
// It must never import net/http's server side, database/sql, pages or admin.
package provider
