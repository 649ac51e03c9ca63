package credential

import (
	"crypto/hmac"
	"encoding/base32"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestHOTPVectors: appendix D of RFC 4226.
func TestHOTPVectors(t *testing.T) {
	for step, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := totp([]byte("12345678901234567890"), int64(step)); got != want {
			t.Errorf("counter %d: %s, want %s", step, got, want)
		}
	}
}

// TestTOTPVectors: the rows for SHA-1 of appendix B of RFC 6238, whose codes of eight digits
// end in ours.
func TestTOTPVectors(t *testing.T) {
	for unix, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924",
		2000000000: "69279037", 20000000000: "65353130"} {
		step, ok := MatchTOTP([]byte("12345678901234567890"), want[2:], time.Unix(unix, 0), -1)
		if !ok || step != unix/30 {
			t.Errorf("%d: step %d, %v", unix, step, ok)
		}
	}
}

// TestTOTPWindow: a clock may be 30 seconds early or late and no more, and a step that was
// accepted, or one before it, is never accepted again.
//
// ASVS: 6.5.1, 6.5.8
func TestTOTPWindow(t *testing.T) {
	secret, now := NewTOTPSecret(), time.Unix(1_800_000_015, 0)
	at := now.Unix() / 30
	for skew := int64(-3); skew <= 3; skew++ {
		code := totp(secret, at+skew)
		step, ok := MatchTOTP(secret, code, now, 0)
		if want := skew >= -1 && skew <= 1; ok != want || ok && step != at+skew {
			t.Errorf("a clock that is off by %d steps: step %d, %v", skew, step-at, ok)
		}
		if _, ok := MatchTOTP(secret, code, now, at+skew); ok {
			t.Errorf("the code of step %d works twice", skew)
		}
		if _, ok := MatchTOTP(secret, code, now, at+2); ok {
			t.Errorf("the code of step %d works after a later one", skew)
		}
	}
	for _, code := range []string{"", "12345", totp(secret, at) + "0", totp(secret, at)[:5]} {
		if _, ok := MatchTOTP(secret, code, now, 0); ok {
			t.Errorf("%q works", code)
		}
	}
	if _, ok := MatchTOTP(nil, totp(nil, at), now, 0); ok {
		t.Error("without a secret a code works")
	}
}

func TestTOTPURI(t *testing.T) {
	secret := NewTOTPSecret()
	for _, c := range [][2]string{{"Example & Sons", "bob@example.org"}, {"a:b", "c:d"}, {"100% +1", "x?secret=y&issuer=z#f"}, {"Häuser", "zoë"}} {
		u, err := url.Parse(TOTPURI(c[0], c[1], secret))
		if err != nil {
			t.Fatal(err)
		}
		issuer, account, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
		clean := func(s string) string { return strings.ReplaceAll(s, ":", " ") }
		if issuer != clean(c[0]) || account != clean(c[1]) || u.Query().Get("issuer") != issuer || u.Fragment != "" || strings.Contains(u.RawQuery, "+") {
			t.Errorf("%q became %s", c, u)
		}
		raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
		if err != nil || !hmac.Equal(raw, secret) || u.Query().Get("digits") != "6" || u.Query().Get("period") != "30" || u.Scheme != "otpauth" || u.Host != "totp" {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// TestRecoveryCodes: 120 bits, found whatever the case and the groups, and nothing else is one.
//
// ASVS: 6.5.2, 6.5.3, 6.5.4
func TestRecoveryCodes(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		code := NewRecoveryCode().Reveal()
		hash, ok := HashRecoveryCode(code)
		if !ok || len(hash) != 32 || seen[string(hash)] || len(code) != 29 || strings.Contains(string(hash), code) {
			t.Fatalf("%s: %x %v", code, hash, ok)
		}
		seen[string(hash)] = true
		alike := strings.NewReplacer("0", "O", "1", "l", "-", " ").Replace(code)
		for _, text := range []string{strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), " " + code + " ", alike} {
			if again, ok := HashRecoveryCode(text); !ok || !hmac.Equal(again, hash) {
				t.Errorf("%q is not taken for %q", text, code)
			}
		}
		for _, text := range []string{"", code[1:], code + "0", strings.Replace(code, "-", "_", 1), code[:28] + "u", strings.Repeat("-", 1000) + code} {
			if _, ok := HashRecoveryCode(text); ok {
				t.Errorf("%q is taken for a code", text)
			}
		}
	}
}
