package server

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/breached"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/telemetry"
	"github.com/gatehouse-auth/gatehouse/store"
)

const (
	settingAccountKey = "identity.account_key"
	accountKeySize    = 32
	settingFactorKey  = "factor.key"
	factorKeySize     = 32
)

func (s *Server) wirePeople(ctx context.Context) error {
	accountKey, err := s.secret(ctx, settingAccountKey, accountKeySize)
	if err != nil {
		return err
	}
	slots := s.cfg.Passwords.Parallel
	if slots == 0 {
		slots = runtime.GOMAXPROCS(0)
	}
	hasher, err := credential.NewHasher(credential.HasherConfig{Slots: slots, Queue: s.cfg.Passwords.Queue, QueueTimeout: s.cfg.Passwords.MaxWait,
		AfterBurst: debug.FreeOSMemory})
	if err != nil {
		return err
	}
	run, err := store.Run[identity.Tx](s.db)
	if err != nil {
		return err
	}
	throttle, err := s.newThrottle(accountKey)
	if err != nil {
		return err
	}
	s.directory, err = identity.NewDirectory(identity.DirectoryConfig{Store: s.db, Now: s.now})
	if err != nil {
		return err
	}
	s.db.Subscribe(s.directory.Apply)
	s.online = breached.NewOnline(breached.OnlineConfig{Now: s.now, Logger: s.log})
	s.people, err = identity.NewService(identity.Config{Users: s.db, Online: s.online, Source: s.directories(), Subjects: s.directory, Run: run, Recorder: s.record, Passwords: hasher,
		Policy: credential.NewPasswordPolicy(), Throttle: throttle, Now: s.now, Logger: s.log, AccountKey: accountKey,
		OnSignal: s.metrics.AttackSignal})
	if err != nil {
		return err
	}
	if err := s.wireFactors(ctx); err != nil {
		return err
	}
	if err := s.wirePasskeys(ctx); err != nil {
		return err
	}
	s.metrics.Watch(s.made.ldap.watched(telemetry.Watch{
		AuditQueueDepth:    func() float64 { return float64(s.recorder.Stats().Depth) },
		AuditRecorded:      func() float64 { return float64(s.recorder.Stats().Recorded) },
		AuditDropped:       func() float64 { return float64(s.recorder.Stats().Dropped) },
		AuditCounted:       func() float64 { return float64(s.refusals.Stats().Counted) },
		AuditFailures:      func() float64 { return float64(s.recorder.Stats().Failures) },
		AuditLogSize:       func() float64 { return float64(s.sequencer.Events()) },
		AuditBroken:        func() float64 { n, _ := s.sequencer.Broken(); return float64(n) },
		ViewAge:            func() float64 { return s.db.Age().Seconds() },
		ViewStale:          func() float64 { return flag(s.stale()) },
		SoleNode:           func() float64 { return flag(s.sole.Holds()) },
		NodesLive:          func() float64 { return float64(s.db.LiveNodes()) },
		NodesSilent:        func() float64 { return float64(s.db.SilentNodes()) },
		LeasesHeld:         func() float64 { return float64(s.leases.Held()) },
		StaleServed:        func() float64 { n, _ := s.staleness.Counts(); return float64(n) },
		StaleAsked:         func() float64 { _, n := s.staleness.Counts(); return float64(n) },
		ClockOffset:        func() float64 { return s.clock.Offset().Seconds() },
		StatusBits:         func() float64 { return float64(s.view.Stats().Bits) },
		Cutoffs:            func() float64 { return float64(s.view.Stats().Cutoffs) },
		MailSent:           func() float64 { return float64(s.sender.Sent()) },
		MailRetried:        func() float64 { return float64(s.sender.Retried()) },
		MailFailed:         func() float64 { return float64(s.sender.Failed()) },
		MailLimited:        func() float64 { return float64(s.mail.Limited()) },
		PasswordWaiting:    func() float64 { return float64(hasher.Stats().Waiting) },
		PasswordRefused:    func() float64 { return float64(hasher.Stats().Refused) },
		LimitKeys:          func() float64 { n, _ := s.limiter.Keys(); return float64(n) },
		LimitSpilled:       func() float64 { _, n := s.limiter.Keys(); return float64(n) },
		LimitAway:          func() float64 { return flag(s.limitsAway()) },
		LimitLocal:         func() float64 { return float64(s.limiter.Alone() + s.auth.QuotaAlone()) },
		PasswordHashed:     func() float64 { st := s.people.Stats(); return float64(st.Verified + st.Failed) },
		BreachedNew:        func() float64 { return float64(s.people.Stats().BreachedNew) },
		BreachedLogins:     func() float64 { return float64(s.people.Stats().BreachedLogins) },
		BreachedUnanswered: func() float64 { return float64(s.online.Failures()) },
		PasswordKnown:      func() float64 { return float64(s.people.Stats().CacheHits) },
		UsersKnown:         func() float64 { return float64(s.directory.Stats().Hits) },
		UsersRead:          func() float64 { return float64(s.directory.Stats().Misses) },
		ReloadGood: func() float64 {
			if s.reloaded.refused.Load() {
				return 0
			}
			return 1
		},
		RestartPending: func() float64 { return float64(s.reloaded.pending.Load()) },
	}))
	return nil
}

