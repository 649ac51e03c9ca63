// Package testredis gives tests a Redis of their own: a process that Debian's package
// redis-server installs, on a port of this machine that was free, with nothing kept on disk.
// It ends with the test.
//
// It is for tests only; no other code may import it.
package testredis

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/gatehouse-auth/gatehouse/internal/testprocess"
)

// Server is a Redis of a test.
type Server struct {
	Address string // host:port
	CAFile  string // of its certificate; "" without TLS
	Bus     string // port by which others of a cluster reach it
	KeyFile string // of the same; whoever has both can make certificates that it takes

	*testprocess.Process

	t    testing.TB
	args []string
	path string
}

// Options of a [Server].
type Options struct {
	TLS bool
	// Clients: with TLS, each must show a certificate that CAFile signed.
	Clients  bool
	Password string // of the user "default"
	// User is one more, who may run scripts on keys that begin with "gatehouse:", with the
	// same password.
	User string
	// Cluster: it is the only one of a cluster.
	Cluster bool
}

// ProgramVariable names the variable of the environment that says which program is started in
// place of redis-server.
const ProgramVariable = "GATEHOUSE_TEST_REDIS"

// Start starts a server and waits until it answers. A machine without one skips the test, or
// fails it where nothing may be missing.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	program := "redis-server"
	if other := os.Getenv(ProgramVariable); other != "" {
		program = other
	}
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("GATEHOUSE_TEST_STRICT") == "1":
		t.Fatal(program, " is not installed (Debian: apt-get install redis-server)")
	default:
		t.Skip(program, " is not installed (Debian: apt-get install redis-server)")
	}
	s := &Server{Address: testprocess.FreeAddress(t), t: t, path: path}
	port := portOf(s.Address)
	s.args = []string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--databases", "16"}
	if o.TLS {
		cert, key := testprocess.Certificate(t, t.TempDir())
		s.CAFile, s.KeyFile = cert, key
		asks := "no"
		if o.Clients {
			asks = "yes"
		}
		s.args = append(s.args, "--port", "0", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", asks)
	} else {
		s.args = append(s.args, "--port", port)
	}
	if o.Password != "" {
		s.args = append(s.args, "--requirepass", o.Password)
	}
	if o.User != "" {
		s.args = append(s.args, "--user", o.User, "on", ">"+o.Password, "~gatehouse:*", "+@scripting", "+get", "+set", "+time", "+select")
	}
	if o.Cluster {
		s.Bus = portOf(testprocess.FreeAddress(t))
		// Its own choice is 10,000 above the other port, which there may not be.
		s.args = append(s.args, "--cluster-enabled", "yes", "--cluster-port", s.Bus)
	}
	s.Up()
	t.Cleanup(func() { s.Kill() }) // the one that runs then
	if o.Cluster {
		s.Do(o.Password, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	}
	return s
}

// portOf is the port of an address.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// Up starts the server again after Kill; it has forgotten everything.
func (s *Server) Up() {
	s.t.Helper()
	s.Process = testprocess.Start(s.t, exec.Command(s.path, s.args...), s.Address)
}

// Do runs a command on a server without TLS, as an operator would, and returns its answer.
func (s *Server) Do(password, command string, args ...any) string {
	s.t.Helper()
	conn, err := redis.Dial("tcp", s.Address, redis.DialPassword(password))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	answer, err := conn.Do(command, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	if list, ok := answer.([]any); ok {
		texts, _ := redis.Strings(list, nil)
		return fmt.Sprint(texts)
	}
	text, err := redis.String(answer, nil)
	if err != nil {
		return fmt.Sprint(answer)
	}
	return text
}
