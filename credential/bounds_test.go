package credential

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
)

func TestPrefixBounds(t *testing.T) {
	for prefix, want := range map[string]bool{"zz": true, "a9z0": true, "a{": false, "{a": false, "`a": false, "a`": false, "a:": false, "a/": false} {
		if ValidKeyPrefix(prefix) != want {
			t.Errorf("%q: want %v", prefix, want)
		}
	}
	text, id, _ := MintKey("abcdefghij", gatehouse.EnvironmentTest)
	if p, err := ParseKey(text.Reveal()); err != nil || p.ID != id {
		t.Errorf("the longest key: %+v, %v", p, err)
	}
	for _, tt := range []struct {
		prefix string
		env    gatehouse.Environment
	}{{"A", gatehouse.EnvironmentLive}, {"ghk", "prod"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a key is made of %q and %q that is never accepted", tt.prefix, tt.env)
				}
			}()
			MintKey(tt.prefix, tt.env)
		}()
	}
}

// A ticket is short-lived and none of the other uses of the form.
func TestTicket(t *testing.T) {
	text, _, _ := MintTicket()
	p, err := ParseKey(text.Reveal())
	if err != nil || !p.IsTicket() || p.IsAccessToken() || p.IsRefreshToken() || p.IsAPIKey("") || p.IsAPIKey(PrefixTicket) {
		t.Errorf("%+v, %v", p, err)
	}
	if (ParsedKey{Prefix: PrefixKey}).IsTicket() {
		t.Error("a key passes for a ticket")
	}
	if TicketLife != 30*time.Second {
		t.Errorf("a ticket lives %s", TicketLife)
	}
	if ValidKeyPrefix(PrefixTicket) {
		t.Error("keys can be called tickets")
	}
}

// The gravest status is the one that is seen, and none but the last allows use.
func TestKeyStatusOrder(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		key  Key
		want KeyStatus
	}{
		{Key{DisabledAt: now.Add(-time.Hour)}, KeyDisabled},
		{Key{DisabledAt: now.Add(time.Hour)}, KeyDisabled},
		{Key{DisabledAt: now, ExpiresAt: now.Add(time.Hour)}, KeyDisabled},
		{Key{DisabledAt: now, ExpiresAt: now}, KeyExpired},
		{Key{DisabledAt: now, RevokedAt: now}, KeyRevoked},
		{Key{DisabledAt: now, LeakedAt: now}, KeyLeaked},
		{Key{LeakedAt: now, ExpiresAt: now.Add(-1)}, KeyLeaked},
		{Key{LeakedAt: now.Add(time.Hour)}, KeyLeaked},
		{Key{ExpiresAt: now.Add(1)}, KeyActive},
	} {
		if got := tt.key.Status(now); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.key, got, tt.want)
		}
	}
}

func TestNetsBounds(t *testing.T) {
	if nets, err := ParseNets(slices.Repeat([]string{"192.0.2.1"}, MaxNets)); err != nil || len(nets) != MaxNets {
		t.Errorf("%d networks: %v", MaxNets, err)
	}
	nets, err := ParseNets([]string{"::ffff:0.0.0.0/96"})
	if err != nil || nets[0].String() != "0.0.0.0/0" {
		t.Errorf("every IPv4 address, mapped: %v, %v", nets, err)
	}
	if _, err := ParseNets([]string{"::/95", "::ffff:0:0/95"}); err == nil {
		t.Error("a mapped prefix that is wider than IPv4 is accepted")
	}
	// ::ffff:192.0.2.1 is one host, not a network of IPv6.
	if nets, err = ParseNets([]string{"::ffff:192.0.2.1"}); err != nil || nets[0].String() != "192.0.2.1/32" {
		t.Errorf("a mapped address: %v, %v", nets, err)
	}
}

func TestBasicLength(t *testing.T) {
	full := base64.StdEncoding.EncodeToString([]byte("u:" + strings.Repeat("p", MaxBasicBytes/4*3-2)))
	if _, _, err := ParseBasic(full); len(full) != MaxBasicBytes || err != nil {
		t.Errorf("%d characters: %v", len(full), err)
	}
	if _, _, err := ParseBasic(full + "AAAA"); gatehouse.CodeOf(err) != "basic_too_large" {
		t.Errorf("four more: %v", err)
	}
}

