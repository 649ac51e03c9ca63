package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
)

// DefaultDocsBase is where the page of each error code lives, unless
// [Problems.DocsBase] says otherwise.
const DefaultDocsBase = "https://gatehouse.dev/errors/"

// Problem is the body of an error response (RFC 9457 §3.1) with our extension
// members code, request_id and fields.
type Problem struct {
	Type      string            `json:"type"`
	Title     string            `json:"title"`
	Status    int               `json:"status"`
	Detail    string            `json:"detail,omitempty"`
	Code      string            `json:"code"`
	RequestID string            `json:"request_id,omitempty"`
	Fields    map[string]string `json:"fields,omitempty"`
}

// Problems writes errors as responses. It is immutable after construction and
// safe for concurrent use; the zero value works and logs nothing.
type Problems struct {
	// DocsBase is put before the code to make the problem's type; it ends in
	// "/". Empty means [DefaultDocsBase].
	DocsBase string
	// Logger receives the cause of internal errors and of panics; nil discards.
	Logger *slog.Logger
	// Untaken is told of answers that nobody takes; nil tells nobody.
	Untaken *Untaken
	// Form gives the body of a problem where a protocol has a form of its own; nil is
	// the problem itself.
	Form func(Problem) (contentType string, body any)
}

// kindInfo is what a kind of error looks like from outside.
type kindInfo struct {
	status int
	title  string
}

// infoOf maps a kind to its status and title. A kind it does not know is an
// internal error: the safe answer is the one that says nothing.
func infoOf(k gatehouse.Kind) kindInfo {
	switch k {
	case gatehouse.Invalid:
		return kindInfo{http.StatusBadRequest, "The request is not valid"}
	case gatehouse.Unauthenticated:
		return kindInfo{http.StatusUnauthorized, "A valid credential is required"}
	case gatehouse.Denied:
		return kindInfo{http.StatusForbidden, "Not allowed"}
	case gatehouse.NotFound:
		return kindInfo{http.StatusNotFound, "Not found"}
	case gatehouse.Conflict:
		return kindInfo{http.StatusConflict, "In conflict with the current state"}
	case gatehouse.TooLarge:
		return kindInfo{http.StatusRequestEntityTooLarge, "The request body is too large"}
	case gatehouse.Unsupported:
		return kindInfo{http.StatusUnsupportedMediaType, "The content type is not supported"}
	case gatehouse.Unprocessable:
		return kindInfo{http.StatusUnprocessableEntity, "The content cannot be processed"}
	case gatehouse.RateLimited:
		return kindInfo{http.StatusTooManyRequests, "Too many requests"}
	case gatehouse.HeaderTooLarge:
		return kindInfo{http.StatusRequestHeaderFieldsTooLarge, "The request header is too large"}
	case gatehouse.Unavailable:
		return kindInfo{http.StatusServiceUnavailable, "Temporarily unavailable"}
	case gatehouse.BadGateway:
		return kindInfo{http.StatusBadGateway, "The upstream gave no valid answer"}
	case gatehouse.GatewayTimeout:
		return kindInfo{http.StatusGatewayTimeout, "The upstream did not answer in time"}
	case gatehouse.RequestTimeout:
		return kindInfo{http.StatusRequestTimeout, "The request did not come in time"}
	case gatehouse.MethodNotAllowed:
		return kindInfo{http.StatusMethodNotAllowed, "The method is not allowed here"}
	default:
		return kindInfo{http.StatusInternalServerError, "Something went wrong"}
	}
}

// StatusOf returns the HTTP status that err is answered with.
func StatusOf(err error) int { return infoOf(Classify(err).Kind).status }

// Classify returns err as a *gatehouse.Error, whatever it was: errors of the
// standard library that come from the caller's request get their own kind, any
// other one is Internal and keeps its text for the operator only.
func Classify(err error) *gatehouse.Error {
	var e *gatehouse.Error
	if errors.As(err, &e) {
		return e
	}
	var tooLarge *http.MaxBytesError
	var k gatehouse.Kind
	switch {
	case errors.As(err, &tooLarge):
		return ErrBodyTooLarge.With(err)
	case errors.Is(err, context.DeadlineExceeded):
		return errTimeout.With(err)
	case errors.Is(err, context.Canceled):
		return errClientGone.With(err)
	case errors.As(err, &k):
		return gatehouse.E(k, k.String(), "").With(err)
	}
	return gatehouse.ErrInternal.With(err)
}

