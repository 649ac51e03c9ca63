// Package personal seals what the record tells of a person under a key of that person. Whoever deletes the key has
// deleted the person from every copy of the record that is made of it, and the record stays as it is, byte for byte.
//
// A key is derived from a secret of the installation and from the salt of a person, 32 random bytes in the store. The
// salt goes with the account.
//
// The same value is sealed to the same text under the same key: the nonce is a keyed hash of the value (the idea of
// RFC 5297). So what is sealed is remembered and costs next to nothing the next time, and a batch of events of one person
// compresses as it did. It tells, also once the key is gone, which events of one person have the same value; whose they
// are, the id in them tells anyway.
//
// # Threats
//
// Whoever has the record, and neither the salt nor the secret of the installation, learns how long a value is, to 16
// bytes, and which are equal. Whoever kept a copy of the salt from before (a backup) and has the master key can
// read on: deleting reaches no copies.
//
// It must never import net/http, os or database/sql.
package personal
