package testpg

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// What of a client PgBouncer gives a connection to: each transaction anew, or the session.
const (
	PerTransaction = "transaction"
	PerSession     = "session"
)

// Pooled leads to the database of dsn through PgBouncer, which gives a connection to what mode
// says, and returns how to connect that way; "" when PgBouncer is not installed.
func (s *Server) Pooled(t testing.TB, dsn, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return ""
		}
	}
	dir, err := os.MkdirTemp("", "gatehouse-pb-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr, err := identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=%s user=postgres\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = %s\nlisten_port = 5432\nauth_type = any\npool_mode = %s\n", s.dir, dir, mode)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { // of its user, who may not be ours
		t.Fatal(err)
	}
	cmd := exec.Command(program, file)
	cmd.Dir, cmd.SysProcAttr = dir, attr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	dsn = strings.Replace(dsn, "host="+s.dir, "host="+dir, 1) + " default_query_exec_mode=exec"
	testwait.Until(t, 20*time.Second, "PgBouncer answers", func() bool {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
	return dsn
}
