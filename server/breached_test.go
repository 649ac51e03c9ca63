package server

import (
	"crypto/sha1"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/breached"
)

// TestBreachedFile: a reload takes the list of breached passwords, another one in its
// place, and none; a damaged one is refused, and the one before stays.
//
// ASVS: 6.2.12
func TestBreachedFile(t *testing.T) {
	const leaked, good = "velvet otter canyon 47", "velvet otter canyon 48"
	list := filepath.Join(t.TempDir(), "breached")
	build := func(passwords ...string) {
		t.Helper()
		var lines []string
		for _, p := range passwords {
			lines = append(lines, fmt.Sprintf("%X:7", sha1.Sum([]byte(p))))
		}
		slices.Sort(lines)
		dump := filepath.Join(t.TempDir(), "pwned.txt")
		if err := os.WriteFile(dump, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := breached.Build(t.Context(), list, []string{dump}, breached.BuildOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	h, file, key := reloadable(t)
	names := 0
	set := func(when, password string, status int) {
		t.Helper()
		names++
		h.want(when, "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"user%d","password":%q}`, names, password), status)
	}
	reload := func(status int) {
		t.Helper()
		h.save(file, h.cfg)
		h.want("reload", "POST", "/admin/v1/config/reload", key, "", status)
	}
	set("no list", leaked, 201)
	build(leaked)
	h.cfg.Passwords.BreachedFile = list
	reload(200)
	set("on the list", leaked, 422)
	set("not on the list", good, 201)
	build(good)
	set("before the reload", leaked, 422)
	reload(200)
	set("on the new list", good, 422)
	set("on the old list", leaked, 201)
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload(422)
	set("on the list that stays", good, 422)
	h.cfg.Passwords.BreachedFile = ""
	reload(200)
	set("no list any more", good, 201)

	sum := fmt.Sprintf("%X", sha1.Sum([]byte(leaked)))
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/range/"+sum[:5] {
			fmt.Fprintln(w, sum[5:]+":2")
		}
	}))
	defer mirror.Close()
	h.cfg.Passwords.BreachedURL = mirror.URL
	reload(200)
	set("known to the server", leaked, 422)
	set("not known to it", good, 201)
	mirror.Close()
	set("it does not answer", "velvet otter canyon 49", 201)
	if h.s.online.Failures() != 1 {
		t.Errorf("%d failures", h.s.online.Failures())
	}
}
