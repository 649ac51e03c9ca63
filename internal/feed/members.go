package feed

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Self is what a node tells of itself.
type Self struct {
	Host, Version string
	Addresses     string // where it can be reached, in the caller's own form
	StartedAt     time.Time
	// MaxStaleness is how old its view may get before it answers no more by it. 0: it goes
	// on, however old the view is, and must not be taken for one that has stopped.
	MaxStaleness time.Duration
}

// member is a node as its row in the table of nodes tells.
type member struct {
	ID string
	Self
	SeenAt time.Time     // when the row was written, by the database's clock
	Silent time.Duration // how long that was ago when the row was read, by the same clock
	Place
	Age     time.Duration // how old its view was when it wrote the row; without end before the first reading
	answers map[uint64]string
}

// Place is how far a node has applied the feed. The zero Place is nowhere.
type Place struct {
	History  string // "system/timeline"; positions of two histories cannot be compared
	Position string // a snapshot, in PostgreSQL's text form
}

const (
	// LiveFor is how long a node counts as alive that has not written its row again.
	LiveFor = 5 * time.Second

	memberColumns = `host, version, addresses, started_at, max_staleness, seen_at, history, position, age, answers`

	// tellSelf writes the row of a node, with a heartbeat of the feed when $10 says so, and
	// returns all rows as they were before. Without a heartbeat ($10) or a first row ($11)
	// nobody waits for a disk: what a crash takes away is written again within a second, and
	// until then the row says less than is true.
	tellSelf = `WITH told AS (INSERT INTO nodes (id, ` + memberColumns + `) VALUES ($1,$2,$3,$4,$5,$6,` + clock + `,$7,$8,$9,$12)
			ON CONFLICT (id) DO UPDATE SET host=excluded.host, version=excluded.version, addresses=excluded.addresses, started_at=excluded.started_at,
				max_staleness=excluded.max_staleness, seen_at=excluded.seen_at, history=excluded.history, position=excluded.position, age=excluded.age, answers=excluded.answers
			RETURNING set_config('synchronous_commit', CASE WHEN $10 OR $11 THEN current_setting('synchronous_commit') ELSE 'off' END, true)),
		beat AS (INSERT INTO feed (xid, node, written_at, changes)
			SELECT pg_current_xact_id()::text::bigint, $1, ` + clock + `, NULL WHERE $10 RETURNING pg_notify(` + channel + `, '')::text)
		SELECT s.now, s.told+s.beat, n.id, n.host, n.version, n.addresses, n.started_at, n.max_staleness, n.seen_at, n.history, n.position, n.age
		FROM (SELECT ` + clock + ` AS now, (SELECT count(*) FROM told) AS told, (SELECT count(*) FROM beat) AS beat) AS s LEFT JOIN nodes AS n ON true`

	// forgetMember removes the row of a node that has not been written since it was looked at.
	forgetMember = `DELETE FROM nodes WHERE id=$1 AND seen_at=$2`
	forgetSelf   = `DELETE FROM nodes WHERE id=$1`
)

// presence keeps this node's row among the nodes, and what it read of the others.
type presence struct {
	self    atomic.Pointer[Self]
	place   atomic.Pointer[Place] // what has been applied
	members atomic.Pointer[[]member]
	began   time.Time // of the newest writing, for Run alone
	// told is when the newest writing began that succeeded, by our own clocks.
	told atomic.Pointer[time.Time]

	mu      sync.Mutex
	owed    bool // the row is to be written again
	beat    bool // and a heartbeat with it
	busy    bool // somebody writes it
	running sync.WaitGroup
	seen    map[string]sighting
}

// sighting is since when this node has seen a row unchanged, by its own clock: the
// database's may be set, and would make the others silent who are not.
type sighting struct {
	at    time.Time // SeenAt of the row
	since time.Time
}

// Describe changes what this node tells of itself, and returns when the others can know.
// What lets it answer by an older view must be described before it is done.
func (f *Follower) Describe(ctx context.Context, self Self) error {
	f.self.Store(&self)
	return f.register(ctx)
}

// listed are the nodes as this one saw them last, about a second ago.
func (f *Follower) listed() []member {
	if m := f.members.Load(); m != nil {
		return *m
	}
	return nil
}

// Live tells how many nodes are alive, this one among them, and how many are listed and
// silent, as it was last seen.
func (f *Follower) Live() (live, silent int) {
	live = 1
	for _, m := range f.listed() {
		switch {
		case m.ID == f.cfg.Node:
		case m.alive():
			live++
		default:
			silent++
		}
	}
	return live, silent
}

// alive tells that the node wrote its row a moment ago.
func (m member) alive() bool { return m.Silent < LiveFor }

// register sees to it that the row of this node is there, for good. It comes before each
// reading that a view may begin with: who counts the nodes after a commit either finds this
// one, or this one reads later, and sees the commit.
func (f *Follower) register(ctx context.Context) error { return f.write(ctx, false, true) }

