package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// TestDatabaseSetBack: a server whose files are those of an hour ago has another past than
// the one that was followed, by the same name: everything is loaded anew, also when others have
// written so much meanwhile that all ids which were known are given again.
func TestDatabaseSetBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		written int // by others, before this node sees it again
		why     reloadReason
	}{{"at once", 0, reloadAhead}, {"after others have written more", 300, reloadReplaced}} {
		t.Run(c.name, func(t *testing.T) {
			dsn := database(t)
			var away atomic.Bool
			n := start(t, dsn, "a", func(cfg *Config) {
				cfg.Poll = 100 * time.Millisecond
				direct := cfg.Connect
				cfg.Connect = func(ctx context.Context) (*pgx.Conn, error) {
					if away.Load() {
						return nil, errors.New("the network is away")
					}
					return direct(ctx)
				}
			})
			testwait.Until(t, soon, "ready", isReady(n))
			write := func(text string) {
				t.Helper()
				appendTo(t, connect(t, dsn), "b", text)
			}
			told := func(text string) {
				t.Helper()
				testwait.Until(t, soon, text, func() bool { return n.seen(text) })
			}
			restart := func(meanwhile func() error) {
				t.Helper()
				if err := errors.Join(server.Down(), meanwhile(), server.Up()); err != nil {
					t.Fatal(err)
				}
			}
			write("kept")
			told("kept")
			var back func() error
			restart(func() (err error) { back, err = server.Keep(); return err })
			for i := range 5 {
				text := fmt.Sprintf("lost %d", i)
				write(text)
				told(text)
			}
			if got := n.reloads(); !slices.Equal(got, []string{string(reloadFirst)}) {
				t.Fatalf("a restart had everything loaded anew: %q", got)
			}
			away.Store(true)
			restart(func() error { return back() })
			conn := connect(t, dsn)
			for range c.written {
				appendTo(t, conn, "b", "of another past")
			}
			away.Store(false)
			testwait.Until(t, soon, "all is loaded anew", func() bool { return len(n.reloads()) == 2 })
			write("after")
			told("after")
			if got := n.reloads(); !slices.Equal(got, []string{string(reloadFirst), string(c.why)}) {
				t.Errorf("reloads: %q", got)
			}
			testwait.Until(t, soon, "young", func() bool { return n.Age() < time.Second })
		})
	}
}
