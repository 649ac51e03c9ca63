package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/ldap"
)

// LDAP is the directory that has passwords of a realm.
type LDAP struct {
	ldap.Search
	CheckEvery   time.Duration `json:"check_every,omitempty" minimum:"1m" maximum:"24h" default:"10m" doc:"How often the directory is asked about everybody who has an account by it: whoever is gone or disabled there loses logins and access here so soon."`
	CAFile       string        `json:"ca_file,omitempty" form:"path" doc:"CA certificates (PEM) that the directory is verified with, in place of the system's."`
	PasswordFile string        `json:"password_file" required:"true" form:"path" doc:"File whose first line is the password of 'bind_dn'; read again for each question."`
	Groups       []LDAPGroup   `json:"groups,omitempty" doc:"What groups of the directory give. Others give nothing."`
}

// LDAPGroup is what a group of the directory gives.
type LDAPGroup struct {
	DN    string `json:"dn" required:"true" doc:"The group's entry, such as 'cn=ops,ou=groups,dc=example,dc=com'."`
	Role  string `json:"role,omitempty" pattern:"^[!#-\\[\\]-~]{1,128}$" doc:"Role of the realm that its members have. Whoever leaves the group loses it at the next sign-in."`
	Group string `json:"group,omitempty" pattern:"^[!#-\\[\\]-~]{1,128}$" doc:"Group of the realm that its members are in, likewise."`
}

func (l LDAP) validate(path string, report reporter) {
	l.Search.Validate(func(key string, err error) { report(path+"."+key, err) })
	for i, g := range l.Groups {
		at := fmt.Sprintf("%s.groups[%d]", path, i)
		if !ldap.SameDN(g.DN, g.DN) {
			report(at+".dn", errors.New("the name of an entry; a comma within a value is written \\2c"))
		}
		if g.Role == "" && g.Group == "" {
			report(at, errors.New("gives nothing: 'role', 'group' or both"))
		}
	}
}
