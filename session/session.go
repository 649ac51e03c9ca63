package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// Why a session ended, as stored in Session.EndReason and in the event.
const (
	ReasonSignOut = "signed_out"             // by the person, in that browser
	ReasonOwner   = "ended_by_owner"         // by the person, from elsewhere
	ReasonAdmin   = "ended_by_administrator" // by somebody else
	ReasonLimit   = "too_many_sessions"      // a later one took its place
)

// Tx is the service's view of a transaction, in its parts.
type Tx struct {
	Writer
	UserWriter
	mail.Outgoing
}

// UserWriter changes users.
type UserWriter interface {
	UpdateUser(ctx context.Context, u identity.User) error
	// FirstSession sets identity.User.SignedIn.
	FirstSession(ctx context.Context, realm, user string) error
}

// Writer reads and changes sessions.
type Writer interface {
	// Party returns a realm with one of its users, nil when he is not there. Of those who
	// read the same user so, one goes on at a time.
	Party(ctx context.Context, realm, user string) (gatehouse.Realm, *identity.User, error)
	// LiveSessions lists the sessions of a user that have not ended by now and were used
	// after a time.
	LiveSessions(ctx context.Context, realm, user string, now, used time.Time) ([]gatehouse.Session, error)
	InsertSession(ctx context.Context, s gatehouse.Session) error
	// RotateSession gives a session that has not ended another secret. Of all that rotate
	// away from the secret was, one does; the others get NotFound.
	RotateSession(ctx context.Context, s gatehouse.Session, was string) error
	// EndSession ends one session of a user. Of all that try, one does: ended. A session
	// that is not there, or is another user's, is NotFound.
	EndSession(ctx context.Context, realm, user, id string, when time.Time, reason string) (s gatehouse.Session, ended bool, err error)
	// EndSessions ends all sessions of a user but the one with the id except.
	EndSessions(ctx context.Context, realm, user, except string, when time.Time, reason string) ([]gatehouse.Session, error)
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Run  gatehouse.Runner[Tx]
	Mail Notices
	// Notice is the address of the page on which somebody says whether a sign-in was the own one; the id of the session
	// is appended to it.
	Notice func(realm string) string
	Now    func() time.Time
}

// Service opens, rotates and ends sessions.
type Service struct{ c Config }

// New checks c and returns the service.
func New(c Config) (*Service, error) {
	if c.Run == nil || c.Mail == nil || c.Notice == nil || c.Now == nil {
		return nil, errors.New("session: runner, mail, the page of notices and clock are required")
	}
	return &Service{c}, nil
}

// Browser is from where somebody signs in.
type Browser struct {
	// Device is the text of the device cookie, at most [authn.MaxDeviceBytes]; "": it has
	// none, and the session is not bound to one.
	Device    gatehouse.Secret
	Address   string
	UserAgent string // cut to 256 bytes, without control characters
	// Name is what people know the browser by, for a message; "": not known.
	Name string
	// Odd is what is unusual about the sign-in.
	Odd identity.Odd
}

