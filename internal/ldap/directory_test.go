package ldap_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ldapclient "github.com/go-ldap/ldap/v3"

	"github.com/gatehouse-auth/gatehouse/internal/ldap"
	"github.com/gatehouse-auth/gatehouse/internal/testldap"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

var people = testldap.Person("alice", "velvet otter canyon", "displayName: Alice of Example") +
	testldap.Person("bob", "copper lantern meadow", "objectClass: extensibleObject\nuserAccountControl: 514") +
	testldap.Person("star*", "purple harbour", "") +
	"dn: ou=twins," + testldap.Base + "\nobjectClass: organizationalUnit\nou: twins\n\n" +
	"dn: cn=one,ou=twins," + testldap.Base + "\nobjectClass: inetOrgPerson\ncn: one\nsn: one\nuid: twin\nuserPassword: the same words\n\n" +
	"dn: cn=two,ou=twins," + testldap.Base + "\nobjectClass: inetOrgPerson\ncn: two\nsn: two\nuid: twin\nuserPassword: the same words\n\n" +
	"dn: cn=three,ou=twins," + testldap.Base + "\nobjectClass: inetOrgPerson\ncn: three\nsn: three\nuid: twin\nuserPassword: the same words\n\n" +
	"dn: cn=Odd\\2C (x*)\\5C," + testldap.Base + "\nobjectClass: inetOrgPerson\ncn: Odd, (x*)\\\nsn: odd\nuid: odd\nuid: o.d.d\nuserPassword: brittle amber kite\n\n" +
	"dn: uid=elsewhere," + testldap.Base + "\nobjectClass: referral\nobjectClass: extensibleObject\nuid: elsewhere\nref: ldap://127.0.0.1:1/uid=elsewhere," + testldap.Base + "\n\n"

func config(t *testing.T, s *testldap.Server, change func(*ldap.Config)) ldap.Config {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cfg := ldap.Config{Roots: roots, Same: strings.EqualFold, Password: func() (string, error) { return testldap.Password, nil }, Search: ldap.Search{URL: "ldaps://" + s.TLS, BindDN: testldap.BindDN,
		Base: testldap.Base, Filter: "(uid={username})", UsernameAttribute: "uid", NameAttribute: "displayName", EmailAttribute: "mail", Timeout: 5 * time.Second}}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func directory(t *testing.T, cfg ldap.Config) *ldap.Directory {
	t.Helper()
	d, err := ldap.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// reason is why an answer is no: "" of one that is yes, "no answer" of one that is neither.
func reason(err error) string {
	var r *ldap.Refusal
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r):
		return string(r.Reason)
	}
	return "no answer"
}

// TestAuthenticate: a real slapd says who somebody is, over StartTLS and over TLS from the
// first byte; who has no password there, is not one, or is disabled is refused, and no name is
// ever a part of a filter.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	s := testldap.Start(t, people)
	ctx := t.Context()
	var id string
	for _, url := range []string{"ldaps://" + s.TLS, "ldap://" + s.Plain} {
		d := directory(t, config(t, s, func(c *ldap.Config) { c.URL = url }))
		for range 2 { // the second time on the connection of the first
			e, err := d.Authenticate(ctx, "alice", "velvet otter canyon")
			if err != nil {
				t.Fatalf("%s: %v", url, err)
			}
			if e.DN != "uid=alice,"+testldap.Base || e.DisplayName != "Alice of Example" || e.Email != "alice@example.com" || e.Username != "alice" || len(e.ID) != 36 {
				t.Errorf("%s: %+v", url, e)
			}
			if id != "" && id != e.ID {
				t.Errorf("the entry is %s, and was %s", e.ID, id)
			}
			id = e.ID
		}
		for _, c := range []struct{ name, password, want string }{
			{"alice", "wrong", "directory_refused"},
			{"alice", "", "directory_empty_password"},
			{"nobody", "velvet otter canyon", "directory_unknown"},
			{"al*", "velvet otter canyon", "directory_unknown"},
			{"star*", "purple harbour", ""},
			{"alice)(uid=*", "velvet otter canyon", "directory_unknown"},
			{"*)(uid=alice", "velvet otter canyon", "directory_unknown"},
			{"alice\x00", "velvet otter canyon", "directory_unknown"},
			{"{dn}", "velvet otter canyon", "directory_unknown"},
			{"twin", "the same words", "directory_ambiguous"},
			{"elsewhere", "whatever", "directory_unknown"},
			{"odd", "brittle amber kite", ""},
			{"o.d.d", "brittle amber kite", ""},
			{"ODD", "brittle amber kite", ""},
			{"ａlice", "velvet otter canyon", "directory_other_name"}, // slapd takes it for alice
			{" alice ", "velvet otter canyon", "directory_other_name"},
			{"ａlice", "wrong", "directory_other_name"},
			{"bob", "copper lantern meadow", "directory_disabled"},
			{"bob", "wrong", "directory_refused"},
			{"alice", "velvet otter canyon", ""},
		} {
			if _, err := d.Authenticate(ctx, c.name, c.password); reason(err) != c.want {
				t.Errorf("%s: %q with %q: %v, not %q", url, c.name, c.password, err, c.want)
			}
		}
	}
}

