package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"testing"
)

func hmacSign(secret []byte, input string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + raw(string(mac.Sum(nil)))
}

func secretOf(t *testing.T, jwk []byte) []byte {
	t.Helper()
	var k struct{ K string }
	if err := json.Unmarshal(jwk, &k); err != nil {
		t.Fatal(err)
	}
	return unraw(t, k.K)
}