// Open opens a session for a person who has just proved who he is, and returns it with the
// text for its cookie, which nothing stores. p carries realm, user, amr, acr and auth_time,
// and, if he did it with a password, the scheme Basic and when that was set (IssuedAt).
// A user who has as many sessions as he may loses the one that was used least recently. Of a
// sign-in that is odd its person is told by mail ([notice]).
//
// An account that may not sign in any more is credential.ErrInvalidCredentials, one that has a second
// factor which p did not prove gatehouse.ErrSecondFactor, one that must have one gatehouse.ErrNoSecondFactor.
func (s *Service) Open(ctx context.Context, p *gatehouse.Principal, from Browser) (text gatehouse.Secret, opened gatehouse.Session, err error) {
	if !p.Authenticated() || p.Foreign || p.Kind != gatehouse.KindUser || len(from.Device) > authn.MaxDeviceBytes {
		return "", opened, credential.ErrInvalidCredentials
	}
	now := s.c.Now()
	text, opened = proven(gatehouse.Session{ID: gatehouse.NewID("ses", now), Realm: p.Realm, UserID: p.ID, CreatedAt: now}, p, from, now)
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		settings, u, err := may(ctx, tx, p)
		if err != nil {
			return err
		}
		opened.ExpiresAt = now.Add(settings.SessionTTL)
		if err := s.makeRoom(ctx, tx, opened, settings); err != nil {
			return err
		}
		if err := tx.InsertSession(ctx, opened); err != nil {
			return err
		}
		e := proof(ctx, opened, now, audit.KindSessionOpen)
		if why := odd(u, from.Odd); why != "" {
			e.Detail["odd"] = why
			if err := s.tell(ctx, tx, u, opened, from, why); err != nil {
				return err
			}
		}
		if !u.SignedIn {
			if err := tx.FirstSession(ctx, u.Realm, u.ID); err != nil {
				return err
			}
		}
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return "", gatehouse.Session{}, err
	}
	return text, opened, nil
}

// proven is a session with a new secret, and with what somebody has just proved.
func proven(s gatehouse.Session, p *gatehouse.Principal, from Browser, now time.Time) (gatehouse.Secret, gatehouse.Session) {
	text, id, hash := credential.MintSession()
	s.SecretID, s.SecretHash = id, hash
	s.AuthTime, s.AMR, s.ACR, s.LastUsedAt = p.AuthTime, p.AMR, p.ACR, now
	if s.AuthTime.IsZero() {
		s.AuthTime = now
	}
	s.DeviceHash, s.Address, s.UserAgent = nil, plain(from.Address, 64), plain(from.UserAgent, 256)
	if from.Device != "" {
		s.DeviceHash = credential.HashKey(from.Device.Reveal())
	}
	return text, s
}

// plain is what a browser says of itself, as it can be stored and shown.
func plain(text string, most int) string {
	text = strings.ToValidUTF8(text[:min(len(text), most)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// may looks at realm and user as they are now: another node may have disabled him, changed
// the password or ended everything since p was verified.
func may(ctx context.Context, tx Tx, p *gatehouse.Principal) (gatehouse.RealmSettings, *identity.User, error) {
	realm, u, err := tx.Party(ctx, p.Realm, p.ID)
	switch {
	case err != nil:
		return gatehouse.RealmSettings{}, nil, err
	case realm.Disabled:
		return gatehouse.RealmSettings{}, nil, gatehouse.ErrRealmNotFound
	case u == nil, u.Disabled, u.Kind != gatehouse.KindUser, realm.CutOff(p.IssuedAt),
		p.Scheme == gatehouse.SchemeBasic && p.IssuedAt.UnixMicro() != u.PasswordAt.UnixMicro():
		return gatehouse.RealmSettings{}, nil, credential.ErrInvalidCredentials
	}
	return realm.Settings.Defaults(), u, u.Owes(p, realm.Settings)
}

// makeRoom ends sessions of the user until one more is not too many.
func (s *Service) makeRoom(ctx context.Context, tx Tx, opened gatehouse.Session, settings gatehouse.RealmSettings) error {
	now := opened.CreatedAt
	live, err := tx.LiveSessions(ctx, opened.Realm, opened.UserID, now, now.Add(-settings.SessionIdle))
	if err != nil {
		return err
	}
	sorted.Slice(live, func(a, b gatehouse.Session) int { return a.LastUsedAt.Compare(b.LastUsedAt) })
	for _, old := range live[:max(len(live)+1-settings.MaxSessions, 0)] {
		if _, err := end(ctx, tx, old.Realm, old.UserID, old.ID, now, ReasonLimit); err != nil {
			return err
		}
	}
	return nil
}

// Rotate gives a session another secret, because the person has proved more than before, or
// the same again; the secret that it had is dead when Rotate returns. p is as for [Service.Open],
// with the id of the session in SessionID. Id, creation and absolute end stay.
//
// A session that has ended, is not p's, or was rotated by somebody else at the same moment, is
// gatehouse.NotFound.
func (s *Service) Rotate(ctx context.Context, p *gatehouse.Principal, from Browser) (text gatehouse.Secret, rotated gatehouse.Session, err error) {
	if !p.Authenticated() || p.Foreign || p.SessionID == "" || len(from.Device) > authn.MaxDeviceBytes {
		return "", rotated, credential.ErrInvalidCredentials
	}
	now := s.c.Now()
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		settings, _, err := may(ctx, tx, p)
		if err != nil {
			return err
		}
		live, err := tx.LiveSessions(ctx, p.Realm, p.ID, now, now.Add(-settings.SessionIdle))
		if err != nil {
			return err
		}
		i := slices.IndexFunc(live, func(l gatehouse.Session) bool { return l.ID == p.SessionID })
		if i < 0 {
			return gatehouse.ErrNotFound
		}
		text, rotated = proven(live[i], p, from, now)
		if err := tx.RotateSession(ctx, rotated, live[i].SecretID); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, proof(ctx, rotated, now, audit.KindSessionRotate))
	})
	if err != nil {
		return "", gatehouse.Session{}, err
	}
	return text, rotated, nil
}

