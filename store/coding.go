package store

import (
	"database/sql"

	"github.com/klauspost/compress/s2"

	"github.com/gatehouse-auth/gatehouse/audit"
)

// Codings of a batch's data. Events resemble each other: an S2 block of some
// hundred is a tenth of them, and is written faster than they are.
const (
	codingNone = 0
	codingS2   = 1
)

// smallBatch is the size in bytes below which a batch is stored as it is, which
// is every batch of a single change.
const smallBatch = 2 << 10

// encodeBatch returns how data is to be stored.
func encodeBatch(data []byte) (coding int, stored []byte) {
	if len(data) >= smallBatch {
		if c := s2.Encode(nil, data); len(c) < len(data) {
			return codingS2, c
		}
	}
	return codingNone, data
}

// batchData scans a batch's data, which stands behind its coding in the row.
type batchData struct {
	coding int64
	data   *[]byte
}

func (b *batchData) Scan(src any) error {
	stored, ok := src.([]byte)
	if !ok {
		return internal("a batch without data")
	}
	switch b.coding {
	case codingNone:
		*b.data = append([]byte{}, stored...)
		return nil
	case codingS2:
		n, err := s2.DecodedLen(stored)
		if err != nil || n > audit.MaxBatch {
			return internal("a batch that was spoiled, or of more than %d bytes", audit.MaxBatch)
		}
		if *b.data, err = s2.Decode(nil, stored); err != nil {
			return internal("a batch that was spoiled: %w", err)
		}
		return nil
	}
	return internal("a batch in coding %d, which this program does not know", b.coding)
}

var _ sql.Scanner = (*batchData)(nil)
