package server

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/secrets"
	"github.com/gatehouse-auth/gatehouse/internal/telemetry"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Settings of the store that the server itself keeps.
const (
	settingAuditKey     = "audit.checkpoint_key"
	settingSuccessorKey = "grant.successor_key"
	successorKeySize    = 32
	settingBootstrapKey = "admin.bootstrap_key"
	bootstrapKeySize    = 32
	settingCountersKey  = "limit.counters_key"
	countersKeySize     = 32
)

func logOptions(cfg LogConfig) telemetry.LogOptions {
	level, err := telemetry.ParseLevel(cfg.Level)
	if err != nil {
		level = slog.LevelInfo
	}
	return telemetry.LogOptions{Level: level, Format: cfg.Format}
}

// secret returns a secret of the installation, n bytes.
func (s *Server) secret(ctx context.Context, name string, n int) ([]byte, error) {
	run, err := store.Run[secrets.Tx](s.db)
	if err != nil {
		return nil, err
	}
	return secrets.Keeper{Run: run, Box: s.box}.Get(ctx, name, n)
}

// refusalsPerMinute is how many refusals are recorded one by one.
func refusalsPerMinute(cfg config.Audit) int {
	if cfg.Refusals == "each" {
		return audit.EveryRefusal
	}
	return cfg.RefusalsPerMinute
}

func (s *Server) wireAudit(ctx context.Context) error {
	s.metrics = telemetry.NewMetrics(authn.Schemes(nil)...)
	seed, err := s.secret(ctx, settingAuditKey, ed25519.SeedSize)
	if err != nil {
		return err
	}
	s.auditKey = ed25519.NewKeyFromSeed(seed)
	if s.persons, err = sealPersonal(ctx, s.db, s.box); err != nil {
		return err
	}
	write, err := store.Run[audit.BatchWriter](s.db)
	if err != nil {
		return err
	}
	s.recorder, err = audit.NewRecorder(audit.RecorderConfig{Run: write, Overflow: audit.Overflow(s.cfg.Audit.Overflow),
		Queue: s.cfg.Audit.Queue, Now: s.now, Logger: s.log, Persons: s.personKey})
	if err != nil {
		return err
	}
	if s.refusals, err = audit.NewRefusals(audit.RefusalsConfig{Recorder: s.recorder, PerMinute: refusalsPerMinute(s.cfg.Audit), Now: s.now}); err != nil {
		return err
	}
	s.record = &telemetry.Events{Next: s.refusals, Metrics: s.metrics}
	sequence, err := store.Run[audit.SequencerTx](s.db)
	if err != nil {
		return err
	}
	if err = s.finishRestoreAtStart(ctx); err != nil {
		return err
	}
	s.sequencer, err = audit.NewSequencer(audit.SequencerConfig{Run: sequence, Pending: s.db, Origin: s.logOrigin, Key: s.auditKey,
		Heads: s.heads, Broken: s.logBroken, Now: s.now, Logger: s.log})
	if err != nil {
		return err
	}
	s.jobs = append(s.jobs, job{name: "audit sequencer", lease: "audit sequencer", run: s.sequencer.Run},
		job{name: "audit heads", run: s.sequencer.Watch})
	filters, err := store.Run[audit.FilterWriter](s.db)
	if err != nil {
		return err
	}
	fill := &audit.FilterFill{Reader: s.db, Run: filters, Realms: s.db.Realms, Logger: s.log}
	s.jobs = append(s.jobs, job{name: "audit search filters", lease: "audit search filters", run: fill.Work})
	if s.cfg.Audit.File == "" {
		return s.wireRetention(nil)
	}
	sink, err := audit.OpenFileSink(s.cfg.Audit.File, true)
	if err != nil {
		return fmt.Errorf("audit.file: %w", err)
	}
	s.closers = append(s.closers, func(context.Context) { _ = sink.Close() })
	s.auditFile = sink
	cursors, err := store.Run[audit.SettingWriter](s.db)
	if err != nil {
		return err
	}
	forward := &audit.Forwarder{Name: "file:" + filepath.Base(s.cfg.Audit.File), Sink: sink, Reader: s.db,
		Cursors: audit.SettingCursors{Setting: s.db.Setting, Run: cursors}, Realms: s.db.Realms, Logger: s.log}
	s.jobs = append(s.jobs, job{name: "audit file", lease: "audit " + forward.Name, run: forward.Run})
	return s.wireRetention(func(ctx context.Context, realm string) (int64, error) {
		return forward.Cursors.Cursor(ctx, forward.Name, realm)
	})
}

