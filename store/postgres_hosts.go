package store

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// headStart is how long a server is asked alone before the next one is asked beside it.
const headStart = 250 * time.Millisecond

// servers are the machines that a DSN names, one of which is the primary. What is left of
// one that failed may take connections and say nothing: to ask one after the other, as pgx
// does, would wait for it each time, and longer than a heartbeat may take.
type servers struct {
	logger *slog.Logger
	last   atomic.Int32            // the number of the one that was the primary last
	newest atomic.Pointer[history] // the latest one that was met; nil before the first primary
	reign  atomic.Pointer[reign]
	told   atomic.Int64 // when the log was told of a primary that is none, in nanoseconds since 1970
}

func newServers(logger *slog.Logger) *servers {
	s := &servers{logger: logger}
	s.reign.Store(newReign())
	return s
}

// server is how to connect to one of them.
type server struct {
	number int32
	ways   []*pgconn.FallbackConfig // more than one with some of the values of sslmode
}

// order lists the servers of config, that of last time first.
func (s *servers) order(config *pgx.ConnConfig) (list []server) {
	ways := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	for i, way := range ways {
		if i == 0 || way.Host != ways[i-1].Host || way.Port != ways[i-1].Port {
			list = append(list, server{number: int32(len(list))})
		}
		at := &list[len(list)-1].ways
		*at = append(*at, way)
	}
	if last := int(s.last.Load()); last > 0 && last < len(list) {
		list = append([]server{list[last]}, append(list[:last:last], list[last+1:]...)...)
	}
	return list
}

// use has config lead along ways, in their order.
func use(config *pgx.ConnConfig, ways []*pgconn.FallbackConfig) {
	config.Host, config.Port, config.TLSConfig = ways[0].Host, ways[0].Port, ways[0].TLSConfig
	config.Fallbacks = ways[1:]
}

// sort has config ask the one that was the primary last first.
func (s *servers) sort(config *pgx.ConnConfig) {
	var ways []*pgconn.FallbackConfig
	for _, one := range s.order(config) {
		ways = append(ways, one.ways...)
	}
	use(config, ways)
}

// connect connects to the first server that answers and is what the DSN's
// target_session_attrs ask for. The first time all are asked: two may take themselves for
// the primary, and only then is it seen which was promoted later.
func (s *servers) connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	list := s.order(config)
	if len(list) == 1 {
		return pgx.ConnectConfig(ctx, config)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		number int32
		conn   *pgx.Conn
		err    error
	}
	results := make(chan result, len(list))
	asked, open := 0, 0
	ask := func() {
		if asked == len(list) {
			return
		}
		one, own := list[asked], config.Copy()
		use(own, one.ways)
		asked, open = asked+1, open+1
		go func() {
			conn, err := pgx.ConnectConfig(ctx, own)
			results <- result{one.number, conn, err}
		}()
	}
	ask()
	compare := s.newest.Load() == nil
	for compare && asked < len(list) {
		ask()
	}
	next := time.NewTicker(headStart)
	defer next.Stop()
	var found *result
	var all []error
	for late := false; open > 0 && !late; {
		select {
		case <-next.C:
			ask()
			late = found != nil
		case r := <-results:
			open--
			switch {
			case r.err != nil:
				all = append(all, r.err)
				ask()
			case found == nil:
				found = &r
				next.Reset(headStart)
			case s.current(found.conn.PgConn()) && (found.number < r.number || !s.current(r.conn.PgConn())):
				_ = closeQuietly(r.conn)
			default:
				_ = closeQuietly(found.conn)
				found = &r
			}
			late = found != nil && !compare
		}
	}
	go func(open int) { // who is late is not needed
		for range open {
			if r := <-results; r.err == nil {
				_ = closeQuietly(r.conn)
			}
		}
	}(open)
	if found == nil {
		return nil, errors.Join(all...)
	}
	s.last.Store(found.number)
	return found.conn, nil
}
