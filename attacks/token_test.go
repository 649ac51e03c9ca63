package attacks_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAlgNone: a token that says it needs no signature.
//
// ASVS: 9.1.2
func TestAlgNone(t *testing.T) {
	w := the(t)
	w.accepted(t, "signed", w.idp.honest())
	own, _ := w.login(t, w.person(t, "main"))
	w.accepted(t, "our own", own)
	ownHeader, ownClaims, _ := parts(t, own)
	for _, alg := range []any{"none", "None", "NONE", "nOnE", " none", "none ", "none\t", "none\x00", "nonе", "", nil, "null", 0, false, []string{"none"},
		object{}, "NULL", "unsecured", "ES256", "RS256", "HS256"} {
		for _, signature := range []string{"", "AA", "bm9uZQ", strings.Repeat("A", 86)} {
			w.refused(t, "foreign claims", input(header("alg", alg), w.idp.claims())+"."+signature)
			w.refused(t, "foreign claims, no kid", input(header("alg", alg, "kid", nil), w.idp.claims())+"."+signature)
			w.refused(t, "our claims", input(with(ownHeader, "alg", alg), ownClaims)+"."+signature)
		}
	}
	w.refused(t, "two algs", input(`{"alg":"none","alg":"ES256","kid":"ec","typ":"at+jwt"}`, w.idp.claims())+".AA")
}

// TestAlgorithmConfusion: the public key, which everybody has, used as the secret
// of an HMAC.
//
// ASVS: 9.1.2
func TestAlgorithmConfusion(t *testing.T) {
	w := the(t)
	w.accepted(t, "ES256", w.idp.honest())
	w.accepted(t, "RS256", w.idp.rs(header("alg", "RS256", "kid", "rsa"), w.idp.claims()))
	for _, key := range []struct {
		kid    string
		public any
		jwk    object
	}{{"ec", &w.idp.ec.PublicKey, w.idp.ecJWK()}, {"rsa", &w.idp.rsa.PublicKey, w.idp.rsaJWK()}} {
		for form, secret := range publicForms(t, key.public, key.jwk, w.idp.jwks) {
			for _, alg := range []string{"HS256", "HS384", "HS512"} {
				w.refused(t, alg+" with the "+form+" of "+key.kid, hs(alg, secret, header("alg", alg, "kid", key.kid), w.idp.claims()))
			}
			w.refused(t, form+" without kid", hs("HS256", secret, header("alg", "HS256", "kid", nil), w.idp.claims()))
			w.refused(t, form+" under the honest alg", hs("HS256", secret, header("kid", key.kid), w.idp.claims()))
		}
	}
	// Our own key set, as it is published.
	own, _ := w.login(t, w.person(t, "main"))
	ownHeader, ownClaims, _ := parts(t, own)
	set := call(t, "GET", w.Issuer+"/.well-known/jwks.json").want(t, "key set", 200)
	for _, k := range set.json["keys"].([]any) {
		jwk := k.(object)
		x, _ := b64.DecodeString(jwk["x"].(string))
		y, _ := b64.DecodeString(jwk["y"].(string))
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			t.Fatal(err)
		}
		for form, secret := range publicForms(t, public, jwk, set.body) {
			w.refused(t, "our "+form, hs("HS256", secret, with(ownHeader, "alg", "HS256", "kid", jwk["kid"]), ownClaims))
		}
	}
	// One key under the name of the other.
	w.refused(t, "RS256 under the EC key's id", w.idp.rs(header("alg", "RS256"), w.idp.claims()))
	w.refused(t, "ES256 under the RSA key's id", w.idp.es(header("kid", "rsa"), w.idp.claims()))
	w.refused(t, "PS256 for an RS256 key", w.idp.rs(header("alg", "PS256", "kid", "rsa"), w.idp.claims()))
}

