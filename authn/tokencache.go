package authn

import (
	"context"
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

// verified finds a signed token in memory, or verifies it.
func (a *Authenticator) verified(ctx context.Context, t *trust, text string) (*tokenEntry, error) {
	key := keyOfToken(t.realm.Name, text)
	e, ok := a.tokens.entries.Get(key)
	if !ok || e.trust != t || !a.cfg.Now().Before(e.expires) {
		var err error
		if e, err = a.verifyToken(ctx, t, text); err != nil {
			if ok {
				a.tokens.entries.Forget(key)
			}
			return nil, err
		}
		a.tokens.entries.Set(key, e)
	}
	return e, nil
}
