// Package testldap gives tests an LDAP directory of their own: OpenLDAP's slapd, which Debian's
// package slapd installs, on ports of this machine that were free, with people in it. It ends
// with the test.
//
// It is for tests only; no other code may import it.
package testldap

import (
	"bytes"
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

	"github.com/go-ldap/ldap/v3"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// What every directory of a test has.
const (
	Base     = "dc=example,dc=com"
	BindDN   = "cn=reader," + Base
	Password = "the reader's own words" // of BindDN
	// rootDN may change everything; tests do, by Do.
	rootDN = "cn=root," + Base
)

// Server is a slapd of a test.
type Server struct {
	Plain, TLS   string // addresses: ldap:// with StartTLS, ldaps://
	CAFile       string // of its certificate
	PasswordFile string // with Password

	t      testing.TB
	path   string
	dir    string
	proc   *os.Process
	exited chan struct{}
}

// Start starts a directory and waits until it answers. Of Active Directory it has some attributes,
// for entries with extensibleObject, and not its schema: under that the overlay that notes groups in
// memberOf notes none for inetOrgPerson, and only its log says so (findings/slapd-memberof-under-msuser.sh). ldif are entries below Base, which are
// there from the beginning. A machine without slapd skips the test, or fails it where nothing may
// be missing.
func Start(t testing.TB, ldif string) *Server {
	t.Helper()
	path, err := exec.LookPath("slapd")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/slapd")
	}
	const missing = "slapd is not installed (Debian: apt-get install slapd)"
	switch {
	case err == nil:
	case os.Getenv("GATEHOUSE_TEST_STRICT") == "1":
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
	dir := t.TempDir()
	s := &Server{t: t, path: path, dir: dir, Plain: freeAddress(t), TLS: freeAddress(t), PasswordFile: filepath.Join(dir, "password")}
	cert, key := s.certificate()
	s.CAFile = cert
	s.write("password", Password+"\n")
	s.write("slapd.conf", fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.96 NAME 'pwdLastSet' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
TLSCertificateFile %s
TLSCertificateKeyFile %s
pidfile %s/pid
database mdb
suffix %q
rootdn %q
rootpw secret
directory %s
maxsize 10485760
dbnosync
overlay memberof
overlay ppolicy
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=%q read by * none
`, cert, key, dir, Base, rootDN, dir, BindDN))
	s.write("people.ldif", "dn: "+Base+"\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n"+
		"dn: "+BindDN+"\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: "+Password+"\n\n"+ldif)
	add := exec.Command(path, "-T", "add", "-f", filepath.Join(dir, "slapd.conf"), "-l", filepath.Join(dir, "people.ldif"))
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s.Up()
	t.Cleanup(s.Kill)
	return s
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// freeAddress has a port of this machine that nobody has.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "127.0.0.1:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// certificate makes one for 127.0.0.1 that signs itself.
func (s *Server) certificate() (cert, key string) {
	s.t.Helper()
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
	s.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
}

// Up starts the directory again after [Server.Kill], with what it had.
func (s *Server) Up() {
	s.t.Helper()
	// With a level of messages slapd stays in the foreground.
	cmd := exec.Command(s.path, "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", "ldap://"+s.Plain+"/ ldaps://"+s.TLS+"/")
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(cmd.SysProcAttr)
	exited, started := make(chan struct{}), make(chan error, 1)
	go func() {
		// The directory gets the signal of its parent's death when the thread that started
		// it ends, so this one must stay.
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
	testwait.Until(s.t, 10*time.Second, "slapd listens", func() bool {
		select {
		case <-exited:
			s.t.Fatalf("slapd ended at once: %s", said.String())
		default:
		}
		conn, err := net.Dial("tcp", s.TLS)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// Kill ends the directory as a crash would.
func (s *Server) Kill() {
	_ = s.proc.Kill()
	<-s.exited
}

// Stop makes the directory say nothing, with its connections open, until [Server.Continue].
func (s *Server) Stop() { _ = s.proc.Signal(syscall.SIGSTOP) }

// Continue ends what [Server.Stop] began.
func (s *Server) Continue() { _ = s.proc.Signal(syscall.SIGCONT) }

// Do changes the directory as its administrator.
func (s *Server) Do(change func(*ldap.Conn) error) {
	s.t.Helper()
	conn, err := ldap.DialURL("ldap://" + s.Plain)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind(rootDN, "secret"); err != nil {
		s.t.Fatal(err)
	}
	if err := change(conn); err != nil {
		s.t.Fatal(err)
	}
}

// Set replaces the values of an attribute of an entry below [Base], "uid=alice".
func (s *Server) Set(name, attribute string, values ...string) {
	s.t.Helper()
	s.Do(func(c *ldap.Conn) error {
		r := ldap.NewModifyRequest(name+","+Base, nil)
		r.Replace(attribute, values)
		return c.Modify(r)
	})
}

// Group adds a group of people, by their uids; the directory notes it in their memberOf.
func (s *Server) Group(name string, uids ...string) {
	s.t.Helper()
	s.Do(func(c *ldap.Conn) error {
		r := ldap.NewAddRequest("cn="+name+","+Base, nil)
		r.Attribute("objectClass", []string{"groupOfNames"})
		var members []string
		for _, uid := range uids {
			members = append(members, "uid="+uid+","+Base)
		}
		r.Attribute("member", members)
		return c.Add(r)
	})
}

// Ungroup removes a group.
func (s *Server) Ungroup(name string) {
	s.t.Helper()
	s.Do(func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest("cn="+name+","+Base, nil)) })
}

// Person is the LDIF of somebody with this uid and password, and more lines; it goes to [Start].
func Person(uid, password, more string) string {
	if more != "" {
		more += "\n"
	}
	return fmt.Sprintf("dn: uid=%s,%s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s of the directory\nsn: %s\nmail: %s@example.com\nuserPassword: %s\n%s\n",
		uid, Base, uid, uid, uid, uid, password, more)
}
