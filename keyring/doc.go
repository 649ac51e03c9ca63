// Package keyring keeps the signing keys of each realm: it makes, publishes,
// activates, retires and removes them, holds them ready in memory, and serves the
// published key set as ready octets.
//
// # States
//
//	published -> active -> retired -> removed
//	     \__________ \_________ \____/
//
// Published: in the key set, not signing. Active: signs; a realm has exactly one.
// Retired: verifies the tokens it signed until the last has expired. Removed:
// gone, and every token it signed is refused from then on. token.PlanKeys says
// what is due; [Ring.Run] does it in the background, and Rotate, Retire and Remove
// by command. Each change and its audit event are one transaction.
//
// # Threats
//
//   - The database is read: private halves are sealed (internal/seal) for their
//     realm and kid; HMAC keys are never published.
//
//   - A key is compromised: Remove (or Retire with Now) takes it out of the memory
//     of this process before it returns.
//
//   - Memory and database differ: a realm whose keys cannot be read again after a
//     change has no keys, so nothing is signed or accepted with old ones, until
//     they can be read.
//
//   - Several nodes change the same keys: a key that another node has made a moment ago
//     is waited for, not refused, and a key set never lacks a key that signs. Anybody can
//     name a key that does not exist, so those who wait share one reading of the changes
//     and are bounded in number; only what other nodes have stored is taken in, so a key that
//     was removed does not come back.
//
// The package must never import net/http, database/sql, or the packages of flows
// above it.
package keyring
