package gatehouse

import (
	"errors"
	"time"
)

// Kind classifies an error; it maps to one HTTP status in internal/web and to
// one exit code in the commands. Kind is itself an error, so
// errors.Is(err, gatehouse.NotFound) works through any wrapping. The zero Kind
// is Internal.
type Kind uint8

const (
	Internal         Kind = iota // 500; text never shown
	Invalid                      // 400
	Unauthenticated              // 401
	Denied                       // 403
	NotFound                     // 404
	Conflict                     // 409
	TooLarge                     // 413
	Unsupported                  // 415
	Unprocessable                // 422
	RateLimited                  // 429
	HeaderTooLarge               // 431
	Unavailable                  // 503
	BadGateway                   // 502
	GatewayTimeout               // 504
	MethodNotAllowed             // 405
	RequestTimeout               // 408
)

var kindNames = [...]string{"internal", "invalid", "unauthenticated", "denied", "not_found", "conflict",
	"too_large", "unsupported", "unprocessable", "rate_limited", "header_too_large", "unavailable",
	"bad_gateway", "gateway_timeout", "method_not_allowed", "request_timeout"}

func (k Kind) Error() string { return k.String() }

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

// Error is a failure with a stable code and a text that is safe to show. Public
// is a constant chosen where the error is made; it never contains input,
// internals or the cause.
type Error struct {
	Kind   Kind
	Code   string // stable, snake_case; docs/errors/<code>.md explains it
	Public string // safe for anybody; "" shows the kind's fixed text
	// Fields point at invalid members of an input: member → what is wrong.
	// Never the value itself.
	Fields map[string]string
	// RetryAfter is sent as Retry-After when positive.
	RetryAfter time.Duration
	Cause      error // for the operator only
}

// E makes an *Error. public must be a constant.
func E(kind Kind, code, public string) *Error { return &Error{Kind: kind, Code: code, Public: public} }

// With returns a copy of e that keeps cause for the operator.
func (e *Error) With(cause error) *Error { c := *e; c.Cause = cause; return &c }

func (e *Error) Error() string {
	s := e.Kind.String() + ": " + e.Code
	if e.Public != "" {
		s += ": " + e.Public
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap makes both the kind and the cause visible to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Cause != nil {
		return []error{e.Kind, e.Cause}
	}
	return []error{e.Kind}
}

// KindOf returns the kind of err, or Internal when it has none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return Internal
}

// CodeOf returns the stable code of err, or "internal".
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	return KindOf(err).String()
}
