package token

import (
	"bytes"
	"strings"
	"testing"
)

// noise returns n octets that are no text and have no pattern, the same in every run.
func noise(n int) []byte {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// TestSecretPatterns holds each pattern of CheckSecret at the point where it ends: what
// is refused is what an attacker tries first, and what lies beside it is a secret.
func TestSecretPatterns(t *testing.T) {
	sequence := func(n int, step byte) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i)*step + 5
		}
		return b
	}
	twice := func(n int) []byte { return bytes.Repeat(noise(n), 2) }
	padded := func(n, pad int) []byte { return append(noise(n), bytes.Repeat([]byte{noise(n)[n-1] ^ 1}, pad)...) }
	before := func(n, pad int) []byte { return append(bytes.Repeat([]byte{noise(n)[0] ^ 1}, pad), noise(n)...) }
	broken := sequence(64, 7)
	broken[63]++
	late := sequence(64, 7)
	late[0]++
	for name, c := range map[string]struct {
		secret []byte
		is     func([]byte) bool
		want   bool
	}{
		"one octet over and over":   {bytes.Repeat([]byte{9}, 32), isPeriodic, true},
		"16 octets twice":           {twice(16), isPeriodic, true},
		"16 octets twice but one":   {twice(16)[:31], isPeriodic, false},
		"31 octets twice":           {twice(31), isPeriodic, true},
		"31 octets, the last other": {append(twice(31)[:61], 1), isPeriodic, false},
		"32 octets twice":           {twice(32), isPeriodic, false}, // as good as the 32 octets
		"noise":                     {noise(32), isPeriodic, false},
		"15 octets and padding":     {padded(15, 40), isPadded, true},
		"16 octets and padding":     {padded(16, 40), isPadded, false},
		"padding and 15 octets":     {before(15, 40), isPadded, true},
		"padding and 16 octets":     {before(16, 40), isPadded, false},
		"nothing but padding":       {make([]byte, 32), isPadded, true},
		"noise without padding":     {noise(32), isPadded, false},
		"counting":                  {sequence(32, 1), isSequence, true},
		"counting by 7":             {sequence(64, 7), isSequence, true},
		"counting down":             {sequence(64, 255), isSequence, true},
		"counting, the last other":  {broken, isSequence, false},
		"counting, the first other": {late, isSequence, false},
		"no counting":               {noise(32), isSequence, false},
		"hexadecimal":               {[]byte("0123456a9f"), isHex, true},
		"hexadecimal, capitals":     {[]byte("0123456A9F"), isHex, true},
		"nearly hexadecimal":        {[]byte("0123456g"), isHex, false},
		"nothing":                   {nil, isHex, true},
		"a slash is before the 0":   {[]byte("/123456a"), isHex, false},
		"a colon is behind the 9":   {[]byte(":123456a"), isHex, false},
		"a grave is before the a":   {[]byte("`123456a"), isHex, false},
		"an at is before the A":     {[]byte("@123456A"), isHex, false},
		"a G is behind the F":       {[]byte("G123456A"), isHex, false},
		"control, no text":          {[]byte("secret\x1f"), isTyped, false},
		"delete, no text":           {[]byte("secret\x7f"), isTyped, false},
		"octets, no text":           {[]byte("secret\x80"), isTyped, false},
		"the last of text":          {[]byte("secret~"), isTyped, true},
		"a blank":                   {[]byte("aB3 zZ9"), isTyped, true},
		"a word":                    {[]byte("x9-Changeme-B7"), isTyped, true},
		"no word":                   {[]byte("x9-Changmee-B7"), isTyped, false},
		"digits alone":              {[]byte("31415926535"), isTyped, true},
		"letters of hexadecimal":    {[]byte("abacadab"), isTyped, true},
		"capitals of hexadecimal":   {[]byte("ABACADAB"), isTyped, true},
		"both, without digits":      {[]byte("abACADab"), isTyped, true},
		"123456 in hexadecimal":     {[]byte("0123456af"), isTyped, false}, // as likely there as anything
		"123456 in capitals":        {[]byte("9123456AF"), isTyped, false},
		"123456 elsewhere":          {[]byte("z123456af"), isTyped, true},
		"first small letter, digit": {[]byte("a-0-a"), isTyped, false},
		"last small letter, digit":  {[]byte("z-9-z"), isTyped, false},
		"first capital, digit":      {[]byte("A-0-A"), isTyped, false},
		"last capital, digit":       {[]byte("Z-9-Z"), isTyped, false},
		"small and capital":         {[]byte("a-Z-z-A"), isTyped, false},
		"small letters alone":       {[]byte("qzjxkv-"), isTyped, true},
		"capitals alone":            {[]byte("QZJXKV-"), isTyped, true},
		"signs alone":               {[]byte("-./:;<=>?@[]^_`{|}"), isTyped, true},
		"digits and signs":          {[]byte("0/9:0@9[0`9{"), isTyped, true},
		"small letters and signs":   {[]byte("a`z{a@z[a/z:"), isTyped, true},
		"capitals and signs":        {[]byte("A@Z[A`Z{A/Z:"), isTyped, true},
	} {
		if got := c.is(c.secret); got != c.want {
			t.Errorf("%s (%q): %v", name, c.secret, got)
		}
	}
	for _, w := range strings.Fields("secret password passwort passwd passphrase changeme default example private signing qwerty letmein gatehouse 123456 abcdef please replace sample insecure development production") {
		for _, spelled := range []string{w, strings.ToUpper(w)} {
			if !isTyped([]byte("x9-" + spelled + "-Zq")) {
				t.Errorf("%s is not noticed", spelled)
			}
		}
	}
}

