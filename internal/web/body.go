package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

var (
	ErrBodyTooLarge    = gatehouse.E(gatehouse.TooLarge, "body_too_large", "The request body is larger than this route accepts.")
	ErrContentType     = gatehouse.E(gatehouse.Unsupported, "content_type_unsupported", "The body must be of a content type that this route accepts.")
	ErrContentEncoding = gatehouse.E(gatehouse.Unsupported, "content_encoding_unsupported", "The body must not be compressed.")
	ErrBodyMissing     = gatehouse.E(gatehouse.Invalid, "body_missing", "A body is required.")
	ErrJSON            = gatehouse.E(gatehouse.Invalid, "json_invalid", "The body is not the JSON that is expected here.")
	errUnknownMember   = gatehouse.E(gatehouse.Invalid, "json_unknown_member", "The body has a member that is not known here.")
	ErrBodyUnreadable  = gatehouse.E(gatehouse.Invalid, "body_unreadable", "The body could not be read.")
)

// LimitBody bounds r.Body to limit bytes. A declared length above it is refused
// at once; a body that turns out longer fails while it is read, with an error
// that is answered with 413. w may be nil; with it, the server closes the
// connection after an overlong body.
func LimitBody(w http.ResponseWriter, r *http.Request, limit int64) error {
	if r.ContentLength > limit {
		return ErrBodyTooLarge
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(innermost(w), r.Body, limit)
	}
	return nil
}

// innermost is the writer under all that wrap it. The server's own alone can be told that
// the connection is to be closed, by a method that it does not export.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}

// ReadBody reads the whole body, at most limit bytes.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := LimitBody(w, r, limit); err != nil {
		return nil, err
	}
	if r.Body == nil {
		return nil, nil
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := io.Copy(&buf, r.Body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, ErrBodyTooLarge.With(err)
		}
		return nil, ErrBodyUnreadable.With(err)
	}
	return buf.Bytes(), nil
}

// JSONContentType checks that r declares exactly one media type, that it is JSON
// ("application/json" or one that ends in "+json"), and that nothing is said
// beside it but "charset=utf-8". RFC 8259 §11 defines no parameter, yet frameworks
// decode by the charset that is named: what is read as UTF-8 here would be
// something else there ("utf-7" hides quotes in plain ASCII).
func JSONContentType(r *http.Request) error {
	lines := r.Header["Content-Type"]
	if len(lines) != 1 || len(lines[0]) > 256 {
		return ErrContentType.With(errors.New("Content-Type must be there once, in at most 256 bytes"))
	}
	// "*" begins an extended or continued parameter (RFC 2231 §3, §4), which few parsers know.
	if strings.Contains(lines[0], "*") {
		return ErrContentType.With(errors.New("it has an extended parameter (RFC 2231)"))
	}
	mediaType, params, err := mime.ParseMediaType(lines[0])
	if err != nil {
		return ErrContentType.With(err)
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return ErrContentType.With(errors.New("it has a parameter beside charset=utf-8"))
		}
	}
	if mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return ErrContentType.With(fmt.Errorf("it is %.80q; a decision reads JSON", mediaType))
	}
	return nil
}

// ContentType checks that r declares exactly one of the media types in accept
// ("application/json"; "text/*" accepts a whole tree), with no charset but
// UTF-8 (ASVS 4.1.1). The name of a type compares without regard to case.
func ContentType(r *http.Request, accept ...string) error {
	lines := r.Header["Content-Type"]
	if len(lines) != 1 || len(lines[0]) > 256 {
		return ErrContentType.With(errors.New("Content-Type must be there once, in at most 256 bytes"))
	}
	mediaType, params, err := mime.ParseMediaType(lines[0])
	if err != nil {
		return ErrContentType.With(err)
	}
	if cs, ok := params["charset"]; ok && !strings.EqualFold(cs, "utf-8") {
		return ErrContentType.With(fmt.Errorf("its charset is %.40q, not UTF-8", cs))
	}
	for _, a := range accept {
		a = strings.ToLower(a)
		tree, wild := strings.CutSuffix(a, "/*")
		if a == mediaType || wild && (tree == "*" || strings.HasPrefix(mediaType, tree+"/")) {
			return nil
		}
	}
	return ErrContentType.With(fmt.Errorf("it is %.80q; accepted here: %s", mediaType, strings.Join(accept, ", ")))
}

// DecodeJSON reads the body of r, at most limit bytes, as one JSON value into dst. It refuses another content type, compression,
// duplicate and unknown members, names that differ in case, invalid UTF-8 and
// trailing data, and keeps numbers exact ([exactjson.Unmarshal]); so no other
// parser can have understood it differently.
func DecodeJSON(w http.ResponseWriter, r *http.Request, dst any, limit int64) error {
	if err := ContentType(r, "application/json"); err != nil {
		return err
	}
	if e := r.Header["Content-Encoding"]; len(e) > 0 && !(len(e) == 1 && strings.EqualFold(e[0], "identity")) {
		return ErrContentEncoding
	}
	body, err := ReadBody(w, r, limit)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return ErrBodyMissing
	}
	return UnmarshalStrict(body, dst)
}

// UnmarshalStrict is the decoding half of [DecodeJSON] for bytes at hand.
func UnmarshalStrict(body []byte, dst any) error {
	err := exactjson.Unmarshal(body, dst, exactjson.Strict())
	if err == nil {
		return nil
	}
	out := ErrJSON.With(err)
	if errors.Is(err, json.ErrUnknownName) {
		out = errUnknownMember.With(err)
	}
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic):
		what := "has not the form that is expected"
		var own *gatehouse.Error
		if errors.As(semantic.Err, &own) && own.Public != "" { // a type of ours says what it wants
			what = own.Public
		}
		out.Fields = fieldAt(string(semantic.JSONPointer), what)
	case errors.As(err, &syntactic):
		out.Fields = fieldAt(string(syntactic.JSONPointer), "is not valid JSON")
	}
	if errors.Is(err, json.ErrUnknownName) {
		for k := range out.Fields {
			out.Fields[k] = "is not known"
		}
	}
	return out
}

// fieldAt points at a member when its name is short and plain; a pointer is
// made of the caller's own names and must not carry anything else back.
func fieldAt(pointer, what string) map[string]string {
	if pointer == "" || len(pointer) > 100 {
		return nil
	}
	for _, c := range []byte(pointer) {
		if c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"' {
			return nil
		}
	}
	return map[string]string{pointer: what}
}

// WriteJSON sends v with the given status and Cache-Control: no-store.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}
