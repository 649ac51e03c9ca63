package token

import (
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxVectorBytes bounds one line for [VerifyVector].
const MaxVectorBytes = 1 << 20

// VerifyVector checks one test vector, a JSON object with the member jws and
// either jwk or jwks; other members are ignored. It applies the rules of a
// [Verifier] for keys, headers and signatures through the same code, with every
// algorithm allowed and any typ, and none of the rules for claims: the payload
// need not be JSON. reason says why a vector is not valid.
//
// A key without alg is bound to the algorithm in the header if its type fits.
func VerifyVector(line []byte) (valid bool, reason string) {
	if len(line) > MaxVectorBytes {
		return false, "the line is longer than 1 MiB"
	}
	if !shallow(line) {
		return false, "the line nests too deep"
	}
	var v struct {
		JWK  jsontext.Value `json:"jwk"`
		JWKS jsontext.Value `json:"jwks"`
		JWS  jsontext.Value `json:"jws"`
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return false, "the line is not a JSON object with jws and jwk or jwks"
	}
	if (v.JWK == nil) == (v.JWKS == nil) {
		return false, "exactly one of jwk and jwks is needed"
	}
	if v.JWS.Kind() != '"' {
		return false, "jws is not in the compact serialization"
	}
	var jws string
	if err := json.Unmarshal(v.JWS, &jws); err != nil {
		return false, "jws is not a string"
	}
	opt := ParseOptions{Private: true, vector: true}
	if h, err := unverifiedHeader(jws); err == nil {
		opt.Algorithms = []Algorithm{h.alg}
	}
	set, err := vectorKeys(v.JWK, v.JWKS, opt)
	if err != nil {
		return false, explain(err)
	}
	all, _ := setOf(Algorithms())
	o := opener{allowed: all, keys: set, maxBytes: DefaultMaxBytes}
	if _, _, err := o.open(jws); err != nil {
		return false, explain(err)
	}
	return true, ""
}

func vectorKeys(jwk, jwks jsontext.Value, opt ParseOptions) (*KeySet, error) {
	if jwks != nil {
		return ParseJWKSet(jwks, opt)
	}
	k, err := ParseJWK(jwk, opt)
	if err != nil {
		return nil, err
	}
	return NewKeySet(k)
}

// explain gives the code of err and the rule behind it. Causes in this package
// never quote keys or tokens.
func explain(err error) string {
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		return gatehouse.CodeOf(err)
	}
	if e.Cause == nil {
		return e.Code
	}
	return e.Code + ": " + explainCause(e.Cause)
}

func explainCause(err error) string {
	var e *gatehouse.Error
	if errors.As(err, &e) {
		return explain(e)
	}
	return err.Error()
}
