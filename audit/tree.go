package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse"
)

// Height of the tiles: 256 hashes each, as C2SP tlog-tiles has them.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// tileStore is where tiles come from: a [Reader] or a [SequencerTx].
type tileStore interface {
	AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (Tile, error)
}

// unread is the error of a store that did not answer. It says nothing of the log: who
// took it for a missing tile would raise the alarm whenever the database is away.
type unread struct{ error }

func (u unread) Unwrap() error { return u.error }

func notRead(err error) bool {
	var u unread
	return errors.As(err, &u)
}

// loadTile returns the first t.W hashes of the stored tile. The error is unread when the
// store did not answer; with any other the tile is missing or damaged.
func loadTile(ctx context.Context, s tileStore, realm string, t tlog.Tile) ([]byte, error) {
	stored, err := s.AuditTiles(ctx, realm, t.L, t.N, t.W)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return nil, fmt.Errorf("tile %s is missing", t.Path())
	case err != nil:
		return nil, unread{err}
	case stored.Width < t.W || stored.Width > tileWidth || len(stored.Data) != stored.Width*tlog.HashSize:
		return nil, fmt.Errorf("tile %s is malformed", t.Path())
	}
	return stored.Data[:t.W*tlog.HashSize], nil
}

// tileReader serves tlog's authenticated reader.
type tileReader struct {
	ctx   context.Context
	store tileStore
	realm string
}

func (tileReader) Height() int                     { return tileHeight }
func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, t := range tiles {
		data, err := loadTile(r.ctx, r.store, r.realm, t)
		if err != nil {
			return nil, err
		}
		out[i] = data
	}
	return out, nil
}

// edge reads the stored hashes of a tree of size old from its tiles, and those
// that were added since from memory. Stored hash indexes are dense, so what was
// added is one slice.
type edge struct {
	ctx   context.Context
	store tileStore
	realm string
	tiles map[tlog.Tile][]byte
	base  int64 // first stored hash index that is not in the old tree
	added []tlog.Hash
}

func newEdge(ctx context.Context, s tileStore, realm string, old int64) *edge {
	return &edge{ctx: ctx, store: s, realm: realm, tiles: map[tlog.Tile][]byte{}, base: tlog.StoredHashCount(old)}
}

// ReadHashes implements tlog.HashReader.
func (e *edge) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= e.base {
			if x-e.base >= int64(len(e.added)) {
				return nil, fmt.Errorf("hash %d is not known", x)
			}
			out[i] = e.added[x-e.base]
			continue
		}
		t := tlog.TileForIndex(tileHeight, x)
		data, ok := e.tiles[t]
		if !ok {
			var err error
			if data, err = loadTile(e.ctx, e.store, e.realm, t); err != nil {
				return nil, err
			}
			e.tiles[t] = data
		}
		h, err := tlog.HashFromTile(t, data, x)
		if err != nil {
			return nil, err
		}
		out[i] = h
	}
	return out, nil
}

// frontier computes roots of a growing tree from its leaves alone: it keeps the
// roots of the complete subtrees that make up the tree, largest first (RFC 6962
// §2.1). It shares nothing with the code that writes tiles, and proves it.
type frontier struct {
	size  int64
	roots []tlog.Hash
}

func (f *frontier) add(leaf tlog.Hash) {
	f.roots = append(f.roots, leaf)
	for s := f.size; s&1 == 1; s >>= 1 {
		n := len(f.roots)
		f.roots[n-2] = tlog.NodeHash(f.roots[n-2], f.roots[n-1])
		f.roots = f.roots[:n-1]
	}
	f.size++
}

// root of the tree so far; the zero hash for none.
func (f *frontier) root() tlog.Hash {
	if len(f.roots) == 0 {
		return tlog.Hash{}
	}
	h := f.roots[len(f.roots)-1]
	for i := len(f.roots) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.roots[i], h)
	}
	return h
}
