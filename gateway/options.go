package gateway

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Defaults of [Options].
const (
	DefaultMaxBody        = 10 << 20
	DefaultIdleTimeout    = time.Minute
	DefaultMaxHeaderBytes = 32 << 10
	DefaultMaxHeaderLines = 100
	DefaultMaxList        = 8 << 20
	DefaultStreamLifetime = time.Hour
	DefaultStreamCheck    = 5 * time.Second
)

// Options are the bounds of a Gateway and what it adds to or takes from every
// exchange. The zero value has the defaults.
type Options struct {
	MaxBodyBytes int64 // of a request, where the route says nothing
	// IdleTimeout is how long an exchange may stand still where the route says
	// nothing: DefaultIdleTimeout when 0. Timeout bounds the whole exchange where
	// the route says nothing: 0 does not. Neither is for streams.
	IdleTimeout    time.Duration
	Timeout        time.Duration
	MaxHeaderBytes int // of a request's header, names and values
	MaxHeaderLines int
	MaxListBytes   int64 // of an answer whose list is filtered
	// StreamLifetime bounds upgraded connections and answers of a stream type,
	// which the time-outs do not. They also end when the credential expires.
	StreamLifetime time.Duration
	// StreamTypes are media types of streams, beside those that everybody knows.
	StreamTypes []string
	// StreamCheck is how often whatever is still open is judged again, so that it
	// ends soon after the credential was revoked or a permission taken back.
	StreamCheck time.Duration
	// StripHeaders names further request headers that callers may not set, in
	// any spelling.
	StripHeaders []string
	// ResponseHeaders are set on forwarded answers that lack them, beside the
	// ones every answer gets.
	ResponseHeaders http.Header
}

// Validate returns everything that is wrong with o.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for name, d := range map[string]time.Duration{"idle_timeout": o.IdleTimeout, "timeout": o.Timeout, "stream_lifetime": o.StreamLifetime, "stream_check": o.StreamCheck} {
		if d < 0 {
			bad("%s: must not be negative", name)
		}
	}
	for name, n := range map[string]int64{"max_body_bytes": o.MaxBodyBytes, "max_header_bytes": int64(o.MaxHeaderBytes),
		"max_header_lines": int64(o.MaxHeaderLines), "max_list_bytes": o.MaxListBytes} {
		if n < 0 {
			bad("%s: must not be negative", name)
		}
	}
	for _, t := range o.StreamTypes {
		if mediaType, _, err := mime.ParseMediaType(t); err != nil || !strings.Contains(mediaType, "/") {
			bad("stream_types: %q is no media type such as application/vnd.log", t)
		}
	}
	for _, name := range o.StripHeaders {
		if !headerName.MatchString(name) || neededHeader(name) {
			bad("strip_headers: %q cannot be stripped", name)
		}
	}
	for name, values := range o.ResponseHeaders {
		if !headerName.MatchString(name) || hopByHop(http.CanonicalHeaderKey(name)) || reservedAnswerHeader(name) {
			bad("response_headers: %q cannot be set", name)
		}
		if slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			bad("response_headers: the value of %q holds a character that a header line cannot have", name)
		}
	}
	return errors.Join(errs...)
}

// neededHeader reports request headers without which a request is not the same.
func neededHeader(name string) bool {
	switch normalName(name) {
	case "host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer":
		return true
	}
	return false
}

// reservedAnswerHeader reports answer headers that frame the answer, or that we set.
func reservedAnswerHeader(name string) bool {
	n := normalName(name)
	return n == "content-length" || n == "content-encoding" || n == "x-request-id" || n == "date" || strings.HasPrefix(n, "access-control-")
}

func (o *Options) fillDefaults() {
	defaults(&o.MaxBodyBytes, DefaultMaxBody)
	defaults(&o.IdleTimeout, DefaultIdleTimeout)
	defaults(&o.MaxHeaderBytes, DefaultMaxHeaderBytes)
	defaults(&o.MaxHeaderLines, DefaultMaxHeaderLines)
	defaults(&o.MaxListBytes, DefaultMaxList)
	defaults(&o.StreamLifetime, DefaultStreamLifetime)
	defaults(&o.StreamCheck, DefaultStreamCheck)
}

// sealed returns a copy of h that all answers may share: adding to one of its
// lists makes another, so that no answer writes into what the next one reads.
func sealed(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		out[http.CanonicalHeaderKey(name)] = slices.Clip(slices.Clone(values))
	}
	return out
}

func defaults[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
