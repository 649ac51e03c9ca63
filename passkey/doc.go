// Package passkey is the life of people's passkeys and security keys (WebAuthn): one is added by
// who is signed in, signs its owner in without a password, gets a name, and is removed.
//
// It serves no path; the pages do. Package webauthn verifies what authenticators answer.
//
// # A question, from the page to the answer
//
// The server keeps nothing of a question. It is 16 random bytes and the moment at which it is
// over, under a MAC that binds it to realm, purpose, person and browser: so any node can take
// the answer, and pages that are opened and left cost nothing. The first answer that is good is
// noted (package once) in the transaction that makes use of it, so of all that send it, on any
// node, one wins.
//
// # Whose it is
//
// A passkey belongs to a domain, which realms may share. What tells people apart for the
// authenticator, the user handle, is random, another one in each realm, and says nothing of
// them. A passkey of another realm is told from one that nobody knows only to who holds it.
//
// # Threats
//
// A page in the middle (the browser signs the origin), an answer that is sent again (once), or
// in another browser (the MAC), a stolen database (public keys), a found security key (PIN or
// finger are demanded, since no password is), a copied key (the counter: an event), a stolen
// session that adds a key for its thief (a sign-in of a moment ago is demanded), an account
// that nobody can get into any more (the last way in stays).
//
// It must never import net/http, database/sql, identity, authn or anything above.
package passkey
