package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

var (
	errUserUnknown = gatehouse.E(gatehouse.NotFound, "user_not_found", "There is no such user in this realm.")
	errUserTaken   = gatehouse.E(gatehouse.Conflict, "username_taken", "The username is taken in this realm.")
	errLastAdmin   = gatehouse.E(gatehouse.Conflict, "last_administrator", "This is the last administrator; make another one first.")
	errRoleUnknown = gatehouse.E(gatehouse.Unprocessable, "role_unknown", "A role does not exist in this realm.")
)

func userView(u identity.User) User {
	return User{ID: u.ID, Realm: u.Realm, Kind: string(u.Kind), Username: u.Username, DisplayName: u.DisplayName,
		Email: u.Email, Roles: some(u.Roles), Groups: some(u.Groups), Attributes: u.Attributes,
		HasPassword: u.PasswordHash != "", PasswordChangedAt: u.PasswordAt, Disabled: u.Disabled,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Version: u.Version}
}

// findUser finds a user by id or by username; no username has the form of an id.
func findUser(ctx context.Context, from UserReader, realm, idOrName string) (identity.User, error) {
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

// resolve turns "me", an id or a username into an id to authorize on: the id
// where there is such a user, else what was given. It reveals nothing, because
// the caller authorizes before he answers.
func (s *Service) resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string {
	if idOrName == "me" && actor != nil && actor.Realm == realm {
		return actor.ID
	}
	if u, err := findUser(ctx, s.c.Store, realm, idOrName); err == nil {
		return u.ID
	}
	return idOrName
}

// Users lists the users of a realm by id.
func (s *Service) Users(ctx context.Context, actor *gatehouse.Principal, realm, after string, limit int) (Page[User], error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminSubject, realm, ""); err != nil {
		return Page[User]{}, err
	}
	if _, err := s.realm(ctx, realm); err != nil {
		return Page[User]{}, err
	}
	limit = limitOf(limit)
	list, err := s.c.Store.Users(ctx, realm, after, limit+1)
	if err != nil {
		return Page[User]{}, err
	}
	return paged(list, limit, func(u identity.User) string { return u.ID }, userView), nil
}

// User reads one user by id, username or "me".
func (s *Service) User(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) (User, error) {
	id := s.resolve(ctx, actor, realm, idOrName)
	if err := s.authorizeOwn(ctx, actor, policy.AdminRead, policy.AdminSubject, realm, id, id); err != nil {
		return User{}, err
	}
	u, err := findUser(ctx, s.c.Store, realm, id)
	return userView(u), err
}

