package grant

import (
	"crypto/hmac"
	"crypto/sha512"
	"hash/crc32"
	"math/big"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// minted is a token text with what is stored of it.
type minted struct {
	text gatehouse.Secret
	hash []byte
}

func mint(prefix string) minted {
	text, _, hash := credential.MintKey(prefix, gatehouse.EnvironmentLive)
	return minted{text, hash}
}

// parseRefresh checks form, kind and checksum, so that typing errors, fakes and
// other kinds of token die without a look-up, and returns the hash.
func parseRefresh(text gatehouse.Secret) ([]byte, error) {
	p, err := credential.ParseKey(text.Reveal())
	if err != nil || !p.IsRefreshToken() {
		return nil, errInvalidGrant
	}
	return credential.HashKey(text.Reveal()), nil
}

const (
	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// bodyLen are the id and secret characters of a key text, crcLen those of
	// its checksum; credential.ParseKey holds us to both.
	bodyLen, crcLen = 42, 6
)

// successor returns the token that follows text: HMAC-SHA-512 under the server's
// key, in the form of every other key. It is as unpredictable as a random one
// to all who lack that key, holders of text included.
func (s *Service) successor(text gatehouse.Secret) minted {
	mac := hmac.New(sha512.New, s.c.SuccessorKey)
	mac.Write([]byte("gatehouse refresh successor\x00"))
	mac.Write([]byte(text.Reveal()))
	// 512 bits against 62^42 < 2^251: what the division favours is below 2^-260.
	n := new(big.Int).SetBytes(mac.Sum(nil))
	body := credential.PrefixRefresh + "_" + string(gatehouse.EnvironmentLive) + "_" + digits(n, bodyLen)
	crc := big.NewInt(int64(crc32.ChecksumIEEE([]byte(body))))
	full := body + digits(crc, crcLen)
	return minted{gatehouse.Secret(full), credential.HashKey(full)}
}

// digits writes the lowest n base62 digits of v, the highest first. It uses v up.
func digits(v *big.Int, n int) string {
	out := make([]byte, n)
	base, d := big.NewInt(62), new(big.Int)
	for i := n - 1; i >= 0; i-- {
		v.DivMod(v, base, d)
		out[i] = base62[d.Int64()]
	}
	return string(out)
}
