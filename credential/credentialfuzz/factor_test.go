package credentialfuzz_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

func FuzzFactorInputs(f *testing.F) {
	f.Add("123456", "bob")
	f.Add("0000-1111-2222-3333-4444-5555", "a:b")
	f.Add("１２３４５６", "\x00")
	secret := credential.NewTOTPSecret()
	f.Fuzz(func(t *testing.T, code, name string) {
		if step, ok := credential.MatchTOTP(secret, code, time.Unix(1_800_000_015, 0), 0); ok && code != testtotp.Code(credential.TOTPText(secret), time.Unix(step*30, 0)) {
			t.Errorf("%q is taken for the code of step %d", code, step)
		}
		if hash, ok := credential.HashRecoveryCode(code); ok {
			if again, _ := credential.HashRecoveryCode(strings.ToUpper(code)); !bytes.Equal(hash, again) || !utf8.ValidString(code) {
				t.Errorf("%q", code)
			}
		}
		if u, err := url.Parse(credential.TOTPURI(name, name, secret)); err != nil || len(u.Query()) != 5 || u.Query().Get("secret") != credential.TOTPText(secret) {
			t.Errorf("%q: %v %v", name, u, err)
		}
	})
}
