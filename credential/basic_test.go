package credential_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

func TestParseBasic(t *testing.T) {
	enc := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct{ name, value, user, password, code string }{
		{"RFC 7617 §2", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame", ""},
		{"RFC 7617 §2.1", "dGVzdDoxMjPCow==", "test", "123£", ""},
		{"colons in the password", enc("a:b:c:"), "a", "b:c:", ""},
		{"empty password", enc("a:"), "a", "", ""},
		{"username to NFC", enc("ame\u0301lie:pe\u0301"), "am\u00e9lie", "pe\u0301", ""},
		{"blanks are kept", enc(" a : b "), " a ", " b ", ""},

		{"nothing", "", "", "", "basic_malformed"},
		{"not base64", "!!!!", "", "", "basic_malformed"},
		{"no padding", "dGVzdDoxMjPCow", "", "", "basic_malformed"},
		{"too much padding", "dGVzdDoxMjPCow====", "", "", "basic_malformed"},
		{"stray bits", "dGVzdDoxMjPCox==", "", "", "basic_malformed"},
		{"line break", "dGVz\r\ndDoxMjPCow==", "", "", "basic_malformed"},
		{"trailing line break", "dGVzdDoxMjPCow==\n", "", "", "basic_malformed"},
		{"leading blank", " dGVzdDoxMjPCow==", "", "", "basic_malformed"},
		{"base64url", strings.NewReplacer("+", "-", "/", "_").Replace(enc("a:\u00ff\u00ff\u00be??>>")), "", "", "basic_malformed"},
		{"two values", "dGVzdDoxMjPCow==,dGVzdDoxMjPCow==", "", "", "basic_malformed"},
		{"not UTF-8", base64.StdEncoding.EncodeToString([]byte{'a', ':', 0xff}), "", "", "basic_not_utf8"},
		{"no colon", enc("test"), "", "", "basic_no_colon"},
		{"no user", enc(":password"), "", "", "basic_no_user"},
		{"NUL", enc("a:b\x00"), "", "", "basic_control_character"},
		{"line break inside", enc("a\n:b"), "", "", "basic_control_character"},
		{"DEL", enc("a:b\x7f"), "", "", "basic_control_character"},
		{"C1", enc("a:\u0085"), "", "", "basic_control_character"},
		{"too large", enc(strings.Repeat("a:", 4000)), "", "", "basic_too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user, password, err := credential.ParseBasic(tt.value)
			if tt.code != "" {
				if err == nil || gatehouse.CodeOf(err) != tt.code {
					t.Fatalf("got %q, %v; want %s", user, err, tt.code)
				}
				return
			}
			if err != nil || user != tt.user || password.Reveal() != tt.password {
				t.Fatalf("got %q %q %v", user, password.Reveal(), err)
			}
		})
	}
}

func TestFormatBasic(t *testing.T) {
	if v, ok := credential.FormatBasic("Aladdin", "open sesame"); !ok || v.Reveal() != "QWxhZGRpbjpvcGVuIHNlc2FtZQ==" {
		t.Errorf("got %q %v", v.Reveal(), ok)
	}
	for _, user := range []string{"", "a:b", "a\n", "\xff"} {
		if _, ok := credential.FormatBasic(user, "x"); ok {
			t.Errorf("%q can be sent", user)
		}
	}
}