// newThrottle makes what slows guessing down, and has its jobs done.
func (s *Server) newThrottle(key []byte) (*identity.Throttle, error) {
	failures, err := store.Run[identity.FailureTx](s.db)
	if err != nil {
		return nil, err
	}
	throttle, err := identity.NewThrottle(identity.ThrottleConfig{Now: s.now, Run: failures, Key: key, Logger: s.log})
	if err != nil {
		return nil, err
	}
	s.jobs = append(s.jobs, job{name: "failed attempts by address", run: throttle.AddUp}, // each node's own
		job{name: "purge of failed attempts", lease: "purge of failed attempts", run: throttle.Purge})
	return throttle, nil
}

// wireFactors makes what proves second factors. The secrets of apps are sealed under a key of their own, so that a new
// master key seals that one anew, and not a secret for each person.
func (s *Server) wireFactors(ctx context.Context) error {
	raw, err := s.secret(ctx, settingFactorKey, factorKeySize)
	if err != nil {
		return err
	}
	key, err := seal.ParseMasterKey("factors." + base64.RawURLEncoding.EncodeToString(raw))
	if err != nil {
		return err
	}
	box, err := seal.NewBox(key)
	if err != nil {
		return err
	}
	s.vault = factor.Vault{Box: box}
	run, err := store.Run[factor.Tx](s.db)
	if err != nil {
		return err
	}
	s.factors, err = factor.New(factor.Config{Run: run, Vault: s.vault, Attempts: s.people, Record: s.record.Record, Now: s.now})
	return err
}

// flag is a value that is so or not.
func flag(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// password verifies a password for authn.
func (s *Server) password(ctx context.Context, a authn.PasswordAttempt) (_ gatehouse.Subject, set time.Time, err error) {
	addr := ""
	if a.Address.IsValid() {
		addr = a.Address.String()
	}
	u, err := s.people.VerifyPassword(ctx, identity.Attempt{Realm: a.Realm, Username: a.Username, Password: a.Password, Address: addr})
	if err == nil && u.Initial() {
		err = gatehouse.ErrInitialPassword.With(errors.New("the password is the one that was made for the person"))
	}
	if err != nil {
		return gatehouse.Subject{}, set, err
	}
	return u.Subject(), u.PasswordAt, nil
}

// decisionMetrics counts decisions.
type decisionMetrics struct{ m *telemetry.Metrics }

func (d decisionMetrics) Decided(_, code string, _ bool, _ time.Duration) { d.m.Decision(code) }
func (d decisionMetrics) Rebuilt(string, bool, int)                       {}
