package credential_test

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// fixedKey was minted once; its checksum was computed apart from this code, with
// another implementation of CRC-32.
const fixedKey = "ghk_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef3MUsEj"

func TestMintAndParse(t *testing.T) {
	for _, prefix := range []string{credential.PrefixKey, credential.PrefixAccess, credential.PrefixRefresh, "acme2"} {
		text, id, hash := credential.MintKey(prefix, gatehouse.EnvironmentTest)
		p, err := credential.ParseKey(text.Reveal())
		if err != nil || p.Prefix != prefix || p.ID != id || p.Environment != gatehouse.EnvironmentTest {
			t.Fatalf("%s: got %+v, %v", prefix, p, err)
		}
		if !credential.MatchKey(hash, text.Reveal()) || credential.MatchKey(hash, text.Reveal()+"x") || credential.MatchKey(nil, text.Reveal()) {
			t.Errorf("%s: hash does not decide", prefix)
		}
		if got := fmt.Sprint(text); strings.Contains(got, id) {
			t.Errorf("the key prints itself: %s", got)
		}
	}
}

func TestKeyUse(t *testing.T) {
	for _, tt := range []struct {
		prefix               string
		key, access, refresh bool
	}{{"ghk", true, false, false}, {"ght", false, true, false}, {"ghr", false, false, true}, {"acme", false, false, false}} {
		p := credential.ParsedKey{Prefix: tt.prefix}
		if p.IsAPIKey("") != tt.key || p.IsAccessToken() != tt.access || p.IsRefreshToken() != tt.refresh {
			t.Errorf("%s is taken for another use", tt.prefix)
		}
	}
	if (credential.ParsedKey{Prefix: "ght"}).IsAPIKey("ght") {
		t.Error("an access token passes for an API key")
	}
}

