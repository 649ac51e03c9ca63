package audit

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Entry is an event with its place in the log.
type Entry struct {
	// Index is the leaf index, or -1 while the event waits to be sequenced.
	Index int64 `json:"index"`
	gatehouse.Event
	// Erased: it told of a person whose account is deleted; names, address and the like are gone.
	Erased bool `json:"erased,omitzero" doc:"It told of a person whose account was deleted: names and address are gone for good"`
}

// Query selects events of one realm. Empty members do not select.
type Query struct {
	// Kind is an exact kind, or a prefix when it ends in "." ("user.").
	Kind     string
	ActorID  string
	TargetID string
	// About selects what somebody did or was done to: one with this id is actor or target of it, and its kind is one of Kinds,
	// which are as Kind.
	About    string
	Kinds    []string
	Outcome  gatehouse.Outcome
	From, To time.Time // both included
	// OldestFirst turns the order; the newest events come first otherwise.
	OldestFirst bool
	// Limit is 100 by default, at most 1,000.
	Limit int
	// Cursor is Page.Next of the page before.
	Cursor string
}

// Page is one part of an answer.
type Page struct {
	Entries []Entry `json:"events"`
	// Next continues the listing; "" at the end. A page may hold fewer entries
	// than the limit, even none, and still have a Next: the search of one call is
	// bounded.
	Next string `json:"next,omitempty"`
}

// Log answers questions about stored events.
type Log struct {
	Reader Reader
	// MaxScan bounds the batches and filters that one call reads: 2,000 by default.
	MaxScan int
}

const (
	maxList      = 1000
	maxFound     = 1000
	maxCursorLen = 64 // the id of a batch, a dot and an int64
)

var errBadCursor = gatehouse.E(gatehouse.Invalid, "audit_cursor_invalid", "the cursor is not one that this log gave out")

// cursor is a place between two events: the line `line` of the batch at position, or of
// that batch when it had no position for good.
type cursor struct {
	batch          string
	position, line int64
}

func (c cursor) String() string {
	place := c.batch
	if place == "" {
		place = strconv.FormatInt(c.position, 10)
	}
	return place + "." + strconv.FormatInt(c.line, 10)
}

// at is the cursor of a line of b.
func at(b *Batch, line int64) cursor {
	if b.arriving() {
		return cursor{batch: b.ID, line: line}
	}
	return cursor{position: b.Position, line: line}
}

func parseCursor(s string) (c cursor, err error) {
	if len(s) > maxCursorLen {
		return c, errBadCursor
	}
	a, b, _ := strings.Cut(s, ".")
	if strings.HasPrefix(a, batchID+"_") && plain(a) {
		c.batch = a
	} else {
		c.position, _ = strconv.ParseInt(a, 10, 64)
	}
	c.line, _ = strconv.ParseInt(b, 10, 64)
	// What is no number has become another one, and is not written again as it was read.
	if c.position < 0 || c.line < 0 || c.String() != s {
		return c, errBadCursor
	}
	return c, nil
}

// List returns the events that match q, page by page.
func (l *Log) List(ctx context.Context, realm string, q Query) (Page, error) {
	switch {
	case q.Limit < 0 || q.Limit > maxList:
		return Page{}, gatehouse.E(gatehouse.Invalid, "audit_limit_invalid", "the limit must be from 1 to 1000")
	case q.Limit == 0:
		q.Limit = 100
	}
	page := Page{Entries: []Entry{}}
	bq := BatchQuery{From: q.From, To: q.To, Kind: q.Kind, ActorID: q.ActorID, TargetID: q.TargetID,
		Descending: !q.OldestFirst}
	var skip int64 // lines of the first batch that are already given out, in reading order
	var resume cursor
	if q.Cursor != "" {
		c, err := parseCursor(q.Cursor)
		if err != nil {
			return Page{}, err
		}
		// The batch at the cursor is read again, from its line on.
		resume, skip = c, c.line
		switch {
		case c.batch != "":
			bq.At = c.batch
		case bq.Descending:
			bq.After = c.position + 1
		default:
			bq.After = c.position - 1
		}
	}
	needles := q.needles()
	w := walk{reader: l.Reader, realm: realm, q: bq, again: bq.At != "", facts: q.facts(), either: q.either(), most: l.maxScan()}
	end, err := w.run(ctx, func(b *Batch) (bool, error) {
		if b.Position != resume.position && b.ID != resume.batch {
			skip = 0
		}
		return page.take(b, &q, needles, skip)
	})
	if err == nil && end == endOfSearch {
		page.Next = w.next().String()
	}
	return page, err
}

func (l *Log) maxScan() int {
	if l.MaxScan > 0 {
		return l.MaxScan
	}
	return 2000
}

