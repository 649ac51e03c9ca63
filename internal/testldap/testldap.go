// Package testldap gives tests an LDAP directory of their own: OpenLDAP's slapd, which Debian's
// package slapd installs, on ports of this machine that were free, with people in it. It ends
// with the test.
//
// It is for tests only; no other code may import it.
package testldap

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/gatehouse-auth/gatehouse/internal/testprocess"
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
	*testprocess.Process

	Plain, TLS   string // addresses: ldap:// with StartTLS, ldaps://
	CAFile       string // of its certificate
	PasswordFile string // with Password

	t    testing.TB
	path string
	dir  string
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
	s := &Server{t: t, path: path, dir: dir, Plain: testprocess.FreeAddress(t), TLS: testprocess.FreeAddress(t), PasswordFile: filepath.Join(dir, "password")}
	cert, key := testprocess.Certificate(t, dir)
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
	t.Cleanup(func() { s.Kill() }) // the one that runs then
	return s
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Up starts the directory again after Kill, with what it had.
func (s *Server) Up() {
	s.t.Helper()
	// With a level of messages slapd stays in the foreground.
	cmd := exec.Command(s.path, "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", "ldap://"+s.Plain+"/ ldaps://"+s.TLS+"/")
	s.Process = testprocess.Start(s.t, cmd, s.TLS)
}

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