// TestSignatureStrippedOrAltered: whatever is changed after signing.
//
// ASVS: 9.1.1
func TestSignatureStrippedOrAltered(t *testing.T) {
	w := the(t)
	own, _ := w.login(t, w.person(t, "main"))
	for name, token := range map[string]string{"foreign": w.idp.honest(), "own": own} {
		w.accepted(t, name, token)
		p := strings.Split(token, ".")
		h, c, sig := parts(t, token)
		w.refused(t, name+" stripped", p[0]+"."+p[1]+".")
		w.refused(t, name+" two parts", p[0]+"."+p[1])
		w.refused(t, name+" four parts", token+"."+p[2])
		w.refused(t, name+" five parts", token+".."+p[2])
		for i := range sig {
			altered := bytes.Clone(sig)
			altered[i] ^= 1
			w.refused(t, name+" altered signature", p[0]+"."+p[1]+"."+b64.EncodeToString(altered))
		}
		w.refused(t, name+" short signature", p[0]+"."+p[1]+"."+b64.EncodeToString(sig[:len(sig)-1]))
		w.refused(t, name+" long signature", p[0]+"."+p[1]+"."+b64.EncodeToString(append(bytes.Clone(sig), 0)))
		w.refused(t, name+" altered claims", input(h, with(c, "sub", "usr_admin"))+"."+p[2])
		w.refused(t, name+" more scope", input(h, with(c, "scope", "* admin:write"))+"."+p[2])
		w.refused(t, name+" later end", input(h, with(c, "exp", time.Now().Unix()+86400))+"."+p[2])
		w.refused(t, name+" altered header", input(with(h, "typ", "JWT"), c)+"."+p[2])
		w.refused(t, name+" padded", token+"=")
		// The last character of 64 octets carries four bits that mean nothing.
		last := strings.IndexByte(alphabet, token[len(token)-1])
		w.refused(t, name+" other spelling", token[:len(token)-1]+string(alphabet[last^1]))
	}
	other := strings.Split(w.idp.honest(), ".")
	mine := strings.Split(w.idp.honest(), ".")
	w.refused(t, "another token's signature", mine[0]+"."+mine[1]+"."+other[2])
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.refused(t, "a stranger's key", es(stranger, header(), w.idp.claims()))
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// TestPsychicSignature: r and s that satisfy a sloppy equation (CVE-2022-21449).
func TestPsychicSignature(t *testing.T) {
	w := the(t)
	w.accepted(t, "signed", w.idp.honest())
	n, p := elliptic.P256().Params().N, elliptic.P256().Params().P
	values := []*big.Int{big.NewInt(0), big.NewInt(1), n, new(big.Int).Sub(n, big.NewInt(1)), p, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))}
	for _, r := range values {
		for _, s := range values {
			sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
			w.refused(t, "r="+r.Text(16)+" s="+s.Text(16), input(header(), w.idp.claims())+"."+b64.EncodeToString(sig))
			der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				t.Fatal(err)
			}
			w.refused(t, "DER", input(header(), w.idp.claims())+"."+b64.EncodeToString(der))
		}
	}
	for _, size := range []int{1, 2, 8, 63, 65, 96, 132} {
		w.refused(t, "zeros", input(header(), w.idp.claims())+"."+b64.EncodeToString(make([]byte, size)))
	}
}

