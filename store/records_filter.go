package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/audit"
)

const filterColumns = `realm, first_position, last_position, event_count, min_time, max_time, bits`

func scanFilter(r row) (v audit.SearchFilter, err error) {
	err = r.Scan(&v.Realm, &v.First, &v.Last, &v.Events, at(&v.MinTime), at(&v.MaxTime), blob(&v.Bits))
	return v, err
}

// maxFilters is the most filters of one listing.
const maxFilters = 1000

// SearchFilters returns the filters that sel selects; see [audit.FilterQuery].
func (q Queries) SearchFilters(ctx context.Context, realm string, sel audit.FilterQuery) ([]audit.SearchFilter, error) {
	if sel.Limit < 1 || sel.Limit > maxFilters {
		return nil, errLimit
	}
	terms, args := []string{"realm=$1"}, []any{realm}
	add := func(term string, value any) {
		args = append(args, value)
		terms = append(terms, term+"$"+strconv.Itoa(len(args)))
	}
	if !sel.From.IsZero() {
		add("max_time>=", sel.From)
	}
	if !sel.To.IsZero() {
		add("min_time<=", sel.To)
	}
	order := " ORDER BY first_position"
	switch {
	case sel.Descending && sel.After > 0:
		add("first_position<", sel.After)
	case sel.After > 0:
		// No two overlap: one that begins before After and reaches beyond it is the last
		// of those that begin there, which the index finds in one step.
		add(`first_position>=COALESCE((SELECT MAX(f.first_position) FROM audit_filters f WHERE f.realm=$1 AND f.first_position<=`, sel.After)
		terms[len(terms)-1] += "),0)"
		add("last_position>", sel.After)
	}
	if sel.Descending {
		order += " DESC"
	}
	args = append(args, sel.Limit)
	return many(ctx, q.c, scanFilter, `SELECT `+filterColumns+` FROM audit_filters WHERE `+strings.Join(terms, " AND ")+order+
		` LIMIT $`+strconv.Itoa(len(args)), args...)
}

// LastSearchFilter returns the filter of the newest positions of the realm.
func (q Queries) LastSearchFilter(ctx context.Context, realm string) (audit.SearchFilter, error) {
	return one(ctx, q.c, scanFilter, `SELECT `+filterColumns+` FROM audit_filters WHERE realm=$1 ORDER BY first_position DESC LIMIT 1`, realm)
}

// PutSearchFilter stores f in place of every filter of the realm that it overlaps.
func (t *Tx) PutSearchFilter(ctx context.Context, f audit.SearchFilter) error {
	if f.First < 1 || f.Last < f.First {
		return t.fail(internal("a filter of the positions %d to %d", f.First, f.Last))
	}
	if _, err := exec(ctx, t.c, `DELETE FROM audit_filters WHERE realm=$1 AND first_position<=$3 AND last_position>=$2 AND first_position>=
		COALESCE((SELECT MAX(b.first_position) FROM audit_filters b WHERE b.realm=$1 AND b.first_position<=$2),0)`, f.Realm, f.First, f.Last); err != nil {
		return err
	}
	return insert(ctx, t.c, `INSERT INTO audit_filters (`+filterColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7)`,
		f.Realm, f.First, f.Last, f.Events, f.MinTime, f.MaxTime, f.Bits)
}
