package credential

import "github.com/gatehouse-auth/gatehouse"

// PrefixSession begins the text of a browser session's cookie.
const PrefixSession = "ghs"

// MintSession makes a random session secret: the text for the cookie, the public id inside
// it, and the hash to store.
func MintSession() (text gatehouse.Secret, id string, hash []byte) {
	return MintKey(PrefixSession, gatehouse.EnvironmentLive)
}

// IsSession reports whether the text was the secret of a browser session, which counts in
// its cookie and nowhere else.
func (p ParsedKey) IsSession() bool { return p.Prefix == PrefixSession }
