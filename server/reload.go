package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/system"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/keydiff"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

var (
	errReloadRefused = gatehouse.E(gatehouse.Unprocessable, "config_refused", "The configuration has mistakes, and nothing of it was taken: what was in force stays.")
)

// noteRestart is the note of /readyz while keys that a reload read wait for a restart.
const noteRestart = "restart_pending"

// reloadState is what became of the last reload, for metrics and /readyz.
type reloadState struct {
	refused atomic.Bool
	pending atomic.Int64 // keys that wait for a restart
}

// Reload is what SIGHUP asks for. The file of the audit log is opened anew, since a
// rotation may have given its name to another one. Then the configuration is read from
// where it came from, checked as at start, and takes the place of what is in force, at
// once and as a whole but for keys that take a restart: those are told, and wait.
// Requests that are being judged keep what they began with, and what is open is judged by
// the new rules from its next turn on.
//
// When anything is wrong, also with a key that would wait, nothing is taken, and the
// error says all of it: config_refused, with a [*config.Problems] behind it, or
// reload_unsupported. Either way the log and the record (config.reload) have it.
func (s *Server) Reload(ctx context.Context) (system.Reload, error) {
	return s.reload(ctx, gatehouse.Event{Realm: gatehouse.MainRealm, Kind: audit.KindConfigReload, Outcome: gatehouse.OutcomeSuccess})
}

// reload is [Server.Reload], told by the event e once it is known what came of it.
func (s *Server) reload(ctx context.Context, e gatehouse.Event) (system.Reload, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	out, err := s.readAgain(ctx)
	s.reloaded.refused.Store(err != nil)
	if err != nil {
		e.Outcome, e.Reason = gatehouse.OutcomeError, gatehouse.CodeOf(err)
		s.log.Error("the configuration was not reloaded; what was in force stays", "error", reasonOf(err))
	} else {
		s.reloaded.pending.Store(int64(len(out.Restart)))
		e.Detail = map[string]string{}
		for name, list := range map[string][]keydiff.KeyChange{"changed": out.Changes, "restart": out.Restart} {
			if len(list) > 0 {
				e.Detail[name] = joined(list)
			}
		}
		s.log.Info("reloaded", "file", out.File, "changed", joined(out.Changes))
		if len(out.Restart) > 0 {
			s.log.Warn("these keys differ from those in force and take a restart", "keys", joined(out.Restart))
		}
	}
	s.record.Record(&e)
	return out, err
}

// reasonOf is what the log says of an error of a reload: all that is wrong, with its place.
func reasonOf(err error) error {
	var e *gatehouse.Error
	if errors.As(err, &e) && e.Cause != nil {
		return e.Cause
	}
	return err
}

// joined are changes in one line.
func joined(changes []keydiff.KeyChange) string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.String()
	}
	return strings.Join(out, "; ")
}

func (s *Server) readAgain(ctx context.Context) (system.Reload, error) {
	now := s.live.Load()
	var reopened []config.Problem
	if s.auditFile != nil {
		if err := s.auditFile.Reopen(); err != nil {
			reopened = []config.Problem{{Key: "audit.file", Err: err}}
		}
	}
	next, err := now.cfg.Again()
	var found *config.Problems
	switch {
	case errors.Is(err, config.ErrNoFile):
		return system.Reload{}, system.ErrReloadNone
	case err != nil && !errors.As(err, &found):
		return system.Reload{}, refused(err)
	case found != nil && next.Unread():
		return system.Reload{}, refused(found)
	}
	p, problems := prepare(next, now.upstreams, now.breached)
	if all := next.With(found, append(problems, reopened...)...); all != nil {
		return system.Reload{}, refused(all)
	}
	cfg, changes, restart := now.cfg.Reloaded(next)
	made, err := s.makeLive(cfg, p)
	if err != nil {
		return system.Reload{}, refused(err)
	}
	// What lets this node answer by an older view is told before it is done, and what ends
	// that after it.
	if err := s.describeView(ctx, longestView(now.cfg), longestView(cfg)); err != nil {
		return system.Reload{}, refused(fmt.Errorf("the other nodes cannot be told of it: %w", err))
	}
	// Who counted on the smaller bound did so before this reading: what they wait for is in it.
	if longer(longestView(now.cfg), longestView(cfg)) {
		if _, err := s.db.CatchUp(ctx); err != nil {
			return system.Reload{}, refused(fmt.Errorf("what the other nodes have changed could not be read, before older views count: %w", err))
		}
	}
	s.takeOver(ctx, made)
	if err := s.describeView(ctx, longestView(cfg)); err != nil {
		s.log.Warn("the other nodes were not told that this one answers by younger views only; they may wait for it longer than they need", "error", err)
	}
	return system.Reload{File: next.File(), Changes: changes, Restart: restart, Warnings: enforce.Warnings(cfg.Routes)}, nil
}

// maxRefusals bounds how many mistakes an answer names.
const maxRefusals = 100

// refused makes the answer to a reload of what is wrong: each mistake under its place.
func refused(err error) error {
	e := *errReloadRefused
	e.Cause, e.Fields = err, map[string]string{}
	var p *config.Problems
	if !errors.As(err, &p) {
		e.Fields["gatehouse.yaml"] = err.Error()
		return &e
	}
	for i, one := range p.List {
		if i == maxRefusals {
			e.Fields["and"] = fmt.Sprintf("%d more; `gatehouse config check` tells all", len(p.List)-i)
			break
		}
		e.Fields[one.Place(p.File)] = one.Err.Error()
	}
	return &e
}
