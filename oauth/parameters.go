package oauth

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// MaxBody bounds the body of a request, in bytes.
const MaxBody = 16 << 10

// Parameters are those of one request; a parameter that is absent reads as "".
type Parameters map[string]string

// HasBody reports whether r brings a body at all.
func HasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// ReadForm reads an urlencoded body in which no parameter is given twice (RFC
// 6749 §3.2).
func ReadForm(w http.ResponseWriter, r *http.Request) (Parameters, error) {
	out, _, err := ReadValues(w, r)
	return out, err
}

// ReadValues is [ReadForm] for a form in which some parameters may be repeated (RFC 8707 §2): values has them all, and
// Parameters the others.
func ReadValues(w http.ResponseWriter, r *http.Request, repeated ...string) (Parameters, url.Values, error) {
	if err := web.ContentType(r, "application/x-www-form-urlencoded"); err != nil {
		return nil, nil, err
	}
	body, err := web.ReadBody(w, r, MaxBody)
	if err != nil {
		return nil, nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, nil, errRequest // its text would quote the input
	}
	out := make(Parameters, len(form))
	for name, values := range form {
		if slices.Contains(repeated, name) {
			continue
		}
		if len(values) > 1 {
			return nil, nil, errRequest
		}
		if values[0] != "" { // without a value it is as good as left out
			out[name] = values[0]
		}
	}
	return out, form, nil
}
