package oracles

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
)

// member is one member of a JSON object as text, so that the text may be wrong.
type member struct{ name, value string }

// draft is a token before it is signed, then its text.
type draft struct {
	r              *rand.Rand
	w              *worlds
	world          *world
	header, claims []member
	key            *testKey // signs
	alg            string   // how it signs
	secret         []byte   // instead of the key: HMAC with this
	headerText     func(string) string
	claimsText     func(string) string
	signature      func(input, sig []byte) []byte
	text           string
	done           []string // names of what was done to it
}

// mix is how often each algorithm is drawn, of 1000: the costly ones seldom.
var mix = []struct {
	kid    string
	weight int
}{{"hs256", 560}, {"hs384", 50}, {"hs512", 50}, {"ed25519", 130}, {"es256", 130}, {"rs256", 40}, {"ps256", 20},
	{"rs384", 4}, {"rs512", 4}, {"ps384", 4}, {"ps512", 4}, {"es384", 3}, {"es512", 1}}

// generate makes token i of a seed: one in eight is good, the others have one to
// three things done to them.
func (w *worlds) generate(seed, i uint64) *draft {
	d := &draft{r: rand.New(rand.NewPCG(seed, i)), w: w}
	n := d.r.IntN(1000)
	for _, m := range mix {
		if n -= m.weight; n < 0 {
			d.key = w.all[m.kid]
			break
		}
	}
	d.alg = d.key.alg
	d.world = w.asymmetric
	if _, ok := d.key.raw.([]byte); ok {
		d.world = w.symmetric
	}
	spread := 1_000_000
	if d.costly() {
		spread = 8 // few different texts, of which the signatures are kept
	}
	n = d.r.IntN(spread)
	d.header = []member{{"alg", quote(d.alg)}, {"kid", quote(d.key.kid)}, {"typ", `"at+jwt"`}}
	d.claims = []member{{"iss", quote(issuer)}, {"sub", `"usr_` + strconv.Itoa(n%1000) + `"`}, {"aud", quote(audience)},
		{"exp", strconv.Itoa(now + 1 + n%600)}, {"iat", strconv.Itoa(now - n%600)}, {"jti", `"tok_` + strconv.Itoa(n) + `"`}}
	count := [...]int{0, 1, 1, 1, 1, 1, 2, 3}[d.r.IntN(8)]
	// RSA signs slowly: what must be signed anew is done to one in twenty of them.
	before := !d.costly() || d.r.IntN(20) == 0
	var after []mutation
	for range count {
		if before && d.r.IntN(5) < 3 {
			m := beforeSigning[d.r.IntN(len(beforeSigning))]
			m.do(d)
			d.done = append(d.done, m.name)
		} else {
			after = append(after, afterSigning[d.r.IntN(len(afterSigning))])
		}
	}
	d.sign()
	for _, m := range after {
		if d.text == "" {
			break // another took all of it
		}
		m.do(d)
		d.done = append(d.done, m.name)
	}
	return d
}

// costly reports whether signing takes a millisecond.
func (d *draft) costly() bool {
	_, ok := d.key.raw.(*rsa.PrivateKey)
	return ok
}

// signed signs, or remembers what an RSA key has signed before.
func (w *worlds) signed(k *testKey, alg, input string) []byte {
	if _, ok := k.raw.(*rsa.PrivateKey); !ok || len(input) > 400 {
		return k.sign(alg, []byte(input))
	}
	name := k.kid + " " + alg + " " + input
	if sig, ok := w.signatures.Load(name); ok {
		return sig.([]byte)
	}
	sig := k.sign(alg, []byte(input))
	w.signatures.Store(name, sig)
	return sig
}

func (d *draft) sign() {
	h, c := join(d.header), join(d.claims)
	if d.headerText != nil {
		h = d.headerText(h)
	}
	if d.claimsText != nil {
		c = d.claimsText(c)
	}
	input := b64.EncodeToString([]byte(h)) + "." + b64.EncodeToString([]byte(c))
	var sig []byte
	if d.secret != nil {
		sig = mac(hashOf(d.alg), d.secret, []byte(input))
	} else {
		sig = d.w.signed(d.key, d.alg, input)
	}
	if d.signature != nil {
		sig = d.signature([]byte(input), sig)
	}
	d.text = input + "." + b64.EncodeToString(sig)
}

func mac(h crypto.Hash, secret, input []byte) []byte {
	m := hmac.New(h.New, secret)
	m.Write(input)
	return m.Sum(nil)
}

func fromDER(der []byte) (r, s *big.Int) {
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		panic(err)
	}
	return v.R, v.S
}

func toDER(r, s *big.Int) []byte {
	out, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(err)
	}
	return out
}

func join(members []member) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(m.name) + ":" + m.value)
	}
	b.WriteByte('}')
	return b.String()
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// set replaces a member, or adds it; "" removes it.
func set(members []member, name, value string) []member {
	for i := range members {
		if members[i].name == name {
			if value == "" {
				return append(members[:i:i], members[i+1:]...)
			}
			members[i].value = value
			return members
		}
	}
	if value == "" {
		return members
	}
	return append(members, member{name, value})
}
