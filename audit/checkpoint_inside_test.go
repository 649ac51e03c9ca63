package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

var insideKey = ed25519.NewKeyFromSeed([]byte("fedcba9876543210fedcba9876543210"))

// TestCheckpointText: a checkpoint has three lines, each in its only spelling (C2SP tlog-checkpoint, without extensions),
// so that two texts are never one statement.
func TestCheckpointText(t *testing.T) {
	var root tlog.Hash
	for i := range root {
		root[i] = byte(i)
	}
	r := base64.StdEncoding.EncodeToString(root[:])
	for _, size := range []int64{0, 1, 255, math.MaxInt64} {
		c := Checkpoint{Origin: "h/main", Size: size, Root: root}
		if got, err := parseCheckpoint(c.text()); err != nil || got != c {
			t.Errorf("%q became %+v, %v", c.text(), got, err)
		}
	}
	if text := (Checkpoint{Origin: "h/main", Size: 7, Root: root}).text(); text != "h/main\n7\n"+r+"\n" {
		t.Errorf("%q", text)
	}
	short, long := base64.StdEncoding.EncodeToString(root[:31]), base64.StdEncoding.EncodeToString(append(root[:], 0))
	for _, text := range []string{
		"", "h/main", "h/main\n7\n", "h/main\n7\n" + r, // lines are missing
		"\n7\n" + r + "\n",                                              // no name
		"h/main\n7\n" + r + "\n\n", "h/main\n7\n" + r + "\nextension\n", // lines are too many
		"h/main\n7\n" + r + "\nx", // text after the last line
		"h/main\n-1\n" + r + "\n", "h/main\n-0\n" + r + "\n", "h/main\n+7\n" + r + "\n", "h/main\n07\n" + r + "\n", "h/main\n 7\n" + r + "\n",
		"h/main\n\n" + r + "\n", "h/main\nx\n" + r + "\n", "h/main\n0x7\n" + r + "\n", "h/main\n9223372036854775808\n" + r + "\n",
		"h/main\n7\n\n", "h/main\n7\n" + short + "\n", "h/main\n7\n" + long + "\n", "h/main\n7\n" + strings.TrimRight(r, "=") + "\n",
		"h/main\n7\n" + strings.Replace(r, "8=", "9=", 1) + "\n", // bits that are not used
		"h/main\n7\n*" + r[1:] + "\n",
	} {
		if c, err := parseCheckpoint(text); err == nil {
			t.Errorf("%q was taken for %+v", text, c)
		}
	}
}

// TestKeyOpensItsRealmAlone: a note opens when this key signed it, unchanged, for a log of this realm, on whatever host;
// and when its text is a checkpoint. It may have 64 KiB.
func TestKeyOpensItsRealmAlone(t *testing.T) {
	signed := func(origin, text string, key ed25519.PrivateKey) []byte {
		note, err := signText(origin, text, key)
		if err != nil {
			t.Fatal(err)
		}
		return note
	}
	of := func(origin string, key ed25519.PrivateKey) []byte {
		note, err := sign(Checkpoint{Origin: origin, Size: 12}, key)
		if err != nil {
			t.Fatal(err)
		}
		return note
	}
	// The name is there twice, and 147 bytes are around them.
	longest := strings.Repeat("h", (65_536-148)/2-len("/main")) + "/main"
	good := of("h/main", insideKey)
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	key, err := NewKey("main", insideKey.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		note []byte
		ok   bool
	}{
		"its own":                 {good, true},
		"another host":            {of("elsewhere.example/main", insideKey), true},
		"another realm":           {of("h/other", insideKey), false},
		"a realm that ends alike": {of("h/domain/xmain", insideKey), false},
		"a realm below":           {of("h/main/other", insideKey), false},
		"another key":             {of("h/main", other), false},
		"another size":            {bytes.Replace(good, []byte("\n12\n"), []byte("\n13\n"), 1), false},
		"no signature":            {good[:bytes.Index(good, []byte("\n\n"))+2], false},
		"nothing":                 {nil, false},
		"no checkpoint":           {signed("h/main", "h/main\nall is well\n", insideKey), false},
		"64 KiB":                  {of(longest, insideKey), true},
		"more than 64 KiB":        {of("hh"+longest, insideKey), false},
	} {
		if name == "64 KiB" && len(c.note) != 65_536 {
			t.Errorf("the longest note has %d bytes", len(c.note))
		}
		got, err := key.Open(c.note)
		if (err == nil) != c.ok || c.ok && (got.Size != 12 || !strings.HasSuffix(got.Origin, "/main")) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestKeysAreWhole: nothing is signed or verified with a part of a key, for a realm without a name, or in a name that
// would change the form of the note.
func TestKeysAreWhole(t *testing.T) {
	public := insideKey.Public().(ed25519.PublicKey)
	for _, key := range []ed25519.PrivateKey{nil, insideKey[:32], insideKey[:63], append(bytes.Clone(insideKey), 0)} {
		if _, err := newSigner("h/main", key); err == nil {
			t.Errorf("a signer with %d bytes of a key", len(key))
		}
	}
	for _, key := range []ed25519.PublicKey{nil, public[:31], append(bytes.Clone(public), 0)} {
		if _, err := NewKey("main", key); err == nil {
			t.Errorf("a key of %d bytes", len(key))
		}
		if _, err := (Key{realm: "main", public: key}).Open([]byte("h/main\n")); err == nil || !strings.Contains(err.Error(), "no key") {
			t.Errorf("opened with %d bytes of a key: %v", len(key), err)
		}
	}
	if _, err := NewKey("", public); err == nil {
		t.Error("a key of no realm")
	}
	for _, name := range []string{"", "a b", "a\tb", "a\rb", "a\nb", "a+b"} {
		if text, err := VerifierKey(name, public); err == nil {
			t.Errorf("%q has the key %q", name, text)
		}
		if _, err := newSigner(name, insideKey); err == nil {
			t.Errorf("%q signs", name)
		}
	}
	if Origin("auth.example", "main") != "auth.example/main" {
		t.Error(Origin("auth.example", "main"))
	}
}
