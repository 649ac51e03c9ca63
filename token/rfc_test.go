package token_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/token"
)

const joePayload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

// rfcExamples are the signed examples of RFC 7515 A.1 to A.4 and RFC 8037 A.4.
var rfcExamples = map[string]struct{ jwk, jws string }{
	"7515 A.1": {
		`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`,
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + joePayload + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	"7515 A.2": {
		`{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ` +
			`S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV` +
			`MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}`,
		"eyJhbGciOiJSUzI1NiJ9." + joePayload + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5ju" +
			"jGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--" +
			"xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
	"7515 A.3": {
		`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		"eyJhbGciOiJFUzI1NiJ9." + joePayload + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
	"7515 A.4": {
		`{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",` +
			`"y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}`,
		"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCA" +
			"PZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"},
	"8037 A.4": {
		`{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
}

func TestRFCExamples(t *testing.T) {
	for name, x := range rfcExamples {
		line := fmt.Sprintf(`{"jwk":%s,"jws":%q}`, x.jwk, x.jws)
		if valid, reason := token.VerifyVector([]byte(line)); !valid {
			t.Errorf("RFC %s: %s", name, reason)
		}
		changed := strings.Replace(x.jws, ".", ".A", 1)
		if valid, _ := token.VerifyVector([]byte(fmt.Sprintf(`{"jwk":%s,"jws":%q}`, x.jwk, changed))); valid {
			t.Errorf("RFC %s: a changed payload verifies", name)
		}
	}
}

// TestRFCUnsecured is the token of RFC 7515 A.5 and RFC 7519 §6.1, with each of
// the keys above and with none: what is not signed never verifies.
func TestRFCUnsecured(t *testing.T) {
	const jws = "eyJhbGciOiJub25lIn0." + joePayload + "."
	for name, x := range rfcExamples {
		if valid, reason := token.VerifyVector(fmt.Appendf(nil, `{"jwk":%s,"jws":%q}`, x.jwk, jws)); valid || reason == "" {
			t.Errorf("with the key of %s: %v %s", name, valid, reason)
		}
	}
	if valid, _ := token.VerifyVector(fmt.Appendf(nil, `{"jws":%q}`, jws)); valid {
		t.Error("verifies without a key")
	}
}

// TestRFCSerializations are RFC 7515 A.6 and A.7: signatures that are good, in the
// JSON serialization, which we do not read.
func TestRFCSerializations(t *testing.T) {
	x := rfcExamples["7515 A.3"]
	p := strings.Split(x.jws, ".")
	for name, jws := range map[string]string{
		"A.6": fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"header":{"kid":"e9bc097a-ce51-4036-9562-d2ade882db0d"},"signature":%q}]}`, p[1], p[0], p[2]),
		"A.7": fmt.Sprintf(`{"payload":%q,"protected":%q,"header":{"kid":"e9bc097a-ce51-4036-9562-d2ade882db0d"},"signature":%q}`, p[1], p[0], p[2]),
	} {
		for _, text := range []string{jws, fmt.Sprintf("%q", jws)} {
			if valid, reason := token.VerifyVector(fmt.Appendf(nil, `{"jwk":%s,"jws":%s}`, x.jwk, text)); valid {
				t.Errorf("%s: %s", name, reason)
			}
		}
	}
}

const (
	rfc7517EC  = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`
	rfc7517RSA = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst` +
		`n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbIS` +
		`D08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
)

// TestRFCKeys are the key sets of RFC 7517 A.1 to A.3: of each, the keys that are
// for signatures are read and the others passed over.
func TestRFCKeys(t *testing.T) {
	for name, c := range map[string]struct {
		set  string
		opt  token.ParseOptions
		kids []string // nil: refused
	}{
		"A.1": {`{"keys":[{` + rfc7517EC + `,"use":"enc","kid":"1"},` + rfc7517RSA + `]}`, token.ParseOptions{}, []string{"2011-04-29"}},
		"A.2, the EC key": {`{"keys":[{` + rfc7517EC + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","kid":"1"}]}`,
			token.ParseOptions{Private: true}, []string{"1"}},
		"A.2, the EC key for encryption": {`{"keys":[{` + rfc7517EC + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","use":"enc","kid":"1"}]}`,
			token.ParseOptions{Private: true}, nil},
		"A.2, where public keys are expected": {`{"keys":[{` + rfc7517EC + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","kid":"1"}]}`, token.ParseOptions{}, nil},
		"A.3": {`{"keys":[{"kty":"oct","alg":"A128KW","k":"GawgguFyGrWKav7AX4VKUg"},{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",` +
			`"kid":"HMAC key used in JWS spec Appendix A.1 example"}]}`, token.ParseOptions{Private: true, Algorithms: []token.Algorithm{token.HS256}},
			[]string{"HMAC key used in JWS spec Appendix A.1 example"}},
	} {
		set, err := token.ParseJWKSet([]byte(c.set), c.opt)
		if err != nil {
			if c.kids != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var kids []string
		for _, k := range set.Keys() {
			kids = append(kids, k.KID)
		}
		if !slices.Equal(kids, c.kids) {
			t.Errorf("%s: read %q, want %q", name, kids, c.kids)
		}
	}
}

// TestThumbprints are RFC 7638 §3.1 and RFC 8037 A.3.
func TestThumbprints(t *testing.T) {
	for jwk, want := range map[string]string{
		rfc7517RSA:                  "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		rfcExamples["8037 A.4"].jwk: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
	} {
		k, err := token.ParseJWK([]byte(jwk), token.ParseOptions{Private: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Thumbprint(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if k := newKey(t, token.HS256); k.Thumbprint() != "" {
		t.Error("an HMAC key has a thumbprint")
	}
}

// TestDeterministicSignatures: what RFC 7515 and 8037 sign deterministically, we
// sign to the same octets.
func TestDeterministicSignatures(t *testing.T) {
	x := rfcExamples["8037 A.4"]
	k, err := token.ParseJWK([]byte(x.jwk), token.ParseOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	got := signed(t, k, "", []byte("Example of Ed25519 signing"))
	if valid, reason := token.VerifyVector([]byte(fmt.Sprintf(`{"jwk":%s,"jws":%q}`, x.jwk, got))); !valid {
		t.Error(reason)
	}
	// A key that names no algorithm writes the name that is widely read.
	if h := strings.Split(got, ".")[0]; string(unraw(t, h)) != `{"alg":"EdDSA"}` {
		t.Errorf("header %s", unraw(t, h))
	}
}

// TestCookbook are the compact signatures of RFC 7520 §4.
func TestCookbook(t *testing.T) {
	files := vectors(t, "jose/rfc7520-cookbook")
	names, err := fs.Glob(files, "jws/*.json")
	if err != nil {
		t.Fatal(err)
	}
	compacts := 0
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Input struct {
				Key json.RawMessage `json:"key"`
			} `json:"input"`
			Output struct {
				Compact string          `json:"compact"`
				JSON    json.RawMessage `json:"json"`
			} `json:"output"`
		}
		if json.Unmarshal(data, &v) != nil || v.Input.Key == nil {
			continue
		}
		if parts := strings.Split(v.Output.Compact, "."); len(parts) == 3 && parts[1] != "" {
			compacts++
			if valid, reason := token.VerifyVector(fmt.Appendf(nil, `{"jwk":%s,"jws":%q}`, v.Input.Key, v.Output.Compact)); !valid {
				t.Errorf("%s: %s", name, reason)
			}
		}
		if v.Output.JSON != nil {
			if valid, _ := token.VerifyVector(fmt.Appendf(nil, `{"jwk":%s,"jws":%s}`, v.Input.Key, v.Output.JSON)); valid {
				t.Errorf("%s: the JSON serialization verifies", name)
			}
		}
	}
	if compacts < 4 {
		t.Errorf("%d compact examples, want 4", compacts)
	}
}

// TestCookbookKeys are the keys of RFC 7520 §3: each is read as what it is for, and
// the key for encryption not at all.
func TestCookbookKeys(t *testing.T) {
	files := vectors(t, "jose/rfc7520-cookbook")
	for name, want := range map[string]token.Algorithm{"3_1.ec_public_key": token.ES512, "3_2.ec_private_key": token.ES512, "3_3.rsa_public_key": token.RS256,
		"3_4.rsa_private_key": token.RS256, "3_5.symmetric_key_mac_computation": token.HS256, "3_6.symmetric_key_encryption": ""} {
		data, err := fs.ReadFile(files, "jwk/"+name+".json")
		if err != nil {
			t.Fatal(err)
		}
		k, err := token.ParseJWK(data, token.ParseOptions{Private: true, Algorithms: []token.Algorithm{token.RS256}})
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: read as %v", name, k)
		case want != "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && k.Algorithm != want:
			t.Errorf("%s: read as %v, want %s", name, k, want)
		}
	}
}

// TestJSONTestSuite runs the parser of claims over the JSON test suite: what must
// be refused as JSON is refused as claims.
func TestJSONTestSuite(t *testing.T) {
	files := vectors(t, "json/test_parsing")
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	k := newKey(t, token.Ed25519)
	v := newVerifier(t, config(keySet(t, k)))
	accepted := 0
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > token.DefaultMaxBytes/2 {
			continue
		}
		// The text as the value of a claim that nobody reads.
		body := strings.Replace(string(claims(nil)), `"sub"`, `"x":`+string(data)+`,"sub"`, 1)
		_, err = v.Verify(signed(t, k, token.TypeAccess, []byte(body)))
		switch {
		case strings.HasPrefix(name, "n_") && err == nil:
			t.Errorf("%s: accepted", name)
		case strings.HasPrefix(name, "y_") && err != nil && !strings.Contains(name, "duplicated"):
			t.Errorf("%s: %v", name, err)
		case strings.HasPrefix(name, "y_") && err == nil && strings.Contains(name, "duplicated"):
			t.Errorf("%s: a duplicate member was accepted", name)
		}
		if err == nil {
			accepted++
		}
	}
	if accepted < 80 {
		t.Errorf("only %d of %d accepted: the test tests nothing", accepted, len(names))
	}
}
