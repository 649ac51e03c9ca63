package adminhttp

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// format is how bodies are read and written. It is the one place where a
// [gatehouse.Secret] is written out: on its way to the one who may see it once.
func format() huma.Format {
	reveal := json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, s gatehouse.Secret) error {
		return enc.WriteToken(jsontext.String(s.Reveal()))
	}))
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			return json.MarshalWrite(w, v, reveal, json.Deterministic(true))
		},
		// Called twice for each body: into an any for the schema's validation, then
		// into the type. The validation names unknown members, but takes a known one in
		// another letter case for the known one; the type refuses that.
		Unmarshal: func(data []byte, v any) error {
			err := web.UnmarshalStrict(data, v)
			if tree, ok := v.(*any); ok && err == nil && hasNUL(*tree) {
				return errJSON
			}
			var e *gatehouse.Error
			if !errors.As(err, &e) {
				return err
			}
			for pointer, what := range e.Fields { // one at most
				return &memberFault{strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", "."), what}
			}
			return errJSON // the parser's text quotes the input
		},
	}
}

var errJSON = errors.New("is not the JSON that is expected here")

// memberFault says which member of a body cannot be read, and why. The router hands
// on its text only.
type memberFault struct{ member, what string }

func (f *memberFault) Error() string { return f.member + ": " + f.what }

// fieldOf finds the member that an error of the router is about.
func fieldOf(d *huma.ErrorDetail) (member, what string, ok bool) {
	member, what = strings.TrimPrefix(d.Location, "body."), d.Message
	if m, w, cut := strings.Cut(what, ": "); cut && d.Location == "body" {
		member, what = m, w
	}
	return member, what, plainPlace(member)
}

// hasNUL finds NUL in any string: one database stores it, the other refuses it.
func hasNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		for _, x := range v {
			if hasNUL(x) {
				return true
			}
		}
	case map[string]any:
		for k, x := range v {
			if strings.ContainsRune(k, 0) || hasNUL(x) {
				return true
			}
		}
	}
	return false
}

// failure carries an error of a use case through the router.
type failure struct {
	err error
	who *gatehouse.Principal // nil for nobody
}

func (f *failure) Error() string             { return gatehouse.CodeOf(f.err) }
func (f *failure) Unwrap() error             { return f.err }
func (f *failure) GetStatus() int            { return web.StatusOf(f.err) }
func (f *failure) ContentType(string) string { return "application/problem+json" }

// GetHeaders gives the lines that the status asks for.
func (f *failure) GetHeaders() http.Header {
	h := http.Header{}
	e := web.Classify(f.err)
	if f.GetStatus() == http.StatusUnauthorized {
		realm, why := gatehouse.MainRealm, error(authn.ErrNone)
		if f.who.Authenticated() {
			realm = f.who.Realm // where a better credential comes from
		}
		if gatehouse.CodeOf(f.err) == authn.CodeStepUp { // what it takes, for programs (RFC 9470 §3)
			why = f.err
		}
		h["Www-Authenticate"] = authn.Challenges(realm, []gatehouse.Scheme{gatehouse.SchemeJWT}, why)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", web.RetryAfter(e.RetryAfter))
	}
	return h
}

// asProblem turns every error body, the router's own too, into ours. The
// router's holds what was sent ("value"), which must not come back.
func (a *API) asProblem(ctx huma.Context, _ string, v any) (any, error) {
	id := gatehouse.RequestIDFrom(ctx.Context())
	switch v := v.(type) {
	case *failure:
		if v.GetStatus() == http.StatusInternalServerError && a.c.Problems.Logger != nil {
			a.c.Problems.Logger.ErrorContext(ctx.Context(), "internal error", slog.String("request_id", id), slog.Any("error", v.err))
		}
		return a.c.Problems.ProblemOf(v.err, id), nil
	case *huma.ErrorModel:
		return a.c.Problems.ProblemOf(fromRouter(v), id), nil
	}
	return v, nil
}

// fromRouter gives a failure of decoding or validation its code. Of the texts,
// those about a member are made from the schema and may be shown.
func fromRouter(m *huma.ErrorModel) *gatehouse.Error {
	switch m.Status {
	case http.StatusBadRequest:
		return web.ErrJSON
	case http.StatusRequestEntityTooLarge:
		return web.ErrBodyTooLarge
	case http.StatusUnsupportedMediaType, http.StatusNotAcceptable:
		return web.ErrContentType
	case http.StatusRequestTimeout:
		return web.ErrBodyUnreadable
	case http.StatusUnprocessableEntity:
		e := *kernel.ErrInput
		e.Fields = map[string]string{}
		for _, d := range m.Errors {
			if d == nil || len(e.Fields) == 50 {
				continue
			}
			if member, what, ok := fieldOf(d); ok {
				e.Fields[member] = what
			}
		}
		return &e
	}
	return gatehouse.ErrInternal
}

// plainPlace accepts the places that may be named back: they contain names that
// the caller chose.
func plainPlace(s string) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return true
}
