package server

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/keyring"
)

// A master key is replaced as its file says: a new line above the old one, a
// start, new signing keys; then nothing needs the old line.
//
// ASVS: 11.2.2, 13.3.4
func TestMasterKeyIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path, err := InitConfig(dir, "http://127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := func(keys ...string) (*Server, error) {
		t.Helper()
		text := ""
		for _, k := range keys {
			text += k + "\n"
		}
		if err := os.WriteFile(filepath.Join(cfg.Data, "master.key"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return New(t.Context(), cfg)
	}
	key := func() string { return seal.GenerateMasterKey(time.Now()).Reveal().Reveal() }
	old, fresh := key(), key()

	s, err := start(old)
	if err != nil {
		t.Fatal(err)
	}
	before := append([]byte(nil), s.auditKey...)
	s.Close(context.Background())
	if s, err := start(fresh); err == nil {
		s.Close(context.Background())
		t.Fatal("it starts without the key that seals its secrets")
	}

	if s, err = start(fresh, old); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ring.Rotate(t.Context(), keyring.Command{Realm: gatehouse.MainRealm, Now: true}); err != nil {
		t.Fatal(err)
	}
	stored, err := s.db.SigningKeys(t.Context(), gatehouse.MainRealm)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range stored {
		if k.RetiredAt.IsZero() {
			continue
		}
		if err := s.ring.Remove(t.Context(), keyring.Command{Realm: gatehouse.MainRealm, KID: k.KID}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close(context.Background())

	if s, err = start(fresh); err != nil {
		t.Fatalf("the old key is still needed: %v", err)
	}
	defer s.Close(context.Background())
	if string(s.auditKey) != string(before) {
		t.Error("the key of checkpoints changed with the master key")
	}
}
