package server

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/ldap"
	"github.com/gatehouse-auth/gatehouse/internal/lease"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// TestJobsAreToldOf compares the work that a server does in the background with the table
// of docs/jobs.md: what there is, and what needs a lease.
func TestJobsAreToldOf(t *testing.T) {
	h := newHouse(t)
	h.cfg.Audit.Retention, h.cfg.Limits.Redis.URL = time.Hour, "redis://127.0.0.1:1"
	h.cfg.Audit.File = filepath.Join(t.TempDir(), "audit.jsonl")
	h.cfg.LDAP = map[string]config.LDAP{"main": {CheckEvery: time.Hour, PasswordFile: h.cfg.Audit.File + ".password", Search: ldap.Search{URL: "ldap://127.0.0.1:1", BindDN: "cn=reader", Base: "dc=example",
		Filter: "(uid={username})", UsernameAttribute: "uid", Timeout: time.Second}}}
	if err := os.WriteFile(h.cfg.LDAP["main"].PasswordFile, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start()
	have, want := map[string]bool{}, map[string]bool{}
	for _, j := range h.s.jobs {
		have[j.name] = j.lease != ""
	}
	page, err := os.ReadFile("../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.HasPrefix(line, "|--") || strings.HasPrefix(line, "| work ") {
			continue
		}
		want[strings.TrimSpace(cells[1])] = strings.Contains(cells[2], "under a lease")
	}
	if !maps.Equal(have, want) {
		t.Errorf("the server does %v, the page says %v", have, want)
	}
}

// TestServerHoldsItsLeases: a server works under the leases that its work needs, and gives
// all of them back when it ends.
func TestServerHoldsItsLeases(t *testing.T) {
	h := newHouse(t)
	h.cfg.Audit.File = filepath.Join(t.TempDir(), "audit.jsonl")
	h.start()
	testwait.Until(t, 10*time.Second, "the leases are held", func() bool {
		held := h.leases(t)
		return held["audit file:audit.jsonl"] > 0 && held["audit sequencer"] > 0 && held["grant expiry"] > 0
	})
	taken, err := h.s.db.AcquireLease(t.Context(), "audit sequencer", "somebody else", 0)
	if err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, 10*time.Second, "the sequencer finds out, and takes its lease again", func() bool {
		h.s.recordLife(audit.KindServerStart, nil)
		return h.leases(t)["audit sequencer"] == taken.Epoch+1
	})
	h.stop()
	if held := h.leases(t); len(held) > 0 {
		t.Errorf("after its end the server holds %v", held)
	}
}

// leases are those that somebody holds, with their epochs.
func (h *house) leases(t *testing.T) map[string]int64 {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+databasePath(h.cfg.Data)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	rows, err := raw.QueryContext(t.Context(), `SELECT name, epoch FROM leases WHERE holder<>''`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var name string
		var epoch int64
		if err := rows.Scan(&name, &epoch); err != nil {
			t.Fatal(err)
		}
		out[name] = epoch
	}
	return out
}

// terms is a store that tells with which term it is asked.
type terms struct {
	lease.Store
	asked chan time.Duration
}

func (s terms) AcquireLease(_ context.Context, _, _ string, term time.Duration) (lease.Lease, error) {
	s.asked <- term
	return lease.Lease{}, errors.New("enough")
}

func (terms) LeasesOfOthers(context.Context, string) ([]string, error) { return nil, nil }

// TestLeasesOfOneAloneHaveNoEnd: only a process among others has leases that it must renew.
func TestLeasesOfOneAloneHaveNoEnd(t *testing.T) {
	for shared, want := range map[bool]time.Duration{false: 0, true: lease.Term} {
		ctx, cancel := context.WithCancel(t.Context())
		s := terms{asked: make(chan time.Duration, 1)}
		k := newLeases(s, "node", shared, slog.New(slog.NewTextHandler(io.Discard, nil)))
		done := make(chan error, 1)
		go func() { done <- k.Hold(ctx, "w", func(context.Context) error { return nil }) }()
		if got := <-s.asked; got != want {
			t.Errorf("shared %v: for %v, not %v", shared, got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
