package endpoint

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	// statusListBytes is what a list costs whose text is not known.
	statusListBytes = 200
	// statusWait is how long the database may take to give a copy, and to store one.
	statusWait = 5 * time.Second
)

// statusList is what this node knows of one list.
type statusList struct {
	statusListKey
	turn    chan struct{} // holds one while a copy is read or made
	told    atomic.Uint64 // how often it was told that there is another copy
	current atomic.Pointer[statusCopy]
}

// statusCopy is a copy as this node knows it; the zero value is none.
type statusCopy struct {
	revocation.SignedList
	// read is 1 + statusList.told before it was read from the database; 0 when it was not.
	read  uint64
	own   bool      // made while the database was away, by a node that is alone
	until time.Time // when it expires; zero where nobody would take it
	bits  string    // compressed
	has   uint64    // the version of the source all of whose bits are in it
}

func (l *statusList) known() statusCopy {
	if c := l.current.Load(); c != nil {
		return *c
	}
	return statusCopy{}
}

// rest is how long c may be kept by who gets it now.
func (c *statusCopy) rest(now time.Time) time.Duration {
	return max(0, min(statusTTL, statusTTL-now.Sub(c.SignedAt)))
}

// last returns the copy that was known last, while it counts; verifiers would keep it for as long.
func (l *statusList) last(now time.Time, cause error) (string, time.Duration, error) {
	if c := l.known(); now.Before(c.until) {
		return c.Text, c.rest(now), nil
	}
	return "", 0, errListUnsure.With(cause)
}

// stored returns the copy that all nodes give out, of a list with revocations. What was revoked
// before the call is known; away says that the database does not answer, and nobody else is there.
func (s *StatusLists) stored(ctx context.Context, l *statusList, key *token.Key, away bool) (string, time.Duration, error) {
	if c := l.known(); s.newest(l, &c) && c.has == s.c.Source.Version(l.realm, l.list) && s.young(&c, key) {
		return c.Text, c.rest(s.c.Now()), nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return "", 0, ctx.Err()
	}
	for range maxTries {
		c := l.known()
		if !away && !s.newest(l, &c) {
			read, err := s.read(ctx, l)
			switch {
			case err == nil:
				c = read
			case s.c.Alone():
				away = true
			default:
				return l.last(s.c.Now(), err)
			}
		}
		if s.young(&c, key) && s.covers(l, &c) {
			s.keep(l, c)
			return c.Text, c.rest(s.c.Now()), nil
		}
		if waited, err := s.pause(ctx, &c); err != nil {
			return "", 0, err
		} else if waited { // somebody else may have made the next one
			continue
		}
		next, err := s.next(ctx, l, &c, key)
		if err != nil {
			return "", 0, err
		}
		if !away {
			err = s.put(ctx, next.SignedList)
		}
		switch {
		case errors.Is(err, gatehouse.Conflict): // somebody else was first
			continue
		case away || err != nil && s.c.Alone():
			next.own, next.Serial = true, c.Serial
		case err != nil:
			return l.last(s.c.Now(), err)
		}
		s.keep(l, next)
		return next.Text, next.rest(s.c.Now()), nil
	}
	return "", 0, errListUnsure.With(errors.New("others make copies all the time"))
}

// newest reports whether nobody can have a newer copy than c.
func (s *StatusLists) newest(l *statusList, c *statusCopy) bool {
	return c.read == l.told.Load()+1 || c.own && s.c.Alone()
}

// young reports whether c was signed not long ago, by the key that signs now.
func (s *StatusLists) young(c *statusCopy, key *token.Key) bool {
	age := s.c.Now().Sub(c.SignedAt)
	return !c.until.IsZero() && c.KeyID == key.KID && age < statusReuse && age > -statusPace
}

// covers reports whether every revocation that is known here is in c.
func (s *StatusLists) covers(l *statusList, c *statusCopy) bool {
	version := s.c.Source.Version(l.realm, l.list)
	if c.has == version {
		return true
	}
	bits, err := revocation.Decode(c.bits)
	if err != nil {
		return false
	}
	for i, b := range s.c.Source.Bits(l.realm, l.list) {
		if b != 0 && (i >= len(bits) || b&^bits[i] != 0) {
			return false
		}
	}
	c.has = version
	return true
}

// read reads the copy in the database. One that is not ours, or that nobody would take, is as
// good as none: all that is left of it is its serial.
func (s *StatusLists) read(ctx context.Context, l *statusList) (statusCopy, error) {
	c := statusCopy{read: l.told.Load() + 1} // before it is read: who is told meanwhile reads again
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	var err error
	if c.SignedList, err = s.c.Copies.SignedList(ctx, l.realm, l.list); errors.Is(err, gatehouse.NotFound) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	issuer := s.c.Issuer(l.realm)
	v, err := token.NewStatusListVerifier(token.StatusListVerifierConfig{Issuer: issuer, Algorithms: token.Algorithms(), Keys: s.c.Keys(l.realm),
		Leeway: statusPace, Now: func() time.Time { return c.SignedAt }}) // what has expired still says what was revoked
	if err != nil {
		return c, err
	}
	is, err := v.Verify(c.Text, statusURI(issuer, l.list))
	if errors.Is(err, gatehouse.Unavailable) {
		return c, err
	}
	if err == nil && is.IssuedAt.Unix() == c.SignedAt.Unix() {
		c.until, c.bits = is.ExpiresAt, is.Compressed
	}
	return c, nil
}

// pause waits for as long as there must be between two copies.
func (s *StatusLists) pause(ctx context.Context, c *statusCopy) (waited bool, err error) {
	age := s.c.Now().Sub(c.SignedAt)
	if c.Serial == 0 && !c.own || age >= statusPace || age <= -statusPace {
		return false, nil
	}
	rest := time.NewTimer(statusPace - age)
	defer rest.Stop()
	select {
	case <-rest.C:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// next makes the copy that takes the place of c: it has what is revoked in it, and what is known.
func (s *StatusLists) next(ctx context.Context, l *statusList, c *statusCopy, key *token.Key) (statusCopy, error) {
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-ctx.Done():
		return statusCopy{}, ctx.Err()
	}
	version := s.c.Source.Version(l.realm, l.list)
	bits := s.c.Source.Bits(l.realm, l.list)
	if before, err := revocation.Decode(c.bits); err == nil {
		for i, b := range before {
			bits[i] |= b
		}
	}
	lst, err := revocation.Encode(bits)
	if err != nil {
		return statusCopy{}, err
	}
	now := s.c.Now()
	text, err := s.sign(l, key, lst, now)
	if err != nil {
		return statusCopy{}, err
	}
	return statusCopy{SignedList: revocation.SignedList{Realm: l.realm, List: l.list, Serial: c.Serial + 1, KeyID: key.KID, SignedAt: now,
		ExpiresAt: revocation.ListExpires(l.list), Text: text}, until: now.Add(StatusListLife), bits: lst, has: version}, nil
}

// put stores a copy, also when the caller leaves meanwhile: others wait for it.
func (s *StatusLists) put(ctx context.Context, l revocation.SignedList) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusWait)
	defer cancel()
	return s.c.Run(ctx, func(ctx context.Context, tx StatusTx) error { return tx.PutSignedList(ctx, l) })
}
