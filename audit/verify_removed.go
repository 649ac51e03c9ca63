package audit

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse"
)

// uncompared reports a checkpoint from before what was removed.
func (v *verification) uncompared(what string, size int64) {
	v.report.add(ProblemSavedRemoved, size, "", "%s covers %d events; those before %d were removed on %s, and nothing is left to compare it with: save a newer one",
		what, size, v.gone.Size, v.gone.Time.Format(time.RFC3339))
}

// removed reads what was removed from the beginning. Only what is signed counts: whoever
// removes events and says so in the database alone is found out by what is missing.
func (v *verification) removed() error {
	stored, err := v.r.AuditRemoval(v.ctx, v.key.realm)
	if errors.Is(err, gatehouse.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	gone, c, err := v.key.openRemoval(stored.Note)
	if err != nil {
		v.report.add(ProblemRemovalInvalid, stored.Size, "", "what the store says of removed events: %v", err)
		return nil
	}
	v.gone, v.origin = gone, c
	v.report.Removed = &Removed{Events: gone.Size, Before: gone.Before, Time: gone.Time}
	return nil
}

// begin starts where events are left: with the edge of the tree there, which must have
// the root that was signed for it.
func (v *verification) begin() error {
	n := v.gone.Size
	if n == 0 {
		return nil
	}
	if n >= v.size { // what is newest is never removed
		v.report.add(ProblemTruncated, v.size, "", "the log has %d events, and %d were removed from its beginning: its end was cut off", v.size, n)
	}
	if n > v.size {
		n = 0
	}
	f, levels, err := edgeOf(v.ctx, v.r, v.key.realm, n)
	if notRead(err) {
		return err
	}
	if err == nil && n > 0 && f.root() != v.origin.Root {
		err = errors.New("it does not have the root that was signed")
	}
	if err != nil || n == 0 {
		if err != nil {
			v.report.add(ProblemTileAltered, n, "", "the edge of the tree at the first event that is left: %v", err)
		}
		v.gone, v.report.Removed = Removal{}, nil
		return nil
	}
	v.lines, v.levels = f, levels
	v.tiles = frontier{size: f.size, roots: slices.Clone(f.roots)}
	if at := n % tileWidth; at != 0 {
		v.growing = slices.Clone(levels[0])
		v.tile, err = loadTile(v.ctx, v.r, v.key.realm, tlog.Tile{H: tileHeight, L: 0, N: n / tileWidth, W: int(min(tileWidth, v.size-n+at))})
		if notRead(err) {
			return err
		}
		if err != nil {
			v.report.add(ProblemTileAltered, n, "", "%v", err)
		}
	}
	return nil
}
