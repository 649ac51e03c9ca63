package users

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var (
	errUserUnknown = gatehouse.E(gatehouse.NotFound, "user_not_found", "There is no such user in this realm.")
	errUserTaken   = gatehouse.E(gatehouse.Conflict, "username_taken", "The username is taken in this realm.")
	errRoleUnknown = gatehouse.E(gatehouse.Unprocessable, "role_unknown", "A role does not exist in this realm.")
)

// ErrLastAdministrator refuses a change that would leave nobody who can administer.
var ErrLastAdministrator = gatehouse.E(gatehouse.Conflict, "last_administrator", "This is the last administrator; make another one first.")

func userView(u identity.User) User {
	return User{ID: u.ID, Realm: u.Realm, Kind: string(u.Kind), Username: u.Username, DisplayName: u.DisplayName,
		Email: u.Email, EmailVerified: u.EmailVerified(), NewEmail: u.NewEmail, Roles: kernel.Some(u.Roles), Groups: kernel.Some(u.Groups), Attributes: u.Attributes,
		HasPassword: u.PasswordHash != "", PasswordChangedAt: u.PasswordAt, InitialUntil: u.InitialUntil(), SecondFactor: u.SecondFactor, DirectoryID: u.DirectoryID, Disabled: u.Disabled,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Version: u.Version}
}

// findUser finds a user by id or by username; no username has the form of an id.
func findUser(ctx context.Context, from Reader, realm, idOrName string) (identity.User, error) {
	if len(idOrName) > 256 {
		return identity.User{}, errUserUnknown
	}
	if _, ok := gatehouse.IDTime(idOrName); ok {
		u, err := from.User(ctx, realm, idOrName)
		if errors.Is(err, gatehouse.NotFound) {
			return u, errUserUnknown
		}
		return u, err
	}
	_, key, err := identity.NormalizeUsername(idOrName)
	if err != nil {
		return identity.User{}, errUserUnknown
	}
	u, err := from.UserByKey(ctx, realm, key)
	if errors.Is(err, gatehouse.NotFound) {
		return u, errUserUnknown
	}
	return u, err
}

// Find finds a user by id or by username, after the actor was found to be allowed.
// Errors: user_not_found.
func (s *Service) Find(ctx context.Context, realm, idOrName string) (identity.User, error) {
	return findUser(ctx, s.c.Users, realm, idOrName)
}

// Resolve turns "me", an id or a username into an id to authorize on: the id
// where there is such a user, else what was given. It reveals nothing, because
// the caller authorizes before he answers.
func (s *Service) Resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string {
	if idOrName == "me" && actor != nil && actor.Realm == realm {
		return actor.ID
	}
	if u, err := findUser(ctx, s.c.Users, realm, idOrName); err == nil {
		return u.ID
	}
	return idOrName
}

// List lists the users of a realm by id.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm, after string, limit int) (kernel.Page[User], error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminSubject, realm, ""); err != nil {
		return kernel.Page[User]{}, err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return kernel.Page[User]{}, err
	}
	limit = kernel.Limit(limit)
	list, err := s.c.Users.Users(ctx, realm, after, limit+1)
	if err != nil {
		return kernel.Page[User]{}, err
	}
	return kernel.Paged(list, limit, func(u identity.User) string { return u.ID },
		func(u identity.User) User { return userView(counted(u, rl)) }), nil
}

// counted is u as it is judged: a password that a panic of the realm has ended is none.
func counted(u identity.User, rl gatehouse.Realm) identity.User {
	if rl.CutOff(u.PasswordAt) {
		u.PasswordHash = ""
	}
	return u
}

// Get reads one user by id, username or "me".
func (s *Service) Get(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) (User, error) {
	id := s.Resolve(ctx, actor, realm, idOrName)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminSubject, realm, id, id); err != nil {
		return User{}, err
	}
	u, err := findUser(ctx, s.c.Users, realm, id)
	if err != nil {
		return User{}, err
	}
	rl, err := s.k.Realm(ctx, realm)
	return userView(counted(u, rl)), err
}

