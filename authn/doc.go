// Package authn turns what a request presents into a [gatehouse.Principal].
//
// [Extract] finds the one credential of a request and refuses requests with
// several, or with one in the URL. [Authenticator] verifies it with the verifier
// of its scheme; the table of verifiers is ordered and fixed when it is built.
// [Challenges] writes the WWW-Authenticate lines of a refusal.
//
// Threats it stands against:
//
//   - two readers of one request seeing two different callers: exactly one
//     credential, in one spelling, never "first wins";
//   - a wrong credential treated as none: each failure is an error, and only
//     [ErrNone] says that nothing was presented;
//   - an oracle in the answer: the caller learns "not accepted" and nothing
//     else; the precise cause is for the record, see [Reason];
//   - a revoked credential that lives on in a cache: verified tokens are checked
//     against the revocation view at each use, cached records are dropped by
//     [Authenticator.Apply] before the call that changed them returns, and a
//     look-up that began before a change is not cached after it;
//   - look-ups without end: keys die on their checksum first, unknown ones are
//     remembered for a short while, and misses are limited by client address;
//   - a store that fails: the request is refused with 503, never let through.
//
// It must never import a package of level 3 or above, and it never sees a
// resource or an action.
package authn
