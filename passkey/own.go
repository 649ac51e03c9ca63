package passkey

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
)

// leeway is by how much a browser gives up before the question is over.
const leeway = 30 * time.Second

// Offer is what a browser asks an authenticator for a new passkey
// (PublicKeyCredentialCreationOptionsJSON).
type Offer struct {
	Challenge   string      `json:"challenge"`
	RP          party       `json:"rp"`
	User        person      `json:"user"`
	Algorithms  []algorithm `json:"pubKeyCredParams"`
	Timeout     int64       `json:"timeout"` // milliseconds
	Exclude     []listed    `json:"excludeCredentials"`
	Selection   selection   `json:"authenticatorSelection"`
	Attestation string      `json:"attestation"`
}

type (
	party struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	person struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
	}
	algorithm struct {
		Type string `json:"type"`
		Alg  int    `json:"alg"`
	}
	listed struct {
		Type       string   `json:"type"`
		ID         string   `json:"id"`
		Transports []string `json:"transports"`
	}
	selection struct {
		ResidentKey      string `json:"residentKey"`
		Require          bool   `json:"requireResidentKey"` // for browsers of Level 1
		UserVerification string `json:"userVerification"`
	}
)

// Fresh reports whether who has signed in so recently, and with as much as the account u asks for,
// that passkeys may be added and removed.
func (s *Service) Fresh(who *gatehouse.Principal, u gatehouse.Subject) bool {
	now := s.c.Now()
	return who.Authenticated() && u.ID == who.ID && who.Kind == gatehouse.KindUser && !who.Foreign && !who.AuthTime.After(now) && now.Sub(who.AuthTime) <= FreshFor &&
		(!u.SecondFactor || who.ACR == gatehouse.AAL2)
}

// OfferTo is the offer to make a passkey for who, whose account is u and whom the authenticator
// shall call by that name; title is what the realm is known by.
//
// Errors: sign_in_again, passkey_limit.
func (s *Service) OfferTo(ctx context.Context, who *gatehouse.Principal, u gatehouse.Subject, title string, browser []byte) (Offer, error) {
	if !s.Fresh(who, u) || !s.On(who.Realm) {
		return Offer{}, gatehouse.ErrSignInAgain
	}
	var list []Passkey
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) (err error) {
		list, err = tx.Passkeys(ctx, who.Realm, who.ID)
		return err
	})
	if err != nil {
		return Offer{}, err
	}
	if len(list) >= MaxPasskeys {
		return Offer{}, errMany
	}
	o := s.offer(asked{toAdd, who.Realm, who.ID, browser}, u.Name, title)
	for _, p := range list {
		o.Exclude = append(o.Exclude, listed{"public-key", encode(p.Credential.ID), p.Transports})
	}
	return o, nil
}

// offer is the offer to make a passkey for the one whom it is put to.
func (s *Service) offer(to asked, name, title string) Offer {
	o := Offer{Challenge: encode(s.challenge(to)), RP: party{s.c.Site(to.realm).ID, title},
		User:    person{encode(s.handle(to.realm, to.user)), name, name},
		Timeout: (answerWithin - leeway).Milliseconds(), Exclude: []listed{}, Attestation: "none",
		Selection: selection{"required", true, "required"}}
	for _, alg := range []int{webauthn.ES256, webauthn.EdDSA, webauthn.RS256} {
		o.Algorithms = append(o.Algorithms, algorithm{"public-key", alg})
	}
	return o
}

// Add registers the passkey that answers an offer of [Service.OfferTo], under a name of at most
// [MaxName] characters.
//
// Errors: sign_in_again, passkey_name_invalid, passkey_refused, passkey_exists, passkey_limit.
func (s *Service) Add(ctx context.Context, who *gatehouse.Principal, u gatehouse.Subject, name string, browser, answer []byte) (Passkey, error) {
	if !s.Fresh(who, u) || !s.On(who.Realm) {
		return Passkey{}, gatehouse.ErrSignInAgain
	}
	name, ok := validName(name)
	if !ok {
		return Passkey{}, errName
	}
	p, challenge, err := s.made(asked{toAdd, who.Realm, who.ID, browser}, name, answer)
	if err == nil {
		err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error { return s.add(ctx, tx, who, p, challenge) })
	}
	if err != nil {
		return Passkey{}, s.refused(ctx, who.Realm, who.ID, err)
	}
	return p, nil
}

// made is the passkey of the answer to an offer.
func (s *Service) made(to asked, name string, answer []byte) (Passkey, []byte, error) {
	r, err := webauthn.ParseRegistration(answer)
	if err != nil {
		return Passkey{}, nil, ErrRefused.With(err)
	}
	var challenge []byte
	c, err := s.c.Site(to.realm).Register(r, webauthn.Demand{UserVerified: true, Challenge: func(c []byte) bool {
		challenge = c
		return s.counts(c, to)
	}})
	if err != nil {
		return Passkey{}, nil, ErrRefused.With(err)
	}
	now := s.c.Now()
	return Passkey{Realm: to.realm, UserID: to.user, ID: gatehouse.NewID("psk", now), Name: name, Credential: c,
		Transports: transports(r.Transports), CreatedAt: now}, challenge, nil
}

