package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const maxJWKBytes = 64 << 10

// errUnusable marks a key that is well formed but not for checking signatures
// with an algorithm we know. Sets skip such keys (RFC 7517 §5).
var errUnusable = errors.New("not a signature key of a known kind")

// ParseOptions say what a caller is ready to accept as a key.
type ParseOptions struct {
	// Private accepts private and secret keys. Without it any private member,
	// and so any HMAC key, is refused: a private key where a public one belongs
	// is a leak to stop, not to use.
	Private bool
	// Algorithms binds keys that carry no alg: such a key gets the one listed
	// algorithm that its type fits, and is unusable when none or several fit.
	// EC and OKP keys need no help, their curve decides.
	Algorithms []Algorithm

	// vector spares HMAC keys the search for patterns of [CheckSecret]: published
	// vectors use patterns as keys, and guard nothing. Length still counts.
	vector bool
}

// wireKey is a JWK as sent (RFC 7517, 7518 §6, 8037). Members are pointers so
// that absent and empty differ. x5c, x5t, x5u are deliberately not read.
type wireKey struct {
	Kty    string          `json:"kty"`
	Kid    *string         `json:"kid"`
	Alg    *string         `json:"alg"`
	Use    *string         `json:"use"`
	KeyOps []string        `json:"key_ops"`
	Crv    string          `json:"crv"`
	X      *string         `json:"x"`
	Y      *string         `json:"y"`
	D      *string         `json:"d"`
	N      *string         `json:"n"`
	E      *string         `json:"e"`
	P      *string         `json:"p"`
	Q      *string         `json:"q"`
	DP     *string         `json:"dp"`
	DQ     *string         `json:"dq"`
	QI     *string         `json:"qi"`
	Oth    *jsontext.Value `json:"oth"`
	K      *string         `json:"k"`
}

// ParseJWK reads one JSON Web Key. It fails with jwk_invalid or jwk_weak.
func ParseJWK(data []byte, opt ParseOptions) (*Key, error) {
	if len(data) > maxJWKBytes {
		return nil, errKeyInvalid.With(errors.New("JWK larger than 64 KiB"))
	}
	w, err := decodeJWK(data)
	if err != nil {
		return nil, err
	}
	k, err := w.key(opt)
	if errors.Is(err, errUnusable) {
		return nil, errKeyInvalid.With(err)
	}
	return k, err
}

// UnmarshalPrivate reads what [Key.MarshalPrivate] wrote.
func UnmarshalPrivate(data []byte) (*Key, error) {
	k, err := ParseJWK(data, ParseOptions{Private: true})
	if err == nil && !k.CanSign() {
		return nil, errKeyInvalid.With(errors.New("not a private key"))
	}
	return k, err
}

func decodeJWK(data []byte) (*wireKey, error) {
	var w wireKey
	if !shallow(data) {
		return nil, errKeyInvalid.With(errors.New("JWK nests too deep"))
	}
	if err := json.Unmarshal(data, &w); err != nil { // refuses duplicates and bad UTF-8
		// The cause must not be kept: it may quote the key.
		return nil, errKeyInvalid.With(errors.New("JWK is not well-formed JSON of the right types"))
	}
	return &w, nil
}

