package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"
	"github.com/gatehouse-auth/gatehouse/store"
)

// noteClock is the note of /readyz while the clock of this machine is off, and the
// database's counts instead.
const noteClock = "clock_off"

// joinWait is how long a start waits for a node that goes on alone to see that it does no
// longer. Then the start goes on, and is not ready.
const joinWait = 3 * time.Second

// lockWait is how long a start waits for the process before it to let the data directory go.
const lockWait = 5 * time.Second

// wireStaleness begins to watch how old the view of the database is, where other processes
// may change what is in it, and returns once it is young.
func (s *Server) wireStaleness(ctx context.Context) error {
	if register := s.db.Sole(); register != nil {
		s.clock.Tell(s.log)
		claim, err := s.claim(ctx)
		if err != nil {
			return err
		}
		s.sole = staleness.NewSole(staleness.SoleConfig{Register: register, Claim: claim, Clock: s.clock, Logger: s.log})
		s.closers = append(s.closers, s.sole.Leave)
		s.sole.Join(ctx, joinWait)
		s.staleness = staleness.New(staleness.Config{Age: s.db.Age, Now: s.now, Sole: s.sole, Limit: s.cfg.Store.MaxStaleness, Logger: s.log})
	}
	s.jobs = append(s.jobs, job{name: "age of the view", run: s.staleness.Run}, job{name: "sole node", run: s.sole.Run})
	return s.staleness.Await(ctx)
}

// claim is what this node says of itself when it asks whether it may go on alone. It takes
// its data directory for itself: a process that has it later knows that this one has ended.
func (s *Server) claim(ctx context.Context) (c staleness.Claim, err error) {
	c.Node = s.db.NodeID()
	if c.Bound, err = s.cfg.Store.AloneFor(); err != nil {
		return c, fmt.Errorf("store.alone: %w", err)
	}
	home, held, err := takeHome(ctx, s.cfg.Data)
	if err != nil {
		return c, err
	}
	s.closers = append(s.closers, func(context.Context) { _ = held.Close() })
	c.Host, c.Home = home.Host, home.Home
	return c, nil
}

// takeHome takes a data directory for this process, until held is closed, and says which one it is.
func takeHome(ctx context.Context, data string) (c staleness.Claim, held io.Closer, err error) {
	home := filepath.Join(data, "node")
	if held, err = store.Lock(ctx, home, lockWait); err != nil {
		return c, nil, fmt.Errorf("data: %w", err)
	}
	if c.Home, err = homeID(home + ".id"); err != nil {
		return c, nil, fmt.Errorf("data: %w", errors.Join(err, held.Close()))
	}
	if c.Host, err = os.Hostname(); err != nil || c.Host == "" {
		c.Home = "" // it proves nothing without the machine: a copy of the directory may be in use elsewhere
	}
	return c, held, nil
}

// homeID names a data directory: by a number that is drawn once and kept in it.
func homeID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(b)); err == nil && len(id) >= 20 && len(id) <= 64 && validHome(id) {
		return id, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	id := rand.Text()
	return id, os.WriteFile(path, []byte(id+"\n"), 0o600)
}

func validHome(id string) bool {
	return !strings.ContainsFunc(id, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') })
}

// longestView is how old a view may get by which this node answers anything; 0 where it
// goes on however old it is.
func longestView(cfg Config) time.Duration {
	longest := cfg.Store.MaxStaleness
	for _, r := range cfg.Routes {
		if r.Stale == enforce.StaleServe {
			return 0
		}
		longest = max(longest, r.MaxStaleness)
	}
	return longest
}

// longer reports whether a node answers by older views with the second bound than with the
// first.
func longer(before, after time.Duration) bool {
	return before != 0 && (after == 0 || after > before)
}

// describeView tells the other nodes for how long this one may answer by an old view, before
// and after a configuration takes the place of another.
func (s *Server) describeView(ctx context.Context, bounds ...time.Duration) error {
	longest := slices.Max(bounds)
	if slices.Contains(bounds, 0) {
		longest = 0
	}
	if longest == s.about.MaxStaleness {
		return nil
	}
	next := s.about
	next.MaxStaleness = longest
	err := s.db.Describe(ctx, next)
	if err == nil {
		s.about = next
	}
	return err
}

// enforcedView is the view as the pipeline asks for it.
func (s *Server) enforcedView() enforce.View {
	if s.staleness == nil {
		return nil
	}
	return s.staleness
}

// enforcedAsking is how the pipeline asks the database about a credential.
func (s *Server) enforcedAsking() enforce.Authenticator {
	if s.asking == nil {
		return nil
	}
	return s.asking
}

// stale reports whether nothing may be answered that follows from the database.
func (s *Server) stale() bool { return s.staleness.Stale(s.now(), 0) }

// alone reports whether nobody else can have changed anything: no other process can be there,
// or none is and those who come wait for this one.
func (s *Server) alone() bool { return s.staleness == nil || s.sole.Holds() && !s.stale() }

// current is the readiness of a node whose view is young enough.
func (s *Server) current(context.Context) error {
	if s.sole.Waits() {
		return enforce.ErrStale.With(errors.New("another node may be answering without the database; the log says which"))
	}
	if s.stale() {
		return enforce.ErrStale.With(fmt.Errorf("what is known of the database is %v old", s.db.Age().Round(time.Millisecond)))
	}
	return nil
}

// refuseStale has h answer only while the view is young enough: it issues and checks
// credentials, and publishes keys and what was revoked. The pages that say nothing of the
// database are answered always; and while this node only waits for another one, whose view
// it does not share, it can be asked about nodes, and told that the other one has stopped.
func (s *Server) refuseStale(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		open := path == "/" || strings.HasPrefix(path, "/errors/") ||
			s.sole.Waits() && strings.HasPrefix(path+"/", adminhttp.Prefix+"/nodes/") && !s.staleness.Old(s.now())
		if !open && s.stale() {
			s.problems.Write(w, r, enforce.ErrStale)
			return
		}
		h.ServeHTTP(w, r)
	})
}
