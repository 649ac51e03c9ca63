// Package follow lets programs that check tokens by themselves follow what is no longer valid: a stream of server-sent
// events, or one part of it at a time. docs/revocation-stream.md describes it for those who read it.
//
// # Threat model
//
// Who follows learns account ids and places in status lists of one realm, so it takes a role and a scope that give
// nothing else. The credential is verified again and judged again while a stream is open: a key that was revoked is told
// nothing more after two seconds. What a reader has not read is kept nowhere for it: all share one journal of bounded
// size, and who falls behind begins anew. Streams are counted by account, which nobody chooses, and in all.
//
// Silence must not look like "nothing was revoked". So a stream speaks every two seconds, and ends when this node itself
// does not know for sure.
package follow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Bounds of the streams of one process that are open at a time.
const (
	maxStreams   = 2000
	maxOfAccount = 100
	// maxOfRealm is for the accounts of a realm other than main: its administrators make as many as they like, and must not
	// take what the guards of others need.
	maxOfRealm = maxStreams / 2
)

var (
	errStreams = gatehouse.E(gatehouse.RateLimited, "too_many_streams", "Too many streams of revocations are open for this account or realm, or on this server.")
	errNoKey   = gatehouse.E(gatehouse.Denied, "revocations_key_required", "Revocations are followed with an API key.")
)

// Journal is what is followed; *revocation.Journal is one.
type Journal interface {
	Since(at revocation.Position, realm string) (changes []revocation.Entry, now revocation.Position, whole bool)
	After(at revocation.Position) <-chan struct{}
	Snapshot(realm string, places func(list int64, indexes []int64) error, cutoff func(revocation.Cutoff) error) error
}

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel  *kernel.Kernel
	Journal Journal
	// Issuer gives the issuer identifier of a realm, with which the names of its status lists begin.
	Issuer func(realm string) string
	// Current returns why this node does not know for sure what was revoked, or is about to stop; nil when it does
	// and is not.
	Current func() error
}

// Service is the use case, with the streams that are open.
type Service struct {
	k *kernel.Kernel
	c Config

	mu   sync.Mutex
	all  int
	open map[account]int
	of   map[string]int // by realm
}

type account struct{ realm, id string }

// New returns the use case.
func New(c Config) *Service {
	return &Service{k: c.Kernel, c: c, open: map[account]int{}, of: map[string]int{}}
}

// may asks whether actor may follow a realm.
func (s *Service) may(ctx context.Context, actor *gatehouse.Principal, realm string) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminRevocations, realm, ""); err != nil {
		return err
	}
	// A password would be hashed each time the stream is judged again.
	if kind, _ := authn.KindOf(actor.Scheme); kind.Record != authn.RecordKey || actor.Foreign {
		return errNoKey
	}
	return nil
}

// idOf is how a client is given a position. It is bound to the realm, because what was told of another says nothing of this one.
func idOf(at revocation.Position, realm string) string {
	sum := sha256.Sum256([]byte(realm))
	return at.String() + "-" + hex.EncodeToString(sum[:4])
}

// positionOf is the position in an id of this realm, or none.
func positionOf(id, realm string) revocation.Position {
	if at := revocation.ParsePosition(id[:max(0, strings.LastIndexByte(id, '-'))]); idOf(at, realm) == id {
		return at
	}
	return revocation.Position{}
}

// follow refuses, or takes a place among the streams of the account and returns the stream of a realm from at on.
func (s *Service) follow(ctx context.Context, actor *gatehouse.Principal, realm string, at revocation.Position) (*stream, error) {
	if err := s.may(ctx, actor, realm); err != nil {
		return nil, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return nil, err
	}
	if err := s.c.Current(); err != nil {
		return nil, err
	}
	who := account{actor.Realm, actor.ID}
	if err := s.begin(who); err != nil {
		return nil, err
	}
	return &stream{s: s, who: who, realm: realm, at: at}, nil
}

// begin takes a place among the streams that are open, if there is one.
func (s *Service) begin(who account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.open[who] >= maxOfAccount || who.realm != gatehouse.MainRealm && s.of[who.realm] >= maxOfRealm {
		e := *errStreams
		e.RetryAfter = retryAfter
		return &e
	}
	s.all++
	s.open[who]++
	s.of[who.realm]++
	return nil
}

func (s *Service) end(who account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.open[who]--; s.open[who] == 0 {
		delete(s.open, who)
	}
	if s.of[who.realm]--; s.of[who.realm] == 0 {
		delete(s.of, who.realm)
	}
}