// TestEntropyOfSecrets: 80 bits are enough and less are not.
func TestEntropyOfSecrets(t *testing.T) {
	// Two octets eight times and four of them four times: 16 × 2 + 16 × 3 bits.
	eighty := []byte("\x01\x02\x03\x01\x02\x04\x01\x02\x05\x01\x02\x06\x01\x02\x03\x04\x01\x05\x02\x06\x01\x03\x02\x04\x01\x06\x02\x05\x03\x04\x06\x05")
	if bits := entropyBits(eighty); bits != 80 {
		t.Fatalf("%v bits", bits)
	}
	if err := CheckSecret(HS256, eighty); err != nil {
		t.Error(err)
	}
	less := bytes.Clone(eighty)
	less[31] = 1
	if err := CheckSecret(HS256, less); err == nil || entropyBits(less) >= 80 {
		t.Errorf("%v bits: %v", entropyBits(less), err)
	}
	if bits := entropyBits(bytes.Repeat([]byte{1}, 64)); bits != 0 {
		t.Errorf("%v bits in one octet", bits)
	}
	if bits := entropyBits([]byte("\x00\x01\x02\x03")); bits != 8 {
		t.Errorf("%v bits in four octets", bits)
	}
}

// TestSecretsOfVectors: published vectors may use patterns as keys; their length counts
// all the same, and so does what was typed.
func TestSecretsOfVectors(t *testing.T) {
	pattern := b64.EncodeToString(bytes.Repeat([]byte{0xf0, 2}, 32))
	for text, want := range map[string]bool{pattern: true, pattern[:40]: false, b64.EncodeToString([]byte(strings.Repeat("secret", 9))): false} {
		jwk := []byte(`{"kty":"oct","alg":"HS256","k":"` + text + `"}`)
		if _, err := ParseJWK(jwk, ParseOptions{Private: true, vector: true}); (err == nil) != want {
			t.Errorf("%s as a vector: %v", text, err)
		}
		if _, err := ParseJWK(jwk, ParseOptions{Private: true}); err == nil {
			t.Errorf("%s guards something", text)
		}
	}
}
