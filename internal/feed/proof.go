package feed

import (
	"context"
	"sync"
	"time"
)

const (
	// Between two looks at the others while somebody waits for them: soon at first, since
	// most tell within some milliseconds, and seldom in the end.
	firstLook, lastLook = 4 * time.Millisecond, 250 * time.Millisecond
	// Clocks of two machines need not run at the same pace: this much, and a hundredth, is
	// waited for longer than the bound of a node.
	proofMargin = 250 * time.Millisecond
	proofDrift  = 100
	maxProofs   = 256 // who wait at a time
)

// State is what is known of a node about a change that another one made.
type State uint8

const (
	// Pending: nothing is proven. The zero value.
	Pending State = iota
	// Confirmed: it says that it has applied the change.
	Confirmed
	// Refuses: it has not said so for longer than its MaxStaleness, so it answers by its view no
	// more, until it has applied the change.
	Refuses
	// Left: it is listed no more.
	Left
)

// Standing is what is known of one node.
type Standing struct {
	ID string
	Self
	State State
	// Answer is what it answered to what was asked with the row; "" while it has not.
	Answer string
	// After is how long it took until that was known, from the end of the commit that is
	// waited for.
	After time.Duration
}

// Proof is what is known of all nodes that may have answered without a change.
type Proof struct {
	// Lost: the row that is waited for is gone, so the database is another one than the one
	// that was written to.
	Lost bool
	// Looked: the nodes could be read at the last attempt. Without that the standings are
	// old, or there are none.
	Looked    bool
	Standings []Standing // by id, this node among them
}

// settled reports that there is nothing more to wait for. With asked, those who confirm
// answer too; one of an older version does not, so nobody is waited for long after all
// else is known.
func (p Proof) settled(asked bool, self string, passed time.Duration) bool {
	open := false
	for _, s := range p.Standings {
		if s.State == Pending {
			return p.Lost
		}
		open = open || asked && s.State == Confirmed && s.Answer == "" && s.ID != self && passed-s.After < answerWait
	}
	return p.Lost || p.Looked && !open
}

// Prove waits until every other node has applied a row that this node has appended, and
// everything that was committed before it, or answers no more by a view without it, or ctx
// is done. ended is when the commit of the row had ended, by our monotonic clock.
//
// Why that proves it. A position that sees the row was taken after its commit, and is told
// when everything that it shows was applied. A node that is not listed when the row has
// committed reads later, and so finds the change. And a node answers by its view only
// while that is younger than its MaxStaleness, which is to say: while it has applied
// everything that was committed longer ago. It tells a larger bound, and reads once more,
// before it goes by it. So a node has no way to answer without the change when so much
// time has passed since the commit, whether it can be heard or not.
//
// With asked, the row asks those who apply it something: see [Follower.Prompt].
func (f *Follower) Prove(ctx context.Context, row Row, ended time.Time, asked bool) Proof {
	var p Proof
	if !f.looks.join(f, row) {
		return p
	}
	defer f.looks.leave(row)
	for {
		l := f.looks.coming()
		select {
		case <-l.done:
		case <-ctx.Done():
			return p
		}
		p.follow(f.cfg.Node, l, row, ended)
		if p.settled(asked, f.cfg.Node, time.Since(ended)) {
			return p
		}
	}
}

// follow takes in what a look has found.
func (p *Proof) follow(self string, l *look, row Row, ended time.Time) {
	if p.Looked = l.err == nil; !p.Looked {
		return
	}
	if p.Lost = !l.kept[row.XID]; p.Lost {
		return
	}
	first := p.Standings == nil
	passed, now := l.asked.Sub(ended), map[string]member{}
	for _, m := range l.members {
		now[m.ID] = m
		if first { // who comes later reads later
			p.Standings = append(p.Standings, Standing{ID: m.ID})
		}
	}
	for i := range p.Standings {
		s := &p.Standings[i]
		m, there := now[s.ID]
		if there && s.Answer == "" {
			s.Answer = m.answers[row.XID]
		}
		if s.State != Pending && s.State != Refuses { // who refuses may have come back
			continue
		}
		was := s.State
		switch {
		case !there && was == Pending:
			s.State = Left
		case !there:
		case m.ID == self, l.history == m.History && sees(m.Position, row.XID):
			s.Self, s.State = m.Self, Confirmed
		case m.MaxStaleness > 0 && passed > m.MaxStaleness+m.MaxStaleness/proofDrift+proofMargin:
			s.Self, s.State = m.Self, Refuses
		default:
			s.Self, s.State = m.Self, Pending
		}
		if s.State != was && s.State != Pending {
			s.After = max(time.Since(ended), 0)
		}
	}
}

func sees(position string, xid uint64) bool {
	s, err := parseSnapshot(position)
	return err == nil && s.sees(xid)
}

// look is one reading of the nodes, for all who wait.
type look struct {
	done    chan struct{}
	asked   time.Time // before it was asked for
	history string
	members []member
	kept    map[uint64]bool // of the rows that are waited for
	err     error
}

func newLook() *look { return &look{done: make(chan struct{})} }

// looks are the readings, one after the other, by one goroutine, while anybody waits.
type looks struct {
	mu      sync.Mutex
	waiting map[uint64]Row
	next    *look // which has not begun
	runs    bool
	pause   time.Duration
	hurry   chan struct{} // closed when somebody has come
}

func (q *looks) join(f *Follower, row Row) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxProofs {
		return false
	}
	if q.waiting == nil {
		q.waiting = map[uint64]Row{}
	}
	q.waiting[row.XID] = row
	q.pause = firstLook
	if !q.runs {
		q.runs, q.hurry = true, make(chan struct{})
		f.running.Go(func() { q.run(f) })
		return true
	}
	close(q.hurry)
	q.hurry = make(chan struct{})
	return true
}

func (q *looks) leave(row Row) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, row.XID)
}

// coming is the next look that begins.
func (q *looks) coming() *look {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next
}

func (q *looks) run(f *Follower) {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.runs = false
			q.mu.Unlock()
			return
		}
		l := q.next
		q.next = newLook()
		rows := make([]Row, 0, len(q.waiting))
		for _, row := range q.waiting {
			rows = append(rows, row)
		}
		pause, hurry := q.pause, q.hurry
		q.pause = min(2*pause, lastLook)
		q.mu.Unlock()
		l.read(f, rows)
		close(l.done)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-hurry:
		}
		t.Stop()
	}
}

func (l *look) read(f *Follower, rows []Row) {
	ctx, cancel := context.WithTimeout(context.Background(), ioTimeout)
	defer cancel()
	var xids, written []int64
	for _, row := range rows {
		xids, written = append(xids, int64(row.XID)), append(written, row.WrittenAt.UnixMicro())
	}
	l.kept = map[uint64]bool{}
	l.asked = time.Now()
	l.err = f.cfg.Query(ctx, lookAround, []any{f.cfg.Node, xids, written}, func(scan func(...any) error) error {
		var answers *string
		m, there, err := scanMember(func(dest ...any) error {
			var kept []int64
			err := scan(append(append([]any{&l.history, dest[0], &kept}, dest[2:]...), &answers)...)
			for _, xid := range kept {
				l.kept[uint64(xid)] = true
			}
			return err
		})
		if err == nil && there {
			m.answers = readAnswers(answers)
			l.members = append(l.members, m)
		}
		return err
	})
}
