package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
)

// Trace is a W3C trace context (Trace Context Level 2, traceparent version 00).
type Trace struct {
	trace [16]byte
	span  [8]byte
	flags byte
}

// ParseTrace reads a traceparent header. Anything that is not well-formed is
// false, and the caller begins a trace of its own.
func ParseTrace(header string) (Trace, bool) {
	var t Trace
	// version "-" trace-id "-" parent-id "-" flags; later versions may append.
	if len(header) < 55 || len(header) > 512 || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return t, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], header[:2]) || version[0] == 0xff ||
		version[0] == 0 && len(header) != 55 || len(header) > 55 && header[55] != '-' {
		return t, false
	}
	if !lowerHex(t.trace[:], header[3:35]) || !lowerHex(t.span[:], header[36:52]) || !lowerHex(flags[:], header[53:55]) ||
		t.trace == [16]byte{} || t.span == [8]byte{} {
		return Trace{}, false
	}
	t.flags = flags[0]
	return t, true
}

// lowerHex decodes s into dst; upper case is not allowed here.
func lowerHex(dst []byte, s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

// NewTrace begins a trace that is not sampled.
func NewTrace() (t Trace) {
	_, _ = rand.Read(t.trace[:]) // never fails: crypto/rand ends the program instead
	return t.Child()
}

// Child returns the same trace with a span id of its own, for what we send on.
func (t Trace) Child() Trace {
	_, _ = rand.Read(t.span[:])
	return t
}

// ID returns the trace id as hexadecimal.
func (t Trace) ID() string { return hex.EncodeToString(t.trace[:]) }

// String returns the traceparent header; only the flags that version 00 knows
// (sampled, random) are passed on.
func (t Trace) String() string {
	return "00-" + t.ID() + "-" + hex.EncodeToString(t.span[:]) + "-" + hex.EncodeToString([]byte{t.flags & 3})
}

type traceKey struct{}

// WithTrace puts t into the context.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceFrom returns the trace of the context.
func TraceFrom(ctx context.Context) (Trace, bool) {
	t, ok := ctx.Value(traceKey{}).(Trace)
	return t, ok
}
