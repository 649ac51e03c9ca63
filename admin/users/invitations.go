package users

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/policy"
)

const (
	// InvitationFor is how long somebody who was invited can make the account.
	InvitationFor = 7 * 24 * time.Hour
	// maxInvitations bounds those of one realm that wait.
	maxInvitations = 200
)

var (
	errInvitation        = gatehouse.E(gatehouse.Denied, "invitation_invalid", "This invitation was used before, is over, or was taken back.")
	errInvitationUnknown = gatehouse.E(gatehouse.NotFound, "invitation_not_found", "There is no such invitation in this realm.")
	errInvitations       = gatehouse.E(gatehouse.Conflict, "invitation_limit", "As many invitations wait in this realm as can; take some back, or let them end.")
)

// invited is the form of what is sealed under the hash of an invitation's id. The link has the id
// and a secret, so that who may see the list cannot use what is in it.
type invited struct {
	ID      string    `json:"id"`
	Secret  []byte    `json:"secret"` // its hash
	Address string    `json:"address"`
	Roles   []string  `json:"roles"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// invitationKind keeps the invitations of each realm by themselves.
func invitationKind(realm string) once.Kind { return once.KindInvitation + once.Kind(" "+realm) }

func invitationPlace(realm string) seal.Place { return seal.Place{Purpose: "invitation", Realm: realm} }

func (d invited) view(ends time.Time) Invitation {
	return Invitation{ID: d.ID, Email: d.Address, Roles: kernel.Some(d.Roles), InvitedBy: d.By, CreatedAt: d.At, ExpiresAt: ends}
}

// Invite sends a link to an address by which whoever reads it makes an account with these roles.
// Errors: registration_closed, mail_off, no_email, invitation_limit, role_unknown, input_invalid.
func (s *Service) Invite(ctx context.Context, actor *gatehouse.Principal, realm string, in NewInvitation) (Invitation, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, ""); err != nil {
		return Invitation{}, err
	}
	if err := s.mayGive(ctx, actor, realm, "", in.Roles); err != nil {
		return Invitation{}, err
	}
	f := kernel.Faults{}
	if _, err := mail.Address(in.Email); err != nil {
		f.Add("email", "must be %s", err)
	}
	f.Names("roles", in.Roles)
	if err := f.Err(); err != nil {
		return Invitation{}, err
	}
	if !s.c.Mail.On() {
		return Invitation{}, mail.ErrOff
	}
	rl, err := s.k.Realm(ctx, realm)
	if err == nil && !rl.Settings.Invites() {
		err = errRegisterClosed
	}
	if err != nil {
		return Invitation{}, err
	}
	now, secret := s.k.Now(), rand.Text() // 130 bits
	d := invited{ID: gatehouse.NewID("inv", now), Secret: credential.HashKey(secret), Address: in.Email, Roles: in.Roles, By: actor.Name, At: now}
	record := once.Record{Kind: invitationKind(realm), Key: credential.HashKey(d.ID), ExpiresAt: now.Add(InvitationFor)}
	plain, err := json.Marshal(d)
	if err == nil {
		record.Sealed, err = s.c.Links.Box.Seal(plain, invitationPlace(realm))
	}
	if err != nil {
		return Invitation{}, err
	}
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := knownRoles(ctx, tx, realm, in.Roles); err != nil {
			return err
		}
		waiting, err := tx.OnceOf(ctx, record.Kind, now, maxInvitations)
		if err != nil {
			return err
		}
		if len(waiting) == maxInvitations {
			return errInvitations
		}
		id, err := s.c.Mail.Put(ctx, tx, mail.Message{Kind: mail.KindInvitation, Realm: realm, To: in.Email,
			Data: mail.Data{By: actor.Name, At: now, Ends: record.ExpiresAt, Link: s.c.Links.Register(realm) + "?code=" + d.ID + "." + secret}})
		if err != nil {
			return err
		}
		if id == "" {
			return errNoAddress
		}
		if err := tx.PutOnce(ctx, record); err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, realm, audit.KindInvitationCreate, "invitation", d.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["roles"] = strings.Join(in.Roles, " ")
		return tx.AppendEvents(ctx, e)
	})
	return d.view(record.ExpiresAt), err
}

// Invitations lists those of a realm that wait, the first to end first.
func (s *Service) Invitations(ctx context.Context, actor *gatehouse.Principal, realm string) (out kernel.Page[Invitation], err error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminSubject, realm, ""); err != nil {
		return out, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return out, err
	}
	out.Items = []Invitation{}
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		list, err := tx.OnceOf(ctx, invitationKind(realm), s.k.Now(), maxInvitations)
		for _, r := range list {
			if d, err := s.openInvitation(realm, r); err == nil { // what was sealed under another master key counts for nothing
				out.Items = append(out.Items, d.view(r.ExpiresAt))
			}
		}
		return err
	})
	return out, err
}

// Uninvite takes an invitation back. Errors: invitation_not_found.
func (s *Service) Uninvite(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, ""); err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.TakeOnce(ctx, invitationKind(realm), credential.HashKey(id), s.k.Now()); err != nil {
			return kernel.OrMissing(err, errInvitationUnknown)
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, realm, audit.KindInvitationRevoke, "invitation", id))
	})
}

func (s *Service) openInvitation(realm string, r once.Record) (d invited, err error) {
	plain, err := s.c.Links.Box.Open(r.Sealed, invitationPlace(realm))
	if err != nil {
		return d, errInvitation
	}
	return d, json.Unmarshal(plain, &d)
}

// invitationOf reads the invitation that a link's text is for, and uses nothing up.
func (s *Service) invitationOf(ctx context.Context, realm string, text gatehouse.Secret) (d invited, key []byte, err error) {
	id, secret, ok := strings.Cut(text.Reveal(), ".")
	if !ok || len(text) > 2*maxResetText {
		return d, nil, errInvitation
	}
	key = credential.HashKey(id)
	r, err := s.c.Links.Find(ctx, invitationKind(realm), key)
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && !s.k.Now().Before(r.ExpiresAt):
		return d, nil, errInvitation
	case err != nil:
		return d, nil, err
	}
	if d, err = s.openInvitation(realm, r); err != nil {
		return d, nil, err
	}
	if d.ID != id || subtle.ConstantTimeCompare(d.Secret, credential.HashKey(secret)) != 1 {
		return invited{}, nil, errInvitation
	}
	return d, key, nil
}

// InvitationOf tells to which address a link was sent by which an account is made. Who was invited chooses a name; to
// whom asked for the link the address is the name. Errors: invitation_invalid, registration_link_invalid.
func (s *Service) InvitationOf(ctx context.Context, realm string, text gatehouse.Secret) (address string, named bool, err error) {
	if !isInvitation(text) {
		n, _, err := s.newcomerBy(ctx, realm, text)
		return n.Address, true, err
	}
	d, _, err := s.invitationOf(ctx, realm, text)
	return d.Address, false, err
}

// isInvitation tells the text of an invitation's link, which has an id before the secret, from others. No text is one.
func isInvitation(text gatehouse.Secret) bool {
	return text == "" || strings.Contains(text.Reveal(), ".")
}

// Register makes the account that a link is for: by an invitation with the name and password that the person
// has chosen, else named by the address. It uses the link up. The account has the roles of the invitation and no others, and its
// address is verified: who came by the link reads it. What is refused leaves the link as it
// was, and nobody is signed in. Errors: invitation_invalid, registration_link_invalid, registration_closed,
// registration_domain, username_taken, those of a name and of a password.
func (s *Service) Register(ctx context.Context, realm string, text gatehouse.Secret, username string, password gatehouse.Secret) error {
	if isInvitation(text) {
		return s.registerInvited(ctx, realm, text, username, password)
	}
	return s.registerByAddress(ctx, realm, text, password)
}

func (s *Service) registerInvited(ctx context.Context, realm string, text gatehouse.Secret, username string, password gatehouse.Secret) error {
	d, key, err := s.invitationOf(ctx, realm, text)
	if err != nil {
		return err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err == nil && !rl.Settings.Invites() {
		err = errRegisterClosed
	}
	if err != nil {
		return err
	}
	u, err := newUser(realm, NewUser{Username: username, Email: d.Address, EmailVerified: true, Roles: d.Roles}, s.k.Now())
	if err != nil {
		return err
	}
	if u.PasswordHash, err = s.c.Passwords.NewPasswordHash(ctx, rl, u, password); err != nil {
		return err
	}
	u.PasswordAt = u.CreatedAt
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.TakeOnce(ctx, invitationKind(realm), key, s.k.Now()); err != nil {
			return kernel.OrMissing(err, errInvitation)
		}
		if err := knownRoles(ctx, tx, realm, u.Roles); err != nil {
			return err
		}
		if err := tx.InsertUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, errUserTaken)
		}
		return tx.AppendEvents(ctx, s.madeBy(ctx, u, "invitation", d.ID))
	})
}

// madeBy is the event of an account that its person has made.
func (s *Service) madeBy(ctx context.Context, u identity.User, reason, invitation string) gatehouse.Event {
	person := &gatehouse.Principal{Realm: u.Realm, Kind: u.Kind, ID: u.ID, Name: u.Username}
	e := s.k.Event(ctx, person, u.Realm, audit.KindUserCreate, "user", u.ID)
	e.Reason = reason
	e.Detail = kernel.Changes(e.Detail)
	e.Detail["username"], e.Detail["roles"] = u.Username, strings.Join(u.Roles, " ")
	if invitation != "" {
		e.Detail["invitation"] = invitation
	}
	return e
}
