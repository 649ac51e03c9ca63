package grant

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
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

// polled is a device that waits, and how it asks whether it may go on.
type polled struct {
	Device
	Interval int64     `json:"i"` // seconds
	Last     time.Time `json:"l"`
}

// Waiting is what a device gets (RFC 8628 §3.2).
type Waiting struct {
	DeviceCode gatehouse.Secret
	UserCode   string // as it is shown
}

var (
	errUserCode = gatehouse.E(gatehouse.NotFound, "user_code_wrong", "No device waits with this code: it is mistyped, was used, or its ten minutes are over.")
	// RFC 8628 §3.5.
	errPending  = gatehouse.E(gatehouse.Invalid, "authorization_pending", "The person has not decided yet. Ask again after the interval.")
	errSlowDown = gatehouse.E(gatehouse.Invalid, "slow_down", "The device asks too often. Wait 5 seconds longer than before between two requests, from now on.")
	errDenied   = gatehouse.E(gatehouse.Invalid, "device_denied", "The person said no.")
	errTooLate  = gatehouse.E(gatehouse.Invalid, "expired_token", "The person did not decide in time. Begin anew.")
)

// Ask has a device wait for a person: o is what it wants, without scopes all that its client may have but what is said of
// the person, and to go on without it.
func (s *Service) Ask(ctx context.Context, o Order) (Waiting, error) {
	now := s.c.Now()
	for range 5 { // a code that another device has is as good as impossible
		code, typed := mint(credential.PrefixDevice), newUserCode()
		err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
			d, err := s.asked(ctx, tx, o, now)
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

// asked judges what a client wants on a device.
func (s *Service) asked(ctx context.Context, tx Tx, o Order, now time.Time) (d Device, err error) {
	i := issue{order: o, now: now}
	if o.By == nil {
		return d, client.ErrInvalid
	}
	if err := s.parties(ctx, tx, &i, ""); err != nil {
		return d, err
	}
	i.available = i.client.Metadata.ScopesOf(i.realm.Settings)
	if len(o.Scopes) == 0 {
		i.available = i.client.Metadata.OwnScopes(i.realm.Settings)
	}
	details, err := s.readDetails(&i)
	if err != nil {
		return d, err
	}
	if len(details) > 0 && len(o.Scopes) == 0 {
		i.available = nil
	}
	if err := chooseScopes(ctx, tx, &i); err != nil {
		return d, err
	}
	d = Device{Details: details, Realm: o.Realm, Client: o.Client, Scopes: i.scopes, Address: gatehouse.AddressFrom(ctx), AskedAt: now}
	if o.Resource != "" {
		d.Resources = []string{o.Resource}
	}
	if o.Resource != "" && !slices.Contains(s.Audiences(i.realm), o.Resource) {
		return d, errInvalidTarget
	}
	return d, nil
}

// wait stores what a device waits for, under both of its codes.
func (s *Service) wait(ctx context.Context, tx Tx, d Device, userCode []byte) error {
	ends := d.AskedAt.Add(DeviceLife)
	own, err := s.sealed(once.KindDevice, d.Key, ends, polled{Device: d, Interval: int64(PollInterval / time.Second)})
	if err != nil {
		return err
	}
	typed, err := s.sealed(once.KindUserCode, userCode, ends, d)
	if err == nil {
		err = tx.PutOnce(ctx, typed)
	}
	if err == nil {
		err = tx.PutOnce(ctx, own)
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
	now := s.c.Now()
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		d, err := s.device(ctx, tx.Once, c.Realm, typed)
		if err != nil {
			return err
		}
		code, _ := readUserCode(typed)
		if _, err := tx.TakeOnce(ctx, once.KindUserCode, s.userCodeKey(c.Realm, code), now); err != nil {
			if errors.Is(err, gatehouse.NotFound) {
				return errUserCode
			}
			return err
		}
		c := c
		c.Client, c.Scopes, c.Resources, c.Details, c.IssuedAt = d.Client, d.Scopes, d.Resources, d.Details, now
		if allow { // it stands until it is taken back, and is no answer to another question: each device is asked for
			if c.Consent, err = c.consents(ctx, tx, Wish{}, Spared, now); err != nil {
				return err
			}
		}
		said, err := s.sealed(once.KindDeviceAnswer, d.Key, d.AskedAt.Add(DeviceLife), spent{Code: c, Denied: !allow})
		if err == nil {
			err = tx.PutOnce(ctx, said)
		}
		if err != nil {
			return err
		}
		e := c.event(ctx, now, audit.KindAuthorizationDeny)
		if allow {
			e.Kind, e.Detail["consent"] = audit.KindAuthorizationGrant, askings[Asked]
		}
		return tx.AppendEvents(ctx, e)
	})
}

// RedeemDevice gives the first tokens of what a person allowed a device, for the device's code (RFC 8628 §3.4), as [Service.Redeem]
// does for that of a browser. While nobody has decided, the error says how to go on (§3.5).
func (s *Service) RedeemDevice(ctx context.Context, o Order, code gatehouse.Secret) (Tokens, error) {
	p, err := credential.ParseKey(code.Reveal())
	if err != nil || p.Prefix != credential.PrefixDevice {
		return Tokens{}, errInvalidGrant
	}
	key := credential.HashKey(code.Reveal())
	c, err := s.find(ctx, s.c.Find, byDevice(), key)
	switch {
	case err == error(errInvalidGrant):
		return Tokens{}, s.poll(ctx, o, key)
	case err != nil:
		return Tokens{}, err
	case c.Realm != o.Realm || c.Client != o.Client:
		return Tokens{}, errInvalidGrant
	case c.Grant != "":
		return Tokens{}, s.reused(ctx, c)
	case !s.c.Now().Before(c.ends):
		return Tokens{}, errTooLate
	case c.Denied:
		return Tokens{}, errDenied
	}
	o.Scopes = nil // the person decided
	return s.run(ctx, o, &redemption{s: s, way: byDevice(), key: key, code: c.Code, ends: c.ends})
}

// poll tells a device whose person has not decided how to go on, and counts that it asked. Of two that ask in one moment, on
// any node, one asks too soon.
func (s *Service) poll(ctx context.Context, o Order, key []byte) error {
	now := s.c.Now()
	r, err := s.c.Find(ctx, once.KindDevice, key)
	if errors.Is(err, gatehouse.NotFound) {
		return errInvalidGrant
	}
	if err != nil {
		return err
	}
	w, err := s.polled(r, key)
	switch {
	case err != nil:
		return err
	case w.Realm != o.Realm || w.Client != o.Client:
		return errInvalidGrant
	case !now.Before(r.ExpiresAt):
		return errTooLate
	}
	answer := error(errSlowDown)
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.TakeOnce(ctx, once.KindDevice, key, now)
		if errors.Is(err, gatehouse.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		w, err := s.polled(r, key)
		if err != nil {
			return err
		}
		answer = w.asks(now)
		next, err := s.sealed(once.KindDevice, key, r.ExpiresAt, w)
		if err != nil {
			return err
		}
		return tx.PutOnce(ctx, next)
	})
	if err != nil {
		return err
	}
	return answer
}

func (s *Service) polled(r once.Record, key []byte) (w polled, err error) {
	plain, err := s.unsealed(r, key)
	if err == nil {
		err = json.Unmarshal(plain, &w)
	}
	return w, err
}

// asks counts that the device asks at now, and returns what it is told.
func (w *polled) asks(now time.Time) error {
	interval := time.Duration(w.Interval) * time.Second
	soon := now.Before(w.Last.Add(interval - pollLeeway))
	w.Last = now
	if !soon {
		return errPending
	}
	w.Interval = int64(min(interval+PollInterval, maxInterval) / time.Second)
	return errSlowDown
}