// newUser validates in and makes the record, without a password.
func newUser(realm string, in NewUser, now time.Time) (identity.User, error) {
	f := faults{}
	name, key, err := identity.NormalizeUsername(in.Username)
	if err != nil {
		return identity.User{}, err
	}
	if key == "me" {
		f.add("username", "is reserved") // it would read as the caller in paths
	}
	kind := gatehouse.KindUser
	switch in.Kind {
	case "", string(gatehouse.KindUser):
	case string(gatehouse.KindService):
		kind = gatehouse.KindService
	default:
		f.add("kind", "must be user or service")
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
		f.add("password", "goes with neither password_hash nor generate_password")
	}
	if given > 0 && kind == gatehouse.KindService {
		f.add("password", "is not for services; they use API keys")
	}
	if err := f.err(); err != nil {
		return identity.User{}, err
	}
	if in.id == "" {
		in.id = userID(kind, now)
	}
	u := identity.User{
		ID: in.id, Realm: realm, Kind: kind, Username: name, UsernameKey: key,
		DisplayName: in.DisplayName, Email: in.Email, Roles: in.Roles, Groups: in.Groups, Attributes: attributes,
		CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	return u, identity.ValidateUser(&u)
}

// userID makes the id of a user or service.
func userID(kind gatehouse.PrincipalKind, now time.Time) string {
	if kind == gatehouse.KindService {
		return gatehouse.NewID("svc", now)
	}
	return gatehouse.NewID("usr", now)
}

// knownRoles checks that roles exist in realm, in the transaction that gives
// them: none can be deleted meanwhile.
func knownRoles(ctx context.Context, tx interface {
	Roles(ctx context.Context, realm string) ([]policy.Role, error)
}, realm string, roles []string) error {
	if len(roles) == 0 {
		return nil
	}
	have, err := tx.Roles(ctx, realm)
	if err != nil {
		return err
	}
	have = append(have, policy.BuiltinRoles(realm)...)
	for _, r := range roles {
		if !slices.ContainsFunc(have, func(h policy.Role) bool { return h.Name == r }) {
			return naming(errRoleUnknown, "roles", r)
		}
	}
	return nil
}

// CreateUser makes a person or a service. Errors: username_taken, role_unknown,
// input_invalid, those of a new password.
func (s *Service) CreateUser(ctx context.Context, actor *gatehouse.Principal, realm string, in NewUser) (CreatedUser, error) {
	if err := s.authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, ""); err != nil {
		return CreatedUser{}, err
	}
	rl, err := s.realm(ctx, realm)
	if err != nil {
		return CreatedUser{}, err
	}
	now := s.c.Now()
	u, err := newUser(realm, in, now)
	if err != nil {
		return CreatedUser{}, err
	}
	if err := s.mayGive(ctx, actor, realm, u.ID, in.Roles); err != nil {
		return CreatedUser{}, err
	}
	shown, err := s.firstPassword(ctx, rl, &u, in)
	if err != nil {
		return CreatedUser{}, err
	}
	err = s.c.Users(ctx, func(ctx context.Context, tx UserTx) error {
		if err := knownRoles(ctx, tx, realm, u.Roles); err != nil {
			return err
		}
		if err := tx.InsertUser(ctx, u); err != nil {
			return conflictAs(err, errUserTaken)
		}
		e := s.event(ctx, actor, realm, audit.KindUserCreate, "user", u.ID)
		e.Detail = changes(e.Detail)
		e.Detail["username"], e.Detail["roles"] = u.Username, strings.Join(u.Roles, " ")
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return CreatedUser{}, err
	}
	return CreatedUser{User: userView(u), Password: shown}, nil
}

// firstPassword sets u's password as in asks and returns one that was generated.
func (s *Service) firstPassword(ctx context.Context, rl gatehouse.Realm, u *identity.User, in NewUser) (shown gatehouse.Secret, err error) {
	switch {
	case in.PasswordHash != "":
		hash := in.PasswordHash.Reveal()
		if _, err := credential.ParseHash(hash); err != nil {
			f := faults{}
			f.add("password_hash", "%s", credential.WhyNoHash(hash))
			return "", f.err()
		}
		u.PasswordHash, u.PasswordAt = hash, u.CreatedAt
		return "", nil
	case in.GeneratePassword:
		shown = generatePassword()
		in.Password = shown
	case in.Password == "":
		return "", nil
	}
	if u.PasswordHash, err = s.c.Passwords.NewPasswordHash(ctx, rl, *u, in.Password); err != nil {
		return "", err
	}
	u.PasswordAt = u.CreatedAt
	return shown, nil
}

// UpdateUser changes a user. Disabling ends every login and token of the
// account in the same transaction.
func (s *Service) UpdateUser(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in UserPatch) (User, error) {
	id := s.resolve(ctx, actor, realm, idOrName)
	if err := s.authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id); err != nil {
		return User{}, err
	}
	before, err := findUser(ctx, s.c.Store, realm, id)
	if err != nil {
		return User{}, err
	}
	if in.Roles != nil {
		if err := s.mayGive(ctx, actor, realm, id, difference(before.Roles, *in.Roles)); err != nil {
			return User{}, err
		}
	}
	var out identity.User
	err = s.c.Users(ctx, func(ctx context.Context, tx UserTx) error {
		u, err := findUser(ctx, tx, realm, id)
		if err != nil {
			return err
		}
		// What was decided above was decided about this state.
		if in.Version != nil && *in.Version != u.Version || !slices.Equal(u.Roles, before.Roles) {
			return gatehouse.ErrVersionConflict
		}
		e := s.event(ctx, actor, realm, audit.KindUserUpdate, "user", u.ID)
		wasAdmin := isAdmin(u)
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
			if err := s.endLogins(ctx, tx, actor, u, e.Time); err != nil {
				return err
			}
		}
		if err := tx.UpdateUser(ctx, u); err != nil {
			return conflictAs(err, gatehouse.ErrVersionConflict)
		}
		u.Version++
		out = u
		return tx.AppendEvents(ctx, e)
	})
	return userView(out), err
}

// apply changes u and notes in e what changed: names of roles and groups, but
// of personal data only that it did.
func (in UserPatch) apply(u *identity.User, e *gatehouse.Event) error {
	e.Detail = changes(e.Detail)
	if in.DisplayName != nil {
		u.DisplayName, e.Detail["display_name"] = *in.DisplayName, "changed"
	}
	if in.Email != nil {
		u.Email, e.Detail["email"] = *in.Email, "changed"
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
			merged = mergePatch(u.Attributes, *in.Attributes)
		}
		attributes, err := identity.NormalizeAttributes(merged)
		if err != nil {
			return err
		}
		u.Attributes, e.Detail["attributes"] = attributes, "changed"
	}
	if in.Disabled != nil {
		u.Disabled, e.Detail["disabled"] = *in.Disabled, fmt.Sprint(*in.Disabled)
	}
	u.UpdatedAt = e.Time
	return identity.ValidateUser(u)
}

