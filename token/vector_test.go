package token_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/token"
)

func TestVerifyVectorLines(t *testing.T) {
	k := newKey(t, token.ES256)
	jwk, jws := string(k.PublicJWK()), signed(t, k, "anything+jwt", []byte("not JSON at all"))
	priv, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	p := strings.Split(jws, ".")
	const filled = `{"jwk":%s,"jws":%q,"x":%q}`
	room := token.MaxVectorBytes - len(fmt.Sprintf(filled, jwk, jws, ""))
	for name, c := range map[string]struct {
		line  string
		valid bool
	}{
		"jwk":               {fmt.Sprintf(`{"jwk":%s,"jws":%q}`, jwk, jws), true},
		"private jwk":       {fmt.Sprintf(`{"jwk":%s,"jws":%q}`, priv, jws), true},
		"jwks":              {fmt.Sprintf(`{"jwks":{"keys":[%s]},"jws":%q}`, jwk, jws), true},
		"other members":     {fmt.Sprintf(`{"id":7,"jwk":%s,"jws":%q}`, jwk, jws), true},
		"both":              {fmt.Sprintf(`{"jwk":%s,"jwks":{"keys":[%s]},"jws":%q}`, jwk, jwk, jws), false},
		"no key":            {fmt.Sprintf(`{"jws":%q}`, jws), false},
		"no jws":            {fmt.Sprintf(`{"jwk":%s}`, jwk), false},
		"jws null":          {fmt.Sprintf(`{"jwk":%s,"jws":null}`, jwk), false},
		"jws twice":         {fmt.Sprintf(`{"jwk":%s,"jws":%q,"jws":%q}`, jwk, jws, jws), false},
		"jws flattened":     {fmt.Sprintf(`{"jwk":%s,"jws":{"protected":%q,"payload":%q,"signature":%q}}`, jwk, p[0], p[1], p[2]), false},
		"jws as text":       {fmt.Sprintf(`{"jwk":%s,"jws":%q}`, jwk, fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2])), false},
		"key of another":    {fmt.Sprintf(`{"jwk":%s,"jws":%q}`, newKey(t, token.ES256).PublicJWK(), jws), false},
		"key text":          {fmt.Sprintf(`{"jwk":%q,"jws":%q}`, jwk, jws), false},
		"line of text":      {`hello`, false},
		"empty":             {``, false},
		"array":             {`[]`, false},
		"trailing":          {fmt.Sprintf(`{"jwk":%s,"jws":%q} x`, jwk, jws), false},
		"deep":              {fmt.Sprintf(`{"x":%s,"jwk":%s,"jws":%q}`, strings.Repeat("[", 50)+strings.Repeat("]", 50), jwk, jws), false},
		"long":              {fmt.Sprintf(`{"x":%q,"jwk":%s,"jws":%q}`, strings.Repeat("x", token.MaxVectorBytes), jwk, jws), false},
		"as long as may be": {fmt.Sprintf(filled, jwk, jws, strings.Repeat("x", room)), true},
		"one longer":        {fmt.Sprintf(filled, jwk, jws, strings.Repeat("x", room+1)), false},
		"token over 16 KiB": {fmt.Sprintf(`{"jwk":%s,"jws":%q}`, jwk, signed(t, k, "", make([]byte, 16<<10))), false},
	} {
		valid, reason := token.VerifyVector([]byte(c.line))
		if valid != c.valid || valid == (reason != "") {
			t.Errorf("%s: %v, %q", name, valid, reason)
		}
		if strings.Contains(reason, p[2]) {
			t.Errorf("%s: the reason quotes the token", name)
		}
	}
}
