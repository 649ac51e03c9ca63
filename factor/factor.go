package factor

import (
	"crypto/hmac"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// Kind is a kind of factor.
type Kind string

const (
	TOTP     Kind = "totp"     // an authenticator app
	Recovery Kind = "recovery" // the recovery codes of a user, all of them together
)

// Codes is how many recovery codes there are in a set.
const Codes = 10

// MaxApps is how many authenticator apps a user can have, and EnrolFor how long one waits to be
// confirmed.
const (
	MaxApps  = 5
	EnrolFor = 15 * time.Minute
)

// Factor is one factor of a user.
type Factor struct {
	Realm, UserID, ID string
	Kind              Kind
	Name              string // as its owner calls it
	// Sealed is the secret that an app shares. Empty for recovery codes.
	Sealed []byte
	// Hashes are those of the recovery codes that are left.
	Hashes [][]byte
	// Step is the last step of the clock that was accepted.
	Step        int64
	CreatedAt   time.Time
	ConfirmedAt time.Time // zero: enrolment is not finished, and it counts for nothing
	UsedAt      time.Time
	Version     int64
}

// Confirmed reports whether f counts.
func (f Factor) Confirmed() bool { return !f.ConfirmedAt.IsZero() }

// Waiting reports whether f can still be confirmed.
func (f Factor) Waiting(now time.Time) bool {
	return f.Kind == TOTP && !f.Confirmed() && now.Before(f.CreatedAt.Add(EnrolFor))
}

// Apps are the authenticator apps among list that count.
func Apps(list []Factor) []Factor {
	return slices.DeleteFunc(slices.Clone(list), func(f Factor) bool { return f.Kind != TOTP || !f.Confirmed() })
}

// Vault seals and opens what apps share with us.
type Vault struct {
	Box *seal.Box
}

func place(f Factor) seal.Place {
	return seal.Place{Purpose: "totp", Realm: f.Realm, ID: f.UserID + "/" + f.ID}
}

// NewApp is an app that waits to be confirmed, and the secret for it, which is shown once.
func (v Vault) NewApp(realm, userID, name string, now time.Time) (Factor, []byte, error) {
	f := Factor{Realm: realm, UserID: userID, ID: gatehouse.NewID("fac", now), Kind: TOTP, Name: name, CreatedAt: now, Version: 1}
	secret := credential.NewTOTPSecret()
	var err error
	f.Sealed, err = v.Box.Seal(secret, place(f))
	return f, secret, err
}

// NewCodes is a set of recovery codes, and their texts, which are shown once.
func NewCodes(realm, userID string, now time.Time) (Factor, []gatehouse.Secret) {
	f := Factor{Realm: realm, UserID: userID, ID: gatehouse.NewID("fac", now), Kind: Recovery, CreatedAt: now, ConfirmedAt: now, Version: 1}
	texts := make([]gatehouse.Secret, Codes)
	for i := range texts {
		texts[i] = credential.NewRecoveryCode()
		hash, _ := credential.HashRecoveryCode(texts[i].Reveal())
		f.Hashes = append(f.Hashes, hash)
	}
	return f, texts
}

// MatchApp reports whether code is what the app f shows at now and was not used before; f is
// then as it must be stored.
func (v Vault) MatchApp(f Factor, code string, now time.Time) (Factor, bool, error) {
	secret, err := v.Box.Open(f.Sealed, place(f))
	if err != nil {
		return Factor{}, false, fmt.Errorf("factor %s: %w", f.ID, err)
	}
	step, ok := credential.MatchTOTP(secret, code, now, f.Step)
	if !ok {
		return Factor{}, false, nil
	}
	f.Step, f.UsedAt = step, now
	return f, true, nil
}

// matchRecovery reports whether a code with that hash is left in f; it is not, in what it returns.
func matchRecovery(f Factor, hash []byte, now time.Time) (Factor, bool) {
	left := slices.DeleteFunc(slices.Clone(f.Hashes), func(h []byte) bool { return hmac.Equal(h, hash) })
	if len(left) == len(f.Hashes) {
		return Factor{}, false
	}
	f.Hashes, f.UsedAt = left, now
	return f, true
}
