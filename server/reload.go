package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// Reload is what SIGHUP asks for. The file of the audit log is opened anew, since a
// rotation may have given its name to another one. Then the configuration at path is
// read and checked as at start, and its routes take the place of those in force, at
// once and all of them: requests that are being judged keep theirs, and what is open is
// judged by the new ones from its next turn on. Other keys take a restart, and those
// that differ are told.
//
// When anything is wrong, the routes stay as they are, and the error says what it is.
// Either way the log and the record (config.reload) have it.
func (s *Server) Reload(path string, environ []string) error {
	err := s.reload(path, environ)
	e := &gatehouse.Event{Realm: gatehouse.MainRealm, Kind: audit.KindConfigReload, Outcome: gatehouse.OutcomeSuccess}
	if err != nil {
		e.Outcome, e.Reason = gatehouse.OutcomeError, "refused"
		s.log.Error("the configuration was not reloaded; what was in force stays", "error", err)
	}
	s.record.Record(e)
	return err
}

func (s *Server) reload(path string, environ []string) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.auditFile != nil {
		if err := s.auditFile.Reopen(); err != nil {
			return fmt.Errorf("audit.file: %w", err)
		}
	}
	next, err := LoadConfig(path, environ)
	if err != nil {
		return err
	}
	for i := range next.Routes {
		if name := next.Routes[i].Upstream; name != "" {
			if _, known := s.cfg.Upstreams[name]; !known {
				return fmt.Errorf("routes[%d]: upstream %q is new, which takes a restart", i, name)
			}
		}
	}
	others, err := differing(s.cfg, next)
	if err != nil {
		return err
	}
	if err := s.pipeline.SetRoutes(next.Routes); err != nil {
		return err
	}
	s.metrics.SetRoutes(s.pipeline.RouteIDs())
	s.log.Info("reloaded", "routes", len(next.Routes))
	s.warnOfNames(context.Background(), next.Routes)
	if len(others) > 0 {
		s.log.Warn("these keys differ from those in force and take a restart", "keys", strings.Join(others, ", "))
	}
	return nil
}

// differing names the keys of two configurations that differ, routes aside. Values are
// not told: some are secrets.
func differing(a, b Config) ([]string, error) {
	one, errA := members(a)
	two, errB := members(b)
	if err := errors.Join(errA, errB); err != nil {
		return nil, err
	}
	all := maps.Clone(one)
	maps.Copy(all, two)
	delete(all, "routes")
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if string(one[name]) != string(two[name]) {
			out = append(out, name)
		}
	}
	return out, nil
}

func members(c Config) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	return out, json.Unmarshal(text, &out)
}
