package counters

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/gatehouse-auth/gatehouse"
)

const (
	// connectTime bounds the making of one connection, which no request waits for beyond
	// Config.Timeout.
	connectTime = time.Second
	// firstPause and longestPause are between two attempts to find a server again.
	firstPause, longestPause = 50 * time.Millisecond, time.Second
	// steadyAfter is how long a server must have been there to be looked for at once when it is
	// lost.
	steadyAfter = 10 * time.Second
	// maxConnections bounds how many connections a process has to the server.
	maxConnections = 64
	// probesOfShards is how many names tell a shard from a whole Cluster: one that has nine of ten
	// counts has all of these once in eight hundred times.
	probesOfShards = 64
	// idleFor is how long a connection is kept that nobody uses: a firewall on the way may
	// forget it, and the next question would wait in vain.
	idleFor = 30 * time.Second
)

// Config of a [Server].
type Config struct {
	Address  string // host:port
	TLS      *tls.Config
	Username string
	Password gatehouse.Secret // "" authenticates by none
	Database int
	// Prefix begins the name of each count.
	Prefix string
	// Secret makes the names of counts: whoever has it can tell whom one counts.
	Secret []byte
	// Timeout bounds one question, the wait for a connection included.
	Timeout time.Duration
	Logger  *slog.Logger
}

// Server is a Redis or Valkey that counts. It is safe for concurrent use. While it is away
// nobody waits for it; [Server.Run] asks until it is there again.
type Server struct {
	cfg     Config
	gcra    script
	uses    script
	current atomic.Pointer[pool] // nil while it is away
	lost    chan struct{}        // somebody found it away

	mu   sync.Mutex
	told string // why it is away, as the log has it; "" while it is there
}

// New returns a server that is away until [Server.Connect].
func New(cfg Config) *Server {
	return &Server{cfg: cfg, gcra: newScript(gcra), uses: newScript(uses), lost: make(chan struct{}, 1)}
}

// Away reports whether the server is known not to answer.
func (s *Server) Away() bool { return s.current.Load() == nil }

// Connect tries to reach a server that is away, within about a second, and reports whether it
// is there. It is not for concurrent use.
func (s *Server) Connect(ctx context.Context) bool {
	if !s.Away() {
		return true
	}
	conn, err := s.dial(ctx)
	if err == nil {
		if err = s.probe(conn); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			s.tell(err)
		}
		return false
	}
	p := newPool(s.dial)
	p.put(conn)
	s.mu.Lock()
	if s.told != "" {
		s.cfg.Logger.Info("the server of the limits is there; they are exact again", "server", s.cfg.Address)
	}
	s.told = ""
	s.current.Store(p)
	s.mu.Unlock()
	return true
}

// probe runs the script as in earnest, at names of its own: a server that answers a ping may
// still be a replica, be full, or let us run nothing. One that has said that it has only some of
// the counts is asked for enough of them to say so again: by one name it may seem to have all.
func (s *Server) probe(conn redis.Conn) error {
	s.mu.Lock()
	names := 1
	if s.told == reasonMoved {
		names = probesOfShards
	}
	s.mu.Unlock()
	for n := range names {
		name := s.cfg.Prefix + "probe"
		if n > 0 {
			name += strconv.Itoa(n)
		}
		if _, err := run(conn, s.cfg.Timeout, s.gcra, []string{name}, int64(time.Millisecond), int64(time.Second), 0); err != nil {
			return err
		}
	}
	return nil
}

// fail takes p for one whose server is away. Of many who find that at once the first is heard.
func (s *Server) fail(p *pool, err error) {
	if !s.current.CompareAndSwap(p, nil) {
		return
	}
	p.close()
	s.tell(err)
	select {
	case s.lost <- struct{}{}:
	default:
	}
}

// tell logs why the server is away, once for each reason.
func (s *Server) tell(err error) {
	why := reason(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if why == s.told {
		return
	}
	s.told = why
	about := []any{"server", s.cfg.Address, "reason", why, "error", err}
	if what := advice(why); what != "" {
		about = append(about, "advice", what)
	}
	s.cfg.Logger.Error("the server of the limits is away; until it is back, each node counts its share", about...)
}

// reasonMoved is the word of a server that is one of several shards of a Cluster.
const reasonMoved = "MOVED"

// advice says what to do about a server that works, and is not one to count on; "" about others.
func advice(why string) string {
	switch why {
	case reasonMoved, "ASK":
		return "Clusters of several shards are not supported: limits.redis.url must lead to one server that has all counts"
	case "READONLY":
		return "a replica cannot count: limits.redis.url must lead to the primary"
	}
	return ""
}

// reason is why a server is away, in a word: its own where it answers.
func reason(err error) string {
	var said redis.Error
	if errors.As(err, &said) {
		word, _, _ := strings.Cut(string(said), " ")
		return word
	}
	return "no answer"
}

// Run looks for the server whenever it is away, until ctx ends: at once, when it was there for
// some time, and else after pauses that grow. One that comes and goes, because it is slow,
// costs those who ask a time-out each time.
func (s *Server) Run(ctx context.Context) error {
	pause, back := firstPause, time.Now()
	for {
		was := s.Away()
		if s.Connect(ctx) {
			if was {
				back = time.Now()
			}
			if !s.rest(ctx, longestPause) {
				return nil
			}
			if !s.Away() {
				continue
			}
			if time.Since(back) > steadyAfter {
				pause = firstPause
				continue
			}
		}
		if !s.rest(ctx, pause) {
			return nil
		}
		pause = min(2*pause, longestPause)
	}
}

// rest waits, while the server is there until it is lost, and reports whether to go on.
func (s *Server) rest(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	lost := s.lost
	if s.Away() {
		lost = nil
		select { // what was lost is known
		case <-s.lost:
		default:
		}
	}
	select {
	case <-ctx.Done():
		if p := s.current.Swap(nil); p != nil {
			p.close()
		}
		return false
	case <-lost:
	case <-t.C:
	}
	return true
}

// dial makes a connection and says who we are.
func (s *Server) dial(ctx context.Context) (redis.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	options := []redis.DialOption{redis.DialContextFunc((&net.Dialer{}).DialContext), redis.DialUsername(s.cfg.Username), redis.DialPassword(s.cfg.Password.Reveal()),
		redis.DialDatabase(s.cfg.Database), redis.DialReadTimeout(connectTime), redis.DialWriteTimeout(connectTime),
		redis.DialTLSHandshakeTimeout(connectTime)}
	if s.cfg.TLS != nil {
		options = append(options, redis.DialUseTLS(true), redis.DialTLSConfig(s.cfg.TLS))
	}
	return redis.DialContext(ctx, "tcp", s.cfg.Address, options...)
}
