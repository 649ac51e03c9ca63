// Package testredis gives tests a Redis of their own: a process that Debian's package
// redis-server installs, on a port of this machine that was free, with nothing kept on disk.
// It ends with the test.
//
// It is for tests only; no other code may import it.
package testredis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// Server is a Redis of a test.
type Server struct {
	Address string // host:port
	CAFile  string // of its certificate; "" without TLS
	Bus     string // port by which others of a cluster reach it
	KeyFile string // of the same; whoever has both can make certificates that it takes

	t      testing.TB
	args   []string
	path   string
	proc   *os.Process
	exited chan struct{}
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
	port := freePort(t)
	s := &Server{Address: net.JoinHostPort("127.0.0.1", port), t: t, path: path}
	s.args = []string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--databases", "16"}
	if o.TLS {
		cert, key := s.certificate()
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
		s.Bus = freePort(t)
		// Its own choice is 10,000 above the other port, which there may not be.
		s.args = append(s.args, "--cluster-enabled", "yes", "--cluster-port", s.Bus)
	}
	s.Up()
	t.Cleanup(s.Kill)
	if o.Cluster {
		s.Do(o.Password, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	}
	return s
}

// freePort is a port of this machine that nobody has.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// certificate makes one for 127.0.0.1 that signs itself.
func (s *Server) certificate() (cert, key string) {
	s.t.Helper()
	dir := s.t.TempDir()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		s.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.CAFile, s.KeyFile = cert, key
	return cert, key
}

// Up starts the server again after [Server.Kill]; it has forgotten everything.
func (s *Server) Up() {
	s.t.Helper()
	cmd := exec.Command(s.path, s.args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(cmd.SysProcAttr)
	exited, started := make(chan struct{}), make(chan error, 1)
	go func() {
		// The server gets the signal of its parent's death when the thread that
		// started it ends, so this one must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	s.proc, s.exited = cmd.Process, exited
	testwait.Until(s.t, 10*time.Second, "redis-server listens", func() bool {
		select {
		case <-exited:
			s.t.Fatalf("redis-server ended at once: %v", s.args)
		default:
		}
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// Kill ends the server as a crash would.
func (s *Server) Kill() {
	_ = s.proc.Kill()
	<-s.exited
}

// Stop makes the server say nothing, with its connections open, until [Server.Continue].
func (s *Server) Stop() { _ = s.proc.Signal(syscall.SIGSTOP) }

// Continue ends what [Server.Stop] began.
func (s *Server) Continue() { _ = s.proc.Signal(syscall.SIGCONT) }

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