func (w *wireKey) key(opt ParseOptions) (*Key, error) {
	if w.private() && !opt.Private {
		return nil, errKeyInvalid.With(errors.New("private or secret key where a public one is expected"))
	}
	if err := w.usable(); err != nil {
		return nil, err
	}
	alg, err := w.algorithm(opt.Algorithms)
	if err != nil {
		return nil, err
	}
	k := &Key{Algorithm: alg}
	if w.Kid != nil {
		if *w.Kid == "" || len(*w.Kid) > maxKIDBytes {
			return nil, errKeyInvalid.With(errors.New("kid is empty or too long"))
		}
		k.KID = *w.Kid
	}
	switch w.Kty {
	case "oct":
		err = w.oct(k, opt)
	case "RSA":
		err = w.rsa(k)
	case "EC":
		err = w.ec(k)
	case "OKP":
		err = w.okp(k)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (w *wireKey) private() bool {
	return w.D != nil || w.P != nil || w.Q != nil || w.DP != nil || w.DQ != nil || w.QI != nil || w.Oth != nil || w.K != nil
}

// usable checks use and key_ops (RFC 7517 §4.2, §4.3).
func (w *wireKey) usable() error {
	for i, op := range w.KeyOps {
		if slices.Contains(w.KeyOps[:i], op) {
			return errKeyInvalid.With(errors.New("key_ops names an operation twice"))
		}
	}
	if w.Use != nil && *w.Use != "sig" {
		return fmt.Errorf("use: %w", errUnusable)
	}
	if w.KeyOps == nil {
		return nil
	}
	signs := slices.Contains(w.KeyOps, "sign") && w.private()
	if !slices.Contains(w.KeyOps, "verify") && !signs {
		return fmt.Errorf("key_ops: %w", errUnusable)
	}
	for _, op := range w.KeyOps {
		if op != "sign" && op != "verify" {
			return errKeyInvalid.With(errors.New("key_ops mixes signatures with other uses"))
		}
	}
	return nil
}

// algorithm binds the key to one algorithm (RFC 8725 §3.1).
func (w *wireKey) algorithm(allowed []Algorithm) (Algorithm, error) {
	fits := func(a Algorithm) bool {
		kty, crv := a.keyType()
		return kty == w.Kty && crv == w.Crv
	}
	if w.Alg != nil {
		a, ok := ParseAlgorithm(*w.Alg)
		if !ok {
			return "", fmt.Errorf("alg: %w", errUnusable)
		}
		if !fits(a) {
			return "", errKeyInvalid.With(errors.New("alg does not fit the key's type and curve"))
		}
		return a, nil
	}
	candidates := allowed
	if w.Kty == "EC" || w.Kty == "OKP" {
		candidates = Algorithms()
	}
	var found Algorithm
	for _, a := range candidates {
		if !fits(a) || a.is(found) {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("no alg and several would fit: %w", errUnusable)
		}
		found = a
	}
	if found == "" {
		return "", fmt.Errorf("kty, crv or missing alg: %w", errUnusable)
	}
	return found, nil
}

// octets decodes a member; size > 0 demands exactly that many octets, so that a
// coordinate has one spelling.
func octets(member string, v *string, size int) ([]byte, error) {
	if v == nil {
		return nil, errKeyInvalid.With(errors.New("JWK lacks member " + member))
	}
	b, ok := decodeSegment(*v)
	if !ok {
		return nil, errKeyInvalid.With(errors.New("JWK member " + member + " is not strict base64url"))
	}
	if size > 0 && len(b) != size {
		return nil, errKeyInvalid.With(errors.New("JWK member " + member + " has the wrong length"))
	}
	return b, nil
}

// integer decodes a Base64urlUInt: no leading zero octet (RFC 7518 §2), at most
// 8192 bits.
func integer(member string, v *string) (*big.Int, error) {
	b, err := octets(member, v, 0)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 || b[0] == 0 || len(b) > maxRSABits/8 {
		return nil, errKeyInvalid.With(errors.New("JWK member " + member + " is not a canonical integer of at most 8192 bits"))
	}
	return new(big.Int).SetBytes(b), nil
}

func (w *wireKey) oct(k *Key, opt ParseOptions) error {
	b, err := octets("k", w.K, 0)
	if err != nil {
		return err
	}
	check := CheckSecret
	if opt.vector {
		check = checkSecret
	}
	if err := check(k.Algorithm, b); err != nil {
		return err
	}
	k.secret = b
	return nil
}

func (w *wireKey) rsa(k *Key) error {
	n, err := integer("n", w.N)
	if err != nil {
		return err
	}
	e, err := integer("e", w.E)
	if err != nil {
		return err
	}
	if e.BitLen() > 31 {
		return errKeyInvalid.With(errors.New("RSA exponent above 31 bits"))
	}
	k.rsa = &rsa.PublicKey{N: n, E: int(e.Int64())}
	if err := checkRSA(k.rsa); err != nil {
		return err
	}
	if !w.private() {
		return nil
	}
	if w.Oth != nil {
		return errKeyInvalid.With(errors.New("RSA keys of more than two primes are refused"))
	}
	var v [6]*big.Int
	for i, m := range [...]struct {
		name  string
		value *string
	}{{"d", w.D}, {"p", w.P}, {"q", w.Q}, {"dp", w.DP}, {"dq", w.DQ}, {"qi", w.QI}} {
		if v[i], err = integer(m.name, m.value); err != nil {
			return err
		}
	}
	p := &rsa.PrivateKey{PublicKey: *k.rsa, D: v[0], Primes: []*big.Int{v[1], v[2]}}
	if err := p.Validate(); err != nil {
		return errKeyInvalid.With(errors.New("RSA private members do not fit together"))
	}
	p.Precompute()
	if p.Precomputed.Dp.Cmp(v[3]) != 0 || p.Precomputed.Dq.Cmp(v[4]) != 0 || p.Precomputed.Qinv.Cmp(v[5]) != 0 {
		return errKeyInvalid.With(errors.New("RSA private members do not fit together"))
	}
	k.private = p
	return nil
}

func (w *wireKey) ec(k *Key) error {
	curve := k.Algorithm.curve()
	size := k.Algorithm.spec().hash.Size()
	if k.Algorithm == ES512 {
		size = 66 // P-521 is not P-512
	}
	x, err := octets("x", w.X, size)
	if err != nil {
		return err
	}
	y, err := octets("y", w.Y, size)
	if err != nil {
		return err
	}
	point := slices.Concat([]byte{4}, x, y)
	if k.ec, err = ecdsa.ParseUncompressedPublicKey(curve, point); err != nil {
		return errKeyInvalid.With(errors.New("the point is not on the curve"))
	}
	if !w.private() {
		return nil
	}
	d, err := octets("d", w.D, size)
	if err != nil {
		return err
	}
	p, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil || !p.PublicKey.Equal(k.ec) {
		return errKeyInvalid.With(errors.New("EC private member does not belong to the point"))
	}
	k.private = p
	return nil
}

func (w *wireKey) okp(k *Key) error {
	x, err := octets("x", w.X, ed25519.PublicKeySize)
	if err != nil {
		return err
	}
	k.ed = x
	if !w.private() {
		return nil
	}
	d, err := octets("d", w.D, ed25519.SeedSize)
	if err != nil {
		return err
	}
	p := ed25519.NewKeyFromSeed(d)
	if !bytes.Equal(p[ed25519.SeedSize:], x) {
		return errKeyInvalid.With(errors.New("Ed25519 private member does not belong to the public one"))
	}
	k.private = p
	return nil
}
