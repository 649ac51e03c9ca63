package feed

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// barrier appends a row by which somebody waits.
func barrier(t *testing.T, c *pgx.Conn, node string) Row {
	t.Helper()
	statement, args := Append(node, "wait")
	var xid, written int64
	var notified string
	if err := c.QueryRow(t.Context(), statement, args...).Scan(&xid, &notified, &written); err != nil {
		t.Fatal(err)
	}
	return Row{XID: uint64(xid), Node: node, WrittenAt: time.UnixMicro(written)}
}

func (p Proof) of(id string) Standing {
	for _, s := range p.Standings {
		if s.ID == id {
			return s
		}
	}
	return Standing{ID: "nobody"}
}

// TestProofOfALook: what one look at the nodes proves of each.
func TestProofOfALook(t *testing.T) {
	const bound = 2 * time.Second
	late := bound + bound/proofDrift + proofMargin
	ended := time.Now()
	row := Row{XID: 100}
	about := func(position string, staleness time.Duration) member {
		return member{ID: "n", Self: Self{MaxStaleness: staleness}, Place: Place{"1/1", position}}
	}
	for name, c := range map[string]struct {
		m      member
		passed time.Duration
		want   State
	}{
		"it has applied the row":                  {about("101:101:", bound), 0, Confirmed},
		"and says so late":                        {about("90:120:91,99", bound), time.Hour, Confirmed},
		"it has not":                              {about("100:100:", bound), 0, Pending},
		"the row was in progress":                 {about("90:120:100", bound), 0, Pending},
		"it has read nothing":                     {about("", bound), 0, Pending},
		"silent for its bound":                    {about("100:100:", bound), bound, Pending},
		"for the margin too":                      {about("100:100:", bound), late, Pending},
		"for longer":                              {about("100:100:", bound), late + 1, Refuses},
		"one that goes on":                        {about("100:100:", 0), time.Hour, Pending},
		"one that goes on, and has applied it":    {about("101:101:", 0), time.Hour, Confirmed},
		"another history":                         {member{ID: "n", Self: Self{MaxStaleness: time.Hour}, Place: Place{"1/2", "101:101:"}}, 0, Pending},
		"itself, whatever its row says":           {member{ID: "self"}, 0, Confirmed},
		"one that has confirmed in another spell": {about("101:101", bound), 0, Pending},
	} {
		var p Proof
		p.follow("self", &look{asked: ended.Add(c.passed), history: "1/1", members: []member{c.m}, kept: map[uint64]bool{100: true}}, row, ended)
		if got := p.of(c.m.ID); got.State != c.want || p.settled(false, "self", c.passed) != (c.want != Pending) || !p.Looked || p.Lost {
			t.Errorf("%s: %+v, settled %v", name, got, p.settled(false, "self", c.passed))
		}
	}
}

// TestProofOfLooks: who leaves is not waited for, who comes later neither; a row that is gone
// and nodes that cannot be read prove nothing.
func TestProofOfLooks(t *testing.T) {
	ended, row := time.Now(), Row{XID: 100}
	kept := map[uint64]bool{100: true}
	a, b := member{ID: "a", Place: Place{"1/1", "100:100:"}}, member{ID: "b", Place: Place{"1/1", "100:100:"}}
	at := func(members ...member) *look {
		return &look{asked: ended, history: "1/1", members: members, kept: kept}
	}
	var p Proof
	if p.settled(false, "self", 0) {
		t.Error("settled before anything was read")
	}
	p.follow("self", at(a), row, ended)
	p.follow("self", at(a, b), row, ended)
	if p.settled(false, "self", 0) || len(p.Standings) != 1 {
		t.Errorf("%+v", p)
	}
	p.follow("self", &look{err: errors.New("away")}, row, ended)
	if p.Looked || p.settled(false, "self", 0) {
		t.Errorf("%+v", p)
	}
	p.follow("self", at(b), row, ended)
	if !p.settled(false, "self", 0) || p.of("a").State != Left || !p.Looked {
		t.Errorf("%+v", p)
	}
	p = Proof{}
	p.follow("self", at(a, b), row, ended)
	if len(p.Standings) != 2 {
		t.Errorf("of two nodes: %+v", p)
	}
	p = Proof{}
	p.follow("self", &look{asked: ended, history: "1/1", members: []member{a}}, row, ended)
	if !p.Lost || !p.settled(false, "self", 0) {
		t.Errorf("the row is gone: %+v", p)
	}
}

