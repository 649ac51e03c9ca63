// Package testprocess runs the servers of others for tests: on an address of this machine, until the test ends, or its process
// does.
//
// It is for tests only; no other code may import it.
package testprocess

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// Process is a server that runs.
type Process struct {
	proc   *os.Process
	exited chan struct{}
}

// Start starts cmd and waits until something listens at address. It fails the test when the process ends before.
func Start(t testing.TB, cmd *exec.Cmd, address string) *Process {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(cmd.SysProcAttr)
	exited, started := make(chan struct{}), make(chan error, 1)
	go func() {
		// The server gets the signal of its parent's death when the thread that started it ends, so this one must stay.
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
		t.Fatal(err)
	}
	testwait.Until(t, 10*time.Second, cmd.Args[0]+" listens", func() bool {
		select {
		case <-exited:
			t.Fatalf("%v ended at once: %s", cmd.Args, said.String())
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return &Process{cmd.Process, exited}
}

// Kill ends the server as a crash would.
func (p *Process) Kill() {
	_ = p.proc.Kill()
	<-p.exited
}

// Stop makes the server say nothing, with its connections open, until [Process.Continue].
func (p *Process) Stop() { _ = p.proc.Signal(syscall.SIGSTOP) }

// Continue ends what [Process.Stop] began.
func (p *Process) Continue() { _ = p.proc.Signal(syscall.SIGCONT) }

// FreeAddress has a port of this machine that nobody has.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Certificate makes one for 127.0.0.1 that signs itself, in two files of dir, and returns their names.
func Certificate(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
