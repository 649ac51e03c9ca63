package credential

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238 §1.2: what authenticator apps compute; HMAC needs no collision resistance
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// One-time codes by the clock (TOTP, RFC 6238), as every authenticator app knows them:
// HMAC-SHA-1, six digits, steps of 30 seconds since 1970.
const (
	// TOTPSecretSize is the length of a secret in bytes, that of the hash (RFC 4226 §4, R6).
	TOTPSecretSize = 20
	// TOTPDigits is the length of a code.
	TOTPDigits = 6

	totpPeriod = 30 // seconds
	// totpWindow is how many steps a code may be early or late (RFC 6238 §5.2): clocks of
	// telephones are set by their network, and typing takes a moment.
	totpWindow = 1
)

// NewTOTPSecret makes the secret that an app and we share.
func NewTOTPSecret() []byte {
	secret := make([]byte, TOTPSecretSize)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the program instead
	return secret
}

// MatchTOTP reports whether code is that of a step of the clock at now, or of one beside it,
// and of which. after is the last step that was accepted: neither it nor one before it counts,
// so that nobody uses a code who has seen it being used (RFC 6238 §5.2). The caller stores the
// step before he answers. It takes the same time whichever step matches.
func MatchTOTP(secret []byte, code string, now time.Time, after int64) (step int64, ok bool) {
	current := now.Unix() / totpPeriod
	for at := current - totpWindow; at <= current+totpWindow; at++ {
		same := subtle.ConstantTimeCompare([]byte(totp(secret, at)), []byte(code)) == 1
		if same && at > after && at >= 0 {
			step, ok = at, true
		}
	}
	return step, ok && len(secret) == TOTPSecretSize
}

// totp is the code of a step: HOTP (RFC 4226 §5.3) with the step as its counter.
func totp(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	text := strconv.Itoa(int(n % 1_000_000))
	return strings.Repeat("0", TOTPDigits-len(text)) + text
}

// TOTPText is a secret as people type it into an app: base32 without padding.
func TOTPText(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// TOTPURI is what an app reads from a QR code (the Key URI format of Google Authenticator).
// issuer and account are names for the person. A colon stands between the two and so in
// neither; blanks are %20, since some apps show a plus.
func TOTPURI(issuer, account string, secret []byte) string {
	name := func(s string) string {
		return strings.ReplaceAll(url.QueryEscape(strings.ReplaceAll(s, ":", " ")), "+", "%20")
	}
	return "otpauth://totp/" + name(issuer) + ":" + name(account) + "?secret=" + TOTPText(secret) + "&issuer=" + name(issuer) +
		"&algorithm=SHA1&digits=" + strconv.Itoa(TOTPDigits) + "&period=" + strconv.Itoa(totpPeriod)
}
