package sealfuzz

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

var here = seal.Place{Purpose: "test", Realm: "main", ID: "1"}

// FuzzOpen: nothing opens but what was sealed, and that only in its place.
func FuzzOpen(f *testing.F) {
	b, err := seal.NewBox(seal.GenerateMasterKey(time.Now()))
	if err != nil {
		f.Fatal(err)
	}
	blob, err := b.Seal([]byte("secret"), here)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob, "test", "main", "1")
	f.Add(blob[:len(blob)-1], "testmain", "", "1")
	f.Add([]byte{1, 0}, "", "", "")
	f.Add([]byte{1, 255, 'k'}, "test", "main", "1")
	f.Fuzz(func(t *testing.T, data []byte, purpose, realm, id string) {
		place := seal.Place{Purpose: purpose, Realm: realm, ID: id}
		got, err := b.Open(data, place)
		if err == nil && (!bytes.Equal(data, blob) || place != here) {
			t.Errorf("opened a forgery: %q", got)
		}
		if err != nil && got != nil {
			t.Error("an error comes with a text")
		}
		if keyID, err := seal.KeyID(data); err == nil && !bytes.HasPrefix(data[2:], []byte(keyID)) {
			t.Errorf("key id %q of %q", keyID, data)
		}
		if place.Purpose == "" {
			return
		}
		again, err := b.Seal(data, place)
		if err != nil {
			return // too large
		}
		if plain, err := b.Open(again, place); err != nil || !bytes.Equal(plain, data) {
			t.Errorf("%q became %q (%v)", data, plain, err)
		}
	})
}

// FuzzMasterKeys: a key that is read has one text, line by line.
func FuzzMasterKeys(f *testing.F) {
	k := seal.GenerateMasterKey(time.Now()).Reveal().Reveal()
	for _, s := range []string{k, k + "\n" + k, "# comment\n\n  " + k + "  \r\n", "k." + strings.Repeat("A", 43), "k1." + strings.Repeat("A", 42) + "B", "K." + k, k[:len(k)-1], "..", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := seal.ParseMasterKeys(text)
		if err != nil {
			if secret := k[strings.IndexByte(k, '.')+1:]; strings.Contains(text, secret) && strings.Contains(err.Error(), secret) {
				t.Fatal("the error quotes the key")
			}
			return
		}
		var lines []string
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
		if len(lines) != len(keys) {
			t.Fatalf("%d keys of %d lines", len(keys), len(lines))
		}
		for i, k := range keys {
			if k.Reveal().Reveal() != lines[i] {
				t.Fatalf("line %d is another text of %s", i+1, k)
			}
		}
	})
}
