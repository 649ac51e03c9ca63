package oracles

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

type mutation struct {
	name string
	do   func(d *draft)
}

// algNames are headers' alg values, as JSON.
var algNames = []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"none "`, `""`, `"HS256"`, `"HS384"`, `"HS512"`, `"RS256"`, `"RS512"`, `"PS256"`, `"PS384"`,
	`"ES256"`, `"ES384"`, `"ES512"`, `"ES256K"`, `"EdDSA"`, `"Ed25519"`, `"Ed448"`, `"hs256"`, `"HS256 "`, `"HS256\u0000"`, `"\u0048S256"`, `"E\u0053256"`, `null`, `1`, `["HS256"]`,
	`{"alg":"HS256"}`, `true`, `"HS1"`, `"A256GCM"`, `"dir"`, `"RSA-OAEP"`, `"ES256\n"`, `"ＨS256"`}

var (
	kids = []string{`"hs256"`, `"hs384"`, `"es256"`, `"ed25519"`, `"rs256"`, `"ps256"`, `"rs512"`, `"weak-hs256"`, `"weak-rs256"`, `"x"`, `""`, `null`, `1`, `["es256"]`, ``,
		`"../../dev/null"`, `"x' UNION SELECT 'k'--"`, `"hs256\u0000"`, `"HS256"`, `" hs256"`, `"\u0068s256"`, `"https://evil.example/k"`}
	typs = []string{`"JWT"`, `"jwt"`, `"at+JWT"`, `"application/at+jwt"`, `"APPLICATION/JWT"`, `"dpop+jwt"`, `"logout+jwt"`, `"refresh"`, ``, `null`, `1`, `""`, `["JWT"]`, `"JWT "`, `"\u212aWT"`}

	extraHeaders = []member{{"crit", `["exp"]`}, {"crit", `[]`}, {"crit", `["b64"]`}, {"crit", `["x"]`}, {"crit", `null`}, {"crit", `"exp"`}, {"b64", `true`}, {"b64", `false`}, {"b64", `1`},
		{"zip", `"DEF"`}, {"zip", `null`}, {"jku", `"https://evil.example/jwks"`}, {"jku", `1`}, {"jku", `""`}, {"x5u", `"https://evil.example/c"`}, {"x5c", `[]`}, {"x5c", `["MIIB"]`}, {"x5c", `null`},
		{"x5t", `"abc"`}, {"x5t", `1`}, {"x5t#S256", `"abc"`}, {"cty", `"JWT"`}, {"cty", `1`}, {"enc", `"A128GCM"`}, {"epk", `{}`}, {"nonce", `"n"`}, {"nonce", `1`}, {"url", `"u"`}, {"iss", `"x"`},
		{"exp", `1`}, {"ALG", `"none"`}, {"Alg", `"none"`}, {"Kid", `"x"`}, {"KID", `1`}, {"TYP", `"x"`}, {"", `1`}, {"x", `{"y":[1,2,{"z":null}]}`}, {"x", `1e400`}, {"x", `-0`}, {"x", `1.0E+2`},
		{"p2c", `1000000000`}, {"jwk", `{}`}, {"jwk", `null`}, {"jwk", `"x"`}, {"svt", `[]`}, {"ppt", `"shaken"`}, {"alg\u0000", `"none"`}}

	junk = []string{`{"a":1,"a":2}`, `{"b":{"a":1,"a":1}}`, `[{"a":1,"\u0061":1}]`, `"\ud800"`, `"\udc00x"`, `"\ud83d\ude00"`, "\"\xff\"", "\"\xc3\x28\"", "\"\xed\xa0\x80\"", "\"\u2028\"", `01`, `1.`, `.5`, `+1`, `-`,
		`0x10`, `NaN`, `Infinity`, `1e5`, `1e999`, `-0`, `'a'`, `"a`, "\"a\nb\"", "\"\t\"", `"\x41"`, `"\u00zz"`, `tru`, `null`, `[1,]`, `{"a":1,}`, `[1 2]`, `{"a" 1}`, `{a:1}`, `/* */1`, `1//x`, `""""`,
		`123456789012345678901234567890`, `"` + strings.Repeat("x", 5000) + `"`, strings.Repeat("[", 12) + strings.Repeat("]", 12), strings.Repeat("[", 15) + strings.Repeat("]", 15),
		strings.Repeat("[", 16) + strings.Repeat("]", 16), strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), strings.Repeat("[", 1100) + strings.Repeat("]", 1100)}

	dates = []string{fmt.Sprint(now), fmt.Sprint(now - 1), fmt.Sprint(now + 1), fmt.Sprint(now) + ".5", fmt.Sprint(now) + ".999999999", "1.8e9", "1800000060.0", "18000000600e-1", "0", "-1", "1", "-0", "1e3",
		"1e10", "1e11", "1e18", "1e19", "1e309", "253402300799", "253402300800", "9223372036854775807", "9223372036854775808", "18446744073709551616", "null", "true", `"1800000100"`, `""`, `"never"`, `[1800000100]`, "{}", ""}
	texts = []string{``, `""`, `null`, `1`, `true`, `["a"]`, `{}`, `"a"`, `"\u0061"`, `"ü"`, `"\u00fc"`, `"a\u0000b"`, `"\ud83d\ude00"`, `"a b"`, `"` + issuer + `"`, `"` + issuer + `/"`, `"` + strings.ToUpper(issuer) + `"`, `"https:\/\/gate.example"`}
	lists = []string{``, `[]`, `null`, `""`, `1`, `{}`, `[null]`, `[1]`, `[["` + audience + `"]]`, `["` + audience + `"]`, `["x","` + audience + `"]`, `["` + audience + `","` + audience + `"]`, `["` + audience + `",1]`, `["` + audience + `",null]`,
		`"x"`, `"` + audience + `/"`, `"` + audience + ` x"`, `"https:\/\/api.example"`, `[` + strings.Repeat(`"x",`, 70) + `"` + audience + `"]`, `{"0":"` + audience + `"}`, `true`}
)

