package token

import (
	"crypto"
	"errors"
	"fmt"
	"slices"

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

// KeyHolder tells whether a key is one of a set, by the key itself. The error is of kind Unavailable where nobody knows.
type KeyHolder interface {
	Holds(pub crypto.PublicKey) (bool, error)
}

// KeySet is an immutable set of keys; it is a [KeySource] and a [KeyHolder].
type KeySet struct {
	keys  []*Key
	byKID map[string][]*Key // several of one kid are of different algorithms
}

// NewKeySet makes a set. It refuses two keys of one kid, and HMAC keys beside
// public keys: a verifier that holds both is one mistake away from taking a
// public key for a shared secret.
func NewKeySet(keys ...*Key) (*KeySet, error) {
	s := &KeySet{keys: keys, byKID: make(map[string][]*Key, len(keys))}
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
		s.byKID[k.KID] = []*Key{k}
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
// usable key. It is for a set that somebody hands us and can mend;
// [ParsePublishedJWKSet] reads those of others.
func ParseJWKSet(data []byte, opt ParseOptions) (*KeySet, error) {
	list, err := splitSet(data)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	kids := make(map[string]bool, len(list))
	symmetric := 0
	for i, raw := range list {
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
	if symmetric != 0 && symmetric != len(list) {
		return nil, errKeySet.With(errors.New("the set mixes HMAC keys with public keys"))
	}
	if len(keys) == 0 {
		return nil, errNoUsableKey
	}
	return NewKeySet(keys...)
}

// ParsePublishedJWKSet reads a JWK Set that an issuer publishes. A key that is
// malformed, weak, private, secret or not for signatures is left out, and told in
// skipped: one bad key must not take away the issuer's good ones (RFC 7517 §5).
// Keys of one kid stay when their algorithms differ (§4.5); when they do not, none
// of them stays, because nobody can tell which is meant. algorithms is as in
// [ParseOptions]. A set that is no JSON of the right form, or holds no usable key,
// is an error.
func ParsePublishedJWKSet(data []byte, algorithms []Algorithm) (set *KeySet, skipped []error, err error) {
	list, err := splitSet(data)
	if err != nil {
		return nil, nil, err
	}
	s := &KeySet{byKID: make(map[string][]*Key, len(list))}
	var keys []*Key
	for i, raw := range list {
		wk, err := decodeJWK(raw)
		var k *Key
		if err == nil {
			k, err = wk.key(ParseOptions{Algorithms: algorithms})
		}
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		keys = append(keys, k)
	}
	twin := func(k *Key) bool {
		return k.KID != "" && slices.ContainsFunc(keys, func(o *Key) bool { return o != k && o.KID == k.KID && o.Algorithm.is(k.Algorithm) })
	}
	for _, k := range keys {
		if twin(k) {
			skipped = append(skipped, errors.New("two keys have the same kid and algorithm"))
			continue
		}
		s.keys = append(s.keys, k)
		if k.KID != "" {
			s.byKID[k.KID] = append(s.byKID[k.KID], k)
		}
	}
	if len(s.keys) == 0 {
		return nil, skipped, errNoUsableKey
	}
	return s, skipped, nil
}

var errNoUsableKey = errKeySet.With(errors.New("the set holds no usable signature key"))

// splitSet reads the list of keys of a set, and nothing of the keys.
func splitSet(data []byte) ([]jsontext.Value, error) {
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
	return w.Keys, nil
}

// Key returns the key of that kid. Without a kid in the header, or for keys
// without one, the key must be the only one of that algorithm: trying several
// would make one token mean several things.
func (s *KeySet) Key(kid string, alg Algorithm) (*Key, error) {
	if kid != "" {
		for _, k := range s.byKID[kid] {
			if k.Algorithm.is(alg) {
				return k, nil
			}
		}
		if other := s.byKID[kid]; len(other) > 0 {
			return other[0], nil // the verifier tells that the algorithm is wrong
		}
	}
	var found *Key
	for _, k := range s.keys {
		if !k.Algorithm.is(alg) || (kid != "" && k.KID != "") {
			continue
		}
		if found != nil {
			return nil, ErrKeyUnknown.With(errors.New("several keys would fit"))
		}
		found = k
	}
	if found == nil {
		return nil, ErrKeyUnknown
	}
	return found, nil
}

// Holds implements [KeyHolder].
func (s *KeySet) Holds(pub crypto.PublicKey) (bool, error) {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return k.Is(pub) }), nil
}

// Has reports whether a key of the set is for an algorithm, under either of its names.
func (s *KeySet) Has(a Algorithm) bool {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return k.Algorithm.is(a) })
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
