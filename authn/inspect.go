package authn

import (
	"context"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Inspected is an access token of a realm that counts at this moment. It is shared, and must not be changed.
type Inspected struct {
	Principal *gatehouse.Principal
	Audience  []string // whom it is for
	// ExpiresAt is when it ends: an opaque one no later than its grant.
	ExpiresAt time.Time
	// Claims is the claims set of a signed token, as it was signed; nil of an opaque one.
	Claims []byte
}

// inspectedEntry is a signed token that was verified for whichever audience.
type inspectedEntry struct {
	*tokenEntry
	claims []byte
}

// inspections remembers them, apart from tokenCache: what is in there is for our own gateway.
type inspections = cache.Cache[tokenKey, *inspectedEntry]

// Inspect checks an access token that the realm itself issued as [Authenticator.Authenticate] checks it in a
// request, except for whom it is for: that is for who asks to weigh (RFC 7662 §4). It answers from the same memory.
// from is the address that asks, by which unknown tokens are counted. Errors are those of Authenticate.
func (a *Authenticator) Inspect(ctx context.Context, realm string, text gatehouse.Secret, from netip.Addr) (Inspected, error) {
	k, _ := KindOf(gatehouse.SchemeJWT)
	out, err := a.inspect(ctx, realm, text, from)
	if err != nil {
		return Inspected{}, uniform(k, err)
	}
	return out, nil
}

func (a *Authenticator) inspect(ctx context.Context, realm string, text gatehouse.Secret, from netip.Addr) (out Inspected, err error) {
	t, err := a.trust(ctx, realm)
	if err != nil {
		return out, err
	}
	if p, malformed := credential.ParseKey(text.Reveal()); malformed != nil {
		out, err = a.inspectSigned(ctx, t, text.Reveal())
	} else if p.IsAccessToken() {
		out, err = a.inspectOpaque(ctx, t, text, from)
	} else {
		err = errOpaqueUnknown // a key, or the secret of something else
	}
	if err == nil {
		err = t.cutOff(out.Principal.IssuedAt)
	}
	return out, err
}

func (a *Authenticator) inspectSigned(ctx context.Context, t *trust, text string) (Inspected, error) {
	if len(text) > MaxTokenBytes {
		return Inspected{}, token.ErrTooLarge
	}
	key := keyOfToken(t.realm.Name, text)
	e, ok := a.inspected.Get(key)
	if !ok || e.trust != t {
		claims, err := t.all.Verify(text)
		if err != nil {
			return Inspected{}, err
		}
		own, err := a.ownEntry(ctx, t, claims)
		if err != nil {
			return Inspected{}, err
		}
		e = &inspectedEntry{own, claims.Raw}
		a.inspected.Set(key, e)
	}
	if !a.cfg.Now().Before(e.expires) { // without leeway: the answer says exp
		return Inspected{}, token.ErrExpired
	}
	p, err := a.standing(ctx, e.tokenEntry)
	return Inspected{Principal: p, Audience: e.audience, ExpiresAt: e.expires, Claims: e.claims}, err
}

func (a *Authenticator) inspectOpaque(ctx context.Context, t *trust, text gatehouse.Secret, from netip.Addr) (Inspected, error) {
	e, err := a.opaqueOf(ctx, t, text, from)
	if err != nil {
		return Inspected{}, err
	}
	p, err := a.standingOpaque(ctx, e)
	return Inspected{Principal: p, Audience: e.audience, ExpiresAt: e.expires}, err
}
