package audit

import (
	"context"
)

const (
	scanPage   = 50 // batches read at once
	filterPage = 64 // filters: half a MiB
)

// walk reads the batches of a selection one after the other, without those of
// which a filter says that no event has the wanted facts.
type walk struct {
	reader Reader
	realm  string
	q      BatchQuery // its After, or its At, tells how far the walk is
	again  bool       // the batch at q.At was not taken yet
	facts  []fact
	either []fact // wanted is what has one of them
	most   int    // batches and filters that are looked at

	filters []SearchFilter // that come next, in the order of the walk
	through bool           // no further ones are stored
}

// walkEnd says why a walk ended.
type walkEnd int

const (
	endOfLog    walkEnd = iota // everything was looked at
	endOfSearch                // as much was looked at as one call may
	endOfPage                  // whoever took the batches had enough
)

// run gives take each batch until it says that it has enough.
func (w *walk) run(ctx context.Context, take func(*Batch) (done bool, err error)) (walkEnd, error) {
	w.q.Limit = scanPage
	for looked := 0; looked < w.most; {
		if w.q.At != "" {
			end, n, err := w.arriving(ctx, take)
			if looked += n; err != nil || end != endOfSearch {
				return end, err
			}
			continue
		}
		f, err := w.filter(ctx)
		if err != nil {
			return endOfLog, err
		}
		w.q.Until = 0
		switch {
		case f == nil: // no filter up to the end
		case !w.inside(f):
			w.q.Until = w.before(f)
		case f.lacks(w.facts), f.lacksAll(w.either):
			w.q.After = w.end(f)
			looked++
			continue
		default:
			w.q.Until = w.end(f)
		}
		batches, err := w.reader.Batches(ctx, w.realm, w.q)
		if err != nil {
			return endOfLog, err
		}
		for i := range batches {
			if done, err := take(&batches[i]); err != nil || done {
				return endOfPage, err
			}
			w.passed(&batches[i])
		}
		looked += len(batches)
		if len(batches) < scanPage {
			w.q.At = "" // what was read was all that there was up to Until
			if w.q.Until == 0 {
				return endOfLog, nil
			}
			w.q.After = w.q.Until
		}
	}
	return endOfSearch, nil
}

// passed notes that the walk has come to b. Whatever had no position for good may have
// another one when the next page is read.
func (w *walk) passed(b *Batch) {
	w.q.After, w.q.At, w.again = b.Position, "", false
	if b.arriving() {
		w.q.At = b.ID
	}
}

// arriving reads the page that follows a batch which was waiting for its position. It may
// have it by now, and others with it, so no filter that is known here covers what comes.
// The walk goes on unless the end is told.
func (w *walk) arriving(ctx context.Context, take func(*Batch) (done bool, err error)) (walkEnd, int, error) {
	q := w.q
	q.After, q.Until = 0, 0
	batches, err := w.reader.Batches(ctx, w.realm, q)
	if err != nil {
		return endOfLog, 0, err
	}
	for i := range batches {
		b := &batches[i]
		if b.ID != w.q.At || w.again {
			if done, err := take(b); err != nil || done {
				return endOfPage, 0, err
			}
		}
		w.passed(b)
	}
	if len(batches) < scanPage {
		return endOfLog, len(batches), nil
	}
	w.filters, w.through = nil, false
	return endOfSearch, len(batches), nil
}

// filter is the next one whose positions are not all behind; nil when there is
// none, or when nothing is wanted that a filter knows.
func (w *walk) filter(ctx context.Context) (*SearchFilter, error) {
	if len(w.facts)+len(w.either) == 0 {
		return nil, nil
	}
	for {
		for len(w.filters) > 0 {
			if f := &w.filters[0]; !w.behind(f) {
				return f, nil
			}
			w.filters = w.filters[1:]
		}
		if w.through {
			return nil, nil
		}
		var err error
		w.filters, err = w.reader.SearchFilters(ctx, w.realm, FilterQuery{From: w.q.From, To: w.q.To, After: w.q.After,
			Descending: w.q.Descending, Limit: filterPage})
		if err != nil {
			return nil, err
		}
		w.through = len(w.filters) < filterPage
	}
}

// behind tells that the walk has passed all of f.
func (w *walk) behind(f *SearchFilter) bool {
	if w.q.Descending {
		return w.q.After != 0 && f.First >= w.q.After
	}
	return f.Last <= w.q.After
}

// inside tells that the next position is one of f's. A walk backwards begins behind
// every position.
func (w *walk) inside(f *SearchFilter) bool {
	if w.q.Descending {
		return w.q.After != 0 && f.Last >= w.q.After-1
	}
	return f.First <= w.q.After+1
}

// end is the last position of f in the order of the walk, and before the one that
// comes before it.
func (w *walk) end(f *SearchFilter) int64 {
	if w.q.Descending {
		return f.First
	}
	return f.Last
}

func (w *walk) before(f *SearchFilter) int64 {
	if w.q.Descending {
		return f.Last + 1
	}
	return f.First - 1
}

// next is where the walk goes on.
func (w *walk) next() cursor {
	if w.q.At != "" {
		line := int64(MaxBatch) // more than it has: it was taken
		if w.again {
			line = 0
		}
		return cursor{batch: w.q.At, line: line}
	}
	if w.q.Descending {
		return cursor{position: w.q.After - 1}
	}
	return cursor{position: w.q.After + 1}
}
