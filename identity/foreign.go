package identity

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// Source knows passwords of a realm that are not kept here, such as an LDAP directory.
type Source interface {
	// Serves reports whether the realm has such a source.
	Serves(realm string) bool
	// Authenticate returns the person of a username whose password this is. Errors: an
	// [*ElsewhereRefused]; any other is that the source gave no answer.
	Authenticate(ctx context.Context, realm, username string, password gatehouse.Secret) (Foreign, error)
	// Away reports whether the realm's source is known to give no answers.
	Away(realm string) bool
}

// ElsewhereRefused is a source's word that somebody may not come in, with the reason for the
// record: the caller gets invalid_credentials.
type ElsewhereRefused struct{ Reason string }

func (e *ElsewhereRefused) Error() string { return e.Reason }

// Reasons in events of people whom the source knows and the realm refuses.
const (
	// ReasonOtherEntry: the account of this name is that of another entry, which had the name before.
	ReasonOtherEntry = "directory_other_entry"
)

// Foreign is a person as a source tells of them.
type Foreign struct {
	ID          string // stays with the person; compared exactly
	Username    string // what was typed, as the source has it
	DisplayName string
	Email       string
	PasswordAt  time.Time // zero: the source does not tell
	// Roles and Groups are what the source gives, of those which it governs: those alone are
	// taken away from who does not have them there any more.
	Roles, Groups                 []string
	GovernedRoles, GovernedGroups []string
}

var errSource = gatehouse.E(gatehouse.Unavailable, "ldap_unavailable", "The directory that has the passwords of this realm gives no answer at the moment.")

// elsewhere reports whether the source of a's realm judges the password of u. An account that
// is kept here is never the source's, whatever entry has its name there; somebody who has no
// account may be.
func (s *Service) elsewhere(a Attempt, u *User) bool {
	if s.cfg.Source == nil || !s.cfg.Source.Serves(a.Realm) {
		return false
	}
	return u.ID == "" || u.DirectoryID != ""
}

// away reports whether failed attempts at accounts kept here get the answer of all others, which
// the source gives none at the moment: or a guesser would learn which names are kept here.
func (s *Service) away(realm string) bool {
	return s.cfg.Source != nil && s.cfg.Source.Serves(realm) && s.cfg.Source.Away(realm)
}

// verifyElsewhere is verify by a source. Meanwhile the dummy hash is evaluated, so that an
// answer of the source that comes sooner takes as long as one of ours. It ends the ticket.
func (s *Service) verifyElsewhere(ctx context.Context, a Attempt, account accountID, u User, ticket *ticket) (User, error) {
	type answer struct {
		who Foreign
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		var ans answer
		defer func() { answers <- ans }()
		defer caught(&ans.err)
		name, key, err := NormalizeUsername(a.Username)
		if err != nil || key == "me" { // what no account can be called
			ans.err = &ElsewhereRefused{Reason: ReasonUnknownUser}
			return
		}
		ans.who, ans.err = s.cfg.Source.Authenticate(ctx, a.Realm, name, a.Password)
	}()
	hashed := s.cfg.Passwords.VerifyDummy(ctx, a.Password)
	ans := <-answers
	var no *ElsewhereRefused
	switch {
	case errors.As(ans.err, &no):
		ticket.fail() // also when nothing was hashed: the source was asked
		return u, credential.ErrInvalidCredentials.With(no)
	case ans.err != nil:
		ticket.abort()
		return u, errSource.With(ans.err)
	case hashed != nil:
		ticket.abort()
		return u, hashed
	case u.Disabled && !u.DirectoryOut:
		ticket.fail()
		return u, credential.ErrInvalidCredentials
	}
	stored, err := s.admit(ctx, a, u, ans.who)
	switch {
	case errors.As(err, &no):
		ticket.fail()
		return u, credential.ErrInvalidCredentials.With(no)
	case err != nil:
		ticket.abort()
		return u, err
	case stored.Disabled:
		ticket.fail()
		return stored, credential.ErrInvalidCredentials
	}
	ticket.success(ctx)
	return stored, nil
}

// admit returns the account of a person whom a source knows: made at the first sign-in, and
// brought up to date at each. The account is found by what stays with the person; u is that
// which has the name, if any.
func (s *Service) admit(ctx context.Context, a Attempt, u User, who Foreign) (User, error) {
	name, err := s.named(a, who)
	if err != nil {
		return u, err
	}
	if u.DirectoryID == who.ID && u.ID != "" {
		if again := who.on(u, name); same(again, u) {
			return u, nil // nothing to write
		}
	}
	var stored User
	try := func(ctx context.Context, tx Tx) error {
		stored, err = s.keep(ctx, tx, a, who, name)
		return err
	}
	err = s.cfg.Run(ctx, try)
	if errors.Is(err, gatehouse.Conflict) { // at the same time on another node: it is there now
		err = s.cfg.Run(ctx, try)
	}
	var no *ElsewhereRefused
	if err != nil && !errors.As(err, &no) {
		err = errDirectory.With(err)
	}
	return stored, err
}

