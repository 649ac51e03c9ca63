package personal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

func mustKey(t *testing.T, salt byte, subject string) *Key {
	t.Helper()
	k, err := newKey(bytes.Repeat([]byte{1}, SecretSize), bytes.Repeat([]byte{salt}, SaltSize), subject)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSealed: what is sealed opens under the same key at the same member, and nowhere else.
func TestSealed(t *testing.T) {
	k := mustKey(t, 2, "usr_a")
	for _, value := range []string{"a", "anna", "192.0.2.7", "Anna Łindqvist 🦊", "\x80", "ends in \x80\x00\x00", strings.Repeat("x", 16), strings.Repeat("x", 500)} {
		text := string(k.Append(nil, "address", value))
		if got, err := k.Open("address", text); err != nil || got != value {
			t.Errorf("%q became %q: %v", value, got, err)
		}
		if !Sealed(text) || strings.Contains(text, value) && len(value) > 1 {
			t.Errorf("%q is %q", value, text)
		}
		if again := string(mustKey(t, 2, "usr_a").Append(nil, "address", value)); again != text {
			t.Errorf("%q is %q, and another time %q", value, text, again)
		}
		for what, other := range map[string]func() (string, error){
			"another member": func() (string, error) { return k.Open("actor.name", text) },
			"another salt":   func() (string, error) { return mustKey(t, 3, "usr_a").Open("address", text) },
			"another person": func() (string, error) { return mustKey(t, 2, "usr_b").Open("address", text) },
			"a piece of it":  func() (string, error) { return k.Open("address", text[:len(text)-4]) },
			"no seal":        func() (string, error) { return k.Open("address", strings.TrimPrefix(text, "~1.")) },
			"nothing":        func() (string, error) { return k.Open("address", "~1.") },
		} {
			if got, err := other(); err == nil {
				t.Errorf("%q opened under %s: %q", value, what, got)
			}
		}
	}
	// Lengths tell little, and members do not tell which have the same value.
	if a, b := k.Append(nil, "address", "192.0.2.7"), k.Append(nil, "address", "198.51.100.200"); len(a) != len(b) {
		t.Errorf("%s and %s", a, b)
	}
	if a, b := string(k.Append(nil, "address", "x")), string(k.Append(nil, "detail.address", "x")); a == b {
		t.Errorf("%s twice", a)
	}
	if got := fmt.Sprintf("%v %+v %#v %s %x", k, k, k, k, k); strings.Count(got, "redacted") != 5 {
		t.Error(got)
	}
}

// TestSealingIsCheap: the same name and address cost no allocation.
func TestSealingIsCheap(t *testing.T) {
	k := mustKey(t, 2, "usr_a")
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		dst = k.Append(dst[:0], "actor.name", "anna")
		dst = k.Append(dst, "address", "192.0.2.7")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type salts map[string][]byte

func (s salts) PersonalSalt(_ context.Context, subject string) ([]byte, error) {
	if salt := s[subject]; salt != nil {
		return salt, nil
	}
	return nil, gatehouse.ErrNotFound
}

// TestKeeper: a key is made once, remembered, forgotten with the account, and given to nobody who never was.
func TestKeeper(t *testing.T) {
	ctx := t.Context()
	s, people := salts{}, map[string]bool{"usr_a": true}
	made := 0
	k, err := New(Config{Secret: bytes.Repeat([]byte{1}, SecretSize), Salts: s, Make: func(_ context.Context, realm, subject string, salt []byte) ([]byte, error) {
		if made++; !people[subject] || realm != "acme" {
			return nil, gatehouse.ErrNotFound
		}
		s[subject] = salt
		return salt, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if key, err := k.Key(ctx, "usr_a"); key != nil || err != nil {
		t.Fatalf("a reader made a key: %v, %v", key, err)
	}
	first, err := k.Make(ctx, "acme", "usr_a")
	if first == nil || err != nil || made != 1 {
		t.Fatalf("%v, %v", first, err)
	}
	for range 2 {
		if key, err := k.Key(ctx, "usr_a"); key != first || err != nil {
			t.Fatalf("another key: %v, %v", key, err)
		}
		if key, err := k.Make(ctx, "acme", "usr_b"); key != nil || err != nil || made != 2 {
			t.Fatalf("nobody has a key: %v, %v, asked %d times", key, err, made-1)
		}
	}
	text := string(first.Append(nil, "address", "192.0.2.7"))

	// The account is deleted while somebody reads: what was read is used and not remembered.
	k.Apply(gatehouse.Change{Topic: gatehouse.TopicUser})
	if _, err := k.Learn(ctx, "usr_a", func(context.Context, string) ([]byte, error) {
		salt := s["usr_a"]
		delete(s, "usr_a")
		delete(people, "usr_a")
		k.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "acme", ID: "usr_a"})
		return salt, nil
	}); err != nil {
		t.Fatal(err)
	}
	if key, err := k.Key(ctx, "usr_a"); key != nil || err != nil {
		t.Fatalf("the key is still there: %v, %v", key, err)
	}
	// Somebody else of that id, if there ever was one, has another key.
	people["usr_a"] = true
	next, err := k.Make(ctx, "acme", "usr_a")
	if err != nil || next == nil {
		t.Fatal(err)
	}
	if got, err := next.Open("address", text); err == nil {
		t.Fatalf("the new key opens what the old one sealed: %q", got)
	}
	// What cannot be read is an error, and no absence.
	broken := errors.New("away")
	if _, err := k.Learn(ctx, "usr_c", func(context.Context, string) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

// TestKeeperIsBounded: however many people come by, some thousand keys are remembered.
func TestKeeperIsBounded(t *testing.T) {
	k, err := New(Config{Secret: bytes.Repeat([]byte{1}, SecretSize), Salts: salts{}, Make: func(_ context.Context, _, _ string, salt []byte) ([]byte, error) { return salt, nil }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2*maxKeys + 7 {
		if _, err := k.Make(t.Context(), "acme", fmt.Sprint("usr_", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(k.young) + len(k.old); n > maxKeys {
		t.Errorf("%d keys are remembered", n)
	}
}
