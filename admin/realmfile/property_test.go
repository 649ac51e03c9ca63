package realmfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testrealm"
	"github.com/gatehouse-auth/gatehouse/store"
)

var (
	postgres  *testpg.Server // nil when it is not installed
	noPostgre error
)

func TestMain(m *testing.M) {
	if postgres, noPostgre = testpg.Start(); noPostgre != nil && !errors.Is(noPostgre, testpg.ErrMissing) {
		fmt.Fprintln(os.Stderr, noPostgre)
		os.Exit(1)
	}
	code := m.Run()
	if postgres != nil {
		postgres.Stop()
	}
	os.Exit(code)
}

// onBoth runs a test with a testadmin.House on each database.
func onBoth(t *testing.T, test func(t *testing.T, h *testadmin.House)) {
	t.Run("sqlite", func(t *testing.T) { test(t, testadmin.New(t)) })
	t.Run("postgres", func(t *testing.T) {
		if postgres == nil {
			if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
				t.Fatal(noPostgre)
			}
			t.Skip(noPostgre)
		}
		test(t, testadmin.NewOn(t, store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(postgres.DSN(t)), LockWait: 5 * time.Second}))
	})
}

// TestRealmFileIsInverse: what one realm exports makes any other one the same, whatever
// that one had; nothing is left to do then; and twice is once.
func TestRealmFileIsInverse(t *testing.T) {
	onBoth(t, func(t *testing.T, h *testadmin.House) {
		root, n := h.Bootstrap(), 0
		rapid.Check(t, func(t *rapid.T) {
			n++
			a, b := fmt.Sprintf("/realms/a%d/file", n), fmt.Sprintf("/realms/b%d/file", n)
			for _, r := range []string{"a", "b"} {
				h.Want(201, root, "POST", "/realms", map[string]any{"name": fmt.Sprint(r, n)})
			}
			apply := func(at string, file any) []any {
				body := map[string]any{"file": file, "prune": true}
				planned := h.Call(root, "POST", at+"/plan", body)
				applied := h.Call(root, "POST", at+"/apply", body)
				if planned.Status != 200 || applied.Status != 200 {
					t.Fatalf("plan: %d %s, apply: %d %s", planned.Status, planned.Body, applied.Status, applied.Body)
				}
				if planned.Body != applied.Body {
					t.Fatalf("planned: %s\napplied: %s", planned.Body, applied.Body)
				}
				return applied.JSON["changes"].([]any)
			}
			export := func(at string) json.RawMessage {
				var out struct{ File json.RawMessage }
				if err := json.Unmarshal([]byte(h.Want(200, root, "GET", at, nil).Body), &out); err != nil {
					t.Fatal(err)
				}
				return out.File
			}
			apply(a, testrealm.Draw(t))
			apply(b, testrealm.Draw(t)) // what is there before
			want := export(a)
			if left := apply(a, want); len(left) > 0 {
				t.Fatalf("a realm's own export changes it: %v", left)
			}
			apply(b, want)
			if got := export(b); string(got) != string(want) {
				t.Fatalf("exported\n%s\nafter applying\n%s", got, want)
			}
			if left := apply(b, want); len(left) > 0 {
				t.Fatalf("the second time changes %v", left)
			}
		})
	})
}
