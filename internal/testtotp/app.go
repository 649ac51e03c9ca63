// Package testtotp is an authenticator app for tests: another implementation of RFC 6238 than the program's, by the text of
// the RFC, so that the two do not share a mistake.
package testtotp

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"fmt"
	"math/big"
	"time"
)

// Code is what an app with that secret, as it was shown, displays at a time.
func Code(secret string, at time.Time) string {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		panic(err)
	}
	counter := new(big.Int).Div(big.NewInt(at.Unix()), big.NewInt(30)).FillBytes(make([]byte, 8))
	mac := hmac.New(sha1.New, key)
	mac.Write(counter)
	hash := mac.Sum(nil)
	offset := hash[19] & 0xf
	number := new(big.Int).SetBytes(hash[offset : offset+4])
	number.SetBit(number, 31, 0)
	return fmt.Sprintf("%06d", number.Mod(number, big.NewInt(1_000_000)))
}
