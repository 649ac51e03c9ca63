package secrets_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/secrets"
)

// settings is a store; between is called once, after a look-up found nothing, as
// another server may act there.
type settings struct {
	values  map[string]string
	between func()
}

func (s *settings) Setting(_ context.Context, name string) (string, error) {
	v, ok := s.values[name]
	if !ok {
		if act := s.between; act != nil {
			s.between = nil
			act()
		}
		return "", gatehouse.NotFound
	}
	return v, nil
}

func (s *settings) InsertSetting(_ context.Context, name, value string) error {
	if _, ok := s.values[name]; ok {
		return gatehouse.Conflict
	}
	s.values[name] = value
	return nil
}

func (s *settings) SwapSetting(_ context.Context, name, old, value string) (bool, error) {
	if s.values[name] != old {
		return false, nil
	}
	s.values[name] = value
	return true, nil
}

func keeper(t *testing.T, s *settings, keys ...seal.MasterKey) secrets.Keeper {
	t.Helper()
	box, err := seal.NewBox(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return secrets.Keeper{Box: box, Run: func(ctx context.Context, fn func(context.Context, secrets.Tx) error) error { return fn(ctx, s) }}
}

// TestFirstStarts: a secret is made once, also when two servers start for the first
// time at the same moment.
func TestFirstStarts(t *testing.T) {
	key := seal.GenerateMasterKey(time.Now())
	s := &settings{values: map[string]string{}}
	k := keeper(t, s, key)
	var theirs []byte
	s.between = func() {
		var err error
		if theirs, err = k.Get(t.Context(), "a", 32); err != nil {
			t.Fatal(err)
		}
	}
	ours, err := k.Get(t.Context(), "a", 32)
	if err != nil || len(ours) != 32 || !bytes.Equal(ours, theirs) {
		t.Errorf("two servers made two secrets: %x and %x, %v", ours, theirs, err)
	}
	again, err := k.Get(t.Context(), "a", 32)
	if err != nil || !bytes.Equal(again, ours) {
		t.Errorf("a second start found another one: %v", err)
	}
	other, err := k.Get(t.Context(), "b", 32)
	if err != nil || bytes.Equal(other, ours) {
		t.Errorf("two names share a secret: %v", err)
	}
	if _, err := k.Get(t.Context(), "a", 16); err == nil {
		t.Error("a secret of the wrong length was given out")
	}
}

// TestSealed: a secret moved to another name does not open, a foreign master key
// opens nothing and replaces nothing, a new one seals anew.
func TestSealed(t *testing.T) {
	old, next := seal.GenerateMasterKey(time.Now()), seal.GenerateMasterKey(time.Now())
	s := &settings{values: map[string]string{}}
	secret, err := keeper(t, s, old).Get(t.Context(), "a", 32)
	if err != nil {
		t.Fatal(err)
	}
	before := s.values["a"]
	if strings.Contains(before, string(secret)) {
		t.Error("the secret is stored as it is")
	}
	if _, err := keeper(t, s, next).Get(t.Context(), "a", 32); err == nil || s.values["a"] != before {
		t.Error("opened, or replaced, under a foreign master key")
	}
	s.values["b"] = before
	if _, err := keeper(t, s, old).Get(t.Context(), "b", 32); err == nil {
		t.Error("a secret opened under another name")
	}
	got, err := keeper(t, s, next, old).Get(t.Context(), "a", 32)
	if err != nil || !bytes.Equal(got, secret) || s.values["a"] == before {
		t.Errorf("not sealed anew: %v", err)
	}
	if got, err = keeper(t, s, next).Get(t.Context(), "a", 32); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("the new master key alone does not open it: %v", err)
	}
}
