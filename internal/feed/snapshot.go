package feed

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// snapshot is a set of transactions: those that PostgreSQL showed to somebody at one
// moment. Transactions below xmin are in it, those from xmax on are not, and of those
// in between the ones that are not in progress. The zero snapshot has seen nothing.
type snapshot struct {
	xmin, xmax uint64
	inProgress []uint64 // ascending, each in [xmin, xmax)
}

var errSnapshot = errors.New("feed: not a snapshot")

// parseSnapshot reads PostgreSQL's text form of a pg_snapshot, such as
// "10:20:10,14,15".
func parseSnapshot(text string) (snapshot, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return snapshot{}, errSnapshot
	}
	var s snapshot
	var err error
	if s.xmin, err = strconv.ParseUint(parts[0], 10, 63); err != nil {
		return snapshot{}, errSnapshot
	}
	if s.xmax, err = strconv.ParseUint(parts[1], 10, 63); err != nil || s.xmin > s.xmax || s.xmin == 0 {
		return snapshot{}, errSnapshot
	}
	if parts[2] == "" {
		return s, nil
	}
	for item := range strings.SplitSeq(parts[2], ",") {
		x, err := strconv.ParseUint(item, 10, 63)
		if err != nil || x < s.xmin || x >= s.xmax || len(s.inProgress) > 0 && x <= s.inProgress[len(s.inProgress)-1] {
			return snapshot{}, errSnapshot
		}
		s.inProgress = append(s.inProgress, x)
	}
	return s, nil
}

func (s snapshot) String() string {
	b := strconv.AppendUint(nil, s.xmin, 10)
	b = append(b, ':')
	b = strconv.AppendUint(b, s.xmax, 10)
	b = append(b, ':')
	for i, x := range s.inProgress {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, x, 10)
	}
	return string(b)
}

// empty reports whether nothing was ever seen.
func (s snapshot) empty() bool { return s.xmax == 0 }

// sees reports whether xid had ended when the snapshot was taken.
func (s snapshot) sees(xid uint64) bool {
	if xid >= s.xmax {
		return false
	}
	_, running := slices.BinarySearch(s.inProgress, xid)
	return !running
}

// covers reports whether s has seen everything that t has: it was taken at the same
// moment or later, on a server that forgot nothing in between.
func (s snapshot) covers(t snapshot) bool {
	if t.xmax > s.xmax {
		return false
	}
	for _, x := range s.inProgress {
		if t.sees(x) {
			return false
		}
	}
	return true
}