// take adds the matching events of b in the order of q; true when the page is
// full, with Next set to the event after the last one. Only lines that hold all
// needles of q are decoded.
func (p *Page) take(b *Batch, q *Query, needles needles, skip int64) (bool, error) {
	if !needles.in(b.Data) {
		return false, nil
	}
	all, err := split(b)
	if err != nil {
		return false, err
	}
	for n := skip; n < int64(len(all)); n++ {
		i := n
		if !q.OldestFirst {
			i = int64(len(all)) - 1 - n
		}
		if !needles.in(all[i]) {
			continue
		}
		e, err := decodeLine(b.Realm, all[i])
		if err != nil {
			return false, lineError(b, i, err)
		}
		if !q.matches(&e) {
			continue
		}
		if len(p.Entries) == q.Limit {
			p.Next = at(b, n).String()
			return true, nil
		}
		p.Entries = append(p.Entries, Entry{Index: indexOf(b, i), Event: e})
	}
	return false, nil
}

func indexOf(b *Batch, line int64) int64 {
	if b.FirstIndex < 0 {
		return -1
	}
	return b.FirstIndex + line
}

// isKind reports whether kind is wanted, or begins with it where that ends in a dot.
func isKind(kind, wanted string) bool {
	return kind == wanted || strings.HasSuffix(wanted, ".") && strings.HasPrefix(kind, wanted)
}

func (q *Query) matches(e *gatehouse.Event) bool {
	if q.Kind != "" && !isKind(e.Kind, q.Kind) {
		return false
	}
	if q.About != "" && (e.Actor.ID != q.About && e.Target.ID != q.About || !slices.ContainsFunc(q.Kinds, func(k string) bool { return isKind(e.Kind, k) })) {
		return false
	}
	return (q.ActorID == "" || e.Actor.ID == q.ActorID) &&
		(q.TargetID == "" || e.Target.ID == q.TargetID) &&
		(q.Outcome == "" || e.Outcome == q.Outcome) &&
		(q.From.IsZero() || !e.Time.Before(q.From)) &&
		(q.To.IsZero() || !e.Time.After(q.To))
}

// Find returns the events of one request, oldest first. The request id tells
// when the request began; nearly all of its events are of the seconds after, and
// the search widens only when nothing is there: to ten minutes, then to two days
// (a request may stream for hours before its event is written). When nothing is
// there, it returns the counts of refusals that the request may be part of
// (see countOf): such requests have no event of their own. It is gatehouse.NotFound
// when there is none of those either.
func (l *Log) Find(ctx context.Context, realm, requestID string) ([]Entry, error) {
	began, ok := gatehouse.IDTime(requestID)
	if !ok || !plain(requestID) {
		return nil, gatehouse.E(gatehouse.Invalid, "request_id_malformed", "this is not a request id of ours")
	}
	// Clocks of nodes may differ a little.
	from := began.Add(-5 * time.Second)
	for _, span := range []time.Duration{30 * time.Second, 10 * time.Minute, 48 * time.Hour} {
		to := began.Add(span)
		found, err := l.scan(ctx, realm, from, to, requestFacts(requestID), needles{needle(`,"request_id":`, requestID)},
			func(e *gatehouse.Event) bool { return e.RequestID == requestID })
		if err != nil || len(found) > 0 {
			return found, err
		}
		from = to
	}
	// The time of a count is that of the last refusal in it.
	counts := Query{Kind: KindAuditCounted}
	found, err := l.scan(ctx, realm, began.Add(-countSlack), began.Add(48*time.Hour), counts.facts(), counts.needles(),
		func(e *gatehouse.Event) bool { return countOf(e, began) })
	if err != nil || len(found) > 0 {
		return found, err
	}
	gone, err := l.Reader.AuditRemoval(ctx, realm)
	switch {
	case err == nil && began.Before(gone.Before):
		return nil, errRemoved
	case err != nil && !errors.Is(err, gatehouse.NotFound):
		return nil, err
	}
	return nil, gatehouse.E(gatehouse.NotFound, "audit_request_unknown", "nothing is recorded under this request id")
}

// plain reports that s appears in a line of JSON as it is.
func plain(s string) bool {
	if len(s) > maxID {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// scan returns the events in a time, oldest first, that are wanted and have the facts
// and the needles.
func (l *Log) scan(ctx context.Context, realm string, from, to time.Time, facts []fact, needles needles, wanted func(*gatehouse.Event) bool) ([]Entry, error) {
	var out []Entry
	w := walk{reader: l.Reader, realm: realm, q: BatchQuery{From: from, To: to}, facts: facts, most: 50 * l.maxScan()}
	end, err := w.run(ctx, func(b *Batch) (bool, error) {
		if !needles.in(b.Data) {
			return false, nil
		}
		n := int64(-1)
		for line := range lines(b.Data) {
			n++
			if !needles.in(line) {
				continue
			}
			e, err := decodeLine(realm, line)
			if err != nil {
				return false, err
			}
			if wanted(&e) && len(out) < maxFound {
				out = append(out, Entry{Index: indexOf(b, n), Event: e})
			}
		}
		return false, nil
	})
	if err == nil && end == endOfSearch && len(out) == 0 {
		err = gatehouse.E(gatehouse.Unavailable, "audit_search_too_large", "too many events in that time to search").With(errors.New("audit: scan bound reached"))
	}
	return out, err
}
