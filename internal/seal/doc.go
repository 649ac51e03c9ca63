// Package seal encrypts what must be read back later: private keys, upstream
// secrets. (What is only compared is hashed instead, elsewhere.)
//
// A sealed blob is XChaCha20-Poly1305 under a random 192-bit nonce:
//
//	version (1) | key id length (1) | key id | nonce (24) | ciphertext and tag
//
// It names its master key, so that several can be in use while one replaces
// another: a [Box] opens with any of its keys and seals with the first. The
// header and the [Place] (purpose, realm, id) are authenticated, so that a blob
// that somebody moves to another row, realm or use does not open.
//
// # Threats
//
// Whoever reads the database, or a backup, without the master key learns only
// lengths. Whoever can write to it can destroy a blob or put back an older one of
// the same place, and nothing else. The master key lies in a file or in the
// environment, never in the database; types that hold it print as "[redacted]".
//
// The package must never import net/http, os or database/sql.
package seal