// TestGroups: they are found by an attribute of the person, which slapd's overlay keeps, or by
// a search.
func TestGroups(t *testing.T) {
	t.Parallel()
	s := testldap.Start(t, people)
	ops := "cn=ops," + testldap.Base
	s.Do(func(c *ldapclient.Conn) error {
		r := ldapclient.NewAddRequest("cn=odd,"+testldap.Base, nil)
		r.Attribute("objectClass", []string{"groupOfNames"})
		r.Attribute("member", []string{`cn=Odd\2C (x*)\5C,` + testldap.Base})
		return c.Add(r)
	})
	s.Group("ops", "alice") // while the directory runs, as the overlay needs it
	for name, change := range map[string]func(*ldap.Config){
		"attribute": func(c *ldap.Config) { c.GroupAttribute = "memberOf" },
		"search":    func(c *ldap.Config) { c.GroupFilter = "(member={dn})" },
	} {
		d := directory(t, config(t, s, change))
		e, err := d.Authenticate(t.Context(), "alice", "velvet otter canyon")
		if err != nil || !slices.Equal(e.Groups, []string{ops}) {
			t.Errorf("%s: %v %v", name, e.Groups, err)
		}
		if e, err := d.Authenticate(t.Context(), "odd", "brittle amber kite"); err != nil || !slices.Equal(e.Groups, []string{"cn=odd," + testldap.Base}) {
			t.Errorf("%s, of a name with signs: %v %v", name, e.Groups, err)
		}
		if e, err = d.Authenticate(t.Context(), "star*", "purple harbour"); err != nil || len(e.Groups) > 0 {
			t.Errorf("%s, of nobody's: %v %v", name, e.Groups, err)
		}
	}
	if !ldap.SameDN("CN=Ops, DC=example,dc=COM", ops) || ldap.SameDN("cn=ops,dc=example", ops) || ldap.SameDN("cn=opſ,"+testldap.Base, ops) {
		t.Error("names of entries are compared wrongly")
	}
}

