package grant

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
)

const (
	// AskLife is how long a client waits for a person whom this server asks, unless it says how long it wants to (CIBA Core §7.3).
	AskLife = 5 * time.Minute
	// MaxAskLife bounds what it can say.
	MaxAskLife = 10 * time.Minute

	// maxWaiting is how many requests wait for one person at most, and maxWaitingOf of one client: nobody is asked until he says yes to
	// have his peace.
	maxWaiting, maxWaitingOf = 10, 5
	// stretch is how long requests are added to one record of what waits for a person.
	stretch = time.Hour
)

// Question is what a client asks a person for, without a browser of theirs (CIBA Core §7.1).
type Question struct {
	User    string
	Message string // what the client shows as well, for comparison; "" for nothing
	Life    time.Duration
}

// Pending is a question that waits for its person.
type Pending struct {
	Device            // what a device would ask for
	ID      string    `json:"i"` // "ask_…", by which its person answers
	User    string    `json:"w"`
	Message string    `json:"m,omitempty"`
	Ends    time.Time `json:"e"`
}

// waiting are the questions that wait for a person, as they are stored.
type waiting struct {
	Pending []Pending `json:"a"`
}

var (
	// ErrUnknownUser says that a client means nobody who is here (CIBA Core §13).
	ErrUnknownUser = gatehouse.E(gatehouse.Invalid, "unknown_user_id", "Nobody is here whom the hint means.")

	errAskedGone    = gatehouse.E(gatehouse.NotFound, "ask_gone", "This request does not wait any more: it was answered, or its time is over.")
	errTooMany      = gatehouse.E(gatehouse.RateLimited, "too_many_asks", "As many requests as there may be wait for this person. Ask again when some of them were answered.")
	errPersonDenied = gatehouse.E(gatehouse.Invalid, "person_denied", "The person said no.")
	errFailed       = gatehouse.E(gatehouse.Invalid, "transaction_failed", "The person said yes, and what that stood on has ended since: the session, the account, or what the client may. Begin anew.")
)

// MayAsk judges what a client wants of a person, whoever that is.
func (s *Service) MayAsk(ctx context.Context, o Order) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		_, err := s.asked(ctx, tx, &issue{order: o, now: s.c.Now()}, "")
		return err
	})
}

// AskPerson has a client wait for a person: o is what it wants. It returns the auth_req_id (CIBA Core §7.3), of which a hash is kept.
func (s *Service) AskPerson(ctx context.Context, o Order, q Question) (gatehouse.Secret, error) {
	now := s.c.Now()
	m := mint(credential.PrefixAsked)
	return m.text, s.shared(ctx, func(ctx context.Context, tx Tx) error {
		i := issue{order: o, now: now}
		d, err := s.asked(ctx, tx, &i, q.User)
		if err != nil {
			return err
		}
		if u := i.read; u == nil || u.Disabled || u.Kind != gatehouse.KindUser {
			return ErrUnknownUser
		}
		d.Key = m.hash
		a := Pending{Device: d, ID: gatehouse.NewID("ask", now), User: q.User, Message: q.Message, Ends: now.Add(min(q.Life, MaxAskLife))}
		if err := s.addAsked(ctx, tx, a); err != nil {
			return err
		}
		if err := s.polls(ctx, tx, once.KindBackchannel, d, a.Ends); err != nil {
			return err
		}
		e := d.event(ctx, now, audit.KindAuthorizationAsk)
		e.Actor, e.Target = gatehouse.Actor{Kind: gatehouse.KindClient, ID: d.Client}, gatehouse.Target{Type: "user", ID: a.User}
		e.Detail["subject"], e.Detail["scopes"], e.Detail["resources"] = a.User, strings.Join(d.Scopes, " "), strings.Join(d.Resources, " ")
		return tx.AppendEvents(ctx, e)
	})
}

// shared runs fn, which changes what waits for a person, again while another one changes the same.
func (s *Service) shared(ctx context.Context, fn func(context.Context, Tx) error) error {
	var err error
	for range 10 {
		if err = s.c.Run(ctx, fn); !errors.Is(err, gatehouse.Conflict) {
			return err
		}
	}
	return errBusy.With(err)
}

// RedeemAsked gives the first tokens of what a person allowed, for the auth_req_id (CIBA Core §10.1, §11). Of all that ask by one, one gets
// them, and the others take nothing from it.
func (s *Service) RedeemAsked(ctx context.Context, o Order, id gatehouse.Secret) (Tokens, error) {
	t, err := s.redeemAsked(ctx, o, byAsking(), id)
	if err != error(errInvalidGrant) {
		return t, err
	}
	c, findErr := s.find(ctx, s.c.Find, byAsking(), credential.HashKey(id.Reveal()))
	if findErr == nil && c.Realm == o.Realm && c.Client == o.Client && c.Grant == "" && !c.Denied {
		return Tokens{}, errFailed
	}
	return Tokens{}, err
}

