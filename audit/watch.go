package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

// watch compares the newest checkpoint of a log that another process sequences with the
// last one that was seen here.
func (s *Sequencer) watch(ctx context.Context, realm string) error {
	newest, err := s.cfg.Pending.Checkpoints(ctx, realm, 1)
	if err != nil {
		return err
	}
	if len(newest) == 0 {
		head, err := s.last(realm)
		if err == nil && head.Size > 0 {
			err = fmt.Errorf("%w: realm %s has no checkpoint, and had one of %d events", ErrHistory, realm, head.Size)
		}
		return err
	}
	c, err := s.open(realm, newest[0].Note)
	if err != nil {
		return err
	}
	if c.Size != newest[0].Size {
		return fmt.Errorf("%w: realm %s has a checkpoint of %d events in place of one of %d", ErrHistory, realm, c.Size, newest[0].Size)
	}
	if head, known := s.head(realm); known && head.Size == c.Size && head.Root == c.Root {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[realm] = newest[0].Note
		return nil
	}
	if err := s.continuesHead(ctx, s.cfg.Pending, realm, c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads[realm], s.unkept[realm], s.seen[realm] = c, newest[0].Note, newest[0].Note
	return nil
}

// watched reports that the newest checkpoint of a log is the one that was checked last, byte for byte.
func (s *Sequencer) watched(l LogState) bool {
	head, whole := s.whole(l.Realm)
	s.mu.Lock()
	defer s.mu.Unlock()
	return whole && head.Size == l.Signed && len(l.Note) > 0 && bytes.Equal(s.seen[l.Realm], l.Note)
}

// raise takes the checkpoint up to which retention removed the log for the last head of
// the realm, when it is newer than what was known here: the tiles that would prove that
// the one begins with the other are removed too. The removal is signed with the key of
// the checkpoints, so it is worth as much as one. False when there is none that is newer.
func (s *Sequencer) raise(ctx context.Context, realm string) bool {
	r, err := s.cfg.Pending.AuditRemoval(ctx, realm)
	if err != nil {
		if !errors.Is(err, gatehouse.NotFound) {
			s.cfg.Logger.Error("what was removed from an audit log could not be read", "realm", realm, "error", err)
		}
		return false
	}
	key, err := NewKey(realm, s.cfg.Key.Public().(ed25519.PublicKey))
	if err != nil {
		return false
	}
	_, c, err := key.openRemoval(r.Note)
	if err != nil {
		return false
	}
	if head, err := s.last(realm); err != nil || c.Size <= head.Size {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads[realm] = c
	return true
}
