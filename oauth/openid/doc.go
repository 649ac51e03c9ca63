// Package openid is the vocabulary of OpenID Connect: its scopes, the claims behind them and where their values come from, and the
// claims that a client asks for one by one.
//
// # Where claims come from
//
// An account has a user name, a name to be shown and a mail address, which say what preferred_username, name, email and
// email_verified are. Every other standard claim is an attribute of the account that has the claim's name, and a value of the
// type that OpenID Connect Core §5.1 gives it; any other value, and an empty one, is left out, as is what an account does not have.
//
// It must never import net/http, a package of storage, or a package of endpoints above it.
package openid