// TestKidInjection: the key id as SQL, as a path, as a command.
func TestKidInjection(t *testing.T) {
	w := the(t)
	w.accepted(t, "the right kid", w.idp.honest())
	own, _ := w.login(t, w.person(t, "main"))
	ownHeader, ownClaims, _ := parts(t, own)
	for _, kid := range []string{"' OR '1'='1", "ec' --", "x' UNION SELECT 'AAAA", "'; DROP TABLE signing_keys; --", "../../../../dev/null", "/dev/null",
		"..\\..\\ec", "ec/../ec", "file:///etc/passwd", "http://127.0.0.1/jwks", "ec\x00", "\x00", "ec\n", "EC", " ec", "ec ", "%65%63", "$(id)", "`id`", "|id",
		"*", "%", "_c", "{{7*7}}", "\u0130", "ec,rsa", strings.Repeat("k", 511), strings.Repeat("k", 3000)} {
		// Truly signed: only the kid is wrong, so only the look-up by kid refuses it.
		w.refused(t, "kid "+kid, w.idp.es(header("kid", kid), w.idp.claims()))
		w.refused(t, "kid of ours "+kid, w.idp.es(with(ownHeader, "kid", kid), ownClaims))
		for _, secret := range []string{"\x00", "AAAA", ""} { // what /dev/null or the UNION would give
			w.refused(t, "kid with HMAC", hs("HS256", []byte(secret), header("alg", "HS256", "kid", kid), w.idp.claims()))
		}
	}
	for _, kid := range []any{[]string{"ec"}, object{"kid": "ec"}, 1, true} {
		w.refused(t, "kid of another type", w.idp.es(header("kid", kid), w.idp.claims()))
	}
	w.accepted(t, "after all that", w.idp.honest())
	w.accepted(t, "ours, after all that", own)
}

// stranger makes a key pair that nobody trusts, and its public JWK.
func stranger(t *testing.T) (*ecdsa.PrivateKey, object) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := (&issuer{ec: key}).ecJWK()
	return key, jwk
}

// TestEmbeddedKey: the token brings its own key (CVE-2018-0114).
//
// ASVS: 9.1.3
func TestEmbeddedKey(t *testing.T) {
	w := the(t)
	w.accepted(t, "without", w.idp.honest())
	key, jwk := stranger(t)
	for _, kid := range []any{"ec", "attacker", nil} {
		w.refused(t, "the attacker's", es(key, header("jwk", with(jwk, "kid", kid), "kid", kid), w.idp.claims()))
		w.refused(t, "with an algorithm of his", es(key, header("jwk", jwk, "kid", kid, "alg", "ES256K"), w.idp.claims()))
	}
	w.refused(t, "a secret", hs("HS256", []byte("s"), header("alg", "HS256", "jwk", object{"kty": "oct", "k": "cw"}), w.idp.claims()))
	// Even the true key: whoever reads the member at all is one step from using it.
	w.refused(t, "the true key", w.idp.es(header("jwk", w.idp.ecJWK()), w.idp.claims()))
}

// TestKeyAddress: the token says where its key is.
//
// ASVS: 9.1.3
func TestKeyAddress(t *testing.T) {
	w := the(t)
	w.accepted(t, "without", w.idp.honest())
	key, jwk := stranger(t)
	var hits atomic.Int64
	keys, err := json.Marshal(object{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	evil := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = rw.Write(keys)
	}))
	defer evil.Close()
	for _, member := range []string{"jku", "x5u"} {
		for _, address := range []string{evil.URL, evil.URL + "/jwks.json", w.idp.name + "@" + strings.TrimPrefix(evil.URL, "http://"), "file:///etc/passwd"} {
			w.refused(t, member, es(key, header(member, address), w.idp.claims()))
			w.refused(t, member+" truly signed", w.idp.es(header(member, address), w.idp.claims()))
		}
	}
	if hits.Load() != 0 {
		t.Errorf("the token's address was fetched %d times", hits.Load())
	}
}