// newUser validates in and makes the record, without a password.
func newUser(realm string, in NewUser, now time.Time) (identity.User, error) {
	f := kernel.Faults{}
	name, key, err := identity.NormalizeUsername(in.Username)
	if err != nil {
		return identity.User{}, err
	}
	if key == "me" {
		f.Add("username", "is reserved") // it would read as the caller in paths
	}
	kind := gatehouse.KindUser
	switch in.Kind {
	case "", string(gatehouse.KindUser):
	case string(gatehouse.KindService):
		kind = gatehouse.KindService
	default:
		f.Add("kind", "must be user or service")
	}
	attributes, err := identity.NormalizeAttributes(in.Attributes)
	if err != nil {
		return identity.User{}, err
	}
	given := 0
	for _, set := range []bool{in.Password != "", in.PasswordHash != "", in.GeneratePassword} {
		if set {
			given++
		}
	}
	if given > 1 {
		f.Add("password", "goes with neither password_hash nor generate_password")
	}
	if in.PasswordInitial && in.Password == "" {
		f.Add("password_initial", "says what password is, which is not given")
	}
	if given > 0 && kind == gatehouse.KindService {
		f.Add("password", "is not for services; they use API keys")
	}
	if err := f.Err(); err != nil {
		return identity.User{}, err
	}
	if in.ID == "" {
		in.ID = NewID(kind, now)
	}
	u := identity.User{
		ID: in.ID, Realm: realm, Kind: kind, Username: name, UsernameKey: key,
		DisplayName: in.DisplayName, Email: in.Email, Roles: in.Roles, Groups: in.Groups, Attributes: attributes,
		CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if in.EmailVerified {
		u.VerifiedEmail = u.Email
	}
	return u, identity.ValidateUser(&u)
}

// NewID makes the id of a user or service.
func NewID(kind gatehouse.PrincipalKind, now time.Time) string {
	if kind == gatehouse.KindService {
		return gatehouse.NewID("svc", now)
	}
	return gatehouse.NewID("usr", now)
}

// Create makes a person or a service. Errors: username_taken, role_unknown,
// input_invalid, those of a new password.
func (s *Service) Create(ctx context.Context, actor *gatehouse.Principal, realm string, in NewUser) (CreatedUser, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, ""); err != nil {
		return CreatedUser{}, err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return CreatedUser{}, err
	}
	now := s.k.Now()
	u, err := newUser(realm, in, now)
	if err != nil {
		return CreatedUser{}, err
	}
	if err := s.mayGive(ctx, actor, realm, u.ID, in.Roles); err != nil {
		return CreatedUser{}, err
	}
	shown, imported, err := s.firstPassword(ctx, rl, &u, in)
	if err != nil {
		return CreatedUser{}, err
	}
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := knownRoles(ctx, tx, realm, u.Roles); err != nil {
			return err
		}
		if err := tx.InsertUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, errUserTaken)
		}
		e := s.k.Event(ctx, actor, realm, audit.KindUserCreate, "user", u.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["username"], e.Detail["roles"] = u.Username, strings.Join(u.Roles, " ")
		if imported != "" {
			e.Detail["imported"] = string(imported)
		}
		if u.Initial() {
			e.Detail["password"] = "initial"
		}
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return CreatedUser{}, err
	}
	return CreatedUser{User: userView(u), Password: shown}, nil
}

// firstPassword sets u's password as in asks and returns one that was generated, and the
// kind of a hash that was imported.
func (s *Service) firstPassword(ctx context.Context, rl gatehouse.Realm, u *identity.User, in NewUser) (shown gatehouse.Secret, imported credential.HashKind, err error) {
	switch {
	case in.PasswordHash != "":
		hash := in.PasswordHash.Reveal()
		stored, kind, err := credential.ImportHash(hash)
		if err != nil {
			f := kernel.Faults{}
			f.Add("password_hash", "%s", credential.WhyNoHash(hash))
			return "", "", f.Err()
		}
		u.PasswordHash, u.PasswordAt = stored, u.CreatedAt
		return "", kind, nil
	case in.GeneratePassword:
		shown = generatePassword()
		in.Password = shown
	case in.Password == "":
		return "", "", nil
	}
	if u.PasswordHash, err = s.c.Passwords.NewPasswordHash(ctx, rl, *u, in.Password); err != nil {
		return "", "", err
	}
	u.PasswordAt = u.CreatedAt
	if in.GeneratePassword || in.PasswordInitial {
		u.InitialAt = u.PasswordAt
	}
	return shown, "", nil
}

// Update changes a user; everybody may give himself another display name. Disabling ends every login and token of the
// account in the same transaction.
func (s *Service) Update(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in UserPatch) (User, error) {
	id := s.Resolve(ctx, actor, realm, idOrName)
	authorize := s.k.Authorize
	if in.onlyName() {
		authorize = func(ctx context.Context, actor *gatehouse.Principal, action, typ, realm, id string) error {
			return s.k.AuthorizeOwn(ctx, actor, action, typ, realm, id, id)
		}
	}
	if err := authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id); err != nil {
		return User{}, err
	}
	before, err := findUser(ctx, s.c.Users, realm, id)
	if err != nil {
		return User{}, err
	}
	if in.Roles != nil {
		if err := s.mayGive(ctx, actor, realm, id, difference(before.Roles, *in.Roles)); err != nil {
			return User{}, err
		}
	}
	var out identity.User
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		u, err := findUser(ctx, tx, realm, id)
		if err != nil {
			return err
		}
		// What was decided above was decided about this state.
		if in.Version != nil && *in.Version != u.Version || !slices.Equal(u.Roles, before.Roles) {
			return gatehouse.ErrVersionConflict
		}
		e := s.k.Event(ctx, actor, realm, audit.KindUserUpdate, "user", u.ID)
		wasAdmin, was := isAdmin(u), u.Email
		if err := in.apply(&u, &e); err != nil {
			return err
		}
		if in.Roles != nil {
			if err := knownRoles(ctx, tx, realm, u.Roles); err != nil {
				return err
			}
		}
		if wasAdmin && !isAdmin(u) {
			if err := keepOne(ctx, tx, u.ID); err != nil {
				return err
			}
		}
		if in.Disabled != nil && *in.Disabled {
			if _, _, err := s.endLogins(ctx, tx, actor, u, e.Time); err != nil {
				return err
			}
		}
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		if err := s.tellAddress(ctx, tx, actor, u, was, e.Time); err != nil {
			return err
		}
		u.Version++
		out = u
		return tx.AppendEvents(ctx, e)
	})
	return userView(out), err
}

