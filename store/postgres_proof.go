package store

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
)

// Why a proof fails. The change that it is about stands.
const (
	proofUnwritten = "the other nodes could not be asked: the database did not take the question"
	proofUnread    = "the nodes could not be read: the database does not answer, or too many wait"
	proofLost      = "the question is gone: the database is an older one than the one that was written to"
)

// Prove waits until no process that shares the database answers without what was
// committed before the call, for as long as atMost, or until ctx ends, and says what is
// known of each. Where no other process can be, it returns at once. It is no transaction,
// and undoes nothing whatever it finds.
//
// Questions are put to each process, as soon as it has applied the change: see [DB.OnQuestions].
func (db *DB) Prove(ctx context.Context, atMost time.Duration, questions ...peers.Question) peers.Proof {
	questions = questions[:min(len(questions), peers.MaxQuestions)]
	if e, is := db.engine.(*postgresEngine); is && e.feed != nil {
		return e.prove(ctx, atMost, questions)
	}
	return peers.Proof{Nodes: []peers.Told{{ID: db.node, About: *db.about.Load(), Self: true, State: peers.Confirmed, Verdicts: db.judge(ctx, questions)}}}
}

// OnQuestions sets who answers what some process asks of this one: a verdict for each
// question. It must be quick; others wait for it, though no request does.
func (db *DB) OnQuestions(fn func(context.Context, []peers.Question) []peers.Verdict) {
	db.judges.Store(&fn)
}

func (db *DB) judge(ctx context.Context, questions []peers.Question) []peers.Verdict {
	fn := db.judges.Load()
	if fn == nil || len(questions) == 0 {
		return nil
	}
	return (*fn)(ctx, questions)
}

// encoded is the JSON of v, which holds nothing but text and numbers.
func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// answer judges the questions that another process has sent with its row, in JSON.
func (db *DB) answer(ctx context.Context, sent string) string {
	var questions []peers.Question
	if err := exactjson.Unmarshal([]byte(sent), &questions); err != nil || len(questions) > peers.MaxQuestions {
		return "[]" // of another version
	}
	return encoded(db.judge(ctx, questions))
}

// prove appends a row to the feed that asks the others to tell how far they are. It is a
// transaction of its own, which begins after the commit that the caller waits for: who sees
// it sees that.
func (e *postgresEngine) prove(ctx context.Context, atMost time.Duration, questions []peers.Question) (out peers.Proof) {
	began := time.Now()
	defer func() { out.Took = time.Since(began) }()
	if e.enter() != nil {
		return peers.Proof{Failed: proofUnwritten}
	}
	defer e.running.Done()
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	go func() { // a stop does not wait for us
		select {
		case <-e.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	row, err := e.askOthers(ctx, questions)
	if err != nil {
		e.logger.Warn("the other nodes could not be asked whether they know of a change", "error", err)
		return peers.Proof{Failed: proofUnwritten}
	}
	ended := time.Now()
	own := e.db.judge(ctx, questions)
	p := e.feed.follower.Prove(ctx, row, ended, len(questions) > 0)
	switch {
	case p.Lost:
		return peers.Proof{Failed: proofLost}
	case !p.Looked:
		return peers.Proof{Failed: proofUnread}
	}
	for _, s := range p.Standings {
		n := toldOf(e.db.node, s)
		switch {
		case n.Self:
			n.Verdicts = own
		case s.Answer != "":
			// One that is no answer to our questions is none.
			if err := exactjson.Unmarshal([]byte(s.Answer), &n.Verdicts); err != nil || len(n.Verdicts) != len(questions) {
				n.Verdicts = nil
			}
		}
		out.Nodes = append(out.Nodes, n)
	}
	return out
}

// askOthers appends the row. Its COMMIT is waited for like any other: what a crash may
// take away proves nothing.
//
// What is asked stands where a version that knows nothing of questions reads an id, and
// does nothing with it.
func (e *postgresEngine) askOthers(ctx context.Context, questions []peers.Question) (feed.Row, error) {
	row := feed.Row{Node: e.feed.node}
	if err := e.lock.hold(ctx); err != nil {
		return row, err
	}
	asks := told{Topic: topicWait}
	if len(questions) > 0 {
		asks.ID = encoded(questions)
	}
	statement, args := feed.Append(e.feed.node, encoded([]told{asks}))
	ask := func() error {
		var xid, written int64
		var nothing string
		err := e.pool.QueryRow(ctx, statement, args...).Scan(&xid, &nothing, &written)
		row.XID, row.WrittenAt = uint64(xid), time.UnixMicro(written)
		return err
	}
	err := ask()
	if err != nil && ctx.Err() == nil && e.stale(err) { // as after a restart of the server; to ask twice does no harm
		err = ask()
	}
	return row, err
}

func toldOf(self string, s feed.Standing) peers.Told {
	state := map[feed.State]peers.State{feed.Confirmed: peers.Confirmed, feed.Refuses: peers.Silent, feed.Left: peers.Left}[s.State]
	if state == "" {
		state = peers.Pending
	}
	return peers.Told{ID: s.ID, Self: s.ID == self, State: state, After: s.After,
		About: peers.About{Host: s.Host, Version: s.Version, StartedAt: s.StartedAt, MaxStaleness: s.MaxStaleness}}
}
