package feed

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	defaultPoll = time.Second
	defaultKeep = 10 * time.Minute
	// ioTimeout bounds each step of reading: a server that stopped answering costs the
	// connection, not the node.
	ioTimeout = 2 * time.Second
	// deafAfter is how many readings in a row bring rows that nobody announced before
	// notifications are taken to be lost.
	deafAfter = 3
	// removeAtOnce is how many rows one statement removes.
	removeAtOnce = 1000
)

var errNotCurrent = errors.New("feed: another server has taken over from the one that was read")

// Config is what a [Follower] needs.
type Config struct {
	// Connect opens a connection to the primary, for the follower alone. It must not
	// lead through a transaction pooler: notifications get lost there.
	Connect func(context.Context) (*pgx.Conn, error)
	// Exec runs one statement in a transaction of its own, on another connection, and
	// tells how many rows it returned or changed.
	Exec func(ctx context.Context, statement string, args ...any) (int64, error)
	// Query is Exec for a statement that returns rows, each of which is given to each.
	Query func(ctx context.Context, statement string, args []any, each func(scan func(dest ...any) error) error) error
	// Current reports whether a connection of Connect still leads to the primary, as far as is
	// known: what a server says that another one has taken over from is not applied.
	Current func(*pgx.Conn) bool
	// Node is this process, unlike every other one and every earlier start. Its own rows
	// are not given to Apply: they have had their effect.
	Node string
	// Self is what the others are told of this node.
	Self Self
	// Apply is given what others wrote, each row at least once.
	Apply func([]Row)
	// Reload forgets everything and loads it anew. While it fails, it is called again.
	Reload func(ctx context.Context, reason string) error
	Logger *slog.Logger
	// Poll is how often the feed is read when nobody wakes the follower, and how old
	// the newest row gets before it writes a heartbeat: a second when zero.
	Poll time.Duration
	// Keep is how long rows are kept: ten minutes when zero. Who was away for longer
	// loads everything anew.
	Keep time.Duration
}

// Follower reads the feed of one database and applies it, until [Follower.Run]
// ends.
type Follower struct {
	cfg   Config
	ready chan struct{}
	once  sync.Once
	fresh atomic.Pointer[time.Time] // when the view was known to be whole, by our own clocks
	doubt atomic.Bool
	queue queue // who waits for a reading
	looks looks // who waits for what others have applied
	// prompted has this node tell at once how far it is.
	prompted atomic.Bool
	answers  answers // to what it was asked
	presence

	// The rest belongs to Run alone.
	reader      reader
	newest      time.Time // when the newest row known was written, by the database's clock
	woken       bool
	heard       bool // since the last reading
	unannounced int
	justHere    bool // the connection is new: what it reads first was announced before it listened
	deaf        bool // rows come that were never announced
	marks       []mark
	chores      chan struct{} // holds a token while nothing is being written
}

// mark is a position with the time at which it was taken.
type mark struct {
	at       time.Time
	snapshot snapshot
}

