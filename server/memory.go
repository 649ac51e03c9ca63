package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// settleAfter is when what was needed for the start alone is given back.
const settleAfter = 2 * time.Second

// settle returns the memory of the start to the system, once: garbage, and what
// the start touched of the program file, which is most of it. From then on it
// returns what a burst of work has left behind, once the work is over.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(settleAfter):
	}
	giveBack()
	var t trim
	t.look(allocated())
	every := time.NewTicker(trimEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			if t.look(allocated()) {
				runtime.GC() // pools keep what they have for one collection more
				giveBack()
				t.look(allocated())
			}
		}
	}
}

// giveBack returns what is garbage, and what is mapped of the program file: the
// lists of words that a new password is held against are a tenth of it, for one.
func giveBack() {
	debug.FreeOSMemory()
	// Memory is a courtesy here: a system that refuses it loses nothing.
	_ = releaseProgramFile()
}

const (
	// trimEvery is how often it is looked whether a burst of work is over.
	trimEvery = 5 * time.Second
	// A process that allocates less than quietBytes between two looks has no work. Go's
	// own collector would wait two minutes for its garbage.
	quietBytes = 1 << 20
	// burstBytes is what must have been allocated for a collection to be worth it.
	burstBytes = 8 << 20
)

// trim decides when memory is to be returned: at the first quiet look after a burst.
type trim struct {
	last  uint64 // bytes allocated ever, at the last look
	since uint64 // of those, allocated since memory was returned
}

func (t *trim) look(allocated uint64) bool {
	fresh := allocated - t.last
	t.last = allocated
	t.since += fresh
	if fresh >= quietBytes || t.since < burstBytes {
		return false
	}
	t.since = 0
	return true
}

// allocated is how many bytes the process has allocated ever.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