// named is the person's username, which must be the one of the attempt.
func (s *Service) named(a Attempt, who Foreign) (string, error) {
	_, asked, err := NormalizeUsername(a.Username)
	if err != nil {
		return "", err
	}
	name, key, err := NormalizeUsername(who.Username)
	if err == nil && key != asked {
		err = errors.New("the source answered for somebody of another name")
	}
	return name, err
}

func (s *Service) keep(ctx context.Context, tx Tx, a Attempt, who Foreign, name string) (User, error) {
	_, key, err := NormalizeUsername(name)
	if err != nil {
		return User{}, err
	}
	holder, err := tx.UserByKey(ctx, a.Realm, key)
	if err != nil && !errors.Is(err, gatehouse.NotFound) {
		return User{}, err
	}
	cur, err := tx.UserByDirectoryID(ctx, a.Realm, who.ID)
	if err != nil && !errors.Is(err, gatehouse.NotFound) {
		return User{}, err
	}
	if holder.ID != "" && holder.ID != cur.ID {
		// Whoever was called so before left an account behind: it is not the successor's.
		return User{}, &ElsewhereRefused{Reason: ReasonOtherEntry}
	}
	now := s.cfg.Now()
	e := gatehouse.Event{Time: now, Realm: a.Realm, Outcome: gatehouse.OutcomeSuccess, Reason: "directory",
		RequestID: gatehouse.RequestIDFrom(ctx), Address: a.Address, Detail: map[string]string{}}
	before := cur
	if cur.ID == "" {
		e.Kind = audit.KindUserCreate
		cur = who.on(User{ID: gatehouse.NewID("usr", now), Realm: a.Realm, Kind: gatehouse.KindUser, DirectoryID: who.ID,
			PasswordAt: who.PasswordAt, CreatedAt: now, Version: 1}, name)
		if cur.PasswordAt.IsZero() {
			cur.PasswordAt = now
		}
	} else {
		e.Kind = audit.KindUserUpdate
		if cur = who.on(cur, name); same(cur, before) {
			return cur, nil
		}
	}
	cur.UpdatedAt = now
	if err := ValidateUser(&cur); err != nil {
		return User{}, err
	}
	e.Actor = gatehouse.Actor{Kind: cur.Kind, ID: cur.ID, Name: cur.Username, Scheme: gatehouse.SchemeBasic}
	e.Target = gatehouse.Target{Type: "user", ID: cur.ID}
	if before.ID == "" {
		e.Detail["username"], e.Detail["roles"] = cur.Username, strings.Join(cur.Roles, " ")
		err = tx.InsertUser(ctx, cur)
	} else {
		if !slices.Equal(cur.Roles, before.Roles) {
			e.Detail["roles"] = strings.Join(cur.Roles, " ")
		}
		if cur.Disabled != before.Disabled {
			e.Detail["disabled"] = "false"
		}
		if !slices.Equal(cur.Groups, before.Groups) {
			e.Detail["groups"] = strings.Join(cur.Groups, " ")
		}
		err = tx.UpdateUser(ctx, cur)
		cur.Version++
	}
	if err != nil {
		return User{}, err
	}
	return cur, tx.AppendEvents(ctx, e)
}

// on is u with what the source tells. A text that no account can have is left out.
func (who Foreign) on(u User, name string) User {
	_, key, _ := NormalizeUsername(name)
	u.Username, u.UsernameKey = name, key
	u.DisplayName, u.Email, u.NewEmail = who.DisplayName, who.Email, ""
	if !validDisplayName(u.DisplayName) {
		u.DisplayName = ""
	}
	if !validEmail(u.Email) {
		u.Email = ""
	}
	u.Roles, u.Groups = given(u.Roles, who.Roles, who.GovernedRoles), given(u.Groups, who.Groups, who.GovernedGroups)
	if u.DirectoryOut { // not any more
		u.Disabled, u.DirectoryOut = false, false
	}
	if who.PasswordAt.After(u.PasswordAt) {
		u.PasswordAt = who.PasswordAt
	}
	return u
}

// given are the names in has which the source does not govern, and those that it gives.
func given(has, gives, governs []string) []string {
	set := map[string]bool{}
	for _, name := range has {
		set[name] = !slices.Contains(governs, name)
	}
	for _, name := range gives {
		set[name] = true
	}
	maps.DeleteFunc(set, func(_ string, in bool) bool { return !in })
	return slices.Sorted(maps.Keys(set))
}

// same reports whether two records of a user say the same of what a source tells.
func same(a, b User) bool {
	return a.Username == b.Username && a.DirectoryOut == b.DirectoryOut && a.DisplayName == b.DisplayName && a.Email == b.Email && a.PasswordAt.Equal(b.PasswordAt) &&
		slices.Equal(a.Groups, slices.Sorted(slices.Values(b.Groups))) && slices.Equal(a.Roles, slices.Sorted(slices.Values(b.Roles)))
}