// New returns a follower that has read nothing yet.
func New(cfg Config) (*Follower, error) {
	if cfg.Connect == nil || cfg.Current == nil || cfg.Exec == nil || cfg.Query == nil || cfg.Node == "" || cfg.Apply == nil || cfg.Reload == nil {
		return nil, errors.New("feed: a part is missing")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Poll == 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Keep == 0 {
		cfg.Keep = defaultKeep
	}
	f := &Follower{cfg: cfg, ready: make(chan struct{}), chores: make(chan struct{}, 1), queue: newQueue(), looks: looks{next: newLook()}}
	f.chores <- struct{}{}
	f.self.Store(&cfg.Self)
	return f, nil
}

// Ready is closed once the feed was read for the first time: what is loaded from
// the database after that misses nothing.
func (f *Follower) Ready() <-chan struct{} { return f.ready }

// Age tells how old the view of this node is at most: everything that was committed
// longer ago has been applied. It is measured from the newest row that somebody
// committed, by the database's clock, and from there by the slower and the faster of
// this node's two clocks, so that neither a machine that was suspended nor one whose
// time of day is set makes a view younger than it is. It is not younger either than what
// this node last told of itself: whoever hears nothing of a node for longer than its
// MaxStaleness knows that it answers no more by its view. Before the first reading it is
// without end.
func (f *Follower) Age() time.Duration {
	fresh, told := f.fresh.Load(), f.told.Load()
	if fresh == nil || told == nil {
		return math.MaxInt64
	}
	now := time.Now()
	return max(since(now, *fresh), since(now, *told), 0)
}

// since is how long ago that was, by the one of our two clocks that says more.
func since(now, t time.Time) time.Duration { return max(now.Sub(t), now.Round(0).Sub(t.Round(0))) }

// Forget has the follower load everything anew: somebody may have written who does
// not append to the feed.
func (f *Follower) Forget() { f.doubt.Store(true) }

// Prompt has this node tell the others, after the reading of which Apply is being given
// the rows, how far it is: somebody waits for that, who appended row. With answer, he asks
// something too: it is called once the row and everything before it was applied, has
// [answerTime], and what it returns is told with the rest.
func (f *Follower) Prompt(row Row, answer func(context.Context) string) {
	if answer != nil {
		f.answers.ask(row.XID, answer)
	}
	f.prompted.Store(true)
}

// Run follows the feed until ctx is done. A lost connection is made anew, for as
// long as it takes.
func (f *Follower) Run(ctx context.Context) {
	const shortest, longest = 50 * time.Millisecond, time.Second
	pause := time.Duration(0)
	told := false
	for ctx.Err() == nil {
		err := f.follow(ctx, func() {
			if told {
				f.cfg.Logger.Info("the database's feed is read again")
			}
			pause, told = 0, false
		})
		f.queue.lost()
		if ctx.Err() != nil {
			break
		}
		if !told {
			f.cfg.Logger.Warn("the database's feed cannot be read", "error", err)
			told = true
		}
		pause = min(max(2*pause, shortest), longest)
		wait(ctx, pause)
	}
	<-f.chores // what is being written ends by itself, or with ctx
	f.running.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// follow reads over one connection until it breaks. works is called after each
// reading.
func (f *Follower) follow(ctx context.Context, works func()) error {
	conn, err := f.listen(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), ioTimeout)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if err := f.register(ctx); err != nil { // a standby that was promoted may not know of us
		return err
	}
	f.reader.reconnected()
	f.justHere = true
	for proof := f.reader.proof; ; proof = (Row{}) {
		f.woken = false
		began := time.Now()
		if err := f.step(ctx, conn, proof); err != nil {
			return err
		}
		works()
		// Whoever is first to find the feed quiet writes a heartbeat, which wakes the
		// others: they must not all be first.
		for until := time.Now().Add(f.cfg.Poll + rand.N(f.cfg.Poll/2)); !f.woken && !f.doubt.Load() && ctx.Err() == nil; {
			waiting, cancel := context.WithCancel(ctx)
			due := until
			if f.queue.wakes(cancel) && began.Add(syncPace).Before(until) {
				due = began.Add(syncPace)
			}
			rest := time.AfterFunc(time.Until(due), cancel)
			err := conn.PgConn().WaitForNotification(waiting)
			ended := waiting.Err() != nil
			rest.Stop()
			cancel()
			if err != nil && !ended {
				return err
			}
			if !time.Now().Before(due) {
				break
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// listen opens the connection and asks to be woken.
func (f *Follower) listen(ctx context.Context) (*pgx.Conn, error) {
	opening, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	conn, err := f.cfg.Connect(opening)
	if err != nil {
		return nil, err
	}
	var name string
	err = conn.QueryRow(opening, `SELECT `+channel).Scan(&name)
	if err == nil {
		_, err = conn.Exec(opening, `LISTEN `+pgx.Identifier{name}.Sanitize())
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(opening))
	}
	return conn, nil
}

// Notified is what a connection of Connect must be configured with as its
// OnNotification.
func (f *Follower) Notified(_ *pgconn.PgConn, n *pgconn.Notification) {
	f.heard = true
	if n.Payload != f.cfg.Node { // our own changes are no news; our own heartbeats are
		f.woken = true
	}
}

// step reads once and applies what it finds.
func (f *Follower) step(ctx context.Context, conn *pgx.Conn, proof Row) error {
	reading, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	if !f.registered() {
		if err := f.register(reading); err != nil {
			return err
		}
	}
	asked := time.Now()
	f.queue.begin()
	doubt := f.doubt.Swap(false) // before the reading: who doubts later gets another one
	g, err := read(reading, conn, f.reader.last, proof)
	if err == nil && !f.cfg.Current(conn) {
		err = errNotCurrent
	}
	if err != nil {
		f.doubt.Store(f.doubt.Load() || doubt)
		return err
	}
	why := f.reader.judge(g)
	if doubt && why == "" {
		why = reloadDoubt
	}
	if why != "" {
		if err := f.reload(ctx, g, why); err != nil {
			f.doubt.Store(true)
			return err
		}
	} else {
		if others := f.others(g.rows); len(others) > 0 {
			f.cfg.Apply(others)
		}
		f.reader.accept(g)
	}
	prompted := f.prompted.Swap(false)
	if !f.doubt.Load() { // else the next reading loads what these rows did not say
		f.queue.done(g.now)
		f.place.Store(&Place{f.reader.history.String(), f.reader.last.String()})
	}
	f.listening(g.rows)
	f.aged(g, asked)
	if prompted {
		f.tell(ctx, false)
	}
	f.chore(ctx, g)
	return nil
}

// reload loads everything anew. What a copy of another cluster brought along is
// removed first, lest it be taken for news later.
func (f *Follower) reload(ctx context.Context, g reading, why reloadReason) error {
	for _, statement := range []string{cleanRows, cleanFloor} {
		if _, err := f.exec(ctx, statement); err != nil {
			return err
		}
	}
	if why != reloadFirst {
		f.cfg.Logger.Warn("everything is loaded anew from the database", "reason", string(why))
	}
	if err := f.cfg.Reload(ctx, string(why)); err != nil {
		return err
	}
	f.reader.reloaded(g)
	f.marks = nil
	f.once.Do(func() { close(f.ready) })
	return nil
}

func (f *Follower) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	writing, cancel := context.WithTimeout(ctx, 2*ioTimeout)
	defer cancel()
	return f.cfg.Exec(writing, statement, args...)
}

// others leaves out our own rows and the heartbeats.
func (f *Follower) others(rows []Row) (out []Row) {
	for _, row := range rows {
		if row.Node != f.cfg.Node && row.Changes != nil {
			out = append(out, row)
		}
	}
	return out
}

// listening notices when rows come that should have been announced and were not.
func (f *Follower) listening(rows []Row) {
	switch {
	case f.heard:
		f.unannounced = 0
		if f.deaf {
			f.deaf = false
			f.cfg.Logger.Info("changes are announced again")
		}
	case len(rows) > 0 && !f.justHere:
		if f.unannounced++; f.unannounced >= deafAfter && !f.deaf {
			f.deaf = true
			f.cfg.Logger.Error("changes of other nodes are not announced (is there a transaction pooler in front of PostgreSQL?); they take effect at the next poll",
				"poll", f.cfg.Poll.String())
		}
	}
	f.heard, f.justHere = false, false
}

// aged notes how old the view is: as old as the newest row was when the statement
// read it, and not younger than the asking. On a server that others no longer take
// for the primary no row can be committed, so the view gets old there.
func (f *Follower) aged(g reading, asked time.Time) {
	if len(g.rows) == 0 {
		return
	}
	f.newest = newest(g.rows)
	fresh := asked.Add(-max(g.now.Sub(f.newest), 0))
	if old := f.fresh.Load(); old == nil || fresh.After(*old) {
		f.fresh.Store(&fresh)
	}
}

// chore has done what is due, beside the readings: a COMMIT may take for ever while a
// synchronous standby is away.
func (f *Follower) chore(ctx context.Context, g reading) {
	if f.marks == nil || time.Since(f.marks[len(f.marks)-1].at) > f.cfg.Keep/16 {
		f.marks = append(f.marks, mark{time.Now(), g.snapshot})
	}
	quiet := g.now.Sub(f.newest)
	beat := quiet >= f.cfg.Poll || quiet < -f.cfg.Poll // the database's clock was set back
	if beat || time.Since(f.began) >= f.cfg.Poll {
		f.began = time.Now()
		f.tell(ctx, beat)
	}
	if time.Since(f.marks[0].at) <= f.cfg.Keep {
		return
	}
	select {
	case <-f.chores:
	default:
		return
	}
	floor := f.marks[0].snapshot
	f.marks = f.marks[1:]
	go func() {
		defer func() { f.chores <- struct{}{} }()
		if err := f.remove(ctx, g.floor, floor); err != nil && ctx.Err() == nil {
			f.cfg.Logger.Warn("old rows of the feed could not be removed", "error", err)
		}
	}()
}

// remove removes every row that the floor has seen. Everybody is told first: who
// has not seen as much loads everything anew.
func (f *Follower) remove(ctx context.Context, have, floor snapshot) error {
	before := ""
	if !have.empty() {
		if before = have.String(); !floor.covers(have) {
			return nil // another node has removed more
		}
	}
	if n, err := f.exec(ctx, raiseFloor, floor.String(), before); err != nil || n == 0 {
		return err // or another node was quicker
	}
	for {
		n, err := f.exec(ctx, removeRows, int64(floor.xmax), signed(floor.inProgress), removeAtOnce)
		if err != nil || n < removeAtOnce {
			return err
		}
	}
}
