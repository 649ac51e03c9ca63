package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse"
)

// LogOptions set a [Log].
type LogOptions struct {
	Format string     // "json" (default) or "text"
	Level  slog.Level // slog.LevelInfo by default
}

// Log is a logger that adds the request id of the context to each line, and redacts
// what looks like a secret. Its options can be changed while it is used.
type Log struct {
	*slog.Logger
	level slog.LevelVar
	text  atomic.Bool
}

// NewLog returns a log that writes to w.
func NewLog(w io.Writer, o LogOptions) (*Log, error) {
	l := &Log{}
	opts := &slog.HandlerOptions{Level: &l.level, ReplaceAttr: redact}
	l.Logger = slog.New(handler{slog.NewJSONHandler(w, opts), slog.NewTextHandler(w, opts), &l.text})
	return l, l.Set(o)
}

// Set changes the options of the log and of every logger that was made of it. When
// they are wrong, nothing changes.
func (l *Log) Set(o LogOptions) error {
	switch o.Format {
	case "", "json", "text":
	default:
		return fmt.Errorf("telemetry: log format %q is neither json nor text", o.Format)
	}
	l.text.Store(o.Format == "text")
	l.level.Set(o.Level)
	return nil
}

// ParseLevel reads "debug", "info", "warn" or "error".
func ParseLevel(s string) (slog.Level, error) {
	switch s {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("telemetry: log level %q is none of debug, info, warn, error", s)
}

// handler writes in one of two formats, and adds what the context knows and the record
// does not say itself: many readers of JSON refuse a member that is there twice.
type handler struct {
	json, plain slog.Handler
	text        *atomic.Bool
}

func (h handler) current() slog.Handler {
	if h.text.Load() {
		return h.plain
	}
	return h.json
}

func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.json.Enabled(ctx, level)
}

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if id := gatehouse.RequestIDFrom(ctx); id != "" && !says(r, "request_id") {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.current().Handle(ctx, r)
}

func (h handler) WithAttrs(a []slog.Attr) slog.Handler {
	return handler{h.json.WithAttrs(a), h.plain.WithAttrs(a), h.text}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.json.WithGroup(name), h.plain.WithGroup(name), h.text}
}

func says(r slog.Record, name string) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		found = found || a.Key == name
		return !found
	})
	return found
}

const redacted = "[redacted]"

// secretWords make an attribute secret wherever they stand in its name, which is
// compared in lower case without "-", "_", "." and spaces.
var secretWords = [...]string{"password", "passwd", "passphrase", "authorization", "cookie", "secret", "token", "apikey",
	"privatekey", "masterkey", "assertion", "credential", "dsn"}

// plainEnds end names of facts about a secret that are none themselves.
var plainEnds = [...]string{"id", "type", "ttl", "count", "kind", "format", "error", "code"}

func secretName(key string) bool {
	var b strings.Builder
	for _, r := range strings.ToLower(key) {
		switch r {
		case '-', '_', '.', ' ':
		default:
			b.WriteRune(r)
		}
	}
	name := b.String()
	for _, end := range plainEnds {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// secretText finds credentials inside of text: an Authorization value, a compact
// JWS, one of our own keys and tokens, the password of a URL.
var secretText = regexp.MustCompile(`(?i:\b(?:bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{6,})` +
	`|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*` +
	`|\bgh[a-z]_[a-z0-9]+_[0-9A-Za-z]{16,}` +
	`|://[^/\s:@]*:[^/\s@]+@`)

func redactText(s string) string {
	// Most lines hold nothing of the kind; ask cheaply first.
	if !strings.Contains(s, "eyJ") && !strings.Contains(s, "gh") && !strings.Contains(s, "://") &&
		!strings.ContainsAny(s, "bBdD") {
		return s
	}
	return secretText.ReplaceAllString(s, redacted)
}

// member finds the members of JSON objects whose value is a string.
var member = regexp.MustCompile(`"((?:[^"\\]|\\.)*)":"(?:[^"\\]|\\.)*"`)

// redactMembers returns v as JSON, without the values of secret members.
func redactMembers(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("[%T]", v)
	}
	return member.ReplaceAllStringFunc(string(raw), func(m string) string {
		name, _, _ := strings.Cut(m[1:], `":`)
		if secretName(name) {
			return `"` + name + `":"` + redacted + `"`
		}
		return m
	})
}

// redact is the second net; the first is gatehouse.Secret.
func redact(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindGroup && secretName(a.Key) {
		return slog.String(a.Key, redacted)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); s != "" {
			if r := redactText(s); r != s {
				return slog.String(a.Key, r)
			}
		}
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			return slog.String(a.Key, redactText(v.Error()))
		case http.Header, *http.Request, *http.Response, url.Values, *http.Cookie, []*http.Cookie:
			return slog.String(a.Key, redacted) // credentials live here
		case *url.URL:
			if v == nil {
				return a
			}
			return slog.String(a.Key, (&url.URL{Scheme: v.Scheme, Host: v.Host, Path: v.Path}).String())
		case []byte:
			return slog.String(a.Key, redacted)
		case slog.Level, *slog.Source, nil: // the handler's own
		default:
			// JSON honours types that redact themselves, in structures too; the
			// text handler's way of printing does not.
			return slog.String(a.Key, redactText(redactMembers(v)))
		}
	}
	return a
}
