package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// HalfDoneFor is how long a sign-in waits for its code, and HalfDoneTries how many codes it
// takes; then it begins anew, with the password.
const (
	HalfDoneFor   = 10 * time.Minute
	HalfDoneTries = 5
)

// maxHalfDone bounds the text of a half-done sign-in, in bytes; each has 26.
const maxHalfDone = 64

// HalfDoneTx is the transaction of a [HalfDone].
type HalfDoneTx interface {
	PutOnce(ctx context.Context, r once.Record) error
	// TakeOnce removes what has not ended: one caller gets it, the others gatehouse.NotFound.
	TakeOnce(ctx context.Context, kind once.Kind, key []byte, now time.Time) (once.Record, error)
}

// Codes completes a password by a code of a second factor (factor.Service).
type Codes interface {
	Complete(ctx context.Context, p *gatehouse.Principal, who gatehouse.Subject, code gatehouse.Secret) (*gatehouse.Principal, error)
}

// HalfDoneConfig is what a [HalfDone] needs. Every field is required.
type HalfDoneConfig struct {
	Run gatehouse.Runner[HalfDoneTx]
	// Find reads a record without taking it: invented ones must not cost a write.
	Find  func(ctx context.Context, kind once.Kind, key []byte) (once.Record, error)
	Box   *seal.Box
	Codes Codes
	Now   func() time.Time
}

// HalfDone keeps sign-ins whose password was right and whose code is still missing: who it
// was, sealed, under the hash of a text that one browser has. It is no session and opens
// nothing by itself. Any node can go on with what another began.
//
// A try takes the record away, and puts it back when it was wrong and not the last: so of
// several at once one is looked at, and nobody gets more of them by being quick. Beside that
// the codes of an account are counted whatever the sign-in is ([identity.Service.AttemptCode]):
// to begin anew gives no new tries.
type HalfDone struct{ c HalfDoneConfig }

// NewHalfDone checks c.
func NewHalfDone(c HalfDoneConfig) (*HalfDone, error) {
	if c.Run == nil || c.Find == nil || c.Box == nil || c.Codes == nil || c.Now == nil {
		return nil, errors.New("session: runner, reader, box, codes and clock of half-done sign-ins are required")
	}
	return &HalfDone{c}, nil
}

// halfDone is the form of what is sealed.
type halfDone struct {
	User       string    `json:"user"`
	Name       string    `json:"name"`
	PasswordAt time.Time `json:"password_at"` // IssuedAt of the principal
	At         time.Time `json:"at"`          // when the password was right
	Enrols     bool      `json:"enrols"`      // there is no factor yet, and there must be one
	Tries      int       `json:"tries"`
	// Provider: a provider said who it is, and there was no password.
	Provider bool `json:"provider,omitzero"`
}

// errNoHalfDone is the answer where there is none any more: the same as for a wrong code, so
// that nobody learns by it which of them it was.
var errNoHalfDone = factor.ErrCode.With(errors.New("no sign-in waits for it"))

// halfDonePlace binds a record to its realm and to the browser, by the device cookie that it
// had when the password was right.
func halfDonePlace(realm string, key []byte, device gatehouse.Secret) seal.Place {
	return seal.Place{Purpose: "half-done sign-in", Realm: realm,
		ID: base64.RawURLEncoding.EncodeToString(key) + " " + base64.RawURLEncoding.EncodeToString(credential.HashKey(device.Reveal()))}
}

// Begin keeps the sign-in of p, a person who has just proved the password (scheme Basic, with when
// that was set in IssuedAt) or was sent by a provider (SchemeProvider), and returns the text that its browser has to bring. device is the
// text of that browser's device cookie; enrols, that p has no second factor and must add one.
func (h *HalfDone) Begin(ctx context.Context, p *gatehouse.Principal, device gatehouse.Secret, enrols bool) (gatehouse.Secret, error) {
	if !p.Authenticated() || p.Foreign || p.Kind != gatehouse.KindUser || p.Scheme != gatehouse.SchemeBasic && p.Scheme != gatehouse.SchemeProvider || device == "" || len(device) > authn.MaxDeviceBytes {
		return "", credential.ErrInvalidCredentials
	}
	text := rand.Text() // 130 bits
	key := credential.HashKey(text)
	r := once.Record{Kind: once.KindSignIn, Key: key, ExpiresAt: h.c.Now().Add(HalfDoneFor)}
	if err := h.put(ctx, r, p.Realm, device, halfDone{User: p.ID, Name: p.Name, PasswordAt: p.IssuedAt, At: h.c.Now(), Enrols: enrols, Provider: p.Scheme == gatehouse.SchemeProvider}); err != nil {
		return "", err
	}
	return gatehouse.Secret(text), nil
}

func (h *HalfDone) put(ctx context.Context, r once.Record, realm string, device gatehouse.Secret, d halfDone) error {
	plain, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if r.Sealed, err = h.c.Box.Seal(plain, halfDonePlace(realm, r.Key, device)); err != nil {
		return err
	}
	return h.c.Run(ctx, func(ctx context.Context, tx HalfDoneTx) error { return tx.PutOnce(ctx, r) })
}

// Waits tells whose sign-in waits in this browser for a second factor, or, enrols, for one to be added; the
// error is second_factor_invalid where none does.
func (h *HalfDone) Waits(ctx context.Context, realm string, text, device gatehouse.Secret) (userID string, enrols bool, err error) {
	_, d, err := h.find(ctx, realm, text, device)
	return d.User, d.Enrols, err
}

