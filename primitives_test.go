package gatehouse_test

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestWeakPrimitives: the product uses no broken cipher or hash, and no source of
// random numbers that can be predicted, save where a number guards nothing.
//
// ASVS: 11.4.1, 11.5.1
func TestWeakPrimitives(t *testing.T) {
	weak := map[string]bool{"crypto/md5": true, "crypto/sha1": true, "crypto/des": true, "crypto/rc4": true, "crypto/dsa": true,
		"math/rand": true, "math/rand/v2": true, "golang.org/x/crypto/md4": true, "golang.org/x/crypto/ripemd160": true,
		"golang.org/x/crypto/blowfish": true, "golang.org/x/crypto/cast5": true, "golang.org/x/crypto/tea": true,
		"golang.org/x/crypto/xtea": true, "golang.org/x/crypto/twofish": true}
	allowed := map[string]string{ // the random ones: how long to wait before the next try
		"internal/breached/hash.go": "crypto/sha1", // by which the lists of others name a password
		"credential/totp.go":        "crypto/sha1", // what authenticator apps compute; HMAC does not ask for what it has lost
		"internal/testtotp/app.go":  "crypto/sha1",
		"credential/phc.go":         "crypto/sha1", // in PBKDF2, of imported passwords
		"store/postgres.go":         "math/rand/v2",
		"internal/feed/follower.go": "math/rand/v2",
		"internal/lease/keeper.go":  "math/rand/v2",
		"guard/follow.go":           "math/rand/v2",
	}
	fset := token.NewFileSet()
	files := 0
	walkGo(t, func(file string) {
		f, err := parser.ParseFile(fset, file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		files++
		for _, imp := range f.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if weak[path] && allowed[file] != path || strings.HasPrefix(path, "golang.org/x/crypto/openpgp") {
				t.Errorf("%s imports %s", file, path)
			}
		}
	})
	if files < 100 {
		t.Fatalf("looked at %d files only: the search is broken", files)
	}
}

// TestOneSort: the product sorts by internal/sorted, because each type that the
// standard library sorts by a function adds 25 KB to the program.
func TestOneSort(t *testing.T) {
	walkGo(t, func(file string) {
		if strings.HasPrefix(file, "internal/sorted/") || strings.HasPrefix(file, "scripts/") {
			return
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"slices.SortFunc(", "slices.SortStableFunc(", "slices.SortedFunc(", "slices.SortedStableFunc("} {
			if strings.Contains(string(text), name) {
				t.Errorf("%s calls %s…); internal/sorted does the same in less", file, name)
			}
		}
	})
}
