package endpoint

import (
	"context"
	"errors"
	"strconv"
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
	// statusReuse is how long a signed list is given out while its bits stay. What is left
	// of its life then is more than statusTTL.
	statusReuse = 20 * time.Second
	// statusPace is how often there is a new copy of a list at most, however often it changes.
	statusPace = time.Second
	// maxStatusBytes bounds the lists that are kept in memory. Most have some KB.
	maxStatusBytes = 16 << 20
	// maxTries bounds how often a copy is looked for that others are making as well.
	maxTries = 4
)

// errListUnsure: what was revoked elsewhere is not known, and there is no copy that counts.
var errListUnsure = gatehouse.E(gatehouse.Unavailable, "status_list_unavailable", "What was revoked cannot be told at the moment.")

// StatusSource knows which places of a list are revoked; revocation.View does.
type StatusSource interface {
	// Version is another one after each change, and 0 while nothing is revoked.
	Version(realm string, list int64) uint64
	Bits(realm string, list int64) []byte
}

// StatusCopies reads the copies that all nodes give out.
type StatusCopies interface {
	// SignedList is NotFound when there is none yet.
	SignedList(ctx context.Context, realm string, list int64) (revocation.SignedList, error)
}

// StatusTx writes them.
type StatusTx interface {
	// PutSignedList takes the place of the copy with the serial before, and is Conflict when
	// that is not the newest any more.
	PutSignedList(ctx context.Context, l revocation.SignedList) error
}

// StatusListsConfig is what [StatusLists] needs; all of it is required.
type StatusListsConfig struct {
	Source StatusSource
	// CatchUp returns once Source knows what was revoked before, on any node; it bounds
	// the wait by itself.
	CatchUp func(context.Context) (time.Time, error)
	// Alone reports that nobody else can have revoked anything, whether CatchUp succeeds or not.
	Alone  func() bool
	Copies StatusCopies
	Run    gatehouse.Runner[StatusTx]
	Signer func(realm string) (*token.Key, error)
	Keys   func(realm string) token.KeySource // by which copies are checked that others made
	Issuer func(realm string) string
	Now    func() time.Time
}

// StatusLists gives out the status lists of realms, to verifiers outside.
//
// Of a list with revocations there is one signed copy in the database, and all nodes give out
// that one. Whoever is asked makes the next one: when there is a revocation that the copy lacks,
// when it gets old, when another key signs. Of several that do so at once one wins, because each
// takes the place of the copy that it read, and the others give out the winner's. A copy has all
// bits of the one before, so a bit that was given out once stays.
//
// Of a list without revocations, which are most that anybody can name, no copy is kept: all
// nodes make the same text of it, since nothing in it is drawn.
//
// Anybody may ask. To compress 2^20 bits takes a millisecond: so it is done once a change and at
// most once a second, on all nodes together, and one list at a time.
type StatusLists struct {
	c      StatusListsConfig
	making chan struct{}          // holds one while a list is compressed
	none   func() (string, error) // the compressed form of a list without revocations

	mu   sync.Mutex
	made map[statusListKey]*statusList
	size int // bytes in made
}

type statusListKey struct {
	realm string
	list  int64
}

// NewStatusLists checks c.
func NewStatusLists(c StatusListsConfig) (*StatusLists, error) {
	if c.Source == nil || c.CatchUp == nil || c.Alone == nil || c.Copies == nil || c.Run == nil || c.Signer == nil || c.Keys == nil || c.Issuer == nil ||
		c.Now == nil {
		return nil, errors.New("endpoint: status lists lack a member")
	}
	return &StatusLists{c: c, making: make(chan struct{}, 1), made: map[statusListKey]*statusList{},
		none: sync.OnceValues(func() (string, error) { return revocation.Encode(make([]byte, revocation.ListSize/8)) })}, nil
}

// Get returns the signed list as of now, and how long it may be kept: a revocation
// is in it as soon as it is in force, on whichever node. Of a list that changed again within a
// second the caller waits for the rest of that second, so that a burst of revocations
// costs one list and not one each. While it cannot be known what other nodes have revoked,
// it is the copy that was known last, until that expires. Errors: status_list_not_found for a
// list of which no token can be, status_list_unavailable.
func (s *StatusLists) Get(ctx context.Context, realm string, list int64) (string, time.Duration, error) {
	now := s.c.Now()
	expires := revocation.ListExpires(list)
	if !revocation.ValidPlace(list, 0) || !now.Before(expires) || expires.After(now.Add(gatehouse.MaxGrantTTL+48*time.Hour)) {
		return "", 0, errNoList
	}
	l := s.list(statusListKey{realm, list})
	_, away := s.c.CatchUp(ctx)
	if away != nil && !s.c.Alone() {
		return l.last(s.c.Now(), away)
	}
	key, err := s.c.Signer(realm)
	if err != nil {
		return "", 0, err
	}
	if s.c.Source.Version(realm, list) == 0 {
		return s.empty(l, key)
	}
	return s.stored(ctx, l, key, away != nil)
}

// empty returns the list without revocations: what all nodes say of it in the same twenty
// seconds is the same.
func (s *StatusLists) empty(l *statusList, key *token.Key) (string, time.Duration, error) {
	now := s.c.Now()
	begun := now.Truncate(statusReuse)
	if c := l.known(); c.Serial == 0 && c.KeyID == key.KID && c.SignedAt.Equal(begun) {
		return c.Text, c.rest(now), nil
	}
	lst, err := s.none()
	if err != nil {
		return "", 0, err
	}
	text, err := s.sign(l, key, lst, begun)
	if err != nil {
		return "", 0, err
	}
	c := statusCopy{SignedList: revocation.SignedList{KeyID: key.KID, SignedAt: begun, Text: text}, until: begun.Add(StatusListLife)}
	s.keep(l, c)
	return text, c.rest(now), nil
}

func (s *StatusLists) sign(l *statusList, key *token.Key, lst string, now time.Time) (string, error) {
	text, _, err := SignStatusList(key, s.c.Issuer(l.realm), l.list, lst, now, statusTTL)
	return text, err
}

// Apply follows a change; give it to the store's Subscribe. A copy that another node made is
// read before the next answer.
func (s *StatusLists) Apply(c gatehouse.Change) {
	if c.Topic != gatehouse.TopicStatusList {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if number, err := strconv.ParseInt(c.ID, 10, 64); err == nil && c.Realm != "" {
		if l := s.made[statusListKey{c.Realm, number}]; l != nil {
			l.told.Add(1)
		}
		return
	}
	for _, l := range s.made {
		l.told.Add(1)
	}
}

// list finds or makes what is known of a list.
func (s *StatusLists) list(key statusListKey) *statusList {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.made[key]
	if l == nil {
		l = &statusList{statusListKey: key, turn: make(chan struct{}, 1)}
		s.take(l, statusListBytes)
		s.made[key] = l
	}
	return l
}

// keep has l remember a copy.
func (s *StatusLists) keep(l *statusList, c statusCopy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := l.known()
	l.current.Store(&c)
	if s.made[l.statusListKey] == l {
		s.take(l, c.bytes()-before.bytes())
	}
}

// take counts bytes more of l, and forgets all lists but l when they are too many; mu is held.
func (s *StatusLists) take(l *statusList, bytes int) {
	if s.size += bytes; s.size <= maxStatusBytes {
		return
	}
	clear(s.made)
	s.made[l.statusListKey], s.size = l, statusListBytes+l.known().bytes()
}

func (c statusCopy) bytes() int { return len(c.Text) + len(c.bits) }
