package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/telemetry"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Settings of the store that the server itself keeps.
const (
	settingAuditKey     = "audit.checkpoint_key"
	settingSuccessorKey = "grant.successor_key"
)

func logLevel(name string) slog.Level {
	level, err := telemetry.ParseLevel(name)
	if err != nil {
		return slog.LevelInfo
	}
	return level
}

// settingTx keeps sealed secrets of the installation.
type settingTx interface {
	Setting(ctx context.Context, key string) (string, error)
	PutSetting(ctx context.Context, key, value string) error
}

// sealedSetting returns a secret of n random bytes that is made at the first
// start and kept sealed under the master key.
func (s *Server) sealedSetting(ctx context.Context, name string, n int) ([]byte, error) {
	run, err := store.Run[settingTx](s.db)
	if err != nil {
		return nil, err
	}
	place := seal.Place{Purpose: "setting", ID: name}
	put := func(tx settingTx, secret []byte) error {
		blob, err := s.box.Seal(secret, place)
		if err != nil {
			return err
		}
		return tx.PutSetting(ctx, name, base64.RawURLEncoding.EncodeToString(blob))
	}
	var out []byte
	err = run(ctx, func(ctx context.Context, tx settingTx) error {
		text, err := tx.Setting(ctx, name)
		if errors.Is(err, gatehouse.NotFound) {
			out = make([]byte, n)
			_, _ = rand.Read(out) // never fails
			return put(tx, out)
		}
		if err != nil {
			return err
		}
		blob, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return err
		}
		if out, err = s.box.Open(blob, place); err != nil || !s.box.Stale(blob) {
			return err
		}
		// A new master key stands above the one that sealed this.
		return put(tx, out)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(out) != n {
		return nil, fmt.Errorf("%s: has %d bytes, not %d", name, len(out), n)
	}
	return out, nil
}

func (s *Server) wireAudit(ctx context.Context) error {
	s.metrics = telemetry.NewMetrics(authn.Schemes(nil)...)
	seed, err := s.sealedSetting(ctx, settingAuditKey, ed25519.SeedSize)
	if err != nil {
		return err
	}
	s.auditKey = ed25519.NewKeyFromSeed(seed)
	write, err := store.Run[audit.BatchWriter](s.db)
	if err != nil {
		return err
	}
	s.recorder, err = audit.NewRecorder(audit.RecorderConfig{Run: write, Overflow: audit.Overflow(s.cfg.Audit.Overflow),
		Queue: s.cfg.Audit.Queue, Now: s.now, Logger: s.log})
	if err != nil {
		return err
	}
	s.record = &eventCounter{next: s.recorder, metrics: s.metrics}
	sequence, err := store.Run[audit.SequencerTx](s.db)
	if err != nil {
		return err
	}
	s.sequencer, err = audit.NewSequencer(audit.SequencerConfig{Run: sequence, Pending: s.db, Origin: s.logOrigin, Key: s.auditKey,
		Now: s.now, Logger: s.log})
	if err != nil {
		return err
	}
	s.jobs = append(s.jobs, job{"audit sequencer", s.sequencer.Run})
	if s.cfg.Audit.File == "" {
		return nil
	}
	sink, err := audit.OpenFileSink(s.cfg.Audit.File, true)
	if err != nil {
		return fmt.Errorf("audit.file: %w", err)
	}
	s.closers = append(s.closers, func(context.Context) { _ = sink.Close() })
	cursors, err := store.Run[settingTx](s.db)
	if err != nil {
		return err
	}
	forward := &audit.Forwarder{Name: "file:" + filepath.Base(s.cfg.Audit.File), Sink: sink, Reader: s.db, Cursors: sinkCursors{s.db, cursors},
		Realms: s.db.Realms, Logger: s.log}
	s.jobs = append(s.jobs, job{"audit file", forward.Run})
	return nil
}

// logOrigin names a realm's log in its checkpoints.
func (s *Server) logOrigin(realm string) string {
	host := s.issuer
	if u, err := url.Parse(s.issuer); err == nil {
		host = u.Host
	}
	return audit.Origin(host, realm)
}

// sinkCursors keeps in the store how far a sink has got.
type sinkCursors struct {
	db  *store.DB
	run gatehouse.Runner[settingTx]
}

func (c sinkCursors) key(sink, realm string) string { return "audit.cursor." + sink + "." + realm }

func (c sinkCursors) Cursor(ctx context.Context, sink, realm string) (int64, error) {
	text, err := c.db.Setting(ctx, c.key(sink, realm))
	if errors.Is(err, gatehouse.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

func (c sinkCursors) SetCursor(ctx context.Context, sink, realm string, next int64) error {
	return c.run(ctx, func(ctx context.Context, tx settingTx) error {
		return tx.PutSetting(ctx, c.key(sink, realm), strconv.FormatInt(next, 10))
	})
}

// eventCounter counts what it passes on to the audit log.
type eventCounter struct {
	next    *audit.Recorder
	metrics *telemetry.Metrics
}

// Admit implements [enforce.Admitter].
func (c *eventCounter) Admit(ctx context.Context) error { return c.next.Admit(ctx) }

// RecordAdmitted implements [enforce.Admitter].
func (c *eventCounter) RecordAdmitted(e *gatehouse.Event) {
	c.count(e)
	c.next.RecordAdmitted(e)
}

func (c *eventCounter) Record(e *gatehouse.Event) {
	c.count(e)
	c.next.Record(e)
}

func (c *eventCounter) count(e *gatehouse.Event) {
	if e.Kind == audit.KindRequestDecide {
		outcome := "allowed"
		if e.Outcome != gatehouse.OutcomeSuccess {
			outcome = outcomeOfStatus(e.Status)
		}
		c.metrics.Request(e.Route, outcome, e.Actor.Scheme, time.Duration(e.Micros)*time.Microsecond)
	}
}

func outcomeOfStatus(status int) string {
	switch {
	case status == 401:
		return "unauthenticated"
	case status == 403:
		return "denied"
	case status == 404:
		return "not_found"
	case status == 429:
		return "limited"
	case status >= 400 && status < 500:
		return "invalid"
	}
	return "error"
}

func (s *Server) wireRevocation(ctx context.Context) error {
	s.view = revocation.NewView()
	s.db.Subscribe(s.view.Apply)
	if err := s.view.Load(ctx, s.db); err != nil {
		return err
	}
	purge, err := store.Run[revocation.Purger](s.db)
	if err != nil {
		return err
	}
	p := &revocation.Purge{View: s.view, Store: s.db, Run: purge, Now: s.now, Logger: s.log}
	s.jobs = append(s.jobs, job{"revocation purge", p.Work})
	return nil
}

func (s *Server) wireKeys(ctx context.Context) error {
	run, err := store.Run[keyring.Tx](s.db)
	if err != nil {
		return err
	}
	s.ring, err = keyring.New(keyring.Config{Store: s.db, Run: run, Box: s.box, Logger: s.log, Now: s.now})
	if err != nil {
		return err
	}
	s.db.Subscribe(s.ring.Apply)
	if err := s.ring.Load(ctx); err != nil {
		return err
	}
	realms, err := s.db.Realms(ctx)
	if err != nil {
		return err
	}
	for _, r := range realms {
		if err := s.ring.EnsureRealm(ctx, r.Name); err != nil {
			return fmt.Errorf("signing keys of realm %s: %w", r.Name, err)
		}
	}
	s.jobs = append(s.jobs, job{"key rotation", s.ring.Run})
	return nil
}