// WaitingFor lists what waits for a person, the oldest first.
func (s *Service) WaitingFor(ctx context.Context, realm, user string) (out []Pending, err error) {
	now := s.c.Now()
	for _, at := range stretches(now) {
		w, _, err := s.waiting(ctx, s.c.Find, waitingKey(realm, user, at), now)
		if err != nil {
			return nil, err
		}
		out = append(out, w.Pending...)
	}
	return out, nil
}

// DecideAsked lets the client that waits for the question id have what c says, or nothing: of all that decide about it, on any node, one
// does. c names person, session and realm; only questions to that person are looked at.
func (s *Service) DecideAsked(ctx context.Context, c Code, id string, allow bool) error {
	c.IssuedAt = s.c.Now()
	return s.shared(ctx, func(ctx context.Context, tx Tx) error {
		a, err := s.takeAsked(ctx, tx, c.Realm, c.User, id, c.IssuedAt)
		if err != nil {
			return err
		}
		return s.say(ctx, tx, c, a.Device, once.KindBackchannelAnswer, a.Ends, allow)
	})
}

// stretches are those in which something can have come that still waits, the older one first.
func stretches(now time.Time) []int64 {
	old, last := now.Add(-MaxAskLife).UnixNano()/int64(stretch), now.UnixNano()/int64(stretch)
	return slices.Compact([]int64{old, last})
}

// waitingKey is under what the questions to a person are stored that came in a stretch of time.
func waitingKey(realm, user string, at int64) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(realm+"\x00"+user+"\x00"), uint64(at)))
	return sum[:]
}

// waiting reads what waits in one record, and whether there is one.
func (s *Service) waiting(ctx context.Context, find finder, key []byte, now time.Time) (w waiting, there bool, err error) {
	r, err := find(ctx, once.KindWaiting, key)
	if errors.Is(err, gatehouse.NotFound) {
		return w, false, nil
	}
	if err != nil {
		return w, false, err
	}
	plain, err := s.unsealed(r, key)
	if err == nil {
		err = json.Unmarshal(plain, &w)
	}
	w.Pending = slices.DeleteFunc(w.Pending, func(a Pending) bool { return !now.Before(a.Ends) })
	return w, true, err
}

// changeWaiting replaces a record that there was, or is. Of two that change one, the second is told Conflict, and does it anew.
func (s *Service) changeWaiting(ctx context.Context, tx Tx, key []byte, at int64, there bool, w waiting, now time.Time) error {
	if there {
		_, err := tx.TakeOnce(ctx, once.KindWaiting, key, now)
		if errors.Is(err, gatehouse.NotFound) {
			return gatehouse.Conflict
		}
		if err != nil {
			return err
		}
	}
	r, err := s.sealed(once.KindWaiting, key, time.Unix(0, (at+1)*int64(stretch)).Add(MaxAskLife), w)
	if err != nil {
		return err
	}
	return tx.PutOnce(ctx, r)
}

// addAsked has a wait for its person, unless too much does.
func (s *Service) addAsked(ctx context.Context, tx Tx, a Pending) error {
	all, of := 0, 0
	var w waiting
	var there bool
	var key []byte
	var last int64
	for _, last = range stretches(a.AskedAt) {
		var err error
		key = waitingKey(a.Realm, a.User, last)
		if w, there, err = s.waiting(ctx, tx.Once, key, a.AskedAt); err != nil {
			return err
		}
		for _, other := range w.Pending {
			if all++; other.Client == a.Client {
				of++
			}
		}
	}
	if all >= maxWaiting || of >= maxWaitingOf {
		return errTooMany
	}
	w.Pending = append(w.Pending, a)
	return s.changeWaiting(ctx, tx, key, last, there, w, a.AskedAt)
}

// takeAsked takes a question out of those that wait for a person.
func (s *Service) takeAsked(ctx context.Context, tx Tx, realm, user, id string, now time.Time) (a Pending, err error) {
	for _, at := range stretches(now) {
		key := waitingKey(realm, user, at)
		w, there, err := s.waiting(ctx, tx.Once, key, now)
		if err != nil {
			return a, err
		}
		i := slices.IndexFunc(w.Pending, func(a Pending) bool { return a.ID == id })
		if i < 0 {
			continue
		}
		a = w.Pending[i]
		w.Pending = slices.Delete(w.Pending, i, i+1)
		if a.Realm != realm || a.User != user {
			return Pending{}, gatehouse.ErrInternal // it is sealed in its place
		}
		return a, s.changeWaiting(ctx, tx, key, at, there, w, now)
	}
	return a, errAskedGone
}
