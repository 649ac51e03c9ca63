package proof

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Type is the typ of a proof (RFC 9449 §4.2).
const Type = "dpop+jwt"

const (
	maxAge   = time.Minute      // how old a proof may be
	maxAhead = 10 * time.Second // by how much the client's clock may be ahead
	// maxID bounds jti, maxURL htu, in bytes.
	maxID  = 256
	maxURL = 4 << 10
)

var (
	// ErrInvalid refuses a proof, whatever is wrong with it; the cause says what (RFC 9449 §4.3, §5, §7.1).
	ErrInvalid = gatehouse.E(gatehouse.Unauthenticated, "invalid_dpop_proof", "The DPoP proof is missing, or not one for this request.")
	// ErrUseNonce asks for a proof with a nonce of ours (RFC 9449 §8, §9).
	ErrUseNonce = gatehouse.E(gatehouse.Unauthenticated, "use_dpop_nonce", "The DPoP proof must hold the nonce of the line DPoP-Nonce. Make another one with it.")

	errUnchecked = gatehouse.E(gatehouse.Unavailable, "proof_unchecked", "Whether the proof was used before cannot be told at the moment.")
)

// Algorithms are those of proofs. RS256 is not among them: it is what FAPI forbids, and what no client needs.
func Algorithms() []token.Algorithm {
	return []token.Algorithm{token.ES256, token.ES384, token.ES512, token.EdDSA, token.Ed25519, token.PS256, token.PS384, token.PS512}
}

// Request is what a proof must be for.
type Request struct {
	Method string
	URL    string // as the caller used it: behind a proxy, that of before the proxy. Query and fragment do not count
	// Token is the access token that comes with the proof, and Key the thumbprint that it is bound to; both empty
	// where a token is asked for.
	Token gatehouse.Secret
	Key   string
	// Nonce: the proof must hold a nonce of ours.
	Nonce bool
	// Algorithms by which it may be signed; nil for all of [Algorithms].
	Algorithms []token.Algorithm
}

// Proof is a proof that was verified.
type Proof struct {
	Key string // thumbprint of the key that was proven (RFC 7638)
	// Aging: it holds a nonce that will soon be too old. The answer should bring a new one.
	Aging bool
}

// Config of a [Verifier]. Every field without a default is required.
type Config struct {
	Seen   Seen
	Nonces *Nonces
	Now    func() time.Time // nil: time.Now
}

// Verifier verifies DPoP proofs. It is safe for concurrent use.
type Verifier struct{ c Config }

