package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// maxMasterKeyFile bounds the key file.
const maxMasterKeyFile = 64 << 10

// GenerateMasterKey makes a master key file, readable by its owner only. An
// existing one is never touched.
func GenerateMasterKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	key := seal.GenerateMasterKey(time.Now())
	text := "# Master key of Gatehouse: seals signing keys in the database.\n" +
		"# Keep a copy apart from the database and its backups. To change it, put a new\n" +
		"# line above this one; old lines stay until nothing is sealed with them.\n" + key.Reveal().Reveal() + "\n"
	return writeNew(path, []byte(text))
}

// openBox reads the master keys: from GATEHOUSE_MASTER_KEY when it is set, else
// from the file. A file that others can read is refused, since whoever reads it
// and the database can sign tokens.
func openBox(path, fromEnvironment string) (*seal.Box, error) {
	text := fromEnvironment
	if text == "" {
		st, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("master key: %s is not there; `gatehouse init` makes one, or set GATEHOUSE_MASTER_KEY", path)
		}
		if err != nil {
			return nil, fmt.Errorf("master key: %w", err)
		}
		if st.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("master key: %s can be read by others; chmod 600 it", path)
		}
		if st.Size() > maxMasterKeyFile {
			return nil, fmt.Errorf("master key: %s is too large", path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("master key: %w", err)
		}
		text = string(b)
	}
	keys, err := seal.ParseMasterKeys(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return seal.NewBox(keys...)
}