var (
	errTimeout    = gatehouse.E(gatehouse.Unavailable, "timeout", "The request took too long.")
	errClientGone = gatehouse.E(gatehouse.Unavailable, "client_gone", "The client went away.")
)

// WithHeader returns err with header lines that its response must carry, such
// as Allow or WWW-Authenticate. They replace what the response had under the
// same names.
func WithHeader(err error, header http.Header) error { return &headerError{err, header} }

type headerError struct {
	err    error
	header http.Header
}

// setHeaders sets the lines of all that err was wrapped with, the last one over those before it.
func setHeaders(h http.Header, err error) {
	var he *headerError
	if !errors.As(err, &he) {
		return
	}
	setHeaders(h, he.err)
	for name, lines := range he.header {
		h[http.CanonicalHeaderKey(name)] = lines
	}
}

func (e *headerError) Error() string { return e.err.Error() }
func (e *headerError) Unwrap() error { return e.err }

// ErrCrossOrigin refuses a page of another site that acts with what the browser of its visitor holds.
var ErrCrossOrigin = gatehouse.E(gatehouse.Denied, "cross_origin_refused", "A page of another site may not use what this browser holds for this one.")

// ErrMethod says that what is there does not know the method.
var ErrMethod = gatehouse.E(gatehouse.MethodNotAllowed, "method_not_allowed", "This method is not allowed here.")

// MethodNotAllowed is the 405 answer with its Allow line (RFC 9110 §15.5.6).
func MethodNotAllowed(allow ...string) error {
	return WithHeader(ErrMethod,
		http.Header{"Allow": {strings.Join(allow, ", ")}})
}

// ProblemOf returns the body that err is answered with. The text of an internal
// error and its code are replaced by fixed ones; Public of every other kind is
// a constant by contract.
func (p *Problems) ProblemOf(err error, requestID string) Problem {
	e := Classify(err)
	info := infoOf(e.Kind)
	out := Problem{Title: info.title, Status: info.status, Detail: e.Public, Code: e.Code,
		RequestID: requestID, Fields: e.Fields}
	if info.status == http.StatusInternalServerError {
		out.Code, out.Detail, out.Fields = "internal", "The request id leads the operator to the cause.", nil
	}
	if out.Code == "" {
		out.Code = e.Kind.String()
	}
	base := DefaultDocsBase
	if p != nil && p.DocsBase != "" {
		base = p.DocsBase
	}
	out.Type = base + out.Code
	return out
}

// Write answers err. Header lines already set on w stay; lines that belong to a
// body that now is not sent (Content-Encoding, ETag, …) go. Internal errors are
// logged with their cause and the request id, and the caller sees neither.
func (p *Problems) Write(w http.ResponseWriter, r *http.Request, err error) {
	id := gatehouse.RequestIDFrom(r.Context())
	e := Classify(err)
	problem := p.ProblemOf(e, id)
	if problem.Status == http.StatusInternalServerError && p != nil && p.Logger != nil {
		p.Logger.LogAttrs(r.Context(), slog.LevelError, "internal error",
			slog.String("request_id", id), slog.String("code", e.Code), slog.Any("error", err))
	}
	h := w.Header()
	for _, name := range [...]string{"Content-Encoding", "Content-Language", "Content-Range", "Content-Disposition",
		"Accept-Ranges", "Etag", "Last-Modified", "Expires", "Trailer"} {
		h.Del(name)
	}
	setHeaders(h, err)
	// RFC 9110 §15.5.2: a 401 without a challenge is not a valid response.
	if problem.Status == http.StatusUnauthorized && len(h["Www-Authenticate"]) == 0 {
		h["Www-Authenticate"] = []string{`Bearer realm="` + gatehouse.MainRealm + `"`}
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", RetryAfter(e.RetryAfter))
	}
	contentType, form := "application/problem+json", any(problem)
	if p != nil && p.Form != nil {
		contentType, form = p.Form(problem)
	}
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	body, merr := json.Marshal(form, json.Deterministic(true))
	if merr != nil { // only invalid UTF-8 in a constant could do it
		body = []byte(`{"type":"about:blank","title":"Something went wrong","status":500,"code":"internal"}`)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(problem.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone; nothing is left to do
	}
}

// RetryAfter writes d in whole seconds, rounded up, at least 1: a client that
// waits exactly that long must not be refused again for having rounded down.
func RetryAfter(d time.Duration) string {
	s := int64((d + time.Second - 1) / time.Second)
	return strconv.FormatInt(max(s, 1), 10)
}
