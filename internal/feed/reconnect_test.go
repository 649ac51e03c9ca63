package feed

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// TestHearsWhileReconnecting: what is written in the moment in which nobody listens, because the connection was just lost, is
// read as soon as there is one again: nobody announces it twice, and no poll is waited for.
func TestHearsWhileReconnecting(t *testing.T) {
	dsn := database(t)
	n := start(t, dsn, "a", func(c *Config) {
		c.Poll = time.Hour
		connect := c.Connect
		c.Connect = func(ctx context.Context) (*pgx.Conn, error) {
			conn, err := connect(ctx)
			if err == nil {
				_, err = conn.Exec(ctx, `SET application_name='listens'`)
			}
			return conn, err
		}
	})
	testwait.Until(t, soon, "its position is proven", func() bool { return n.Age() < soon })
	c := connect(t, dsn)
	var longest time.Duration
	for i := range 20 {
		row := fmt.Sprintf("row %d", i)
		testwait.Until(t, soon, "it listens", func() (listens bool) {
			err := c.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid))>0 FROM pg_stat_activity WHERE application_name='listens'`).Scan(&listens)
			if err != nil {
				t.Fatal(err)
			}
			return listens
		})
		appendTo(t, c, "somebody", row)
		begun := time.Now()
		testwait.Until(t, soon, row, func() bool { return n.seen(row) })
		longest = max(longest, time.Since(begun))
	}
	if got := n.reloads(); len(got) != 1 {
		t.Errorf("everything was loaded anew: %q", got)
	}
	if log := n.log.String(); strings.Contains(log, "not announced") {
		t.Errorf("taken to be deaf: %s", log)
	}
	t.Logf("read %v after it was written at the latest", longest.Round(time.Millisecond))
}
