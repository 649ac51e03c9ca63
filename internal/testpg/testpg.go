// Package testpg gives tests a PostgreSQL server of their own: a fresh cluster
// in a temporary directory, reachable over a Unix socket there and nowhere else,
// from the binaries that Debian's package installs. It is started once per test
// binary, from TestMain, and dies with it.
//
// It is for tests only; no other code may import it. Its server trusts everybody
// who can reach the socket, so the directory belongs to one user alone.
package testpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrMissing says that the binaries are not installed, and where they were
// looked for.
var ErrMissing = errors.New("PostgreSQL's server is not installed (no initdb in PATH or /usr/lib/postgresql/*/bin; Debian: apt-get install postgresql)")

// Server is a running cluster.
type Server struct {
	dir    string
	bin    string
	own    bool // its configuration says where it listens
	port   int  // where that is not 5432
	frozen []int
	attr   *syscall.SysProcAttr
	exited chan error
	proc   *os.Process
	serial atomic.Int64
}

// Start makes a cluster and starts it, or returns [ErrMissing].
func Start() (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	return s.begin(s.initialize())
}

// prepare makes the directory of a cluster.
func prepare() (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gatehouse-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if s.attr, err = identity(dir); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) initialize() error {
	return s.program(nil, "initdb", "-D", s.data(), "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync")
}

// program runs one of PostgreSQL's programs as the user of the server.
func (s *Server) program(env []string, name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Env = s.dir, s.attr, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// begin starts the server where its cluster could be made.
func (s *Server) begin(err error) (*Server, error) {
	if err == nil {
		err = s.Up()
	}
	if err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil { // the others are beside the file, not beside a link
			path = real
		}
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", ErrMissing
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Up starts the server and waits until it answers. Start has done it already; it
// is for tests that took it down.
func (s *Server) Up() error {
	logFile, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	// synchronous_commit keeps its default: the store's promise is about it. fsync
	// only matters when the machine loses power, which tests cannot do to it.
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "fsync=off"}
	if !s.own {
		args = append(args, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "deadlock_timeout=100ms")
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = s.dir, s.attr, logFile, logFile
	s.exited = make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The server gets the signal of its parent's death when the thread that
		// started it ends, so this one must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			s.exited <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.proc = cmd.Process
	return s.wait()
}

func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.dsn("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case exit := <-s.exited:
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("postgres ended: %v\n%s", exit, text)
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// PID is the id of the server's first process, which owns its sockets.
func (s *Server) PID() int { return s.proc.Pid }

// Down stops the server as an operator would in a hurry: sessions are cut, and
// the log is kept for a clean start.
func (s *Server) Down() error { return s.end(syscall.SIGINT) }

func (s *Server) end(how os.Signal) error {
	if s.proc == nil {
		return nil
	}
	s.Thaw()
	if err := s.proc.Signal(how); err != nil {
		return err
	}
	<-s.exited
	s.proc = nil
	return nil
}

// Crash ends the server as a crash of the machine's processes would: what was not
// written is lost, and the next start recovers.
func (s *Server) Crash() error { return s.end(syscall.SIGQUIT) }

// Stop ends the server and removes its directory.
func (s *Server) Stop() {
	_ = s.Crash()
	_ = os.RemoveAll(s.dir)
}

// Environ has PostgreSQL's programs be those of the server, and reach it as a superuser.
func (s *Server) Environ() []string {
	return []string{"PATH=" + s.bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "PGHOST=" + s.dir, fmt.Sprintf("PGPORT=%d", cmp.Or(s.port, 5432)), "PGUSER=postgres"}
}

func (s *Server) dsn(database string) string {
	dsn := fmt.Sprintf("host=%s user=postgres dbname=%s sslmode=disable", s.dir, database)
	if s.port != 0 {
		dsn += fmt.Sprintf(" port=%d", s.port)
	}
	return dsn
}

// DSN makes a database for the test, removed at its end, and returns how to
// connect to it. The database sorts text as English does where the server can,
// so that a query that forgot its collation is found out.
func (s *Server) DSN(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.serial.Add(1))
	dsn, err := s.Database(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.admin("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil && !strings.Contains(err.Error(), "connect") {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return dsn
}

// Database makes a database that stays as long as the server, and returns how to
// connect to it; see DSN.
func (s *Server) Database(name string) (dsn string, err error) {
	err = s.admin("CREATE DATABASE " + name + " TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING UTF8")
	if err != nil {
		err = s.admin("CREATE DATABASE " + name + " TEMPLATE template0 ENCODING UTF8") // before PostgreSQL 15, or without ICU
	}
	return s.dsn(name), err
}

func (s *Server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