// wireRetention removes old events, where they shall not stay for good; what forwarded
// has not got stays.
func (s *Server) wireRetention(forwarded func(ctx context.Context, realm string) (int64, error)) error {
	if s.cfg.Audit.Retention == 0 {
		return nil
	}
	run, err := store.Run[audit.RetentionTx](s.db)
	if err != nil {
		return err
	}
	r := &audit.Retention{Keep: s.cfg.Audit.Retention, Store: s.db, Run: run, Realms: s.db.Realms, Key: s.auditKey, Forwarded: forwarded,
		Now: s.now, Logger: s.log}
	s.jobs = append(s.jobs, job{name: "audit retention", lease: "audit retention", run: r.Work})
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

// headsPath is the file that remembers the end of each realm's log.
func headsPath(cfg Config) string { return filepath.Join(cfg.Data, "audit.heads") }

// logBroken records that a realm's log is no continuation of what was signed for it.
// The event is stored and waits outside of the log, which signs nothing more.
func (s *Server) logBroken(realm string, err error) {
	s.log.Error("the audit log was changed; nothing more is signed for it", "realm", realm, "error", err)
	s.record.Record(&gatehouse.Event{Realm: realm, Kind: audit.KindAuditBroken, Outcome: gatehouse.OutcomeError, Reason: "history_changed",
		Detail: map[string]string{"error": err.Error()}})
}

// logIntact is the readiness of the audit logs.
func (s *Server) logIntact(context.Context) error {
	_, err := s.sequencer.Broken()
	return err
}

func (s *Server) wireRevocation(ctx context.Context) error {
	s.view = revocation.NewView()
	s.db.Subscribe(s.view.Apply)
	s.journal = revocation.NewJournal(s.view)
	load := func(ctx context.Context) error { return s.view.Load(ctx, s.db) }
	s.db.OnReload(load)
	if err := load(ctx); err != nil {
		return err
	}
	purge, err := store.Run[revocation.Purger](s.db)
	if err != nil {
		return err
	}
	p := &revocation.Purge{View: s.view, Store: s.db, Run: purge, Now: s.now, Logger: s.log}
	s.jobs = append(s.jobs, job{name: "revocation purge", run: p.Work})
	return nil
}

// waitsFor is the code of a change that this node does not store yet, because another one
// may be answering that cannot hear of it.
const waitsFor = "node_waits"

// ensureKeys does what is due for the keys of a realm. What cannot be stored while this node waits for
// another one is done by the job, once it does no longer: a start that fails instead could not be asked
// which node that is, nor be told that it is gone for good.
func (s *Server) ensureKeys(ctx context.Context, realm string) error {
	err := s.ring.EnsureRealm(ctx, realm)
	if gatehouse.CodeOf(err) == waitsFor && s.sole.Waits() {
		s.log.Warn("a change of signing keys is due and waits for another node", "realm", realm)
		return nil
	}
	return err
}

func (s *Server) wireKeys(ctx context.Context) error {
	run, err := store.Run[keyring.Tx](s.db)
	if err != nil {
		return err
	}
	s.ring, err = keyring.New(keyring.Config{Store: s.db, Run: run, Box: s.box, CatchUp: s.db.CatchUp, Logger: s.log, Now: s.now})
	if err != nil {
		return err
	}
	s.db.Subscribe(s.ring.Apply)
	s.db.Subscribe(s.journal.Apply) // behind the view and the key ring: who follows reads there what it tells of
	if err := s.ring.Load(ctx); err != nil {
		return err
	}
	realms, err := s.db.Realms(ctx)
	if err != nil {
		return err
	}
	for _, r := range realms {
		if err := s.ensureKeys(ctx, r.Name); err != nil {
			return fmt.Errorf("signing keys of realm %s: %w", r.Name, err)
		}
	}
	s.jobs = append(s.jobs, job{name: "key rotation", run: s.ring.Run})
	return nil
}
