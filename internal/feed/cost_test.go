package feed

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestReadingLooksAtWhatIsNew: rows are kept for ten minutes, so that a reading that looked
// through them would cost each node more the more the others write. The pages that a reading
// touches say it, whatever the machine: with the plan for these values and with the one that
// PostgreSQL keeps for all, and before and after it has counted the table.
func TestReadingLooksAtWhatIsNew(t *testing.T) {
	conn := connect(t, database(t))
	ctx := t.Context()
	exec := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	const kept = 20_000
	exec(fmt.Sprintf(`INSERT INTO feed (xid, node, written_at, changes) SELECT i, 'node_a', i, repeat('x', 150) FROM generate_series(1, %d) AS i`, kept))
	exec(`PREPARE reading (bigint, bigint[], bigint, text, bigint, bigint) AS ` + readRows)
	hits := regexp.MustCompile(`Buffers: shared hit=(\d+)`)
	for _, counted := range []bool{false, true} {
		if counted {
			exec(`ANALYZE feed`)
		}
		for _, plan := range []string{"force_custom_plan", "force_generic_plan"} {
			exec(`SET plan_cache_mode = ` + plan)
			reading := fmt.Sprintf(`EXPLAIN (ANALYZE, BUFFERS) EXECUTE reading (%d, '{%d,%d}', %d, 'node_a', %d, %d)`, kept-1, kept-9, kept-7, kept-1, kept-1, maxRows+1)
			for range 2 { // the first one may look at what the catalog says too
				rows, err := conn.Query(ctx, reading)
				if err != nil {
					t.Fatal(err)
				}
				var lines []string
				for rows.Next() {
					var line string
					if err := rows.Scan(&line); err != nil {
						t.Fatal(err)
					}
					lines = append(lines, line)
				}
				if err := rows.Err(); err != nil {
					t.Fatal(err)
				}
				said := hits.FindStringSubmatch(strings.Join(lines, "\n"))
				if said == nil {
					t.Fatalf("no pages in the plan:\n%s", strings.Join(lines, "\n"))
				}
				if pages, _ := strconv.Atoi(said[1]); pages > 60 {
					t.Errorf("counted %v, %s: a reading of four rows touches %d pages:\n%s", counted, plan, pages, strings.Join(lines, "\n"))
				}
				if !strings.Contains(lines[0], "rows=4") && !strings.Contains(strings.Join(lines, "\n"), "rows=4") {
					t.Errorf("not the four rows:\n%s", strings.Join(lines, "\n"))
				}
			}
		}
	}
}