var beforeSigning = []mutation{
	{"alg", func(d *draft) {
		v := pick(d.r, algNames...)
		d.header = set(d.header, "alg", v)
		if name := strings.Trim(v, `"`); d.r.IntN(2) == 0 && len(name) == 5 {
			d.alg = name // signed as it says, where the key can
		}
	}},
	{"no alg", func(d *draft) { d.header = set(d.header, "alg", "") }},
	{"kid", func(d *draft) {
		v := pick(d.r, kids...)
		d.header = set(d.header, "kid", v)
		if k := d.world.keys[strings.Trim(v, `"`)]; k != nil && d.r.IntN(2) == 0 {
			d.key = k
			if d.r.IntN(2) == 0 {
				d.alg = k.alg
				d.header = set(d.header, "alg", quote(k.alg))
			}
		}
	}},
	{"long kid", func(d *draft) {
		d.header = set(d.header, "kid", quote(strings.Repeat("k", pick(d.r, 511, 512, 513, 4000))))
	}},
	{"typ", func(d *draft) { d.header = set(d.header, "typ", pick(d.r, typs...)) }},
	{"Ed25519 by its name", func(d *draft) {
		if d.key.kid == "ed25519" {
			d.header = set(d.header, "alg", `"Ed25519"`)
		}
	}},
	{"header member", func(d *draft) { d.header = append(d.header, pick(d.r, extraHeaders...)) }},
	{"header member first", func(d *draft) { d.header = append([]member{pick(d.r, extraHeaders...)}, d.header...) }},
	{"header junk", func(d *draft) { d.header = append(d.header, member{"x", pick(d.r, junk...)}) }},
	{"header twice", func(d *draft) {
		m := d.header[d.r.IntN(len(d.header))]
		if d.r.IntN(2) == 0 {
			m.value = pick(d.r, algNames...)
		}
		d.header = append(d.header, m)
	}},
	{"header order", func(d *draft) {
		d.r.Shuffle(len(d.header), func(i, j int) { d.header[i], d.header[j] = d.header[j], d.header[i] })
	}},
	{"header text", func(d *draft) { f := d.reshape(); d.headerText = f }},
	{"claims text", func(d *draft) { f := d.reshape(); d.claimsText = f }},
	{"date", func(d *draft) { d.claims = set(d.claims, pick(d.r, "exp", "exp", "nbf", "iat"), pick(d.r, dates...)) }},
	{"auth_time", func(d *draft) { d.claims = set(d.claims, "auth_time", pick(d.r, dates...)) }},
	{"sub or jti", func(d *draft) { d.claims = set(d.claims, pick(d.r, "sub", "jti"), pick(d.r, texts...)) }},
	{"iss", func(d *draft) { d.claims = set(d.claims, "iss", pick(d.r, texts...)) }},
	{"aud", func(d *draft) { d.claims = set(d.claims, "aud", pick(d.r, lists...)) }},
	{"other claim", func(d *draft) {
		d.claims = set(d.claims, pick(d.r, "client_id", "scope", "acr", "amr", "sid", "grant_id", "status", "roles"), pick(d.r, append(texts, lists...)...))
	}},
	{"claim junk", func(d *draft) { d.claims = append(d.claims, member{"x", pick(d.r, junk...)}) }},
	{"claim twice", func(d *draft) {
		m := d.claims[d.r.IntN(len(d.claims))]
		if d.r.IntN(2) == 0 {
			m.value = pick(d.r, texts[1:]...)
		}
		d.claims = append(d.claims, m)
	}},
	{"claim in capitals", func(d *draft) {
		m := &d.claims[d.r.IntN(len(d.claims))]
		if name := strings.ToUpper(m.name[:1]) + m.name[1:]; d.r.IntN(2) == 0 {
			d.claims = append(d.claims, member{name, pick(d.r, texts[1:]...)})
		} else {
			m.name = name
		}
	}},
	{"long claims", func(d *draft) {
		d.claims = append(d.claims, member{"x", quote(strings.Repeat("x", pick(d.r, 1000, 11000, 13000)))})
	}},
	{"public key as secret", func(d *draft) {
		if d.world == d.w.asymmetric {
			d.secret = d.publicForm()
			d.alg = pick(d.r, "HS256", "HS384", "HS512")
			d.header = set(d.header, "alg", quote(d.alg))
		}
	}},
	{"empty secret", func(d *draft) {
		d.secret = []byte{}
		d.alg = "HS256"
		d.header = set(d.header, "alg", `"HS256"`)
	}},
	{"attacker's key", func(d *draft) {
		if k := d.w.all["other-"+d.key.kid]; k != nil {
			d.key = k
			if d.r.IntN(2) == 0 {
				d.header = append(d.header, member{"jwk", string(k.public)})
			}
		}
	}},
	{"RS as PS", func(d *draft) {
		if _, ok := d.key.raw.(*rsa.PrivateKey); ok {
			d.alg = pick(d.r, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
			d.header = set(d.header, "alg", quote(d.alg))
		}
	}},
	{"salt", func(d *draft) {
		p, ok := d.key.raw.(*rsa.PrivateKey)
		if !ok || d.alg[0] != 'P' {
			return
		}
		length, h := pick(d.r, 1, 11, 20, 31, 33, 48, 64), hashOf(d.alg)
		d.signature = func(input, _ []byte) []byte {
			digest := h.New()
			digest.Write(input)
			sig, _ := rsa.SignPSS(rand.Reader, p, h, digest.Sum(nil), &rsa.PSSOptions{SaltLength: length})
			return sig
		}
	}},
	{"r and s", func(d *draft) {
		if p, ok := d.key.raw.(*ecdsa.PrivateKey); ok {
			how := d.r.IntN(12)
			d.signature = func(_, sig []byte) []byte { return games(p, sig, how) }
		}
	}},
}

// games plays with a signature of two integers.
func games(p *ecdsa.PrivateKey, sig []byte, how int) []byte {
	half := len(sig) / 2
	if half == 0 {
		return sig
	}
	n := p.Curve.Params().N
	r, s := new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])
	size := (p.Curve.Params().BitSize + 7) / 8
	two := func(r, s *big.Int) []byte {
		if r.Sign() < 0 || s.Sign() < 0 || r.BitLen() > 8*size || s.BitLen() > 8*size {
			return concat(r.Bytes(), s.Bytes())
		}
		return fixed(p, r, s)
	}
	switch how {
	case 0:
		return make([]byte, len(sig))
	case 1:
		return two(r, new(big.Int))
	case 2:
		return two(new(big.Int), s)
	case 3:
		return two(r, new(big.Int).Sub(n, s)) // the other signature of the same message: valid
	case 4:
		return two(n, n)
	case 5:
		return two(new(big.Int).Add(r, n), s)
	case 6:
		return two(r, new(big.Int).Add(s, n))
	case 7:
		return toDER(r, s)
	case 8:
		return two(s, r)
	case 9:
		return concat([]byte{0}, sig[:half], []byte{0}, sig[half:])
	case 10:
		return concat(bytes.TrimLeft(sig[:half], "\x00"), bytes.TrimLeft(sig[half:], "\x00"))
	}
	return two(big.NewInt(1), big.NewInt(1))
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// publicForm is one of the ways in which a public key is written down.
func (d *draft) publicForm() []byte {
	var pub any
	switch p := d.key.raw.(type) {
	case *rsa.PrivateKey:
		pub = &p.PublicKey
	case *ecdsa.PrivateKey:
		pub = &p.PublicKey
	default:
		return d.key.public
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		panic(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return pick(d.r, d.key.public, der, text, bytes.TrimSpace(text))
}

// reshape is a way to write the text of an object otherwise, or spoil it.
func (d *draft) reshape() func(string) string {
	space := pick(d.r, " ", "\t", "\r\n", "\n", "  ", "\x00", "\ufeff", "\u00a0", "\v")
	return pick(d.r,
		func(s string) string { return space + s },
		func(s string) string { return s + space },
		func(s string) string { return strings.Replace(s, ":", space+":"+space, 1) },
		func(s string) string { return strings.ReplaceAll(s, ",", ","+space) },
		func(s string) string { return s + s },
		func(s string) string { return s + "x" },
		func(s string) string { return "[" + s + "]" },
		func(s string) string { return quote(s) },
		func(s string) string { return s[:len(s)-1] },
		func(s string) string { return s[:len(s)-1] + ",}" },
		func(string) string { return "" },
		func(string) string { return "null" },
		func(string) string { return "{}" },
		func(s string) string { return strings.Replace(s, `"`, `'`, 2) },
		func(s string) string { // the first letter of the first name as an escape
			return fmt.Sprintf(`{"\u%04x%s`, s[2], s[3:])
		},
		func(s string) string { return strings.Replace(s, "https://", `https:\/\/`, 1) },
		func(s string) string { return s[:1] + `"` + string(rune('a'+len(s)%26)) + `":1,` + s[1:] },
	)
}

var afterSigning = []mutation{
	{"bit", func(d *draft) {
		b := []byte(d.text)
		b[d.r.IntN(len(b))] ^= 1 << d.r.IntN(8)
		d.text = string(b)
	}},
	{"letter", func(d *draft) {
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		b := []byte(d.text)
		b[d.r.IntN(len(b))] = letters[d.r.IntN(64)]
		d.text = string(b)
	}},
	{"letter lost", func(d *draft) { i := d.r.IntN(len(d.text)); d.text = d.text[:i] + d.text[i+1:] }},
	{"letter more", func(d *draft) {
		i := d.r.IntN(len(d.text) + 1)
		d.text = d.text[:i] + pick(d.r, "=", "\n", "\r", "\r\n", " ", "\t", ".", "+", "/", "\x00", "A", "%", "é") + d.text[i:]
	}},
	{"blank at an end of a part", func(d *draft) {
		d.part(func(p string) string {
			s := pick(d.r, "\n", "\r\n", "\n\n\n\n", " ", "=", "==", "\x00", "\t")
			return pick(d.r, s+p, p+s)
		})
	}},
	{"tail bits", func(d *draft) {
		d.part(func(p string) string {
			const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			if p == "" {
				return p
			}
			i := strings.IndexByte(letters, p[len(p)-1])
			if i < 0 {
				return p
			}
			return p[:len(p)-1] + string(letters[i^1<<d.r.IntN(2)])
		})
	}},
	{"padding", func(d *draft) { d.part(func(p string) string { return p + strings.Repeat("=", (4-len(p)%4)%4) }) }},
	{"standard base64", func(d *draft) {
		d.part(func(p string) string {
			raw, _ := b64.DecodeString(p)
			return pick(d.r, base64.StdEncoding, base64.RawStdEncoding).EncodeToString(raw)
		})
	}},
	{"blank around", func(d *draft) {
		s := pick(d.r, " ", "\n", "\r\n", "\t", "\x00", "Bearer ", "\ufeff", ",", ";", `"`)
		d.text = pick(d.r, s+d.text, d.text+s, s+d.text+s)
	}},
	{"part empty", func(d *draft) { d.part(func(string) string { return "" }) }},
	{"part lost", func(d *draft) {
		p := strings.Split(d.text, ".")
		i := d.r.IntN(len(p))
		d.text = strings.Join(append(p[:i:i], p[i+1:]...), ".")
	}},
	{"part more", func(d *draft) {
		d.text = pick(d.r, d.text+".", "."+d.text, d.text+".AA", d.text+"..", "e30."+d.text, d.text+"."+d.text)
	}},
	{"parts swapped", func(d *draft) {
		p := strings.Split(d.text, ".")
		d.r.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
		d.text = strings.Join(p, ".")
	}},
	{"signature cut", func(d *draft) {
		d.sig(func(s []byte) []byte { return s[:d.r.IntN(len(s)+1)] })
	}},
	{"signature longer", func(d *draft) {
		d.sig(func(s []byte) []byte {
			return pick(d.r, append(s[:len(s):len(s)], 0), concat([]byte{0}, s), concat(s, s), append(s[:len(s):len(s)], 1, 2, 3))
		})
	}},
	{"signature of zeros", func(d *draft) { d.sig(func(s []byte) []byte { return make([]byte, len(s)) }) }},
	{"signature of ones", func(d *draft) { d.sig(func(s []byte) []byte { return bytes.Repeat([]byte{0xff}, len(s)) }) }},
	{"signature random", func(d *draft) {
		d.sig(func(s []byte) []byte {
			for i := range s {
				s[i] = byte(d.r.Uint32())
			}
			return s
		})
	}},
	{"claims replaced", func(d *draft) {
		p := strings.Split(d.text, ".")
		p[min(1, len(p)-1)] = b64.EncodeToString([]byte(join(set(d.claims, "sub", `"admin"`))))
		d.text = strings.Join(p, ".")
	}},
	{"header replaced", func(d *draft) {
		p := strings.Split(d.text, ".")
		p[0] = b64.EncodeToString([]byte(join(set(d.header, "alg", pick(d.r, algNames...)))))
		d.text = strings.Join(p, ".")
	}},
	{"unsigned", func(d *draft) {
		p := strings.Split(d.text, ".")
		d.text = b64.EncodeToString([]byte(`{"alg":`+pick(d.r, algNames[:6]...)+`,"kid":"`+d.key.kid+`"}`)) + "." + p[min(1, len(p)-1)] + pick(d.r, ".", "", ".AA", "."+p[len(p)-1])
	}},
	{"JSON serialization", func(d *draft) {
		p := append(strings.Split(d.text, "."), "", "")
		d.text = pick(d.r,
			fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2]),
			fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p[1], p[0], p[2]),
			fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"protected":"e30","signature":""}]}`, p[1], p[0], p[2]))
	}},
	{"percent", func(d *draft) { d.text = strings.Replace(d.text, ".", "%2E", 1) }},
	{"case", func(d *draft) { d.text = pick(d.r, strings.ToLower, strings.ToUpper)(d.text) }},
	{"long", func(d *draft) { d.text += strings.Repeat(pick(d.r, "A", ".", "\n"), pick(d.r, 100, 16<<10)) }},
	{"signature as hexadecimal", func(d *draft) {
		i := strings.LastIndexByte(d.text, '.')
		raw, _ := b64.DecodeString(d.text[i+1:])
		d.text = d.text[:i+1] + strconv.QuoteToASCII(fmt.Sprintf("%x", raw))
	}},
}

// part changes one part of the text.
func (d *draft) part(change func(string) string) {
	p := strings.Split(d.text, ".")
	i := d.r.IntN(len(p))
	p[i] = change(p[i])
	d.text = strings.Join(p, ".")
}

// sig changes the signature.
func (d *draft) sig(change func([]byte) []byte) {
	i := strings.LastIndexByte(d.text, '.')
	raw, _ := b64.DecodeString(d.text[i+1:])
	if len(raw) == 0 {
		return
	}
	d.text = d.text[:i+1] + b64.EncodeToString(change(raw))
}
