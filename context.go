package gatehouse

import "context"

type contextKey uint8

const (
	principalKey contextKey = iota
	requestIDKey
	addressKey
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

// WithRequestID: see [WithPrincipal].
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey, id)
}

// RequestIDFrom returns the request id, or "".
func RequestIDFrom(ctx context.Context) string { s, _ := ctx.Value(requestIDKey).(string); return s }

// WithAddress: see [WithPrincipal].
func WithAddress(ctx context.Context, addr string) context.Context {
	return context.WithValue(ctx, addressKey, addr)
}

// AddressFrom returns the client's address without port, or "".
func AddressFrom(ctx context.Context) string { s, _ := ctx.Value(addressKey).(string); return s }