// onlyName reports that nothing would change but how a person is called, by which nothing is decided.
func (in UserPatch) onlyName() bool {
	return in == UserPatch{DisplayName: in.DisplayName, Version: in.Version}
}

// apply changes u and notes in e what changed: names of roles and groups, but
// of personal data only that it did.
func (in UserPatch) apply(u *identity.User, e *gatehouse.Event) error {
	e.Detail = kernel.Changes(e.Detail)
	if in.DisplayName != nil {
		u.DisplayName, e.Detail["display_name"] = *in.DisplayName, "changed"
	}
	if in.Email != nil {
		u.Email, u.NewEmail, e.Detail["email"] = *in.Email, "", "changed"
	}
	if in.EmailVerified != nil {
		u.VerifiedEmail, e.Detail["email_verified"] = "", fmt.Sprint(*in.EmailVerified)
		if *in.EmailVerified {
			u.VerifiedEmail = u.Email
		}
	}
	if in.Roles != nil {
		e.Detail["roles"] = strings.Join(u.Roles, " ") + " → " + strings.Join(*in.Roles, " ")
		u.Roles = *in.Roles
	}
	if in.Groups != nil {
		e.Detail["groups"] = strings.Join(u.Groups, " ") + " → " + strings.Join(*in.Groups, " ")
		u.Groups = *in.Groups
	}
	if in.Attributes != nil {
		merged := map[string]any{} // null takes all of them away
		if *in.Attributes != nil {
			merged = kernel.MergePatch(u.Attributes, *in.Attributes)
		}
		attributes, err := identity.NormalizeAttributes(merged)
		if err != nil {
			return err
		}
		u.Attributes, e.Detail["attributes"] = attributes, "changed"
	}
	if in.Disabled != nil {
		u.Disabled, u.DirectoryOut, e.Detail["disabled"] = *in.Disabled, false, fmt.Sprint(*in.Disabled)
	}
	u.UpdatedAt = e.Time
	return identity.ValidateUser(u)
}

// Revoke ends every login and token of a user; API keys and the password
// stay. Everybody may do it to himself.
func (s *Service) Revoke(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) error {
	id := s.Resolve(ctx, actor, realm, idOrName)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRevoke, policy.AdminSubject, realm, id, id); err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		u, err := findUser(ctx, tx, realm, id)
		if err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, realm, audit.KindUserRevoke, "user", u.ID)
		if _, _, err := s.endLogins(ctx, tx, actor, u, e.Time); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, actor, u, mail.KindLoginsEnded, e.Time); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
}

// tell queues the notice of what actor did to u's account, to the address that it had then.
func (s *Service) tell(ctx context.Context, tx Tx, actor *gatehouse.Principal, u identity.User, kind mail.Kind, at time.Time) error {
	_, err := s.c.Mail.Put(ctx, tx, mail.Message{Kind: kind, Realm: u.Realm, To: u.Email, Data: mail.Data{Account: u.Username, By: actor.Name, At: at}})
	return err
}

// touch authorizes a change of a user and reads him.
func (s *Service) touch(ctx context.Context, actor *gatehouse.Principal, action, realm, idOrName string) (identity.User, error) {
	id := s.Resolve(ctx, actor, realm, idOrName)
	if err := s.k.Authorize(ctx, actor, action, policy.AdminSubject, realm, id); err != nil {
		return identity.User{}, err
	}
	return findUser(ctx, s.c.Users, realm, id)
}

// unchanged reads u again inside the transaction; what was decided about him
// must still be so. It returns the time of the change.
func (s *Service) unchanged(ctx context.Context, tx Tx, u *identity.User) (time.Time, error) {
	again, err := tx.User(ctx, u.Realm, u.ID)
	if errors.Is(err, gatehouse.NotFound) {
		return time.Time{}, errUserUnknown
	}
	if err != nil {
		return time.Time{}, err
	}
	if !slices.Equal(again.Roles, u.Roles) {
		return time.Time{}, gatehouse.ErrVersionConflict
	}
	*u = again
	return s.k.Now(), nil
}