// TestCertificateInHeader: the token brings a certificate for its key.
//
// ASVS: 9.1.3
func TestCertificateInHeader(t *testing.T) {
	w := the(t)
	w.accepted(t, "without", w.idp.honest())
	key, _ := stranger(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp.attacks.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	w.refused(t, "self-signed", es(key, header("x5c", [][]byte{der}), w.idp.claims()))
	w.refused(t, "self-signed, no kid", es(key, header("x5c", [][]byte{der}, "kid", nil), w.idp.claims()))
	w.refused(t, "truly signed", w.idp.es(header("x5c", [][]byte{der}), w.idp.claims()))
	for _, crit := range []any{[]string{"exp"}, []string{"b64"}, []string{}} {
		w.refused(t, "crit", w.idp.es(header("crit", crit, "b64", true), w.idp.claims()))
	}
}

// dictionary is what crackers try first.
var dictionary = []string{"secret", "password", "changeme", "your-256-bit-secret", "my_super_secret", "jwt-secret", "secretkey", "key", "admin", "test",
	"gatehouse", "123456", "qwerty", "default", "your_secret_key", "supersecretkeythatnooneshouldknow", "AllYourBase", "shhhhh", "",
	"00000000000000000000000000000000", "your-secret-key-here", "s3cr3t"}

// TestWeakSecret: nobody can configure a secret to guess, and guessing finds none.
func TestWeakSecret(t *testing.T) {
	w := the(t)
	own, _ := w.login(t, w.person(t, "main"))
	w.accepted(t, "ours", own)
	ownHeader, ownClaims, _ := parts(t, own)
	for _, word := range dictionary {
		w.refused(t, word, hs("HS256", []byte(word), with(ownHeader, "alg", "HS256"), ownClaims))
		w.refused(t, word, hs("HS512", []byte(word), header("alg", "HS512", "kid", nil), w.idp.claims()))
	}
	try := func(what string, settings object, status int) {
		t.Helper()
		b, _ := json.Marshal(object{"name": "r" + random()[:8], "settings": settings})
		call(t, "POST", w.Issuer+"/admin/v1/realms", "bearer", w.AdminToken, "body", string(b)).want(t, what, status)
	}
	for _, alg := range []string{"HS256", "HS384", "HS512", "none", "hs256"} {
		try("a realm that signs with "+alg, object{"signing_algorithm": alg}, 422)
		try("an issuer trusted with "+alg, object{"trusted_issuers": []any{with(w.idp.trust("x"), "algorithms", []string{alg})}}, 422)
	}
	for _, word := range dictionary[:4] {
		set, _ := json.Marshal(object{"keys": []any{object{"kty": "oct", "kid": "k", "alg": "HS256", "k": b64.EncodeToString([]byte(word))}}})
		try("a secret as an issuer's key", object{"trusted_issuers": []any{with(w.idp.trust("x"), "jwks", string(set))}}, 422)
	}
	try("a realm that signs with Ed25519", object{"signing_algorithm": "Ed25519", "trusted_issuers": []any{w.idp.trust("x")}}, 201)
}

// TestExpired, and TestNotYetValid: truly signed, at the wrong time.
//
// ASVS: 9.2.1
func TestExpired(t *testing.T) {
	w := the(t)
	now := time.Now().Unix()
	w.accepted(t, "fresh", w.idp.es(header(), w.idp.claims("exp", now+60)))
	for what, exp := range map[string]any{"a minute ago": now - 60, "ten seconds ago": now - 10, "long ago": 1, "zero": 0, "negative": -1, "absent": nil,
		"text": "9999999999", "beyond every calendar": 1e300, "infinite": 1 << 62, "list": []int64{now + 60}, "truth": true} {
		w.refused(t, what, w.idp.es(header(), w.idp.claims("exp", exp, "iat", now-100)))
	}
}

// ASVS: 9.2.1
func TestNotYetValid(t *testing.T) {
	w := the(t)
	now := time.Now().Unix()
	w.accepted(t, "from now on", w.idp.es(header(), w.idp.claims("nbf", now-1)))
	w.refused(t, "valid in a minute", w.idp.es(header(), w.idp.claims("nbf", now+60)))
	w.refused(t, "issued in a minute", w.idp.es(header(), w.idp.claims("iat", now+60)))
	w.refused(t, "nbf as text", w.idp.es(header(), w.idp.claims("nbf", "0")))
	w.refused(t, "never issued", w.idp.es(header(), w.idp.claims("iat", nil)))
}

// TestWrongAudience: a token for another API.
//
// ASVS: 9.2.3, 9.2.4
func TestWrongAudience(t *testing.T) {
	w := the(t)
	w.accepted(t, "one audience", w.idp.honest())
	w.accepted(t, "one of two", w.idp.es(header(), w.idp.claims("aud", []string{"billing", "documents"})))
	for _, aud := range []any{"billing", "", nil, []string{}, []string{"billing"}, "Documents", "documents ", "documents/", "document", "documentsx", "billing documents",
		"*", []any{[]string{"documents"}}, object{"documents": true}, w.idp.name} {
		w.refused(t, "another audience", w.idp.es(header(), w.idp.claims("aud", aud)))
	}
	own, _ := w.login(t, w.person(t, w.realm(t, object{"audience": "billing"})))
	w.refused(t, "ours for another API", own)
}

// TestWrongIssuer: a token of somebody else, or of nobody.
func TestWrongIssuer(t *testing.T) {
	w := the(t)
	w.accepted(t, "the issuer", w.idp.honest())
	name := w.idp.name
	for _, iss := range []any{name + "/", name + ".evil.test", strings.ToUpper(name), "http" + strings.TrimPrefix(name, "https"), name + ":443", name + "?", name + "#",
		"https://user@idp.attacks.test", " " + name, name + "\x00", "", nil, "evil", w.Issuer, []string{name}} {
		w.refused(t, "another issuer", w.idp.es(header(), w.idp.claims("iss", iss)))
	}
	w.refused(t, "issuer twice", w.idp.es(header(), strings.Replace(string(must(json.Marshal(w.idp.claims()))), "{", `{"iss":"evil",`, 1)))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestWrongKindOfToken: a true token of ours or of the issuer, made for something
// else.
//
// ASVS: 9.2.2
func TestWrongKindOfToken(t *testing.T) {
	w := the(t)
	p := w.person(t, "main", "user")
	access, refresh := w.login(t, p)
	w.accepted(t, "access token", access)
	w.refused(t, "refresh token", refresh)

	m := random()
	call(t, "GET", w.Gateway+"/private", "bearer", access, mark, m).want(t, "private", 200)
	assertion := w.api.marked(m)[0].Header.Get("X-Gatehouse-Assertion")
	if strings.Count(assertion, ".") != 2 {
		t.Fatalf("no assertion: %q", assertion)
	}
	w.refused(t, "the gateway's assertion", assertion)
	call(t, "DELETE", w.Issuer+"/tokens", "bearer", assertion).want(t, "assertion at /tokens", 401)
	call(t, "GET", w.Issuer+"/admin/v1/me", "bearer", assertion).want(t, "assertion at the management API", 401)

	_, claims, _ := parts(t, access)
	list := claims["status"].(object)["status_list"].(object)["uri"].(string)
	status := call(t, "GET", list).want(t, "status list", 200)
	if strings.Count(status.body, ".") != 2 {
		t.Fatalf("no status list token: %.60q", status.body)
	}
	w.refused(t, "status list", strings.TrimSpace(status.body))

	for _, typ := range []any{"JWT", "jwt", nil, "", "gatehouse-assertion+jwt", "statuslist+jwt", "secevent+jwt", "logout+jwt", "dpop+jwt", "at", "at+jwt ", "jwt+at", "x/at+jwt", 1} {
		w.refused(t, "typ", w.idp.es(header("typ", typ), w.idp.claims()))
	}
	w.accepted(t, "the full media type", w.idp.es(header("typ", "application/at+jwt"), w.idp.claims()))

	// And the other way: nothing but a refresh token renews.
	for what, text := range map[string]string{"access token": access, "API key": p.key, "assertion": assertion} {
		call(t, "POST", w.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+text+`"}`).want(t, what+" as refresh token", 400)
	}
	call(t, "POST", w.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, "refresh token", 200)
}
