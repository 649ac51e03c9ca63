package proof

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// Seen remembers which proofs were used.
type Seen interface {
	// First reports whether this is the first use of a key, on any node, and remembers it until then at least.
	First(ctx context.Context, key [sha256.Size]byte, until time.Time) (bool, error)
	// Since is from when on every use is remembered; the zero time for always.
	Since() time.Time
}

// memorySize is how many proofs a generation remembers: 15,000 a second.
const memorySize = 1 << 20

var errFull = errors.New("more proofs are remembered than there is room for")

// Memory is a [Seen] of one process: nobody else may take proofs for what it guards. When it is full it forgets
// nothing and fails.
type Memory struct {
	since time.Time
	now   func() time.Time

	mu sync.Mutex
	// Proofs of now, and of the time before it: those that are over go all at once.
	young, old map[[sha256.Size]byte]struct{}
	turned     time.Time
}

// NewMemory begins to remember; now nil is time.Now.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	at := now()
	return &Memory{since: at, now: now, turned: at, young: map[[sha256.Size]byte]struct{}{}}
}

// Since implements [Seen].
func (m *Memory) Since() time.Time { return m.since }

// turn is how long a generation takes: no proof counts for longer.
const turn = maxAge + maxAhead

// First implements [Seen].
func (m *Memory) First(_ context.Context, key [sha256.Size]byte, _ time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.now(); now.Sub(m.turned) > turn {
		m.old, m.young, m.turned = m.young, map[[sha256.Size]byte]struct{}{}, now
	}
	if _, used := m.young[key]; used {
		return false, nil
	}
	if _, used := m.old[key]; used {
		return false, nil
	}
	if len(m.young) >= memorySize {
		return false, errFull
	}
	m.young[key] = struct{}{}
	return true, nil
}