func (s *Service) add(ctx context.Context, tx Tx, who *gatehouse.Principal, p Passkey, challenge []byte) error {
	u, err := tx.User(ctx, p.Realm, p.UserID) // holds the account: no two at once beyond the bound
	if err != nil {
		return err
	}
	list, err := tx.Passkeys(ctx, p.Realm, p.UserID)
	if err != nil {
		return err
	}
	if len(list) >= MaxPasskeys {
		return errMany
	}
	// Whoever adds a first factor by the password alone, in the middle of a sign-in, is late when the owner has added one meanwhile.
	if !s.Fresh(who, u.Subject()) || who.Scheme != gatehouse.SchemeSession && len(list) > 0 {
		return gatehouse.ErrSignInAgain
	}
	if err := s.spend(ctx, tx, challenge); err != nil {
		return err
	}
	if err := tx.InsertPasskey(ctx, p); errors.Is(err, gatehouse.Conflict) {
		return errExists
	} else if err != nil {
		return err
	}
	if err := s.tell(ctx, tx, mail.KindPasskeyAdded, u, p, who); err != nil {
		return err
	}
	return tx.AppendEvents(ctx, s.event(ctx, p, audit.KindPasskeyAdd, who))
}

// clonedEvery is how often the notice of a copy is sent at most: a key that counts wrongly does so at each sign-in.
const clonedEvery = 24 * time.Hour

// tell queues the notice to whose passkey it is: of a name too, under which a stranger's may hide.
func (s *Service) tell(ctx context.Context, tx Tx, kind mail.Kind, u identity.User, p Passkey, by *gatehouse.Principal) error {
	m := mail.Message{Kind: kind, Realm: u.Realm, To: u.Email,
		Data: mail.Data{Account: u.Username, By: by.Name, Factor: cmp.Or(p.Name, p.ID), At: s.c.Now()}}
	if kind == mail.KindPasskeyCloned {
		m.Every = clonedEvery
	}
	_, err := s.c.Mail.Put(ctx, tx, m)
	return err
}

// List lists the passkeys of a user, by age.
func (s *Service) List(ctx context.Context, realm, userID string) (list []Passkey, err error) {
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		list, err = tx.Passkeys(ctx, realm, userID)
		return err
	})
	return list, err
}

// Rename gives a passkey of who another name.
//
// Errors: passkey_name_invalid, passkey_not_found.
func (s *Service) Rename(ctx context.Context, who *gatehouse.Principal, id, name string) error {
	name, ok := validName(name)
	if !ok {
		return errName
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		p, _, err := find(ctx, tx, who.Realm, who.ID, id)
		if err != nil {
			return err
		}
		if err := tx.RenamePasskey(ctx, p.Realm, p.UserID, p.ID, name); err != nil {
			return err
		}
		u, err := tx.User(ctx, p.Realm, p.UserID)
		if err != nil {
			return err
		}
		if err := s.tell(ctx, tx, mail.KindPasskeyRenamed, u, p, who); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.event(ctx, p, audit.KindPasskeyUpdate, who))
	})
}

// RemoveOwn removes a passkey of who, whose account is u. The last way in stays.
//
// Errors: sign_in_again, passkey_not_found, passkey_last, passkey_needed.
func (s *Service) RemoveOwn(ctx context.Context, who *gatehouse.Principal, u gatehouse.Subject, id string) error {
	if !s.Fresh(who, u) {
		return gatehouse.ErrSignInAgain
	}
	return s.remove(ctx, who, who.Realm, who.ID, id, true)
}

// Remove removes a passkey of a user, by who may change the account, which is for the caller to see.
// It may be the last way in: whoever has lost it gets another from an administrator.
//
// Errors: passkey_not_found.
func (s *Service) Remove(ctx context.Context, by *gatehouse.Principal, realm, userID, id string) error {
	return s.remove(ctx, by, realm, userID, id, false)
}

func (s *Service) remove(ctx context.Context, by *gatehouse.Principal, realm, userID, id string, own bool) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		u, err := tx.User(ctx, realm, userID)
		if errors.Is(err, gatehouse.NotFound) {
			return errNone
		} else if err != nil {
			return err
		}
		p, n, err := find(ctx, tx, realm, userID, id)
		if err != nil {
			return err
		}
		if own && n == 1 {
			if err := s.spare(ctx, tx, u); err != nil {
				return err
			}
		}
		if err := tx.DeletePasskey(ctx, realm, userID, id); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, mail.KindPasskeyRemoved, u, p, by); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.event(ctx, p, audit.KindPasskeyRemove, by))
	})
}

// spare is nil when u can do without the last passkey: there is a password, and the second factor that the realm
// demands is an app. Else whoever knows the password could add a factor of theirs at the next sign-in.
func (s *Service) spare(ctx context.Context, tx Tx, u identity.User) error {
	if u.PasswordHash == "" && u.DirectoryID == "" { // nor one that a directory keeps
		return errLast
	}
	rl, err := tx.Realm(ctx, u.Realm)
	if err != nil {
		return err
	}
	if !u.SecondFactor && rl.Settings.DemandsSecondFactor(u.Roles) {
		return errNeeded
	}
	return nil
}

// find finds one passkey of a user, and how many there are.
func find(ctx context.Context, tx Tx, realm, userID, id string) (Passkey, int, error) {
	list, err := tx.Passkeys(ctx, realm, userID)
	if err != nil {
		return Passkey{}, 0, err
	}
	i := slices.IndexFunc(list, func(p Passkey) bool { return p.ID == id })
	if i < 0 {
		return Passkey{}, 0, errNone
	}
	return list[i], len(list), nil
}

// validName is a name as it is kept.
func validName(name string) (string, bool) {
	name = strings.TrimSpace(name)
	return name, name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= MaxName && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// transports are those whose names a browser may have made up as little as possible.
func transports(names []string) []string {
	out := []string{}
	for _, n := range names {
		if n != "" && strings.Trim(n, "abcdefghijklmnopqrstuvwxyz-") == "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
