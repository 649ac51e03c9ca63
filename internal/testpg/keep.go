package testpg

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Keep copies all files of the server, which is down, and returns what puts the copy in
// their place, also when it is down, as restoring a snapshot of the disk does.
func (s *Server) Keep() (back func() error, err error) {
	kept := filepath.Join(s.dir, "kept")
	if err := os.RemoveAll(kept); err != nil {
		return nil, err
	}
	return func() error {
		if err := os.RemoveAll(s.data()); err != nil {
			return err
		}
		return copyAll(kept, s.data())
	}, copyAll(s.data(), kept)
}

func copyAll(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil { // with its owners
		return fmt.Errorf("cp: %w\n%s", err, out)
	}
	return nil
}
