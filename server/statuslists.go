package server

import (
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
	// maxStatusLists bounds the signed lists that are kept, of some KB each.
	maxStatusLists = 64
)

// statusLists signs the status lists of realms, for verifiers outside. Anybody
// may ask, and to compress and sign 2^20 bits is a millisecond and more: so a
// list that is still the same is not made again, and one at a time is made.
type statusLists struct {
	bits   func(realm string, list int64) []byte
	signer func(realm string) (*token.Key, error)
	issuer func(realm string) string
	now    func() time.Time

	mu   sync.Mutex
	made map[statusListKey]signedList
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

// get returns the list as of now: a revocation is in it as soon as it is in force.
func (s *statusLists) get(_ context.Context, realm string, list int64) (string, time.Duration, error) {
	now := s.now()
	if !revocation.ValidPlace(list, 0) || !now.Before(revocation.ListExpires(list)) {
		return "", 0, gatehouse.E(gatehouse.NotFound, "status_list_not_found", "There is no such status list.")
	}
	key, err := s.signer(realm)
	if err != nil {
		return "", 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bits := s.bits(realm, list)
	sum, place := sha256.Sum256(bits), statusListKey{realm, list}
	if l, ok := s.made[place]; ok && l.bits == sum && l.key == key && now.Sub(l.at) >= 0 && now.Sub(l.at) < statusReuse {
		return l.text, statusTTL - now.Sub(l.at), nil
	}
	packed, err := revocation.Encode(bits)
	if err != nil {
		return "", 0, err
	}
	text, ttl, err := endpoint.SignStatusList(key, s.issuer(realm), list, packed, now, statusTTL)
	if err != nil {
		return "", 0, err
	}
	if len(s.made) >= maxStatusLists || s.made == nil {
		s.made = map[statusListKey]signedList{} // whoever asks for many lists gets each made anew
	}
	s.made[place] = signedList{text, sum, key, now}
	return text, ttl, nil
}