// TestAnswersAreWaitedFor: by who asked, of each that confirms and is another, for a moment and
// no longer.
func TestAnswersAreWaitedFor(t *testing.T) {
	confirmed := func(id, answer string) Standing {
		return Standing{ID: id, State: Confirmed, Answer: answer, After: time.Second}
	}
	for name, c := range map[string]struct {
		standings []Standing
		asked     bool
		passed    time.Duration
		want      bool
	}{
		"nobody asked":       {[]Standing{confirmed("a", "")}, false, time.Second, true},
		"it has answered":    {[]Standing{confirmed("a", "x")}, true, time.Second, true},
		"it has not":         {[]Standing{confirmed("a", "")}, true, time.Second, false},
		"one of two has":     {[]Standing{confirmed("a", "x"), confirmed("b", "")}, true, time.Second, false},
		"for long":           {[]Standing{confirmed("a", "")}, true, time.Second + answerWait, true},
		"nearly":             {[]Standing{confirmed("a", "")}, true, time.Second + answerWait - 1, false},
		"itself":             {[]Standing{confirmed("self", "")}, true, time.Second, true},
		"one that refuses":   {[]Standing{{ID: "a", State: Refuses}}, true, time.Second, true},
		"one that has left":  {[]Standing{{ID: "a", State: Left}}, true, time.Second, true},
		"one that is silent": {[]Standing{{ID: "a", Answer: "x"}}, true, time.Hour, false},
	} {
		if got := (Proof{Looked: true, Standings: c.standings}).settled(c.asked, "self", c.passed); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestAnswers: what was asked is answered once, when the position that is told has seen it; of
// many the oldest are given up.
func TestAnswers(t *testing.T) {
	var a answers
	calls := 0
	a.ask(100, func(ctx context.Context) string {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("it may take for ever")
		}
		calls++
		return `"x"`
	})
	for _, early := range []string{"", "100:100:", "90:120:100"} {
		if text := a.text(t.Context(), early); text != "" || calls != 0 {
			t.Fatalf("at %q: %q after %d calls", early, text, calls)
		}
	}
	for range 2 {
		text := a.text(t.Context(), "101:101:")
		if got := readAnswers(&text); len(got) != 1 || got[100] != `"x"` || calls != 1 {
			t.Fatalf("%q after %d calls", text, calls)
		}
	}
	for row := range uint64(3 * maxAnswers) {
		a.ask(200+row, func(context.Context) string { return "y" })
	}
	text := a.text(t.Context(), "1000:1000:")
	if got := readAnswers(&text); len(got) != maxAnswers || got[200+3*maxAnswers-1] != "y" || got[100] != "" {
		t.Errorf("%q", text)
	}
	for _, bad := range []string{"x", "[]", `{"a":"b"}`, `{"1":2}`} {
		if got := readAnswers(&bad); got[1] != "" {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// TestProve: nodes that follow tell at once, one that is silent is known to refuse when its
// bound is over and not before, one that goes on is not waited for beyond the time that there is.
func TestProve(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	const poll = 20 * time.Second // so that nothing is told but what is asked for
	follow := func(name string) *node {
		var n *node
		n = start(t, dsn, name, func(c *Config) {
			c.Poll, c.Self = poll, Self{MaxStaleness: time.Minute}
			apply := c.Apply
			c.Apply = func(rows []Row) {
				apply(rows)
				for _, row := range rows {
					if name == "b" { // of a version that answers nothing
						n.Prompt(row, nil)
						continue
					}
					n.Prompt(row, func(context.Context) string {
						if p := n.place.Load(); p == nil || !sees(p.Position, row.XID) {
							return "too early"
						}
						return name + " says"
					})
				}
			}
		})
		<-n.Ready()
		return n
	}
	a := follow("a")
	follow("b")
	follow("c")
	dead(t, c, "silent", 0, 300*time.Millisecond)
	row := barrier(t, c, "a")
	ended := time.Now()
	p := a.Prove(t.Context(), row, ended, true)
	if took := time.Since(ended); took > poll/2 {
		t.Errorf("took %v", took)
	}
	for id, want := range map[string]State{"a": Confirmed, "b": Confirmed, "c": Confirmed, "silent": Refuses} {
		if got := p.of(id); got.State != want {
			t.Errorf("%s: %+v", id, got)
		}
	}
	for id, want := range map[string]string{"a": "", "b": "", "c": "c says", "silent": ""} {
		if got := p.of(id).Answer; got != want {
			t.Errorf("%s answers %q, want %q", id, got, want)
		}
	}
	if early := 300*time.Millisecond + proofMargin; !p.settled(false, "self", 0) || p.of("silent").After < early || p.of("silent").MaxStaleness != 300*time.Millisecond {
		t.Errorf("%+v", p)
	}
	// Many wait at once, for as long as somebody goes on, and no longer.
	dead(t, c, "goes on", 0, 0)
	rows := []Row{barrier(t, c, "a"), barrier(t, c, "a"), barrier(t, c, "a")}
	got := make(chan Proof)
	for _, row := range rows {
		go func() { got <- a.Prove(t.Context(), row, time.Now(), false) }()
	}
	testwait.Until(t, soon, "all wait", func() bool {
		a.looks.mu.Lock()
		defer a.looks.mu.Unlock()
		return len(a.looks.waiting) == len(rows)
	})
	l := a.looks.coming()
	testwait.Until(t, soon, "somebody looks", func() bool {
		select {
		case <-l.done:
			return true
		default:
			return false
		}
	})
	select {
	case p := <-got:
		t.Errorf("one goes on: %+v", p)
	default:
	}
	execute(t, c, `DELETE FROM nodes WHERE id='goes on'`)
	for range rows {
		if p := <-got; !p.settled(false, "self", 0) || p.of("goes on").State == Confirmed || p.of("b").State != Confirmed || p.of("c").State != Confirmed {
			t.Errorf("%+v", p)
		}
	}
	row = barrier(t, c, "a")
	execute(t, c, `DELETE FROM feed WHERE xid=$1`, int64(row.XID))
	if p := a.Prove(t.Context(), row, time.Now(), false); !p.Lost {
		t.Errorf("the row is gone: %+v", p)
	}
	row = barrier(t, c, "a")
	row.WrittenAt = row.WrittenAt.Add(time.Microsecond) // another row, with an id that was given again
	if p := a.Prove(t.Context(), row, time.Now(), false); !p.Lost {
		t.Errorf("another row: %+v", p)
	}
	testwait.Until(t, soon, "nobody looks any more", func() bool {
		a.looks.mu.Lock()
		defer a.looks.mu.Unlock()
		return !a.looks.runs && len(a.looks.waiting) == 0
	})
}

// TestNotAppliedNotTold: a node that could not take in what a reading brought does not say
// that it has.
func TestNotAppliedNotTold(t *testing.T) {
	dsn := database(t)
	c := connect(t, dsn)
	a := start(t, dsn, "a", func(c *Config) { c.Poll = 50 * time.Millisecond })
	var n *node
	var fail atomic.Bool
	var tried atomic.Int32
	n = start(t, dsn, "n", func(c *Config) {
		c.Poll, c.Self = 50*time.Millisecond, Self{MaxStaleness: time.Hour}
		c.Apply = func([]Row) {
			if fail.Load() {
				n.Forget()
			}
		}
		c.Reload = func(context.Context, string) error {
			if fail.Load() {
				tried.Add(1)
				return errors.New("not now")
			}
			return nil
		}
	})
	<-a.Ready()
	<-n.Ready()
	fail.Store(true)
	row := barrier(t, c, "a")
	testwait.Until(t, soon, "it has tried to load everything anew", func() bool { return tried.Load() > 1 })
	if p := n.place.Load(); p == nil || sees(p.Position, row.XID) {
		t.Errorf("it tells that it has applied what it could not: %+v", p)
	}
	fail.Store(false)
	if p := a.Prove(t.Context(), row, time.Now(), false); p.of("n").State != Confirmed {
		t.Errorf("%+v", p)
	}
}
