package token

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxPossessionBytes bounds a token of [OpenPossession]: an RSA key and signature of 8192 bits fit.
const MaxPossessionBytes = 8 << 10

// OpenPossession verifies a compact token that brings the public key that signed it in its header (RFC 7515 §4.1.3), as
// a DPoP proof does (RFC 9449 §4.2), and returns its claims, a JSON object of which nothing was checked, and the key. It
// says that whoever made the token has the key, and not whose key that is. Errors are of kind Unauthenticated.
func OpenPossession(compact, typ string, allowed ...Algorithm) (jsontext.Value, *Key, error) {
	if len(compact) > MaxPossessionBytes {
		return nil, nil, ErrTooLarge
	}
	head, rest, _ := strings.Cut(compact, ".")
	body, tail, ok := strings.Cut(rest, ".")
	if !ok { // a third dot is no base64url
		return nil, nil, errMalformed
	}
	raw, ok1 := decodeSegment(head)
	claims, ok2 := decodeSegment(body)
	sig, ok3 := decodeSegment(tail)
	if !ok1 || !ok2 || !ok3 {
		return nil, nil, errMalformed
	}
	h, err := readHeader(raw, true)
	if err != nil {
		return nil, nil, err
	}
	set, ok := setOf(allowed)
	switch {
	case !ok || !set.has(h.alg) || h.alg.Symmetric(): // nobody proves anything by a secret that he sends along
		return nil, nil, errAlgorithm.With(fmt.Errorf("alg is %s; accepted here: %s", h.alg, set))
	case h.typ != mediaType(typ):
		return nil, nil, errType.With(fmt.Errorf("typ is %.60q; accepted here: %q", h.typ, typ))
	case h.key == nil:
		return nil, nil, ErrKeyUnknown.With(errors.New("there is no jwk in the header"))
	}
	key, err := ParseJWK(h.key, ParseOptions{Algorithms: []Algorithm{h.alg}}) // refuses private members
	if err != nil {
		return nil, nil, err
	}
	if !key.Algorithm.is(h.alg) {
		return nil, nil, errAlgorithm.With(errors.New("the key is for another algorithm"))
	}
	if !key.verify([]byte(compact[:len(head)+1+len(body)]), sig) {
		return nil, nil, errSignature
	}
	if !shallow(claims) || firstByte(claims) != '{' {
		return nil, nil, errMalformed.With(errors.New("claims are not a JSON object, or nest too deep"))
	}
	return claims, key, nil
}
