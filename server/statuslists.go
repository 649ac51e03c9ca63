package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/endpoint"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	// statusTTL is how long a verifier outside may use a list that it fetched.
	statusTTL = 30 * time.Second
	// statusReuse is how long a signed list is given out again while its bits stay.
	statusReuse = 10 * time.Second
	// maxStatusBytes bounds the signed lists that are kept. Most have some KB.
	maxStatusBytes = 8 << 20
)

// statusLists signs the status lists of realms, for verifiers outside. Anybody
// may ask, and to compress 2^20 bits takes milliseconds: so a list that is still
// the same is not made again, one at a time is made, and lists in which nothing
// is revoked, which are most that anybody can name, share their compressed form.
type statusLists struct {
	bits   func(realm string, list int64) []byte
	signer func(realm string) (*token.Key, error)
	issuer func(realm string) string
	now    func() time.Time
	making chan struct{}          // holds one while a list is made
	none   []byte                 // the bits of a list without revocations
	packed func() (string, error) // their compressed form

	mu   sync.Mutex
	made map[statusListKey]signedList
	size int // of the texts in made
}

type statusListKey struct {
	realm string
	list  int64
}

type signedList struct {
	text string
	bits [sha256.Size]byte
	key  *token.Key
	at   time.Time
}

func newStatusLists(bits func(string, int64) []byte, signer func(string) (*token.Key, error), issuer func(string) string, now func() time.Time) *statusLists {
	none := make([]byte, revocation.ListSize/8)
	return &statusLists{bits: bits, signer: signer, issuer: issuer, now: now, making: make(chan struct{}, 1),
		none: none, packed: sync.OnceValues(func() (string, error) { return revocation.Encode(none) }), made: map[statusListKey]signedList{}}
}

// get returns the list as of now: a revocation is in it as soon as it is in force.
func (s *statusLists) get(ctx context.Context, realm string, list int64) (string, time.Duration, error) {
	now := s.now()
	expires := revocation.ListExpires(list)
	if !revocation.ValidPlace(list, 0) || !now.Before(expires) || expires.After(now.Add(gatehouse.MaxGrantTTL+48*time.Hour)) {
		return "", 0, gatehouse.E(gatehouse.NotFound, "status_list_not_found", "There is no such status list.")
	}
	key, err := s.signer(realm)
	if err != nil {
		return "", 0, err
	}
	bits := s.bits(realm, list)
	sum, place := sha256.Sum256(bits), statusListKey{realm, list}
	if l, ok := s.kept(place); ok && l.bits == sum && l.key == key && now.Sub(l.at) >= 0 && now.Sub(l.at) < statusReuse {
		return l.text, statusTTL - now.Sub(l.at), nil
	}
	var packed string
	if bytes.Equal(bits, s.none) {
		packed, err = s.packed()
	} else {
		packed, err = s.pack(ctx, bits)
	}
	if err != nil {
		return "", 0, err
	}
	text, ttl, err := endpoint.SignStatusList(key, s.issuer(realm), list, packed, now, statusTTL)
	if err != nil {
		return "", 0, err
	}
	s.keep(place, signedList{text, sum, key, now})
	return text, ttl, nil
}

// pack compresses bits, for one caller at a time.
func (s *statusLists) pack(ctx context.Context, bits []byte) (string, error) {
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
		return revocation.Encode(bits)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (s *statusLists) kept(place statusListKey) (signedList, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.made[place]
	return l, ok
}

func (s *statusLists) keep(place statusListKey, l signedList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size += len(l.text) - len(s.made[place].text)
	if s.size > maxStatusBytes {
		clear(s.made)
		s.size = len(l.text)
	}
	s.made[place] = l
}
