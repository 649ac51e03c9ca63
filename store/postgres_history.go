package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// askServer says who serves a connection, and of a primary which history it has.
	askServer = `SELECT pg_backend_pid(), CASE WHEN pg_is_in_recovery() THEN '' ELSE
		(SELECT system_identifier FROM pg_control_system())||'/'||substr(pg_walfile_name(pg_current_wal_lsn()),1,8) END`
	// askBackend is the first half of it, for servers that cannot answer the other one.
	askBackend = `SELECT pg_backend_pid(), ''`

	// backendKey is where a connection keeps the id of the server's process that serves it,
	// historyKey where it keeps the history that it leads to.
	backendKey = "gatehouse backend"
	historyKey = "gatehouse history"

	// lookAroundEvery is how often the other servers of a DSN are asked whether one of them
	// has become the primary, and lookAroundOld how often while nothing comes from the one
	// that is believed to be.
	lookAroundEvery = 10 * time.Second
	lookAroundOld   = 2 * time.Second
	// oldHere is how old the view is when nothing comes any more.
	oldHere = 3 * time.Second
	// tellOldPrimary is how often the log is told of a primary that is none any more.
	tellOldPrimary = time.Minute
)

var errOldPrimary = errors.New("store: this server takes itself for the primary, but another one was promoted in its place")

// history is what a primary has written: of a cluster, by its number, on one of its
// timelines, of which each promotion begins a higher one (8 hexadecimal digits).
type history struct{ system, timeline string }

// before reports whether a standby was promoted between h and later: who still writes h is
// a primary that came back, or was never stopped. Nothing can be said of two clusters.
func (h history) before(later history) bool {
	return h.system == later.system && h.timeline < later.timeline
}

// check has every connection of config, whatever server it leads to, refused where a later
// history is known. It comes after what the DSN says of it (target_session_attrs), by which
// a primary that came back is as good as the other one. ordered says that histories can be
// asked for.
func (s *servers) check(config *pgx.ConnConfig, ordered bool) {
	before, ask := config.ValidateConnect, askBackend
	if ordered {
		ask = askServer
	}
	config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if before != nil {
			if err := before(ctx, conn); err != nil {
				return err
			}
		}
		return s.meet(ctx, conn, ask)
	}
}

// meet asks a new connection where it leads. What the protocol says at its start of the
// process is not enough: a pooler tells an id of its own there.
func (s *servers) meet(ctx context.Context, conn *pgconn.PgConn, ask string) error {
	r := conn.ExecParams(ctx, ask, nil, nil, nil, nil).Read()
	if r.Err != nil {
		return r.Err
	}
	if len(r.Rows) != 1 || len(r.Rows[0]) != 2 {
		return fmt.Errorf("store: %d rows say who serves the connection", len(r.Rows))
	}
	pid, err := strconv.ParseInt(string(r.Rows[0][0]), 10, 64)
	if err != nil {
		return err
	}
	conn.CustomData()[backendKey] = pid
	var h history
	var primary bool
	if h.system, h.timeline, primary = strings.Cut(string(r.Rows[0][1]), "/"); !primary {
		return nil
	}
	conn.CustomData()[historyKey] = h
	for {
		newest := s.newest.Load()
		switch {
		case newest != nil && h.before(*newest):
			s.tellOld(conn, h, *newest)
			return errOldPrimary
		case newest != nil && *newest == h:
			return nil
		case s.newest.CompareAndSwap(newest, &h):
			if newest != nil && newest.before(h) {
				s.reign.Swap(newReign()).end()
			}
			return nil
		}
	}
}

// reign lasts until another server is known to have become the primary.
type reign struct {
	over context.Context
	end  context.CancelFunc
}

func newReign() *reign {
	var r reign
	r.over, r.end = context.WithCancel(context.Background())
	return &r
}

// meanwhile has what is done on a connection given up as soon as another server is known to
// have taken over from the one that it leads to, which may hang for ever: others wait for the
// connection, and for the place of a commit in the order of changes. nil is any connection.
// The function that it returns ends that.
func (s *servers) meanwhile(conn *pgconn.PgConn, giveUp context.CancelFunc) (stop func() bool) {
	stop = context.AfterFunc(s.reign.Load().over, giveUp)
	if conn != nil && !s.current(conn) { // it was over before we asked
		giveUp()
	}
	return stop
}

// current reports whether a connection leads to no primary that another one has taken over
// from since it was made.
func (s *servers) current(conn *pgconn.PgConn) bool {
	h, known := conn.CustomData()[historyKey].(history)
	newest := s.newest.Load()
	return !known || newest == nil || !h.before(*newest)
}

func (s *servers) tellOld(conn *pgconn.PgConn, h, newest history) {
	now, told := time.Now().UnixNano(), s.told.Load()
	if told != 0 && now-told < int64(tellOldPrimary) || !s.told.CompareAndSwap(told, now) {
		return
	}
	s.logger.Error("a server takes itself for the primary, but another one was promoted in its place: nothing is read from it and nothing written to it; "+
		"stop it (where an older database was put in place on purpose, start this node anew)",
		"server", conn.Conn().RemoteAddr().String(), "timeline", h.timeline, "newest", newest.timeline)
}

// watch asks the other servers now and then whether one of them is the primary now. A
// primary that was never stopped takes connections and may even commit, so nobody would
// look elsewhere.
func (s *servers) watch(ctx context.Context, config *pgx.ConnConfig, age func() time.Duration) {
	if len(s.order(config)) == 1 {
		return
	}
	tick := time.NewTicker(lookAroundOld)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if time.Since(last) >= lookAroundEvery || age() > oldHere {
			s.lookAround(ctx, config)
			last = time.Now()
		}
	}
}

func (s *servers) lookAround(ctx context.Context, config *pgx.ConnConfig) {
	ctx, cancel := context.WithTimeout(ctx, lookAroundOld)
	defer cancel()
	for _, one := range s.order(config)[1:] {
		own := config.Copy()
		use(own, one.ways)
		before := s.newest.Load()
		conn, err := pgx.ConnectConfig(ctx, own)
		if err != nil {
			continue // a standby, or one that is away
		}
		_ = closeQuietly(conn)
		if s.newest.Load() != before {
			s.last.Store(one.number)
		}
	}
}
