package credentialfuzz_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

func FuzzParseBasic(f *testing.F) {
	for _, s := range []string{"", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "dGVzdDoxMjPCow==", "dGVzdDoxMjPCox==", "dGVzdA==", "Og==", "YTo=",
		"dGVz\r\ndDoxMjPCow==", "YW1lzIFsaWU6eA==", "YTpiAA==", "gTqB", "dGVzdDoxMjPCow"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		user, password, err := credential.ParseBasic(value)
		if err != nil {
			if user != "" || password != "" {
				t.Fatal("an error comes with a credential")
			}
			return
		}
		if strings.Contains(user, ":") || !norm.NFC.IsNormalString(user) || !utf8.ValidString(password.Reveal()) ||
			strings.ContainsFunc(user+password.Reveal(), unicode.IsControl) {
			t.Fatalf("accepted %q as %q", value, user)
		}
		again, ok := credential.FormatBasic(user, password)
		if !ok {
			t.Fatalf("%q cannot be sent again", user)
		}
		raw, _ := base64.StdEncoding.DecodeString(value)
		given, _, _ := strings.Cut(string(raw), ":")
		// A username in another normal form is brought to NFC: the one exception.
		if norm.NFC.IsNormalString(given) && again.Reveal() != value {
			t.Fatalf("%q re-encodes to %q", value, again.Reveal())
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"", "_", "__", "ghk_live_", "ghk_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef3MUsEj",
		"ghk_test_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef3MUsEj", "Ghk_live_x", strings.Repeat("_", 80)} {
		f.Add(s)
	}
	text, _, _ := credential.MintKey(credential.PrefixRefresh, gatehouse.EnvironmentTest)
	f.Add(text.Reveal())
	f.Fuzz(func(t *testing.T, text string) {
		p, err := credential.ParseKey(text)
		if err != nil {
			if p != (credential.ParsedKey{}) {
				t.Fatal("an error comes with a key")
			}
			return
		}
		head := p.Prefix + "_" + string(p.Environment) + "_" + p.ID
		if rest, ok := strings.CutPrefix(text, head); !ok || len(rest) != 36 {
			t.Fatalf("%q parsed as %+v", text, p)
		}
		// One character changed must not pass: CRC-32 finds every such change.
		for _, i := range []int{0, len(head), len(text) - 1} {
			changed := []byte(text)
			if changed[i]++; changed[i] > 'z' {
				changed[i] = 'a'
			}
			if _, err := credential.ParseKey(string(changed)); err == nil {
				t.Fatalf("%q and %q both pass", text, changed)
			}
		}
	})
}

func FuzzParseHash(f *testing.F) {
	for _, s := range []string{
		"", "$", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=19456,t=2,p=1,keyid=azE$AAECAwQFBgcICQoLDA0ODw$5YgLbOz7XU7cKAsEeOhqMPMP3KxRqRjxKGXAFnYlTwg",
		"$2b$05$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe",
		"$scrypt$ln=10,r=8,p=2$AAECAwQFBgcICQoLDA0ODw$/mhggF44dVVv/yHJ6akNaXaQJ/OGLMDYXzYK/ikPFTM",
		"$pbkdf2-sha256$1200$AAECAwQFBgcICQoLDA0ODw$5YgLbOz7XU7cKAsEeOhqMPMP3KxRqRjxKGXAFnYlTwg",
		"$pbkdf2-sha512$i=1200,l=64$AAECAwQFBgcICQoLDA0ODw$nZ69aM/SrCTxWL1HmPkt4vgPkjGIxkwT27vH/aTxzJ5kLXE13jH+9PSUuPeO09z8B0Qma8rm4miFcHBL0SmFBQ",
		"pbkdf2_sha256$1200$seasalt$gcCQ2j4cWXMyyAlGJNxC0ACOYZ11Pw3Hd1OBVFOUrZI=",
		"$scrypt$ln=99999999999999999999,r=8,p=2$AA$AA", "$argon2id$v=19$m=-1,t=2,p=1$$", "$2b$$",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := credential.ParseHash(text)
		if err != nil {
			if s != nil {
				t.Fatal("an error comes with a hash")
			}
			return
		}
		if s.String() != text {
			t.Fatalf("%q re-encodes to %q", text, s)
		}
	})
}

func FuzzImportHash(f *testing.F) {
	for _, s := range []string{"", "{", "{bcrypt}", "{\"", "{\"credentialData\":\"{}\",\"secretData\":\"{}\"}", "$wp$2", "bcrypt_sha256$$2", "bcrypt$$2b$", "AQAAAAEAAAPoAAAAEHNv",
		"scrypt:1024:8:1$7Y7qRd3lvWQ7fpUj$00", "scrypt$1024$somesaltsomesaltsomesa$8$1$AA==", "$a0801$c29tZXNhbHQxMjM0NTY3OA==$MdlWbMQa5hC52jE95zaaTJjy7ytYfP/9Ok7QKIzzDhY=",
		"$6$rounds=1000$a$b", "argon2$argon2id$v=19$p=1,m=256,t=1$c29tZXNhbHRzb21lc2FsdHNvbWVzYQ$lZ8RRE/WInWvmZsxqVrv4zimxJZaUb6A7Qj6HNme4Us"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stored, kind, err := credential.ImportHash(text)
		if err != nil {
			if stored != "" || kind != "" || credential.WhyNoHash(text) == "" {
				t.Fatal("an error comes with a hash, or without a reason")
			}
			return
		}
		s, err := credential.ParseHash(stored)
		if err != nil || s.Kind() != kind || len(stored) > credential.MaxHashBytes {
			t.Fatalf("%q is stored as %q, which cannot be read: %v", text, stored, err)
		}
	})
}
