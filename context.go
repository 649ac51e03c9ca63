package gatehouse

import "context"

type contextKey uint8

const (
	principalKey contextKey = iota
	requestKey
)

// RequestFacts are what every room may know of the request that it works for.
type RequestFacts struct {
	ID      string // the request's id
	Address string // the client's, without port, as the trusted-proxy rules give it
	// Method and Path are those of the request that is judged: for forward-auth the
	// one that the proxy asks about. Path is decoded and has no query. Both are empty
	// where no request of a caller is judged.
	Method, Path string
}

// WithPrincipal puts the verified principal into a context.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey, p)
}

// PrincipalFrom returns the verified principal, or nil.
func PrincipalFrom(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey).(*Principal)
	return p
}

// WithRequest puts the facts of the request into a context, in place of those
// that were there.
func WithRequest(ctx context.Context, f RequestFacts) context.Context {
	return &requestContext{ctx, f}
}

// RequestFrom returns the facts of the request; they are empty outside of one.
func RequestFrom(ctx context.Context) RequestFacts {
	if r, ok := ctx.Value(requestKey).(*requestContext); ok {
		return r.facts
	}
	return RequestFacts{}
}

// WithRequestID changes the request's id and keeps its other facts.
func WithRequestID(ctx context.Context, id string) context.Context {
	f := RequestFrom(ctx)
	f.ID = id
	return WithRequest(ctx, f)
}

// RequestIDFrom returns the request id, or "".
func RequestIDFrom(ctx context.Context) string { return RequestFrom(ctx).ID }

// AddressFrom returns the client's address without port, or "".
func AddressFrom(ctx context.Context) string { return RequestFrom(ctx).Address }

// requestContext is a context that is its own value: every request has one.
type requestContext struct {
	context.Context
	facts RequestFacts
}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	if key == requestKey {
		return c
	}
	return c.Context.Value(key)
}
