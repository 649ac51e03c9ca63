package passkey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/once"
)

// answerWithin is how long a question counts. Whoever has to fetch a security key needs a
// while; browsers are told a little less.
const answerWithin = 5 * time.Minute

// A challenge is its nonce, the moment at which it is over in milliseconds, and the MAC.
const (
	nonceSize     = 16
	endSize       = 8
	challengeSize = nonceSize + endSize + sha256.Size
)

// What a challenge is for. One of another purpose counts for nothing.
const (
	toSignIn = "sign in"
	toAdd    = "add"
	toProve  = "second factor"
	toBegin  = "first of an account"
	toStead  = "in the place of lost ones"
)

// asked is to whom a question was put.
type asked struct {
	purpose, realm, user string // user is "" where it is not known yet
	browser              []byte // what ties forms to it
}

// challenge makes a new one.
func (s *Service) challenge(to asked) []byte {
	c := make([]byte, nonceSize, challengeSize)
	_, _ = rand.Read(c) // never fails (crypto/rand)
	c = binary.BigEndian.AppendUint64(c, uint64(s.c.Now().Add(answerWithin).UnixMilli()))
	return append(c, s.mac(c, to)...)
}

// counts reports whether c is a challenge that was made for to, and is not over.
func (s *Service) counts(c []byte, to asked) bool {
	if len(c) != challengeSize || len(to.browser) == 0 {
		return false
	}
	open, mac := c[:nonceSize+endSize], c[nonceSize+endSize:]
	left := end(c).Sub(s.c.Now())
	return hmac.Equal(mac, s.mac(open, to)) && left > 0 && left <= answerWithin+once.Margin
}

func end(c []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(c[nonceSize : nonceSize+endSize])))
}

func (s *Service) mac(open []byte, to asked) []byte {
	return s.derive("challenge", to.purpose, to.realm, to.user, string(open), string(to.browser))
}

// handle is what tells authenticators whose a passkey is: another one in each realm, of which
// nobody learns who that is.
func (s *Service) handle(realm, userID string) []byte {
	return s.derive("user handle", realm, userID)
}

// derive is a MAC under the key of the service, over parts that no others can be taken for.
func (s *Service) derive(parts ...string) []byte {
	mac := hmac.New(sha256.New, s.c.Key)
	for i, p := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(p))
	}
	mac.Write([]byte("gatehouse passkey " + strings.Join(parts, " ")))
	return mac.Sum(nil)
}

// kindChallenge is for challenges that were answered: the key is the hash of one.
const kindChallenge once.Kind = "passkey"

// used is the note that a challenge was answered.
func used(c []byte) once.Record {
	sum := sha256.Sum256(c)
	return once.Record{Kind: kindChallenge, Key: sum[:], ExpiresAt: end(c)}
}
