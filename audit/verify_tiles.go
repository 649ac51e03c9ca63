package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// untrueTile is a tile of level 0 with a hash that differs from that of its line.
type untrueTile struct {
	n, index int64 // index of the first such line
	batch    string
	root     tlog.Hash // of its lines, once all are there
}

// differ notes a line that differs from its hash in the tile: the next checkpoint tells
// which of them was changed, lines one by one and tiles each as a whole, so that one that
// was written anew does not hide another.
func (v *verification) differ(index int64, batch string) {
	v.differing++
	if len(v.undecided) <= maxProblems {
		v.undecided = append(v.undecided, Problem{Code: ProblemLeafMismatch, Index: index, Batch: batch,
			Text: fmt.Sprintf("the line of event %d and its hash in the tile differ", index)})
	}
	n := index / tileWidth
	if last := len(v.untrue) - 1; len(v.untrue) <= maxProblems && (last < 0 || v.untrue[last].n != n) {
		v.untrue = append(v.untrue, untrueTile{n: n, index: index, batch: batch})
	}
}

func rootOf(hashes []tlog.Hash) tlog.Hash {
	var top frontier
	for _, h := range hashes {
		top.add(h)
	}
	return top.root()
}

// linesUntrue tells of lines that are not those that were signed.
func (v *verification) linesUntrue() {
	for _, p := range v.undecided {
		v.report.add(ProblemLineAltered, p.Index, p.Batch, "the line of event %d is not the one that was signed", p.Index)
	}
	copy(v.growing, v.levels[0])
	v.undecided, v.untrue = nil, nil
}

// tilesUntrue tells of tiles that are not those of the signed lines, and puts the hashes of
// the lines into the tiles that grow, so that those above them are not taken for wrong.
func (v *verification) tilesUntrue() {
	copy(v.levels[0], v.growing)
	full := v.lines.size / tileWidth
	for _, t := range v.untrue {
		if t.n < full && t.n >= full-full%tileWidth {
			v.levels[1][t.n%tileWidth] = t.root
		}
		if t.n >= v.told { // the checkpoint before may have told of the tile
			v.report.add(ProblemTileAltered, t.index, t.batch, "tile %d of level 0 is wrong from hash %d on", t.n, t.index%tileWidth)
			v.told = t.n + 1
		}
	}
	v.undecided, v.untrue = nil, nil
}
