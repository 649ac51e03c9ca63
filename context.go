package gatehouse

import "context"

type contextKey uint8

const (
	principalKey contextKey = iota
	requestKey
)

// WithPrincipal, WithRequestID and WithAddress put the three request-wide facts
// into a context: who calls, the request's id, and the client's address as the
// trusted-proxy rules give it.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey, p)
}

// PrincipalFrom returns the verified principal, or nil.
func PrincipalFrom(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey).(*Principal)
	return p
}

// WithRequest is [WithRequestID] and [WithAddress] in one.
func WithRequest(ctx context.Context, id, addr string) context.Context {
	return &requestContext{ctx, id, addr}
}

// WithRequestID: see [WithPrincipal].
func WithRequestID(ctx context.Context, id string) context.Context {
	return WithRequest(ctx, id, AddressFrom(ctx))
}

// WithAddress: see [WithPrincipal].
func WithAddress(ctx context.Context, addr string) context.Context {
	return WithRequest(ctx, RequestIDFrom(ctx), addr)
}

// RequestIDFrom returns the request id, or "".
func RequestIDFrom(ctx context.Context) string {
	if r, ok := ctx.Value(requestKey).(*requestContext); ok {
		return r.id
	}
	return ""
}

// AddressFrom returns the client's address without port, or "".
func AddressFrom(ctx context.Context) string {
	if r, ok := ctx.Value(requestKey).(*requestContext); ok {
		return r.addr
	}
	return ""
}

// requestContext is a context that is its own value: every request has one.
type requestContext struct {
	context.Context
	id, addr string
}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	if key == requestKey {
		return c
	}
	return c.Context.Value(key)
}
