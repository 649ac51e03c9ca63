package grant

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// What RFC 8628 §3.5 and CIBA Core §11 have in common.
var (
	errPending  = gatehouse.E(gatehouse.Invalid, "authorization_pending", "The person has not decided yet. Ask again after the interval.")
	errSlowDown = gatehouse.E(gatehouse.Invalid, "slow_down", "This is asked too often. Wait 5 seconds longer than before between two requests, from now on.")
	errTooLate  = gatehouse.E(gatehouse.Invalid, "expired_token", "The person did not decide in time. Begin anew.")
)

// polled is who waits for a person elsewhere, and how it asks whether it may go on.
type polled struct {
	Realm    string    `json:"r"`
	Client   string    `json:"c"`
	Interval int64     `json:"i"` // seconds
	Last     time.Time `json:"l"`
}

// polls has who asked for d wait until an end.
func (s *Service) polls(ctx context.Context, tx Tx, kind once.Kind, d Device, ends time.Time) error {
	own, err := s.sealed(kind, d.Key, ends, polled{Realm: d.Realm, Client: d.Client, Interval: int64(PollInterval / time.Second)})
	if err != nil {
		return err
	}
	return tx.PutOnce(ctx, own)
}

// asked judges what a client wants on a device, or of a user, whom it reads.
func (s *Service) asked(ctx context.Context, tx Tx, i *issue, user string) (d Device, err error) {
	o := i.order
	if o.By == nil {
		return d, client.ErrInvalid
	}
	if err := s.parties(ctx, tx, i, user); err != nil {
		return d, err
	}
	i.available = i.client.Metadata.ScopesOf(i.realm.Settings)
	if len(o.Scopes) == 0 {
		i.available = i.client.Metadata.OwnScopes(i.realm.Settings)
	}
	details, err := s.readDetails(i)
	if err != nil {
		return d, err
	}
	if len(details) > 0 && len(o.Scopes) == 0 {
		i.available = nil
	}
	if err := chooseScopes(ctx, tx, i); err != nil {
		return d, err
	}
	d = Device{Details: details, Realm: o.Realm, Client: o.Client, Scopes: i.scopes, Address: gatehouse.AddressFrom(ctx), AskedAt: i.now}
	if o.Resource != "" {
		d.Resources = []string{o.Resource}
	}
	if o.Resource != "" && !slices.Contains(s.Audiences(i.realm), o.Resource) {
		return d, errInvalidTarget
	}
	return d, nil
}

// say keeps what a person said about d for who asked, until an end, and records it. c names person, session and realm, and when.
func (s *Service) say(ctx context.Context, tx Tx, c Code, d Device, answer once.Kind, ends time.Time, allow bool) (err error) {
	c.Client, c.Scopes, c.Resources, c.Details = d.Client, d.Scopes, d.Resources, d.Details
	if allow { // it stands until it is taken back, and is no answer to another question: each time the person is asked
		if c.Consent, err = c.consents(ctx, tx, Wish{}, Spared, c.IssuedAt); err != nil {
			return err
		}
	}
	said, err := s.sealed(answer, d.Key, ends, spent{Code: c, Denied: !allow})
	if err == nil {
		err = tx.PutOnce(ctx, said)
	}
	if err != nil {
		return err
	}
	e := c.event(ctx, c.IssuedAt, audit.KindAuthorizationDeny)
	if allow {
		e.Kind, e.Detail["consent"] = audit.KindAuthorizationGrant, askings[Asked]
	}
	return tx.AppendEvents(ctx, e)
}

// redeemAsked gives the first tokens of what a person allowed elsewhere, for the secret of who asked for it.
func (s *Service) redeemAsked(ctx context.Context, o Order, w way, text gatehouse.Secret) (Tokens, error) {
	p, err := credential.ParseKey(text.Reveal())
	if err != nil || p.Prefix != w.prefix {
		return Tokens{}, errInvalidGrant
	}
	key := credential.HashKey(text.Reveal())
	c, err := s.find(ctx, s.c.Find, w, key)
	switch {
	case err == error(errInvalidGrant):
		return Tokens{}, s.poll(ctx, o, w, key)
	case err != nil:
		return Tokens{}, err
	case c.Realm != o.Realm || c.Client != o.Client:
		return Tokens{}, errInvalidGrant
	case c.Grant != "":
		return Tokens{}, s.reused(ctx, w, c)
	case !s.c.Now().Before(c.ends):
		return Tokens{}, errTooLate
	case c.Denied:
		return Tokens{}, w.denied()
	}
	o.Scopes = nil // the person decided
	return s.run(ctx, o, &redemption{s: s, way: w, key: key, code: c.Code, ends: c.ends})
}

// poll tells who waits, and whose person has not decided, how to go on, and counts that it asked. Of two that ask in one moment, on
// any node, one asks too soon.
func (s *Service) poll(ctx context.Context, o Order, w way, key []byte) error {
	now := s.c.Now()
	r, err := s.c.Find(ctx, w.waits, key)
	if errors.Is(err, gatehouse.NotFound) {
		return errInvalidGrant
	}
	if err != nil {
		return err
	}
	p, err := s.polled(r, key)
	switch {
	case err != nil:
		return err
	case p.Realm != o.Realm || p.Client != o.Client:
		return errInvalidGrant
	case !now.Before(r.ExpiresAt):
		return errTooLate
	}
	answer := error(errSlowDown)
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.TakeOnce(ctx, w.waits, key, now)
		if errors.Is(err, gatehouse.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := s.polled(r, key)
		if err != nil {
			return err
		}
		answer = p.asks(now)
		next, err := s.sealed(w.waits, key, r.ExpiresAt, p)
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

func (s *Service) polled(r once.Record, key []byte) (p polled, err error) {
	plain, err := s.unsealed(r, key)
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	return p, err
}

// asks counts that it is asked at now, and returns what who asks is told.
func (p *polled) asks(now time.Time) error {
	interval := time.Duration(p.Interval) * time.Second
	soon := now.Before(p.Last.Add(interval - pollLeeway))
	p.Last = now
	if !soon {
		return errPending
	}
	p.Interval = int64(min(interval+PollInterval, maxInterval) / time.Second)
	return errSlowDown
}