// Enrolling is who may add the second factor that a sign-in in this browser waits for: the person
// by the password alone. That opens nothing; who calls has a factor added by it, and nothing else done.
func (h *HalfDone) Enrolling(ctx context.Context, realm string, text, device gatehouse.Secret) (*gatehouse.Principal, error) {
	_, d, err := h.find(ctx, realm, text, device)
	if err == nil && !d.Enrols {
		err = errNoHalfDone
	}
	if err != nil {
		return nil, err
	}
	return d.principal(realm), nil
}

// principal is who a sign-in is of, by the first factor alone.
func (d halfDone) principal(realm string) *gatehouse.Principal {
	p := &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindUser, ID: d.User, Name: d.Name, Scopes: []string{gatehouse.ScopeAll},
		Scheme: gatehouse.SchemeBasic, IssuedAt: d.PasswordAt, AuthTime: d.At, AMR: []string{"pwd"}, ACR: gatehouse.AAL1}
	if d.Provider {
		p.Scheme, p.AMR = gatehouse.SchemeProvider, []string{gatehouse.AMRProvider}
	}
	return p
}

// Enrolled ends the wait of a sign-in for a second factor, which whoever calls has seen confirmed by
// methods (RFC 8176): a code of an app, the answer of a passkey. It returns who may have a session now.
func (h *HalfDone) Enrolled(ctx context.Context, realm string, text, device gatehouse.Secret, methods ...string) (*gatehouse.Principal, error) {
	r, d, err := h.find(ctx, realm, text, device)
	if err == nil && !d.Enrols {
		err = errNoHalfDone
	}
	if err == nil {
		_, err = h.take(ctx, r.Key)
	}
	if err != nil {
		return nil, err
	}
	p := d.principal(realm)
	p.AMR, p.ACR, p.AuthTime = append(append(p.AMR, methods...), gatehouse.AMRMultiFactor), gatehouse.AAL2, h.c.Now()
	return p, nil
}

// take removes a record: of all that take the same one, one gets it.
func (h *HalfDone) take(ctx context.Context, key []byte) (r once.Record, err error) {
	now := h.c.Now()
	err = h.c.Run(ctx, func(ctx context.Context, tx HalfDoneTx) (err error) {
		r, err = tx.TakeOnce(ctx, once.KindSignIn, key, now)
		return err
	})
	if errors.Is(err, gatehouse.NotFound) {
		err = errNoHalfDone
	}
	return r, err
}

func (h *HalfDone) find(ctx context.Context, realm string, text, device gatehouse.Secret) (once.Record, halfDone, error) {
	if text == "" || len(text) > maxHalfDone || device == "" || len(device) > authn.MaxDeviceBytes {
		return once.Record{}, halfDone{}, errNoHalfDone
	}
	r, err := h.c.Find(ctx, once.KindSignIn, credential.HashKey(text.Reveal()))
	switch {
	case errors.Is(err, gatehouse.NotFound), err == nil && !h.c.Now().Before(r.ExpiresAt):
		return once.Record{}, halfDone{}, errNoHalfDone
	case err != nil:
		return once.Record{}, halfDone{}, err
	}
	d, err := h.open(realm, r, device)
	return r, d, err
}

// open reads a record; one of another realm or browser is none.
func (h *HalfDone) open(realm string, r once.Record, device gatehouse.Secret) (d halfDone, err error) {
	plain, err := h.c.Box.Open(r.Sealed, halfDonePlace(realm, r.Key, device))
	if err != nil {
		return halfDone{}, errNoHalfDone
	}
	err = json.Unmarshal(plain, &d)
	return d, err
}

// Finish uses code up for the sign-in that waits in this browser, and returns who may have a
// session now ([Service.Open]), with both proofs and when the second one was. What waited is
// gone then, and also after [HalfDoneTries] wrong codes.
//
// Errors: second_factor_invalid, for a wrong code and where nothing waits; those of
// [factor.Service.Prove], after which it still waits.
func (h *HalfDone) Finish(ctx context.Context, realm string, text, device, code gatehouse.Secret) (*gatehouse.Principal, error) {
	return h.FinishBy(ctx, realm, text, device, func(ctx context.Context, p *gatehouse.Principal) (*gatehouse.Principal, error) {
		return h.c.Codes.Complete(ctx, p, gatehouse.Subject{ID: p.ID, Kind: p.Kind, Name: p.Name, SecondFactor: true}, code)
	})
}

// FinishBy is [HalfDone.Finish] by whatever prove accepts beside the password that p, whom it is given, has
// proved. What prove refuses as wrong (Unauthenticated) counts as a wrong code.
//
// Errors: second_factor_invalid where nothing waits; those of prove.
func (h *HalfDone) FinishBy(ctx context.Context, realm string, text, device gatehouse.Secret,
	prove func(ctx context.Context, p *gatehouse.Principal) (*gatehouse.Principal, error)) (*gatehouse.Principal, error) {
	r, d, err := h.find(ctx, realm, text, device)
	if err == nil && d.Enrols {
		err = errNoHalfDone
	}
	if err != nil {
		return nil, err
	}
	// From here on it is done even when the caller leaves: to hang up gives nothing back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if r, err = h.take(ctx, r.Key); err != nil {
		return nil, err
	}
	if d, err = h.open(realm, r, device); err != nil { // as it is now, with all tries
		return nil, err
	}
	done, err := prove(identity.WithDevice(ctx, device), d.principal(realm))
	if err == nil {
		return done, nil
	}
	if gatehouse.KindOf(err) == gatehouse.Unauthenticated {
		d.Tries++
	}
	if d.Tries < HalfDoneTries {
		if back := h.put(ctx, r, realm, device, d); back != nil {
			return nil, back
		}
	}
	return nil, err
}

// finishTimeout bounds a try whose caller has left.
const finishTimeout = 30 * time.Second
