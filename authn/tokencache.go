package authn

import (
	"crypto/sha256"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// tokenCache remembers verified tokens by their SHA-256 and the realm. An entry
// proves one thing only: this exact text verified under that trust. Expiry and
// revocation are asked at each use.
type tokenCache struct {
	entries *cache.Cache[tokenKey, *tokenEntry]
}

type tokenKey struct {
	sum   [sha256.Size]byte
	realm string
}

type tokenEntry struct {
	trust     *trust
	principal *gatehouse.Principal
	ref       revocation.Ref
	expires   time.Time
	audience  []string
}

func newTokenEntry(t *trust, p *gatehouse.Principal, c *token.Claims) *tokenEntry {
	return &tokenEntry{trust: t, principal: p, expires: c.ExpiresAt, audience: c.Audience, ref: revocation.Ref{Realm: t.realm.Name, Subject: p.ID, Client: c.ClientID,
		Session: c.SessionID, KeyID: c.KeyID, IssuedAt: p.IssuedAt}}
}

func newTokenCache(size int) *tokenCache {
	return &tokenCache{cache.New[tokenKey, *tokenEntry](size)}
}

// keyOfToken is where the token with that text is remembered.
func keyOfToken(realm, text string) tokenKey {
	var buf [2048]byte // on the stack: tokens are some hundred bytes
	return tokenKey{sha256.Sum256(append(buf[:0], text...)), realm}
}
