package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/store"
)

// schemas are the migrations' files, the first one first.
func schemas(t *testing.T) (texts []string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("migrations"), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range files { // sorted by name
		if v, err := strconv.Atoi(name[:5]); err != nil || v != i+1 {
			t.Fatalf("migration %d is in %s", i+1, name)
		}
		text, err := os.ReadFile("migrations/" + name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// later are the tables and columns that migrations add, a column as "table.column".
func later(texts []string) map[string]bool {
	added := map[string]bool{}
	for _, text := range texts {
		for _, m := range regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`).FindAllStringSubmatch(text, -1) {
			added[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`(?m)^ALTER TABLE (\w+) ADD COLUMN (\w+)`).FindAllStringSubmatch(text, -1) {
			added[m[1]+"."+m[2]] = true
		}
	}
	return added
}

// without is a dump as a program of an older schema would have written it.
func without(t *testing.T, dump string, schema int, added map[string]bool) string {
	t.Helper()
	var out []string
	var keep []int
	skip, rows := false, 0
	for i, line := range strings.Split(strings.TrimSpace(dump), "\n") {
		var table struct {
			Table   string   `json:"table"`
			Columns []string `json:"columns"`
		}
		var cells []json.RawMessage
		switch {
		case i == 0:
			out = append(out, fmt.Sprintf(`{"gatehouse_backup":1,"schema":%d}`, schema))
		case strings.HasPrefix(line, `{"end"`):
			out = append(out, fmt.Sprintf(`{"end":%d}`, rows))
		case json.Unmarshal([]byte(line), &cells) == nil:
			if skip {
				continue
			}
			var kept []json.RawMessage
			for _, k := range keep {
				kept = append(kept, cells[k])
			}
			text, err := json.Marshal(kept)
			if err != nil {
				t.Fatal(err)
			}
			out, rows = append(out, string(text)), rows+1
		default:
			if err := json.Unmarshal([]byte(line), &table); err != nil || table.Table == "" {
				t.Fatalf("line %d: %s: %v", i, line, err)
			}
			if skip, keep = added[table.Table], nil; skip {
				continue
			}
			var columns []string
			for k, c := range table.Columns {
				if !added[table.Table+"."+c] {
					keep, columns = append(keep, k), append(columns, c)
				}
			}
			text, err := json.Marshal(map[string]any{"table": table.Table, "columns": columns})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(text))
		}
	}
	return strings.Join(out, "\n") + "\n"
}

func dumpOf(t *testing.T, db *store.DB) string {
	t.Helper()
	var b bytes.Buffer
	if err := db.DumpAll(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestUpgrade brings a database with data from every schema there was to the present
// one. Nothing that it held is lost or changed, what it did not know has its default,
// and it works on. Restore lays the older schema, fills it, and then runs the
// migrations that [store.Open] runs.
func TestUpgrade(t *testing.T) {
	inOrder(t)
	texts := schemas(t)
	onBoth(t, func(t *testing.T, cfg store.Config) {
		source := open(t, cfg)
		fill(t, source)
		dump := dumpOf(t, source)
		for schema := 1; schema < len(texts); schema++ {
			added := later(texts[schema:])
			older := without(t, dump, schema, added)
			if schema == 1 && (strings.Contains(older, "audit_filters") || strings.Contains(older, `"coding"`) || !strings.Contains(older, "audit_batches")) {
				t.Fatalf("this was not written by the first schema: %s", older)
			}
			to := configMakers()[cfg.Driver](t)
			if err := store.Restore(t.Context(), to, strings.NewReader(older), ""); err != nil {
				t.Fatalf("schema %d: %v", schema, err)
			}
			db, err := store.Open(t.Context(), to)
			if err != nil {
				t.Fatalf("schema %d: %v", schema, err)
			}
			now := without(t, dumpOf(t, db), schema, added)
			if sorted(now) != sorted(older) {
				t.Errorf("schema %d: was\n%s\nis\n%s", schema, older, now)
			}
			same(t, must(db.Key(t.Context(), exampleKey().ID))(t), must(source.Key(t.Context(), exampleKey().ID))(t))
			user := exampleUser()
			user.SignedIn = added["users.signed_in"] // who was here before may have signed in
			same(t, must(db.User(t.Context(), "main", "usr_1"))(t), user)
			same(t, must(db.Realm(t.Context(), "main"))(t), exampleRealm())
			batches := must(db.Batches(t.Context(), "main", audit.BatchQuery{}))(t)
			if len(batches) != 1 || !strings.Contains(string(batches[0].Data), "evt_1") {
				t.Errorf("schema %d: the log holds %v", schema, batches)
			}
			fillMore(t, db)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// sorted is a dump with its lines in order, and the one difference in types taken out.
func sorted(dump string) string {
	lines := strings.Split(strings.NewReplacer(",true,", ",1,", ",false,", ",0,").Replace(dump), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
