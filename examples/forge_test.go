package examples_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"
)

type object = map[string]any

// forger makes tokens out of the claims of a real one.
type forger struct {
	t      *testing.T
	h      *house
	claims object // of a real access token
}

func newForger(t *testing.T, h *house, real string) forger {
	t.Helper()
	f := forger{t: t, h: h}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(real, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&f.claims); err != nil {
		t.Fatal(err)
	}
	return f
}

func segment(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// with returns m with changes; a nil value removes the member.
func with(m, changes object) object {
	m = maps.Clone(m)
	for k, v := range changes {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	return m
}

// input is a header and claims, ready to be signed.
func (f forger) input(header, claims object) string {
	h := with(object{"alg": "ES256", "kid": facadeKID, "typ": "at+jwt"}, header)
	return segment(f.t, h) + "." + segment(f.t, with(f.claims, claims))
}

// sign makes a token that is right but for the changes: its key is published.
func (f forger) sign(header, claims object) string { return f.signWith(f.h.key, header, claims) }

func (f forger) signWith(key *ecdsa.PrivateKey, header, claims object) string {
	f.t.Helper()
	in := f.input(header, claims)
	sum := sha256.Sum256([]byte(in))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		f.t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return in + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func (f forger) hmac(secret []byte) string {
	in := f.input(object{"alg": "HS256"}, nil)
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(in))
	return in + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// forgeries are tokens that nobody may accept as access tokens.
func (f forger) forgeries(real string) map[string]string {
	f.t.Helper()
	now := time.Now().Unix()
	der, err := x509.MarshalPKIXPublicKey(&f.h.key.PublicKey)
	if err != nil {
		f.t.Fatal(err)
	}
	point, err := f.h.key.PublicKey.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	strangers := (&facade{key: stranger}).jwk(f.t)
	parts := strings.Split(real, ".")
	changed := segment(f.t, with(f.claims, object{"sub": "usr_somebody_else"}))
	bitten := []byte(parts[2])
	bitten[10] = 'A' + (bitten[10]-'A'+1)%26 // another letter, whatever it was
	out := map[string]string{
		"changed claims":               parts[0] + "." + changed + "." + parts[2],
		"changed signature":            parts[0] + "." + parts[1] + "." + string(bitten),
		"no signature":                 parts[0] + "." + parts[1] + ".",
		"two parts":                    parts[0] + "." + parts[1],
		"no token at all":              "x",
		"only dots":                    "..",
		"header is no object":          segment(f.t, []int{1}) + "." + parts[1] + "." + parts[2],
		"header nests too deep":        base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt","x":`+strings.Repeat("[", 7000))) + "." + parts[1] + "." + parts[2],
		"zero signature":               f.input(nil, nil) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"HS256 with the public PEM":    f.hmac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS256 with the public DER":    f.hmac(der),
		"HS256 with the public JWK":    f.hmac(f.h.jwk(f.t)),
		"HS256 with the public point":  f.hmac(point),
		"HS256 with nothing":           f.hmac(nil),
		"expired":                      f.sign(nil, object{"iat": now - 720, "exp": now - 120}),
		"never expires":                f.sign(nil, object{"exp": nil}),
		"not yet valid":                f.sign(nil, object{"nbf": now + 300}),
		"wrong audience":               f.sign(nil, object{"aud": "https://other.example"}),
		"wrong audiences":              f.sign(nil, object{"aud": []string{"https://other.example", f.h.URL + ".evil.example"}}),
		"no audience":                  f.sign(nil, object{"aud": nil}),
		"wrong issuer":                 f.sign(nil, object{"iss": "https://other.example"}),
		"issuer with a slash":          f.sign(nil, object{"iss": f.h.URL + "/"}),
		"no issuer":                    f.sign(nil, object{"iss": nil}),
		"no subject":                   f.sign(nil, object{"sub": nil}),
		"typ JWT":                      f.sign(object{"typ": "JWT"}, nil),
		"typ of an assertion":          f.sign(object{"typ": "gatehouse-assertion+jwt"}, nil),
		"no typ":                       f.sign(object{"typ": nil}, nil),
		"a stranger's signature":       f.signWith(stranger, nil, nil),
		"an unknown key":               f.signWith(stranger, object{"kid": "unknown"}, nil),
		"a key embedded in the header": f.signWith(stranger, object{"jwk": strangers}, nil),
		"a key embedded, no kid":       f.signWith(stranger, object{"jwk": strangers, "kid": nil}, nil),
		"kid that is a path":           f.signWith(stranger, object{"kid": "../../../../dev/null"}, nil),
		"unknown critical extension":   f.sign(object{"crit": []string{"x"}, "x": 1}, nil),
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		in := f.input(object{"alg": alg}, nil)
		out["alg "+alg] = in + "."
		out["alg "+alg+" with a signature"] = in + "." + parts[2]
	}
	return out
}
