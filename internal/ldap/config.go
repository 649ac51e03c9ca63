package ldap

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// placeUsername and placeDN are what filters have where the name, and the name of the entry, go.
	placeUsername, placeDN = "{username}", "{dn}"
	// inChain is Active Directory's rule for groups in groups. Another directory takes a filter
	// with it and finds nothing.
	inChain = "1.2.840.113556.1.4.1941"
	// activeDirectory is the capability by which it is known.
	activeDirectory = "1.2.840.113556.1.4.800"
)

// Search is where a directory is and what is asked there: settings of the configuration. All are
// required but the attributes other than that of usernames, and those of groups.
type Search struct {
	URL               string        `json:"url" required:"true" doc:"'ldaps://host', or 'ldap://host', where TLS begins by StartTLS or nothing is sent; with a port or without."`
	BindDN            string        `json:"bind_dn" required:"true" doc:"Entry that looks for people, such as 'cn=gatehouse,ou=services,dc=example,dc=com'. It needs to read; nothing is ever written."`
	Base              string        `json:"base" required:"true" doc:"Entry below which people are."`
	Filter            string        `json:"filter,omitempty" default:"(&(objectClass=person)(uid={username}))" doc:"Finds the one entry of a person (RFC 4515); '{username}' is the name that was typed, as text. For Active Directory '(&(objectCategory=person)(objectClass=user)(sAMAccountName={username}))'."`
	UsernameAttribute string        `json:"username_attribute,omitempty" default:"uid" doc:"What accounts are called; what was typed must be one of its values. For Active Directory 'sAMAccountName'."`
	IDAttribute       string        `json:"id_attribute,omitempty" doc:"What stays with a person for ever. Empty: 'entryUUID', or 'objectGUID' where the directory has that."`
	NameAttribute     string        `json:"name_attribute,omitempty" default:"displayName" doc:"Display name."`
	EmailAttribute    string        `json:"email_attribute,omitempty" default:"mail" doc:"E-mail address."`
	GroupAttribute    string        `json:"group_attribute,omitempty" default:"memberOf" doc:"Attribute of a person that names the groups."`
	GroupFilter       string        `json:"group_filter,omitempty" doc:"Finds groups besides, with '{dn}', the entry of the person, or '{username}': '(member={dn})'. In Active Directory '(member:1.2.840.113556.1.4.1941:={dn})' finds groups in groups, too."`
	GroupBase         string        `json:"group_base,omitempty" doc:"Entry below which 'group_filter' looks; 'base' when empty."`
	Timeout           time.Duration `json:"timeout,omitempty" minimum:"100ms" maximum:"30s" default:"5s" doc:"How long a sign-in waits for the directory."`
}

// Config configures a [Directory].
type Config struct {
	Search
	Roots *x509.CertPool // nil: the system's
	// Same reports whether a value of UsernameAttribute is the name that was typed.
	Same func(typed, value string) bool
	// Password is that of BindDN; it is read for each question.
	Password func() (string, error)
}

// Validate says what is wrong, each with the key of the configuration: "filter".
func (c Search) Validate(report func(key string, err error)) {
	if _, err := parseURL(c.URL); err != nil {
		report("url", err)
	}
	dn := func(key, text string) {
		if _, err := ldap.ParseDN(text); err != nil {
			report(key, errors.New("the name of an entry, such as 'ou=people,dc=example,dc=com'; a comma within a value is written \\2c"))
		}
	}
	if c.BindDN == "" {
		report("bind_dn", errors.New("needed: the account that searches"))
	}
	dn("base", c.Base)
	if c.GroupBase != "" {
		dn("group_base", c.GroupBase)
	}
	if !strings.Contains(c.Filter, placeUsername) {
		report("filter", fmt.Errorf("must have %s where the name goes", placeUsername))
	} else if _, err := ldap.CompileFilter(fill(c.Filter, "x", "x")); err != nil {
		report("filter", errors.New("is no filter of RFC 4515, such as '(&(objectClass=person)(uid={username}))'"))
	}
	if c.GroupFilter == "" {
		return
	}
	if !strings.Contains(c.GroupFilter, placeUsername) && !strings.Contains(c.GroupFilter, placeDN) {
		report("group_filter", fmt.Errorf("must have %s or %s", placeDN, placeUsername))
	} else if _, err := ldap.CompileFilter(fill(c.GroupFilter, "x", "x")); err != nil {
		report("group_filter", errors.New("is no filter of RFC 4515, such as '(member={dn})'"))
	}
}

// fill puts a name and the name of an entry into a filter, as text and never as a part of it.
func fill(filter, username, dn string) string {
	return strings.NewReplacer(placeUsername, ldap.EscapeFilter(username), placeDN, ldap.EscapeFilter(dn)).Replace(filter)
}

// server is where a directory is.
type server struct {
	host, address string
	implicit      bool // TLS from the first byte
}

func parseURL(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return server{}, errors.New("'ldaps://host', or 'ldap://host' where TLS begins by StartTLS, with a port or without")
	}
	s := server{host: u.Hostname(), implicit: u.Scheme == "ldaps"}
	port := u.Port()
	switch {
	case port != "":
	case s.implicit:
		port = "636"
	default:
		port = "389"
	}
	s.address = net.JoinHostPort(s.host, port)
	return s, nil
}
