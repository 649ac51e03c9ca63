package token

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxHeaderBytes = 4 << 10
	maxKIDBytes    = 512
)

// header is what a verifier uses of a protected header.
type header struct {
	alg Algorithm
	kid string
	typ string // normalised by mediaType
	// key is the token's own public key, nil where tokens may bring none.
	key jsontext.Value
}

// parseHeader reads the JOSE header (RFC 7515 §4). A member that would name or
// carry a key, or change what is signed, refuses the token: none of them is
// needed by tokens we accept, and ignoring them has been the start of many
// attacks. Members we do not know are ignored, as §4 asks; those registered as
// strings must be strings even where we do not use them (cty, x5t).
func parseHeader(b []byte) (header, error) { return readHeader(b, false) }

// readHeader is [parseHeader]; with withKey, the token may bring its own key (jwk), which then proves that somebody
// has it and nothing else.
func readHeader(b []byte, withKey bool) (header, error) {
	var h header
	if len(b) > maxHeaderBytes || !shallow(b) {
		return h, errMalformed
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(b)) // refuses duplicate names and bad UTF-8
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return h, errMalformed.With(errors.New("header is not a JSON object"))
	}
	for {
		name, err := dec.ReadToken()
		if err != nil {
			return h, errMalformed.With(err)
		}
		if name.Kind() == '}' {
			break
		}
		if name.String() == "jwk" && withKey {
			if h.key, err = dec.ReadValue(); err != nil {
				return h, errMalformed.With(err)
			}
			h.key = h.key.Clone()
			continue
		}
		if err := h.member(name.String(), dec); err != nil {
			return h, err
		}
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return h, errMalformed.With(errors.New("text after the header"))
	}
	if h.alg == "" {
		return h, errAlgorithm.With(errors.New("no alg in the header"))
	}
	return h, nil
}

func (h *header) member(name string, dec *jsontext.Decoder) error {
	switch name {
	case "crit", "b64", "zip", "jku", "jwk", "x5u", "x5c":
		return errMalformed.With(errors.New("header member " + name + " is refused"))
	case "alg", "kid", "typ", "cty", "x5t", "x5t#S256":
	default:
		if err := dec.SkipValue(); err != nil {
			return errMalformed.With(err)
		}
		return nil
	}
	t, err := dec.ReadToken()
	if err != nil || t.Kind() != '"' {
		return errMalformed.With(errors.New("header member " + name + " is not a string"))
	}
	value := t.String()
	switch name {
	case "alg":
		a, ok := ParseAlgorithm(value)
		if !ok {
			return errAlgorithm.With(fmt.Errorf("alg is %.40q", value))
		}
		h.alg = a
	case "kid":
		if len(value) > maxKIDBytes {
			return errMalformed.With(errors.New("kid is too long"))
		}
		h.kid = value
	case "typ":
		h.typ = mediaType(value)
	}
	return nil
}

// mediaType brings a typ value into the form in which types are compared: lower
// case, without the optional "application/" (RFC 7515 §4.1.9). Only A-Z are
// folded: media types are ASCII, and folding more would let foreign letters
// (the Kelvin sign for k) pass.
func mediaType(s string) string {
	lower := []byte(s)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	t := string(lower)
	if rest, ok := strings.CutPrefix(t, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return t
}
