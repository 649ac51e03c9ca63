// Package testnode brings packages of npm to tests: what a package-lock.json pins by content, installed once per lock file
// below .cache. No package.json of ours may run a script at its installation.
package testnode

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// runs has one npm install at a time, so that the next finds what it installed.
var runs sync.Mutex

// Modules is the node_modules directory of what dir/package-lock.json pins; dir is a path in this checkout, which itself gets
// no node_modules. The test is skipped, saying what is missing, when npm or a package cannot be had; with
// GATEHOUSE_TEST_STRICT=1 it fails.
func Modules(t testing.TB, dir string) string {
	t.Helper()
	runs.Lock()
	defer runs.Unlock()
	root := Checkout(t)
	from := filepath.Join(root, filepath.FromSlash(dir))
	lock, err := os.ReadFile(filepath.Join(from, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	cache := filepath.Join(root, ".cache", "examples")
	done := filepath.Join(cache, path.Base(dir)+"-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(filepath.Join(done, "node_modules")); err == nil {
		return filepath.Join(done, "node_modules")
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "npm")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(cache, "npm-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		if err := copyFile(filepath.Join(from, name), filepath.Join(work, name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("the npm packages of %s (npm ci: %v)\n%s", dir, err, out))
	}
	if err := os.Rename(work, done); err != nil {
		if _, statErr := os.Stat(filepath.Join(done, "node_modules")); statErr != nil { // else another run was first
			t.Fatal(err)
		}
	}
	return filepath.Join(done, "node_modules")
}

// Checkout is the directory of the module that the test is in.
func Checkout(t testing.TB) string {
	t.Helper()
	at, err := os.Getwd()
	for ; err == nil; at = filepath.Dir(at) {
		if _, statErr := os.Stat(filepath.Join(at, "go.mod")); statErr == nil {
			return at
		}
		if at == filepath.Dir(at) {
			err = errors.New("the test runs outside of a module")
		}
	}
	t.Fatal(err)
	return ""
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
		t.Fatalf("missing: %s (scripts/test-deps installs it)", what)
	}
	t.Skipf("missing: %s (scripts/test-deps installs it)", what)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
