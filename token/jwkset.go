package token

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxSetBytes = 512 << 10
	maxSetKeys  = 100
)

// KeySource finds the key that a header names. It may be called for every
// verification and by many goroutines at once. kid is the attacker's choice: it
// may be compared, never interpreted. The verifier compares the algorithm again.
type KeySource interface {
	Key(kid string, alg Algorithm) (*Key, error)
}

// KeySet is an immutable set of keys; it is a [KeySource].
type KeySet struct {
	keys  []*Key
	byKID map[string]*Key
}

// NewKeySet makes a set. It refuses two keys of one kid, and HMAC keys beside
// public keys: a verifier that holds both is one mistake away from taking a
// public key for a shared secret.
func NewKeySet(keys ...*Key) (*KeySet, error) {
	s := &KeySet{keys: keys, byKID: make(map[string]*Key, len(keys))}
	symmetric := 0
	for _, k := range keys {
		if k.Algorithm.Symmetric() {
			symmetric++
		}
		if k.KID == "" {
			continue
		}
		if s.byKID[k.KID] != nil {
			return nil, errKeySet.With(errors.New("two keys have the same kid"))
		}
		s.byKID[k.KID] = k
	}
	if symmetric != 0 && symmetric != len(keys) {
		return nil, errKeySet.With(errors.New("the set mixes HMAC keys with public keys"))
	}
	return s, nil
}

// ParseJWKSet reads a JWK Set (RFC 7517 §5). Keys that are not for signatures or
// of a kind we do not know are skipped, but take part in the checks for equal
// kids and for mixing HMAC keys with public ones. A key that is malformed, weak
// or unexpectedly private fails the whole set, and so does a set without any
// usable key.
func ParseJWKSet(data []byte, opt ParseOptions) (*KeySet, error) {
	if len(data) > maxSetBytes {
		return nil, errKeySet.With(errors.New("JWK Set larger than 512 KiB"))
	}
	if !shallow(data) {
		return nil, errKeySet.With(errors.New("JWK Set nests too deep"))
	}
	var w struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, errKeySet.With(errors.New("JWK Set is not well-formed JSON of the right types"))
	}
	if len(w.Keys) == 0 || len(w.Keys) > maxSetKeys {
		return nil, errKeySet.With(fmt.Errorf("JWK Set must hold 1 to %d keys", maxSetKeys))
	}
	var keys []*Key
	kids := make(map[string]bool, len(w.Keys))
	symmetric := 0
	for i, raw := range w.Keys {
		wk, err := decodeJWK(raw)
		if err != nil {
			return nil, errKeySet.With(fmt.Errorf("key %d: %w", i, err))
		}
		if wk.Kty == "oct" {
			symmetric++
		}
		if wk.Kid != nil {
			if kids[*wk.Kid] {
				return nil, errKeySet.With(errors.New("two keys have the same kid"))
			}
			kids[*wk.Kid] = true
		}
		k, err := wk.key(opt)
		if errors.Is(err, errUnusable) {
			continue
		}
		if err != nil {
			return nil, errKeySet.With(fmt.Errorf("key %d: %w", i, err))
		}
		keys = append(keys, k)
	}
	if symmetric != 0 && symmetric != len(w.Keys) {
		return nil, errKeySet.With(errors.New("the set mixes HMAC keys with public keys"))
	}
	if len(keys) == 0 {
		return nil, errKeySet.With(errors.New("the set holds no usable signature key"))
	}
	return NewKeySet(keys...)
}

// Key returns the key of that kid. Without a kid in the header, or for keys
// without one, the key must be the only one of that algorithm: trying several
// would make one token mean several things.
func (s *KeySet) Key(kid string, alg Algorithm) (*Key, error) {
	if kid != "" {
		if k := s.byKID[kid]; k != nil {
			return k, nil
		}
	}
	var found *Key
	for _, k := range s.keys {
		if !k.Algorithm.is(alg) || (kid != "" && k.KID != "") {
			continue
		}
		if found != nil {
			return nil, errKeyUnknown.With(errors.New("several keys would fit"))
		}
		found = k
	}
	if found == nil {
		return nil, errKeyUnknown
	}
	return found, nil
}

// Keys returns the keys of the set, in its order. The slice must not be changed.
func (s *KeySet) Keys() []*Key { return s.keys }

// MarshalJWKSet returns the public halves of keys as a JWK Set. HMAC keys are
// left out.
func MarshalJWKSet(keys []*Key) []byte {
	out := []byte(`{"keys":[`)
	first := true
	for _, k := range keys {
		j := k.PublicJWK()
		if j == nil {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, j...)
	}
	return append(out, "]}"...)
}