// TestNoAnswer: nobody is let in, and nobody is refused as if the password were wrong, when the
// directory is away, hangs, is not the one that its certificate must name, offers no TLS, or
// does not take the account of the configuration; and when it is back, all is as before.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	s := testldap.Start(t, people)
	ask := func(d *ldap.Directory, what, want string) {
		t.Helper()
		if _, err := d.Authenticate(t.Context(), "alice", "velvet otter canyon"); reason(err) != want {
			t.Errorf("%s: %v, not %q", what, err, want)
		}
	}
	d := directory(t, config(t, s, func(c *ldap.Config) { c.Timeout = time.Second / 2 }))
	ask(d, "at first", "")
	s.Kill()
	ask(d, "away", "no answer")
	s.Up()
	d.Forget()
	ask(d, "back", "")
	s.Stop()
	// It may answer once more until it has stopped.
	testwait.Until(t, 10*time.Second, "it is silent", func() bool {
		d.Forget()
		_, err := d.Authenticate(t.Context(), "alice", "velvet otter canyon")
		return reason(err) == "no answer"
	})
	d.Forget()
	begun := time.Now()
	ask(d, "silent", "no answer")
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("a directory that hangs took %v", took)
	}
	begun = time.Now()
	ask(d, "silent, and not asked", "no answer")
	if took := time.Since(begun); took > time.Second/2 {
		t.Errorf("the next one waited %v", took)
	}
	s.Continue()
	d.Forget()
	ask(d, "speaking again", "")
	ask(directory(t, config(t, s, func(c *ldap.Config) { c.URL = strings.Replace(c.URL, "127.0.0.1", "localhost", 1) })), "another name than in the certificate", "no answer")
	ask(directory(t, config(t, s, func(c *ldap.Config) { c.Roots = x509.NewCertPool() })), "another authority", "no answer")
	ask(directory(t, config(t, s, func(c *ldap.Config) { c.Roots, c.URL = x509.NewCertPool(), "ldap://"+s.Plain })), "another authority, StartTLS", "no answer")
	ask(directory(t, config(t, s, func(c *ldap.Config) { c.Password = func() (string, error) { return "not it", nil } })), "a wrong account", "no answer")
	ask(directory(t, config(t, s, func(c *ldap.Config) { c.Password = func() (string, error) { return "", nil } })), "an account without a password", "no answer")
	ask(directory(t, config(t, s, func(c *ldap.Config) { c.GroupFilter = "(member:1.2.840.113556.1.4.1941:={dn})" })), "a rule that slapd takes and ignores", "no answer")
	ask(directory(t, config(t, s, func(c *ldap.Config) { c.IDAttribute = "employeeNumber" })), "an entry without an id", "no answer")

	// Whoever sits in between and says no to StartTLS gets nothing to read.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		_, _ = c.Write([]byte("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00")) // protocolError
		more, _ := c.Read(b[n:])
		heard <- string(b[:n+more])
	}()
	ask(directory(t, config(t, s, func(c *ldap.Config) { c.URL = "ldap://" + l.Addr().String() })), "no TLS", "no answer")
	if all := <-heard; strings.Contains(all, testldap.Password) || strings.Contains(all, "alice") {
		t.Errorf("in the clear: %q", all)
	}
}

// TestAtOnce: many questions share a few connections, and each has its own answer.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	s := testldap.Start(t, people)
	d := directory(t, config(t, s, nil))
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			name, password, want := "alice", "velvet otter canyon", ""
			if i%2 == 0 {
				name, want = "star*", "directory_refused"
			}
			if _, err := d.Authenticate(t.Context(), name, password); reason(err) != want {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Authenticate(ended, "alice", "velvet otter canyon"); err == nil {
		t.Error("a caller who has left is answered")
	}
}

// TestValidate: what cannot work, or would send a password in the clear, is refused by name.
func TestValidate(t *testing.T) {
	good := ldap.Search{URL: "ldaps://ldap.example.com", BindDN: "cn=reader,dc=example,dc=com", Base: "dc=example,dc=com", Filter: "(uid={username})"}
	for key, change := range map[string]func(*ldap.Search){
		"":             func(*ldap.Search) {},
		"url":          func(c *ldap.Search) { c.URL = "http://ldap.example.com" },
		"bind_dn":      func(c *ldap.Search) { c.BindDN = "" },
		"base":         func(c *ldap.Search) { c.Base = "example" },
		"group_base":   func(c *ldap.Search) { c.GroupBase = "example" },
		"filter":       func(c *ldap.Search) { c.Filter = "(uid=x)" },
		"group_filter": func(c *ldap.Search) { c.GroupFilter = "(member={dn}" },
	} {
		c := good
		change(&c)
		var found []string
		c.Validate(func(key string, _ error) { found = append(found, key) })
		if strings.Join(found, " ") != key {
			t.Errorf("%q: %q", key, found)
		}
	}
}
