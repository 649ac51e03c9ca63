package grant

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
)

const (
	// DeviceLife is how long a device waits for a person (RFC 8628 §3.2): whoever has a stranger's code has that long to talk
	// somebody into allowing it (BCP 247).
	DeviceLife = 10 * time.Minute
	// PollInterval is how often a device may ask at first. Each time that it asks too soon adds as much (RFC 8628 §3.5).
	PollInterval = 5 * time.Second

	maxInterval = time.Minute
	// pollLeeway forgives answers that took longer than the next question.
	pollLeeway = time.Second
)

// Device is what a device without a browser asks for (RFC 8628 §3.1).
type Device struct {
	Realm     string            `json:"r"`
	Client    string            `json:"c"`
	Scopes    []string          `json:"s,omitempty"`
	Resources []string          `json:"a,omitempty"` // RFC 8707; none: the realm's default
	Details   gatehouse.Details `json:"x,omitempty"` // RFC 9396
	Address   string            `json:"f"`           // from where it was asked
	AskedAt   time.Time         `json:"t"`
	Key       []byte            `json:"k"` // of the device's own code
}

// Waiting is what a device gets (RFC 8628 §3.2).
type Waiting struct {
	DeviceCode gatehouse.Secret
	UserCode   string // as it is shown
}

var (
	errUserCode = gatehouse.E(gatehouse.NotFound, "user_code_wrong", "No device waits with this code: it is mistyped, was used, or its ten minutes are over.")
	errDenied   = gatehouse.E(gatehouse.Invalid, "device_denied", "The person said no.")
)

// Ask has a device wait for a person: o is what it wants, without scopes all that its client may have but what is said of
// the person, and to go on without it.
func (s *Service) Ask(ctx context.Context, o Order) (Waiting, error) {
	now := s.c.Now()
	for range 5 { // a code that another device has is as good as impossible
		code, typed := mint(credential.PrefixDevice), newUserCode()
		err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
			i := issue{order: o, now: now}
			d, err := s.asked(ctx, tx, &i, "")
			if err != nil {
				return err
			}
			d.Key = code.hash
			return s.wait(ctx, tx, d, s.userCodeKey(o.Realm, typed))
		})
		if !errors.Is(err, gatehouse.Conflict) {
			return Waiting{DeviceCode: code.text, UserCode: shownCode(typed)}, err
		}
	}
	return Waiting{}, gatehouse.ErrInternal
}

// wait stores what a device waits for, under both of its codes.
func (s *Service) wait(ctx context.Context, tx Tx, d Device, userCode []byte) error {
	ends := d.AskedAt.Add(DeviceLife)
	typed, err := s.sealed(once.KindUserCode, userCode, ends, d)
	if err == nil {
		err = tx.PutOnce(ctx, typed)
	}
	if err == nil {
		err = s.polls(ctx, tx, once.KindDevice, d, ends)
	}
	if err != nil {
		return err
	}
	e := d.event(ctx, d.AskedAt, audit.KindAuthorizationDevice)
	e.Actor, e.Target = gatehouse.Actor{Kind: gatehouse.KindClient, ID: d.Client}, gatehouse.Target{Type: "client", ID: d.Client}
	e.Detail["scopes"], e.Detail["resources"] = strings.Join(d.Scopes, " "), strings.Join(d.Resources, " ")
	return tx.AppendEvents(ctx, e)
}

func (d Device) event(ctx context.Context, now time.Time, kind string) gatehouse.Event {
	return gatehouse.Event{Time: now, Realm: d.Realm, Kind: kind, Outcome: gatehouse.OutcomeSuccess,
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx), Detail: map[string]string{"client_id": d.Client}}
}

// Find returns the device that waits with a code that who typed, in any form in which people write it, and records
// that none does.
func (s *Service) Find(ctx context.Context, who *gatehouse.Principal, typed string) (Device, error) {
	d, err := s.device(ctx, s.c.Find, who.Realm, typed)
	if err != error(errUserCode) {
		return d, err
	}
	e := Device{Realm: who.Realm}.event(ctx, s.c.Now(), audit.KindAuthorizationFailure)
	e.Outcome, e.Reason, e.Detail = gatehouse.OutcomeFailure, errUserCode.Code, nil
	e.Actor = gatehouse.Actor{Kind: who.Kind, ID: who.ID, Name: who.Name, Credential: who.SessionID, Scheme: who.Scheme}
	if err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error { return tx.AppendEvents(ctx, e) }); err != nil {
		return Device{}, err
	}
	return Device{}, errUserCode
}

// device reads what waits with a code.
func (s *Service) device(ctx context.Context, find finder, realm, typed string) (d Device, err error) {
	code, ok := readUserCode(typed)
	if !ok {
		return d, errUserCode
	}
	key := s.userCodeKey(realm, code)
	r, err := find(ctx, once.KindUserCode, key)
	if errors.Is(err, gatehouse.NotFound) || err == nil && !s.c.Now().Before(r.ExpiresAt) {
		return d, errUserCode
	}
	if err != nil {
		return d, err
	}
	plain, err := s.unsealed(r, key)
	if err == nil {
		err = json.Unmarshal(plain, &d)
	}
	return d, err
}

// Decide lets the device that waits with a code have what c says, or nothing: of all that decide about it, on any node, one
// does. c names person, session and realm; what the device asked for stands in what waits.
func (s *Service) Decide(ctx context.Context, c Code, typed string, allow bool) error {
	c.IssuedAt = s.c.Now()
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		d, err := s.device(ctx, tx.Once, c.Realm, typed)
		if err != nil {
			return err
		}
		code, _ := readUserCode(typed)
		if _, err := tx.TakeOnce(ctx, once.KindUserCode, s.userCodeKey(c.Realm, code), c.IssuedAt); err != nil {
			if errors.Is(err, gatehouse.NotFound) {
				return errUserCode
			}
			return err
		}
		return s.say(ctx, tx, c, d, once.KindDeviceAnswer, d.AskedAt.Add(DeviceLife), allow)
	})
}

// RedeemDevice gives the first tokens of what a person allowed a device, for the device's code (RFC 8628 §3.4), as [Service.Redeem]
// does for that of a browser. While nobody has decided, the error says how to go on (§3.5). Who shows a code again ends what it gave.
func (s *Service) RedeemDevice(ctx context.Context, o Order, code gatehouse.Secret) (Tokens, error) {
	return s.redeemAsked(ctx, o, byDevice(), code)
}