func isAdmin(u identity.User) bool {
	return u.Realm == gatehouse.MainRealm && !u.Disabled && slices.Contains(u.Roles, policy.RoleAdmin)
}

// keepOne refuses a change that would leave no administrator.
func keepOne(ctx context.Context, tx holders, leaving string) error {
	none, err := noAdministrator(ctx, tx, leaving)
	if err == nil && none {
		return errLastAdmin
	}
	return err
}

// endLogins ends every token and refresh token of u, twice over: a cut-off for
// all that was issued until now, whoever issued it, and the end of each login
// known here. The second does not depend on the clock, which may have been set
// back since a token was issued.
func (s *Service) endLogins(ctx context.Context, tx UserTx, actor *gatehouse.Principal, u identity.User, now time.Time) error {
	rl, err := readRealm(ctx, tx, u.Realm)
	if err != nil {
		return err
	}
	if err := tx.PutCutoff(ctx, cutoff(rl, revocation.CutoffSubject, u.ID, now)); err != nil {
		return err
	}
	if _, err := tx.EndGrantsOf(ctx, u.Realm, u.ID, now, "logins_ended"); err != nil {
		return err
	}
	e := s.event(ctx, actor, u.Realm, audit.KindCutoffSet, "user", u.ID)
	return tx.AppendEvents(ctx, e)
}

// endKeys revokes every API key of u, for one who is deleted.
func (s *Service) endKeys(ctx context.Context, tx UserTx, actor *gatehouse.Principal, u identity.User, now time.Time) error {
	for after := ""; ; {
		keys, err := tx.Keys(ctx, u.Realm, u.ID, after, 200)
		if err != nil {
			return err
		}
		for _, k := range keys {
			after = k.ID
			if k.Status(now) == credential.KeyLeaked || k.Status(now) == credential.KeyRevoked {
				continue
			}
			k.RevokedAt = now
			if err := tx.UpdateKey(ctx, k); err != nil {
				return err
			}
			if err := tx.AppendEvents(ctx, s.event(ctx, actor, u.Realm, audit.KindKeyRevoke, "key", k.ID)); err != nil {
				return err
			}
		}
		if len(keys) < 200 {
			return nil
		}
	}
}

// DeleteUser removes a user; logins, tokens and keys end with him.
func (s *Service) DeleteUser(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) error {
	u, err := s.touch(ctx, actor, policy.AdminWrite, realm, idOrName)
	if err != nil {
		return err
	}
	return s.c.Users(ctx, func(ctx context.Context, tx UserTx) error {
		now, err := s.unchanged(ctx, tx, &u)
		if err != nil {
			return err
		}
		if isAdmin(u) {
			if err := keepOne(ctx, tx, u.ID); err != nil {
				return err
			}
		}
		if err := s.endLogins(ctx, tx, actor, u, now); err != nil {
			return err
		}
		if err := s.endKeys(ctx, tx, actor, u, now); err != nil {
			return err
		}
		if err := tx.DeleteUser(ctx, realm, u.ID); err != nil {
			return err
		}
		e := s.event(ctx, actor, realm, audit.KindUserDelete, "user", u.ID)
		e.Detail = changes(e.Detail)
		e.Detail["username"] = u.Username
		return tx.AppendEvents(ctx, e)
	})
}

// RevokeUser ends every login and token of a user; API keys and the password
// stay. Everybody may do it to himself.
func (s *Service) RevokeUser(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) error {
	id := s.resolve(ctx, actor, realm, idOrName)
	if err := s.authorizeOwn(ctx, actor, policy.AdminRevoke, policy.AdminSubject, realm, id, id); err != nil {
		return err
	}
	return s.c.Users(ctx, func(ctx context.Context, tx UserTx) error {
		u, err := findUser(ctx, tx, realm, id)
		if err != nil {
			return err
		}
		e := s.event(ctx, actor, realm, audit.KindUserRevoke, "user", u.ID)
		if err := s.endLogins(ctx, tx, actor, u, e.Time); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
}

// touch authorizes a change of a user and reads him.
func (s *Service) touch(ctx context.Context, actor *gatehouse.Principal, action, realm, idOrName string) (identity.User, error) {
	id := s.resolve(ctx, actor, realm, idOrName)
	if err := s.authorize(ctx, actor, action, policy.AdminSubject, realm, id); err != nil {
		return identity.User{}, err
	}
	return findUser(ctx, s.c.Store, realm, id)
}

// unchanged reads u again inside the transaction; what was decided about him
// must still be so. It returns the time of the change.
func (s *Service) unchanged(ctx context.Context, tx UserTx, u *identity.User) (time.Time, error) {
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
	return s.c.Now(), nil
}