// End ends one session of a user; no node accepts its cookie once End has returned. Ending
// one that has ended is no error. One that is not there, or is another user's, is
// gatehouse.NotFound.
func (s *Service) End(ctx context.Context, realm, user, id, reason string) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		_, err := end(ctx, tx, realm, user, id, s.c.Now(), reason)
		return err
	})
}

// EndAll ends every session of a user but the one with the id except, "" for none, and
// returns how many that were.
func (s *Service) EndAll(ctx context.Context, realm, user, except, reason string) (n int, err error) {
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		now := s.c.Now()
		ended, err := tx.EndSessions(ctx, realm, user, except, now, reason)
		if err != nil {
			return err
		}
		n = len(ended)
		events := make([]gatehouse.Event, n)
		for i, e := range ended {
			events[i] = event(ctx, e, now, audit.KindSessionEnd, reason)
		}
		return tx.AppendEvents(ctx, events...)
	})
	return n, err
}

// end ends a session inside tx, and records it when it had not ended before.
func end(ctx context.Context, tx Tx, realm, user, id string, now time.Time, reason string) (bool, error) {
	e, ended, err := tx.EndSession(ctx, realm, user, id, now, reason)
	if err != nil || !ended {
		return false, err
	}
	return true, tx.AppendEvents(ctx, event(ctx, e, now, audit.KindSessionEnd, reason))
}

// proof is the event of a session that has a new secret.
func proof(ctx context.Context, s gatehouse.Session, now time.Time, kind string) gatehouse.Event {
	e := event(ctx, s, now, kind, "")
	e.Detail["amr"], e.Detail["acr"] = strings.Join(s.AMR, " "), s.ACR
	return e
}

// event describes something that happened to s. Who did it is the principal of the context,
// or the person whose session it is.
func event(ctx context.Context, s gatehouse.Session, now time.Time, kind, reason string) gatehouse.Event {
	actor := gatehouse.Actor{Kind: gatehouse.KindUser, ID: s.UserID, Credential: s.ID, Scheme: gatehouse.SchemeSession}
	if p := gatehouse.PrincipalFrom(ctx); p.Authenticated() {
		actor = gatehouse.Actor{Kind: p.Kind, ID: p.ID, Name: p.Name, Credential: p.CredentialID, Scheme: p.Scheme}
	}
	return gatehouse.Event{
		Time: now, Realm: s.Realm, Kind: kind, Actor: actor,
		Target: gatehouse.Target{Type: "session", ID: s.ID}, Outcome: gatehouse.OutcomeSuccess, Reason: reason,
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx),
		Detail: map[string]string{"subject": s.UserID},
	}
}
