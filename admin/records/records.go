package records

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// readAudit authorizes reading the log of a realm and returns its log and key.
func (s *Service) readAudit(ctx context.Context, actor *gatehouse.Principal, realm string) (*audit.Log, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminAudit, realm, ""); err != nil {
		return nil, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return nil, err
	}
	return &audit.Log{Reader: s.c.Audit}, nil
}

// Events lists recorded events, newest first unless the query turns it.
func (s *Service) Events(ctx context.Context, actor *gatehouse.Principal, realm string, q audit.Query) (kernel.Page[audit.Entry], error) {
	log, err := s.readAudit(ctx, actor, realm)
	if err != nil {
		return kernel.Page[audit.Entry]{}, err
	}
	p, err := log.List(ctx, realm, q)
	if err == nil {
		err = audit.OpenPersonal(ctx, p.Entries, s.c.Persons)
	}
	// Events are stored as they were committed; those of one batch ran side by side.
	sorted.Slice(p.Entries, func(a, b audit.Entry) int {
		if q.OldestFirst {
			a, b = b, a
		}
		return b.Time.Compare(a.Time)
	})
	return kernel.Page[audit.Entry]{Items: p.Entries, Next: p.Next}, err
}

// Checkpoint returns the newest signed checkpoint: a note to keep elsewhere.
func (s *Service) Checkpoint(ctx context.Context, actor *gatehouse.Principal, realm string) ([]byte, error) {
	if _, err := s.readAudit(ctx, actor, realm); err != nil {
		return nil, err
	}
	return audit.LatestCheckpoint(ctx, s.c.Audit, realm)
}

// Proof proves that one event is in the log under its newest checkpoint.
func (s *Service) Proof(ctx context.Context, actor *gatehouse.Principal, realm string, index int64) (audit.Inclusion, error) {
	if _, err := s.readAudit(ctx, actor, realm); err != nil {
		return audit.Inclusion{}, err
	}
	key, err := s.c.Key(realm)
	if err != nil {
		return audit.Inclusion{}, err
	}
	return audit.ProveInclusion(ctx, s.c.Audit, key, index)
}

// VerifyLog recomputes a realm's log and compares it with everything stored and,
// where given, with a checkpoint that was kept elsewhere; with an index it proves
// that event, too. The run is recorded with its result. A log that is wrong is
// an answer, not an error.
func (s *Service) VerifyLog(ctx context.Context, actor *gatehouse.Principal, realm string, in LogVerification) (LogReport, error) {
	if _, err := s.readAudit(ctx, actor, realm); err != nil {
		return LogReport{}, err
	}
	key, err := s.c.Key(realm)
	if err != nil {
		return LogReport{}, err
	}
	opts := audit.VerifyOptions{Now: s.k.Now}
	if s.c.Head != nil {
		opts.Head = s.c.Head(realm)
	}
	for _, c := range in.Checkpoints {
		opts.Saved = append(opts.Saved, []byte(c))
	}
	report, err := audit.VerifyLog(ctx, s.c.Audit, key, opts)
	if err != nil {
		return LogReport{}, err
	}
	out := LogReport{OK: report.OK(), Report: *report}
	if in.Index != nil {
		proof, err := audit.ProveInclusion(ctx, s.c.Audit, key, *in.Index)
		if err != nil {
			return LogReport{}, err
		}
		out.Inclusion = &proof
	}
	e := s.k.Event(ctx, actor, realm, audit.KindAuditVerify, "audit", realm)
	e.Detail = kernel.Changes(e.Detail)
	e.Detail["size"], e.Detail["problems"] = fmt.Sprint(report.Size), fmt.Sprint(len(report.Problems)+report.Suppressed)
	if !out.OK {
		e.Outcome, e.Reason = gatehouse.OutcomeFailure, report.Problems[0].Code
		s.c.Logger.ErrorContext(ctx, "the audit log does not verify", "realm", realm, "problems", len(report.Problems))
	}
	return out, s.c.Run(ctx, func(ctx context.Context, tx Tx) error { return tx.AppendEvents(ctx, e) })
}