// Two stems are common in any combination, with any suffix, and ornamented; one is not two.
func TestPairs(t *testing.T) {
	c := newCommonList()
	first, last := c.stems[0], c.stems[len(c.stems)-1]
	for _, s := range []string{last + last, first + last, last + first, last + first + c.suffixes[0], "monkey" + "dragon" + c.suffixes[len(c.suffixes)-1]} {
		if !c.pair(s) {
			t.Errorf("%q is no pair", s)
		}
	}
	for _, s := range []string{"dragon", "dragon1", "dragonq", "dragonmonkeyq", "qdragonmonkey", ""} {
		if c.pair(s) {
			t.Errorf("%q is a pair", s)
		}
	}
	for s, want := range map[string]bool{
		"?abc123password?": true, // a pair only without the ornament, and only as it is spelt
		"5uperman?":        true, // listed only without the ornament and in letters
		"superman?":        true, "dragonmonkey": true, "dr4g0nm0nk3y?": true, "qlampvelvet": false,
	} {
		if c.listed(s) != want {
			t.Errorf("%q is listed: %v", s, !want)
		}
	}
	if w := c.known(last+c.suffixes[0], nil, nil); w != 2 {
		t.Errorf("an expanded stem weighs %d", w)
	}
	if !c.words.has("love") || c.words.has("the") {
		t.Error("words of four letters weigh as one thing, words of three do not")
	}
}

// TestMade: what the shipped file is made of is common with every suffix, and twice, where it is long enough for any realm.
func TestMade(t *testing.T) {
	c := newCommonList()
	for _, stem := range c.stems {
		for _, tail := range append([]string{"", stem}, c.suffixes...) {
			if s := stem + tail; c.made(s) != (utf8.RuneCountInString(s) >= minCommon) {
				t.Errorf("%q is made of it: %v", s, c.made(s))
			}
		}
	}
	for _, s := range c.phrases {
		if c.made(s) != (utf8.RuneCountInString(s) >= minCommon) {
			t.Errorf("%q is made of it: %v", s, c.made(s))
		}
	}
	for _, s := range []string{"qlampvelvet", "dragonvelvet", "qdragon123456", "dragondragom", ""} {
		if c.made(s) {
			t.Errorf("%q is made of it", s)
		}
	}
}