// registered tells that nobody can have removed our row for being silent.
func (f *Follower) registered() bool {
	told := f.told.Load()
	return told != nil && since(time.Now(), *told) < f.cfg.Keep/2
}

// tell has the row of this node written, by one writer at a time, who writes what is true
// when he begins.
func (f *Follower) tell(ctx context.Context, beat bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed, f.beat = true, f.beat || beat
	if f.busy {
		return
	}
	f.busy = true
	f.running.Go(func() {
		for {
			f.mu.Lock()
			owed, beat := f.owed, f.beat
			f.owed, f.beat, f.busy = false, false, owed
			f.mu.Unlock()
			if !owed {
				return
			}
			if err := f.write(ctx, beat, false); err != nil && ctx.Err() == nil {
				f.cfg.Logger.Warn("a heartbeat could not be written", "error", err)
			}
		}
	})
}

// write writes the row once, and notes what the others' rows say.
func (f *Follower) write(ctx context.Context, beat, durable bool) error {
	self, place := f.self.Load(), f.place.Load()
	if self == nil {
		self = &Self{}
	}
	if place == nil {
		place = &Place{}
	}
	answers := f.answers.text(ctx, place.Position)
	age := int64(math.MaxInt64)
	if a := f.Age(); a != math.MaxInt64 {
		age = a.Microseconds()
	}
	began := time.Now()
	writing, cancel := context.WithTimeout(ctx, 2*ioTimeout)
	defer cancel()
	var members []member
	err := f.cfg.Query(writing, tellSelf, []any{f.cfg.Node, self.Host, self.Version, self.Addresses, self.StartedAt.UnixMicro(), self.MaxStaleness.Microseconds(),
		place.History, place.Position, age, beat, durable, answers}, func(scan func(...any) error) error {
		m, there, err := scanMember(scan)
		if err == nil && there {
			members = append(members, m)
		}
		return err
	})
	if err != nil {
		return err
	}
	f.told.Store(&began)
	f.members.Store(&members)
	f.sight(ctx, members, began)
	if !durable && !slices.ContainsFunc(members, func(m member) bool { return m.ID == f.cfg.Node }) {
		// Somebody took us for one that has stopped, and may have waited for nobody since.
		f.Forget()
	}
	return nil
}

// scanMember reads a row that tellSelf returned; the row of the very first node does not
// exist yet.
func scanMember(scan func(...any) error) (m member, there bool, err error) {
	var now, written int64
	var id, host, version, addresses, history, position *string
	var started, staleness, seen, age *int64
	if err := scan(&now, &written, &id, &host, &version, &addresses, &started, &staleness, &seen, &history, &position, &age); err != nil || id == nil {
		return m, false, err
	}
	m = member{ID: *id, Self: Self{Host: *host, Version: *version, Addresses: *addresses, StartedAt: time.UnixMicro(*started),
		MaxStaleness: Micros(*staleness)}, SeenAt: time.UnixMicro(*seen), Place: Place{*history, *position}, Age: Micros(*age)}
	m.Silent = max(time.UnixMicro(now).Sub(m.SeenAt), 0)
	return m, true, nil
}

// Micros is a time of n microseconds; the largest n is without end.
func Micros(n int64) time.Duration {
	if n > math.MaxInt64/int64(time.Microsecond) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Microsecond
}

// sight notes which rows are as they were, and removes those of nodes that have said
// nothing for so long that they cannot answer by the view that they had. One that goes on
// answering however old its view is stays until somebody removes it who knows that it has
// stopped.
func (f *Follower) sight(ctx context.Context, members []member, now time.Time) {
	f.mu.Lock()
	before := f.seen
	f.seen = make(map[string]sighting, len(members))
	var gone []member
	for _, m := range members {
		s := before[m.ID]
		if !s.at.Equal(m.SeenAt) {
			s = sighting{m.SeenAt, now}
		}
		f.seen[m.ID] = s
		if silent := now.Sub(s.since); m.ID != f.cfg.Node && m.MaxStaleness > 0 && silent > f.cfg.Keep && silent > 2*m.MaxStaleness {
			gone = append(gone, m)
		}
	}
	f.mu.Unlock()
	for _, m := range gone {
		if n, err := f.exec(ctx, forgetMember, m.ID, m.SeenAt.UnixMicro()); err == nil && n > 0 {
			f.cfg.Logger.Warn("a node that has long said nothing is no longer listed", "node", m.ID, "host", m.Host)
		}
	}
}

// Leave removes the row of this node, once it answers nobody any more and [Follower.Run]
// has ended.
func (f *Follower) Leave(ctx context.Context) error {
	_, err := f.exec(ctx, forgetSelf, f.cfg.Node)
	return err
}