// NewVerifier checks c.
func NewVerifier(c Config) (*Verifier, error) {
	if c.Seen == nil || c.Nonces == nil {
		return nil, errors.New("proof: Seen and Nonces are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Verifier{c}, nil
}

// Nonce is what a client is to put into its next proof.
func (v *Verifier) Nonce() string { return v.c.Nonces.at(v.c.Now()) }

// claims are those of a proof (RFC 9449 §4.2).
type claims struct {
	ID     string         `json:"jti"`
	Method string         `json:"htm"`
	URL    string         `json:"htu"`
	Made   jsontext.Value `json:"iat"`
	Token  *string        `json:"ath"`
	Nonce  *string        `json:"nonce"`
}

// Verify checks what stands in the lines DPoP of a request (RFC 9449 §4.3), and uses the proof up. Errors: ErrInvalid,
// ErrUseNonce, and "proof_unchecked" (503).
func (v *Verifier) Verify(ctx context.Context, lines []string, r Request) (Proof, error) {
	if len(lines) != 1 { // 1
		return Proof{}, ErrInvalid.With(fmt.Errorf("there must be one line DPoP, and there are %d", len(lines)))
	}
	allowed := r.Algorithms
	if allowed == nil {
		allowed = Algorithms()
	}
	raw, key, err := token.OpenPossession(lines[0], Type, allowed...) // 2, 4 to 7
	if err != nil {
		return Proof{}, ErrInvalid.With(err)
	}
	var c claims
	if err := json.Unmarshal(raw, &c); err != nil { // its text would quote the proof
		return Proof{}, ErrInvalid.With(errors.New("the claims are not of their types, or one is there twice"))
	}
	p := Proof{Key: key.Thumbprint()}
	if err := v.check(c, p.Key, r); err != nil {
		return Proof{}, err
	}
	now := v.c.Now()
	made, ok := instant(c.Made)
	switch { // 11
	case !ok:
		return Proof{}, ErrInvalid.With(errors.New("iat is missing, or no time"))
	case made.Before(now.Add(-maxAge)), made.After(now.Add(maxAhead)):
		return Proof{}, ErrInvalid.With(fmt.Errorf("iat is %s, and it is %s", made.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	}
	if p.Aging, err = v.nonce(c.Nonce, r.Nonce, made, now); err != nil { // 10
		return Proof{}, err
	}
	first, err := v.c.Seen.First(ctx, usedKey(p.Key, c.ID), made.Add(maxAge)) // §11.1
	switch {
	case err != nil:
		return Proof{}, errUnchecked.With(err)
	case !first:
		return Proof{}, ErrInvalid.With(errors.New("it was used before"))
	}
	return p, nil
}

// check compares a proof with the request and the token that it came with.
func (v *Verifier) check(c claims, key string, r Request) error {
	switch { // 3, 8
	case c.ID == "" || len(c.ID) > maxID:
		return ErrInvalid.With(fmt.Errorf("jti is missing, or longer than %d bytes", maxID))
	case c.Method != r.Method:
		return ErrInvalid.With(fmt.Errorf("htm is %.40q, and the method is %s", c.Method, r.Method))
	}
	theirs, ok1 := normalURL(c.URL) // 9
	ours, ok2 := normalURL(r.URL)
	if !ok1 || !ok2 || theirs != ours {
		return ErrInvalid.With(fmt.Errorf("htu is not the URL of the request, %.300q", ours))
	}
	if r.Token == "" { // where a token is asked for, one that is named means nothing
		return nil
	}
	sum := sha256.Sum256([]byte(r.Token.Reveal()))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	switch { // 12
	case c.Token == nil || subtle.ConstantTimeCompare([]byte(*c.Token), []byte(want)) != 1:
		return ErrInvalid.With(errors.New("ath is missing, or that of another token"))
	case r.Key == "" || subtle.ConstantTimeCompare([]byte(key), []byte(r.Key)) != 1:
		return ErrInvalid.With(errors.New("it is by another key than the token's"))
	}
	return nil
}

// nonce checks the nonce of a proof. Without being demanded it may be missing, unless what the proof was used for may
// be forgotten; one that is there must be ours and young.
func (v *Verifier) nonce(theirs *string, demanded bool, made, now time.Time) (aging bool, err error) {
	since := v.c.Seen.Since()
	forgotten := !made.After(since.Add(maxAhead))
	switch {
	case theirs == nil && (demanded || forgotten):
		return false, ErrUseNonce.With(errors.New("there is none"))
	case theirs == nil:
		return false, nil
	}
	at, ok := v.c.Nonces.open(*theirs, now)
	if !ok || forgotten && at.Before(since) {
		return false, ErrUseNonce.With(errors.New("it is not one of ours, or too old"))
	}
	return now.Sub(at) > nonceLife/2, nil
}

// usedKey is under what a proof is remembered: its id counts among those of its key (RFC 9449 §11.1).
func usedKey(key, id string) [sha256.Size]byte { return sha256.Sum256([]byte(key + "\x00" + id)) }

// instant reads a NumericDate (RFC 7519 §2), to the second.
func instant(v jsontext.Value) (time.Time, bool) {
	whole, _, _ := strings.Cut(string(v), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	return time.Unix(n, 0), v.Kind() == '0' && err == nil && n >= 0 && n < 1<<36
}
