package seal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

var here = seal.Place{Purpose: "test", Realm: "main", ID: "1"}

func key(t *testing.T) seal.MasterKey {
	t.Helper()
	return seal.GenerateMasterKey(time.Now())
}

func box(t *testing.T, keys ...seal.MasterKey) *seal.Box {
	t.Helper()
	b, err := seal.NewBox(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ASVS: 11.3.4
func TestRoundTrip(t *testing.T) {
	b := box(t, key(t))
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("secret"), 10000)} {
		one, err := b.Seal(plain, here)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := b.Seal(plain, here)
		if bytes.Equal(one, two) {
			t.Error("two blobs of one text are equal")
		}
		if len(plain) > 5 && bytes.Contains(one, plain[:6]) {
			t.Error("the blob shows the text")
		}
		got, err := b.Open(one, here)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("Open = %q, %v", got, err)
		}
	}
}

// ASVS: 11.2.5, 11.3.3
func TestEveryBitIsAuthenticated(t *testing.T) {
	b := box(t, key(t), key(t))
	blob, err := b.Seal([]byte("secret"), here)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(blob) * 8 {
		changed := slices.Clone(blob)
		changed[i/8] ^= 1 << (i % 8)
		if _, err := b.Open(changed, here); !errors.Is(err, seal.ErrOpen) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	for n := range blob {
		if _, err := b.Open(blob[:n], here); !errors.Is(err, seal.ErrOpen) {
			t.Fatalf("first %d octets: %v", n, err)
		}
	}
}

// ASVS: 11.3.3
func TestMovedBlobDoesNotOpen(t *testing.T) {
	b := box(t, key(t))
	blob, err := b.Seal([]byte("secret"), here)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []seal.Place{
		{Purpose: "tes", Realm: "tmain", ID: "1"}, // same octets, other borders
		{Purpose: "other", Realm: "main", ID: "1"},
		{Purpose: "test", Realm: "other", ID: "1"},
		{Purpose: "test", Realm: "main", ID: "2"},
		{Purpose: "test", Realm: "main1"},
	} {
		if _, err := b.Open(blob, p); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if _, err := b.Seal([]byte("x"), seal.Place{Realm: "main"}); err == nil {
		t.Error("sealed without a purpose")
	}
}

// TestKeyIDIsAuthenticated: even when two ids stand for the same octets, a blob
// names the one it was sealed under.
func TestKeyIDIsAuthenticated(t *testing.T) {
	k := key(t)
	secret := k.Reveal().Reveal()[len(k.ID())+1:]
	a, errA := seal.ParseMasterKey("a." + secret)
	c, errC := seal.ParseMasterKey("c." + secret)
	if errA != nil || errC != nil {
		t.Fatal(errA, errC)
	}
	b := box(t, a, c)
	blob, err := b.Seal([]byte("secret"), here)
	if err != nil {
		t.Fatal(err)
	}
	blob[2] = 'c'
	if _, err := b.Open(blob, here); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opened under another id: %v", err)
	}
}

// ASVS: 11.2.2
func TestRotation(t *testing.T) {
	oldKey, newKey := key(t), key(t)
	blob, err := box(t, oldKey).Seal([]byte("secret"), here)
	if err != nil {
		t.Fatal(err)
	}
	both := box(t, newKey, oldKey)
	if got, err := both.Open(blob, here); err != nil || string(got) != "secret" {
		t.Errorf("Open = %q, %v", got, err)
	}
	if !both.Stale(blob) {
		t.Error("a blob under the old key is not stale")
	}
	fresh, _ := both.Seal([]byte("secret"), here)
	if id, err := seal.KeyID(fresh); err != nil || id != newKey.ID() || both.Stale(fresh) {
		t.Errorf("sealed with %s, %v", id, err)
	}
	if _, err := box(t, newKey).Open(blob, here); !errors.Is(err, seal.ErrOpen) || !strings.Contains(err.Error(), oldKey.ID()) {
		t.Errorf("a missing master key is not named: %v", err)
	}
	if _, err := seal.NewBox(oldKey, oldKey); err == nil {
		t.Error("one id twice")
	}
	if _, err := seal.NewBox(); err == nil {
		t.Error("no keys")
	}
	if _, err := seal.NewBox(seal.MasterKey{}); err == nil {
		t.Error("the zero key")
	}
}

func TestMasterKeyText(t *testing.T) {
	k := key(t)
	text := k.Reveal().Reveal()
	again, err := seal.ParseMasterKey("  " + text + "\n")
	if err != nil || again != k {
		t.Errorf("parsed %v, %v", again, err)
	}
	keys, err := seal.ParseMasterKeys("# comment\n\n" + text + "\n" + key(t).Reveal().Reveal() + "\n")
	if err != nil || len(keys) != 2 || keys[0] != k {
		t.Errorf("ParseMasterKeys = %v, %v", keys, err)
	}
	secret := text[len(k.ID())+1:]
	for _, bad := range []string{"", ".", secret, "a." + secret[1:], "A." + secret, "a." + secret + "=", "a." + secret + "A",
		"a_b." + secret, "a." + strings.Repeat("A", 43), strings.Repeat("a", 33) + "." + secret, "a." + secret[:20] + "\n" + secret[20:]} {
		if _, err := seal.ParseMasterKey(bad); err == nil {
			t.Errorf("%q accepted", bad)
		} else if len(bad) > 40 && strings.Contains(err.Error(), bad[5:20]) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
	if _, err := seal.ParseMasterKeys("# nothing\n"); err == nil {
		t.Error("no key accepted")
	}
}

func TestNothingPrintsTheKey(t *testing.T) {
	k := key(t)
	secret := k.Reveal().Reveal()[len(k.ID())+1:]
	b := box(t, k)
	js, err := json.Marshal(map[string]any{"key": k})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "box", b)
	// The array of the key printed as numbers or hexadecimal would begin like this.
	clean := fmt.Sprintf("%v|%+v|%#v|%s|%q|%x|%d|%v|%+v|%#v|%x", k, k, k, k, k, k, k, b, b, b, b)
	for _, out := range []string{string(js), log.String(), clean} {
		if strings.Contains(out, secret) || !strings.Contains(out, "redacted") || len(out) > 600 {
			t.Errorf("printed: %s", out)
		}
	}
}
