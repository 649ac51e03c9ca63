package audit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/audit"
)

// TestHeadFileIsReadOrRefused: only a file that is not there is one without heads. One that cannot be read must not
// become one: then a log whose end was cut off would pass.
func TestHeadFileIsReadOrRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a directory": dir, "below a file": filepath.Join(file, "heads")} {
		if h, err := audit.OpenHeadFile(path); err == nil || h != nil {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
	if h, err := audit.OpenHeadFile(filepath.Join(dir, "absent")); err != nil || h.Head("main") != nil {
		t.Errorf("a file that is not there: %v", err)
	}
	h, err := audit.OpenHeadFile(file)
	if err != nil || h.Head("main") != nil {
		t.Fatalf("a file that says null: %v", err)
	}
	if err := h.Keep(map[string][]byte{"main": []byte("one")}); err != nil || string(h.Head("main")) != "one" {
		t.Errorf("%q, %v", h.Head("main"), err)
	}
	// 64 MiB are read, not a byte more. The file is of zeros, which are no JSON.
	for size, tooLarge := range map[int64]bool{64 << 20: false, 64<<20 + 1: true} {
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.OpenHeadFile(file); err == nil || strings.Contains(err.Error(), "too large") != tooLarge {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestHeadFileKeepsWhatItHad: when the file cannot be replaced, nothing has changed, here and on the disk, and no
// half-written file is left.
func TestHeadFileKeepsWhatItHad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "heads")
	h := audit.NewHeadFile(path)
	if err := h.Keep(map[string][]byte{"main": []byte("one")}); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(path)
	if err != nil || string(stored) != `{"main":"one"}` {
		t.Fatalf("%s, %v", stored, err)
	}
	fails := func(when string) {
		t.Helper()
		for name, change := range map[string]func(map[string][]byte) error{"keep": h.Keep, "reset": h.Reset} {
			if err := change(map[string][]byte{"main": []byte("two"), "b": []byte("two")}); err == nil {
				t.Errorf("%s, %s: no error", when, name)
			}
			if string(h.Head("main")) != "one" || h.Head("b") != nil {
				t.Errorf("%s, %s: %q and %q", when, name, h.Head("main"), h.Head("b"))
			}
		}
	}
	// A directory with something in it stands where the file should go.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	fails("occupied")
	if left, _ := filepath.Glob(filepath.Join(dir, ".heads-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	fails("directory gone")
}