func TestScannerExpression(t *testing.T) {
	re := regexp.MustCompile(`\b[a-z][a-z0-9]{1,9}_(live|test)_[0-9A-Za-z]{48}\b`)
	text, _, _ := credential.MintKey("ghk", gatehouse.EnvironmentLive)
	if got := re.FindString("curl -H 'X-API-Key: " + text.Reveal() + "' https://…"); got != text.Reveal() {
		t.Errorf("the documented expression finds %q", got)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	if _, err := credential.ParseKey(fixedKey); err != nil {
		t.Fatalf("the known key: %v", err)
	}
	// Every change of one character must die on form or checksum.
	for i := range len(fixedKey) {
		for _, c := range []byte("aZ0_- é\x00") {
			mutated := fixedKey[:i] + string(c) + fixedKey[i+1:]
			if mutated == fixedKey {
				continue
			}
			if p, err := credential.ParseKey(mutated); err == nil {
				t.Fatalf("accepted %q as %+v", mutated, p)
			}
		}
	}
	for _, tt := range []struct{ name, text, code string }{
		{"empty", "", "key_malformed"},
		{"truncated", fixedKey[:len(fixedKey)-1], "key_malformed"},
		{"longer", fixedKey + "0", "key_malformed"},
		{"blank", " " + fixedKey, "key_malformed"},
		{"huge", strings.Repeat("a", 1<<20), "key_malformed"},
		{"environment", strings.Replace(fixedKey, "live", "prod", 1), "key_malformed"},
		{"prefix", "GHK" + fixedKey[3:], "key_malformed"},
		{"other prefix", "ght" + fixedKey[3:], "key_checksum"},
		{"other environment", strings.Replace(fixedKey, "live", "test", 1), "key_checksum"},
	} {
		_, err := credential.ParseKey(tt.text)
		if gatehouse.CodeOf(err) != tt.code || !errors.Is(err, gatehouse.Unauthenticated) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestValidKeyPrefix(t *testing.T) {
	for prefix, want := range map[string]bool{"ghk": true, "ab": true, "a234567890": true, "ght": false, "ghr": false, "": false,
		"a": false, "1ab": false, "Abc": false, "a_b": false, "a2345678901": false, "é2": false} {
		if credential.ValidKeyPrefix(prefix) != want {
			t.Errorf("%q: want %v", prefix, want)
		}
	}
}

// A modulo of bytes without rejection would give the first 8 characters a
// quarter more weight; that is far outside the bound below.
//
// ASVS: 11.5.1
func TestMintIsUniform(t *testing.T) {
	counts := map[byte]int{}
	total := 0
	for range 3000 {
		text, _, _ := credential.MintKey("ghk", gatehouse.EnvironmentLive)
		body := text.Reveal()[len("ghk_live_") : len(text.Reveal())-6]
		for i := range len(body) {
			counts[body[i]]++
			total++
		}
	}
	want := float64(total) / 62
	chi := 0.0
	for _, n := range counts {
		chi += (float64(n) - want) * (float64(n) - want) / want
	}
	// 61 degrees of freedom: above 140 once in 10 million runs.
	if len(counts) != 62 || chi > 140 {
		t.Errorf("%d characters, chi-square %.1f", len(counts), chi)
	}
}

// ASVS: 13.3.4
func TestKeyStatus(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		key  credential.Key
		want credential.KeyStatus
	}{
		{"active", credential.Key{}, credential.KeyActive},
		{"until later", credential.Key{ExpiresAt: now.Add(time.Microsecond)}, credential.KeyActive},
		{"this instant", credential.Key{ExpiresAt: now}, credential.KeyExpired},
		{"revoked and expired", credential.Key{ExpiresAt: now, RevokedAt: now}, credential.KeyRevoked},
		{"leaked and revoked", credential.Key{LeakedAt: now, RevokedAt: now}, credential.KeyLeaked},
		{"revoked from later on", credential.Key{RevokedAt: now.Add(time.Hour)}, credential.KeyRevoked},
	} {
		if got := tt.key.Status(now); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// ASVS: 8.2.4
func TestKeyAddress(t *testing.T) {
	nets, err := credential.ParseNets([]string{"192.0.2.0/24", "2001:db8::/32", "::ffff:198.51.100.0/120", "203.0.113.9"})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"192.0.2.77": true, "::ffff:192.0.2.77": true, "192.0.3.1": false, "2001:db8::1": true,
		"2001:db9::1": false, "198.51.100.200": true, "203.0.113.9": true, "203.0.113.10": false} {
		if got := credential.AllowsAddress(nets, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if credential.AllowsAddress(nets, netip.Addr{}) {
		t.Error("a bound key works from an unknown address")
	}
	if !credential.AllowsAddress(nil, netip.Addr{}) {
		t.Error("an unbound key does not work")
	}
	for _, bad := range [][]string{{"192.0.2.7/24"}, {"nonsense"}, {"::ffff:0.0.0.0/90"}, {"fe80::1%eth0"}, make([]string, 65)} {
		if _, err := credential.ParseNets(bad); gatehouse.CodeOf(err) != "key_nets_invalid" {
			t.Errorf("%.40v: %v", bad, err)
		}
	}
}

// TestKeyAllocations holds down what every request with a key pays.
func TestKeyAllocations(t *testing.T) {
	text, _, hash := credential.MintKey(credential.PrefixKey, gatehouse.EnvironmentLive)
	s := text.Reveal()
	if n := testing.AllocsPerRun(100, func() { _, _ = credential.ParseKey(s) }); n > 1 {
		t.Errorf("ParseKey: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { credential.MatchKey(hash, s) }); n > 0 {
		t.Errorf("MatchKey: %v allocations", n)
	}
}

// TestKeyAlphabet: of all octets, the 62 are in form and no other.
func TestKeyAlphabet(t *testing.T) {
	for c := range 256 {
		_, err := credential.ParseKey(fixedKey[:20] + string([]byte{byte(c)}) + fixedKey[21:])
		want := "key_malformed"
		if strings.IndexByte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", byte(c)) >= 0 {
			want = "key_checksum"
		}
		if byte(c) == fixedKey[20] {
			want = "internal" // no error at all
		}
		if got := gatehouse.CodeOf(err); got != want {
			t.Errorf("%q: %s, want %s", rune(c), got, want)
		}
	}
}
