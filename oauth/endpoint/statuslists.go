package endpoint

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	// statusTTL is how long a verifier outside may use a list that it fetched.
	statusTTL = 30 * time.Second
	// StatusListLife is how long one is valid, in a cache for instance.
	StatusListLife = 2 * statusTTL
	// statusReuse is how long a signed list is given out again while its bits stay.
	statusReuse = 10 * time.Second
	// statusPace is how often a list is compressed at most, however often it changes.
	statusPace = time.Second
	// maxStatusBytes bounds the lists that are kept. Most have some KB.
	maxStatusBytes = 16 << 20
)

// StatusSource knows which places of a list are revoked; revocation.View does.
type StatusSource interface {
	// Version is another one after each change, and 0 while nothing is revoked.
	Version(realm string, list int64) uint64
	Bits(realm string, list int64) []byte
}

// StatusListsConfig is what [StatusLists] needs; all of it but CatchUp is required.
type StatusListsConfig struct {
	Source StatusSource
	// CatchUp returns once Source knows what was revoked before, on any node; it bounds
	// the wait by itself. nil: no other node can be.
	CatchUp func(context.Context) (time.Time, error)
	Signer  func(realm string) (*token.Key, error)
	Issuer  func(realm string) string
	Now     func() time.Time
}

// StatusLists signs the status lists of realms, for verifiers outside. Anybody
// may ask, and to compress 2^20 bits takes a millisecond: so a list is compressed
// once a change and at most once a second, one list at a time, and lists in which
// nothing is revoked, which are most that anybody can name, share their
// compressed form.
type StatusLists struct {
	c      StatusListsConfig
	making chan struct{}          // holds one while a list is compressed
	none   func() (string, error) // the compressed form of a list without revocations

	mu   sync.Mutex
	made map[statusListKey]signedList
	size int // bytes in made
}

type statusListKey struct {
	realm string
	list  int64
}

// packedList is the compressed form, and what it was made of.
type packedList struct {
	lst     string
	version uint64
	at      time.Time
}

type signedList struct {
	packedList
	text   string
	key    *token.Key
	signed time.Time
}

func (l signedList) bytes() int { return len(l.lst) + len(l.text) }

// NewStatusLists checks c.
func NewStatusLists(c StatusListsConfig) (*StatusLists, error) {
	if c.Source == nil || c.Signer == nil || c.Issuer == nil || c.Now == nil {
		return nil, errors.New("endpoint: status lists lack a member")
	}
	return &StatusLists{c: c, making: make(chan struct{}, 1), made: map[statusListKey]signedList{},
		none: sync.OnceValues(func() (string, error) { return revocation.Encode(make([]byte, revocation.ListSize/8)) })}, nil
}

// Get returns the signed list as of now, and how long it may be kept: a revocation
// is in it as soon as it is in force, on whichever node, unless what others revoked cannot be
// read: then the list is what this node knows. Of a list that changed again within a second
// the caller waits for the rest of that second, so that a burst of revocations
// costs one list and not one each. Errors: status_list_not_found for a list of
// which no token can be.
func (s *StatusLists) Get(ctx context.Context, realm string, list int64) (string, time.Duration, error) {
	now := s.c.Now()
	expires := revocation.ListExpires(list)
	if !revocation.ValidPlace(list, 0) || !now.Before(expires) || expires.After(now.Add(gatehouse.MaxGrantTTL+48*time.Hour)) {
		return "", 0, errNoList
	}
	key, err := s.c.Signer(realm)
	if err != nil {
		return "", 0, err
	}
	if s.c.CatchUp != nil {
		_, _ = s.c.CatchUp(ctx) // a node that is cut off says what it knows; verifiers keep lists for longer
	}
	place := statusListKey{realm, list}
	packed, err := s.packed(ctx, place)
	if err != nil {
		return "", 0, err
	}
	now = s.c.Now()
	if l := s.kept(place); l.key == key && l.packedList == packed && now.Sub(l.signed) >= 0 && now.Sub(l.signed) < statusReuse {
		return l.text, statusTTL - now.Sub(l.signed), nil
	}
	text, ttl, err := SignStatusList(key, s.c.Issuer(realm), list, packed.lst, now, statusTTL)
	if err != nil {
		return "", 0, err
	}
	s.keep(place, signedList{packed, text, key, now})
	return text, ttl, nil
}

// packed returns the compressed list as of now.
func (s *StatusLists) packed(ctx context.Context, place statusListKey) (packedList, error) {
	if s.c.Source.Version(place.realm, place.list) == 0 {
		lst, err := s.none()
		return packedList{lst: lst}, err
	}
	if p, ok := s.current(place); ok {
		return p, nil
	}
	if age := s.c.Now().Sub(s.kept(place).at); age >= 0 && age < statusPace {
		rest := time.NewTimer(statusPace - age)
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-ctx.Done():
			return packedList{}, ctx.Err()
		}
	}
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-ctx.Done():
		return packedList{}, ctx.Err()
	}
	if p, ok := s.current(place); ok { // somebody who waited too was first
		return p, nil
	}
	p := packedList{version: s.c.Source.Version(place.realm, place.list), at: s.c.Now()}
	var err error
	if p.lst, err = revocation.Encode(s.c.Source.Bits(place.realm, place.list)); err != nil {
		return packedList{}, err
	}
	s.keep(place, signedList{packedList: p})
	return p, nil
}

// current returns the compressed form that is kept, if nothing changed since.
func (s *StatusLists) current(place statusListKey) (packedList, bool) {
	l := s.kept(place)
	return l.packedList, l.lst != "" && l.version == s.c.Source.Version(place.realm, place.list)
}

func (s *StatusLists) kept(place statusListKey) signedList {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[place]
}

func (s *StatusLists) keep(place statusListKey, l signedList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size += l.bytes() - s.made[place].bytes()
	if s.size > maxStatusBytes {
		clear(s.made)
		s.size = l.bytes()
	}
	s.made[place] = l
}
