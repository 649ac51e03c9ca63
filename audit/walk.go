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
	q      BatchQuery // its After tells how far the walk is
	facts  []fact
	most   int // batches and filters that are looked at

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
		f, err := w.filter(ctx)
		if err != nil {
			return endOfLog, err
		}
		w.q.Until = 0
		switch {
		case f == nil: // no filter up to the end
		case !w.inside(f):
			w.q.Until = w.before(f)
		case f.lacks(w.facts):
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
			w.q.After = batches[i].Position
		}
		looked += len(batches)
		if len(batches) < scanPage {
			if w.q.Until == 0 {
				return endOfLog, nil
			}
			w.q.After = w.q.Until
		}
	}
	return endOfSearch, nil
}

// filter is the next one whose positions are not all behind; nil when there is
// none, or when nothing is wanted that a filter knows.
func (w *walk) filter(ctx context.Context) (*SearchFilter, error) {
	if len(w.facts) == 0 {
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
	if w.q.Descending {
		return cursor{position: w.q.After - 1}
	}
	return cursor{position: w.q.After + 1}
}
