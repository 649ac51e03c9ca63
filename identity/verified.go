package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
)

const maxCacheTTL = time.Minute

// verified remembers which passwords were verified a moment ago. Basic sends
// the password with each request; hashing each time would cost 40 ms and a
// hashing slot a request, which makes a busy client its own denial of service.
//
// It is safe to skip the hash because an entry is found only by who has the very
// password: its key is a MAC, under a key of this process, over account, user,
// version, stored hash and password. A new password, another pepper or any other
// change of the user gives another key, so nothing has to be invalidated and
// nothing can be forgotten. Whether the user is disabled is asked each time. A
// failure is never remembered. An entry holds no password and is worth nothing
// outside the process; to read it one must read the memory through which the
// passwords themselves pass.
type verified struct {
	secret  []byte
	ttl     time.Duration
	entries *cache.Cache[proof, int64] // until, in Unix nanoseconds
}

type proof [sha256.Size]byte

func newVerified(size int, ttl time.Duration) *verified {
	v := &verified{secret: make([]byte, 32), ttl: ttl, entries: cache.New[proof, int64](size)}
	_, _ = rand.Read(v.secret)
	return v
}

func (v *verified) key(account accountID, u *User, password gatehouse.Secret) (p proof) {
	mac := hmac.New(sha256.New, v.secret)
	mac.Write(frame("gatehouse verified password", string(account[:]), u.Realm, u.ID, strconv.FormatInt(u.Version, 10), strconv.FormatBool(u.Disabled), u.PasswordHash, password.Reveal()))
	mac.Sum(p[:0])
	return p
}

func (v *verified) has(p proof, now time.Time) bool {
	until, ok := v.entries.Get(p)
	return ok && now.UnixNano() < until
}

func (v *verified) put(p proof, now time.Time) {
	if v.ttl > 0 {
		v.entries.Set(p, now.Add(v.ttl).UnixNano())
	}
}
