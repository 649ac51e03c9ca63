package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var (
	errNoCheckpoint = gatehouse.E(gatehouse.NotFound, "checkpoint_not_found", "The log has no checkpoint yet; the first follows the first event within seconds.")
	errNoRecord     = gatehouse.E(gatehouse.NotFound, "audit_request_unknown", "Nothing is recorded under this request id.")
)

// readAudit authorizes reading the log of a realm and returns its log and key.
func (s *Service) readAudit(ctx context.Context, actor *gatehouse.Principal, realm string) (*audit.Log, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminAudit, realm, ""); err != nil {
		return nil, err
	}
	if _, err := s.realm(ctx, realm); err != nil {
		return nil, err
	}
	return &audit.Log{Reader: s.c.Audit}, nil
}

// Events lists recorded events, newest first unless the query turns it.
func (s *Service) Events(ctx context.Context, actor *gatehouse.Principal, realm string, q audit.Query) (audit.Page, error) {
	log, err := s.readAudit(ctx, actor, realm)
	if err != nil {
		return audit.Page{}, err
	}
	return log.List(ctx, realm, q)
}

// Explain finds what is recorded of one request: the chain from credential to
// rule.
func (s *Service) Explain(ctx context.Context, actor *gatehouse.Principal, realm, requestID string) ([]audit.Entry, error) {
	log, err := s.readAudit(ctx, actor, realm)
	if err != nil {
		return nil, err
	}
	found, err := log.Find(ctx, realm, requestID)
	return found, orMissing(err, errNoRecord)
}

// Checkpoint returns the newest signed checkpoint: a note to keep elsewhere.
func (s *Service) Checkpoint(ctx context.Context, actor *gatehouse.Principal, realm string) ([]byte, error) {
	if _, err := s.readAudit(ctx, actor, realm); err != nil {
		return nil, err
	}
	note, err := audit.LatestCheckpoint(ctx, s.c.Audit, realm)
	return note, orMissing(err, errNoCheckpoint)
}

// Proof proves that one event is in the log under its newest checkpoint.
func (s *Service) Proof(ctx context.Context, actor *gatehouse.Principal, realm string, index int64) (audit.Inclusion, error) {
	if _, err := s.readAudit(ctx, actor, realm); err != nil {
		return audit.Inclusion{}, err
	}
	key, err := s.c.AuditKey(realm)
	if err != nil {
		return audit.Inclusion{}, err
	}
	return audit.ProveInclusion(ctx, s.c.Audit, key, index)
}

// maxSaved bounds the checkpoints that one verification compares with.
const maxSaved = 100

// VerifyLog recomputes a realm's log and compares it with everything stored and
// with checkpoints that were kept elsewhere. The run is recorded with its result.
func (s *Service) VerifyLog(ctx context.Context, actor *gatehouse.Principal, realm string, saved [][]byte) (*audit.Report, error) {
	if _, err := s.readAudit(ctx, actor, realm); err != nil {
		return nil, err
	}
	if len(saved) > maxSaved {
		f := faults{}
		f.add("checkpoints", "has more than %d entries", maxSaved)
		return nil, f.err()
	}
	key, err := s.c.AuditKey(realm)
	if err != nil {
		return nil, err
	}
	report, err := audit.VerifyLog(ctx, s.c.Audit, key, audit.VerifyOptions{Saved: saved})
	if err != nil {
		return nil, err
	}
	e := s.event(ctx, actor, realm, audit.KindAuditVerify, "audit", realm)
	e.Detail = changes(e.Detail)
	e.Detail["size"], e.Detail["problems"] = fmt.Sprint(report.Size), fmt.Sprint(len(report.Problems)+report.Suppressed)
	if !report.OK() {
		e.Outcome, e.Reason = gatehouse.OutcomeFailure, report.Problems[0].Code
		s.c.Logger.ErrorContext(ctx, "the audit log does not verify", "realm", realm, "problems", len(report.Problems))
	}
	err = s.c.Revoke(ctx, func(ctx context.Context, tx RevokeTx) error { return tx.AppendEvents(ctx, e) })
	if err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	if report.Problems == nil {
		report.Problems = []audit.Problem{}
	}
	return report, nil
}