func TestFolding(t *testing.T) {
	for in, want := range map[string]string{"É": "e", "a\u0300b": "ab", "a\u036fb": "ab", "a\u02ffb": "a\u02ffb", "a\u0370b": "a\u0371b", "ﬁ": "fi"} {
		if got := foldPassword(in); got != want {
			t.Errorf("%q is folded to %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"1a?": "a", "azza": "azza", "{a`": "a", "1éa1é2": "éa1é", "\u0080a\u0080": "\u0080a\u0080", "\x7fa": "a", "12": ""} {
		if got := trimOrnament(in); got != want {
			t.Errorf("%q without ornament is %q, want %q", in, got, want)
		}
	}
}

// A key from elsewhere can be taken over by its hash when nobody can guess it.
func TestImportableKey(t *testing.T) {
	for text, want := range map[string]bool{
		strings.Repeat("a", MinImportedKey): true, strings.Repeat("a", MinImportedKey-1): false,
		strings.Repeat("a", MaxImportedKey): true, strings.Repeat("a", MaxImportedKey+1): false, "": false,
		"!~aaaaaaaaaaaaaaaaaaaa": true, "aaaaaaaaaaaaaaaaaaaa ": false, "aaaaaaaaaa\x7faaaaaaaaaa": false,
		"aaaaaaaaaa,aaaaaaaaaa": false, "aaaaaaaaaaéaaaaaaaaaa": false, ",aaaaaaaaaaaaaaaaaaaa": false,
	} {
		if ImportableKey(text) != want {
			t.Errorf("%.40q: want %v", text, want)
		}
	}
}

func TestParseImportedHash(t *testing.T) {
	digest := func(text string) string { return hex.EncodeToString(HashKey(text)) }
	good := digest("kR7vQ2nW9sLx4TgB8mZc")
	seven, eight := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 7}, 4), bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 4)
	words := slices.Collect(shippedWords)
	for _, tt := range []struct {
		name, digest string
		bits         int
		prefix       string
		wrong        []string
	}{
		{"least", good, MinImportedBits, "", nil},
		{"most", good, maxImportedBits, strings.Repeat("p", maxKeyPrefix), nil},
		{"visible ends", good, 128, "!~", nil},
		{"eight values", hex.EncodeToString(eight), 128, "", nil},
		{"too few bits", good, MinImportedBits - 1, "", []string{"bits"}},
		{"too many bits", good, maxImportedBits + 1, "", []string{"bits"}},
		{"no bits", good, 0, "", []string{"bits"}},
		{"long prefix", good, 128, strings.Repeat("p", maxKeyPrefix+1), []string{"prefix"}},
		{"blank in prefix", good, 128, "a b", []string{"prefix"}},
		{"delete in prefix", good, 128, "a\x7f", []string{"prefix"}},
		{"other letters", good, 128, "é", []string{"prefix"}},
		{"upper case", strings.ToUpper(good), 128, "", []string{"sha256"}},
		{"one digit less", good[1:], 128, "", []string{"sha256"}},
		{"one byte less", good[2:], 128, "", []string{"sha256"}},
		{"one byte more", good + "00", 128, "", []string{"sha256"}},
		{"no hash", "", 128, "", []string{"sha256"}},
		{"no hexadecimal", strings.Repeat("g", 64), 128, "", []string{"sha256"}},
		{"seven values", hex.EncodeToString(seven), 128, "", []string{"sha256"}},
		{"hash of nothing", digest(""), 128, "", []string{"sha256"}},
		{"hash of the first word", digest(words[0]), 128, "", []string{"sha256"}},
		{"hash of the last word", digest(words[len(words)-1]), 128, "", []string{"sha256"}},
		{"everything", "", 1, " ", []string{"bits", "prefix", "sha256"}},
	} {
		hash, err := ParseImportedHash(tt.digest, tt.bits, tt.prefix)
		if len(tt.wrong) == 0 {
			if want, _ := hex.DecodeString(tt.digest); err != nil || !bytes.Equal(hash, want) || len(hash) != sha256.Size {
				t.Errorf("%s: %x, %v", tt.name, hash, err)
			}
			continue
		}
		var got []string
		if e, ok := err.(*gatehouse.Error); ok {
			for field := range e.Fields {
				got = append(got, field)
			}
		}
		slices.Sort(got)
		if gatehouse.CodeOf(err) != "key_import_invalid" || hash != nil || !slices.Equal(got, tt.wrong) {
			t.Errorf("%s: %x, %v, members %q, want %q", tt.name, hash, err, got, tt.wrong)
		}
	}
}

func TestHasherBounds(t *testing.T) {
	h, err := NewHasher(HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	got := []int{h.cfg.Time, h.cfg.MemoryKiB, h.cfg.Parallelism, h.cfg.Slots, h.cfg.Queue, int(h.cfg.QueueTimeout / time.Second)}
	if want := []int{2, 19456, 1, 2, 64, 5}; !slices.Equal(got, want) {
		t.Errorf("by default %v, want %v", got, want)
	}
	key := bytes.Repeat([]byte{1}, 32)
	for _, tt := range []struct {
		name string
		cfg  HasherConfig
		ok   bool
	}{
		{"least memory", HasherConfig{MemoryKiB: 7168, Time: 5}, true},
		{"less memory", HasherConfig{MemoryKiB: 7167, Time: 6}, false},
		{"shortest and longest pepper", HasherConfig{Peppers: []Pepper{{"a", key}, {"12345678", key}}}, true},
		{"a second pepper without a name", HasherConfig{Peppers: []Pepper{{"a", key}, {"", key}}}, false},
		{"a second pepper with a long name", HasherConfig{Peppers: []Pepper{{"a", key}, {"123456789", key}}}, false},
	} {
		if _, err := NewHasher(tt.cfg); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	h, err = NewHasher(HasherConfig{Equalize: []string{h.levels[0].String(), "$2a$05$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe"}})
	if err != nil || len(h.levels) != 2 {
		t.Errorf("the current kind is evaluated twice: %d levels, %v", len(h.levels), err)
	}
	for n, want := range map[int]bool{0: false, 1: true, MaxPasswordBytes: true, MaxPasswordBytes + 1: false} {
		if hashable(gatehouse.Secret(strings.Repeat("x", n))) != want {
			t.Errorf("%d bytes can be hashed: %v", n, !want)
		}
	}
}

// A success costs one evaluation, and so does the failure of a kind that is not listed.
func TestNothingExtraIsEvaluated(t *testing.T) {
	h, err := NewHasher(HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	const imported = "$2a$05$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe"
	phc, err := h.Hash(context.Background(), "velvet otter canyon")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		hash string
		pw   gatehouse.Secret
		ok   bool
	}{{phc, "velvet otter canyon", true}, {imported, "wrong", false}} {
		before := h.Stats().Evaluations
		ok, _, err := h.Verify(context.Background(), tt.hash, tt.pw)
		if n := h.Stats().Evaluations - before; ok != tt.ok || err != nil || n != 1 {
			t.Errorf("%.12s: %v, %v, %d evaluations", tt.hash, ok, err, n)
		}
	}
}

// As many may wait as the queue holds, for as long as it says; one more is refused at once.
func TestQueueHoldsWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := NewHasher(HasherConfig{Slots: 1, Queue: 1, QueueTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		_ = h.turns.take(t.Context()) // somebody else's evaluation, without end
		began := time.Now()
		took := make(chan time.Duration, 1)
		go func() {
			if err := h.run(context.Background(), func() {}); gatehouse.CodeOf(err) != "password_queue_full" {
				t.Errorf("the one who waited: %v", err)
			}
			took <- time.Since(began)
		}()
		synctest.Wait()
		if err := h.run(context.Background(), func() {}); gatehouse.CodeOf(err) != "password_queue_full" || time.Since(began) != 0 {
			t.Errorf("one too many: %v after %s", err, time.Since(began))
		}
		if d := <-took; d != time.Minute || h.Stats().Refused != 2 || h.Stats().Waiting != 0 {
			t.Errorf("waited %s, %+v", d, h.Stats())
		}
	})
}

func TestStoredHashBounds(t *testing.T) {
	raw := func(n int) string { return base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{7}, n)) }
	padded := func(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, n)) }
	const b53 = "abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe"
	for text, want := range map[string]bool{
		"$argon2id$v=19$m=8,t=1,p=1$" + raw(8) + "$" + raw(16):                    true,
		"$argon2id$v=19$m=8,t=1,p=1$" + raw(64) + "$" + raw(64):                   true,
		"$argon2id$v=19$m=8,t=1,p=1$" + raw(7) + "$" + raw(16):                    false,
		"$argon2id$v=19$m=8,t=1,p=1$" + raw(65) + "$" + raw(16):                   false,
		"$argon2id$v=19$m=8,t=1,p=1$" + raw(8) + "$" + raw(15):                    false,
		"$argon2id$v=19$m=8,t=1,p=1$" + raw(8) + "$" + raw(65):                    false,
		"$argon2id$v=19$m=7,t=1,p=1$" + raw(8) + "$" + raw(16):                    false,
		"$argon2id$v=19$m=15,t=1,p=2$" + raw(8) + "$" + raw(16):                   false,
		"$argon2id$v=19$m=32768,t=16,p=8$" + raw(8) + "$" + raw(16):               true,
		"$argon2id$v=19$m=8,t=17,p=1$" + raw(8) + "$" + raw(16):                   false,
		"$argon2id$v=19$m=128,t=1,p=9$" + raw(8) + "$" + raw(16):                  false,
		"$argon2id$v=19$m=8,t=1,p=1$" + raw(8):                                    false,
		"$argon2id$v=19$m=8,t=1,p=1,keyid=MTIzNDU2Nzg$" + raw(8) + "$" + raw(16):  true,
		"$argon2id$v=19$m=8,t=1,p=1,keyid=MTIzNDU2Nzg5$" + raw(8) + "$" + raw(16): false,
		"$2b$04$" + b53: true, "$2b$14$" + b53: true, "$2b$05": false, "$2b$05$" + b53 + "e": false, "$2b$05$" + b53 + "$": false,
		"$scrypt$ln=17,r=8,p=2$" + raw(8) + "$" + raw(16):                     true,
		"$scrypt$ln=17,r=4,p=5$" + raw(8) + "$" + raw(16):                     false,
		"$scrypt$ln=1,r=64,p=64$" + raw(8) + "$" + raw(16):                    true,
		"$scrypt$ln=1,r=65,p=1$" + raw(8) + "$" + raw(16):                     false,
		"$scrypt$ln=0,r=1,p=1$" + raw(8) + "$" + raw(16):                      false,
		"$pbkdf2-sha256$i=5000000,l=16$" + raw(8) + "$" + raw(16):             true,
		"$pbkdf2-sha256$i=1,l=64$" + raw(8) + "$" + raw(64):                   true,
		"pbkdf2_sha512$5000000$" + strings.Repeat("s", 64) + "$" + padded(64): true,
		"pbkdf2_sha256$1$!~$" + padded(16):                                    true,
		"pbkdf2_sha256$1$" + strings.Repeat("s", 65) + "$" + padded(16):       false,
		"pbkdf2_sha256$1$s s$" + padded(16):                                   false,
		"pbkdf2_sha256$1$s\x7fs$" + padded(16):                                false,
		"pbkdf2_sha256$1$s$" + padded(15):                                     false,
		"pbkdf2_sha256$1$s$" + padded(65):                                     false,
	} {
		if _, err := ParseHash(text); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	// The shortest hash that may be stored is one that can match.
	h, err := ParseHash("pbkdf2_sha256$1$salt$Eg+2z/z4syxD5yJSVsT4Nw==")
	if err != nil || !h.match([]byte("password")) || h.match([]byte("passwore")) {
		t.Errorf("the shortest hash: %v", err)
	}
}

func TestPolicyBounds(t *testing.T) {
	p := NewPasswordPolicy()
	varied := func(n int, alphabet string) string {
		letters, out, at := []rune(alphabet), make([]rune, n), 0
		for i := range out {
			at = (at*5 + 3 + i/7) % len(letters)
			out[i] = letters[at]
		}
		return string(out)
	}
	full := varied(MaxPasswordRunes, "𝌀𝌅𝌊𝌏𝌔𝌙𝌞𝌣𝌨𝌭𝌲")
	if got := p.Check(gatehouse.Secret(full), 0, nil); len(full) != MaxPasswordBytes || slices.Contains(got, PasswordTooLong) {
		t.Errorf("%d code points in %d bytes: %v", MaxPasswordRunes, len(full), got)
	}
	if got := p.Check(gatehouse.Secret(varied(MaxPasswordRunes+1, "qm7tz2xk9w")), 0, nil); !slices.Equal(got, []Problem{PasswordTooLong}) {
		t.Errorf("one code point more: %v", got)
	}
	long := strings.Repeat("w", 512)
	words := contextWords([]string{long + "w", long, "alice", "bob", "bo"})
	for word, want := range map[string]bool{long: true, long + "w": false, "alice": true, "bob": true, "bo": false} {
		if slices.Contains(words, word) != want {
			t.Errorf("%.10q is a word of the context: %v", word, !want)
		}
	}
	pairs := slices.Repeat([]string{"aaa bbb"}, 65) // four entries each
	if !slices.Contains(contextWords(append(pairs[:64:64], "alice")), "alice") || slices.Contains(contextWords(append(pairs, "alice")), "alice") {
		t.Error("the words of the context are bounded elsewhere than at 256")
	}
	for _, tt := range []struct {
		folded string
		words  []string
		want   bool
	}{
		{"alice1234567", []string{"alice"}, true}, {"alice12345678", []string{"alice"}, false},
		{"alice1b2c3d4", []string{"alice"}, true}, {"aliceabcd1234", []string{"alice"}, false},
		{"alice-!?-!?-!?", []string{"alice"}, true}, {"short", nil, false}, {"short", []string{"alice"}, false},
	} {
		if dominated(tt.folded, tt.words) != tt.want {
			t.Errorf("%q beside %q: want %v", tt.folded, tt.words, tt.want)
		}
	}
	for text, want := range map[string]bool{
		"abcdezk": false, "abcdefz": true, // four and five steps of six
		"adgjadjga": true, "adgjmagdmj": false, // four and five different letters
		"xk7#mxk7#m": true, "xk7#mxk7#n": false,
		strings.Repeat("a7dg1jm4ps8vyb!", 2):  true,  // a unit of fifteen
		strings.Repeat("a7dg1jm4ps8vyb!x", 2): false, // of sixteen: as good as a password of sixteen
	} {
		if repetitive([]rune(text)) != want {
			t.Errorf("%q is repetitive: %v", text, !want)
		}
	}
}

// Each kind of hash that is refused is called by its name.
func TestWhyNoHash(t *testing.T) {
	for text, want := range map[string]string{
		"$apr1$x$y": "MD5 crypt", "$1$x$y": "MD5 crypt", "{SHA}x": "SHA-1", "{SSHA}x": "SHA-1", "$5$x": "not well formed", "$6$x": "not well formed",
		"$argon2i$x": "not well formed", "$argon2d$x": "is Argon2d", "$y$j9T$x": "yescrypt", "{SSHA512}x": "SHA-2", "{FIREBASE}x": "scheme", "$P$Bx": "phpass",
		`{"a":1}`: "Keycloak", "scrypt:1:2": "not well formed", "AQAAAA==": "not well formed", strings.Repeat("0a", 48): "Spring", "$2x$05$x": "confused", "$2b$99$x": "not well formed",
		"$argon2id$x": "not well formed", "$scrypt$x": "not well formed", "$pbkdf2-sha1$x": "not well formed", "pbkdf2_md5$x": "not well formed",
		"./AZaz0189abc": "DES crypt", "./AZaz0189ab": "not a hash", "./AZaz0189abcd": "not a hash", "./AZaz0189ab!": "not a hash", "": "not a hash",
	} {
		if got := WhyNoHash(text); !strings.Contains(got, want) || text != "" && strings.Contains(got, text) {
			t.Errorf("%q %s, want %q", text, got, want)
		}
	}
}
