package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/ldap"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/telemetry"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// ldapDirectories are those of realms, by name; an [identity.Source].
type ldapDirectories map[string]*ldapDirectory

type ldapDirectory struct {
	*ldap.Directory
	groups []config.LDAPGroup
	every  time.Duration // how often it is asked about its people
}

// newLDAP makes the directories of a configuration, and tells the keys of what is wrong. It
// connects to none.
func newLDAP(all map[string]config.LDAP, note func(key string, err error) bool) ldapDirectories {
	made := ldapDirectories{}
	for realm, l := range all {
		key := "ldap." + realm
		cfg := ldap.Config{Search: l.Search, Same: sameUsername}
		cfg.Password = func() (string, error) { return mail.ReadPassword(l.PasswordFile) }
		if l.CAFile != "" {
			var err error
			if cfg.Roots, err = gateway.ReadRoots(l.CAFile); !note(key+".ca_file", err) {
				continue
			}
		}
		_, err := cfg.Password()
		note(key+".password_file", err)
		if d, err := ldap.New(cfg); err == nil { // what is wrong with it was told by Validate
			made[realm] = &ldapDirectory{d, l.Groups, l.CheckEvery}
		}
	}
	return made
}

// sameUsername reports whether two names are one username.
func sameUsername(a, b string) bool {
	_, x, err := identity.NormalizeUsername(a)
	_, y, err2 := identity.NormalizeUsername(b)
	return err == nil && err2 == nil && x == y
}

// watched adds the figures of all directories to what the metrics watch.
func (d ldapDirectories) watched(w telemetry.Watch) telemetry.Watch {
	sum := func(figure func(*ldap.Directory) int64) func() float64 {
		return func() (sum float64) {
			for _, of := range d {
				sum += float64(figure(of.Directory))
			}
			return sum
		}
	}
	w.LDAPAnswered, w.LDAPUnanswered = sum((*ldap.Directory).Answered), sum((*ldap.Directory).Unanswered)
	w.LDAPAway = sum(func(of *ldap.Directory) int64 {
		if of.Away() {
			return 1
		}
		return 0
	})
	return w
}

// directories are those of the configuration; they are left when the server stops.
func (s *Server) directories() identity.Source {
	s.closers = append(s.closers, s.made.ldap.close)
	if len(s.made.ldap) > 0 {
		s.jobs = append(s.jobs, job{name: "people of directories", lease: "people of directories", run: s.followDirectories})
	}
	return s.made.ldap
}

// followDirectories asks each directory, again and again, who of its people is gone or disabled there.
func (s *Server) followDirectories(ctx context.Context) error {
	var all sync.WaitGroup
	for realm, of := range s.made.ldap {
		all.Go(func() {
			tick := time.NewTicker(of.every)
			defer tick.Stop()
			for {
				f, err := s.followDirectory(ctx, realm)
				switch {
				case ctx.Err() != nil:
					return
				case err != nil:
					s.log.ErrorContext(ctx, "a directory was not asked about all of its people", "realm", realm, "asked", f.Asked, "cause", err)
				case f.Out > 0:
					s.log.WarnContext(ctx, "people are gone from a directory or disabled there", "realm", realm, "asked", f.Asked, "disabled", f.Out, "enabled", f.Back)
				}
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	all.Wait()
	return ctx.Err()
}

func (s *Server) followDirectory(ctx context.Context, realm string) (users.Followed, error) {
	of := s.made.ldap[realm]
	return s.admin.Users.FollowDirectory(ctx, realm, s.db, ldap.MaxMembers, func(ctx context.Context, list []identity.User) (map[string]bool, error) {
		members := make([]ldap.Member, len(list))
		for i, u := range list {
			members[i] = ldap.Member{ID: u.DirectoryID, Username: u.Username}
		}
		in, err := of.Standing(ctx, members)
		if err != nil {
			return nil, of.named(err)
		}
		return in, nil
	})
}

// close ends the connections to all of them.
func (d ldapDirectories) close(context.Context) {
	for _, of := range d {
		of.Close()
	}
}

// Serves reports whether a realm has a directory.
func (d ldapDirectories) Serves(realm string) bool { return d[realm] != nil }

// Away reports whether the realm's directory could not be asked a moment ago.
func (d ldapDirectories) Away(realm string) bool { return d[realm].Away() }

// Authenticate asks the realm's directory for a person.
func (d ldapDirectories) Authenticate(ctx context.Context, realm, username string, password gatehouse.Secret) (identity.Foreign, error) {
	from := d[realm]
	e, err := from.Directory.Authenticate(ctx, username, password.Reveal())
	var no *ldap.Refusal
	switch {
	case errors.As(err, &no):
		return identity.Foreign{}, &identity.ElsewhereRefused{Reason: string(no.Reason)}
	case err != nil:
		return identity.Foreign{}, from.named(err)
	}
	who := identity.Foreign{ID: e.ID, Username: e.Username, DisplayName: e.DisplayName, Email: e.Email, PasswordAt: e.PasswordAt}
	for _, g := range from.groups {
		member := false
		for _, dn := range e.Groups {
			member = member || ldap.SameDN(dn, g.DN)
		}
		for _, give := range []struct {
			name           string
			gives, governs *[]string
		}{{g.Role, &who.Roles, &who.GovernedRoles}, {g.Group, &who.Groups, &who.GovernedGroups}} {
			if give.name == "" {
				continue
			}
			*give.governs = append(*give.governs, give.name)
			if member {
				*give.gives = append(*give.gives, give.name)
			}
		}
	}
	return who, nil
}

// named says which directory an error is of.
func (d *ldapDirectory) named(err error) error {
	return &ldapError{d.Address(), err}
}

type ldapError struct {
	address string
	err     error
}

func (e *ldapError) Error() string { return "the directory at " + e.address + ": " + e.err.Error() }
func (e *ldapError) Unwrap() error { return e.err }
